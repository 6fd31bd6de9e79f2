//! Applies the writes of the queue in batches, each write exactly once and in order per key.
//!
//! A delivery is settled in one transaction. If the time is too short for that, each message is, or
//! some of its writes. Bad rows are rejected one by one, on record in the ledger. In an outage
//! messages are retried later. A fault of the worker or its deployment blocks its own message group
//! and no other, and raises an alarm.

mod batch;
mod check;
mod producer;
mod settle;

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use aurora_sync_catalog::Catalog;
use aws_lambda_events::sqs::{BatchItemFailure, SqsBatchResponse, SqsEvent, SqsMessage};
use tokio::time::{Instant, timeout};

use self::batch::{Batch, Message};
use self::settle::{in_order_of_steps, settle};
use crate::aws::data_api::DataApi;
use crate::aws::queue::Queue;
use crate::database::ledger::{self, Blocked};
use crate::database::transaction::awake;
use crate::domain::backoff::delay;
use crate::domain::deadline::Deadline;
use crate::domain::error::{DataApiError, Disposition, SyncError};
use crate::functions::metrics::{self, Values};
use crate::functions::outbox::Outbox;
use crate::functions::tables::Tables;

/// The resources of the function.
#[derive(Debug)]
pub struct Apply {
    pub tables: Tables,
    pub data_api: DataApi,
    /// The outbox of the events about rejected writes, if they are published.
    pub outbox: Option<Outbox>,
    /// The queue of the messages. The function sets the time after which it delivers a message
    /// again.
    pub queue: Queue,
}

/// Applies one delivery, and reports to SQS the messages that it must deliver again.
///
/// `now_ms` is the time in milliseconds since 1970. Fails only if a message of the event has no id;
/// SQS then delivers all messages again.
pub async fn handle(
    apply: &Apply,
    event: SqsEvent,
    now_ms: i64,
    deadline: Deadline,
) -> Result<SqsBatchResponse, SyncError> {
    let received_at = Instant::now();
    let (mut catalog, outage) = match apply.tables.current(deadline).await {
        Ok(catalog) => (catalog, None),
        Err(error) => (Arc::default(), Some(error)),
    };
    let mut messages = read(&catalog, &event.records, now_ms)?;
    // Tables that were granted or changed a moment ago reject no accepted write.
    if outage.is_none()
        && messages.iter().any(Message::meets_other_tables)
        && let Some(newer) = apply.tables.newer_than(&catalog, deadline).await
    {
        messages = read(&newer, &event.records, now_ms)?;
        catalog = newer;
    }
    if let Some(error) = outage {
        let unsettled = left(&error, &messages);
        log_settled(apply, &messages, &unsettled, (received_at, now_ms));
        postpone(apply, &unsettled).await;
        return Ok(response(&unsettled));
    }
    let mut unsettled = apply_all(apply, &catalog, &messages, deadline).await;
    log_rejected(&messages, &unsettled);
    // The tables may have changed since the catalog was read.
    let read_again;
    if unsettled.iter().any(|unsettled| unsettled.meets_other_tables)
        && let Some(newer) = apply.tables.newer_than(&catalog, deadline).await
    {
        let is_left = |message: &&SqsMessage| {
            unsettled.iter().any(|left| Some(&left.message.id) == message.message_id.as_ref())
        };
        read_again = read(&newer, event.records.iter().filter(is_left), now_ms)?;
        unsettled = apply_all(apply, &newer, &read_again, deadline).await;
        log_rejected(&read_again, &unsettled);
    }
    log_settled(apply, &messages, &unsettled, (received_at, now_ms));
    if !unsettled.is_empty() {
        tokio::join!(postpone(apply, &unsettled), record_blocked(apply, &unsettled));
    }
    publish(apply, &messages, deadline).await;
    Ok(response(&unsettled))
}

fn read<'m>(
    catalog: &Catalog,
    messages: impl IntoIterator<Item = &'m SqsMessage>,
    now_ms: i64,
) -> Result<Vec<Message>, SyncError> {
    let messages = messages.into_iter().map(|message| Message::read(catalog, message, now_ms));
    // Lambda takes an empty id in the response for a failure of the whole batch (Lambda Developer
    // Guide, "Implementing partial batch responses").
    let no_id = || SyncError::Inconsistent("a message of the event has no id".to_owned());
    messages.collect::<Option<_>>().ok_or_else(no_id)
}

