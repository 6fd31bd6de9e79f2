//! Applies queued writes: each exactly once, in order per key, as few calls as they allow.
//!
//! One delivery is one transaction. What the data spoils is rejected in the ledger, one row at a
//! time; what an outage spoils is given back to the queue as a whole.

use std::collections::HashSet;

use aurora_sync_catalog::{Catalog, Column, Table};
use aws_lambda_events::sqs::{BatchItemFailure, SqsBatchResponse, SqsEvent, SqsMessage};
use uuid::Uuid;

use crate::aws::data_api::DataApi;
use crate::deadline::Deadline;
use crate::error::{DataApiError, Disposition, SyncError};
use crate::field::Parameter;
use crate::isolate::isolate;
use crate::key::Key;
use crate::ledger::{self, Entry};
use crate::outcome::{Outcome, Rejection};
use crate::parameter_set::{Cells, column_parameters, number_column, size_bytes, text_column};
use crate::plan::{Call, Item, plan};
use crate::row;
use crate::statement;
use crate::transaction::{End, Transaction, in_transaction};
use crate::write::{MessageBody, Operation, Write};

/// What the function needs.
#[derive(Debug)]
pub struct Apply {
    pub catalog: Catalog,
    pub data_api: DataApi,
}

/// Applies one delivery. Fails only where a human must act; then SQS keeps all messages.
pub async fn handle(
    apply: &Apply,
    event: SqsEvent,
    deadline: Deadline,
) -> Result<SqsBatchResponse, SyncError> {
    let messages = message_ids(&event)?;
    let batch = Batch::read(&apply.catalog, &event.records);
    tracing::info!(messages = messages.len(), writes = batch.writes.len(), "batch received");
    match settle(apply, &batch, deadline).await {
        Ok(rejected) => {
            tracing::info!(
                writes = batch.writes.len(),
                unreadable = batch.entries.len(),
                rejected,
                "batch settled"
            );
            Ok(SqsBatchResponse::default())
        }
        Err(error) if error.disposition() == Disposition::Retry => {
            tracing::warn!(%error, messages = messages.len(), "batch given back");
            Ok(give_back(messages))
        }
        Err(error) => Err(error),
    }
}

/// The ids of all messages. AWS takes an empty id in the answer for a failure of the whole batch,
/// so a message without one must not get that far.
fn message_ids(event: &SqsEvent) -> Result<Vec<String>, SyncError> {
    event
        .records
        .iter()
        .map(|message| message.message_id.clone().filter(|id| !id.is_empty()))
        .collect::<Option<Vec<_>>>()
        .ok_or_else(|| SyncError::Inconsistent("a message of the event has no id".to_owned()))
}

/// All of a FIFO delivery, so that no message overtakes one before it.
fn give_back(messages: Vec<String>) -> SqsBatchResponse {
    let mut response = SqsBatchResponse::default();
    response.batch_item_failures = messages
        .into_iter()
        .map(|id| {
            let mut failure = BatchItemFailure::default();
            failure.item_identifier = id;
            failure
        })
        .collect();
    response
}

/// The writes that can share a statement.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Group {
    table: String,
    operation: Operation,
    columns: Vec<String>,
}

/// A delivery, decoded.
#[derive(Debug, Default)]
struct Batch {
    writes: Vec<Write>,
    items: Vec<Item<Group, (String, Key)>>,
    cells: Vec<Cells>,
    /// What is rejected before it meets the database.
    entries: Vec<Entry>,
}

impl Batch {
    /// Reads each message on its own: one that is broken spoils no other.
    fn read(catalog: &Catalog, messages: &[SqsMessage]) -> Self {
        let mut batch = Self::default();
        let mut seen = HashSet::new();
        for message in messages {
            let body = message.body.as_deref().unwrap_or_default();
            match serde_json::from_str::<MessageBody>(body) {
                Ok(body) => {
                    for write in body.writes {
                        // A message can stand twice in a delivery; its writes cannot count twice.
                        if seen.insert(write.id) {
                            batch.add(catalog, write);
                        }
                    }
                }
                Err(error) => {
                    let id = message.message_id.as_deref().unwrap_or_default();
                    let id = Uuid::parse_str(id)
                        .unwrap_or_else(|_| Uuid::new_v5(&Uuid::NAMESPACE_OID, id.as_bytes()));
                    tracing::warn!(%id, line = error.line(), column = error.column(), "message is unreadable");
                    let reason = format!(
                        "not a message of this worker: see line {}, column {} of the body",
                        error.line(),
                        error.column()
                    );
                    batch.entries.push(Entry::unreadable(id, reason, body, sent_at_ms(message)));
                }
            }
        }
        batch
    }

