//! Imports files: every row ends as written, unchanged, superseded or rejected, and is counted as such.
//!
//! One pass over the file, a few chunks in memory, a transaction for each lane's part of a chunk. A file that is
//! delivered again goes on at its checkpoint, which the database computes from the chunks that are committed.

pub mod read;
pub mod load;
pub mod report;
mod claim;
mod heartbeat;

use std::collections::BTreeMap;
use std::time::Duration;

use aurora_sync_catalog::{Catalog, Table};
use aws_lambda_events::sqs::{BatchItemFailure, SqsBatchResponse, SqsEvent};
use serde_json::{Value, json};
use uuid::Uuid;

use self::claim::{Entry, Progress, Standing};
pub use self::heartbeat::EVERY as HEARTBEAT_EVERY;
use self::heartbeat::Heartbeat;
use self::load::loader::Loader;
use self::load::replace::{Replacing, not_deleted};
use self::load::whole::Whole;
use self::load::{lanes, replace, whole};
use self::read::file::Time;
use self::read::opened::{OpenError, Opened};
use self::read::options::{Defaults, Options};
use self::read::source::{Ask, Source};
use self::read::{chunk, opened, options, source};
use self::report::Format;
use crate::aws::data_api::DataApi;
use crate::aws::objects::{ObjectName, Objects};
use crate::aws::queue::Queue;
use crate::database::statement::load::keeps_order;
use crate::domain::backoff;
use crate::domain::deadline::Deadline;
use crate::domain::error::{Disposition, ServiceFault, SyncError};
use crate::domain::fault::nearest;
use crate::domain::load_mode::LoadMode;
use csv_stream::records::RECORD_BYTES_MAX;

/// Most messages that an import leaves for itself. Each one follows on a chunk that was loaded; with 15 minutes
/// between them, this is a hundred days.
const CONTINUATIONS_MAX: u32 = 10_000;

/// Until a file is looked at again that another worker has, at least.
const WHILE_OTHERS_WORK: Duration = Duration::from_mins(1);

/// How often a worker goes on at once with what another one disturbs, which stops.
const DISTURBED_MAX: u32 = 10;

/// Kept by an import that had no time for its next step.
const NO_TIME: &str = "the time of an invocation was over before anything of it was done";

/// What the function needs.
#[derive(Debug)]
pub struct Import {
    pub catalog: Catalog,
    pub data_api: DataApi,
    pub objects: Objects,
    /// The queue that the messages come from.
    pub queue: Queue,
    pub results_bucket: String,
    /// Options by prefix.
    pub defaults: Defaults,
    /// Into how many lanes the rows of a file go.
    pub lanes: usize,
    /// How a file is cut.
    pub limits: chunk::Limits,
    /// An invocation with so much time that does not come to where a packed file is to be gone on with, or to the next row,
    /// never will.
    pub packed_within: Duration,
    /// How often the message of a file is hidden again while it is loaded.
    pub heartbeat_every: Duration,
}

/// What [`Import::packed_within`] is by default: most of an invocation.
pub const PACKED_WITHIN: Duration = Duration::from_mins(10);

/// Imports the files of one delivery. What could not be done now is given back; fails only where a
/// human must act, and then SQS keeps the message.
pub async fn handle(
    import: &Import,
    event: SqsEvent,
    deadline: Deadline,
) -> Result<SqsBatchResponse, SyncError> {
    let mut response = SqsBatchResponse::default();
    for message in event.records {
        let id = message.message_id.filter(|id| !id.is_empty());
        let id = id.ok_or_else(|| {
            SyncError::Inconsistent("a message of the event has no id".to_owned())
        })?;
        let receipt_handle = message.receipt_handle.unwrap_or_default();
        let heartbeat = Heartbeat {
            queue: &import.queue,
            receipt_handle: &receipt_handle,
            every: import.heartbeat_every,
        };
        let body = message.body.as_deref().unwrap_or_default();
        let done = Box::pin(heartbeat.during(import_message(import, &id, body, deadline))).await;
        let receive_count = message.attributes.get("ApproximateReceiveCount");
        let receive_count = receive_count.and_then(|count| count.parse().ok()).unwrap_or(1);
        let delay = |disposition| backoff::delay(receive_count, disposition);
        let again_after = match &done {
            Ok(Progressed::Done) => continue,
            Ok(Progressed::Postponed(time)) => *time,
            Ok(Progressed::GivenBack) => delay(Disposition::Retry),
            Err(error) => delay(error.disposition()),
        };
        heartbeat.hide(again_after).await;
        done?;
        let mut failure = BatchItemFailure::default();
        failure.item_identifier = id;
        response.batch_item_failures.push(failure);
    }
    Ok(response)
}

