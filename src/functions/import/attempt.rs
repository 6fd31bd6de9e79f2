//! One attempt to import one file: claims it, opens it, loads its rows, and reports.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::time::Duration;

use aurora_sync_catalog::{Catalog, Table};
use csv_stream::records::RECORD_BYTES_MAX;
use import_options::{Defaults, LoadMode, Options};
use serde_json::{Value, json};
use wording::nearest;

use super::claim::{ClaimResult, ImportEntry, Progress, Rows, Worker};
use super::load::loader::Loader;
use super::load::replace::not_deleted;
use super::load::whole::Whole;
use super::load::{lanes, replace};
use super::read::chunk::Limits;
use super::read::file::FileSource;
use super::read::opened::{self, Opened};
use super::read::source::{self, ImportRequest, Source};
use super::report::{self, Format};
use super::stop::Stop;
use super::{Again, Import};
use crate::api::caller::RowSecurity;
use crate::aws::objects::ObjectName;
use crate::database::statement::load::keeps_order;
use crate::domain::backoff;
use crate::domain::error::SyncError;
use crate::domain::field::storable;
use crate::domain::load_mode;
use crate::functions::metrics;

/// The most messages that an import sends to itself. Before each one at least one chunk was loaded.
/// Lambda would stop such a function after some 16 of them; `template.yaml` allows it
/// (`RecursiveLoop`).
///
/// With 15 minutes each they take ten days. If an import took longer, SQS could delete the
/// notifications of files that wait for its end: it keeps them for 14 days.
pub const CONTINUATIONS_MAX: u32 = 1_000;

/// The least time after which a message is delivered again if another worker has its import.
const WHILE_OTHERS_WORK: Duration = Duration::from_mins(1);

/// The number of times that a worker tries again at once after another worker disturbed it. The
/// worker that does not hold the import stops.
const DISTURBED_MAX: u32 = 10;

/// One attempt to import one file.
#[derive(Debug)]
pub(super) struct Attempt<'a> {
    pub import: &'a Import,
    pub request: &'a ImportRequest,
    pub worker: Worker<'a>,
    /// The time for which the message has waited.
    pub wait_seconds: u64,
    /// The format of the file, as soon as it is known.
    pub format: RefCell<Option<Format>>,
}

