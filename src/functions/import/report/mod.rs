//! Reports on an import: `report.json` and `rejected.csv` in the results bucket.
//!
//! All of a report comes from the database, so that it is the same whichever worker writes it, and
//! when.

mod rejected;
mod rejects;

use std::collections::BTreeMap;

use import_options::is_of_rows;
use serde_json::{Value, json};
use uuid::Uuid;

pub use self::rejected::Format;
use self::rejected::RejectedFile;
use self::rejects::RejectPages;
use super::Import;
use super::claim::ImportEntry;
use super::read::source::Source;
use crate::aws::objects::Upload;
use crate::database::statement::chunk::REJECTS_KEPT;
use crate::domain::deadline::Deadline;
use crate::domain::error::SyncError;
use crate::domain::field::{optional, parameter};

/// Returns the contents of `report.json`, but for `rejected.csv`.
/// docs/reference/report.schema.json describes them. A reason is cut, as PostgreSQL's messages may
/// quote whole values.
const REPORT: &str = include_str!("report.sql");

/// Deletes the rejects after the first `kept` of the file. Each lane keeps its own first ones, so
/// that there are gaps after these.
const TRIM: &str =
    "DELETE FROM sync.import_reject WHERE import_id = :import_id::uuid AND record > (
  SELECT record FROM sync.import_reject WHERE import_id = :import_id::uuid
  ORDER BY record OFFSET :kept::bigint - 1 LIMIT 1)";

/// The end of an import.
#[derive(Debug, Clone, Copy)]
pub struct ImportEnd<'a> {
    pub state: &'a str,
    pub error: Option<&'a str>,
    /// The format of the file; `None` if the header was not read. There is no `rejected.csv` then.
    pub format: Option<&'a Format>,
}

/// Writes `report.json` and, if rejected records are kept, `rejected.csv`.
pub async fn write(
    import: &Import,
    source: &Source,
    import_id: Uuid,
    end: ImportEnd<'_>,
    deadline: Deadline,
) -> Result<(), SyncError> {
    let entry = ImportEntry { data_api: &import.data_api, import_id, deadline };
    let folder = format!("{}/{import_id}", source.table);
    let mut report = read(entry, end).await?;
    if kept(&report) > REJECTS_KEPT {
        entry.run(TRIM, vec![entry.id(), parameter("kept", REJECTS_KEPT.to_string())]).await?;
        report = read(entry, end).await?;
    }
    let mut rejected = (Value::Null, 0);
    if let Some(format) = end.format.filter(|_| kept(&report) > 0) {
        let file = RejectedFile::new(format);
        let key = format!("{folder}/rejected.csv");
        let upload = import.objects.upload(&import.results_bucket, &key, "text/csv").await?;
        let options = carried_options(import, source, report["options"]["mode"].as_str()).await;
        let rejects = RejectPages::of(entry);
        let rows = write_rejected(upload.with_metadata(options), rejects, &file).await?;
        if rows > 0 {
            rejected = (key.into(), rows);
        }
    }
    let (file, rows) = rejected;
    report["rejected_file"] = file;
    report["rejected_file_rows"] = json!(rows);
    let bytes = serde_json::to_vec_pretty(&report).expect("a report is plain data");
    let key = format!("{folder}/report.json");
    import.objects.put(&import.results_bucket, &key, "application/json", bytes).await?;
    Ok(())
}

/// Returns the report without `rejected.csv`.
async fn read(entry: ImportEntry<'_>, end: ImportEnd<'_>) -> Result<Value, SyncError> {
    let end = [parameter("state", end.state), optional("error", end.error)];
    entry.read(REPORT, [vec![entry.id()], end.into()].concat()).await
}

/// Returns the number of rejected records that are kept.
fn kept(report: &Value) -> u64 {
    report["rejects_kept"].as_u64().unwrap_or_default()
}

/// Writes the rejected records page by page, since memory may not hold all of them, and returns
/// their number. Without any, there is no file.
async fn write_rejected(
    mut upload: Upload,
    mut rejects: RejectPages<'_>,
    file: &RejectedFile<'_>,
) -> Result<usize, SyncError> {
    let mut bytes = file.head();
    let mut rows = 0;
    loop {
        let page = rejects.next_page().await?;
        if page.is_empty() {
            break;
        }
        rows += page.len();
        for reject in page {
            file.record(&reject.raw(file.encoding()), &reject.reason, &mut bytes);
        }
        upload.push(&bytes).await?;
        bytes.clear();
    }
    if rows > 0 {
        upload.finish().await?;
    }
    Ok(rows)
}

/// Returns the options of the file that its `rejected.csv` gets too, so that it is read in the same
/// way when it is copied to the uploads bucket.
async fn carried_options(
    import: &Import,
    source: &Source,
    mode: Option<&str>,
) -> BTreeMap<String, String> {
    match import.objects.head(&source.object).await {
        Ok(head) => carried(head.metadata, mode),
        Err(error) => {
            tracing::info!(%error, "rejected.csv has no options of its file");
            BTreeMap::new()
        }
    }
}

/// Returns the options of `rejected.csv`, by the metadata of its file and the mode of the import.
fn carried(mut metadata: BTreeMap<String, String>, mode: Option<&str>) -> BTreeMap<String, String> {
    metadata.retain(|name, _| is_of_rows(name));
    if mode == Some("replace") {
        // Mode replace would delete all rows that were not rejected.
        metadata.insert("mode".to_owned(), "upsert".to_owned());
    }
    metadata
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rejected_rows_have_the_options_of_their_file_but_never_replace_the_table() {
        let check = |mode: Option<&str>, options: &[(&str, &str)], expected: &[(&str, &str)]| {
            let owned = |options: &[(&str, &str)]| -> BTreeMap<_, _> {
                let owned =
                    |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
                options.iter().map(owned).collect()
            };
            assert_eq!(carried(owned(options), mode), owned(expected));
        };
        check(
            Some("insert"),
            &[("mode", "insert"), ("delimiter", ";"), ("max-rejects", "5%"), ("mtime", "1")],
            &[("mode", "insert"), ("delimiter", ";")],
        );
        check(
            Some("replace"),
            &[("mode", "replace"), ("max-deletes", "50%")],
            &[("mode", "upsert")],
        );
        check(Some("replace"), &[], &[("mode", "upsert")]);
        check(Some("upsert"), &[], &[]);
    }
}
