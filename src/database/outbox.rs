//! The outbox: the events that are committed and not published yet (`sync.event`).

use uuid::Uuid;

use crate::aws::data_api::DataApi;
use crate::aws::event_bus::{OutgoingEvent, PUT_BYTES_MAX, PUT_MAX};
use crate::database::parameter_set::text_column;
use crate::database::transaction::{Transaction, awake};
use crate::domain::deadline::Deadline;
use crate::domain::error::SyncError;
use crate::domain::field::{Parameter, Record, parameter};

/// Makes the event of the writes that the transaction has rejected. Returns true if there are any.
const TELL_REJECTED: &str = "SELECT sync.tell_rejected(:ids::uuid[])";

/// Deletes the published events, and returns the next ones that fit into one call of `PutEvents`:
/// first those of some writes or imports, then those whose own worker has had a minute for them.
/// (The statement does not see its own deletes.)
const NEXT: &str = "WITH gone AS (DELETE FROM sync.event WHERE id = ANY (:published::uuid[]))
SELECT id::text, kind, detail, (extract(epoch FROM created_at) * 1000)::bigint FROM (
  SELECT *, row_number() OVER oldest AS place, sum(octet_length(detail)) OVER oldest AS bytes
  FROM sync.event
  WHERE (subjects && :subjects::uuid[] OR created_at < clock_timestamp() - interval '1 minute')
    AND id <> ALL (:published::uuid[]) AND id <> ALL (:refused::uuid[])
  WINDOW oldest AS (ORDER BY subjects && :subjects::uuid[] DESC, created_at, id)
) AS event
WHERE place <= :count::bigint AND (bytes <= :bytes::bigint OR place = 1)
ORDER BY place";

/// Makes the event of the writes that the transaction has rejected, of those with these ids.
/// Returns `true` if there are any.
pub async fn tell_rejected(
    transaction: &Transaction<'_>,
    ids: impl IntoIterator<Item = Uuid>,
) -> Result<bool, SyncError> {
    let records = transaction.execute(TELL_REJECTED, vec![id_column("ids", ids)]).await?;
    let is_told = records.first().and_then(|record| record.first()?.as_boolean());
    is_told.ok_or_else(|| SyncError::Inconsistent("the outbox does not answer".to_owned()))
}

/// Deletes the published events, and returns the next ones: at most [`PUT_MAX`], of
/// [`PUT_BYTES_MAX`]. Those of the subjects come first. Leaves out the refused ones.
pub async fn next(
    data_api: &DataApi,
    published: &[Uuid],
    refused: &[Uuid],
    subjects: &[Uuid],
    deadline: Deadline,
) -> Result<Vec<OutgoingEvent>, SyncError> {
    let parameters = vec![
        id_column("published", published.iter().copied()),
        id_column("refused", refused.iter().copied()),
        id_column("subjects", subjects.iter().copied()),
        parameter("count", PUT_MAX.to_string()),
        parameter("bytes", PUT_BYTES_MAX.to_string()),
    ];
    let next =
        awake(deadline, async || data_api.execute(None, NEXT, parameters.clone()).await).await?;
    let event = |record: &Record| {
        Some(OutgoingEvent {
            id: record.first()?.as_text()?.parse().ok()?,
            kind: record.get(1)?.as_text()?.to_owned(),
            detail: record.get(2)?.as_text()?.to_owned(),
            created_at_ms: record.get(3)?.as_long()?,
        })
    };
    let events = next.iter().map(event).collect::<Option<_>>();
    events.ok_or_else(|| SyncError::Inconsistent("an event in sync.event is unreadable".to_owned()))
}

fn id_column(name: &'static str, ids: impl IntoIterator<Item = Uuid>) -> Parameter {
    let ids: Vec<_> = ids.into_iter().map(|id| id.to_string()).collect();
    text_column(name, ids.iter().map(|id| Some(id.as_str())))
}
