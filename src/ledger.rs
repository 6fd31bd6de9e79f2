//! The ledger: what became of each write (`sync.write`).
//!
//! Owns the statements over it, except the one that settles writes together with their data
//! ([`crate::statement::settle_writes`]).

use std::collections::HashSet;

use uuid::Uuid;

use crate::array::encoded_len;
use crate::error::SyncError;
use crate::field::storable;
use crate::outcome::{Outcome, Rejection};
use crate::parameter_set::{number_column, text_column};
use crate::plan::CALL_BYTES_MAX;
use crate::transaction::Transaction;
use crate::write::Write;

const SETTLED: &str = "SELECT id::text FROM sync.write WHERE id = ANY(:id::uuid[])";

/// Fails where a write is settled already, so that the data that came before it rolls back.
const RECORD: &str = "INSERT INTO sync.write (id, table_name, key, operation, outcome, rule, sqlstate, reason,
  constraint_name, column_name, payload, accepted_at)
SELECT id, table_name, key, operation, outcome, rule, sqlstate, reason, constraint_name, column_name,
  payload, to_timestamp(accepted_at_ms / 1000.0)
FROM unnest(:id::uuid[], :table_name::text[], :key::text[], :operation::text[], :outcome::text[],
  :rule::text[], :sqlstate::text[], :reason::text[], :constraint_name::text[], :column_name::text[],
  :payload::text[], :accepted_at_ms::bigint[])
  AS entry (id, table_name, key, operation, outcome, rule, sqlstate, reason, constraint_name,
    column_name, payload, accepted_at_ms)";

/// One row of the ledger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    id: Uuid,
    table: Option<String>,
    key: Option<String>,
    operation: &'static str,
    outcome: Outcome,
    payload: Option<String>,
    accepted_at_ms: i64,
}

impl Entry {
    pub fn new(write: &Write, outcome: Outcome) -> Self {
        let payload = match outcome {
            Outcome::Rejected(_) => serde_json::to_string(write).ok(),
            Outcome::Applied | Outcome::Unchanged => None,
        };
        Self {
            id: write.id,
            table: Some(write.table.clone()),
            key: write.key.as_ref().map(ToString::to_string),
            operation: write.operation.as_str(),
            outcome,
            payload,
            accepted_at_ms: write.accepted_at_ms,
        }
    }

    /// A message that cannot be read. PostgreSQL's text holds no U+0000, so that is left out.
    pub fn unreadable(id: Uuid, reason: String, body: &str, sent_at_ms: i64) -> Self {
        Self {
            id,
            table: None,
            key: None,
            operation: "unreadable",
            outcome: Outcome::Rejected(Rejection::by_rule("unreadable", reason)),
            payload: Some(storable(body)),
            accepted_at_ms: sent_at_ms,
        }
    }

    pub fn id(&self) -> Uuid {
        self.id
    }

    pub fn rejection(&self) -> Option<&Rejection> {
        match &self.outcome {
            Outcome::Rejected(rejection) => Some(rejection),
            Outcome::Applied | Outcome::Unchanged => None,
        }
    }

    fn size_bytes(&self) -> usize {
        // Ids, words and numbers are short: 512 bytes hold them all.
        512 + encoded_len(self.payload.as_deref())
            + encoded_len(self.key.as_deref())
            + encoded_len(self.rejection().map(|rejection| rejection.reason.as_str()))
    }
}

/// Those of the writes that are settled already.
pub async fn settled(
    transaction: &Transaction<'_>,
    ids: impl IntoIterator<Item = Uuid>,
) -> Result<HashSet<Uuid>, SyncError> {
    let ids: Vec<_> = ids.into_iter().map(|id| id.to_string()).collect();
    let ids = text_column("id", ids.iter().map(|id| Some(id.as_str())));
    let records = transaction.execute(SETTLED, vec![ids]).await?;
    Ok(records.iter().filter_map(|record| record.first()?.as_text()?.parse().ok()).collect())
}

/// Records outcomes. Fails where a write is settled already.
pub async fn record(transaction: &Transaction<'_>, entries: &[Entry]) -> Result<(), SyncError> {
    let mut rest = entries;
    while !rest.is_empty() {
        let (piece, later) = rest.split_at(fitting(rest));
        rest = later;
        transaction.execute(RECORD, parameters(piece)).await?;
    }
    Ok(())
}

/// How many of the entries, one at least, fit one call.
fn fitting(entries: &[Entry]) -> usize {
    let mut bytes = 0;
    let fits = entries.iter().take_while(|entry| {
        bytes += entry.size_bytes();
        bytes <= CALL_BYTES_MAX
    });
    fits.count().max(1)
}

fn parameters(entries: &[Entry]) -> Vec<crate::field::Parameter> {
    let ids: Vec<_> = entries.iter().map(|entry| entry.id.to_string()).collect();
    let outcome = |entry: &Entry| match entry.outcome {
        Outcome::Applied => "applied",
        Outcome::Unchanged => "unchanged",
        Outcome::Rejected(_) => "rejected",
    };
    let of_rejection = |pick: fn(&Rejection) -> Option<&str>| {
        entries.iter().map(move |entry| entry.rejection().and_then(pick))
    };
    vec![
        text_column("id", ids.iter().map(|id| Some(id.as_str()))),
        text_column("table_name", entries.iter().map(|entry| entry.table.as_deref())),
        text_column("key", entries.iter().map(|entry| entry.key.as_deref())),
        text_column("operation", entries.iter().map(|entry| Some(entry.operation))),
        text_column("outcome", entries.iter().map(|entry| Some(outcome(entry)))),
        text_column("rule", of_rejection(|rejection| Some(&rejection.rule))),
        text_column("sqlstate", of_rejection(|rejection| rejection.sqlstate.as_deref())),
        text_column("reason", of_rejection(|rejection| Some(&rejection.reason))),
        text_column("constraint_name", of_rejection(|rejection| rejection.constraint.as_deref())),
        text_column("column_name", of_rejection(|rejection| rejection.column.as_deref())),
        text_column("payload", entries.iter().map(|entry| entry.payload.as_deref())),
        number_column("accepted_at_ms", entries.iter().map(|entry| entry.accepted_at_ms)),
    ]
}
