//! The entry of an import in `sync.import`: its worker, its options and limits, its checkpoint, its
//! end.

use std::time::Duration;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use uuid::Uuid;

use super::read::chunk::Limits;
use super::read::source::{ImportRequest, Source};
use crate::aws::data_api::DataApi;
use crate::aws::objects::ObjectName;
use crate::database::transaction::awake;
use crate::domain::deadline::Deadline;
use crate::domain::error::{DataApiError, SyncError};
use crate::domain::field::{Field, Parameter, Record, json, optional, parameter, storable};

/// The entry of an import in `sync.import`.
#[derive(Debug, Clone, Copy)]
pub(super) struct ImportEntry<'a> {
    pub data_api: &'a DataApi,
    pub import_id: Uuid,
    pub deadline: Deadline,
}

/// A worker with an import.
#[derive(Debug, Clone, Copy)]
pub(super) struct Worker<'a> {
    pub entry: ImportEntry<'a>,
    /// Another one for each message.
    pub id: Uuid,
    pub message_id: &'a str,
}

/// The result of a claim.
#[derive(Debug, Deserialize)]
#[serde(tag = "standing", rename_all = "lowercase")]
pub(super) enum ClaimResult {
    /// The worker has the import.
    Begin,
    /// Another worker has the import, with another message.
    Held,
    /// A later message continues the import.
    Running,
    /// The import has ended.
    Ended { import_state: String, import_error: Option<String>, is_reported: bool },
}

/// The rows of an import that has ended, by what became of them.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rows {
    pub read: u64,
    pub written: u64,
    pub unchanged: u64,
    pub superseded: u64,
    pub rejected: u64,
}

/// The settings of an import, and its progress.
#[derive(Debug, Deserialize)]
pub(super) struct Progress {
    /// The options with which the import began.
    pub options: Value,
    pub lanes: usize,
    pub limits: Limits,
    /// The checkpoint: the first chunk that is not loaded in all lanes.
    pub chunk: u32,
    /// The byte and the line of its first record; `None` at the beginning of the file, and after
    /// its last chunk.
    pub position: Option<(u64, u64)>,
    /// The number of its first record, from 1.
    pub record: u64,
    pub rows_read: u64,
    pub rows_rejected: u64,
    /// The first chunk of each lane that is not loaded.
    pub lane_next: Vec<u32>,
}

/// An import that was cancelled.
#[derive(Debug, Deserialize)]
pub(super) struct Cancelled {
    bucket: String,
    object_key: String,
    object_version: String,
    sequencer: String,
    table_name: String,
    /// No worker is there to write its report.
    pub is_abandoned: bool,
}

impl Cancelled {
    /// Returns the request of the import, as far as its end needs it.
    pub(super) fn request(self) -> ImportRequest {
        let version = Some(self.object_version).filter(|version| !version.is_empty());
        // `sync.import` has the ETag if the bucket keeps no versions.
        let (etag, version_id) =
            if version.as_deref().is_some_and(is_etag) { (version, None) } else { (None, version) };
        let object = ObjectName { bucket: self.bucket, key: self.object_key, version_id, etag };
        let source =
            Source { object, table: self.table_name, sequencer: self.sequencer, uploader: None };
        ImportRequest { source, continuation: 0 }
    }
}

/// Returns `true` for the `ETag` of an object: an MD5 sum, and the number of parts if there are
/// several. No version id of S3 has been seen in this form.
fn is_etag(version: &str) -> bool {
    let (sum, parts) = version.split_once('-').unwrap_or((version, "1"));
    sum.len() == 32
        && sum.bytes().all(|byte| byte.is_ascii_hexdigit())
        && parts.bytes().all(|byte| byte.is_ascii_digit())
}

const CLAIM: &str = "SELECT row_to_json(claimed)::text FROM sync.claim_import(
  :import_id::uuid, :bucket::text, :object_key::text, :object_version::text, :sequencer::text, :table_name::text,
  :continuation::integer, :worker::uuid, :message_id::text, :caller::text, :claims::jsonb) AS claimed";

