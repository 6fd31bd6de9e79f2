//! The ledger of writes and their outcomes (`sync.write`).
//!
//! Holds the statements that read and fill it. [`crate::database::statement`] makes the statements
//! that they run.

use std::collections::{BTreeMap, HashSet};

use uuid::Uuid;
use wording::shortened;

use crate::aws::data_api::DataApi;
use crate::database::parameter_set::{number_column, text_column};
use crate::database::plan::CALL_BYTES_MAX;
use crate::database::transaction::Transaction;
use crate::domain::error::{DataApiError, SyncError};
use crate::domain::field::{Parameter, Record, storable};
use crate::domain::key::Key;
use crate::domain::rejection::Rejection;
use crate::domain::value::array_literal::{array_literal, encoded_len};
use crate::domain::write::Write;

const SETTLED: &str = "SELECT id::text FROM sync.write WHERE id = ANY(:id::uuid[])";

/// A second payload under an Idempotency-Key is settled under an id of its own.
const ARE_SETTLED: &str = "SELECT NOT EXISTS (
  SELECT FROM unnest(:id::uuid[], :fingerprint::text[]) AS asked (id, fingerprint)
  WHERE NOT EXISTS (
    SELECT FROM sync.write AS write
    WHERE write.id IN (asked.id, sync.reused_id(asked.id, asked.fingerprint))
      AND write.fingerprint IS NOT DISTINCT FROM asked.fingerprint
  )
)";

/// The group is blocked since the error was first met by one of these writes.
const RECORD_BLOCKED: &str = "INSERT INTO sync.blocked AS known (message_group, write_ids, callers, cause)
SELECT message_group, write_ids::uuid[], callers::text[], cause
FROM unnest(:message_group::text[], :write_ids::text[], :callers::text[], :cause::text[])
  AS blocked (message_group, write_ids, callers, cause)
ON CONFLICT (message_group) DO UPDATE SET write_ids = EXCLUDED.write_ids, callers = EXCLUDED.callers,
  cause = EXCLUDED.cause, tried_at = EXCLUDED.tried_at,
  blocked_at = CASE WHEN known.cause = EXCLUDED.cause AND known.write_ids && EXCLUDED.write_ids
    THEN known.blocked_at ELSE EXCLUDED.blocked_at END";

const REJECTED: &str =
    "SELECT id::text, table_name, rule, sqlstate, caller, request_id::text FROM sync.write
WHERE id = ANY(:id::uuid[]) AND outcome = 'rejected'";

const SETTLED_FINGERPRINTS: &str =
    "SELECT id::text, fingerprint FROM sync.write WHERE id = ANY(:id::uuid[])";

/// Looks up each write alone, since joins could read the whole ledger. A write that changed nothing
/// does not count if it is of another caller, who may not have seen the row. For a write without a
/// key, any later write of the table counts.
pub const OVERTAKEN: &str = "SELECT resent.id::text
FROM unnest(:id::uuid[], :table_name::text[], :key::text[], :accepted_at_ms::bigint[], :caller::text[])
  AS resent (id, table_name, key, accepted_at_ms, caller)
WHERE (SELECT own.id FROM sync.write AS own WHERE own.id = resent.id) IS NULL
AND (
  EXISTS (
    SELECT FROM sync.write AS later
    WHERE hashtextextended(later.table_name, 0) = hashtextextended(resent.table_name, 0)
    AND hashtextextended(later.key, 0) = hashtextextended(resent.key, 0)
    AND later.table_name = resent.table_name AND later.key = resent.key AND later.outcome <> 'rejected'
    AND NOT (later.outcome = 'unchanged' AND later.with_claims IS TRUE AND later.caller IS DISTINCT FROM resent.caller
      AND later.operation IN ('delete', 'insert_ignore'))
    AND (later.accepted_at, later.id) > (to_timestamp(resent.accepted_at_ms / 1000.0), resent.id)
    AND (later.accepted_at > to_timestamp(resent.accepted_at_ms / 1000.0) OR later.id <> ALL (:id::uuid[]))
  )
  OR resent.key IS NULL AND EXISTS (
    SELECT FROM sync.write AS later
    WHERE hashtextextended(later.table_name, 0) = hashtextextended(resent.table_name, 0)
    AND later.table_name = resent.table_name AND later.key IS NOT NULL AND later.outcome <> 'rejected'
    AND (later.accepted_at, later.id) > (to_timestamp(resent.accepted_at_ms / 1000.0), resent.id)
    AND (later.accepted_at > to_timestamp(resent.accepted_at_ms / 1000.0) OR later.id <> ALL (:id::uuid[]))
  )
)";

