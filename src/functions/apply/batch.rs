//! A delivery, decoded: writes that can be put into statements, those that are rejected before that, and messages that wait
//! for a deployment.
//!
//! Pure.

use std::collections::{BTreeMap, HashSet, VecDeque};

use aurora_sync_catalog::{Catalog, ColumnType, Table};
use aws_lambda_events::sqs::SqsMessage;
use serde::Deserialize;
use uuid::Uuid;

use crate::database::ledger::{Entry, TIME_MS_MAX};
use crate::domain::field::storable;
use crate::domain::key::Key;
use crate::domain::outcome::{Outcome, Rejection};
use crate::domain::row;
use crate::domain::write::{MessageBody, Operation, Version, Write};

/// One message of a delivery.
#[derive(Debug)]
pub(super) struct Message {
    pub(super) id: String,
    /// What SQS knows this delivery of it by.
    pub(super) receipt_handle: String,
    /// Messages of one group are settled in their order.
    pub(super) group: String,
    /// How often it was delivered, this time included.
    pub(super) receive_count: u32,
    /// When it was sent, in milliseconds since 1970, by the clock of SQS.
    sent_at_ms: i64,
    writes: Vec<Write>,
    /// What is rejected before it meets the database.
    entries: Vec<Entry>,
    /// The rule by which a part of it would be rejected, if a deployment could not be under way.
    not_yet_known: Option<&'static str>,
}

/// For so long after a write was accepted, a deployment may be under way: the door, or the tables, may be newer than
/// this function.
const DEPLOYMENT_MS: i64 = 60 * 60 * 1_000;

/// A door sends a write within half a minute of accepting it. A message that was sent later was set aside and redriven.
const SENT_WITHIN_MS: i64 = 60 * 1_000;

impl Message {
    /// Reads a message on its own, so that one that is broken spoils no other. `None` without an id.
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
            writes: Vec::new(),
            entries: Vec::new(),
            not_yet_known: None,
            id,
        };
        let body = message.body.as_deref().unwrap_or_default();
        match serde_json::from_str::<MessageBody>(body) {
            Ok(body) => {
                for write in body.writes {
                    read.add(catalog, write, now_ms);
                }
            }
            Err(_) if is_new(read.sent_at_ms, now_ms) && is_of_another_version(body) => {
                read.not_yet_known = Some("unreadable");
            }
            Err(error) => {
                read.entries.push(unreadable(&read.id, &error, body, read.sent_at_ms));
            }
        }
        Some(read)
    }

    fn add(&mut self, catalog: &Catalog, mut write: Write, now_ms: i64) {
        match check(catalog, &mut write) {
            Ok(()) => self.writes.push(write),
            Err(Rejection { rule, .. })
                if is_new(write.accepted_at_ms.min(self.sent_at_ms), now_ms)
                    && let Some(rule) = [UNKNOWN_TABLE, UNKNOWN_COLUMN]
                        .into_iter()
                        .find(|known| *known == rule) =>
            {
                self.not_yet_known = Some(rule);
            }
            Err(rejection) => {
                tracing::warn!(write_id = %write.id, rule = rejection.rule, "write rejected");
                let rejection = Rejection {
                    reason: storable(&rejection.reason),
                    column: rejection.column.as_deref().map(storable),
                    ..rejection
                };
                self.entries.push(Entry::new(&write, Outcome::Rejected(rejection)));
            }
        }
    }

    /// The rule by which a part of the message would be rejected, if it did not wait for a deployment.
    pub(super) fn not_yet_known(&self) -> Option<&'static str> {
        self.not_yet_known
    }

    /// The writes that were set aside, and that later ones of their rows may have overtaken meanwhile.
    pub(super) fn resent(&self) -> Vec<&Write> {
        let is_resent = |write: &&Write| {
            write.key.is_some()
                && self.sent_at_ms.saturating_sub(write.accepted_at_ms) > SENT_WITHIN_MS
        };
        self.writes.iter().filter(is_resent).collect()
    }
}

const UNKNOWN_TABLE: &str = "unknown-table";
const UNKNOWN_COLUMN: &str = "unknown-column";

/// Whether what was sent at that time may be of a deployment that is under way. SQS's clock is not far from ours.
fn is_new(sent_at_ms: i64, now_ms: i64) -> bool {
    now_ms.saturating_sub(sent_at_ms) < DEPLOYMENT_MS
}

/// Whether a body that cannot be read is of a version that this worker does not know.
fn is_of_another_version(body: &str) -> bool {
    #[derive(Deserialize)]
    struct Versioned {
        version: String,
    }
    serde_json::from_str::<Versioned>(body)
        .is_ok_and(|body| serde_json::from_value::<Version>(body.version.into()).is_err())
}

/// A body that is not one of ours: settled with its text, so that it is not delivered for ever.
fn unreadable(message_id: &str, error: &serde_json::Error, body: &str, sent_at_ms: i64) -> Entry {
    let id = Uuid::parse_str(message_id)
        .unwrap_or_else(|_| Uuid::new_v5(&Uuid::NAMESPACE_OID, message_id.as_bytes()));
    let (line, column) = (error.line(), error.column());
    tracing::warn!(%id, line, column, "message is unreadable");
    let reason =
        format!("not a message of this worker: see line {line}, column {column} of the body");
    Entry::unreadable(id, reason, body, sent_at_ms)
}

const OVERTAKEN: &str = "overtaken";
const OVERTAKEN_REASON: &str = "a later write of this key was settled while this one was set aside; \
                                if its payload still holds, send it again";

