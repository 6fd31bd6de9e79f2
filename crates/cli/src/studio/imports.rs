//! The pages of imports: the list, one that runs, and one that has ended.

use std::future::{Ready, ready};

use axum::body::Body;
use axum::extract::{Path, Query, State};
use axum::http::header::{CONTENT_DISPOSITION, CONTENT_TYPE};
use axum::response::{IntoResponse as _, Redirect, Response};
use maud::{Markup, html};
use serde::Deserialize;

use super::fragment::{Fragment, Then};
use super::import_report::{Loaded, is_dry_run, progress, report};
use super::page::{Area, badge, crumbs, live as live_part, notice, page, time};
use super::site::{Failure, Shared};
use super::upload::following;
use crate::api::{ApiError, encoded};
use crate::operations::imports::{self, Filter, Import};
use crate::progress::grouped;

const LIMIT: u32 = 50;

#[derive(Debug, Deserialize)]
pub(super) struct OfUpload {
    key: String,
    version: String,
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
            td { (badge(&import.state)) @if is_dry_run(import) { " " (badge("dry run")) } }
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
pub(super) fn begun(Query(OfUpload { key, version }): Query<OfUpload>) -> Ready<Markup> {
    let name = key.rsplit('/').next().unwrap_or_default();
    let source = format!("/live/upload?key={}&version={}", encoded(&key), encoded(&version));
    let body = html! {
        (crumbs(&[("/imports", "Imports")]))
        (live_part(&source, &notice("busy", "Uploaded. The import begins in a moment.")))
    };
    ready(page(Area::Import, name, &body))
}

pub(super) async fn live_upload(
    State(site): Shared,
    Query(OfUpload { key, version }): Query<OfUpload>,
) -> Result<Fragment, Failure> {
    let found = site.deployed.api.imports_of(&key).await.map_err(ApiError::into_error)?;
    let ours = found.into_iter().find(|import| import.version == version);
    let then = ours.map_or(Then::Again, |import| Then::Go(format!("/imports/{}", import.id)));
    let content = notice("busy", "Uploaded. The import begins in a moment.");
    Ok(Fragment { content, then })
}

pub(super) async fn show(State(site): Shared, Path(id): Path<String>) -> Result<Response, Failure> {
    let import = imports::show(&site.deployed, &id).await?;
    let name = file_of(&import).to_owned();
    let body = if import.is_running() {
        html! {
            (crumbs(&[("/imports", "Imports")]))
            (live_part(&format!("/live/import?id={}", encoded(&id)), &progress(&import)))
            form.inline method="post" action={ "/imports/" (id) "/cancel" } {
                button.is-bad type="submit" { "Cancel the import of " (name) }
            }
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

/// Loads the file of a dry run.
pub(super) async fn load(State(site): Shared, Path(id): Path<String>) -> Result<Redirect, Failure> {
    let import = imports::show(&site.deployed, &id).await?;
    let Import { bucket, key, version, .. } = &import;
    let uploaded = Box::pin(site.objects.upload_again(bucket, key, version, &["dry-run"])).await?;
    Ok(Redirect::to(&following(key, &uploaded.version)))
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
    let key = format!("{}/{}/rejected.csv", import.table, import.id);
    let found = Box::pin(site.objects.get(&site.places.results_bucket, &key)).await?;
    let Some(mut object) = found else {
        return Err(Failure::not_found("The import has no file of rejected rows."));
    };
    let mut bytes = Vec::new();
    // It has 64 MiB for each lane at most.
    while let Some(part) = object.next().await? {
        bytes.extend_from_slice(&part);
    }
    let headers = [
        (CONTENT_TYPE, "text/csv"),
        (CONTENT_DISPOSITION, "attachment; filename=\"rejected.csv\""),
    ];
    Ok((headers, Body::from(bytes)).into_response())
}
