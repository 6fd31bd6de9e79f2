//! The entry of an import in `sync.import`: its worker, its options and limits, its checkpoint, its
//! end.

use std::time::Duration;

use csv_stream::records::FilePosition;
use serde_json::Value;
use uuid::Uuid;

use super::read::chunk::Limits;
use super::read::source::{ImportRequest, Source};
use crate::aws::data_api::DataApi;
use crate::database::transaction::awake;
use crate::domain::deadline::Deadline;
use crate::domain::error::{DataApiError, SyncError};
use crate::domain::field::{Field, Parameter, Record, null, parameter, storable};

/// The entry of an import in `sync.import`, as one worker sees it.
#[derive(Debug, Clone, Copy)]
pub(super) struct ImportEntry<'a> {
    pub data_api: &'a DataApi,
    pub import_id: Uuid,
    pub deadline: Deadline,
    /// The id of the worker, another one for each message.
    pub worker: Uuid,
    pub message_id: &'a str,
}

/// The result of a claim.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum ClaimResult {
    /// The worker has the import.
    Claimed,
    /// Another worker has the import, with another message.
    HeldElsewhere,
    /// A later message continues the import.
    ContinuedElsewhere,
    /// The import has ended.
    Ended { state: String, error: Option<String>, is_reported: bool },
}

/// The settings of an import, and its progress.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Progress {
    /// The options with which the import began.
    pub options: Value,
    pub lanes: usize,
    pub limits: Limits,
    pub checkpoint: Checkpoint,
    pub rows_read: u64,
    pub rows_rejected: u64,
    /// The first chunk of each lane that is not loaded.
    pub lane_next: Vec<u32>,
}

/// The first chunk that is not loaded in all lanes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Checkpoint {
    pub chunk: u32,
    /// The position of its first record; `None` at the beginning of the file, and after its last
    /// chunk.
    pub position: Option<FilePosition>,
    /// The number of its first record, from 1.
    pub record: u64,
}

const CLAIM: &str = "SELECT standing, import_state, import_error, is_reported FROM sync.claim_import(
  :import_id::uuid, :bucket::text, :object_key::text, :object_version::text, :sequencer::text, :table_name::text,
  :continuation::integer, :worker::uuid, :message_id::text, :caller::text, :claims::jsonb)";

/// Sets the options and limits of the import, unless they are set, so that each worker reads and
/// cuts the file in the same way. Removes the error of an earlier attempt.
///
/// Returns the progress of the import. It comes from the chunks alone, so that a worker that dies
/// leaves nothing behind: the first chunk that is not loaded in all lanes, its position, the lanes
/// that are ahead of it, and the counts.
const DESCRIBE: &str = "WITH described AS (
  UPDATE sync.import
  SET options = CASE WHEN chunk_records IS NULL THEN :options::jsonb ELSE options END,
    bytes_total = CASE WHEN chunk_records IS NULL THEN :bytes_total::bigint ELSE bytes_total END,
    lanes = CASE WHEN chunk_records IS NULL THEN :lanes::smallint ELSE lanes END,
    chunk_records = coalesce(chunk_records, :chunk_records::integer),
    chunk_bytes = CASE WHEN chunk_records IS NULL THEN :chunk_bytes::integer ELSE chunk_bytes END,
    error = CASE WHEN rolled_back_at IS NOT NULL THEN error END
  WHERE id = :import_id::uuid
  RETURNING options, lanes, chunk_records, chunk_bytes
), chunk AS MATERIALIZED (
  SELECT chunk AS number, sum(rows_read) = max(records) AS is_loaded, max(next_byte) AS next_byte,
    max(next_line) AS next_line, max(next_record) AS next_record, sum(rows_read) AS rows_read,
    sum(rows_rejected) AS rows_rejected
  FROM sync.import_chunk WHERE import_id = :import_id::uuid GROUP BY chunk
), last AS (
  SELECT coalesce(max(number), -1) AS number
  FROM (SELECT number, row_number() OVER (ORDER BY number) AS rank FROM chunk WHERE is_loaded) AS loaded
  WHERE number = rank - 1
), ahead AS (
  SELECT lane, max(chunk) + 1 AS next FROM sync.import_chunk
  WHERE import_id = :import_id::uuid AND chunk > (SELECT number FROM last) GROUP BY lane
)
SELECT described.options::text, described.lanes::integer, described.chunk_records, described.chunk_bytes,
  last.number + 1, chunk.next_byte, chunk.next_line, coalesce(chunk.next_record, 1),
  (SELECT coalesce(sum(rows_read), 0)::bigint FROM chunk),
  (SELECT coalesce(sum(rows_rejected), 0)::bigint FROM chunk),
  (SELECT coalesce(json_agg(json_build_array(lane, next)), '[]')::text FROM ahead)