/// How far an invocation came with a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Progressed {
    Done,
    /// The rest is for another delivery.
    GivenBack,
    /// The same, after this time.
    Postponed(Duration),
}

/// Imports what one message names.
async fn import_message(
    import: &Import,
    message_id: &str,
    body: &str,
    deadline: Deadline,
) -> Result<Progressed, SyncError> {
    let notification = match source::read(body) {
        Ok(notification) => notification,
        Err(error) => {
            // No import to show it in: the dead-letter queue keeps it, and its alarm tells.
            tracing::error!(error = crate::domain::error::chain(&error), "message is unreadable");
            return Ok(Progressed::GivenBack);
        }
    };
    if notification.ignored > 0 {
        tracing::info!(ignored = notification.ignored, "notifications ask for nothing");
    }
    let worker = Uuid::now_v7();
    for ask in &notification.asks {
        let import_id = ask.source.import_id();
        let entry = Entry { data_api: &import.data_api, import_id, deadline, worker, message_id };
        match Box::pin(import_file(import, ask, entry)).await {
            Ok(Progressed::Done) => {}
            Ok(Progressed::GivenBack) => {
                tell(entry, NO_TIME).await;
                return Ok(Progressed::GivenBack);
            }
            Ok(postponed) => return Ok(postponed),
            Err(error) if error.disposition() == Disposition::Retry => {
                tracing::warn!(%error, %import_id, "import given back");
                tell(entry, &error.to_string()).await;
                return Ok(Progressed::GivenBack);
            }
            Err(error) => {
                tracing::error!(%error, %import_id, "import halted");
                tell(entry, &error.to_string()).await;
                return Err(error);
            }
        }
    }
    Ok(Progressed::Done)
}

/// Records what keeps the import from going on.
async fn tell(entry: Entry<'_>, error: &str) {
    let told = format!("it does not go on, and is tried again and again: {error}");
    if let Err(error) = entry.halted(&told).await {
        let import_id = entry.import_id;
        tracing::info!(reason = %error, %import_id, "what keeps it from going on is not recorded");
    }
}

/// How a file was read and loaded.
#[derive(Debug)]
enum Reading {
    /// To its end.
    Completed {
        format: Format,
    },
    /// The import ends here, with what the user can do about it.
    Failed {
        error: String,
        format: Option<Format>,
    },
    OutOfTime {
        advanced: bool,
    },
}

impl Reading {
    fn failed(error: impl Into<String>) -> Self {
        Self::Failed { error: error.into(), format: None }
    }
}

async fn import_file(
    import: &Import,
    ask: &Ask,
    entry: Entry<'_>,
) -> Result<Progressed, SyncError> {
    let import_id = entry.import_id;
    for _ in 0..DISTURBED_MAX {
        let result = tokio::select! {
            result = claim_and_load(import, ask, entry) => result,
            () = entry.hold() => unreachable!("it holds for ever"),
        };
        let Err(SyncError::Database(error)) = &result else { return result };
        if !error.is_overtaken() {
            return result;
        }
        // Somebody else loaded what this worker was about to load, or ended the import. Of two, the one who claimed it last
        // goes on.
        tracing::info!(%import_id, reason = %error, "import was overtaken");
        if !entry.holds(ask).await? {
            break;
        }
    }
    Ok(postponed(entry))
}

