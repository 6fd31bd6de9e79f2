//! Imports files: every row ends as written, unchanged or rejected, and is counted as such.
//!
//! One pass over the file, one chunk in memory, one transaction a chunk. A file that is delivered
//! again goes on after its last complete chunk.

pub mod source;
pub mod options;
pub mod layout;
pub mod records;
pub mod rows;
pub mod chunk;
pub mod report;

use std::time::Duration;

use aurora_sync_catalog::Catalog;
use aws_lambda_events::sqs::{BatchItemFailure, SqsBatchResponse, SqsEvent};
use uuid::Uuid;

use self::chunk::{Chunk, Loader};
use self::records::{Record, Records};
use self::report::{Ending, Format};
use self::rows::Layout;
use self::source::Source;
use crate::aws::data_api::DataApi;
use crate::aws::objects::Objects;
use crate::csv::dialect::Dialect;
use crate::csv::encoding::Encoding;
use crate::csv::records::LineEnd;
use crate::deadline::Deadline;
use crate::error::{Disposition, ServiceFault, SyncError};
use crate::field::{Field, parameter, storable};
use crate::problem::nearest;
use crate::transaction::{End, in_transaction};

/// Left of an invocation's time when a file is given back: for the chunk under way.
const STOP_BEFORE: Duration = Duration::from_mins(1);

const CLAIM: &str =
    "INSERT INTO sync.import (id, bucket, object_key, object_version, sequencer, table_name)
VALUES (:import_id::uuid, :bucket::text, :object_key::text, :object_version::text, :sequencer::text,
  :table_name::text)
ON CONFLICT (id) DO NOTHING";

const PROGRESS: &str = "SELECT state,
  (SELECT coalesce(max(chunk) + 1, 0) FROM sync.import_chunk WHERE import_id = import.id)
FROM sync.import AS import WHERE id = :import_id::uuid";

const END: &str = "UPDATE sync.import SET state = :state::text, error = :error::text, finished_at = clock_timestamp()
WHERE id = :import_id::uuid AND state = 'running'";

/// What the function needs.
#[derive(Debug)]
pub struct Import {
    pub catalog: Catalog,
    pub data_api: DataApi,
    pub objects: Objects,
    pub results_bucket: String,
}

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
        if !import_message(import, message.body.as_deref().unwrap_or_default(), deadline).await? {
            let mut failure = BatchItemFailure::default();
            failure.item_identifier = id;
            response.batch_item_failures.push(failure);
        }
    }
    Ok(response)
}

/// Imports what one message names, and tells whether the message is done with.
async fn import_message(
    import: &Import,
    body: &str,
    deadline: Deadline,
) -> Result<bool, SyncError> {
    let notification = match source::read(body) {
        Ok(notification) => notification,
        Err(error) => {
            // No import to show it in: the dead-letter queue keeps it, and its alarm tells.
            tracing::error!(error = crate::error::chain(&error), "message is unreadable");
            return Ok(false);
        }
    };
    if notification.ignored > 0 {
        tracing::info!(ignored = notification.ignored, "notifications ask for nothing");
    }
    for source in notification.asks.iter().map(|ask| &ask.source) {
        match import_file(import, source, deadline).await {
            Ok(Progress::Done) => {}
            Ok(Progress::GivenBack) => return Ok(false),
            Err(error) if error.disposition() == Disposition::Retry => {
                tracing::warn!(%error, import_id = %source.import_id(), "import given back");
                return Ok(false);
            }
            Err(error) => return Err(error),
        }
    }
    Ok(true)
}

/// How far an invocation came with a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Progress {
    Done,
    /// The rest is for the next invocation.
    GivenBack,
}

/// How a file was read to its end.
#[derive(Debug)]
enum Reading {
    Whole {
        header: Vec<u8>,
    },
    /// The import ends here, with what the user can do about it.
    Failed {
        error: String,
    },
    OutOfTime,
}

async fn import_file(
    import: &Import,
    source: &Source,
    deadline: Deadline,
) -> Result<Progress, SyncError> {
    let import_id = source.import_id();
    let Some(chunks_done) = claim(import, source, import_id, deadline).await? else {
        tracing::info!(%import_id, "import is done already");
        return Ok(Progress::Done);
    };
    tracing::info!(%import_id, table = source.table, chunks_done, "import begins");
    let reading = match read_file(import, source, import_id, chunks_done, deadline).await {
        Err(SyncError::Service(error)) if error.fault == ServiceFault::NotFound => {
            Reading::Failed { error: "the file is not there any more".to_owned() }
        }
        Err(SyncError::Service(error)) if error.fault == ServiceFault::Changed => {
            let error =
                "the file was replaced before it was read whole; the newer one has its own import";
            Reading::Failed { error: error.to_owned() }
        }
        other => other?,
    };
    let (state, error, format) = match reading {
        Reading::OutOfTime => {
            tracing::info!(%import_id, "import goes on in another invocation");
            return Ok(Progress::GivenBack);
        }
        Reading::Failed { error } => ("failed", Some(error), None),
        Reading::Whole { header } => ("completed", None, Some(format_of(header))),
    };
    let error = error.as_deref();
    let ending = Ending { state, error, format: format.as_ref() };
    // The report before the state: whoever sees the end finds the report.
    report::write(import, source, import_id, ending, deadline).await?;
    end(import, import_id, state, error, deadline).await?;
    tracing::info!(%import_id, state, "import ended");
    Ok(Progress::Done)
}

