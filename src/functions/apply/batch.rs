//! Decodes a delivery: writes that statements can hold, writes that are rejected before that, and
//! messages that wait for a deployment.
//!
//! Pure.

use std::collections::{BTreeMap, HashSet, VecDeque};

use aurora_sync_catalog::Catalog;
use aws_lambda_events::sqs::SqsMessage;
use serde::Deserialize;
use uuid::Uuid;

use super::check::{UNKNOWN_COLUMN, UNKNOWN_TABLE, UNREADABLE, check};
use super::producer::{self, ProducerMessage};
use crate::database::ledger::Entry;
use crate::domain::field::storable;
use crate::domain::rejection::Rejection;
use crate::domain::write::{MessageBody, Version, Write};
use crate::functions::metrics;

/// One message of a delivery.
#[derive(Debug)]
pub(super) struct Message {
    pub(super) id: String,
    /// The handle by which SQS knows this delivery of the message.
    pub(super) receipt_handle: String,
    /// The message group, whose messages are settled in order.
    pub(super) group: String,
    /// The number of its deliveries, this one included.
    pub(super) receive_count: u32,
    /// The time at which it was sent, in milliseconds since 1970, by the clock of SQS.
    sent_at_ms: i64,
    /// The time at which the request of its writes was accepted.
    accepted_at_ms: Option<i64>,
    /// The principal of the caller of all its writes.
    principal: Option<String>,
    /// The request that brought them.
    request_id: Option<Uuid>,
    writes: Vec<Write>,
    /// The writes, or the body, that are rejected without a statement.
    entries: Vec<Entry>,
    /// The ids of the writes that are rejected without a statement, and the rules.
    rejected: Vec<(Uuid, String)>,
    /// The ids of the writes that wait for a deployment.
    unknown: Vec<Uuid>,
    /// The rule that would reject a write of the message, or its body, if no deployment could be
    /// under way.
    not_yet_known: Option<&'static str>,
    /// True if the tables, as they are known, do not take one of the writes.
    meets_other_tables: bool,
}

/// The time after a write was accepted in which a deployment may be under way: the function that
/// accepted it, or the tables, may be newer than this function.
const DEPLOYMENT_MS: i64 = 60 * 60 * 1_000;

/// The most time between the acceptance of a write and its message: `enqueue` sends it within half
/// a minute. A message that was sent later comes from the dead-letter queue.
const SENT_WITHIN_MS: i64 = 60 * 1_000;

impl Message {
    /// Reads one message, whatever the others hold. Returns `None` if it has no id.
    pub(super) fn read(catalog: &Catalog, message: &SqsMessage, now_ms: i64) -> Option<Self> {
        let id = message.message_id.clone().filter(|id| !id.is_empty())?;
        let attribute = |name: &str| message.attributes.get(name);
        let mut read = Self {
            receipt_handle: message.receipt_handle.clone().unwrap_or_default(),
            group: attribute("MessageGroupId").cloned().unwrap_or_default(),
            receive_count: attribute("ApproximateReceiveCount")
                .and_then(|count| count.parse().ok())
                .unwrap_or(1),
            sent_at_ms: attribute("SentTimestamp")
                .and_then(|sent| sent.parse().ok())
                .unwrap_or_default(),
            accepted_at_ms: None,
            principal: None,
            request_id: None,
            writes: Vec::new(),
            entries: Vec::new(),
            rejected: Vec::new(),
            unknown: Vec::new(),
            not_yet_known: None,
            meets_other_tables: false,
            id,
        };
        let body = message.body.as_deref().unwrap_or_default();
        if producer::is_of_producer(body) {
            match ProducerMessage::read(body, read.sent_at_ms) {
                Ok(message) => read.take_producer(catalog, &message, now_ms),
                Err(reason) => read.add_unreadable(&reason, body),
            }
            return Some(read);
        }
        match decode(body) {
            Ok((writes, is_discarded)) => {
                if let Some(write) = writes.first() {
                    read.describe(write);
                }
                for write in writes {
                    read.add_or_discard(catalog, write, is_discarded, now_ms);
                }
            }
            Err(_) if is_new(read.sent_at_ms, now_ms) && is_of_another_version(body) => {
                read.not_yet_known = Some(UNREADABLE);
            }
            Err(reason) => {
                read.add_unreadable(
                    &format!("the body is not a message of this worker: {reason}"),
                    body,
                );
            }
        }
        Some(read)
    }

    /// Takes what all writes of the message share from one of them.
    fn describe(&mut self, write: &Write) {
        self.accepted_at_ms = Some(write.accepted_at_ms);
        self.principal = write.caller.principal.as_deref().map(storable);
        self.request_id = write.caller.request_id;
    }