const CANCEL: &str = "SELECT row_to_json(cancelled)::text
FROM sync.cancel_import(:import_id::uuid, :error::text) AS cancelled";

/// Sets the options and limits of the import, unless they are set, so that each worker reads and
/// cuts the file in the same way. Removes the error of an earlier attempt.
///
/// Returns the progress of the import. It comes from the chunks alone, so that a worker that dies
/// leaves nothing behind: the first chunk that is not loaded in all lanes, its position, the lanes
/// that are ahead of it, and the counts.
const DESCRIBE: &str = include_str!("describe.sql");

const COUNT: &str =
    "SELECT json_build_array(read, rejected)::text FROM sync.count_import(:import_id::uuid)";

const END: &str = "SELECT read, written, unchanged, superseded, rejected
FROM sync.end_import(:import_id::uuid, :state::text, :error::text, :tells::boolean)";

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

const FORGET_REJECTS: &str =
    "WITH kind AS (DELETE FROM sync.import_reject_kind WHERE import_id = :import_id::uuid)
DELETE FROM sync.import_reject WHERE import_id = :import_id::uuid";

const OPTIONS: &str = "SELECT coalesce((
  SELECT options FROM sync.import WHERE id = :import_id::uuid
    AND EXISTS (SELECT FROM sync.import_reject WHERE import_id = :import_id::uuid)
), 'null')::text";

const REPORTED: &str = "SELECT FROM sync.set_import_reported(:import_id::uuid, :tells::boolean)";

/// The rows that one statement deletes, as it may run for 45 s.
const CLEAR_ROWS: i64 = 30_000;

/// Deletes keys of an import, and returns their number.
const CLEAR: &str = "WITH key AS (DELETE FROM sync.import_key WHERE ctid = ANY (ARRAY(
  SELECT ctid FROM sync.import_key WHERE import_id = :import_id::uuid LIMIT :rows::bigint)) RETURNING 1)
SELECT count(*)::text FROM key";

impl Worker<'_> {
    /// Registers the import, or finds it, and takes it if no other worker has it. The claims of the
    /// first call are those of all its transactions.
    pub(super) async fn claim(
        &self,
        request: &ImportRequest,
        claims: Option<String>,
    ) -> Result<ClaimResult, SyncError> {
        let Source { object, table, sequencer, uploader } = &request.source;
        let parameters = vec![
            self.entry.id(),
            parameter("bucket", object.bucket.as_str()),
            parameter("object_key", storable(&object.key)),
            parameter("object_version", request.source.version()),
            parameter("sequencer", sequencer.as_str()),
            parameter("table_name", storable(table)),
            parameter("continuation", request.continuation.to_string()),
            self.id(),
            parameter("message_id", storable(self.message_id)),
            optional("caller", uploader.as_deref().map(storable)),
            optional("claims", claims),
        ];
        self.entry.read(CLAIM, parameters).await
    }

    /// Records why the import cannot continue now.
    pub(super) async fn record_obstacle(&self, error: &str) -> Result<(), DataApiError> {
        let parameters = vec![self.entry.id(), self.id(), parameter("error", storable(error))];
        self.entry.data_api.execute(None, OBSTACLE, parameters).await.map(drop)
    }

    /// Records again and again that the worker has the import, as long as the future is polled.
    pub(super) async fn hold(&self) {
        loop {
            tokio::time::sleep(HOLD_EVERY).await;
            let parameters = vec![self.entry.id(), self.id()];
            if let Err(error) = self.entry.data_api.execute(None, HOLD, parameters).await {
                let import_id = self.entry.import_id;
                tracing::info!(reason = %error, %import_id, "import not held");
            }
        }
    }

    /// Returns `true` if a further claim is worth it: the worker still has the import, or the claim
    /// returns what happened to it.
    pub(super) async fn holds(&self, request: &ImportRequest) -> Result<bool, SyncError> {
        let continuation = parameter("continuation", request.continuation.to_string());
        let records = self.entry.run(HOLDS, vec![self.entry.id(), self.id(), continuation]).await?;
        Ok(records.first().and_then(|record| record.first()) == Some(&Field::Boolean(true)))
    }

    fn id(&self) -> Parameter {
        parameter("worker", self.id.to_string())
    }
}

