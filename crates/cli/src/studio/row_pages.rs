//! The pages that add, change and delete a row.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use axum::Form;
use axum::extract::{Path, Query, State};
use hyper::Method;
use maud::{Markup, html};
use serde::Deserialize;
use uuid::Uuid;

use super::gateway::{self, Sent, Write};
use super::page::{Area, crumbs, facts, hidden, live, notice, page};
use super::row_form::{self, Inputs, Problems};
use super::row_key;
use super::site::{Failure, Shared, Site};
use crate::api::encoded;
use crate::operations::tables::Table;

#[derive(Debug, Deserialize)]
pub(super) struct OfKey {
    key: String,
    /// The write that has changed the row. The page shows its outcome.
    write: Option<String>,
}

/// The form of a row as it is shown.
struct Sheet<'a> {
    table: &'a Table,
    /// The key of a row that is there, and its `ETag`.
    row: Option<(&'a str, &'a str)>,
    inputs: Inputs,
    problems: Problems,
    /// The write that was accepted from a form of the row.
    sent: Option<String>,
    /// The form has the row as it was before the write.
    is_old: bool,
}

impl Sheet<'_> {
    fn page(&self) -> Markup {
        let Self { table, row, inputs, problems, sent, is_old } = self;
        let href = format!("/tables/{}", encoded(&table.name));
        let title = match row {
            Some((key, _)) => format!("Row {key} of {}", table.name),
            None => format!("New row of {}", table.name),
        };
        let is_new = row.is_none();
        let body = html! {
            (crumbs(&[("/tables", "Tables"), (&href, &table.name)]))
            @if let Some(id) = sent {
                @let source = format!("/live/write?{}id={}", if *is_old { "form=1&" } else { "" }, encoded(id));
                (live(&source, &notice("busy", "Accepted. The write is on its way.")))
            }
            @if let Some(problem) = &problems.whole {
                div.notice.is-bad role="alert" { p { (problem) } }
            } @else if !problems.fields.is_empty() {
                div.notice.is-bad role="alert" { p { "Some fields do not fit the table. Nothing was sent." } }
            }
            form.sheet method="post" {
                // The same form sent twice is one write.
                (hidden("once", &Uuid::now_v7().to_string()))
                @if let Some((key, etag)) = row { (hidden("key", key)) (hidden("etag", etag)) }
                (row_form::fields(table, is_new, inputs, problems))
                div.actions {
                    button.is-main type="submit" { (if is_new { "Add the row" } else { "Save the changes" }) }
                    a.button href=(href) { "Back to the rows" }
                    @if let (Some((key, _)), true) = (row, table.is_deleted) {
                        a.button.is-bad href={ (href) "/delete?key=" (encoded(key)) } { "Delete…" }
                    }
                }
            }
        };
        page(Area::Tables, &title, &body)
    }
}

pub(super) async fn new(State(site): Shared, Path(name): Path<String>) -> Result<Markup, Failure> {
    let table = site.table(&name).await?;
    if !table.is_inserted {
        return Err(Failure::wrong(format!("sync_writer may not insert into {name}.")));
    }
    let inputs = row_form::of_new(&table);
    let problems = Problems::default();
    Ok(Sheet { table: &table, row: None, inputs, problems, sent: None, is_old: false }.page())
}

pub(super) async fn insert(
    State(site): Shared,
    Path(name): Path<String>,
    Form(form): Form<Vec<(String, String)>>,
) -> Result<Markup, Failure> {
    let table = site.table(&name).await?;
    let inputs = row_form::read(&table, true, &form);
    let write = row_form::body(&table, true, &inputs).map(|body| Write {
        method: Method::POST,
        path: format!("/{}", encoded(&name)),
        once: once(&form, &body),
        body,
        etag: None,
    });
    let (sent, problems) = send(&site, write).await?;
    Ok(Sheet { table: &table, row: None, inputs, problems, sent, is_old: false }.page())
}

pub(super) async fn edit(
    State(site): Shared,
    Path(name): Path<String>,
    Query(OfKey { key, write: sent }): Query<OfKey>,
) -> Result<Markup, Failure> {
    let table = site.table(&name).await?;
    let (row, etag) = existing(&site, &name, &key).await?;
    if !table.is_updated {
        let shown = table.columns.iter().filter_map(|column| {
            let text = row.get(&column.name).map(|value| row_key::text(value))?;
            Some((column.name.as_str(), html! { (text.unwrap_or_else(|| "NULL".to_owned())) }))
        });
        let body = html! {
            (crumbs(&[("/tables", "Tables"), (&format!("/tables/{}", encoded(&name)), &name)]))
            (facts(&shown.collect::<Vec<_>>()))
            p.note { "sync_writer may not update this table." }
        };
        return Ok(page(Area::Tables, &format!("Row {key} of {name}"), &body));
    }
    let inputs = row_form::of_row(&table, &row);
    let (row, problems) = (Some((key.as_str(), etag.as_str())), Problems::default());
    Ok(Sheet { table: &table, row, inputs, problems, sent, is_old: false }.page())
}

