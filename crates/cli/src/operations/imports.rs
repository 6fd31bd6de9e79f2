//! Imports: list, show, cancel, load again.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Deployed, query};
use crate::api::{ApiError, Page, encoded};

/// An import, as `GET /_sync/imports` lists it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Import {
    pub(crate) id: String,
    pub(crate) table: String,
    /// The principal who uploaded the file.
    pub(crate) caller: Option<String>,
    pub(crate) bucket: String,
    /// The key of the object, `imports/<table>/…`.
    pub(crate) key: String,
    pub(crate) version: String,
    /// `running`, `completed` or `failed`.
    pub(crate) state: String,
    /// The reason for which the import failed or does not go on.
    pub(crate) error: Option<String>,
    /// All options in force.
    pub(crate) options: Value,
    pub(crate) bytes_total: Option<u64>,
    pub(crate) bytes_read: u64,
    pub(crate) progress_percent: Option<f64>,
    pub(crate) rows_read: u64,
    pub(crate) rows_written: u64,
    pub(crate) rows_unchanged: u64,
    pub(crate) rows_superseded: u64,
    pub(crate) rows_rejected: u64,
    pub(crate) rows_overwritten: Option<u64>,
    pub(crate) rows_deleted: u64,
    pub(crate) rows_per_second: Option<f64>,
    /// A time of RFC 3339, as all times here.
    pub(crate) started_at: String,
    pub(crate) progressed_at: Option<String>,
    pub(crate) estimated_end_at: Option<String>,
    pub(crate) finished_at: Option<String>,
}

/// A rejected row of a file.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Reject {
    /// The number of the record in the file, from 1, the header not counted.
    pub(crate) record: u64,
    /// The line on which the record begins, from 1.
    pub(crate) line: u64,
    pub(crate) column: Option<String>,
    pub(crate) rule: String,
    pub(crate) sqlstate: Option<String>,
    pub(crate) reason: String,
    /// The record as it stands in the file. `None` if `sync_reader` may not read all of it.
    pub(crate) raw: Option<String>,
}

/// The conditions of a list. All that are given must hold.
#[derive(Debug, Clone, Default)]
pub(crate) struct Filter {
    pub(crate) table: Option<String>,
    pub(crate) state: Option<String>,
    /// The earliest time at which an import began.
    pub(crate) since: Option<Timestamp>,
}

/// Reads the first page of the imports, the newest first. [`next`] reads the others.
pub(crate) async fn list(
    deployed: &Deployed,
    filter: &Filter,
    limit: u32,
) -> anyhow::Result<Page<Import>> {
    let equal = [("table", &filter.table), ("state", &filter.state)];
    let equal = equal.into_iter();
    let equal = equal.filter_map(|(name, value)| Some((name, format!("eq.{}", value.as_ref()?))));
    let since = filter.since.map(|time| ("started_at", format!("gte.{time}")));
    let limit = ("limit", limit.to_string());
    let conditions: Vec<_> = equal.chain(since).chain([limit]).collect();
    next(deployed, &format!("/_sync/imports?{}", query(&conditions))).await
}

/// Reads the page at this path, that of [`Page::next`].
pub(crate) async fn next(deployed: &Deployed, path: &str) -> anyhow::Result<Page<Import>> {
    deployed.api.page(path).await.map_err(ApiError::into_error)
}

/// Reads an import.
pub(crate) async fn show(deployed: &Deployed, id: &str) -> anyhow::Result<Import> {
    let path = format!("/_sync/imports/{}", encoded(id));
    deployed.api.get(&path).await.map_err(ApiError::into_error)
}

/// Reads the first page of the rejected rows of an import, in the order of the file.
pub(crate) async fn rejects(
    deployed: &Deployed,
    id: &str,
    limit: u32,
) -> anyhow::Result<Page<Reject>> {
    let path = format!("/_sync/imports/{}/rejects?limit={limit}", encoded(id));
    deployed.api.page(&path).await.map_err(ApiError::into_error)
}
