//! `GET /_sync/writes/{id}`: the state of a write.
//!
//! The status URL of a write with an Idempotency-Key has the fingerprint of its payload
//! (`?fingerprint=…`). If the ledger has another payload with its id, this one is or will be
//! rejected with an id made from both.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::Serialize;
use uuid::Uuid;

use super::reader::Reader;
use crate::api::http::{Request, Response};
use crate::api::problem::{Kind, Problem};
use crate::api::query::{Form, Query};
use crate::domain::field::{Field, null, parameter, storable};

/// The longest time of a write in the queues: 14 days in each of the two, and a day of margin.
const PENDING_MAX: Duration = Duration::from_hours(29 * 24);

/// The status of a write, without the key and the message of PostgreSQL if the reader may not read
/// what these can hold. Of the two rows that a write with a key may have, only one has its
/// fingerprint.
const WRITE_STATUS: &str = "SELECT row_to_json(found)::text FROM (
  SELECT id, table_name AS \"table\", CASE WHEN readable.of_key THEN key END AS key, operation, outcome, rule, sqlstate,
    CASE WHEN rule NOT IN ('database', 'unreadable')
      OR readable.of_rows AND (sqlstate IS DISTINCT FROM '23503' OR readable.of_neighbours) THEN reason
      WHEN reason IS NOT NULL THEN 'The message is withheld, since sync_reader may not read all that it can hold: see '
        || 'the column reason of sync.write.' END AS reason,
    CASE WHEN sqlstate = '23505' AND operation = 'insert' AND EXISTS (
        SELECT FROM pg_constraint WHERE conname = constraint_name AND contype = 'p')
      THEN 'PUT updates the row that has the key; POST with Prefer: resolution=merge-duplicates inserts or updates.'
      END AS hint,
    constraint_name AS \"constraint\", column_name AS \"column\", accepted_at, settled_at
  FROM sync.write, sync.readable(table_name) AS readable
  WHERE id IN (:id::uuid, sync.reused_id(:id::uuid, :fingerprint::text))
    AND (:fingerprint::text IS NULL OR fingerprint = :fingerprint::text)
) AS found";

/// A write that is not in the ledger.
#[derive(Debug, Serialize)]
struct Pending {
    id: Uuid,
    outcome: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<&'static str>,
}

/// Returns the ledger's entry of a write. A write that is not there is pending, as long as the time
/// of its id permits.
pub(super) async fn respond(
    reader: &Reader<'_>,
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
    let query = Query {
        sql: WRITE_STATUS.to_owned(),
        parameters: vec![parameter("id", id.to_string()), fingerprint],
        has_unknown_types: false,
    };
    let records = reader.run(query).await?;
    let settled = records.first().and_then(|record| record.first()).and_then(Field::as_text);
    if let Some(settled) = settled {
        return Ok(Response::new(200, Form::Json.media_type(), settled.to_owned()));
    }
    if !can_be_pending(id, SystemTime::now()) {
        return Err(not_found());
    }
    let detail = (id.get_version_num() == 8).then_some(
        "The id comes from an Idempotency-Key and has no time: the write is on its way, or none was accepted with this id.",
    );
    Ok(Response::json(200, &Pending { id, outcome: "pending", detail }))
}

pub(super) fn not_found() -> Problem {
    let detail = "No write was accepted with this id, or the ledger has pruned it.";
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