FROM described CROSS JOIN last LEFT JOIN chunk ON chunk.number = last.number";

const COUNT: &str = "SELECT read, rejected FROM sync.count_import(:import_id::uuid)";

const END: &str = "UPDATE sync.import
SET state = :state::text, error = :error::text, finished_at = clock_timestamp(), reported_at = clock_timestamp(),
  bytes_read = CASE WHEN :state::text = 'completed' THEN coalesce(bytes_total, 0) ELSE bytes_read END
WHERE id = :import_id::uuid AND state = 'running'
RETURNING id::text";

/// Records why the import cannot continue now, and releases it from the worker. The error of an
/// import that was rolled back stays: it is the reason of its end.
const OBSTACLE: &str = "UPDATE sync.import SET error = :error::text,
  worker = CASE WHEN worker = :worker::uuid THEN NULL ELSE worker END
WHERE id = :import_id::uuid AND state = 'running' AND rolled_back_at IS NULL";

const HOLD: &str = "UPDATE sync.import SET held_at = clock_timestamp()
WHERE id = :import_id::uuid AND worker = :worker::uuid";

/// The time between two records that the worker still has the import.
const HOLD_EVERY: Duration = Duration::from_secs(45);

/// True if no other worker has taken the import. Also true if the message was continued or the
/// import has ended: the next claim then returns that.
const HOLDS: &str =
    "SELECT worker = :worker::uuid OR continuation > :continuation::integer OR state <> 'running'
FROM sync.import WHERE id = :import_id::uuid";

/// Records the progress of an import that is one transaction, since its chunks cannot be seen
/// before its end.
const RECORD_BYTES_READ: &str =
    "UPDATE sync.import SET bytes_read = :bytes_read::bigint, progressed_at = clock_timestamp()
WHERE id = :import_id::uuid AND state = 'running'";

const FORGET_REJECTS: [&str; 2] = [
    "DELETE FROM sync.import_reject WHERE import_id = :import_id::uuid",
    "DELETE FROM sync.import_reject_kind WHERE import_id = :import_id::uuid",
];

const REPORTED: &str =
    "UPDATE sync.import SET reported_at = clock_timestamp() WHERE id = :import_id::uuid";

/// The rows that one statement deletes, as it may run for 45 s.
const CLEAR_ROWS: i64 = 30_000;

/// Deletes keys of an import, and returns their number.
const CLEAR: &str = "WITH key AS (DELETE FROM sync.import_key WHERE ctid = ANY (ARRAY(
  SELECT ctid FROM sync.import_key WHERE import_id = :import_id::uuid LIMIT :rows::bigint)) RETURNING 1)
SELECT count(*) FROM key";

