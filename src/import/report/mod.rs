//! Tells what became of a file: `report.json` and `rejected.csv` in the results bucket.
//!
//! Reads all of it from the database, so that whoever ends an import, and whenever, tells the same.

mod rejected;
mod rejects;
mod summary;

use uuid::Uuid;

pub use self::rejected::Format;
use self::rejected::RejectedFile;
use self::rejects::Rejects;
use self::summary::Summary;
use super::Import;
use super::source::Source;
use crate::deadline::Deadline;
use crate::error::{ServiceError, SyncError};

/// How the import ended.
#[derive(Debug, Clone, Copy)]
pub struct Ending<'a> {
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
    ending: Ending<'_>,
    deadline: Deadline,
) -> Result<(), SyncError> {
    let folder = format!("{}/{import_id}", source.table);
    let summary = Summary::read(&import.data_api, import_id, deadline).await?;
    let rejected = match ending.format {
        Some(format) if summary.has_rejects() => {
            let file = RejectedFile::new(format, summary.names_are_declared());
            let key = format!("{folder}/rejected.csv");
            write_rejected(import, import_id, &file, key, deadline).await?
        }
        _ => None,
    };
    let report = summary.report(source, import_id, ending, rejected.as_ref());
    let bytes = serde_json::to_vec_pretty(&report).expect("a report is plain data");
    let key = format!("{folder}/report.json");
    import.objects.put(&import.results_bucket, &key, "application/json", bytes).await?;
    Ok(())
}

/// Writes the rejected records page by page: there may be more than fit into memory.
async fn write_rejected(
    import: &Import,
    import_id: Uuid,
    file: &RejectedFile<'_>,
    key: String,
    deadline: Deadline,
) -> Result<Option<RejectedObject>, SyncError> {
    let mut rejects = Rejects::of(&import.data_api, import_id, deadline);
    let mut bytes = file.head();
    let mut upload: Option<Upload<'_>> = None;
    let mut rows = 0;
    while let Some(page) = rejects.next_page().await? {
        for reject in page {
            let raw = reject.raw(file.encoding());
            file.record(&raw, &reject.reason(), &mut bytes);
            rows += 1;
        }
        if upload.is_none() {
            upload = Some(Upload::new(import, &key));
        }
        if let Some(upload) = &mut upload {
            upload.push(&bytes).await?;
        }
        bytes.clear();
    }
    let Some(upload) = upload else { return Ok(None) };
    upload.finish().await?;
    Ok(Some(RejectedObject { key, rows }))
}

/// The object that is being written.
#[derive(Debug)]
struct Upload<'a> {
    import: &'a Import,
    key: &'a str,
    bytes: Vec<u8>,
}

impl<'a> Upload<'a> {
    fn new(import: &'a Import, key: &'a str) -> Self {
        Self { import, key, bytes: Vec::new() }
    }

    #[expect(clippy::unused_async, reason = "a part that is full goes out")]
    async fn push(&mut self, bytes: &[u8]) -> Result<(), ServiceError> {
        self.bytes.extend_from_slice(bytes);
        Ok(())
    }

    async fn finish(self) -> Result<(), ServiceError> {
        let Self { import, key, bytes } = self;
        import.objects.put(&import.results_bucket, key, "text/csv", bytes).await
    }
}
