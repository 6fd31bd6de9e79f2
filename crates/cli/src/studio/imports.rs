//! The pages of imports: the list, one that runs, and one that has ended.

use std::future::{Ready, ready};
use std::time::Duration;

use axum::body::Body;
use axum::extract::{Path, Query, State};
use axum::http::header::{CONTENT_DISPOSITION, CONTENT_TYPE};
use axum::response::{IntoResponse as _, Redirect, Response};
use jiff::Timestamp;
use maud::{Markup, html};
use serde::Deserialize;

use super::fragment::{Fragment, Then};
use super::import_report::{Loaded, counts, progress, report};
use super::page::{Area, badge, crumbs, live as live_part, notice, page, time};
use super::site::{Failure, Shared};
use super::upload::following;
use crate::api::{ApiError, encoded};
use crate::follow::{BEGINS_WITHIN, NOT_BEGUN};
use crate::operations::imports::{self, Filter, Import};
use crate::progress::grouped;

const LIMIT: u32 = 50;

#[derive(Debug, Deserialize)]
pub(super) struct OfUpload {
    key: String,
    version: String,
    /// The time at which the page began to wait, in seconds of Unix time.
    since: Option<i64>,
}

#[derive(Debug, Deserialize)]
pub(super) struct OfId {
    id: String,
}

pub(super) async fn list(
    State(site): Shared,
    Query(query): Query<Vec<(String, String)>>,
) -> Result<Markup, Failure> {
    let next = query.iter().find(|(name, _)| name == "page").map(|(_, value)| value);
    let found = match next.filter(|path| path.starts_with("/_sync/imports?")) {
        Some(path) => imports::next(&site.deployed, path).await?,
        None => imports::list(&site.deployed, &Filter::default(), LIMIT).await?,
    };
    let body = html! {
        div.actions { a.button.is-main href="/imports/new" { "Import a file" } }
        @if found.items.is_empty() {
            p.empty { "No file has been imported yet." }
        } @else {
            div.scroll tabindex="0" role="region" aria-label="Imports" {
                table.data {
                    caption.hidden { "Imports, the newest first" }
                    thead {
                        tr {
                            th scope="col" { "Began (UTC)" } th scope="col" { "State" }
                            th scope="col" { "Table" } th scope="col" { "File" }
                            th.num scope="col" { "Read" } th.num scope="col" { "Written" }
                            th.num scope="col" { "Rejected" }
                        }
                    }
                    tbody { @for import in &found.items { (line(import)) } }
                }
            }
        }
        nav.pages aria-label="Pages" {
            @if let Some(next) = &found.next {
                a rel="next" href={ "/imports?page=" (encoded(next)) } { "Next page" }
            }
        }
    };
    Ok(page(Area::Import, "Imports", &body))
}

fn line(import: &Import) -> Markup {
    html! {
        tr {
            td { (time(&import.started_at)) }
            td { (badge(&import.state)) @if import.is_dry_run() { " " (badge("dry run")) } }
            td { (import.table) }
            th scope="row" { a href={ "/imports/" (import.id) } { (file_of(import)) } }
            td.num { (grouped(import.rows_read)) }
            td.num { (grouped(import.rows_written)) }
            td.num { (grouped(import.rows_rejected)) }
        }
    }
}

/// Returns the name of a file under the folder of its table.
pub(super) fn file_of(import: &Import) -> &str {
    let prefix = format!("imports/{}/", import.table);
    import.key.strip_prefix(prefix.as_str()).unwrap_or(&import.key)
}

/// Shows a file whose import has not begun, until it begins.
pub(super) fn begun(Query(OfUpload { key, version, .. }): Query<OfUpload>) -> Ready<Markup> {
    let name = key.rsplit('/').next().unwrap_or_default();
    let since = Timestamp::now().as_second();
    let (key, version) = (encoded(&key), encoded(&version));
    let source = format!("/live/upload?key={key}&version={version}&since={since}");
    let body = html! {
        (crumbs(&[("/imports", "Imports")]))
        (live_part(&source, &waiting(Duration::ZERO)))
    };
    ready(page(Area::Import, name, &body))
}

pub(super) async fn live_upload(
    State(site): Shared,
    Query(OfUpload { key, version, since }): Query<OfUpload>,
) -> Result<Fragment, Failure> {
    let found = site.deployed.api.imports_of(&key).await.map_err(ApiError::into_error)?;
    let ours = found.into_iter().find(|import| import.version == version);
    let then = ours.map_or(Then::Again, |import| Then::Go(format!("/imports/{}", import.id)));
    let waited_s = since.map_or(0, |since| Timestamp::now().as_second().saturating_sub(since));
    let waited = Duration::from_secs(u64::try_from(waited_s).unwrap_or_default());
    Ok(Fragment { content: waiting(waited), then })
}

/// Says that the import of a file is still to begin, with a hint after a while.
fn waiting(waited: Duration) -> Markup {
    if waited > BEGINS_WITHIN {
        notice("busy", &format!("Uploaded; {NOT_BEGUN}."))
    } else {
        notice("busy", "Uploaded. The import begins in a moment.")
    }
}

