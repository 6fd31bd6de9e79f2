//! The contents of `report.json`: the counts and rejects of an import.
//! docs/reference/report.schema.json describes it.

use serde_json::{Value, json};
use uuid::Uuid;

use super::{ImportEnd, RejectedObject};
use crate::aws::data_api::DataApi;
use crate::database::transaction::awake;
use crate::domain::deadline::Deadline;
use crate::domain::error::SyncError;
use crate::domain::field::parameter;
use crate::functions::import::read::source::Source;

/// The version of the report's schema.
const SCHEMA: u32 = 1;

/// The most rejects in a report. `rejected.csv` and the API have the others.
const SHOWN_MAX: i64 = 100;

/// The most characters of a reason in a report, as PostgreSQL's messages may quote whole values.
const REASON_LEN_MAX: i64 = 1_000;

const SUMMARY: &str = "SELECT row_to_json(found)::text FROM (
  SELECT options, bytes_total, continuation, rows_read, rows_written, rows_unchanged, rows_superseded,
    rows_rejected, rows_overwritten, rows_deleted, started_at, ended_at,
    round(extract(epoch FROM ended_at - started_at), 3) AS seconds,
    round(rows_read / nullif(extract(epoch FROM ended_at - started_at), 0), 1) AS rows_per_second,
    (SELECT count(*) FROM sync.import_reject WHERE import_id = import.id) AS rejects_kept,
    (SELECT coalesce(json_agg(kind ORDER BY kind.count DESC, kind.rule, kind.sqlstate, kind.\"column\"), '[]') FROM (
      SELECT rule, nullif(sqlstate, '') AS sqlstate, nullif(column_name, '') AS \"column\", sum(rows)::bigint AS count
      FROM sync.import_reject_kind WHERE import_id = import.id GROUP BY 1, 2, 3 HAVING sum(rows) <> 0
    ) AS kind) AS kinds,
    (SELECT coalesce(json_agg(reject ORDER BY reject.record), '[]') FROM (
      SELECT record, line, byte_offset, column_name AS \"column\", rule, sqlstate,
        left(reason, :reason_len::integer) AS reason
      FROM sync.import_reject WHERE import_id = import.id ORDER BY record LIMIT :shown::bigint
    ) AS reject) AS rejects
  FROM (
    SELECT *, coalesce(finished_at, clock_timestamp()) AS ended_at FROM sync.import
    WHERE id = :import_id::uuid
  ) AS import
) AS found";

/// The result of [`SUMMARY`].
#[derive(Debug)]
pub(super) struct Summary(Value);

impl Summary {
    /// Reads the summary of an import.
    pub(super) async fn read(
        data_api: &DataApi,
        import_id: Uuid,
        deadline: Deadline,
    ) -> Result<Self, SyncError> {
        let parameters = vec![
            parameter("import_id", import_id.to_string()),
            parameter("shown", SHOWN_MAX.to_string()),
            parameter("reason_len", REASON_LEN_MAX.to_string()),
        ];
        let records =
            awake(deadline, async || data_api.execute(None, SUMMARY, parameters.clone()).await)
                .await?;
        let text = records.first().and_then(|record| record.first()?.as_text());
        let found = text.and_then(|text| serde_json::from_str(text).ok());
        found.map(Self).ok_or_else(|| {
            SyncError::Inconsistent(format!("import {import_id} is not in sync.import"))
        })
    }

    /// Returns the number of rejected records that are kept.
    pub(super) fn rejects_kept(&self) -> u64 {
        self.0["rejects_kept"].as_u64().unwrap_or_default()
    }

    /// Returns the option `mode`.
    pub(super) fn mode(&self) -> Option<&str> {
        self.0["options"]["mode"].as_str()
    }

    /// Makes the report.
    pub(super) fn report(
        &self,
        source: &Source,
        import_id: Uuid,
        end: ImportEnd<'_>,
        rejected: Option<&RejectedObject>,
    ) -> Value {
        let Self(found) = self;
        let kept = found["rejects_kept"].as_i64();
        json!({
            "schema": SCHEMA,
            "id": import_id,
            "table": source.table,
            "source": {
                "bucket": source.object.bucket,
                "key": source.object.key,
                "version": source.version(),
            },
            "state": end.state,
            "error": end.error,
            "dry_run": found["options"]["dry-run"] == true,
            "options": found["options"],
            "rows": {
                "read": found["rows_read"],
                "written": found["rows_written"],
                "unchanged": found["rows_unchanged"],
                "superseded": found["rows_superseded"],
                "rejected": found["rows_rejected"],
            },
            "rows_overwritten": found["rows_overwritten"],
            "rows_deleted": found["rows_deleted"],
            "bytes": found["bytes_total"],
            "started_at": found["started_at"],
            "finished_at": found["ended_at"],
            "duration_seconds": found["seconds"],
            "rows_per_second": found["rows_per_second"],
            "continuations": found["continuation"],
            "rejected_by_rule": found["kinds"],
            "rejects": found["rejects"],
            "rejects_kept": kept,
            "rejects_complete": kept == found["rows_rejected"].as_i64(),
            "rejected_file": rejected.map(|rejected| &rejected.key),
            "rejected_file_rows": rejected.map_or(0, |rejected| rejected.rows),
        })
    }
}