pub(super) async fn update(
    State(site): Shared,
    Path(name): Path<String>,
    Form(form): Form<Vec<(String, String)>>,
) -> Result<Markup, Failure> {
    let table = site.table(&name).await?;
    let (key, etag) = (field(&form, "key"), field(&form, "etag"));
    let inputs = row_form::read(&table, false, &form);
    let write = row_form::body(&table, false, &inputs).map(|body| Write {
        method: Method::PATCH,
        path: format!("/{}/{}", encoded(&name), encoded(key)),
        once: once(&form, &body),
        body,
        etag: Some(etag.to_owned()),
    });
    let (sent, problems) = send(&site, write).await?;
    let row = Some((key, etag));
    Ok(Sheet { table: &table, row, inputs, problems, sent, is_old: true }.page())
}

pub(super) async fn confirm(
    State(site): Shared,
    Path(name): Path<String>,
    Query(OfKey { key, .. }): Query<OfKey>,
) -> Result<Markup, Failure> {
    let table = site.table(&name).await?;
    let (row, etag) = existing(&site, &name, &key).await?;
    let href = format!("/tables/{}", encoded(&name));
    let shown = table.columns.iter().filter_map(|column| {
        let text = row.get(&column.name).map(|value| row_key::text(value))?;
        Some((column.name.as_str(), html! { (text.unwrap_or_else(|| "NULL".to_owned())) }))
    });
    let body = html! {
        (crumbs(&[("/tables", "Tables"), (&href, &name)]))
        p.lead { "The row is deleted if it is still as it is here." }
        (facts(&shown.collect::<Vec<_>>()))
        form method="post" {
            (hidden("once", &Uuid::now_v7().to_string()))
            (hidden("key", &key)) (hidden("etag", &etag))
            div.actions {
                button.is-bad type="submit" { "Delete row " (key) " of " (name) }
                a.button href={ (href) "/row?key=" (encoded(&key)) } { "Keep it" }
            }
        }
    };
    Ok(page(Area::Tables, &format!("Delete row {key} of {name}?"), &body))
}

pub(super) async fn delete(
    State(site): Shared,
    Path(name): Path<String>,
    Form(form): Form<Vec<(String, String)>>,
) -> Result<Markup, Failure> {
    let (key, etag) = (field(&form, "key"), field(&form, "etag"));
    let write = Write {
        method: Method::DELETE,
        path: format!("/{}/{}", encoded(&name), encoded(key)),
        body: String::new(),
        etag: Some(etag.to_owned()),
        once: once(&form, ""),
    };
    let (sent, problems) = send(&site, Ok(write)).await?;
    let href = format!("/tables/{}", encoded(&name));
    let body = html! {
        (crumbs(&[("/tables", "Tables"), (&href, &name)]))
        @if let Some(id) = sent {
            (live(&format!("/live/write?id={}", encoded(&id)), &notice("busy", "Accepted. The write is on its way.")))
        }
        @if let Some(problem) = &problems.whole {
            div.notice.is-bad role="alert" { p { (problem) } }
        }
        div.actions { a.button href=(href) { "Back to the rows" } }
    };
    Ok(page(Area::Tables, &format!("Row {key} of {name}"), &body))
}

/// Sends a write that the form has made, and returns its id or the problems.
async fn send(
    site: &Site,
    write: Result<Write, Problems>,
) -> anyhow::Result<(Option<String>, Problems)> {
    let write = match write {
        Ok(write) => write,
        Err(problems) => return Ok((None, problems)),
    };
    Ok(match gateway::send(site, write).await? {
        Sent::Accepted(id) => (Some(id), Problems::default()),
        Sent::Refused(refusal) => {
            let fields = refusal.fields.into_iter().collect();
            (None, Problems { fields, whole: refusal.whole })
        }
    })
}

async fn existing(site: &Site, name: &str, key: &str) -> Result<(row_key::Row, String), Failure> {
    let found = gateway::row(site, name, key).await?;
    found.ok_or_else(|| Failure::not_found(format!("{name} has no row {key} any more.")))
}

fn field<'f>(form: &'f [(String, String)], name: &str) -> &'f str {
    form.iter().find(|(found, _)| found == name).map_or("", |(_, value)| value)
}

/// Names a request. The same form sent again has the same name, and with other values another one.
fn once(form: &[(String, String)], body: &str) -> String {
    let mut hasher = DefaultHasher::new();
    body.hash(&mut hasher);
    format!("studio {} {:x}", field(form, "once"), hasher.finish())
}