    /// Adds the writes of another producer, or the entries of their rejections. If an operator
    /// discards them, no fault of a row and no unknown table matters.
    fn take_producer(&mut self, catalog: &Catalog, message: &ProducerMessage<'_>, now_ms: i64) {
        for item in message.items() {
            match message.write(catalog, item) {
                Ok(write) => {
                    self.describe(&write);
                    self.add_or_discard(catalog, write, message.is_discarded, now_ms);
                }
                Err(faulty) => {
                    let (write, fault, payload) = *faulty;
                    self.describe(&write);
                    self.meets_other_tables |= !message.is_discarded;
                    let rejection = if message.is_discarded { discarded() } else { fault };
                    self.reject(&write, rejection, Some(payload), now_ms);
                }
            }
        }
    }

    /// Adds the entry of a body that nobody can read. It is rejected with its text, so that it is
    /// not delivered again and again.
    fn add_unreadable(&mut self, reason: &str, body: &str) {
        let id = Uuid::parse_str(&self.id)
            .unwrap_or_else(|_| Uuid::new_v5(&Uuid::NAMESPACE_OID, self.id.as_bytes()));
        self.rejected.push((id, UNREADABLE.to_owned()));
        self.entries.push(Entry::unreadable(id, reason.to_owned(), body, self.sent_at_ms));
    }

    /// Adds a write, or the entry of its rejection if an operator discards it.
    fn add_or_discard(&mut self, catalog: &Catalog, write: Write, is_discarded: bool, now_ms: i64) {
        if is_discarded {
            self.reject(&write, discarded(), None, now_ms);
        } else {
            self.add(catalog, write, now_ms);
        }
    }

    /// Adds a write, or the entry of its rejection.
    fn add(&mut self, catalog: &Catalog, mut write: Write, now_ms: i64) {
        let checked = check(catalog, &mut write);
        self.meets_other_tables |= checked.is_err();
        match checked {
            Ok(()) => self.writes.push(write),
            Err(rejection) => self.reject(&write, rejection, None, now_ms),
        }
    }

    /// Adds the entry of a rejected write, unless a deployment that is under way may bring its
    /// table or column. `payload` is that of the entry, if the write does not have it.
    fn reject(
        &mut self,
        write: &Write,
        rejection: Rejection,
        payload: Option<String>,
        now_ms: i64,
    ) {
        let waits =
            [UNKNOWN_TABLE, UNKNOWN_COLUMN].into_iter().find(|rule| *rule == rejection.rule);
        if let Some(rule) = waits
            && is_new(write.accepted_at_ms.min(self.sent_at_ms), now_ms)
        {
            self.not_yet_known = Some(rule);
            self.unknown.push(write.id);
            return;
        }
        self.rejected.push((write.id, rejection.rule.clone()));
        let rejection = Rejection {
            reason: storable(&rejection.reason),
            column: rejection.column.as_deref().map(storable),
            ..rejection
        };
        let entry = Entry::rejected(write, rejection);
        self.entries.push(match payload {
            Some(payload) => entry.with_payload(&payload),
            None => entry,
        });
    }

    /// Returns the time at which the request of its writes was accepted.
    pub(super) fn accepted_at_ms(&self) -> Option<i64> {
        self.accepted_at_ms
    }

    /// Returns the principal of its caller.
    pub(super) fn principal(&self) -> Option<String> {
        self.principal.clone()
    }

    /// Returns the ids of all writes of the message.
    pub(super) fn ids(&self) -> impl Iterator<Item = Uuid> {
        let rejected = self.rejected.iter().map(|(id, _)| *id);
        self.writes.iter().map(|write| write.id).chain(rejected).chain(self.unknown.iter().copied())
    }

    /// Returns the rule that would reject a part of the message, if it waits for a deployment.
    pub(super) fn not_yet_known(&self) -> Option<&'static str> {
        self.not_yet_known
    }

    /// Logs the writes that are rejected without a statement. Newer tables may take them, so it is
    /// certain only when the message is settled.
    pub(super) fn log_rejected(&self) {
        for (id, rule) in &self.rejected {
            let caller = self.principal.as_deref();
            let accepted_by = self.request_id.map(tracing::field::display);
            tracing::warn!(target: metrics::TARGET, write_id = %id, rule, caller, accepted_by, "write rejected");
        }
    }

    /// Returns `true` if newer tables may take a write that the known ones do not.
    pub(super) fn meets_other_tables(&self) -> bool {
        self.meets_other_tables
    }

    /// Returns the writes that were redriven from the dead-letter queue. Later writes of their rows
    /// may have overtaken them.
    pub(super) fn redriven(&self) -> Vec<&Write> {
        let is_redriven = |write: &&Write| {
            write.key.is_some()
                && self.sent_at_ms.saturating_sub(write.accepted_at_ms) > SENT_WITHIN_MS
        };
        self.writes.iter().filter(is_redriven).collect()
    }
}

