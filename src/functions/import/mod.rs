//! Imports files: every row ends as written, unchanged, superseded or rejected, and is counted as such.
//!
//! One pass over the file, a few chunks in memory, a transaction for each lane's part of a chunk. A file that is
//! delivered again goes on at its checkpoint, which the database computes from the chunks that are committed.

pub mod read;
pub mod load;
pub mod report;
mod attempt;
mod claim;
mod heartbeat;
mod stop;

use std::time::Duration;

use aurora_sync_catalog::Catalog;
use aws_lambda_events::sqs::{BatchItemFailure, SqsBatchResponse, SqsEvent};
use uuid::Uuid;

use self::claim::ImportEntry;
pub use self::heartbeat::EVERY as HEARTBEAT_EVERY;
use self::heartbeat::Heartbeat;
use self::read::options::Defaults;
use self::read::{chunk, source};
use crate::aws::data_api::DataApi;
use crate::aws::objects::Objects;
use crate::aws::queue::Queue;
use crate::domain::backoff;
use crate::domain::deadline::Deadline;
use crate::domain::error::{Disposition, SyncError};

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
    pub full_invocation: Duration,
    /// How often the message of a file is hidden again while it is loaded.
    pub heartbeat_every: Duration,
}

/// What [`Import::full_invocation`] is by default: most of an invocation.
pub const FULL_INVOCATION: Duration = Duration::from_mins(10);

/// Imports the files of one delivery. What could not be done now is retried later; fails only where a
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
            Ok(MessageResult::Done) => continue,
            Ok(MessageResult::Postponed(time)) => *time,
            Ok(MessageResult::RetryLater) => delay(Disposition::Retry),
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
enum MessageResult {
    Done,
    /// The rest is for another delivery.
    RetryLater,
    /// The same, after this time.
    Postponed(Duration),
}

/// Imports what one message names.
async fn import_message(
    import: &Import,
    message_id: &str,
    body: &str,
    deadline: Deadline,
) -> Result<MessageResult, SyncError> {
    let notification = match source::read(body) {
        Ok(notification) => notification,
        Err(error) => {
            // No import to show it in: the dead-letter queue keeps it, and its alarm tells.
            tracing::error!(error = crate::domain::error::chain(&error), "message is unreadable");
            return Ok(MessageResult::RetryLater);
        }
    };
    if notification.ignored > 0 {
        tracing::info!(ignored = notification.ignored, "notifications request for nothing");
    }
    let worker = Uuid::now_v7();
    for request in &notification.requests {
        let import_id = request.source.import_id();
        let entry =
            ImportEntry { data_api: &import.data_api, import_id, deadline, worker, message_id };
        match Box::pin(attempt::import_file(import, request, entry)).await {
            Ok(MessageResult::Done) => {}
            Ok(MessageResult::RetryLater) => {
                tell(entry, &SyncError::OutOfTime.to_string()).await;
                return Ok(MessageResult::RetryLater);
            }
            Ok(postponed) => return Ok(postponed),
            Err(error) if error.disposition() == Disposition::Retry => {
                tracing::warn!(%error, %import_id, "import is retried later");
                tell(entry, &error.to_string()).await;
                return Ok(MessageResult::RetryLater);
            }
            Err(error) => {
                tracing::error!(%error, %import_id, "import blocked");
                tell(entry, &error.to_string()).await;
                return Err(error);
            }
        }
    }
    Ok(MessageResult::Done)
}

/// Records what keeps the import from going on.
async fn tell(entry: ImportEntry<'_>, error: &str) {
    let told = format!("it does not go on, and is tried again and again: {error}");
    if let Err(error) = entry.blocked(&told).await {
        let import_id = entry.import_id;
        tracing::info!(reason = %error, %import_id, "what keeps it from going on is not recorded");
    }
}