impl ImportEntry<'_> {
    /// Cancels the import if it is running, with this error. Returns `None` for any other.
    pub(super) async fn cancel(&self, error: &str) -> Result<Option<Cancelled>, SyncError> {
        let records = self.run(CANCEL, vec![self.id(), parameter("error", error)]).await?;
        if records.is_empty() {
            return Ok(None);
        }
        json(&records).map(Some).ok_or_else(|| self.unreadable())
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
        self.read(DESCRIBE, parameters).await
    }

    /// Updates the counts of the import, and returns the numbers of rows read and rejected.
    pub(super) async fn count(&self) -> Result<(u64, u64), SyncError> {
        self.read(COUNT, vec![self.id()]).await
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
        self.run(FORGET_REJECTS, vec![self.id()]).await.map(drop)
    }

    /// Records the bytes of the object that were read.
    pub(super) async fn record_bytes_read(&self, bytes_read: u64) -> Result<(), DataApiError> {
        let parameters = vec![self.id(), parameter("bytes_read", bytes_read.to_string())];
        self.data_api.execute(None, RECORD_BYTES_READ, parameters).await.map(drop)
    }

    /// Ends the import, after its report is written, makes its event if that is told, and returns
    /// its rows. Returns `None` if another worker has ended it.
    pub(super) async fn end(
        &self,
        state: &str,
        error: Option<&str>,
        is_told: bool,
    ) -> Result<Option<Rows>, SyncError> {
        let error = optional("error", error.map(storable));
        let parameters = vec![self.id(), parameter("state", state), error, tells(is_told)];
        let ended = self.run(END, parameters).await?;
        self.clear().await?;
        let rows = |record: &Record| {
            let rows = |index: usize| u64::try_from(record.get(index)?.as_long()?).ok();
            Some(Rows {
                read: rows(0)?,
                written: rows(1)?,
                unchanged: rows(2)?,
                superseded: rows(3)?,
                rejected: rows(4)?,
            })
        };
        ended.first().map(|record| rows(record).ok_or_else(|| self.unreadable())).transpose()
    }

    /// Returns the options of an import that has kept rejects; `None` if it has none.
    pub(super) async fn options_with_rejects(&self) -> Result<Option<Value>, SyncError> {
        self.read(OPTIONS, vec![self.id()]).await
    }

    /// Records that an import which another worker ended has its report, and makes its event if
    /// that is told.
    pub(super) async fn set_reported(&self, is_told: bool) -> Result<(), SyncError> {
        self.run(REPORTED, vec![self.id(), tells(is_told)]).await.map(drop)
    }

    /// Deletes the keys of the import, which only a running import needs.
    pub(super) async fn clear(&self) -> Result<(), SyncError> {
        loop {
            let parameters = vec![self.id(), parameter("rows", CLEAR_ROWS.to_string())];
            let gone: i64 = self.read(CLEAR, parameters).await?;
            if gone < CLEAR_ROWS {
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

    /// Runs a statement that returns one text of JSON.
    pub(super) async fn read<T: DeserializeOwned>(
        &self,
        sql: &str,
        parameters: Vec<Parameter>,
    ) -> Result<T, SyncError> {
        json(&self.run(sql, parameters).await?).ok_or_else(|| self.unreadable())
    }

    /// Returns the parameter `import_id`.
    pub(super) fn id(&self) -> Parameter {
        parameter("import_id", self.import_id.to_string())
    }

    /// Returns the error for an import whose entry is not there, or has been changed by hand.
    pub(super) fn unreadable(&self) -> SyncError {
        SyncError::Inconsistent(format!("import {} is not in sync.import", self.import_id))
    }
}

/// Returns the parameter `tells`.
fn tells(is_told: bool) -> Parameter {
    parameter("tells", is_told.to_string())
}
