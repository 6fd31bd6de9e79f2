//! Behind the queue: applies writes in batches, each exactly once and in order per key.
//!
//! A delivery is one transaction; where there is not time enough for that, a message is one, or a part of it. Bad rows are
//! rejected in the ledger, one by one. In an outage messages are retried later. A mistake of ours blocks its own
//! message group and no other, and raises an alarm.

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
use crate::database::ledger;
use crate::database::transaction::awake;
use crate::domain::backoff::delay;
use crate::domain::deadline::Deadline;
use crate::domain::error::{DataApiError, Disposition, SyncError};

/// What the function needs.
#[derive(Debug)]
pub struct Apply {
    pub catalog: Catalog,
    pub data_api: DataApi,
    /// The queue that the messages come from, to say when those that are retried later come again.
    pub queue: Queue,
}

/// Applies one delivery, and tells SQS which of its messages to deliver again.
///
/// `now_ms` are milliseconds since 1970. Fails only where the event cannot be answered message by message; then SQS
/// keeps them all.
pub async fn handle(
    apply: &Apply,
    event: SqsEvent,
    now_ms: i64,
    deadline: Deadline,
) -> Result<SqsBatchResponse, SyncError> {
    let messages: Vec<Message> = event
        .records
        .iter()
        .map(|message| Message::read(&apply.catalog, message, now_ms))
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

/// A message that is retried later, with the reason.
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
    let (ready, mut left) = ready(messages);
    left.extend(settle_all(apply, &ready, deadline).await);
    left
}

/// The messages that can be settled. One that waits for a deployment is left, with all later ones of its group.
fn ready(messages: &[Message]) -> (Vec<&Message>, Vec<Left<'_>>) {
    let mut waiting: HashSet<&str> = HashSet::new();
    let mut left = Vec::new();
    let mut ready = Vec::new();
    for message in messages {
        if let Some(rule) = message.not_yet_known() {
            tracing::warn!(message_id = message.id, rule, "message waits for a deployment");
            waiting.insert(&message.group);
        }
        if waiting.contains(message.group.as_str()) {
            left.push(Left { message, disposition: Disposition::Retry });
        } else {
            ready.push(message);
        }
    }
    (ready, left)
}

/// After so many deliveries, messages may be slow ones: they are settled one by one, and each write by write, so that
/// whatever fits the time at all is settled.
const TOGETHER_MAX: u32 = 3;

async fn settle_all<'a>(
    apply: &Apply,
    messages: &[&'a Message],
    deadline: Deadline,
) -> Vec<Left<'a>> {
    let all = Batch::of(messages.iter().copied());
    if all.is_empty() {
        return Vec::new();
    }
    let is_alone =
        |message: &&Message| message.receive_count > TOGETHER_MAX || !message.resent().is_empty();
    if messages.len() == 1 || messages.iter().any(is_alone) {
        return one_by_one(apply, messages, deadline).await;
    }
    // The rest of the time is for going message by message.
    let time = deadline.less(deadline.remaining() / 2);
    match settle_within(apply, &all, time, deadline).await {
        Ok(()) => Vec::new(),
        Err(error) if is_everybodys(&error) => {
            tell(&error, messages.len());
            let disposition = error.disposition();
            messages.iter().map(|message| Left { message, disposition }).collect()
        }
        Err(error) => {
            tracing::info!(reason = %error, "batch goes on message by message");
            one_by_one(apply, messages, deadline).await
        }
    }
}

/// Settles a batch within a part of the time; a database that wakes up has all of it.
async fn settle_within(
    apply: &Apply,
    batch: &Batch<'_>,
    time: Deadline,
    deadline: Deadline,
) -> Result<(), SyncError> {
    match settle(&apply.catalog, &apply.data_api, batch, time).await {
        Err(error) if error.is_resuming() => {
            settle(&apply.catalog, &apply.data_api, batch, deadline).await
        }
        result => result,
    }
}

/// Whether an error says nothing about the batch, so that a part of it would meet the same.
fn is_everybodys(error: &SyncError) -> bool {
    error.is_before_work() || (error.disposition() == Disposition::Retry && !error.is_timeout())
}