/// How a file with this header is written.
fn format_of(header: Vec<u8>) -> Format {
    Format {
        dialect: Dialect::default(),
        encoding: Encoding { charset: encoding_rs::UTF_8, has_mark: false },
        line_end: LineEnd::Lf,
        header: Some(header),
        columns: Vec::new(),
        has_error_column: false,
    }
}

/// Registers the import, and gives how many of its chunks are done; `None` where all is done.
async fn claim(
    import: &Import,
    source: &Source,
    import_id: Uuid,
    deadline: Deadline,
) -> Result<Option<u32>, SyncError> {
    let parameters = vec![
        parameter("import_id", import_id.to_string()),
        parameter("bucket", source.object.bucket.as_str()),
        parameter("object_key", storable(&source.object.key)),
        parameter("object_version", source.version()),
        parameter("sequencer", source.sequencer.as_str()),
        parameter("table_name", storable(&source.table)),
    ];
    let records = in_transaction(&import.data_api, deadline, async |transaction| {
        transaction.execute(CLAIM, parameters.clone()).await?;
        let id = vec![parameter("import_id", import_id.to_string())];
        Ok(End::Commit(transaction.execute(PROGRESS, id).await?))
    })
    .await?;
    let record = records.first().map(Vec::as_slice).unwrap_or_default();
    match record {
        [Field::Text(state), Field::Long(_)] if state != "running" => Ok(None),
        [Field::Text(_), Field::Long(chunks)] => Ok(u32::try_from(*chunks).ok()),
        _ => Err(SyncError::Inconsistent(format!("import {import_id} is not in sync.import"))),
    }
}

async fn end(
    import: &Import,
    import_id: Uuid,
    state: &str,
    error: Option<&str>,
    deadline: Deadline,
) -> Result<(), SyncError> {
    let parameters = vec![
        parameter("import_id", import_id.to_string()),
        parameter("state", state),
        crate::field::Parameter { name: "error".into(), value: error.map(storable) },
    ];
    in_transaction(&import.data_api, deadline, async |transaction| {
        transaction.execute(END, parameters.clone()).await?;
        Ok(End::Commit(()))
    })
    .await
}

/// Reads the file and loads its chunks, but for the first `chunks_done`.
async fn read_file(
    import: &Import,
    source: &Source,
    import_id: Uuid,
    chunks_done: u32,
    deadline: Deadline,
) -> Result<Reading, SyncError> {
    let Some(table) = import.catalog.table(&source.table) else {
        return Ok(Reading::Failed { error: unknown_table(import, &source.table) });
    };
    if !table.is_writable() {
        let error = "the table is kept out of writes (@sync:no-write in its comment)".to_owned();
        return Ok(Reading::Failed { error });
    }
    let mut body = import.objects.open(&source.object).await?;
    let mut reader = Records::new();
    let mut records: Vec<Record> = Vec::new();
    let mut file: Option<OpenFile<'_>> = None;
    let mut is_at_end = false;
    while !is_at_end {
        match body.next().await? {
            Some(bytes) => reader.push(bytes.as_ref(), &mut records),
            None => {
                reader.finish(&mut records);
                is_at_end = true;
            }
        }
        for record in records.drain(..) {
            let Some(open) = &mut file else {
                let layout = match Layout::from_header(table, &record) {
                    Ok(layout) => layout,
                    Err(error) => return Ok(Reading::Failed { error: error.to_string() }),
                };
                let columns = layout.columns();
                let loader = Loader { data_api: &import.data_api, import_id, table, columns };
                file = Some(OpenFile { header: record.raw, layout, loader, chunk: Chunk::first() });
                continue;
            };
            open.chunk.push(&open.layout, record);
            if open.chunk.is_full() {
                if deadline.less(STOP_BEFORE).remaining().is_zero() {
                    return Ok(Reading::OutOfTime);
                }
                open.load(chunks_done, deadline).await?;
            }
        }
    }
    let Some(mut open) = file else {
        let error = "the file is empty; its first line must name the columns".to_owned();
        return Ok(Reading::Failed { error });
    };
    open.load(chunks_done, deadline).await?;
    Ok(Reading::Whole { header: open.header })
}

/// A file whose header is read.
#[derive(Debug)]
struct OpenFile<'a> {
    header: Vec<u8>,
    layout: Layout<'a>,
    loader: Loader<'a>,
    chunk: Chunk,
}

impl OpenFile<'_> {
    /// Loads the chunk, unless it is among those done, and begins the next.
    async fn load(&mut self, chunks_done: u32, deadline: Deadline) -> Result<(), SyncError> {
        if !self.chunk.is_empty() && self.chunk.number() >= chunks_done {
            let rejected = self.loader.load(&self.chunk, deadline).await?;
            tracing::info!(
                import_id = %self.loader.import_id,
                chunk = self.chunk.number(),
                rejected,
                "chunk loaded"
            );
        }
        self.chunk = self.chunk.next();
        Ok(())
    }
}

fn unknown_table(import: &Import, name: &str) -> String {
    let paths: Vec<_> = import.catalog.tables().iter().map(ToString::to_string).collect();
    match nearest(name, paths.iter().map(String::as_str)) {
        Some(near) => format!("there is no table \"{name}\"; did you mean imports/{near}/?"),
        None => format!("there is no table \"{name}\"; the tables are: {}", paths.join(", ")),
    }
}