/// What some messages ask for, each write once.
#[derive(Debug, Default)]
pub(super) struct Batch<'a> {
    pub(super) writes: Vec<&'a Write>,
    pub(super) entries: Vec<Entry>,
}

impl<'a> Batch<'a> {
    pub(super) fn of(messages: impl IntoIterator<Item = &'a Message>) -> Self {
        let mut batch = Self::default();
        let mut entries = BTreeMap::new();
        let mut seen = HashSet::new();
        let mut groups: BTreeMap<&str, VecDeque<&Write>> = BTreeMap::new();
        for message in messages {
            entries.extend(message.entries.iter().map(|entry| (entry.id(), entry.clone())));
            // A message can stand twice in a delivery; its writes cannot count twice. Two payloads under
            // one Idempotency-Key are two writes: the ledger will know the second.
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

    /// Rejects these writes: later ones of their rows are settled. Of two payloads under one Idempotency-Key, the ledger
    /// will know the second.
    pub(super) fn reject_overtaken(&mut self, mut overtaken: HashSet<Uuid>) {
        self.writes.retain(|write| {
            if !overtaken.remove(&write.id) {
                return true;
            }
            tracing::warn!(write_id = %write.id, rule = OVERTAKEN, "write rejected");
            let rejection = Rejection::by_rule(OVERTAKEN, OVERTAKEN_REASON);
            self.entries.push(Entry::new(write, Outcome::Rejected(rejection)));
            false
        });
    }

    pub(super) fn is_empty(&self) -> bool {
        self.writes.is_empty() && self.entries.is_empty()
    }
}

/// Merges the writes of groups. Each group keeps its order, which is that of the queue; between groups, the write that was
/// accepted first goes first, as rows of different tables can refer to each other.
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

/// Checks that a write can be put into a statement: a queue can be fed by hand, and a table can
/// change between the door and here. Puts its columns into the table's order.
fn check(catalog: &Catalog, write: &mut Write) -> Result<(), Rejection> {
    let Some(table) = catalog.table(&write.table) else {
        return Err(Rejection::by_rule(UNKNOWN_TABLE, format!("no table \"{}\"", write.table)));
    };
    if !(0..=TIME_MS_MAX).contains(&write.accepted_at_ms) {
        return Err(Rejection::by_rule("unreadable", "accepted_at_ms is no time"));
    }
    if write.fingerprint.as_deref().is_some_and(|fingerprint| fingerprint.contains('\0')) {
        return Err(Rejection::by_rule("unreadable", "the fingerprint holds U+0000"));
    }
    if !table.is_writable() {
        return Err(Rejection::by_rule("read-only", "the table is kept out of writes"));
    }
    check_columns(table, write)?;
    let index = |name: &str| table.columns.iter().position(|column| column.name == name);
    write.row.sort_by_key(|(name, _)| index(name));
    if write.row.windows(2).any(|pair| pair[0].0 == pair[1].0) {
        return Err(Rejection::by_rule("duplicate-member", "a column stands twice"));
    }
    if let Some((column, fault)) = Key::non_canonical(table, |name| write.cell(name).flatten()) {
        let rejection =
            Rejection::by_rule(&fault.rule.to_string(), format!("expected {}", fault.expected));
        return Err(Rejection { column: Some(column.to_owned()), ..rejection });
    }
    // The key is what the row says it is.
    write.key = Key::of_row(table, |name| write.cell(name).flatten());
    say_time_zones(table, write);
    if write.operation != Operation::Insert && write.key.is_none() {
        return Err(Rejection::by_rule("required", "the row has no key"));
    }
    if write.operation == Operation::Delete {
        write.row.retain(|(name, _)| table.primary_key.contains(name));
    }
    let sets_nothing = write.row.iter().all(|(name, _)| table.primary_key.contains(name));
    if write.row.is_empty() || (write.operation == Operation::Update && sets_nothing) {
        return Err(Rejection::by_rule("empty", "the write names no column to set"));
    }
    if matches!(write.operation, Operation::Update | Operation::Upsert)
        && let Some(version) = &table.version_column
        && write.cell(version).flatten().is_none()
    {
        let rejection = Rejection::by_rule("required", "the version says whether the row is newer");
        return Err(Rejection { column: Some(version.clone()), ..rejection });
    }
    Ok(())
}

/// A time in a key is the very moment that its spelling was taken for, whatever the database's time zone.
fn say_time_zones(table: &Table, write: &mut Write) {
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

fn check_columns(table: &Table, write: &Write) -> Result<(), Rejection> {
    for (name, value) in &write.row {
        let rejection = |rule: &str, reason: &str| Rejection {
            column: Some(name.clone()),
            ..Rejection::by_rule(rule, reason)
        };
        match table.column(name) {
            None => return Err(rejection(UNKNOWN_COLUMN, &row::unknown_column(table, name))),
            // The key of an identity column names a row, though it cannot be written.
            Some(column)
                if table.is_key(column)
                    && matches!(write.operation, Operation::Update | Operation::Delete) => {}
            Some(column) if column.is_generated() => {
                return Err(rejection("generated", "the database makes this value"));
            }
            Some(column) if !column.is_writable() => {
                return Err(rejection("read-only", "the column is kept out of writes"));
            }
            Some(_) => {}
        }
        if value.as_deref().is_some_and(|value| value.contains('\0')) {
            return Err(rejection("unsupported-character", "PostgreSQL's text holds no U+0000"));
        }
    }
    Ok(())
}
