//! Reports on a file: `report.json` and `rejected.csv` in the results bucket.
//!
//! Reads all of it from the database, so that whoever ends an import, and whenever, tells the same.

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

/// Each lane keeps its own first ones: beyond those that are the file's first, some would be missing in between.
const TRIM: &str =
    "DELETE FROM sync.import_reject WHERE import_id = :import_id::uuid AND record > (
  SELECT record FROM sync.import_reject WHERE import_id = :import_id::uuid
  ORDER BY record OFFSET :kept::bigint - 1 LIMIT 1)";

/// How the import ended.
#[derive(Debug, Clone, Copy)]
pub struct ImportEnd<'a> {
    pub state: &'static str,
    pub error: Option<&'a str>,
    /// How the file is written; `None` where it was not read so far. Then there is no `rejected.csv`.
    pub format: Option<&'a Format>,
}

/// Where `rejected.csv` is, and how many records are in it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct RejectedObject {
    key: String,
    rows: u64,
}

/// Writes both files; `rejected.csv` only where there are rejected records to be put into it.
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

/// Writes the rejected records page by page, since there may be more than fit into memory, and tells how
/// many they are. Without any, there is no file.
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

/// The options of the file that its `rejected.csv` has too, so that a copy from bucket to bucket is read as
/// the file was.
async fn carried_options(
    import: &Import,
    source: &Source,
    mode: Option<&str>,
) -> BTreeMap<String, String> {
    match import.objects.head(&source.object).await {
        Ok(head) => carried(head.metadata, mode),
        Err(error) => {
            tracing::info!(%error, "the options of the file are not put on its rejected rows");
            BTreeMap::new()
        }
    }
}

/// What describes the form of the file, and what is done with its rows. Limits are about the whole file.
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

fn carried(mut metadata: BTreeMap<String, String>, mode: Option<&str>) -> BTreeMap<String, String> {
    metadata.retain(|name, _| CARRIED.contains(&name.as_str()));
    if mode == Some("replace") {
        // It would delete every row that was not rejected.
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
