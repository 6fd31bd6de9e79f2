//! Reads the tables from the database, and stores the catalog where the functions find it.

use aurora_sync_catalog::Catalog;
use aurora_sync_catalog::drift::{self, Difference};
use serde::{Deserialize, Serialize};

use super::metrics;
use super::tables::CATALOG_KEY;
use crate::aws::data_api::DataApi;
use crate::aws::objects::{Fetched, Objects};
use crate::database::condition::{Condition, read_condition};
use crate::database::introspection::read_catalog;
use crate::domain::deadline::Deadline;
use crate::domain::error::{ServiceFault, SyncError};

/// The number of times that the tables are read again because another refresh stored a catalog
/// meanwhile.
const REPEATS_MAX: usize = 5;

/// The resources of the function.
#[derive(Debug)]
pub struct Refresh {
    pub data_api: DataApi,
    pub objects: Objects,
    /// The bucket of the catalog.
    pub bucket: String,
}

/// The event of the function. A schedule sends an object without these members.
#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(default)]
pub struct Event {
    /// `true` to compare only, as [`check`] does.
    pub check: bool,
}

/// The result of a refresh or a check, which is the function's response.
#[derive(Debug, Serialize)]
pub struct Refreshed {
    /// The version of the catalog (see [`Catalog::version`]) that the database has now.
    pub version: String,
    /// The version of the catalog that was stored before. `None` if there was none, or one that
    /// another version of aurora-sync had stored in another form.
    pub stored_before: Option<String>,
    /// The tables that are offered, by their names in URLs.
    pub tables: Vec<String>,
    /// The differences from the stored catalog to the database, in words.
    pub changes: Vec<String>,
    /// Remarks on tables that are not offered as they were granted.
    pub remarks: Vec<String>,
    /// The rest of what a check has read. A refresh has none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub checked: Option<Checked>,
}

/// The result of a check besides the tables.
#[derive(Debug, Serialize)]
pub struct Checked {
    /// The version of aurora-sync.
    pub worker: &'static str,
    #[serde(flatten)]
    pub condition: Condition,
}

/// Reads the tables, stores the catalog, and logs the differences from the one before.
pub async fn run(refresh: &Refresh, deadline: Deadline) -> Result<Refreshed, SyncError> {
    for _ in 0..=REPEATS_MAX {
        // Before the tables are read: a refresh that stores a newer catalog after this one has read
        // the tables makes this one fail, and read them again.
        let (etag, old) = stored(refresh).await?;
        let new = read_catalog(&refresh.data_api, deadline).await?;
        // Even an equal one: the time of the object tells the functions when the tables were read.
        match store(refresh, &new, etag.as_deref()).await {
            Err(SyncError::Service(error)) if error.fault == ServiceFault::Changed => {}
            stored => {
                stored?;
                let differences = differences(old.as_ref(), &new);
                log(refresh, &differences, &new);
                return Ok(report(old.as_ref(), &new, &differences));
            }
        }
    }
    Err(SyncError::OutOfTime)
}

/// Reads the tables, and compares them with the stored catalog; reads the condition of the
/// database. Stores nothing.
pub async fn check(refresh: &Refresh, deadline: Deadline) -> Result<Refreshed, SyncError> {
    let (_, old) = stored(refresh).await?;
    let new = read_catalog(&refresh.data_api, deadline).await?;
    let condition = read_condition(&refresh.data_api, deadline).await?;
    let checked = Some(Checked { worker: env!("CARGO_PKG_VERSION"), condition });
    Ok(Refreshed { checked, ..report(old.as_ref(), &new, &differences(old.as_ref(), &new)) })
}

async fn stored(refresh: &Refresh) -> Result<(Option<String>, Option<Catalog>), SyncError> {
    match refresh.objects.get_if_changed(&refresh.bucket, CATALOG_KEY, None).await {
        // A catalog that another version of aurora-sync has stored may have another form.
        Ok(Fetched { changed: Some((etag, bytes)), .. }) => {
            Ok((etag, serde_json::from_slice(&bytes).ok()))
        }
        Ok(Fetched { changed: None, .. }) => Ok((None, None)),
        Err(error) if error.fault == ServiceFault::NotFound => Ok((None, None)),
        Err(error) => Err(error.into()),
    }
}

async fn store(refresh: &Refresh, catalog: &Catalog, etag: Option<&str>) -> Result<(), SyncError> {
    let bytes = serde_json::to_vec(catalog).map_err(|error| {
        SyncError::Inconsistent(format!("the catalog cannot be written: {error}"))
    })?;
    refresh.objects.replace(&refresh.bucket, CATALOG_KEY, bytes, etag).await?;
    Ok(())
}

fn differences(old: Option<&Catalog>, new: &Catalog) -> Vec<Difference> {
    old.map(|old| drift::between(old, new)).unwrap_or_default()
}

fn log(refresh: &Refresh, differences: &[Difference], new: &Catalog) {
    let version = new.version();
    for difference in differences {
        if difference.breaks_requests() {
            // `template.yaml` counts these lines, and raises an alarm.
            tracing::warn!(target: metrics::TARGET, %difference, version, "tables changed under the API");
        } else {
            tracing::info!(%difference, version, "tables changed");
        }
    }
    for remark in new.remarks() {
        tracing::warn!(table = remark.table, remark = remark.text, "table not offered as granted");
    }
    let tables = new.tables().len();
    metrics::line!(info, refresh.data_api, tables, version, "tables read");
}

fn report(old: Option<&Catalog>, new: &Catalog, differences: &[Difference]) -> Refreshed {
    Refreshed {
        version: new.version(),
        stored_before: old.map(Catalog::version),
        tables: new.tables().iter().map(ToString::to_string).collect(),
        changes: differences.iter().map(ToString::to_string).collect(),
        remarks: new.remarks().iter().map(|r| format!("{}: {}", r.table, r.text)).collect(),
        checked: None,
    }
}