/// Two workers of one import, of different messages, do not come back at the same time.
fn postponed(entry: Entry<'_>) -> Progressed {
    Progressed::Postponed(WHILE_OTHERS_WORK + backoff::jitter(entry.message_id))
}

/// What is left to be done for an import that somebody else ended.
async fn after_others(
    import: &Import,
    ask: &Ask,
    entry: Entry<'_>,
    format: Option<&Format>,
) -> Result<Progressed, SyncError> {
    match entry.claim(ask).await? {
        Standing::Begin | Standing::Held => Ok(postponed(entry)),
        Standing::Others => Ok(Progressed::Done),
        Standing::Ended { state, error, is_reported } => {
            let ended = (state.as_str(), error.as_deref(), is_reported);
            tell_again(import, &ask.source, entry, ended, format).await?;
            Ok(Progressed::Done)
        }
    }
}

/// Why an error ends an import, where it does.
fn ends(error: &SyncError) -> Option<&'static str> {
    match error {
        SyncError::Service(error) if error.fault == ServiceFault::NotFound => {
            Some("the file is not there any more; what was loaded of it stays")
        }
        SyncError::Service(error) if error.fault == ServiceFault::Changed => Some(
            "the file was replaced before it was read whole; the newer one has its own import, and what was loaded of \
             this one stays",
        ),
        // Cannot be; and if it is, nobody may believe the counts.
        SyncError::Database(error) if error.has_lost_rows() => Some(
            "not all rows of a chunk are accounted for: a defect of aurora-sync, please report it; what was loaded \
             before stays",
        ),
        _ => None,
    }
}

async fn claim_and_load(
    import: &Import,
    ask: &Ask,
    entry: Entry<'_>,
) -> Result<Progressed, SyncError> {
    let Entry { import_id, deadline, .. } = entry;
    let source = &ask.source;
    match entry.claim(ask).await? {
        Standing::Begin => {}
        Standing::Held => {
            tracing::info!(%import_id, "another worker has the import");
            return Ok(postponed(entry));
        }
        Standing::Others => {
            tracing::info!(%import_id, "import goes on elsewhere");
            return Ok(Progressed::Done);
        }
        Standing::Ended { state, error, is_reported } => {
            let ended = (state.as_str(), error.as_deref(), is_reported);
            tell_again(import, source, entry, ended, None).await?;
            return Ok(Progressed::Done);
        }
    }
    tracing::info!(%import_id, table = source.table, continuation = ask.continuation, "import begins");
    let reading = match load_file(import, source, entry).await {
        Err(error) => Reading::failed(ends(&error).ok_or(error)?),
        Ok(reading) => reading,
    };
    let (state, error, format) = match &reading {
        Reading::OutOfTime { advanced: false } => return Ok(Progressed::GivenBack),
        Reading::OutOfTime { advanced: true } if ask.continuation < CONTINUATIONS_MAX => {
            let body = source::continuation_body(source, ask.continuation + 1);
            import.queue.send_one(&body).await?;
            tracing::info!(%import_id, "import goes on in another invocation");
            return Ok(Progressed::Done);
        }
        Reading::OutOfTime { .. } => {
            let error = "the file took more invocations than an import may; what is loaded stays";
            ("failed", Some(error), None)
        }
        Reading::Failed { error, format } => ("failed", Some(error.as_str()), format.as_ref()),
        Reading::Completed { format } => ("completed", None, Some(format)),
    };
    // The report before the state: whoever sees the end finds the report.
    let ending = report::Ending { state, error, format };
    report::write(import, source, import_id, ending, deadline).await?;
    if !entry.end(state, error).await? {
        // A newer file has, meanwhile: the report is to say the same.
        return after_others(import, ask, entry, format).await;
    }
    tracing::info!(%import_id, state, "import ended");
    Ok(Progressed::Done)
}

