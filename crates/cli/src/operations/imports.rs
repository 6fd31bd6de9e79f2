//! Imports: list, show, cancel, load again.

use std::time::Duration;

use anyhow::{Context as _, bail};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use super::{Deployed, query};
use crate::api::{ApiError, Page, encoded};
use crate::aws::objects::Objects;
use crate::follow::unless_away;
use crate::report::Report;

/// The time for which an end or a beginning is waited for.
const WAITED: Duration = Duration::from_secs(45);

const ASK_EVERY: Duration = Duration::from_secs(1);

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

impl Import {
    pub(crate) fn is_dry_run(&self) -> bool {
        self.options["dry-run"] == true
    }

    pub(crate) fn is_running(&self) -> bool {
        self.state == "running"
    }
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
    let since = filter.since.map(|time| ("started_at", format!("gte.{time:.6}")));
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
    read(deployed, id).await.map_err(ApiError::into_error)
}

async fn read(deployed: &Deployed, id: &str) -> Result<Import, ApiError> {
    deployed.api.get(&format!("/_sync/imports/{}", encoded(id))).await
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

/// Reads the report of an import; `None` if it has none.
pub(crate) async fn report(
    objects: &Objects,
    results_bucket: &str,
    import: &Import,
) -> anyhow::Result<Option<Report>> {
    let key = format!("{}/{}/report.json", import.table, import.id);
    let Some(text) = objects.read(results_bucket, &key).await? else { return Ok(None) };
    let report = serde_json::from_slice(&text);
    report.map(Some).with_context(|| format!("{key} is no report that is known here"))
}

/// Returns the key of the rejected rows of an import, in the bucket of results.
pub(crate) fn rejected_key(import: &Import) -> String {
    format!("{}/{}/rejected.csv", import.table, import.id)
}

/// Cancels a running import, and returns it. It stops before its next set of rows, and the rows
/// that were committed stay. It is still running in the result if its end was not seen in time.
pub(crate) async fn cancel(deployed: &Deployed, id: &str) -> anyhow::Result<Import> {
    let mut import = show(deployed, id).await?;
    if !import.is_running() {
        bail!("the import {id} has {}: there is nothing to cancel", import.state);
    }
    invoke(deployed, id, &json!({ "cancel": import.id })).await?;
    let until = Instant::now() + WAITED;
    loop {
        let found = unless_away(read(deployed, id).await);
        let found =
            found.with_context(|| format!("the import {id} is cancelled; its end is not seen"))?;
        import = found.unwrap_or(import);
        if !import.is_running() || Instant::now() > until {
            return Ok(import);
        }
        sleep(ASK_EVERY).await;
    }
}

/// Has the function of the imports do a task, outside of its queue: the files that wait there do
/// not delay it.
pub(super) async fn invoke(deployed: &Deployed, id: &str, task: &Value) -> anyhow::Result<()> {
    let function = deployed.name("ImportFunction", "IMPORT_FUNCTION")?;
    let message = json!({
        "messageId": id,
        "body": task.to_string(),
        "attributes": {},
        "messageAttributes": {},
    });
    let event = json!({ "Records": [message] }).to_string();
    let response = deployed.aws.invoke(&function, &event).await?;
    if let Some(error) = response.error {
        bail!("the function {function} failed: {error}");
    }
    let response: Value = serde_json::from_slice(&response.payload).unwrap_or_default();
    let is_done = response["batchItemFailures"].as_array().is_none_or(Vec::is_empty);
    if !is_done {
        bail!(
            "the function {function} cannot do it now: its log says why. If it is of an older version of aurora-sync, \
             deploy this one"
        );
    }
    Ok(())
}

/// Has the file of an import that has ended loaded again, with the same options, by a copy of its
/// object onto itself. Returns the new import, or nothing if its beginning was not seen in time.
///
/// Fails if the file is gone, or a newer one is in its place.
pub(crate) async fn retry(deployed: &Deployed, old: &Import) -> anyhow::Result<Option<String>> {
    if old.is_running() {
        bail!("the import {} is running: it goes on by itself, or cancel it first", old.id);
    }
    let known = imports_of(deployed, &old.key).await?;
    let objects = deployed.aws.objects();
    let version = objects.upload_again(&old.bucket, &old.key, &old.version, &[]).await?.version;
    let until = Instant::now() + WAITED;
    loop {
        let imports = unless_away(deployed.api.imports_of(&old.key).await);
        let imports = imports.context("the file was uploaded again, but its import is not seen")?;
        let new = imports
            .unwrap_or_default()
            .into_iter()
            .find(|import| import.version == version && !known.contains(&import.id));
        match new {
            Some(new) => return Ok(Some(new.id)),
            None if Instant::now() > until => return Ok(None),
            None => sleep(ASK_EVERY).await,
        }
    }
}

async fn imports_of(deployed: &Deployed, key: &str) -> anyhow::Result<Vec<String>> {
    let imports = deployed.api.imports_of(key).await.map_err(ApiError::into_error)?;
    Ok(imports.into_iter().map(|import| import.id).collect())
}