    fn add(&mut self, catalog: &Catalog, mut write: Write) {
        match check(catalog, &mut write) {
            Ok(table) => {
                let cells: Cells = write.row.iter().map(|(_, value)| value.clone()).collect();
                self.items.push(Item {
                    group: Group {
                        table: table.path(),
                        operation: write.operation,
                        columns: write.row.iter().map(|(name, _)| name.clone()).collect(),
                    },
                    key: write.key.clone().map(|key| (write.table.clone(), key)),
                    // The id, the time and the key travel with the row.
                    size_bytes: size_bytes(&cells)
                        + 64
                        + write.key.as_ref().map_or(0, |key| 2 * key.to_string().len()),
                });
                self.cells.push(cells);
                self.writes.push(write);
            }
            Err(rejection) => {
                tracing::warn!(write_id = %write.id, rule = rejection.rule, "write rejected");
                self.entries.push(Entry::new(&write, Outcome::Rejected(rejection)));
            }
        }
    }
}

/// Checks that a write can be put into a statement: a queue can be fed by hand, and a table can
/// change between the door and here. Puts its columns into the table's order.
fn check<'a>(catalog: &'a Catalog, write: &mut Write) -> Result<&'a Table, Rejection> {
    let Some(table) = catalog.table(&write.table) else {
        return Err(Rejection::by_rule("unknown-table", format!("no table \"{}\"", write.table)));
    };
    let place = |name: &str| table.columns.iter().position(|column| column.name == name);
    for (name, value) in &write.row {
        let rejection = |rule: &str, reason: String| Rejection {
            column: Some(name.clone()),
            ..Rejection::by_rule(rule, reason)
        };
        match table.column(name) {
            None => return Err(rejection("unknown-column", row::unknown_column(table, name))),
            Some(column) if !column.is_writable() => {
                return Err(rejection("generated", "the database makes this value".to_owned()));
            }
            Some(_) => {}
        }
        if value.as_deref().is_some_and(|value| value.contains('\0')) {
            return Err(rejection(
                "unsupported-character",
                "PostgreSQL's text holds no U+0000".to_owned(),
            ));
        }
    }
    write.row.sort_by_key(|(name, _)| place(name));
    if write.row.windows(2).any(|pair| pair[0].0 == pair[1].0) {
        return Err(Rejection::by_rule("duplicate-member", "a column stands twice"));
    }
    // The key is what the row says it is.
    write.key = Key::of_row(table, |name| write.cell(name).flatten());
    let needs_key = !matches!(write.operation, Operation::Insert);
    if needs_key && write.key.is_none() {
        return Err(Rejection::by_rule("required", "the row has no key"));
    }
    let sets_nothing = write.row.iter().all(|(name, _)| table.primary_key.contains(name));
    if write.row.is_empty() || (write.operation == Operation::Update && sets_nothing) {
        return Err(Rejection::by_rule("empty", "the write names no column to set"));
    }
    if write.operation == Operation::Delete {
        write.row.retain(|(name, _)| table.primary_key.contains(name));
    }
    Ok(table)
}

fn sent_at_ms(message: &SqsMessage) -> i64 {
    message.attributes.get("SentTimestamp").and_then(|sent| sent.parse().ok()).unwrap_or_default()
}

/// Settles a batch, and gives how many of its writes were found to be rejected on the way.
///
/// A call that fails because of its data ends the transaction; the next attempt runs that call's
/// rows one by one inside the server. So each call fails once at most.
async fn settle(apply: &Apply, batch: &Batch, deadline: Deadline) -> Result<usize, SyncError> {
    let calls = plan(&batch.items);
    let mut one_by_one: HashSet<usize> = HashSet::new();
    loop {
        let attempt = in_transaction(&apply.data_api, deadline, async |transaction| {
            let mut rejected = record_early(transaction, &batch.entries).await?;
            for (place, call) in calls.iter().enumerate() {
                let context = CallContext::of(apply, batch, call)?;
                if one_by_one.contains(&place) {
                    rejected += context.run_one_by_one(transaction).await?;
                    continue;
                }
                match context.run(transaction).await {
                    Ok(()) => {}
                    Err(error) if error.disposition() == Disposition::Reject => {
                        return Ok(End::Rollback(Attempt::Spoilt(place)));
                    }
                    Err(error) => return Err(error.into()),
                }
            }
            Ok(End::Commit(Attempt::Settled(rejected)))
        });
        match attempt.await {
            Ok(Attempt::Settled(rejected)) => return Ok(rejected),
            Ok(Attempt::Spoilt(place)) => {
                one_by_one.insert(place);
            }
            // A deferred constraint spoke at the commit, which does not say whose row it was.
            Err(SyncError::Database(error))
                if error.is_refused_commit() && one_by_one.len() < calls.len() =>
            {
                one_by_one.extend(0..calls.len());
            }
            Err(error) => return Err(error),
        }
    }
}

