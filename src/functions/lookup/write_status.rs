//! `GET /_sync/writes/{id}`: the state of a write.
//!
//! The status URL of a write with an Idempotency-Key has the fingerprint of its payload
//! (`?fingerprint=…`). If the ledger has another payload with its id, this one is or will be
//! rejected with an id made from both.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aurora_sync_catalog::{Catalog, Table};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::payload::ShownPayload;
use super::reader::Reader;
use crate::api::http::{Request, Response, Route};
use crate::api::link;
use crate::api::problem::{Kind, Problem};
use crate::api::query::Query;
use crate::api::worker_tables::{Records, write_columns};
use crate::domain::field::{Field, null, parameter, storable};

/// The longest time of a write in the queues: 14 days in each of the two, and a day of margin.
const PENDING_MAX: Duration = Duration::from_hours(29 * 24);

/// The way out for an insert whose key exists.
const HINT: &str = "CASE WHEN sqlstate = '23505' AND operation = 'insert' AND EXISTS (
       SELECT FROM pg_constraint WHERE conname = constraint_name AND contype = 'p')
     THEN 'PUT updates the row that has the key; POST with Prefer: resolution=merge-duplicates inserts or updates.' END";

/// Returns the SELECT of a status: the ledger's entry, all payloads of its Idempotency-Key, and the
/// cause for which it waits. Of the rows that a write with a key may have, only one has its
/// fingerprint.
fn write_status(records: Records) -> String {
    let columns = write_columns(records);
    let may_see = records.condition("caller");
    let readable = records.readable();
    let may_see_blocked = records.condition("callers[array_position(write_ids, :id::uuid)]");
    format!(
        "SELECT
  (SELECT row_to_json(found)::text FROM (
    SELECT :id::uuid AS id, {columns}, {HINT} AS hint, id AS own_id,
      CASE WHEN outcome = 'rejected' AND (SELECT of_rows FROM {readable}) THEN payload END AS payload,
      (SELECT resend_of FROM sync.resend WHERE resend.id = :id::uuid) AS resend_of,
      (SELECT json_agg(resend.id ORDER BY recorded_at) FROM sync.resend
        WHERE resend.resend_of = :id::uuid AND EXISTS (SELECT FROM sync.write AS again WHERE again.id = resend.id AND {may_see})
      ) AS resent_as
    FROM sync.write
    WHERE {may_see} AND id IN (:id::uuid, sync.reused_id(:id::uuid, :fingerprint::text))
      AND (:fingerprint::text IS NULL OR fingerprint = :fingerprint::text)
    ORDER BY id = :id::uuid DESC LIMIT 1
  ) AS found),
  (SELECT json_agg(json_build_object('own_id', id, 'outcome', outcome, 'rule', rule, 'accepted_at', accepted_at,
      'settled_at', settled_at) ORDER BY settled_at)::text
    FROM sync.write WHERE {may_see} AND (id = :id::uuid OR idempotency_id = :id::uuid)),
  (SELECT row_to_json(blocked)::text FROM (
    SELECT cause, blocked_at AS since, tried_at FROM sync.blocked
    WHERE :id::uuid = ANY (write_ids) AND {may_see_blocked} ORDER BY tried_at DESC LIMIT 1
  ) AS blocked)"
    )
}

/// The ledger's entry of a write.
#[derive(Debug, Serialize, Deserialize)]
struct Entry {
    id: Uuid,
    #[serde(skip_serializing)]
    own_id: Uuid,
    table: Option<String>,
    key: Option<String>,
    operation: String,
    outcome: String,
    rule: Option<String>,
    sqlstate: Option<String>,
    reason: Option<String>,
    /// The way out, where the reason is that the key exists.
    hint: Option<String>,
    constraint: Option<String>,
    column: Option<String>,
    accepted_at: String,
    settled_at: String,
    /// The principal who sent the write.
    caller: Option<String>,
    /// The id of the request that brought the write.
    request_id: Option<Uuid>,
    /// The payload of a rejected write, as the ledger has it.
    #[serde(default, skip_serializing)]
    payload: Option<String>,
    #[serde(rename = "payload", skip_deserializing, skip_serializing_if = "Option::is_none")]
    shown_payload: Option<ShownPayload>,
    /// The rejected write whose payload was sent again as this one.
    #[serde(skip_serializing_if = "Option::is_none")]
    resend_of: Option<Uuid>,
    /// The writes as which the payload of this one was sent again.
    #[serde(skip_serializing_if = "Option::is_none")]
    resent_as: Option<Vec<Uuid>>,
    /// A link to the row, if the write left it there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    row: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    other_payloads: Vec<Payload>,
    #[serde(default, skip_deserializing, skip_serializing_if = "Option::is_none")]
    detail: Option<&'static str>,
}