impl Attempt<'_> {
    /// Imports the file, or continues its import.
    pub(super) async fn run(&self) -> Result<Again, SyncError> {
        let import_id = self.worker.entry.import_id;
        for _ in 0..DISTURBED_MAX {
            let result = tokio::select! {
                result = self.claim_and_load() => result,
                () = self.worker.hold() => unreachable!("a worker never stops holding its import"),
            };
            match result {
                Err(SyncError::Database(error)) if error.is_done_elsewhere() => {
                    // Another worker loaded the rows that this one was about to load, or ended the
                    // import. Of two workers, the one that claimed the import last continues.
                    tracing::info!(%import_id, reason = %error, "another worker disturbed the import");
                }
                result => return result,
            }
            if !self.worker.holds(self.request).await? {
                break;
            }
        }
        Ok(self.postponed())
    }

    /// Registers the import, if it is not known yet.
    pub(super) async fn register(&self) -> Result<(), SyncError> {
        self.worker.claim(self.request, self.claims()).await.map(drop)
    }

    /// Postpones the message. The jitter separates two messages of one import.
    fn postponed(&self) -> Again {
        Again::After(WHILE_OTHERS_WORK + backoff::jitter(self.worker.message_id))
    }

    /// Returns the claims under which row policies decide on the rows of the file: those of its
    /// prefix, else its uploader.
    fn claims(&self) -> Option<String> {
        let (import, source) = (self.import, &self.request.source);
        if import.row_security == RowSecurity::Off {
            return None;
        }
        let bound = import.defaults.claims_of(&source.object.key).map(str::to_owned);
        bound.or_else(|| {
            let id = source.uploader.as_deref().map(|id| id.strip_prefix("AWS:").unwrap_or(id));
            let claims = id.map(|id| json!({ "principal_id": storable(id) }));
            Some(claims.unwrap_or_else(|| json!({})).to_string())
        })
    }

    /// Claims the import, loads the file, and reports, if no other worker has the import.
    async fn claim_and_load(&self) -> Result<Again, SyncError> {
        let Self { import, request, worker, .. } = *self;
        let ImportEntry { import_id, deadline, .. } = worker.entry;
        match worker.claim(request, self.claims()).await? {
            ClaimResult::Begin => {}
            ClaimResult::Held => {
                tracing::info!(%import_id, "another worker has the import");
                return Ok(self.postponed());
            }
            ClaimResult::Running => {
                tracing::info!(%import_id, "another message continues the import");
                return Ok(Again::Never);
            }
            ClaimResult::Ended { import_state, import_error, is_reported } => {
                tracing::info!(%import_id, state = import_state, "import has already ended");
                // Its worker may have died after the end and before this.
                worker.entry.clear().await?;
                // Its worker did not know of the end, or died.
                if !is_reported {
                    worker.entry.count_committed().await?;
                    self.find_format().await?;
                    self.report(&import_state, import_error.as_deref()).await?;
                    worker.entry.set_reported(import.outbox.is_some()).await?;
                }
                self.publish().await;
                return Ok(Again::Never);
            }
        }
        let (source, continuation) = (&request.source, request.continuation);
        let (table, caller) = (&source.table, &source.uploader);
        tracing::info!(%import_id, table, continuation, caller, "import begins");
        let catalog = import.tables.refreshed(deadline).await?;
        let mut loaded = self.load_file(&catalog).await;
        // The tables may have changed since they were read.
        if loaded.as_ref().is_err_and(Stop::may_depend_on_tables)
            && let Some(newer) = import.tables.newer_than(&catalog, deadline).await
        {
            loaded = self.load_file(&newer).await;
        }
        let (state, error) = match loaded.map_err(Stop::of_import) {
            Ok(()) => ("completed", None),
            Err(Stop::Failed(error)) => ("failed", Some(error)),
            Err(Stop::Error(error)) => return Err(error),
            Err(Stop::OutOfTime { has_advanced: false }) => return Err(SyncError::OutOfTime),
            Err(Stop::OutOfTime { .. }) if continuation < CONTINUATIONS_MAX => {
                let body = source::continuation_body(&request.source, continuation + 1);
                import.queue.send_one(&body).await?;
                metrics::line!(
                    info,
                    import.data_api,
                    %import_id,
                    import_wait_seconds = self.wait_seconds,
                    continued_imports = 1,
                    "import continues in another invocation"
                );
                return Ok(Again::Never);
            }
            Err(Stop::OutOfTime { .. }) => {
                worker.entry.count_committed().await?;
                ("failed", Some(too_long()))
            }
        };
        // The report comes before the state, so that a client that sees the end finds the report.
        self.report(state, error.as_deref()).await?;
        let Some(rows) = worker.entry.end(state, error.as_deref(), import.outbox.is_some()).await?
        else {
            // A newer file has ended it meanwhile, and the report must say so: the next claim finds
            // it.
            return Box::pin(self.claim_and_load()).await;
        };
        self.log_end(error.is_some(), rows);
        self.publish().await;
        Ok(Again::Never)
    }

    /// Publishes the event of the import, which has ended.
    async fn publish(&self) {
        let ImportEntry { import_id, deadline, .. } = self.worker.entry;
        if let Some(outbox) = &self.import.outbox {
            outbox.publish_of(&[import_id], deadline).await;
        }
    }

    /// Logs the end of the import, at the level of what a person has to do.
    fn log_end(&self, has_failed: bool, rows: Rows) {
        let import_id = self.worker.entry.import_id;
        let table = &self.request.source.table;
        let data_api = &self.import.data_api;
        let import_wait_seconds = self.wait_seconds;
        macro_rules! log {
            ($level:ident, $failed_imports:literal, $text:literal) => {
                metrics::line!(
                    $level,
                    data_api,
                    %import_id,
                    table,
                    read_rows = rows.read,
                    written_rows = rows.written,
                    unchanged_rows = rows.unchanged,
                    superseded_rows = rows.superseded,
                    rejected_rows = rows.rejected,
                    import_wait_seconds,
                    failed_imports = $failed_imports,
                    $text
                );
            };
        }
        if has_failed {
            log!(error, 1, "import failed");
        } else if rows.rejected > 0 && rows.rejected == rows.read {
            log!(warn, 1, "import rejected all rows");
        } else {
            log!(info, 0, "import completed");
        }
    }

    async fn report(&self, state: &str, error: Option<&str>) -> Result<(), SyncError> {
        let ImportEntry { import_id, deadline, .. } = self.worker.entry;
        let format = self.format.borrow().clone();
        let end = report::ImportEnd { state, error, format: format.as_ref() };
        report::write(self.import, &self.request.source, import_id, end, deadline).await
    }

    /// Finds the format of the file, which its worker knew, if the import has rejected rows. There
    /// is no `rejected.csv` of a file that S3 does not give: the report must not wait for it.
    async fn find_format(&self) -> Result<(), SyncError> {
        let (import, object, entry) = (self.import, &self.request.source.object, self.worker.entry);
        if self.format.borrow().is_some() {
            return Ok(());
        }
        let Some(stored) = entry.options_with_rejects().await? else { return Ok(()) };
        let Ok(options) = options_of(&stored, &object.key) else { return Ok(()) };

        let find = async || {
            let head = import.objects.head(object).await?;
            let file = self.file(object, head.size_bytes, &options, import.limits);
            opened::format(file).await
        };
        match find().await.map_err(Stop::of_import) {
            Ok(format) => *self.format.borrow_mut() = Some(format),
            Err(Stop::Failed(_) | Stop::Error(SyncError::Service(_))) => {
                tracing::info!(import_id = %entry.import_id, "rejected.csv is left out");
            }
            Err(Stop::OutOfTime { .. }) => return Err(SyncError::OutOfTime),
            Err(Stop::Error(error)) => return Err(error),
        }
        Ok(())
    }

    fn file<'f>(
        &'f self,
        object: &'f ObjectName,
        size_bytes: u64,
        options: &'f Options,
        limits: Limits,
    ) -> FileSource<'f> {
        FileSource {
            objects: &self.import.objects,
            object,
            size_bytes,
            options,
            until: lanes::reading_until(self.worker.entry.deadline),
            full_invocation: self.import.full_invocation,
            chunk_bytes_max: 4 * (limits.bytes + RECORD_BYTES_MAX) as u64,
        }
    }

    /// Reads the file, and loads the rows that are not loaded yet.
    async fn load_file(&self, catalog: &Catalog) -> Result<(), Stop> {
        let (import, source, entry) = (self.import, &self.request.source, self.worker.entry);
        let table = table_of(catalog, source)?;
        let head = import.objects.head(&source.object).await?;
        let declared =
            import_options::read(&import.defaults, &source.object.key, &head.decoded_metadata())
                .map_err(|error| error.to_string())?;
        let lanes = lanes_of(table, &declared, import.lanes);
        let progress =
            entry.describe(&declared.to_json(), head.size_bytes, lanes, import.limits).await?;
        let options = options_of(&progress.options, &source.object.key)?;
        check_rights(table, options.mode)?;
        check_policies(table, &options)?;
        // From now on only this version of the object is read.
        let etag = source.object.etag.clone().or(head.etag);
        let object = ObjectName { etag, ..source.object.clone() };
        let file = self.file(&object, head.size_bytes, &options, progress.limits);
        let opened = opened::open(file, table, &progress).await?;
        *self.format.borrow_mut() = Some(opened.format.clone());
        let loader = Loader {
            entry,
            table,
            options: &options,
            columns: opened.layout.columns(),
            encoding: opened.format.encoding,
        };
        let loaded = if options.is_atomic || options.is_dry_run {
            Whole { loader, file, progress: &progress }.load(opened).await
        } else {
            let has_whole_time = entry.deadline.remaining() >= import.full_invocation;
            load_lanes(&loader, opened, &progress, has_whole_time).await
        };
        match loaded {
            Err(error @ Stop::Error(_)) => {
                let stop = error.of_import();
                if matches!(stop, Stop::Failed(_)) {
                    entry.count_committed().await?;
                }
                Err(stop)
            }
            loaded => loaded,
        }
    }
}

