//! One attempt to import one file: claims it, opens it, loads its rows, and reports.

use std::collections::BTreeMap;
use std::time::Duration;

use aurora_sync_catalog::{Catalog, Table};
use csv_stream::records::RECORD_BYTES_MAX;
use serde_json::{Value, json};

use super::claim::{ClaimResult, ImportEntry, Progress};
use super::load::loader::Loader;
use super::load::replace::not_deleted;
use super::load::whole::Whole;
use super::load::{lanes, replace};
use super::read::file::ReadTime;
use super::read::opened::{self, Opened};
use super::read::options::{self, Defaults, Options};
use super::read::source::{self, ImportRequest, Source};
use super::report::{self, Format};
use super::stop::Stop;
use super::{Import, MessageResult};
use crate::api::caller::RowSecurity;
use crate::aws::objects::ObjectName;
use crate::database::statement::load::keeps_order;
use crate::domain::backoff;
use crate::domain::error::SyncError;
use crate::domain::fault::nearest;
use crate::domain::field::storable;
use crate::domain::load_mode::LoadMode;

/// The most messages that an import sends to itself. Before each one at least one chunk was loaded.
/// With 15 minutes between them, this is a hundred days.
const CONTINUATIONS_MAX: u32 = 10_000;

/// The least time after which a message is delivered again if another worker has its import.
const WHILE_OTHERS_WORK: Duration = Duration::from_mins(1);

/// The number of times that a worker tries again at once after another worker disturbed it. The
/// worker that does not hold the import stops.
const DISTURBED_MAX: u32 = 10;

/// Imports one file, or continues its import.
pub(super) async fn import_file(
    import: &Import,
    request: &ImportRequest,
    entry: ImportEntry<'_>,
) -> Result<MessageResult, SyncError> {
    let import_id = entry.import_id;
    let mut format = None;
    for _ in 0..DISTURBED_MAX {
        let result = tokio::select! {
            result = claim_and_load(import, request, entry, &mut format) => result,
            () = entry.hold() => unreachable!("a worker never stops holding its import"),
        };
        let Err(SyncError::Database(error)) = &result else { return result };
        if !error.is_done_elsewhere() {
            return result;
        }
        // Another worker loaded the rows that this one was about to load, or ended the import. Of
        // two workers, the one that claimed the import last continues.
        tracing::info!(%import_id, reason = %error, "another worker disturbed the import");
        if !entry.holds(request).await? {
            break;
        }
    }
    Ok(postponed(entry))
}

/// Postpones the message. The jitter separates two messages of one import.
fn postponed(entry: ImportEntry<'_>) -> MessageResult {
    MessageResult::Postponed(WHILE_OTHERS_WORK + backoff::jitter(entry.message_id))
}