/// Logs the writes of the settled messages that were rejected without a statement.
fn log_rejected(messages: &[Message], unsettled: &[Unsettled<'_>]) {
    let is_settled =
        |message: &&Message| unsettled.iter().all(|left| left.message.id != message.id);
    messages.iter().filter(is_settled).for_each(Message::log_rejected);
}

/// Logs the number of the writes that came for the first time and of those that are settled, and
/// how long ago each settled message was accepted.
///
/// `enqueue` logs no line for what it accepts, since a line for each request costs too much.
fn log_settled(
    apply: &Apply,
    messages: &[Message],
    unsettled: &[Unsettled<'_>],
    (received_at, received_at_ms): (Instant, i64),
) {
    let taken_ms = i64::try_from(received_at.elapsed().as_millis()).unwrap_or_default();
    let now_ms = received_at_ms.saturating_add(taken_ms);
    let is_left = |message: &&Message| unsettled.iter().any(|left| left.message.id == message.id);
    let settled: Vec<_> = messages.iter().filter(|message| !is_left(message)).collect();
    let settled_writes: usize = settled.iter().map(|message| message.ids().count()).sum();
    let new = messages.iter().filter(|message| message.receive_count <= 1);
    let accepted_writes: usize = new.map(|message| message.ids().count()).sum();
    let accepted = settled.iter().filter_map(|message| message.accepted_at_ms());
    let waited = accepted.map(|at_ms| u64::try_from(now_ms.saturating_sub(at_ms)));
    let seconds = waited.map(|ms| Duration::from_millis(ms.unwrap_or_default()).as_secs_f64());
    let seconds: Vec<_> = seconds.collect();
    metrics::line!(
        info,
        apply.data_api,
        messages = messages.len(),
        accepted_writes,
        settled_writes,
        settling_seconds = %Values(&seconds),
        "batch settled"
    );
}

/// Publishes the events of a delivery: those that it has made, and those that an earlier delivery
/// of its messages has left.
async fn publish(apply: &Apply, messages: &[Message], deadline: Deadline) {
    let Some(outbox) = &apply.outbox else { return };
    let is_repeated = messages.iter().any(|message| message.receive_count > 1);
    if outbox.take_new() || is_repeated {
        let ids: Vec<_> = messages.iter().flat_map(Message::ids).collect();
        outbox.publish_of(&ids, deadline).await;
    }
}

/// A message that is left for another delivery.
#[derive(Debug, Clone)]
struct Unsettled<'a> {
    message: &'a Message,
    /// The action for the error that was met: it decides the time until the next delivery.
    disposition: Disposition,
    /// The rule or the code of the error, if a person must act.
    cause: Option<String>,
    /// True if the database has other tables or columns than the catalog, as far as the error
    /// tells.
    meets_other_tables: bool,
}

impl<'a> Unsettled<'a> {
    fn after(error: &SyncError, message: &'a Message) -> Self {
        let disposition = error.disposition_of_delivery(message.receive_count);
        Self {
            message,
            disposition,
            cause: (disposition != Disposition::Retry).then(|| error.code()),
            meets_other_tables: error.is_about_tables(),
        }
    }

    /// Makes a message that waits for another one, or for the end of an outage.
    fn waiting(message: &'a Message) -> Self {
        Self { message, disposition: Disposition::Retry, cause: None, meets_other_tables: false }
    }
}

/// Settles the messages that can be settled, and returns the others.
async fn apply_all<'a>(
    apply: &Apply,
    catalog: &Catalog,
    messages: &'a [Message],
    deadline: Deadline,
) -> Vec<Unsettled<'a>> {
    let (ready, mut unsettled) = ready(messages);
    unsettled.extend(settle_all(Settler { apply, catalog }, &ready, deadline).await);
    unsettled
}

/// Returns the messages that can be settled, and those that cannot: messages that wait for a
/// deployment, and all later ones of their groups.
fn ready(messages: &[Message]) -> (Vec<&Message>, Vec<Unsettled<'_>>) {
    let mut waiting: HashSet<&str> = HashSet::new();
    let mut unsettled = Vec::new();
    let mut ready = Vec::new();
    for message in messages {
        if let Some(rule) = message.not_yet_known() {
            tracing::warn!(message_id = message.id, rule, "message waits for a deployment");
            waiting.insert(&message.group);
        }
        if waiting.contains(message.group.as_str()) {
            let cause = message.not_yet_known().map(str::to_owned);
            let meets_other_tables = cause.is_some();
            unsettled.push(Unsettled { cause, meets_other_tables, ..Unsettled::waiting(message) });
        } else {
            ready.push(message);
        }
    }
    (ready, unsettled)
}

/// The number of deliveries up to which a message is settled with others, and tried in one
/// transaction. After that it may be a slow one, and is settled alone and write by write, so that
/// each delivery settles the writes that fit the time.
const TOGETHER_MAX: u32 = 3;

/// The function with the tables as they are known for this attempt.
#[derive(Debug, Clone, Copy)]
struct Settler<'a> {
    apply: &'a Apply,
    catalog: &'a Catalog,
}

