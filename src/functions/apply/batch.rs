//! Decodes a delivery: writes that statements can hold, writes that are rejected before that, and
//! messages that wait for a deployment.
//!
//! Pure.

use std::collections::{BTreeMap, HashSet, VecDeque};

use aurora_sync_catalog::{Catalog, ColumnType, Table};
use aws_lambda_events::sqs::SqsMessage;
use serde::Deserialize;
use uuid::Uuid;

use crate::database::ledger::{Entry, TIME_MS_MAX};
use crate::domain::field::storable;
use crate::domain::key::{Key, canonical};
use crate::domain::rejection::Rejection;
use crate::domain::row;
use crate::domain::write::{MessageBody, Operation, Version, Write};
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
        match decode(body) {
            Ok((writes, is_discarded)) => {
                read.accepted_at_ms = writes.first().map(|write| write.accepted_at_ms);
                let caller = writes.first().map(|write| &write.caller);
                read.principal =
                    caller.and_then(|caller| caller.principal.as_deref().map(storable));
                read.request_id = caller.and_then(|caller| caller.request_id);
                for write in writes {
                    if is_discarded {
                        read.reject(&write, Rejection::by_rule(DISCARDED, DISCARDED_REASON));
                    } else {
                        read.add(catalog, write, now_ms);
                    }
                }
            }
            Err(_) if is_new(read.sent_at_ms, now_ms) && is_of_another_version(body) => {
                read.not_yet_known = Some(UNREADABLE);
            }
            Err(reason) => {
                let entry = unreadable(&read.id, &reason, body, read.sent_at_ms);
                read.rejected.push((entry.id(), UNREADABLE.to_owned()));
                read.entries.push(entry);
            }
        }
        Some(read)
    }

    /// Adds a write, or the entry of its rejection.
    fn add(&mut self, catalog: &Catalog, mut write: Write, now_ms: i64) {
        let checked = check(catalog, &mut write);
        self.meets_other_tables |= checked.is_err();
        match checked {
            Ok(()) => self.writes.push(write),
            Err(Rejection { rule, .. })
                if is_new(write.accepted_at_ms.min(self.sent_at_ms), now_ms)
                    && let Some(rule) = [UNKNOWN_TABLE, UNKNOWN_COLUMN]
                        .into_iter()
                        .find(|known| *known == rule) =>
            {
                self.not_yet_known = Some(rule);
                self.unknown.push(write.id);
            }
            Err(rejection) => {
                let rejection = Rejection {
                    reason: storable(&rejection.reason),
                    column: rejection.column.as_deref().map(storable),
                    ..rejection
                };
                self.reject(&write, rejection);
            }
        }
    }

    /// Adds the entry of a rejection without a statement.
    fn reject(&mut self, write: &Write, rejection: Rejection) {
        self.rejected.push((write.id, rejection.rule.clone()));
        self.entries.push(Entry::rejected(write, rejection));
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

const UNREADABLE: &str = "unreadable";
const UNKNOWN_TABLE: &str = "unknown-table";
const UNKNOWN_COLUMN: &str = "unknown-column";

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

/// Returns the entry of a body that is not a message of the worker. It is rejected with its text,
/// so that it is not delivered again and again.
fn unreadable(message_id: &str, reason: &str, body: &str, sent_at_ms: i64) -> Entry {
    let id = Uuid::parse_str(message_id)
        .unwrap_or_else(|_| Uuid::new_v5(&Uuid::NAMESPACE_OID, message_id.as_bytes()));
    let reason = format!("the body is not a message of this worker: {reason}");
    Entry::unreadable(id, reason, body, sent_at_ms)
}

const DISCARDED: &str = "discarded";
const DISCARDED_REASON: &str = "an operator discarded this write from the dead-letter queue; if its payload is still \
                                right, send it again";

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

/// Checks that a statement can hold the write, and puts its columns into the table's order.
///
/// `enqueue` has checked it too. But messages can be sent by hand, and a table can change
/// meanwhile.
fn check(catalog: &Catalog, write: &mut Write) -> Result<(), Rejection> {
    let Some(table) = catalog.table(&write.table) else {
        let reason = format!(
            "the API offers no table \"{}\" any more: it was dropped or renamed, or its rights were revoked",
            write.table
        );
        return Err(Rejection::by_rule(UNKNOWN_TABLE, reason));
    };
    if !(0..=TIME_MS_MAX).contains(&write.accepted_at_ms) {
        return Err(Rejection::by_rule(UNREADABLE, "accepted_at_ms is not a time"));
    }
    if write.fingerprint.as_deref().is_some_and(|fingerprint| fingerprint.contains('\0')) {
        return Err(Rejection::by_rule(UNREADABLE, "the fingerprint contains U+0000"));
    }
    let precondition = write.precondition.as_ref();
    if precondition
        .is_some_and(|known| !known.suits(write.operation) || known.value().contains('\0'))
    {
        return Err(Rejection::by_rule(UNREADABLE, "the precondition is not one of the operation"));
    }
    if !table.permits(write.operation.changes()) {
        let reason = format!(
            "sync_writer has no right to {} rows of the table",
            write.operation.as_str().replace('_', " ")
        );
        return Err(Rejection::by_rule("read-only", reason));
    }
    check_columns(table, write)?;
    let index = |name: &str| table.columns.iter().position(|column| column.name == name);
    write.row.sort_by_key(|(name, _)| index(name));
    if write.row.windows(2).any(|pair| pair[0].0 == pair[1].0) {
        return Err(Rejection::by_rule("duplicate-member", "the row has a column twice"));
    }
    if let Some((column, fault)) = Key::non_canonical(table, |name| write.cell(name).flatten()) {
        let rejection =
            Rejection::by_rule(&fault.rule.to_string(), format!("expected {}", fault.expected));
        return Err(Rejection { column: Some(column.to_owned()), ..rejection });
    }
    // The key of the message is not trusted.
    let key = Key::of_row(table, |name| write.cell(name).flatten());
    if write.operation != Operation::Insert
        && let (Some(named), Some(found)) = (&write.key, &key)
        && !is_same_row(table, named, found)
    {
        let reason = "the primary key of the table has changed since the write was accepted; by the new one, the \
                      write would be about another row";
        return Err(Rejection::by_rule("other-key", reason));
    }
    write.key = key;
    set_time_zones(table, write);
    if write.key.is_none() && (write.operation != Operation::Insert || write.precondition.is_some())
    {
        return Err(Rejection::by_rule("required", "the row has no key"));
    }
    if write.operation == Operation::Delete {
        write.row.retain(|(name, _)| table.primary_key.contains(name));
    }
    let sets_nothing = write.row.iter().all(|(name, _)| table.primary_key.contains(name));
    if write.row.is_empty() || (write.operation == Operation::Update && sets_nothing) {
        return Err(Rejection::by_rule("empty", "the write sets no column"));
    }
    if matches!(write.operation, Operation::Update | Operation::Upsert)
        && let Some(version) = &table.version_column
        && write.cell(version).flatten().is_none()
    {
        let rejection = Rejection::by_rule(
            "required",
            "the version decides if the row is newer, so it needs a value",
        );
        return Err(Rejection { column: Some(version.clone()), ..rejection });
    }
    Ok(())
}

/// Returns whether the key that a write was accepted with names the row that its columns name now.
fn is_same_row(table: &Table, named: &Key, found: &Key) -> bool {
    named.parts().count() == found.parts().count()
        && table.key_columns().zip(named.parts().zip(found.parts())).all(
            |(column, (named, found))| {
                // The type may have changed too.
                named == found || canonical(&column.column_type, named).as_deref() == Some(found)
            },
        )
}

/// Replaces the times in a key by their canonical texts, which have a time zone. A text without one
/// would depend on the time zone of the database.
fn set_time_zones(table: &Table, write: &mut Write) {
    let Some(key) = &write.key else { return };
    for (column, part) in table.key_columns().zip(key.parts()) {
        if column.column_type != ColumnType::TimestampTz {
            continue;
        }
        if let Some((_, cell)) = write.row.iter_mut().find(|(name, _)| *name == column.name) {
            *cell = Some(part.to_owned());
        }
    }
}

/// Checks that the table has the columns of the write, and that they can be written.
fn check_columns(table: &Table, write: &Write) -> Result<(), Rejection> {
    for (name, value) in &write.row {
        let rejection = |rule: &str, reason: &str| Rejection {
            column: Some(name.clone()),
            ..Rejection::by_rule(rule, reason)
        };
        match table.column(name) {
            None => return Err(rejection(UNKNOWN_COLUMN, &row::unknown_column(table, name))),
            // An identity column cannot be written, but as the key it names a row.
            Some(column)
                if table.is_key(column)
                    && matches!(write.operation, Operation::Update | Operation::Delete) => {}
            Some(column) if column.is_generated() => {
                return Err(rejection("generated", "the database makes this value"));
            }
            Some(column)
                if write.operation != Operation::Delete
                    && !table.accepts(column, write.operation.changes()) =>
            {
                return Err(rejection("read-only", "sync_writer has no right to write the column"));
            }
            Some(_) => {}
        }
        if value.as_deref().is_some_and(|value| value.contains('\0')) {
            return Err(rejection("unsupported-character", "PostgreSQL's text cannot hold U+0000"));
        }
    }
    Ok(())
}