/// Skips entries that are recorded already: an entry changes nothing else. If another payload has
/// its id, an entry gets an id of its own.
const RECORD: &str = "INSERT INTO sync.write (id, table_name, key, operation, outcome, rule, sqlstate, reason,
  constraint_name, column_name, payload, fingerprint, accepted_at, idempotency_id, caller,
  with_claims, request_id)
SELECT CASE WHEN known.id IS NULL THEN entry.id ELSE sync.reused_id(entry.id, entry.fingerprint) END,
  entry.table_name, entry.key, entry.operation, 'rejected', entry.rule, entry.sqlstate, entry.reason,
  entry.constraint_name, entry.column_name, entry.payload, entry.fingerprint, to_timestamp(accepted_at_ms / 1000.0),
  known.id, entry.caller, nullif(entry.with_claims, false), entry.request_id
FROM unnest(:id::uuid[], :table_name::text[], :key::text[], :operation::text[],
  :rule::text[], :sqlstate::text[], :reason::text[], :constraint_name::text[], :column_name::text[],
  :payload::text[], :fingerprint::text[], :accepted_at_ms::bigint[], :caller::text[],
  :with_claims::boolean[], :request_id::uuid[])
  AS entry (id, table_name, key, operation, rule, sqlstate, reason, constraint_name,
    column_name, payload, fingerprint, accepted_at_ms, caller, with_claims, request_id)
LEFT JOIN LATERAL (
  SELECT id FROM sync.write WHERE id = entry.id AND fingerprint IS DISTINCT FROM entry.fingerprint
    AND entry.fingerprint IS NOT NULL
) AS known ON true
ON CONFLICT (id) DO NOTHING";

/// A write that is settled already keeps its record.
const RECORD_RESENDS: &str = "INSERT INTO sync.resend (id, resend_of)
SELECT id, resend_of FROM unnest(:id::uuid[], :resend_of::uuid[]) AS sent (id, resend_of)
ON CONFLICT (id) DO NOTHING";

/// Returns the SQL text that runs a statement over a set of writes without bad rows, and records
/// their outcomes.
pub fn settle_sql(columns: usize) -> String {
    format!(
        "{SETTLE} sync.settle(:statement::text, :table_path::text, :operation::text,
  {}, :callers::text[], :request_ids::uuid[], :claims::text, :time_ms::integer)",
        columns_array(columns)
    )
}

/// Returns the SQL text that does the same as [`settle_sql`] for a set with bad rows.
pub fn settle_bisected_sql(columns: usize) -> String {
    format!(
        "{SETTLE} sync.settle_bisected(:statement::text, :table_path::text, :operation::text,
  {},
  :callers::text[], :request_ids::uuid[], :claims::text, :column_names::text[], :types::text[], :is_immediate::boolean,
  :of_table::text, :adds::text, :time_ms::integer)",
        columns_array(columns)
    )
}

/// Tries the rejected writes of a batch together that may refer to each other
/// (`sync.settle_together`).
pub const SETTLE_TOGETHER: &str = "INSERT INTO sync.write SELECT * FROM sync.settle_together(:ids::uuid[],
  :claims_of::integer[], :claims::text[], :table_paths::text[], :operations::text[], :column_names::text[], :statements::text[], :of_tables::text[])";

/// `ARRAY[…, :c1::text, :c2::text]`. Each column is a parameter of its own: a literal within a
/// literal would be escaped twice.
fn columns_array(columns: usize) -> String {
    let own = ["ids", "accepted_at_ms", "keys", "fingerprints"].map(str::to_owned);
    let columns = own.into_iter().chain((1..=columns).map(|index| format!("c{index}")));
    let columns: Vec<_> = columns.map(|name| format!(":{name}::text")).collect();
    format!("ARRAY[{}]", columns.join(", "))
}

/// Inserts into the ledger by the statement that changes the data, so that they stand or fall
/// together.
const SETTLE: &str = "INSERT INTO sync.write SELECT * FROM";

/// The end of the year 9999, in milliseconds since 1970. No clock shows a later time.
pub const TIME_MS_MAX: i64 = 253_402_300_799_999;

/// One row of the ledger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    id: Uuid,
    table: Option<String>,
    key: Option<String>,
    operation: &'static str,
    rejection: Rejection,
    payload: Option<String>,
    fingerprint: Option<String>,
    accepted_at_ms: i64,
    caller: Option<String>,
    with_claims: bool,
    request_id: Option<Uuid>,
    resend_of: Option<Uuid>,
}