/// An import that ended without its worker knowing has no report yet.
async fn tell_again(
    import: &Import,
    source: &Source,
    entry: Entry<'_>,
    (state, error, is_reported): (&str, Option<&str>, bool),
    format: Option<&Format>,
) -> Result<(), SyncError> {
    let import_id = entry.import_id;
    tracing::info!(%import_id, state, "import is done already");
    // Its worker may have died between the end and this.
    entry.clear().await?;
    if !is_reported {
        entry.count_what_stands().await?;
        let state = if state == "completed" { "completed" } else { "failed" };
        let ending = report::Ending { state, error, format };
        report::write(import, source, import_id, ending, entry.deadline).await?;
        entry.reported().await?;
    }
    Ok(())
}

/// Reads the file and loads what is not loaded of it.
async fn load_file(
    import: &Import,
    source: &Source,
    entry: Entry<'_>,
) -> Result<Reading, SyncError> {
    let Some(table) = import.catalog.table(&source.table) else {
        return Ok(Reading::failed(unknown_table(import, source)));
    };
    if !table.is_writable() {
        let error = "the table is kept out of writes (@sync:no-write in its comment)";
        return Ok(Reading::failed(error));
    }
    let head = import.objects.head(&source.object).await?;
    let declared = match options::read(&import.defaults, &source.object.key, &head.metadata) {
        Ok(options) => options,
        Err(error) => return Ok(Reading::failed(error.to_string())),
    };
    let lanes = lanes_of(table, &declared, import.lanes);
    let progress =
        entry.describe(&declared.to_json(), head.size_bytes, lanes, import.limits).await?;
    let options = options_of(&progress, &source.object.key)?;
    // What is read from now on is what was looked at.
    let etag = source.object.etag.clone().or(head.etag);
    let object = ObjectName { etag, ..source.object.clone() };
    let time = Time {
        until: entry.deadline.less(lanes::stop_before(entry.deadline)),
        enough: import.packed_within,
        chunk_bytes_max: 4 * (progress.limits.bytes + RECORD_BYTES_MAX) as u64,
    };
    let opened =
        opened::open(&import.objects, &object, head.size_bytes, table, &options, &progress, time);
    let opened = match opened.await {
        Ok(opened) => opened,
        Err(OpenError::Refused(error)) => return Ok(Reading::failed(error)),
        Err(OpenError::Sync(error)) => return Err(error),
    };
    let loader = Loader {
        data_api: &import.data_api,
        import_id: entry.import_id,
        table,
        columns: opened.layout.columns(),
        mode: options.mode,
        encoding: opened.encoding,
    };
    let format = opened.format.clone();
    let is_whole = options.is_atomic || options.is_dry_run;
    let is_loaded =
        options.mode == LoadMode::Replace && !is_whole && replace::is_begun(entry).await?;
    let is_long =
        opened.is_packed() && !is_loaded && entry.deadline.remaining() >= import.packed_within;
    let loaded = if is_whole {
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
        whole.load(opened, &progress).await.map(|ending| match ending {
            whole::Ending::Whole => Reading::Completed { format: format.clone() },
            whole::Ending::Stopped { error } => {
                Reading::Failed { error, format: Some(format.clone()) }
            }
        })
    } else {
        let opened = (!is_loaded).then_some(opened);
        load_lanes(entry, &loader, opened, &progress, &options, format.clone()).await
    };
    match loaded {
        Err(error) => {
            let error = ends(&error).ok_or(error)?.to_owned();
            entry.count_what_stands().await?;
            Ok(Reading::Failed { error, format: Some(format) })
        }
        Ok(Reading::OutOfTime { advanced: false }) if is_long && progress.checkpoint.chunk > 0 => {
            entry.count_what_stands().await?;
            let error = "a packed file is read again up to where its loading stopped, and an invocation is too short \
                         for that: drop it unpacked, or in several files; what was loaded stays";
            Ok(Reading::Failed { error: error.to_owned(), format: Some(format) })
        }
        loaded => loaded,
    }
}

