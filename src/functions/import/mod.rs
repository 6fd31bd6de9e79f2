//! Imports files. Each row is counted once: as written, unchanged, superseded or rejected.
//!
//! An import claims the file (`claim`), reads it once, in chunks ([`read`]), loads the part of each
//! lane in a transaction ([`load`]), and reports ([`report`]). A few chunks are in memory. If a
//! message is delivered again, the import continues at its checkpoint, which the database computes
//! from the chunks that are committed.

pub mod read;
pub mod load;
pub mod report;
mod attempt;
mod cancel;
mod claim;
mod heartbeat;
mod stop;

use std::cell::RefCell;
use std::time::Duration;

use aws_lambda_events::sqs::{BatchItemFailure, SqsBatchResponse, SqsEvent};
use import_options::Defaults;
use uuid::Uuid;

use self::attempt::Attempt;
pub use self::attempt::CONTINUATIONS_MAX;
use self::cancel::Cancel;
use self::claim::{ImportEntry, Worker};
pub use self::heartbeat::EVERY as HEARTBEAT_EVERY;
use self::heartbeat::Heartbeat;
use self::read::{chunk, source};
use crate::api::caller::RowSecurity;
use crate::aws::data_api::DataApi;
use crate::aws::objects::Objects;
use crate::aws::queue::Queue;
use crate::domain::backoff;
use crate::domain::deadline::{Deadline, now_ms};
use crate::domain::error::{Disposition, SyncError};
use crate::functions::metrics;
use crate::functions::outbox::Outbox;
use crate::functions::tables::Tables;

/// The resources and the settings of the function.
#[derive(Debug)]
pub struct Import {
    pub tables: Tables,
    pub data_api: DataApi,
    /// The outbox of the events about ended imports, if they are published.
    pub outbox: Option<Outbox>,
    pub objects: Objects,
    /// The queue of the messages.
    pub queue: Queue,
    /// The bucket of reports and rejected rows.
    pub results_bucket: String,
    /// The options of each prefix.
    pub defaults: Defaults,
    pub row_security: RowSecurity,
    /// The number of lanes of a file.
    pub lanes: usize,
    /// The limits of a chunk.
    pub limits: chunk::Limits,
    /// The time from which an invocation counts as a full one. If a full invocation cannot reach
    /// the checkpoint of a compressed file, or the next row of a file, no other one can, and the
    /// import fails.
    pub full_invocation: Duration,
    /// The time after which the message of a file is hidden again while the file is loaded.
    pub heartbeat_every: Duration,
}

/// The default of [`Import::full_invocation`]: most of the 15 minutes of an invocation.
pub const FULL_INVOCATION: Duration = Duration::from_mins(10);

/// Imports the files of one delivery.
///
/// A file that cannot be imported now is retried later. Fails only if a person must act; SQS then
/// keeps the message.
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
        let receive_count = message.attributes.get("ApproximateReceiveCount");
        let receive_count = receive_count.and_then(|count| count.parse().ok()).unwrap_or(1);
        let sent_at_ms = message.attributes.get("SentTimestamp");
        let sent_at_ms = sent_at_ms.and_then(|sent| sent.parse::<i64>().ok());
        let wait_ms = sent_at_ms.map_or(0, |sent| now_ms().saturating_sub(sent).max(0));
        let delivery = Delivery {
            message_id: &id,
            receive_count,
            wait_seconds: wait_ms.unsigned_abs() / 1_000,
        };
        let body = message.body.as_deref().unwrap_or_default();
        let work = import_message(import, delivery, body, deadline);
        let done = Box::pin(heartbeat.during(work)).await;
        let again_after = match &done {
            Ok(Again::Never) => continue,
            Ok(Again::After(time)) => *time,
            Ok(Again::WithBackoff) => backoff::delay(receive_count, Disposition::Retry),
            Err(error) => backoff::delay(receive_count, error.disposition()),
        };
        heartbeat.hide(again_after).await;
        done?;
        let mut failure = BatchItemFailure::default();
        failure.item_identifier = id;
        response.batch_item_failures.push(failure);
    }
    Ok(response)
}

/// The time at which a message must be delivered again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Again {
    Never,
    WithBackoff,
    After(Duration),
}

/// One delivery of a message.
#[derive(Debug, Clone, Copy)]
struct Delivery<'a> {
    message_id: &'a str,
    /// The number of its deliveries, this one included.
    receive_count: u32,
    /// The time since it was sent.
    wait_seconds: u64,
}

/// Imports the files that one message names.
async fn import_message(
    import: &Import,
    delivery: Delivery<'_>,
    body: &str,
    deadline: Deadline,
) -> Result<Again, SyncError> {
    let Delivery { message_id, receive_count, wait_seconds } = delivery;
    if let Some(cancel) = Cancel::read(body) {
        return Box::pin(cancel::run(import, delivery, cancel, deadline)).await;
    }
    let notification = match source::read(body) {
        Ok(notification) => notification,
        Err(error) => {
            // There is no import that could show the error. The dead-letter queue keeps the
            // message, and raises an alarm.
            tracing::error!(error = crate::domain::error::chain(&error), "message is unreadable");
            return Ok(Again::WithBackoff);
        }
    };
    if notification.ignored > 0 {
        tracing::info!(ignored = notification.ignored, "notifications ignored");
    }
    let worker_id = Uuid::now_v7();
    for request in &notification.requests {
        let import_id = request.source.import_id();
        let entry = ImportEntry { data_api: &import.data_api, import_id, deadline };
        let worker = Worker { entry, id: worker_id, message_id };
        let format = RefCell::default();
        let attempt = Attempt { import, request, worker, wait_seconds, format };
        match Box::pin(attempt.run()).await {
            Ok(Again::Never) => {}
            Ok(again) => return Ok(again),
            Err(error) => {
                record_obstacle(worker, &error).await;
                if error.disposition_of_delivery(receive_count) == Disposition::Retry {
                    metrics::line!(
                        warn,
                        import.data_api,
                        %error,
                        %import_id,
                        import_wait_seconds = wait_seconds,
                        "import is retried later"
                    );
                    return Ok(Again::WithBackoff);
                }
                metrics::line!(
                    error,
                    import.data_api,
                    %error,
                    %import_id,
                    import_wait_seconds = wait_seconds,
                    blocked_imports = 1,
                    "import blocked"
                );
                return Err(error);
            }
        }
    }
    Ok(Again::Never)
}

/// Records in `sync.import.error` why the import cannot continue now.
async fn record_obstacle(worker: Worker<'_>, error: &SyncError) {
    let message = format!("the import cannot continue, and is retried: {error}");
    if let Err(error) = worker.record_obstacle(&message).await {
        let import_id = worker.entry.import_id;
        tracing::info!(reason = %error, %import_id, "reason of the retry is not recorded");
    }
}