impl ImportEntry<'_> {
    /// Registers the import, or finds it, and takes it if no other worker has it.
    /// The claims of the first claim hold: they are those of all its transactions.
    pub(super) async fn claim(
        &self,
        request: &ImportRequest,
        claims: Option<String>,
    ) -> Result<ClaimResult, SyncError> {
        let Source { object, table, sequencer, uploader } = &request.source;
        let optional = |name, value: Option<String>| match value {
            Some(value) => parameter(name, value),
            None => null(name),
        };
        let parameters = vec![
            self.id(),
            parameter("bucket", object.bucket.as_str()),
            parameter("object_key", storable(&object.key)),
            parameter("object_version", request.source.version()),
            parameter("sequencer", sequencer.as_str()),
            parameter("table_name", storable(table)),
            parameter("continuation", request.continuation.to_string()),
            self.worker(),
            parameter("message_id", storable(self.message_id)),
            optional("caller", uploader.as_deref().map(storable)),
            optional("claims", claims),
        ];
        let records = self.run(CLAIM, parameters).await?;
        match records.first().map(Vec::as_slice) {
            Some(
                [Field::Text(standing), Field::Text(state), error, Field::Boolean(is_reported)],
            ) => Ok(match standing.as_str() {
                "begin" => ClaimResult::Claimed,
                "held" => ClaimResult::HeldElsewhere,
                "running" => ClaimResult::ContinuedElsewhere,
                _ => ClaimResult::Ended {
                    state: state.clone(),
                    error: error.as_text().map(str::to_owned),
                    is_reported: *is_reported,
                },
            }),
            _ => Err(self.unreadable()),
        }
    }

    /// Sets the options and limits of the import, unless they are set, and returns those that hold,
    /// with the progress.
    pub(super) async fn describe(
        &self,
        options: &Value,
        bytes_total: u64,
        lanes: usize,
        limits: Limits,
    ) -> Result<Progress, SyncError> {
        let parameters = vec![
            self.id(),
            parameter("options", options.to_string()),
            parameter("bytes_total", bytes_total.to_string()),
            parameter("lanes", lanes.to_string()),
            parameter("chunk_records", limits.records.to_string()),
            parameter("chunk_bytes", limits.bytes.to_string()),
        ];
        let records = self.run(DESCRIBE, parameters).await?;
        records.first().and_then(progress).ok_or_else(|| self.unreadable())
    }

    /// Updates the counts of the import, and returns the numbers of rows read and rejected.
    pub(super) async fn count(&self) -> Result<(u64, u64), SyncError> {
        let records = self.run(COUNT, vec![self.id()]).await?;
        let count = |index: usize| u64::try_from(records.first()?.get(index)?.as_long()?).ok();
        count(0).zip(count(1)).ok_or_else(|| self.unreadable())
    }

    /// Updates the counts of an import that stops early from its committed chunks. Without a
    /// committed reject, the rejects of a transaction that was rolled back are deleted.
    pub(super) async fn count_committed(&self) -> Result<(), SyncError> {
        let (_, rejected) = self.count().await?;
        if rejected == 0 {
            self.forget_rejects().await?;
        }
        Ok(())
    }

    /// Deletes the rejects of the import.
    pub(super) async fn forget_rejects(&self) -> Result<(), SyncError> {
        for sql in FORGET_REJECTS {
            self.run(sql, vec![self.id()]).await?;
        }
        Ok(())
    }

    /// Records the bytes of the object that were read.
    pub(super) async fn record_bytes_read(&self, bytes_read: u64) -> Result<(), DataApiError> {
        let parameters = vec![self.id(), parameter("bytes_read", bytes_read.to_string())];
        self.data_api.execute(None, RECORD_BYTES_READ, parameters).await?;
        Ok(())
    }

    /// Records why the import cannot continue now.
    pub(super) async fn record_obstacle(&self, error: &str) -> Result<(), DataApiError> {
        let parameters = vec![self.id(), self.worker(), parameter("error", storable(error))];
        self.data_api.execute(None, OBSTACLE, parameters).await?;
        Ok(())
    }

    /// Records again and again that the worker has the import, as long as the future is polled.
    pub(super) async fn hold(&self) {
        loop {
            tokio::time::sleep(HOLD_EVERY).await;
            let parameters = vec![self.id(), self.worker()];
            if let Err(error) = self.data_api.execute(None, HOLD, parameters).await {
                tracing::info!(reason = %error, import_id = %self.import_id, "import not held");
            }
        }
    }

    /// Returns `true` if a further claim is worth it: the worker still has the import, or the claim
    /// returns what happened to it.
    pub(super) async fn holds(&self, request: &ImportRequest) -> Result<bool, SyncError> {
        let parameters = vec![
            self.id(),
            self.worker(),
            parameter("continuation", request.continuation.to_string()),
        ];
        let records = self.run(HOLDS, parameters).await?;
        Ok(records.first().and_then(|record| record.first()) == Some(&Field::Boolean(true)))
    }

    /// Ends the import, after its report is written. Returns `false` if another worker has ended
    /// it.
    pub(super) async fn end(&self, state: &str, error: Option<&str>) -> Result<bool, SyncError> {
        let error =
            error.map_or_else(|| null("error"), |error| parameter("error", storable(error)));
        let ended = self.run(END, vec![self.id(), parameter("state", state), error]).await?;
        self.clear().await?;
        Ok(!ended.is_empty())
    }

    /// Records that an import which another worker ended has its report.
    pub(super) async fn set_reported(&self) -> Result<(), SyncError> {
        self.run(REPORTED, vec![self.id()]).await?;
        Ok(())
    }

    /// Deletes the keys of the import, which only a running import needs.
    pub(super) async fn clear(&self) -> Result<(), SyncError> {
        loop {
            let parameters = vec![self.id(), parameter("rows", CLEAR_ROWS.to_string())];
            let gone = self.run(CLEAR, parameters).await?;
            let gone = gone.first().and_then(|record| record.first()?.as_long());
            if gone.is_none_or(|gone| gone < CLEAR_ROWS) {
                return Ok(());
            }
        }
    }

    /// Runs a statement outside of a transaction. It must be one that can be repeated.
    pub(super) async fn run(
        &self,
        sql: &str,
        parameters: Vec<Parameter>,
    ) -> Result<Vec<Record>, SyncError> {
        let call = async || self.data_api.execute(None, sql, parameters.clone()).await;
        Ok(awake(self.deadline, call).await?)
    }

    /// Returns the parameter `import_id`.
    pub(super) fn id(&self) -> Parameter {
        parameter("import_id", self.import_id.to_string())
    }

    fn worker(&self) -> Parameter {
        parameter("worker", self.worker.to_string())
    }

    /// Returns the error for an import without an entry.
    pub(super) fn unreadable(&self) -> SyncError {
        SyncError::Inconsistent(format!("import {} is not in sync.import", self.import_id))
    }
}

/// Reads the result of [`DESCRIBE`].
fn progress(record: &Record) -> Option<Progress> {
    let number = |index: usize| record.get(index)?.as_long();
    let unsigned = |index: usize| u64::try_from(number(index)?).ok();
    let lanes = usize::try_from(number(1)?).ok()?;
    let chunk = u32::try_from(number(4)?).ok()?;
    let position = unsigned(5).zip(unsigned(6));
    let position = position.map(|(byte_offset, line)| FilePosition { byte_offset, line });
    let ahead: Vec<(usize, u32)> = serde_json::from_str(record.get(10)?.as_text()?).ok()?;
    let mut lane_next = vec![chunk; lanes];
    for (lane, next) in ahead {
        *lane_next.get_mut(lane)? = next;
    }
    Some(Progress {
        options: serde_json::from_str(record.first()?.as_text()?).ok()?,
        lanes,
        limits: Limits {
            records: usize::try_from(number(2)?).ok()?,
            bytes: usize::try_from(number(3)?).ok()?,
        },
        checkpoint: Checkpoint { chunk, position, record: unsigned(7)? },
        rows_read: unsigned(8)?,
        rows_rejected: unsigned(9)?,
        lane_next,
    })
}