impl Settler<'_> {
    async fn settle(self, batch: &Batch<'_>, deadline: Deadline) -> Result<(), SyncError> {
        let Apply { data_api, outbox, .. } = self.apply;
        settle(self.catalog, data_api, outbox.as_ref(), batch, deadline).await
    }
}

/// Settles messages together, or one by one if that is not possible, and returns the others.
async fn settle_all<'a>(
    settler: Settler<'_>,
    messages: &[&'a Message],
    deadline: Deadline,
) -> Vec<Unsettled<'a>> {
    let all = Batch::of(messages.iter().copied());
    if all.is_empty() {
        return Vec::new();
    }
    let is_alone =
        |message: &&Message| message.receive_count > TOGETHER_MAX || !message.redriven().is_empty();
    if messages.len() == 1 || messages.iter().any(is_alone) {
        return one_by_one(settler, messages, deadline).await;
    }
    // The other half of the time is for settling message by message.
    let time = deadline.less(deadline.remaining() / 2);
    match settle_within(settler, &all, time, deadline).await {
        Ok(()) => Vec::new(),
        Err(error) if affects_all_messages(&error) => left(&error, messages.iter().copied()),
        Err(error) => {
            tracing::info!(reason = %error, "batch is settled message by message");
            one_by_one(settler, messages, deadline).await
        }
    }
}

/// Settles a batch until `time`, or until `deadline` if the database resumes from its pause.
async fn settle_within(
    settler: Settler<'_>,
    batch: &Batch<'_>,
    time: Deadline,
    deadline: Deadline,
) -> Result<(), SyncError> {
    match settler.settle(batch, time).await {
        Err(error) if error.is_resuming() => settler.settle(batch, deadline).await,
        result => result,
    }
}

/// Returns `true` if the error is not about the batch, so that each message would meet it.
fn affects_all_messages(error: &SyncError) -> bool {
    error.is_before_work() || (error.disposition() == Disposition::Retry && !error.is_timeout())
}

/// Settles messages one by one, and returns the others. After a message that fails, all later ones
/// of its group are left; other groups continue.
async fn one_by_one<'a>(
    settler: Settler<'_>,
    messages: &[&'a Message],
    deadline: Deadline,
) -> Vec<Unsettled<'a>> {
    let mut unsettled: Vec<Unsettled<'a>> = Vec::new();
    let mut stopped: HashSet<&str> = HashSet::new();
    let mut outage = false;
    for message in messages.iter().copied() {
        if outage || stopped.contains(message.group.as_str()) {
            unsettled.push(Unsettled::waiting(message));
            continue;
        }
        if let Err(error) = settle_message(settler, message, deadline).await {
            outage = affects_all_messages(&error) || matches!(error, SyncError::OutOfTime);
            stopped.insert(&message.group);
            unsettled.extend(left(&error, [message]));
        }
    }
    unsettled
}

/// Settles a message in one transaction or, if the time is too short for that, in several, in the
/// order of its writes. After an error, the writes that were settled stay settled, and the next
/// delivery finds them in the ledger.
async fn settle_message(
    settler: Settler<'_>,
    message: &Message,
    deadline: Deadline,
) -> Result<(), SyncError> {
    let mut batch = Batch::of([message]);
    let redriven = message.redriven();
    if !redriven.is_empty() {
        let overtaken =
            query(deadline, async || ledger::overtaken(&settler.apply.data_api, &redriven).await)
                .await?;
        batch.reject_overtaken(overtaken);
    }
    if batch.is_empty() {
        return Ok(());
    }
    if batch.writes.len() <= 1 {
        return settler.settle(&batch, deadline).await;
    }
    // A delivery after an outage is no sign of a slow message, and its writes may need each other.
    let rest = match message.receive_count {
        0 | 1 => Some(Duration::ZERO),
        2..=TOGETHER_MAX => Some(deadline.remaining() / 2),
        _ => None,
    };
    if let Some(rest) = rest {
        match settle_within(settler, &batch, deadline.less(rest), deadline).await {
            // The service ends a call after 45 seconds. Time may be left.
            Err(error) if error.is_timeout() => {
                tracing::info!(reason = %error, "message is settled write by write");
            }
            result => return result,
        }
    }
    settle_write_by_write(settler, batch, deadline).await
}

