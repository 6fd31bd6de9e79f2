//! The page of an import's rejected rows: each in a grid with its reason at the cell, to be mended
//! and imported again.

mod sheet;

use anyhow::Context as _;
use axum::Form;
use axum::extract::{Path, Query, State};
use axum::response::Redirect;
use csv_stream::dialect::Dialect;
use csv_stream::encoding::for_label;
use csv_stream::reader::{Next, Reader};
use csv_stream::records::Content;
use import_options::{Defaults, Settings};
use jiff::Timestamp;
use maud::{Markup, html};

use self::sheet::{ERROR_COLUMN, Mended, RejectedRow, Sheet};
use super::imports::file_of;
use super::page::{Area, crumbs, hidden, notice, page};
use super::site::{Failure, Shared, Site};
use super::upload::{Whole, upload};
use crate::api::{ApiError, Page, encoded};
use crate::operations::imports::{self, Import, Reject};
use crate::progress::grouped;

/// The rejected rows of a page.
const LIMIT: u32 = 100;

pub(super) async fn show(
    State(site): Shared,
    Path(id): Path<String>,
    Query(query): Query<Vec<(String, String)>>,
) -> Result<Markup, Failure> {
    let import = imports::show(&site.deployed, &id).await?;
    let beginning = format!("/_sync/imports/{}/rejects?", encoded(&id));
    let next = query.iter().find(|(name, _)| name == "page").map(|(_, value)| value);
    let rejects = match next.filter(|path| path.starts_with(&beginning)) {
        Some(path) => {
            let page: Result<Page<Reject>, ApiError> = site.deployed.api.page(path).await;
            page.map_err(ApiError::into_error)?
        }
        None => imports::rejects(&site.deployed, &id, LIMIT).await?,
    };
    let dialect = dialect(&import);
    let names = names(&site, &import, &dialect).await?;
    let sheet = Sheet::of(names, &rejects.items, &dialect);
    Ok(shown(&import, &sheet, rejects.next.as_deref(), None))
}

pub(super) async fn import(
    State(site): Shared,
    Path(id): Path<String>,
    Form(form): Form<Vec<(String, String)>>,
) -> Result<Redirect, Failure> {
    let import = imports::show(&site.deployed, &id).await?;
    let Mended { csv, rows } = sheet::mended(&form).map_err(Failure::wrong)?;
    if rows == 0 {
        return Err(Failure::wrong("No row is chosen. Go back and choose those to import."));
    }
    let file = file_of(&import).rsplit('/').next().unwrap_or_default();
    let stem = file.split('.').next().unwrap_or_default();
    let stem = stem.split("-mended-").next().unwrap_or_default();
    let name = format!("{stem}-mended-{}.csv", Timestamp::now().strftime("%Y%m%dT%H%M%S"));
    let mut parts = Whole(Some(csv.into()));
    let page = upload(&site, &import.table, &name, options(&import), &mut parts).await?;
    Ok(Redirect::to(&page))
}

/// The options of a file in RFC 4180 and UTF-8. The stack can have other defaults.
const OF_MENDED: [(&str, &str); 8] = [
    ("delimiter", "comma"),
    ("quote", "\""),
    ("escape", "none"),
    ("comment", "none"),
    ("encoding", "utf-8"),
    ("header", "true"),
    ("atomic", "false"),
    ("dry-run", "false"),
];

/// Returns the options of the mended rows.
fn options(import: &Import) -> Vec<(&'static str, String)> {
    let text = |name: &str| import.options[name].as_str().unwrap_or_default().to_owned();
    let mode = match text("mode").as_str() {
        // It would delete all rows that were good.
        "replace" => "upsert".to_owned(),
        _ => text("mode"),
    };
    let carried =
        [("mode", mode), ("numbers", text("numbers")), ("extra-columns", text("extra-columns"))];
    let carried = carried.into_iter().filter(|(_, value)| !value.is_empty());
    let of_mended = OF_MENDED.map(|(name, value)| (name, value.to_owned()));
    let columns = import.options["columns"].as_array().map(|names| {
        let names = names.iter().filter_map(serde_json::Value::as_str);
        let names = names.filter(|name| *name != ERROR_COLUMN);
        let fields = names.map(|name| Dialect::default().field(name).into_owned());
        ("columns", fields.collect::<Vec<_>>().join(","))
    });
    carried.chain(of_mended).chain(columns).collect()
}

fn dialect(import: &Import) -> Dialect {
    let options = import.options.as_object().into_iter().flatten();
    let options = options.filter_map(|(name, value)| Some((name.as_str(), value.as_str()?)));
    // The worker has read them before.
    Settings::read(&Defaults::none(), "", options).0.options.dialect
}

/// Returns the names of the fields: those of the options, or those of the header, which the file of
/// rejected rows has too.
async fn names(site: &Site, import: &Import, dialect: &Dialect) -> anyhow::Result<Vec<String>> {
    if let Some(columns) = import.options["columns"].as_array() {
        let names = columns.iter().filter_map(|name| name.as_str().map(str::to_owned));
        return Ok(names.collect());
    }
    let key = imports::rejected_key(import);
    let object = Box::pin(site.objects.get(&site.places.results_bucket, &key)).await?;
    let mut object = object.context("the import has no file of rejected rows")?;
    let encoding = import.options["encoding"].as_str().and_then(for_label);
    let mut reader = Reader::new(dialect.clone(), encoding);
    let mut records = Vec::new();
    while records.is_empty() {
        match reader.read(&mut records)? {
            Next::Again => {}
            Next::End => break,
            Next::Input => match object.next().await? {
                Some(bytes) => reader.push(bytes),
                None => reader.end(),
            },
        }
    }
    let header = records.first().context("the file of rejected rows is empty")?;
    let Content::Fields(fields) = &header.content else {
        anyhow::bail!("the header of the file of rejected rows cannot be read");
    };
    Ok(fields.iter().map(|name| name.unwrap_or_default().trim().to_owned()).collect())
}