impl Entry {
    pub fn rejected(write: &Write, rejection: Rejection) -> Self {
        Self {
            id: write.id,
            fingerprint: write.fingerprint.as_deref().map(storable),
            table: Some(storable(&shortened(&write.table, TABLE_CHARS_MAX))),
            key: write.key.as_ref().map(|key| storable(&key.to_string())),
            operation: write.operation.as_str(),
            rejection,
            payload: Some(kept(&payload(write))),
            accepted_at_ms: write.accepted_at_ms.clamp(0, TIME_MS_MAX),
            caller: write.caller.principal.as_deref().map(storable),
            with_claims: write.caller.claims.is_some(),
            request_id: write.caller.request_id,
            resend_of: write.caller.resend_of,
        }
    }

    /// Makes the entry of a message that cannot be read. U+0000 is left out, since PostgreSQL's
    /// `text` cannot hold it.
    pub fn unreadable(id: Uuid, reason: String, body: &str, sent_at_ms: i64) -> Self {
        Self {
            id,
            table: None,
            key: None,
            operation: "unreadable",
            rejection: Rejection::by_rule("unreadable", reason),
            payload: Some(kept(body)),
            fingerprint: None,
            accepted_at_ms: sent_at_ms.clamp(0, TIME_MS_MAX),
            caller: None,
            with_claims: false,
            request_id: None,
            resend_of: None,
        }
    }

    /// Replaces the payload, for a write whose row the worker does not have as cells.
    #[must_use]
    pub fn with_payload(self, payload: &str) -> Self {
        Self { payload: Some(kept(payload)), ..self }
    }

    pub fn id(&self) -> Uuid {
        self.id
    }

    /// Returns the write and the rejected one whose payload it has, if it was sent again.
    pub fn resend(&self) -> Option<(Uuid, Uuid)> {
        Some((self.id, self.resend_of?))
    }

    pub fn fingerprint(&self) -> Option<&str> {
        self.fingerprint.as_deref()
    }

    fn size_bytes(&self) -> usize {
        // 512 bytes hold all ids, words and numbers.
        512 + encoded_len(self.payload.as_deref())
            + encoded_len(self.key.as_deref())
            + encoded_len(self.caller.as_deref())
            + encoded_len(Some(&self.rejection.reason))
    }
}

/// The longest name of a table that is kept, in characters. Names of PostgreSQL are far shorter.
const TABLE_CHARS_MAX: usize = 1_000;

/// The most bytes of a payload in a call of the Data API. A message of 1 MiB, the largest one of
/// SQS, can take more than a whole call.
const PAYLOAD_BYTES_MAX: usize = CALL_BYTES_MAX / 2;

/// The length to which a payload is cut that takes more, in characters: 6 bytes each at most.
const PAYLOAD_CHARS_MAX: usize = PAYLOAD_BYTES_MAX / 8;

/// Returns a payload as the ledger can keep it.
fn kept(payload: &str) -> String {
    match encoded_len(Some(payload)) {
        0..=PAYLOAD_BYTES_MAX => storable(payload),
        _ => storable(&shortened(payload, PAYLOAD_CHARS_MAX)),
    }
}

/// Returns a write as the ledger keeps it for repair, its columns as PostgreSQL's text. The
/// statements of [`crate::database::statement`] make the same inside the server.
fn payload(write: &Write) -> String {
    let precondition = write.precondition.as_ref();
    let precondition =
        precondition.map(|known| (known.header().to_owned(), Some(known.value().to_owned())));
    let cells = precondition.into_iter().chain(write.row.iter().cloned());
    let row: serde_json::Map<_, _> = cells.map(|(name, value)| (name, value.into())).collect();
    let operation = write.operation.as_str();
    serde_json::json!({ "table": write.table, "operation": operation, "row": row }).to_string()
}

/// Returns the ids of the writes that are settled.
pub async fn settled(
    transaction: &Transaction<'_>,
    ids: impl IntoIterator<Item = Uuid>,
) -> Result<HashSet<Uuid>, SyncError> {
    Ok(ids_of(&transaction.execute(SETTLED, vec![id_column(ids)]).await?))
}

