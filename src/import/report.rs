//! Tells what became of a file: `report.json` and `rejected.csv` in the results bucket.

use serde_json::{Value, json};
use uuid::Uuid;

use super::Import;
use super::rows::ERROR_COLUMN;
use super::source::Source;
use crate::deadline::Deadline;
use crate::error::{DataApiError, DataApiFault, SyncError};
use crate::field::{Field, parameter};
use crate::transaction::awake;

/// Rejects that the report shows; `rejected.csv` has all of them.
const SHOWN_MAX: i64 = 100;

/// Rejects of one page: an answer of the Data API holds 1 MiB.
const PAGE_ROWS: u32 = 500;

const SUMMARY: &str = "SELECT row_to_json(found)::text FROM (
  SELECT rows_read, rows_written, rows_unchanged, rows_rejected, started_at,
    (SELECT coalesce(json_agg(kind ORDER BY kind.count DESC), '[]') FROM (
      SELECT rule, sqlstate, column_name AS \"column\", count(*) AS count
      FROM sync.import_reject WHERE import_id = import.id GROUP BY 1, 2, 3
    ) AS kind) AS kinds,
    (SELECT coalesce(json_agg(reject ORDER BY reject.record), '[]') FROM (
      SELECT record, line, byte_offset, column_name AS \"column\", rule, sqlstate, reason
      FROM sync.import_reject WHERE import_id = import.id ORDER BY record LIMIT :shown::bigint
    ) AS reject) AS rejects
  FROM sync.import AS import WHERE id = :import_id::uuid
) AS found";

const REJECTS: &str = "SELECT record, raw, column_name, sqlstate, reason FROM sync.import_reject
WHERE import_id = :import_id::uuid AND record > :after::bigint
ORDER BY record LIMIT :rows::bigint";

/// How the import ended.
#[derive(Debug, Clone, Copy)]
pub struct Ending<'a> {
    pub state: &'static str,
    pub error: Option<&'a str>,
    /// The file's header, as it stands there.
    pub header: Option<&'a [u8]>,
}

/// Writes both files; the second only where rows were rejected.
pub async fn write(
    import: &Import,
    source: &Source,
    import_id: Uuid,
    ending: Ending<'_>,
    deadline: Deadline,
) -> Result<(), SyncError> {
    let folder = format!("{}/{import_id}", source.table);
    let rejected = match ending.header {
        Some(header) => rejected_csv(import, import_id, header, deadline).await?,
        None => None,
    };
    let rejected_key = format!("{folder}/rejected.csv");
    let has_rejected = rejected.is_some();
    if let Some(bytes) = rejected {
        import.objects.put(&import.results_bucket, &rejected_key, "text/csv", bytes).await?;
    }
    let summary = summary(import, import_id, deadline).await?;
    let report = json!({
        "id": import_id,
        "table": source.table,
        "source": {
            "bucket": source.object.bucket,
            "key": source.object.key,
            "version": source.version(),
        },
        "state": ending.state,
        "error": ending.error,
        "rows": {
            "read": summary["rows_read"],
            "written": summary["rows_written"],
            "unchanged": summary["rows_unchanged"],
            "rejected": summary["rows_rejected"],
        },
        "started_at": summary["started_at"],
        "rejected_by_rule": summary["kinds"],
        "rejects": summary["rejects"],
        "rejected_file": has_rejected.then_some(rejected_key),
    });
    let bytes = serde_json::to_vec_pretty(&report).expect("a report is plain data");
    let key = format!("{folder}/report.json");
    import.objects.put(&import.results_bucket, &key, "application/json", bytes).await?;
    Ok(())
}

async fn summary(import: &Import, import_id: Uuid, deadline: Deadline) -> Result<Value, SyncError> {
    let parameters = vec![
        parameter("import_id", import_id.to_string()),
        parameter("shown", SHOWN_MAX.to_string()),
    ];
    let records =
        awake(deadline, async || import.data_api.execute(None, SUMMARY, parameters.clone()).await)
            .await?;
    records
        .first()
        .and_then(|record| record.first()?.as_text())
        .and_then(|text| serde_json::from_str(text).ok())
        .ok_or_else(|| SyncError::Inconsistent(format!("import {import_id} is not in sync.import")))
}

/// The rejected records as they stood in the file, with a last column that says why.
async fn rejected_csv(
    import: &Import,
    import_id: Uuid,
    header: &[u8],
    deadline: Deadline,
) -> Result<Option<Vec<u8>>, SyncError> {
    let mut file = Vec::new();
    let mut after = 0;
    let mut rows = PAGE_ROWS;
    loop {
        let page = match page(import, import_id, after, rows, deadline).await {
            Err(error) if error.fault == DataApiFault::UnsupportedResult && rows > 1 => {
                rows /= 2;
                continue;
            }
            page => page?,
        };
        let Some(last) = page.last() else { break };
        after = last.first().and_then(Field::as_long).unwrap_or(i64::MAX);
        for record in &page {
            let text = |place: usize| record.get(place).and_then(Field::as_text);
            let mut why = String::new();
            if let Some(column) = text(2) {
                why.push_str(column);
                why.push_str(": ");
            }
            why.push_str(text(4).unwrap_or_default());
            if let Some(sqlstate) = text(3) {
                why.push_str(" (SQLSTATE ");
                why.push_str(sqlstate);
                why.push(')');
            }
            append(&mut file, text(1).unwrap_or_default().as_bytes(), &why);
        }
    }
    if file.is_empty() {
        return Ok(None);
    }
    let mut whole = Vec::with_capacity(file.len() + header.len() + 16);
    // A file that was fixed and failed again has the column already.
    whole.extend_from_slice(header);
    if !has_error_column(header) {
        whole.extend_from_slice(format!(",{ERROR_COLUMN}").as_bytes());
    }
    whole.push(b'\n');
    whole.extend(file);
    Ok(Some(whole))
}

fn has_error_column(header: &[u8]) -> bool {
    header.rsplit(|byte| *byte == b',').next() == Some(ERROR_COLUMN.as_bytes())
}

async fn page(
    import: &Import,
    import_id: Uuid,
    after: i64,
    rows: u32,
    deadline: Deadline,
) -> Result<Vec<crate::field::Record>, DataApiError> {
    let parameters = vec![
        parameter("import_id", import_id.to_string()),
        parameter("after", after.to_string()),
        parameter("rows", rows.to_string()),
    ];
    awake(deadline, async || import.data_api.execute(None, REJECTS, parameters.clone()).await).await
}

/// One record and one more field, quoted as CSV wants it.
fn append(file: &mut Vec<u8>, raw: &[u8], why: &str) {
    file.extend_from_slice(raw);
    let mut writer = csv::WriterBuilder::new().from_writer(Vec::new());
    let field = writer.write_record([why]).ok().and_then(|()| writer.into_inner().ok());
    file.push(b',');
    file.extend(field.unwrap_or_else(|| b"\n".to_vec()));
}