/// How an attempt at a batch ended.
#[derive(Debug)]
enum Attempt {
    Settled(usize),
    /// The call at this place failed because of its data.
    Spoilt(usize),
}

/// Records what was rejected before it met the database, unless an earlier delivery did.
async fn record_early(
    transaction: &Transaction<'_>,
    entries: &[Entry],
) -> Result<usize, SyncError> {
    if entries.is_empty() {
        return Ok(0);
    }
    let settled = ledger::settled(transaction, entries.iter().map(Entry::id)).await?;
    let fresh: Vec<_> =
        entries.iter().filter(|entry| !settled.contains(&entry.id())).cloned().collect();
    ledger::record(transaction, &fresh).await?;
    Ok(fresh.len())
}

/// One planned call and what it is about.
#[derive(Debug)]
struct CallContext<'a> {
    batch: &'a Batch,
    call: &'a Call<Group>,
    table: &'a Table,
    columns: Vec<&'a Column>,
}

impl<'a> CallContext<'a> {
    fn of(apply: &'a Apply, batch: &'a Batch, call: &'a Call<Group>) -> Result<Self, SyncError> {
        let unknown =
            || SyncError::Inconsistent("a planned column is not in the catalog".to_owned());
        let table = apply.catalog.table(&call.group.table).ok_or_else(unknown)?;
        let columns =
            call.group.columns.iter().map(|name| table.column(name)).collect::<Option<_>>();
        Ok(Self { batch, call, table, columns: columns.ok_or_else(unknown)? })
    }

    /// All rows at once.
    async fn run(&self, transaction: &Transaction<'_>) -> Result<(), DataApiError> {
        let sql = statement::settle_writes(self.table, self.call.group.operation, &self.columns);
        let sets = self.call.sets.iter().map(|rows| self.parameter_set(rows)).collect();
        transaction.batch_execute(&sql, sets).await
    }

    fn parameter_set(&self, rows: &[usize]) -> Vec<Parameter> {
        let writes: Vec<_> = rows.iter().map(|&row| &self.batch.writes[row]).collect();
        let ids: Vec<_> = writes.iter().map(|write| write.id.to_string()).collect();
        let keys: Vec<_> =
            writes.iter().map(|write| write.key.as_ref().map(ToString::to_string)).collect();
        let cells: Vec<_> = rows.iter().map(|&row| &self.batch.cells[row]).collect();
        let mut parameters = vec![
            text_column("id", ids.iter().map(|id| Some(id.as_str()))),
            number_column("accepted_at", writes.iter().map(|write| write.accepted_at_ms)),
            text_column("key", keys.iter().map(Option::as_deref)),
        ];
        parameters.extend(column_parameters(&cells));
        parameters
    }

    /// Row by row inside the server; gives how many were rejected.
    async fn run_one_by_one(&self, transaction: &Transaction<'_>) -> Result<usize, SyncError> {
        let operation = self.call.group.operation;
        let sql = statement::one_row(self.table, operation, &self.columns);
        let mut rejected = 0;
        for set in &self.call.sets {
            let ids = set.iter().map(|&row| self.batch.writes[row].id);
            let settled = ledger::settled(transaction, ids).await?;
            let fresh: Vec<usize> = set
                .iter()
                .copied()
                .filter(|&row| !settled.contains(&self.batch.writes[row].id))
                .collect();
            let cells: Vec<_> = fresh.iter().map(|&row| &self.batch.cells[row]).collect();
            let mut outcomes = vec![Outcome::Applied; fresh.len()];
            for missed in isolate(transaction, &sql, &cells).await? {
                outcomes[missed.row] = match missed.error {
                    Some(error) => Outcome::Rejected(error.into()),
                    None if operation == Operation::Update => Outcome::Rejected(
                        Rejection::by_rule("row-missing", "there is no row with this key"),
                    ),
                    None => Outcome::Unchanged,
                };
            }
            let entries: Vec<_> = fresh
                .iter()
                .zip(outcomes)
                .map(|(&row, outcome)| Entry::new(&self.batch.writes[row], outcome))
                .collect();
            for entry in &entries {
                if let Some(rejection) = entry.rejection() {
                    rejected += 1;
                    tracing::warn!(
                        write_id = %entry.id(),
                        table = self.call.group.table,
                        sqlstate = rejection.sqlstate,
                        rule = rejection.rule,
                        "write rejected"
                    );
                }
            }
            ledger::record(transaction, &entries).await?;
        }
        Ok(rejected)
    }
}