fn shown(import: &Import, sheet: &Sheet, next: Option<&str>, problem: Option<&str>) -> Markup {
    let href = format!("/imports/{}", import.id);
    let (mendable, others): (Vec<_>, Vec<_>) =
        sheet.rows.iter().partition(|row| !row.cells.is_empty());
    let body = html! {
        (crumbs(&[("/imports", "Imports"), (&href, file_of(import))]))
        @if let Some(problem) = problem { (notice("bad", problem)) }
        p.lead {
            (grouped(import.rows_rejected)) " rows of the table " strong { (import.table) }
            " were rejected. Correct them here, and import just these."
            @if import.is_dry_run() { " The other rows of the file are not loaded: it was a dry run." }
        }
        @if sheet.names.is_empty() || sheet.rows.is_empty() {
            p.empty { "No rejected rows are kept." }
        }
        @if !mendable.is_empty() { (grid(&href, sheet, &mendable)) }
        @if !others.is_empty() { (unmendable(&href, &others)) }
        nav.pages aria-label="Pages" {
            @if let Some(next) = next {
                a rel="next" href={ (href) "/mend?page=" (encoded(next)) } { "Next rejected rows" }
            }
        }
    };
    page(Area::Import, "Mend rejected rows", &body)
}

fn grid(href: &str, sheet: &Sheet, rows: &[&RejectedRow]) -> Markup {
    html! {
        form.mend method="post" action={ (href) "/mend" } {
            (hidden("names", &sheet.header()))
            div.scroll tabindex="0" role="region" aria-label="Rejected rows" {
                table.data.grid {
                    caption.hidden { "Rejected rows, with their reasons" }
                    thead {
                        tr {
                            th scope="col" { "Import" } th.num scope="col" { "Line" }
                            @for name in &sheet.names { th scope="col" { (name) } }
                        }
                    }
                    tbody { @for row in rows { (line(sheet, row)) } }
                }
            }
            div.actions {
                button.is-main type="submit" { "Import these " (rows.len()) " rows" }
                a.button href=(href) { "Back to the report" }
            }
        }
    }
}

fn line(sheet: &Sheet, row: &RejectedRow) -> Markup {
    let RejectedRow { record, line, reason, field, cells } = row;
    html! {
        tr {
            td.check {
                input type="checkbox" name="row" value=(record) checked
                    aria-label={ "Import line " (line) };
            }
            th.num scope="row" {
                (line)
                @if field.is_none() { span.problem { (reason) } }
            }
            @for (index, cell) in cells.iter().enumerate() {
                @let is_wrong = *field == Some(index);
                @let id = format!("c{record}-{index}");
                @let name = sheet.names.get(index).map_or("beyond the last column", String::as_str);
                @let label = format!("{name}, line {line}");
                @let invalid = is_wrong.then_some("true");
                @let problem = is_wrong.then(|| format!("{id}-problem"));
                @let text = cell.as_deref().unwrap_or_default();
                @let breaks = sheet::breaks(text);
                td class=[is_wrong.then_some("is-bad")] {
                    // A browser takes the line breaks out of an input.
                    @if breaks.is_empty() {
                        input id=(id) type="text" name={ "f" (record) ":" (index) } autocomplete="off"
                            value=(text) spellcheck="false" aria-label=(label) aria-invalid=[invalid]
                            aria-describedby=[problem];
                    } @else {
                        textarea id=(id) name={ "f" (record) ":" (index) } rows="3" spellcheck="false"
                            aria-label=(label) aria-invalid=[invalid] aria-describedby=[problem] {
                            "\n" (text)
                        }
                        (hidden(&format!("b{record}:{index}"), &breaks))
                    }
                    @if cell.as_deref() == Some("") { (hidden(&format!("e{record}:{index}"), "1")) }
                    @if is_wrong { span.problem id={ (id) "-problem" } { (reason) } }
                }
            }
        }
    }
}

fn unmendable(href: &str, rows: &[&RejectedRow]) -> Markup {
    html! {
        h2 { "Rows that cannot be mended here" }
        p.note {
            "They cannot be cut into fields, or sync_reader may not read all of them. "
            a href={ (href) "/rejected.csv" } { "Download the rejected rows" } ", and import the corrected file."
        }
        ul { @for row in rows { li { "Line " (row.line) ": " (row.reason) } } }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cell_with_line_breaks_has_several_lines() {
        let row = RejectedRow {
            record: 7,
            line: 8,
            reason: "too long".into(),
            field: None,
            cells: vec![Some("a\rb".into()), Some("c".into())],
        };
        let sheet = Sheet { names: vec!["x".into(), "y".into()], rows: Vec::new() };
        let page = line(&sheet, &row).into_string();
        assert!(page.contains("<textarea id=\"c7-0\" name=\"f7:0\""), "{page}");
        assert!(page.contains("name=\"b7:0\" value=\"r\""), "{page}");
        assert!(page.contains("<input id=\"c7-1\" type=\"text\" name=\"f7:1\""), "{page}");
    }
}