/// Loads the rows that are not loaded yet. In mode `replace`, then deletes the rows of the table
/// that are not in the file.
async fn load_lanes(
    loader: &Loader<'_>,
    opened: Opened<'_>,
    progress: &Progress,
    has_whole_time: bool,
) -> Result<(), Stop> {
    let entry = loader.entry;
    let is_replace = loader.options.mode == LoadMode::Replace;
    let is_loaded = is_replace && replace::is_begun(entry).await?;
    if !is_loaded {
        let is_resumed_compressed = opened.is_compressed() && progress.chunk > 0;
        match load_rows(loader, opened, progress).await {
            Err(Stop::OutOfTime { has_advanced: false })
                if is_resumed_compressed && has_whole_time =>
            {
                entry.count_committed().await?;
                return Err(Stop::Failed(
                    "a compressed file is read from its beginning again, and one invocation is too short to reach the \
                     rows that are not loaded: drop it uncompressed, or in several files; the rows that were loaded stay"
                        .to_owned(),
                ));
            }
            loaded => loaded?,
        }
    }
    if is_replace { replace::replace(loader).await } else { Ok(()) }
}

/// Loads the rows that are not loaded yet, and checks that all rows of the file are accounted for.
async fn load_rows(
    loader: &Loader<'_>,
    opened: Opened<'_>,
    progress: &Progress,
) -> Result<(), Stop> {
    let Loader { entry, options, .. } = *loader;
    let records = match lanes::load(loader, opened, progress).await {
        Err(Stop::Failed(error)) => {
            entry.count().await?;
            return Err(Stop::Failed(format!(
                "{error}; the rows that were loaded before stay: fix the file and drop it again"
            )));
        }
        records => records?,
    };
    let (counted, rejected) = entry.count().await?;
    let error = if counted != records {
        // A defect of the worker. Nobody may rely on the counts then.
        let import_id = entry.import_id;
        tracing::error!(target: metrics::TARGET, %import_id, records, counted, "rows of the file are not conserved");
        format!(
            "the file has {records} records, but {counted} are accounted for: a defect of aurora-sync, \
             please report it; the rows that were loaded stay"
        )
    } else if let Some(error) = lanes::too_many(options.max_rejects, records, rejected, true) {
        format!("{error}; the other rows were loaded and stay")
    } else if options.mode == LoadMode::Replace && rejected > 0 {
        format!(
            "{}: the table has the file's other rows and all rows that it had before; fix the rows and drop \
             the whole file again",
            not_deleted(rejected)
        )
    } else {
        return Ok(());
    };
    Err(error.into())
}