/// Tells if all of these writes, by ids and fingerprints, are settled and committed.
pub async fn are_settled(
    data_api: &DataApi,
    writes: impl IntoIterator<Item = (Uuid, Option<&str>)>,
) -> Result<bool, SyncError> {
    let (ids, fingerprints): (Vec<_>, Vec<_>) =
        writes.into_iter().map(|(id, fingerprint)| (id.to_string(), fingerprint)).unzip();
    let parameters = vec![
        text_column("id", ids.iter().map(|id| Some(id.as_str()))),
        text_column("fingerprint", fingerprints),
    ];
    let records = data_api.execute(None, ARE_SETTLED, parameters).await?;
    let are_settled = records.first().and_then(|record| record.first()?.as_boolean());
    are_settled.ok_or_else(|| SyncError::Inconsistent("the ledger does not answer".to_owned()))
}

/// Returns the ids and fingerprints of the writes that are settled. Payloads under one
/// Idempotency-Key differ by the fingerprint.
pub async fn settled_fingerprints(
    data_api: &DataApi,
    ids: impl IntoIterator<Item = Uuid>,
) -> Result<HashSet<(Uuid, Option<String>)>, DataApiError> {
    let records = data_api.execute(None, SETTLED_FINGERPRINTS, vec![id_column(ids)]).await?;
    let fingerprint = |record: &Record| Some(record.get(1)?.as_text()?.to_owned());
    Ok(records
        .iter()
        .filter_map(|record| Some((record.first()?.as_text()?.parse().ok()?, fingerprint(record))))
        .collect())
}

/// Returns the writes of a message that are not settled, although a later write of their row is.
/// Writes of the message itself do not overtake each other: a message may be settled in several
/// transactions, in the order of its writes.
///
/// If keys cannot be compared ([`Key::is_comparable`]), any later write of the table counts: to
/// reject a write is better than to undo another one silently. Of two writes of one request, the
/// later one has the greater id. Ids that come from an Idempotency-Key have no order; such writes
/// meet here only if the first of two messages of their request was set aside.
pub async fn overtaken(
    data_api: &DataApi,
    writes: &[&Write],
) -> Result<HashSet<Uuid>, DataApiError> {
    let ids: Vec<_> = writes.iter().map(|write| write.id.to_string()).collect();
    let callers = writes.iter().map(|write| write.caller.principal.as_deref().map(storable));
    let callers: Vec<_> = callers.collect();
    let comparable = |key: &Key| key.is_comparable().then(|| key.to_string());
    let keys: Vec<_> = writes.iter().map(|write| write.key.as_ref().and_then(comparable)).collect();
    let parameters = vec![
        text_column("id", ids.iter().map(|id| Some(id.as_str()))),
        text_column("table_name", writes.iter().map(|write| Some(write.table.as_str()))),
        text_column("key", keys.iter().map(Option::as_deref)),
        number_column("accepted_at_ms", writes.iter().map(|write| write.accepted_at_ms)),
        text_column("caller", callers.iter().map(Option::as_deref)),
    ];
    Ok(ids_of(&data_api.execute(None, OVERTAKEN, parameters).await?))
}

/// Records which writes have the payloads of which rejected ones, if any have.
pub async fn record_resends(
    transaction: &Transaction<'_>,
    resends: &[(Uuid, Uuid)],
) -> Result<(), SyncError> {
    if resends.is_empty() {
        return Ok(());
    }
    let (ids, resend_of): (Vec<_>, Vec<_>) =
        resends.iter().map(|(id, old)| (id.to_string(), old.to_string())).unzip();
    let parameters = vec![
        text_column("id", ids.iter().map(|id| Some(id.as_str()))),
        text_column("resend_of", resend_of.iter().map(|id| Some(id.as_str()))),
    ];
    transaction.execute(RECORD_RESENDS, parameters).await?;
    Ok(())
}

fn id_column(ids: impl IntoIterator<Item = Uuid>) -> Parameter {
    let ids: Vec<_> = ids.into_iter().map(|id| id.to_string()).collect();
    text_column("id", ids.iter().map(|id| Some(id.as_str())))
}

fn ids_of(records: &[Record]) -> HashSet<Uuid> {
    records.iter().filter_map(|record| record.first()?.as_text()?.parse().ok()).collect()
}

/// A rejected write without its values, for the log.
#[derive(Debug)]
pub struct Rejected {
    pub id: String,
    pub table: String,
    pub rule: String,
    pub sqlstate: Option<String>,
    pub caller: Option<String>,
    /// The request that brought it.
    pub request_id: Option<String>,
}