pub(super) async fn show(State(site): Shared, Path(id): Path<String>) -> Result<Response, Failure> {
    let import = imports::show(&site.deployed, &id).await?;
    let name = file_of(&import).to_owned();
    let body = if import.is_running() {
        html! {
            (crumbs(&[("/imports", "Imports")]))
            (live_part(&format!("/live/import?id={}", encoded(&id)), &progress(&import)))
            a.button.is-bad href={ "/imports/" (id) "/cancel" } { "Cancel the import of " (name) }
        }
    } else {
        let loaded = Loaded::read(&site, import).await?;
        html! { (crumbs(&[("/imports", "Imports")])) (report(&loaded)) }
    };
    Ok(page(Area::Import, &name, &body).into_response())
}

pub(super) async fn live(
    State(site): Shared,
    Query(OfId { id }): Query<OfId>,
) -> Result<Fragment, Failure> {
    let import = imports::show(&site.deployed, &id).await?;
    let then =
        if import.is_running() { Then::Again } else { Then::Go(format!("/imports/{}", import.id)) };
    Ok(Fragment { content: progress(&import), then })
}

/// Asks before the file of a dry run is loaded in a mode that deletes rows.
pub(super) async fn confirm_load(
    State(site): Shared,
    Path(id): Path<String>,
) -> Result<Markup, Failure> {
    let import = imports::show(&site.deployed, &id).await?;
    let (name, table) = (file_of(&import), &import.table);
    let effect = match import.options["mode"].as_str() {
        Some("replace") => format!("and delete the rows of {table} that are not in the file"),
        _ => format!("and delete its rows from {table}"),
    };
    let body = html! {
        (crumbs(&[("/imports", "Imports"), (format!("/imports/{id}").as_str(), name)]))
        p.lead { "This is what the dry run counted. The import counts anew." }
        (counts(&import))
        form method="post" action={ "/imports/" (id) "/load" } {
            div.actions {
                button.is-bad type="submit" { "Load " (name) " " (effect) }
                a.button href={ "/imports/" (id) } { "Do not load it" }
            }
        }
    };
    Ok(page(Area::Import, &format!("Load {name}?"), &body))
}

/// Loads the file of a dry run.
pub(super) async fn load(State(site): Shared, Path(id): Path<String>) -> Result<Redirect, Failure> {
    let import = imports::show(&site.deployed, &id).await?;
    let Import { bucket, key, version, .. } = &import;
    let uploaded =
        Box::pin(site.objects.upload_again(bucket, key, version, &[("dry-run", "false")])).await?;
    Ok(Redirect::to(&following(key, &uploaded.version)))
}

/// Asks before an import is cancelled.
pub(super) async fn confirm_cancel(
    State(site): Shared,
    Path(id): Path<String>,
) -> Result<Markup, Failure> {
    let import = imports::show(&site.deployed, &id).await?;
    let name = file_of(&import);
    let body = html! {
        (crumbs(&[("/imports", "Imports"), (format!("/imports/{id}").as_str(), name)]))
        p.lead {
            @if import.options["atomic"] == true || import.is_dry_run() { "No row of the file is loaded." }
            @else { "The rows that were loaded stay. The rest of the file is not loaded." }
        }
        form method="post" action={ "/imports/" (id) "/cancel" } {
            div.actions {
                button.is-bad type="submit" { "Cancel the import of " (name) }
                a.button href={ "/imports/" (id) } { "Let it go on" }
            }
        }
    };
    Ok(page(Area::Import, &format!("Cancel the import of {name}?"), &body))
}

pub(super) async fn cancel(
    State(site): Shared,
    Path(id): Path<String>,
) -> Result<Redirect, Failure> {
    Box::pin(imports::cancel(&site.deployed, &id)).await?;
    Ok(Redirect::to(&format!("/imports/{}", encoded(&id))))
}

/// Sends the rejected rows of an import on as they stand in S3.
pub(super) async fn rejected_file(
    State(site): Shared,
    Path(id): Path<String>,
) -> Result<Response, Failure> {
    let import = imports::show(&site.deployed, &id).await?;
    let key = imports::rejected_key(&import);
    // It has 64 MiB for each lane at most.
    let found = Box::pin(site.objects.read(&site.places.results_bucket, &key)).await?;
    let Some(bytes) = found else {
        return Err(Failure::not_found("The import has no file of rejected rows."));
    };
    let headers = [
        (CONTENT_TYPE, "text/csv"),
        (CONTENT_DISPOSITION, "attachment; filename=\"rejected.csv\""),
    ];
    Ok((headers, Body::from(bytes)).into_response())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hint_is_given_if_no_import_begins_for_a_minute() {
        let shown = |seconds| waiting(Duration::from_secs(seconds)).into_string();
        assert!(shown(60).contains("The import begins in a moment"));
        assert!(shown(61).contains("the bucket and the API are not of one deployment"));
    }
}