/// Returns the reason for which an import ends that was continued too often.
fn too_long() -> String {
    format!(
        "the file is not loaded after {CONTINUATIONS_MAX} continuations, which take ten days; the rows that were loaded \
         stay. Upload the file again in smaller files, and load faster: raise MaxCapacity, ImportLanes or ImportMemory"
    )
}

/// Returns the options with which the import began, whatever the configuration is now.
fn options_of(options: &Value, key: &str) -> Result<Options, SyncError> {
    let stored = json!({ "imports/": options }).to_string();
    let stored = Defaults::parse(&stored).map_err(|error| error.to_string());
    let read = |stored: Defaults| {
        import_options::read(&stored, key, &BTreeMap::new()).map_err(|e| e.to_string())
    };
    stored.and_then(read).map_err(|error| {
        SyncError::Inconsistent(format!("the options in sync.import cannot be read: {error}"))
    })
}

/// Returns the number of lanes of a file: one if rows of different keys can depend on each other,
/// if only the database knows which keys are equal, or if the file is one transaction.
fn lanes_of(table: &Table, options: &Options, lanes: usize) -> usize {
    let is_one = options.is_atomic || options.is_dry_run || keeps_order(table);
    if is_one { 1 } else { lanes }
}

/// Returns the table of the file.
fn table_of<'a>(catalog: &'a Catalog, source: &Source) -> Result<&'a Table, String> {
    let table = catalog.offered().find(|table| table.path() == source.table);
    let table = table.ok_or_else(|| unknown_table(catalog, source))?;
    match table.read_only {
        Some(reason) => Err(format!("rows cannot be loaded into \"{table}\": {reason}")),
        None => Ok(table),
    }
}

/// Checks that the mode may change the table in its way.
fn check_rights(table: &Table, mode: LoadMode) -> Result<(), String> {
    // Without a key, the header's check says more.
    let needs_key = matches!(mode, LoadMode::Replace | LoadMode::Delete);
    if table.permits(load_mode::changes(mode, table)) || (needs_key && table.primary_key.is_empty())
    {
        return Ok(());
    }
    let rights = match mode {
        LoadMode::Upsert => "SELECT, INSERT, UPDATE",
        LoadMode::Insert | LoadMode::Ignore => "SELECT, INSERT",
        LoadMode::Replace => "SELECT, INSERT, UPDATE, DELETE",
        LoadMode::Delete => "SELECT, DELETE",
    };
    let (mode, table) = (mode.as_str(), table.sql_name());
    Err(format!(
        "the mode {mode} needs rights that sync_writer does not have: GRANT {rights} ON {table} TO sync_writer"
    ))
}

/// Checks that the count of missing rows is that of the rows that would be deleted: a transaction
/// that is rolled back counts by locks, for which PostgreSQL asks other policies than for deletes.
fn check_policies(table: &Table, options: &Options) -> Result<(), String> {
    let counts_by_locks =
        options.mode == LoadMode::Replace && (options.is_atomic || options.is_dry_run);
    if !table.has_row_security || !counts_by_locks {
        return Ok(());
    }
    let option = if options.is_dry_run { "dry-run" } else { "atomic" };
    Err(format!(
        "the mode replace cannot have {option} on a table with row security: leave {option} out, or use the mode upsert"
    ))
}

/// Returns the message for a file whose table does not exist.
fn unknown_table(catalog: &Catalog, source: &Source) -> String {
    let writable = catalog.tables().iter().filter(|table| table.is_writable());
    let paths: Vec<_> = writable.map(ToString::to_string).collect();
    let name = source.table.as_str();
    let listed = match paths.as_slice() {
        [] => "the API offers no table to write: GRANT rights on one to sync_writer".to_owned(),
        paths => format!("the tables are: {}", paths.join(", ")),
    };
    if source.is_in_no_folder() {
        return format!(
            "the file is in no table's folder; drop it under imports/<table>/; {listed}"
        );
    }
    match nearest(name, paths.iter().map(String::as_str)) {
        Some(near) => format!("there is no table \"{name}\"; did you mean imports/{near}/?"),
        None => format!("there is no table \"{name}\"; {listed}"),
    }
}