/// Each message on its own. From the first of a group that fails, all later ones of the group are left; other groups
/// go on.
async fn one_by_one<'a>(
    apply: &Apply,
    messages: &[&'a Message],
    deadline: Deadline,
) -> Vec<Left<'a>> {
    let mut left: Vec<Left<'a>> = Vec::new();
    let mut stopped: HashSet<&str> = HashSet::new();
    let mut outage = false;
    for message in messages.iter().copied() {
        if outage || stopped.contains(message.group.as_str()) {
            left.push(Left { message, disposition: Disposition::Retry });
            continue;
        }
        if let Err(error) = settle_message(apply, message, deadline).await {
            tell(&error, 1);
            outage = is_everybodys(&error) || matches!(error, SyncError::OutOfTime);
            stopped.insert(&message.group);
            left.push(Left { message, disposition: error.disposition() });
        }
    }
    left
}

/// Settles a message in one transaction or, where there is not time enough for that, in several, in the order of its
/// writes. After an error, what was settled stays settled, and the next delivery finds it in the ledger.
async fn settle_message(
    apply: &Apply,
    message: &Message,
    deadline: Deadline,
) -> Result<(), SyncError> {
    let mut batch = Batch::of([message]);
    let resent = message.resent();
    if !resent.is_empty() {
        let overtaken =
            ask(deadline, async || ledger::overtaken(&apply.data_api, &resent).await).await?;
        batch.reject_overtaken(overtaken);
    }
    if batch.is_empty() {
        return Ok(());
    }
    let is_one = batch.writes.len() <= 1;
    if is_one || message.receive_count <= TOGETHER_MAX {
        let rest = if is_one { Duration::ZERO } else { deadline.remaining() / 4 };
        match settle_within(apply, &batch, deadline.less(rest), deadline).await {
            Err(error) if error.is_timeout() && !is_one => {
                tracing::info!(reason = %error, "message goes on write by write");
            }
            result => return result,
        }
    }
    settle_in_pieces(apply, batch, deadline).await
}

/// Settles one write, then twice as many each time, as long as they are likely to take less than half of the time that
/// is left: a transaction that is cut off keeps its locks until the service ends it, and the next delivery waits for it.
async fn settle_in_pieces(
    apply: &Apply,
    batch: Batch<'_>,
    deadline: Deadline,
) -> Result<(), SyncError> {
    let Batch { mut writes, mut entries } = batch;
    // A write that is settled already must not take the time of one that is not.
    let ids = || writes.iter().map(|write| write.id);
    let settled =
        ask(deadline, async || ledger::settled_fingerprints(&apply.data_api, ids()).await).await?;
    writes.retain(|write| !settled.contains(&(write.id, write.fingerprint.clone())));
    let mut rest = writes.as_slice();
    let mut size = 1;
    while !(rest.is_empty() && entries.is_empty()) {
        let (first, later) = rest.split_at(size.min(rest.len()));
        let piece = Batch { writes: first.to_vec(), entries: std::mem::take(&mut entries) };
        let time = deadline.remaining();
        match settle(&apply.catalog, &apply.data_api, &piece, deadline).await {
            Ok(()) => {
                rest = later;
                let taken = time.saturating_sub(deadline.remaining()).as_millis();
                let likely =
                    deadline.remaining().as_millis() * first.len() as u128 / (2 * taken).max(1);
                size = (2 * size).min(usize::try_from(likely).unwrap_or(usize::MAX));
                if size == 0 && !rest.is_empty() {
                    return Err(SyncError::OutOfTime);
                }
            }
            Err(error) if error.is_timeout() && size > 1 => size = 1,
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Asks the ledger, if there is time for its answer.
async fn ask<T>(
    deadline: Deadline,
    question: impl AsyncFn() -> Result<T, DataApiError>,
) -> Result<T, SyncError> {
    let time = deadline.remaining();
    if time.is_zero() {
        return Err(SyncError::OutOfTime);
    }
    match timeout(time, awake(deadline, question)).await {
        Ok(answer) => answer.map_err(SyncError::from),
        Err(_) => Err(SyncError::OutOfTime),
    }
}

/// Tells a human where one must act: `template.yaml` counts the word "blocked" and raises an alarm.
fn tell(error: &SyncError, messages: usize) {
    match error.disposition() {
        Disposition::Retry => tracing::warn!(%error, messages, "messages are retried later"),
        Disposition::Block | Disposition::Reject => {
            tracing::error!(%error, messages, "messages blocked");
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