/// Returns `true` if a message of that time may come from a deployment that is under way. The
/// clocks of SQS and of the function hardly differ.
fn is_new(sent_at_ms: i64, now_ms: i64) -> bool {
    now_ms.saturating_sub(sent_at_ms) < DEPLOYMENT_MS
}

/// Returns `true` if a body has a version that this worker does not know.
fn is_of_another_version(body: &str) -> bool {
    #[derive(Deserialize)]
    struct Versioned {
        version: String,
    }
    serde_json::from_str::<Versioned>(body)
        .is_ok_and(|body| serde_json::from_value::<Version>(body.version.into()).is_err())
}

/// Returns the writes of a body, with `true` if they are discarded, or the reason why it is not a
/// message of the worker.
fn decode(body: &str) -> Result<(Vec<Write>, bool), String> {
    let message = serde_json::from_str::<MessageBody>(body)
        .map_err(|error| format!("see its line {}, column {}", error.line(), error.column()))?;
    let is_discarded = message.discarded;
    let writes = message.into_writes().ok_or_else(|| "its claims are not an object".to_owned())?;
    Ok((writes, is_discarded))
}

const DISCARDED: &str = "discarded";
const DISCARDED_REASON: &str = "an operator discarded this write from the dead-letter queue; if its payload is still \
                                right, send it again";

fn discarded() -> Rejection {
    Rejection::by_rule(DISCARDED, DISCARDED_REASON)
}

const OVERTAKEN: &str = "overtaken";
const OVERTAKEN_REASON: &str = "a later write of this key was settled while this one was in the dead-letter queue; \
                                if its payload is still right, send it again";

/// The contents of some messages, each write once.
#[derive(Debug, Default)]
pub(super) struct Batch<'a> {
    pub(super) writes: Vec<&'a Write>,
    pub(super) entries: Vec<Entry>,
}

impl<'a> Batch<'a> {
    /// Makes a batch of these messages.
    pub(super) fn of(messages: impl IntoIterator<Item = &'a Message>) -> Self {
        let mut batch = Self::default();
        let mut entries = BTreeMap::new();
        let mut seen = HashSet::new();
        let mut groups: BTreeMap<&str, VecDeque<&Write>> = BTreeMap::new();
        for message in messages {
            entries.extend(message.entries.iter().map(|entry| (entry.id(), entry.clone())));
            // A delivery can hold a message twice, but its writes count once. Two payloads under
            // one Idempotency-Key are two writes: the ledger rejects the second.
            let fresh = message
                .writes
                .iter()
                .filter(|write| seen.insert((write.id, write.fingerprint.as_deref())));
            groups.entry(&message.group).or_default().extend(fresh);
        }
        batch.entries = entries.into_values().collect();
        batch.writes = in_order_of_acceptance(groups.into_values().collect());
        batch
    }

    /// Rejects these writes, as later ones of their rows are settled. Of two payloads under one
    /// Idempotency-Key, only the first is rejected here: the ledger rejects the second.
    pub(super) fn reject_overtaken(&mut self, mut overtaken: HashSet<Uuid>) {
        self.writes.retain(|write| {
            if !overtaken.remove(&write.id) {
                return true;
            }
            let caller = write.caller.principal.as_deref();
            let accepted_by = write.caller.request_id.map(tracing::field::display);
            let (id, rule) = (write.id, OVERTAKEN);
            tracing::warn!(target: metrics::TARGET, write_id = %id, rule, caller, accepted_by, "write rejected");
            let rejection = Rejection::by_rule(OVERTAKEN, OVERTAKEN_REASON);
            self.entries.push(Entry::rejected(write, rejection));
            false
        });
    }

    /// Returns `true` if there is nothing to settle.
    pub(super) fn is_empty(&self) -> bool {
        self.writes.is_empty() && self.entries.is_empty()
    }
}

/// Merges the writes of groups. Each group keeps its order, that of the queue. Between groups, the
/// write that was accepted first comes first, as rows of different tables can refer to each other.
fn in_order_of_acceptance(mut groups: Vec<VecDeque<&Write>>) -> Vec<&Write> {
    let mut writes = Vec::with_capacity(groups.iter().map(VecDeque::len).sum());
    let accepted =
        |group: &VecDeque<&Write>| group.front().map(|write| (write.accepted_at_ms, write.id));
    while let Some(group) =
        groups.iter_mut().filter(|group| !group.is_empty()).min_by_key(|group| accepted(group))
    {
        writes.extend(group.pop_front());
    }
    writes
}
