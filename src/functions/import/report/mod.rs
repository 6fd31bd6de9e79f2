//! Reports on an import: `report.json` and `rejected.csv` in the results bucket.
//!
//! All of a report comes from the database, so that it is the same whichever worker writes it, and
//! when.

mod rejected;
mod rejects;
mod summary;

use std::collections::BTreeMap;

use uuid::Uuid;

pub use self::rejected::Format;
use self::rejected::RejectedFile;
use self::rejects::RejectPages;
use self::summary::Summary;
use super::Import;
use super::load::rejects::REJECTS_KEPT;
use super::read::source::Source;
use crate::aws::objects::Upload;
use crate::database::transaction::awake;
use crate::domain::deadline::Deadline;
use crate::domain::error::SyncError;
use crate::domain::field::parameter;

/// Deletes the rejects after the first `kept` of the file. Each lane keeps its own first ones, so
/// that there are gaps after these.
const TRIM: &str =
    "DELETE FROM sync.import_reject WHERE import_id = :import_id::uuid AND record > (
  SELECT record FROM sync.import_reject WHERE import_id = :import_id::uuid
  ORDER BY record OFFSET :kept::bigint - 1 LIMIT 1)";

/// The end of an import.
#[derive(Debug, Clone, Copy)]
pub struct ImportEnd<'a> {
    pub state: &'static str,
    pub error: Option<&'a str>,
    /// The format of the file; `None` if the header was not read. There is no `rejected.csv` then.
    pub format: Option<&'a Format>,
}

/// The key of `rejected.csv`, and the number of its records.
#[derive(Debug, Clone, PartialEq, Eq)]
struct RejectedObject {
    key: String,
    rows: u64,
}

/// Writes `report.json` and, if rejected records are kept, `rejected.csv`.
pub async fn write(
    import: &Import,
    source: &Source,
    import_id: Uuid,
    end: ImportEnd<'_>,
    deadline: Deadline,
) -> Result<(), SyncError> {
    let folder = format!("{}/{import_id}", source.table);
    let mut summary = Summary::read(&import.data_api, import_id, deadline).await?;
    if summary.rejects_kept() > REJECTS_KEPT {
        let parameters = vec![
            parameter("import_id", import_id.to_string()),
            parameter("kept", REJECTS_KEPT.to_string()),
        ];
        let trim = async || import.data_api.execute(None, TRIM, parameters.clone()).await;
        awake(deadline, trim).await?;
        summary = Summary::read(&import.data_api, import_id, deadline).await?;
    }
    let rejected = match end.format {
        Some(format) if summary.rejects_kept() > 0 => {
            let file = RejectedFile::new(format);
            let key = format!("{folder}/rejected.csv");
            let upload = import.objects.upload(&import.results_bucket, &key, "text/csv").await?;
            let options = carried_options(import, source, summary.mode()).await;
            let rejects = RejectPages::of(&import.data_api, import_id, deadline);
            let rows = write_rejected(upload.with_metadata(options), rejects, &file).await?;
            (rows > 0).then_some(RejectedObject { key, rows })
        }
        _ => None,
    };
    let report = summary.report(source, import_id, end, rejected.as_ref());
    let bytes = serde_json::to_vec_pretty(&report).expect("a report is plain data");
    let key = format!("{folder}/report.json");
    import.objects.put(&import.results_bucket, &key, "application/json", bytes).await?;
    Ok(())
}

/// Writes the rejected records page by page, since memory may not hold all of them, and returns
/// their number. Without any, there is no file.
async fn write_rejected(
    mut upload: Upload,
    mut rejects: RejectPages<'_>,
    file: &RejectedFile<'_>,
) -> Result<u64, SyncError> {
    let mut bytes = file.head();
    let mut rows = 0;
    while let Some(page) = rejects.next_page().await? {
        for reject in page {
            file.record(&reject.raw(file.encoding()), &reject.reason(), &mut bytes);
            rows += 1;
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

/// The options that `rejected.csv` gets. Limits are left out, as they are about the whole file.
const CARRIED: [&str; 13] = [
    "mode",
    "delimiter",
    "quote",
    "escape",
    "comment",
    "encoding",
    "null",
    "header",
    "columns",
    "extra-columns",
    "numbers",
    "atomic",
    "dry-run",
];

/// Returns the options of `rejected.csv`, by the metadata of its file and the mode of the import.
fn carried(mut metadata: BTreeMap<String, String>, mode: Option<&str>) -> BTreeMap<String, String> {
    metadata.retain(|name, _| CARRIED.contains(&name.as_str()));
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