/// Settles one write in a transaction, then twice as many in each further one. So a delivery
/// settles something if the time is enough for one write.
///
/// Takes no more writes than are likely to need half of the remaining time.
async fn settle_write_by_write(
    settler: Settler<'_>,
    batch: Batch<'_>,
    deadline: Deadline,
) -> Result<(), SyncError> {
    let Batch { mut writes, mut entries } = batch;
    // Settled writes must not take the time of the others.
    let ids = || writes.iter().map(|write| write.id);
    let settled = query(deadline, async || {
        ledger::settled_fingerprints(&settler.apply.data_api, ids()).await
    })
    .await?;
    writes.retain(|write| !settled.contains(&(write.id, write.fingerprint.clone())));
    let writes = in_order_of_steps(settler.catalog, &writes);
    let mut rest = writes.as_slice();
    let mut size = 1;
    while !(rest.is_empty() && entries.is_empty()) {
        let (first, later) = rest.split_at(size.min(rest.len()));
        let batch = Batch { writes: first.to_vec(), entries: std::mem::take(&mut entries) };
        let time = deadline.remaining();
        match settler.settle(&batch, deadline).await {
            Ok(()) => {
                rest = later;
                let taken = time.saturating_sub(deadline.remaining()).as_millis();
                let likely =
                    deadline.remaining().as_millis() * first.len() as u128 / (2 * taken).max(1);
                size = (2 * size).min(usize::try_from(likely).unwrap_or(usize::MAX)).max(1);
            }
            Err(error) if error.is_timeout() && size > 1 => size = 1,
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Runs a query of the ledger until the deadline.
async fn query<T>(
    deadline: Deadline,
    call: impl AsyncFn() -> Result<T, DataApiError>,
) -> Result<T, SyncError> {
    let time = deadline.remaining();
    if time.is_zero() {
        return Err(SyncError::OutOfTime);
    }
    match timeout(time, awake(deadline, call)).await {
        Ok(result) => result.map_err(SyncError::from),
        Err(_) => Err(SyncError::OutOfTime),
    }
}

/// Leaves messages for another delivery, and logs the error. `template.yaml` counts the lines
/// "messages blocked", and raises an alarm: a person must act.
fn left<'a>(
    error: &SyncError,
    messages: impl IntoIterator<Item = &'a Message>,
) -> Vec<Unsettled<'a>> {
    let left: Vec<_> =
        messages.into_iter().map(|message| Unsettled::after(error, message)).collect();
    let is_blocked = |unsettled: &&Unsettled<'_>| unsettled.disposition != Disposition::Retry;
    let messages = left.iter().filter(is_blocked).count();
    if messages > 0 {
        tracing::error!(target: metrics::TARGET, %error, messages, "messages blocked");
    }
    let messages = left.len() - messages;
    if messages > 0 {
        tracing::warn!(%error, messages, "messages are retried later");
    }
    left
}

/// Returns the response that makes SQS deliver these messages again.
fn response(unsettled: &[Unsettled<'_>]) -> SqsBatchResponse {
    let mut response = SqsBatchResponse::default();
    response.batch_item_failures = unsettled
        .iter()
        .map(|unsettled| {
            let mut failure = BatchItemFailure::default();
            failure.item_identifier.clone_from(&unsettled.message.id);
            failure
        })
        .collect();
    response
}

/// The most time for [`postpone`] and [`record_blocked`]: a part of the time that is reserved for
/// the response.
const POSTPONED_WITHIN: Duration = Duration::from_secs(1);

/// Sets the time after which SQS delivers each message again. If that fails, the visibility timeout
/// of the queue holds.
async fn postpone(apply: &Apply, unsettled: &[Unsettled<'_>]) {
    let messages = unsettled.len();
    let delays: Vec<_> = unsettled
        .iter()
        .map(|unsettled| {
            let delay = delay(unsettled.message.receive_count, unsettled.disposition);
            (unsettled.message.receipt_handle.as_str(), delay)
        })
        .collect();
    match timeout(POSTPONED_WITHIN, apply.queue.postpone(&delays)).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => {
            tracing::warn!(%error, messages, "visibility of messages not changed");
        }
        Err(_) => {
            tracing::warn!(messages, "visibility of messages not changed in time");
        }
    }
}

/// Records the writes of the groups that wait for a person, so that their statuses say so. If that
/// fails, they are only pending.
async fn record_blocked(apply: &Apply, unsettled: &[Unsettled<'_>]) {
    let mut groups: BTreeMap<&str, Blocked> = BTreeMap::new();
    for Unsettled { message, cause, .. } in unsettled {
        let group = groups.entry(&message.group).or_default();
        group.cause = group.cause.take().or_else(|| cause.clone());
        let caller = message.principal();
        group.writes.extend(message.ids().map(|id| (id, caller.clone())));
    }
    groups.retain(|_, group| group.cause.is_some() && !group.writes.is_empty());
    if groups.is_empty() {
        return;
    }
    match timeout(POSTPONED_WITHIN, ledger::record_blocked(&apply.data_api, &groups)).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::warn!(%error, "cause of the wait not recorded"),
        Err(_) => tracing::warn!("cause of the wait not recorded in time"),
    }
}