/// Returns the writes that are rejected.
pub async fn rejected(
    transaction: &Transaction<'_>,
    ids: impl IntoIterator<Item = Uuid>,
) -> Result<Vec<Rejected>, SyncError> {
    let records = transaction.execute(REJECTED, vec![id_column(ids)]).await?;
    let text = |record: &Record, index: usize| record.get(index)?.as_text().map(str::to_owned);
    Ok(records
        .iter()
        .map(|record| Rejected {
            id: text(record, 0).unwrap_or_default(),
            table: text(record, 1).unwrap_or_default(),
            rule: text(record, 2).unwrap_or_default(),
            sqlstate: text(record, 3),
            caller: text(record, 4),
            request_id: text(record, 5),
        })
        .collect())
}

/// The writes of a message group that wait for a person.
#[derive(Debug, Default)]
pub struct Blocked {
    /// The rule, or the code of the error.
    pub cause: Option<String>,
    /// The ids of the writes, each with the principal of its caller.
    pub writes: Vec<(Uuid, Option<String>)>,
}

/// Records the groups that wait for a person.
pub async fn record_blocked(
    data_api: &DataApi,
    groups: &BTreeMap<&str, Blocked>,
) -> Result<(), DataApiError> {
    let (ids, callers): (Vec<_>, Vec<_>) = groups
        .values()
        .map(|group| {
            let ids: Vec<_> = group.writes.iter().map(|(id, _)| id.to_string()).collect();
            let callers = group.writes.iter().map(|(_, caller)| caller.as_deref());
            (array_literal(ids.iter().map(|id| Some(id.as_str()))), array_literal(callers))
        })
        .unzip();
    let parameters = vec![
        text_column("message_group", groups.keys().map(|group| Some(*group))),
        text_column("write_ids", ids.iter().map(|ids| Some(ids.as_str()))),
        text_column("callers", callers.iter().map(|callers| Some(callers.as_str()))),
        text_column("cause", groups.values().map(|group| group.cause.as_deref())),
    ];
    data_api.execute(None, RECORD_BLOCKED, parameters).await.map(|_| ())
}

/// Records the outcomes of writes that are rejected without their table.
pub async fn record(transaction: &Transaction<'_>, entries: &[Entry]) -> Result<(), SyncError> {
    let mut rest = entries;
    while !rest.is_empty() {
        let (piece, later) = rest.split_at(fitting(rest));
        rest = later;
        transaction.change_rows(RECORD, vec![parameters(piece)]).await?;
    }
    Ok(())
}

/// Returns how many entries fit one call, at least one.
fn fitting(entries: &[Entry]) -> usize {
    let mut bytes = 0;
    let fits = entries.iter().take_while(|entry| {
        bytes += entry.size_bytes();
        bytes <= CALL_BYTES_MAX
    });
    fits.count().max(1)
}

fn parameters(entries: &[Entry]) -> Vec<Parameter> {
    let ids: Vec<_> = entries.iter().map(|entry| entry.id.to_string()).collect();
    let request_ids = entries.iter().map(|entry| entry.request_id.map(|id| id.to_string()));
    let request_ids: Vec<_> = request_ids.collect();
    let of_rejection = |pick: fn(&Rejection) -> Option<&str>| {
        entries.iter().map(move |entry| pick(&entry.rejection))
    };
    vec![
        text_column("id", ids.iter().map(|id| Some(id.as_str()))),
        text_column("table_name", entries.iter().map(|entry| entry.table.as_deref())),
        text_column("key", entries.iter().map(|entry| entry.key.as_deref())),
        text_column("operation", entries.iter().map(|entry| Some(entry.operation))),
        text_column("rule", of_rejection(|rejection| Some(&rejection.rule))),
        text_column("sqlstate", of_rejection(|rejection| rejection.sqlstate.as_deref())),
        text_column("reason", of_rejection(|rejection| Some(&rejection.reason))),
        text_column("constraint_name", of_rejection(|rejection| rejection.constraint.as_deref())),
        text_column("column_name", of_rejection(|rejection| rejection.column.as_deref())),
        text_column("payload", entries.iter().map(|entry| entry.payload.as_deref())),
        text_column("fingerprint", entries.iter().map(|entry| entry.fingerprint.as_deref())),
        number_column("accepted_at_ms", entries.iter().map(|entry| entry.accepted_at_ms)),
        text_column("caller", entries.iter().map(|entry| entry.caller.as_deref())),
        text_column(
            "with_claims",
            entries.iter().map(|entry| Some(if entry.with_claims { "true" } else { "false" })),
        ),
        text_column("request_id", request_ids.iter().map(Option::as_deref)),
    ]
}
