//! Behind the queue: applies writes in batches, each exactly once and in order per key.
//!
//! A delivery is one transaction. What the data spoils is rejected in the ledger, row by row; what an
//! outage spoils is given back to the queue; what is a mistake of ours stops its own message group and no
//! other, and raises an alarm.

mod batch;
mod settle;

use std::collections::HashSet;
use std::time::Duration;

use aurora_sync_catalog::Catalog;
use aws_lambda_events::sqs::{BatchItemFailure, SqsBatchResponse, SqsEvent};
use tokio::time::timeout;

use self::batch::{Batch, Message};
use self::settle::settle;
use crate::aws::data_api::DataApi;
use crate::aws::queue::Queue;
use crate::deadline::Deadline;
use crate::error::{Disposition, SyncError};
use crate::redelivery::delay;

/// What the function needs.
#[derive(Debug)]
pub struct Apply {
    pub catalog: Catalog,
    pub data_api: DataApi,
    /// The queue that the messages come from, to say when those that are given back come again.
    pub queue: Queue,
}

/// Applies one delivery, and tells SQS which of its messages to deliver again.
///
/// Fails only where the event cannot be answered message by message; then SQS keeps them all.
pub async fn handle(
    apply: &Apply,
    event: SqsEvent,
    deadline: Deadline,
) -> Result<SqsBatchResponse, SyncError> {
    let messages: Vec<Message> = event
        .records
        .iter()
        .map(|message| Message::read(&apply.catalog, message))
        .collect::<Option<_>>()
        // AWS takes an empty id in the answer for a failure of the whole batch.
        .ok_or_else(|| SyncError::Inconsistent("a message of the event has no id".to_owned()))?;
    let writes = Batch::of(&messages).writes.len();
    tracing::info!(messages = messages.len(), writes, "batch received");
    let left = apply_all(apply, &messages, deadline).await;
    tracing::info!(messages = messages.len() - left.len(), "batch settled");
    if !left.is_empty() {
        postpone(apply, &left).await;
    }
    Ok(response(&left))
}

/// A message that is given back, and why.
#[derive(Debug, Clone, Copy)]
struct Left<'a> {
    message: &'a Message,
    disposition: Disposition,
}

/// Settles what can be settled, and gives what is left for another delivery.
async fn apply_all<'a>(
    apply: &Apply,
    messages: &'a [Message],
    deadline: Deadline,
) -> Vec<Left<'a>> {
    let all = Batch::of(messages);
    if all.is_empty() {
        return Vec::new();
    }
    // The rest of the time is for going message by message.
    let first_deadline = deadline.less(deadline.remaining() / 2);
    let mut result = settle(&apply.catalog, &apply.data_api, &all, first_deadline).await;
    if result.as_ref().is_err_and(SyncError::is_resuming) {
        result = settle(&apply.catalog, &apply.data_api, &all, deadline).await;
    }
    match result {
        Ok(()) => Vec::new(),
        Err(error) if is_everybodys(&error) => {
            tell(&error, messages.len());
            let disposition = error.disposition();
            messages.iter().map(|message| Left { message, disposition }).collect()
        }
        Err(error) if messages.len() == 1 => {
            tell(&error, 1);
            vec![Left { message: &messages[0], disposition: error.disposition() }]
        }
        Err(error) => {
            tracing::info!(reason = %error, "batch goes on message by message");
            one_by_one(apply, messages, deadline).await
        }
    }
}

/// Whether an error says nothing about the batch, so that a part of it would meet the same.
fn is_everybodys(error: &SyncError) -> bool {
    error.begins_nothing() || (error.disposition() == Disposition::Retry && !error.is_for_time())
}

/// Each message in a transaction of its own. From the first of a group that fails, all later ones of
/// the group are left; other groups go on.
async fn one_by_one<'a>(
    apply: &Apply,
    messages: &'a [Message],
    deadline: Deadline,
) -> Vec<Left<'a>> {
    let mut left: Vec<Left<'a>> = Vec::new();
    let mut stopped: HashSet<&str> = HashSet::new();
    let mut outage = false;
    for message in messages {
        if outage || stopped.contains(message.group.as_str()) {
            left.push(Left { message, disposition: Disposition::Retry });
            continue;
        }
        let batch = Batch::of([message]);
        if batch.is_empty() {
            continue;
        }
        if let Err(error) = settle(&apply.catalog, &apply.data_api, &batch, deadline).await {
            tell(&error, 1);
            outage = is_everybodys(&error) || error.is_for_time();
            stopped.insert(&message.group);
            left.push(Left { message, disposition: error.disposition() });
        }
    }
    left
}

/// Tells a human where one must act: `template.yaml` counts the word "halted" and raises an alarm.
fn tell(error: &SyncError, messages: usize) {
    match error.disposition() {
        Disposition::Retry => tracing::warn!(%error, messages, "messages given back"),
        Disposition::Halt | Disposition::Reject => {
            tracing::error!(%error, messages, "messages halted");
        }
    }
}

/// The messages that SQS is to deliver again.
fn response(left: &[Left<'_>]) -> SqsBatchResponse {
    let mut response = SqsBatchResponse::default();
    response.batch_item_failures = left
        .iter()
        .map(|left| {
            let mut failure = BatchItemFailure::default();
            failure.item_identifier.clone_from(&left.message.id);
            failure
        })
        .collect();
    response
}

/// Says when the messages come again. Where that fails, the queue's own visibility timeout holds.
async fn postpone(apply: &Apply, left: &[Left<'_>]) {
    let delays: Vec<_> = left
        .iter()
        .map(|left| {
            let delay = delay(left.message.receive_count, left.disposition);
            (left.message.receipt_handle.as_str(), delay)
        })
        .collect();
    match timeout(POSTPONED_WITHIN, apply.queue.postpone(&delays)).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => {
            tracing::warn!(%error, messages = left.len(), "visibility of messages not changed");
        }
        Err(_) => {
            tracing::warn!(messages = left.len(), "visibility of messages not changed in time");
        }
    }
}

/// What is left for it of the time that is kept for the answer.
const POSTPONED_WITHIN: Duration = Duration::from_secs(1);