/// Returns the claims under which row policies decide on the rows of a file: those of its prefix,
/// else its uploader.
fn claims(import: &Import, source: &Source) -> Option<String> {
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

/// Claims the import, loads the file, and reports, if no other worker has the import. Sets `format`
/// as soon as it is known.
async fn claim_and_load(
    import: &Import,
    request: &ImportRequest,
    entry: ImportEntry<'_>,
    format: &mut Option<Format>,
) -> Result<MessageResult, SyncError> {
    let import_id = entry.import_id;
    let source = &request.source;
    match entry.claim(request, claims(import, source)).await? {
        ClaimResult::Claimed => {}
        ClaimResult::HeldElsewhere => {
            tracing::info!(%import_id, "another worker has the import");
            return Ok(postponed(entry));
        }
        ClaimResult::ContinuedElsewhere => {
            tracing::info!(%import_id, "another message continues the import");
            return Ok(MessageResult::Done);
        }
        ClaimResult::Ended { state, error, is_reported } => {
            let ended = (state.as_str(), error.as_deref(), is_reported);
            complete_report(import, source, entry, ended, format.as_ref()).await?;
            return Ok(MessageResult::Done);
        }
    }
    tracing::info!(
        %import_id,
        table = source.table,
        continuation = request.continuation,
        caller = source.uploader,
        "import begins"
    );
    let catalog = import.tables.refreshed(entry.deadline).await?;
    let mut loaded = load_file(import, &catalog, source, entry, format).await;
    // The tables may have changed since they were read.
    if loaded.as_ref().is_err_and(Stop::may_depend_on_tables)
        && let Some(newer) = import.tables.newer_than(&catalog, entry.deadline).await
    {
        loaded = load_file(import, &newer, source, entry, format).await;
    }
    let (state, error) = match loaded.map_err(Stop::of_import) {
        Ok(()) => ("completed", None),
        Err(Stop::Failed(error)) => ("failed", Some(error)),
        Err(Stop::Error(error)) => return Err(error),
        Err(Stop::OutOfTime { has_advanced: false }) => return Ok(MessageResult::RetryLater),
        Err(Stop::OutOfTime { has_advanced: true }) if request.continuation < CONTINUATIONS_MAX => {
            let body = source::continuation_body(source, request.continuation + 1);
            import.queue.send_one(&body).await?;
            tracing::info!(%import_id, "import continues in another invocation");
            return Ok(MessageResult::Done);
        }
        Err(Stop::OutOfTime { .. }) => {
            let error = "the file took more invocations than an import may take; the rows that were loaded stay";
            ("failed", Some(error.to_owned()))
        }
    };
    let error = error.as_deref();
    // The report comes before the state, so that a client that sees the end finds the report.
    let end = report::ImportEnd { state, error, format: format.as_ref() };
    report::write(import, source, import_id, end, entry.deadline).await?;
    if !entry.end(state, error).await? {
        // A newer file has ended it meanwhile, and the report must say so: the next claim finds it.
        return Box::pin(claim_and_load(import, request, entry, format)).await;
    }
    tracing::info!(%import_id, state, "import ended");
    Ok(MessageResult::Done)
}

/// Writes the report of an ended import, if it has none: its worker did not know of the end, or
/// died.
async fn complete_report(
    import: &Import,
    source: &Source,
    entry: ImportEntry<'_>,
    (state, error, is_reported): (&str, Option<&str>, bool),
    format: Option<&Format>,
) -> Result<(), SyncError> {
    let import_id = entry.import_id;
    tracing::info!(%import_id, state, "import has already ended");
    // Its worker may have died after the end and before this.
    entry.clear().await?;
    if !is_reported {
        entry.count_committed().await?;
        let state = if state == "completed" { "completed" } else { "failed" };
        let end = report::ImportEnd { state, error, format };
        report::write(import, source, import_id, end, entry.deadline).await?;
        entry.set_reported().await?;
    }
    Ok(())
}

/// Reads the file, and loads the rows that are not loaded yet. Sets `format` as soon as it is
/// known.
async fn load_file(
    import: &Import,
    catalog: &Catalog,
    source: &Source,
    entry: ImportEntry<'_>,
    format: &mut Option<Format>,
) -> Result<(), Stop> {
    let table = table_of(catalog, source)?;
    let head = import.objects.head(&source.object).await?;
    let declared = options::read(&import.defaults, &source.object.key, &head.metadata)
        .map_err(|error| Stop::Failed(error.to_string()))?;
    let lanes = lanes_of(table, &declared, import.lanes);
    let progress =
        entry.describe(&declared.to_json(), head.size_bytes, lanes, import.limits).await?;
    let options = options_of(&progress, &source.object.key)?;
    check_rights(table, options.mode)?;
    // From now on only this version of the object is read.
    let etag = source.object.etag.clone().or(head.etag);
    let object = ObjectName { etag, ..source.object.clone() };
    let time = ReadTime {
        until: entry.deadline.less(lanes::stop_before(entry.deadline)),
        full_invocation: import.full_invocation,
        chunk_bytes_max: 4 * (progress.limits.bytes + RECORD_BYTES_MAX) as u64,
    };
    let opened =
        opened::open(&import.objects, &object, head.size_bytes, table, &options, &progress, time)
            .await?;
    *format = Some(opened.format.clone());
    let loader = Loader {
        data_api: &import.data_api,
        import_id: entry.import_id,
        table,
        columns: opened.layout.columns(),
        mode: options.mode,
        is_dry_run: options.is_dry_run,
        encoding: opened.encoding,
    };
    let loaded = if options.is_atomic || options.is_dry_run {
        let whole = Whole {
            entry,
            loader,
            objects: &import.objects,
            object: &object,
            size_bytes: head.size_bytes,
            options: &options,
            deadline: entry.deadline,
            time,
        };
        whole.load(opened, &progress).await
    } else {
        let has_whole_time = entry.deadline.remaining() >= import.full_invocation;
        load_lanes(entry, &loader, opened, &progress, &options, has_whole_time).await
    };
    match loaded {
        Err(Stop::Error(error)) => {
            let stop = Stop::Error(error).of_import();
            if let Stop::Failed(_) = stop {
                entry.count_committed().await?;
            }
            Err(stop)
        }
        loaded => loaded,
    }
}

/// Loads the rows that are not loaded yet. In mode `replace`, then deletes the rows of the table
/// that are not in the file.
async fn load_lanes(
    entry: ImportEntry<'_>,
    loader: &Loader<'_>,
    opened: Opened<'_>,
    progress: &Progress,
    options: &Options,
    has_whole_time: bool,
) -> Result<(), Stop> {
    let is_replace = options.mode == LoadMode::Replace;
    let is_loaded = is_replace && replace::is_begun(entry).await?;
    if !is_loaded {
        let is_resumed_compressed = opened.is_compressed() && progress.checkpoint.chunk > 0;
        match load_rows(entry, loader, opened, progress, options).await {
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
    if !is_replace {
        return Ok(());
    }
    if !is_loaded {
        replace::begin(entry).await?;
    }
    match replace::replace(entry, loader.table, options.max_deletes).await {
        Err(Stop::OutOfTime { has_advanced }) => {
            Err(Stop::OutOfTime { has_advanced: has_advanced || !is_loaded })
        }
        replaced => replaced,
    }
}

/// Loads the rows that are not loaded yet, and checks that all rows of the file are accounted for.
async fn load_rows(
    entry: ImportEntry<'_>,
    loader: &Loader<'_>,
    opened: Opened<'_>,
    progress: &Progress,
    options: &Options,
) -> Result<(), Stop> {
    let ImportEntry { import_id, deadline, .. } = entry;
    let max_rejects = options.max_rejects;
    let records = match lanes::load(loader, opened, progress, max_rejects, deadline).await {
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
        tracing::error!(%import_id, records, counted, "rows of the file are not conserved");
        format!(
            "the file has {records} records, but {counted} are accounted for: a defect of aurora-sync, \
             please report it; the rows that were loaded stay"
        )
    } else if let Some(error) = lanes::too_many(max_rejects, records, rejected, true) {
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
    Err(Stop::Failed(error))
}

/// Returns the options with which the import began, whatever the configuration is now.
fn options_of(progress: &Progress, key: &str) -> Result<Options, SyncError> {
    let stored = json!({ "imports/": Value::clone(&progress.options) }).to_string();
    let unreadable = |error: String| {
        SyncError::Inconsistent(format!("the options in sync.import cannot be read: {error}"))
    };
    let stored = Defaults::parse(&stored).map_err(|error| unreadable(error.to_string()))?;
    options::read(&stored, key, &BTreeMap::new()).map_err(|error| unreadable(error.to_string()))
}

/// Returns the number of lanes of a file: one if rows of different keys can depend on each other,
/// if only the database knows which keys are equal, or if the file is one transaction.
fn lanes_of(table: &Table, options: &Options, lanes: usize) -> usize {
    let is_one = options.is_atomic || options.is_dry_run || keeps_order(table);
    if is_one { 1 } else { lanes }
}

/// Returns the table of the file.
fn table_of<'a>(catalog: &'a Catalog, source: &Source) -> Result<&'a Table, Stop> {
    let Some(table) = catalog.offered().find(|table| table.path() == source.table) else {
        return Err(Stop::Failed(unknown_table(catalog, source)));
    };
    match table.read_only {
        Some(reason) => {
            Err(Stop::Failed(format!("rows cannot be loaded into \"{table}\": {reason}")))
        }
        None => Ok(table),
    }
}

/// Checks that the mode may change the table in its way.
fn check_rights(table: &Table, mode: LoadMode) -> Result<(), Stop> {
    // Without a key, the header's check says more.
    let needs_key = matches!(mode, LoadMode::Replace | LoadMode::Delete);
    if table.permits(mode.changes(table)) || (needs_key && table.primary_key.is_empty()) {
        return Ok(());
    }
    let rights = match mode {
        LoadMode::Upsert => "SELECT, INSERT, UPDATE",
        LoadMode::Insert | LoadMode::Ignore => "SELECT, INSERT",
        LoadMode::Replace => "SELECT, INSERT, UPDATE, DELETE",
        LoadMode::Delete => "SELECT, DELETE",
    };
    Err(Stop::Failed(format!(
        "the mode {} needs rights that sync_writer does not have: GRANT {rights} ON {} TO sync_writer",
        mode.as_str(),
        table.sql_name()
    )))
}

/// Returns the message for a file whose table does not exist.
fn unknown_table(catalog: &Catalog, source: &Source) -> String {
    let writable = catalog.tables().iter().filter(|table| table.is_writable());
    let paths: Vec<_> = writable.map(ToString::to_string).collect();
    let name = source.table.as_str();
    let listed = || match paths.as_slice() {
        [] => "the API offers no table to write: GRANT rights on one to sync_writer".to_owned(),
        paths => format!("the tables are: {}", paths.join(", ")),
    };
    if source.is_in_no_folder() {
        return format!(
            "the file is in no table's folder; drop it under imports/<table>/; {}",
            listed()
        );
    }
    match nearest(name, paths.iter().map(String::as_str)) {
        Some(near) => format!("there is no table \"{name}\"; did you mean imports/{near}/?"),
        None => format!("there is no table \"{name}\"; {}", listed()),
    }
}