/// Another payload that was sent under the same Idempotency-Key. It has no fingerprint: a hash
/// could reveal a value that the caller may not read.
#[derive(Debug, Serialize, Deserialize)]
struct Payload {
    #[serde(skip_serializing)]
    own_id: Uuid,
    outcome: String,
    rule: Option<String>,
    accepted_at: String,
    settled_at: String,
}

/// The error that blocks the message group of a write.
#[derive(Debug, Serialize, Deserialize)]
struct Blocked {
    /// A rule, or the SQLSTATE of an error of PostgreSQL.
    cause: String,
    since: String,
    tried_at: String,
}

/// A write that is not in the ledger.
#[derive(Debug, Serialize)]
struct Pending {
    id: Uuid,
    outcome: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    blocked: Option<Blocked>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    other_payloads: Vec<Payload>,
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<&'static str>,
}

/// Returns the ledger's entry of a write. A write that is not there is pending, as long as the time
/// of its id permits.
pub(super) async fn respond(
    reader: &Reader<'_>,
    catalog: &Catalog,
    id: &str,
    request: &Request,
) -> Result<Response, Problem> {
    let id = Uuid::parse_str(id).map_err(|_| not_found())?;
    let mut fingerprint = null("fingerprint");
    for (name, value) in &request.query {
        if name != "fingerprint" || fingerprint.value.is_some() {
            let detail =
                "The status of a write supports fingerprint=, once, and no other parameter.";
            return Err(Problem::new(Kind::InvalidQuery, detail));
        }
        fingerprint.value = Some(storable(value));
    }
    let has_fingerprint = fingerprint.value.is_some();
    let records = Records::of(&request.caller);
    let mut parameters = vec![parameter("id", id.to_string()), fingerprint];
    parameters.extend(records.parameters(&request.caller));
    let query = Query { sql: write_status(records), parameters, has_unknown_types: false };
    let records = reader.run(query).await?;
    let record = records.first().map_or(&[][..], Vec::as_slice);
    let mut payloads: Vec<Payload> = parsed(record, 1)?.unwrap_or_default();
    let Some(mut settled) = parsed::<Entry>(record, 0)? else {
        return pending(id, payloads, parsed(record, 2)?);
    };
    settled.shown_payload = settled
        .payload
        .as_deref()
        .and_then(|payload| ShownPayload::of(catalog.table(settled.table.as_deref()?)?, payload));
    settled.row = row(catalog, &request.route, &settled);
    payloads.retain(|payload| payload.own_id != settled.own_id);
    settled.detail = (!has_fingerprint && !payloads.is_empty()).then_some(SEVERAL_PAYLOADS);
    settled.other_payloads = payloads;
    Ok(Response::json(200, &settled))
}

const SEVERAL_PAYLOADS: &str = "Several payloads were sent under this Idempotency-Key. This is the state of the first one; \
                                the others, in other_payloads, were not applied.";

/// Reads a field that holds JSON, or NULL.
fn parsed<T: for<'a> Deserialize<'a>>(
    record: &[Field],
    index: usize,
) -> Result<Option<T>, Problem> {
    let Some(text) = record.get(index).and_then(Field::as_text) else { return Ok(None) };
    serde_json::from_str(text)
        .map(Some)
        .map_err(|_| Problem::new(Kind::Internal, "The ledger has an entry of another form."))
}