/// Loads what is not loaded of the file, and then, in mode `replace`, deletes what is not in it. A file that is loaded
/// whole is not opened.
async fn load_lanes(
    entry: Entry<'_>,
    loader: &Loader<'_>,
    opened: Option<Opened<'_>>,
    progress: &Progress,
    options: &Options,
    format: Format,
) -> Result<Reading, SyncError> {
    let is_replace = options.mode == LoadMode::Replace;
    let is_loaded = opened.is_none();
    if let Some(opened) = opened {
        let ended = load_rows(entry, loader, opened, progress, options, &format).await?;
        if let Some(reading) = ended {
            return Ok(reading);
        }
        if is_replace {
            replace::begin(entry).await?;
        }
    }
    if is_replace {
        match replace::replace(entry, loader.table, options.max_deletes).await? {
            Replacing::Done => {}
            Replacing::Refused(error) => {
                return Ok(Reading::Failed { error, format: Some(format) });
            }
            Replacing::OutOfTime { advanced } => {
                return Ok(Reading::OutOfTime { advanced: advanced || !is_loaded });
            }
        }
    }
    Ok(Reading::Completed { format })
}

/// Loads what is not loaded of the file; `None` where all its rows are accounted for, and the import may go on.
async fn load_rows(
    entry: Entry<'_>,
    loader: &Loader<'_>,
    opened: Opened<'_>,
    progress: &Progress,
    options: &Options,
    format: &Format,
) -> Result<Option<Reading>, SyncError> {
    let Entry { import_id, deadline, .. } = entry;
    let failed = |error| Ok(Some(Reading::Failed { error, format: Some(format.clone()) }));
    let max_rejects = options.max_rejects;
    let records = match lanes::load(loader, opened, progress, max_rejects, deadline).await? {
        lanes::Ending::Whole { records } => records,
        lanes::Ending::OutOfTime { advanced } => return Ok(Some(Reading::OutOfTime { advanced })),
        lanes::Ending::Stopped { error } => {
            entry.count().await?;
            return failed(format!(
                "{error}; what was loaded before stays: mend the file and drop it again"
            ));
        }
    };
    let (counted, rejected) = entry.count().await?;
    if counted != records {
        // Cannot be; and if it is, nobody may believe the counts.
        tracing::error!(%import_id, records, counted, "rows of the file are not conserved");
        return failed(format!(
            "the file has {records} records, but {counted} are accounted for: a defect of aurora-sync, \
             please report it; what was loaded stays"
        ));
    }
    if let Some(error) = lanes::too_many(max_rejects, records, rejected, true) {
        return failed(format!("{error}; the other rows were loaded and stay"));
    }
    if options.mode == LoadMode::Replace && rejected > 0 {
        return failed(format!(
            "{}: the table holds the file's other rows and all that it held before; mend the rows and drop \
             the whole file again",
            not_deleted(rejected)
        ));
    }
    Ok(None)
}

/// The options as they were when the import began, whatever the configuration says now.
fn options_of(progress: &Progress, key: &str) -> Result<Options, SyncError> {
    let stored = json!({ "imports/": Value::clone(&progress.options) }).to_string();
    let unreadable = |error: String| {
        SyncError::Inconsistent(format!("the options in sync.import cannot be read: {error}"))
    };
    let stored = Defaults::parse(&stored).map_err(|error| unreadable(error.to_string()))?;
    options::read(&stored, key, &BTreeMap::new()).map_err(|error| unreadable(error.to_string()))
}

/// One lane where rows with different keys can depend on each other, or the same key can be spelt in ways that
/// only the database knows to be equal, or all is one transaction.
fn lanes_of(table: &Table, options: &Options, lanes: usize) -> usize {
    let is_one = options.is_atomic || options.is_dry_run || keeps_order(table);
    if is_one { 1 } else { lanes }
}

fn unknown_table(import: &Import, source: &Source) -> String {
    let paths: Vec<_> = import.catalog.tables().iter().map(ToString::to_string).collect();
    let name = source.table.as_str();
    if source.is_in_no_folder() {
        let paths = paths.join(", ");
        return format!(
            "the file is in no table's folder; drop it under imports/<table>/. The tables are: {paths}"
        );
    }
    match nearest(name, paths.iter().map(String::as_str)) {
        Some(near) => format!("there is no table \"{name}\"; did you mean imports/{near}/?"),
        None => format!("there is no table \"{name}\"; the tables are: {}", paths.join(", ")),
    }
}