/// Returns a link to the row that a write has left, if look-ups may read it.
fn row(catalog: &Catalog, from: &Route, settled: &Entry) -> Option<String> {
    if settled.outcome == "rejected" || settled.operation == "delete" {
        return None;
    }
    let table = catalog.table(settled.table.as_deref()?).filter(|table| table.is_readable())?;
    link::to_row(from, &Table::path(table), settled.key.as_deref()?)
}

fn pending(
    id: Uuid,
    other_payloads: Vec<Payload>,
    blocked: Option<Blocked>,
) -> Result<Response, Problem> {
    if !can_be_pending(id, SystemTime::now()) {
        return Err(not_found());
    }
    let detail = match &blocked {
        Some(blocked) => Some(cause(&blocked.cause)),
        None if !other_payloads.is_empty() => Some(
            "Another payload was settled under this Idempotency-Key. So this one is rejected when it is settled, or it was \
             never accepted.",
        ),
        None if id.get_version_num() == 8 => Some(
            "The id comes from an Idempotency-Key and has no time: the write is on its way, or none was accepted with this id.",
        ),
        None => None,
    };
    Ok(Response::json(200, &Pending { id, outcome: "pending", blocked, other_payloads, detail }))
}

/// Describes the error that blocks a message group, in words that hold no name and no value.
fn cause(cause: &str) -> &'static str {
    match cause {
        "unknown-table" | "unknown-column" => {
            "The database does not have the table or column of this write, or of one before it. A migration may bring it: the \
             write waits for an hour after its acceptance, and is rejected then."
        }
        "unreadable" => {
            "This write, or one before it, is of another version of aurora-sync. It waits for the end of a deployment."
        }
        "42501" => {
            "The user sync_writer lacks a right that this write, or one before it, needs. The writes wait until it is granted; \
             the log of the function apply names it."
        }
        "2200H" => {
            "A sequence of the table is exhausted. The writes wait until it can count on; the log of the function apply names it."
        }
        _ => {
            "An error that is not about a row blocks this write, or one before it. The writes wait until it is fixed; the log of \
             the function apply says what it is."
        }
    }
}

pub(super) fn not_found() -> Problem {
    let detail = "No write with this id is settled. It was not accepted, or the ledger has pruned it. A write of another \
                  producer may still wait in the queue.";
    Problem::new(Kind::WriteNotFound, detail)
}

/// Returns `true` if the id has a form of write ids, and its time does not rule out that the write
/// is pending.
pub(super) fn can_be_pending(id: Uuid, now: SystemTime) -> bool {
    match id.get_version_num() {
        7 => id.get_timestamp().is_some_and(|time| {
            let (seconds, nanoseconds) = time.to_unix();
            let accepted = UNIX_EPOCH + Duration::new(seconds, nanoseconds);
            // The clocks of two functions differ a little.
            let soon = now + Duration::from_mins(1);
            accepted <= soon && now.duration_since(accepted).unwrap_or_default() <= PENDING_MAX
        }),
        // The id comes from an Idempotency-Key.
        8 => true,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use uuid::{NoContext, Timestamp};

    use super::*;

    #[test]
    fn an_id_can_be_pending_only_after_its_own_time() {
        let day = Duration::from_hours(24);
        let accepted = UNIX_EPOCH + 20_000 * day;
        let seconds = accepted.duration_since(UNIX_EPOCH).unwrap().as_secs();
        let id = Uuid::new_v7(Timestamp::from_unix(NoContext, seconds, 0));
        assert!(can_be_pending(id, accepted));
        assert!(can_be_pending(id, accepted + 14 * day));
        assert!(!can_be_pending(id, accepted + 30 * day));
        assert!(!can_be_pending(id, accepted - day));
        assert!(!can_be_pending(Uuid::from_u128(1), accepted));
    }

    #[test]
    fn an_id_without_a_time_can_always_be_pending() {
        let id: Uuid = "6f9619ff-8b86-8011-b42d-00c04fc964ff".parse().unwrap();
        assert!(can_be_pending(id, UNIX_EPOCH));
    }
}
