//! The page of a table's rows: filters, an order, and one page after the other.

use axum::extract::{Path, Query, State};
use maud::{Markup, html};

use super::filters::{OPERATORS, View};
use super::gateway::{self, Rows};
use super::page::{Area, crumbs, notice, page};
use super::row_key::{self, Row};
use super::site::{Failure, Shared};
use super::tables::columns;
use crate::api::encoded;
use crate::operations::tables::{Column, Table};

/// The most characters of a value that a cell shows.
const SHOWN_CHARS: usize = 120;

pub(super) async fn show(
    State(site): Shared,
    Path(name): Path<String>,
    Query(query): Query<Vec<(String, String)>>,
) -> Result<Markup, Failure> {
    let table = site.table(&name).await?;
    let view = View::read(&query);
    let found = if table.is_read { Some(gateway::rows(&site, &name, &view).await) } else { None };
    let href = format!("/tables/{}", encoded(&name));
    let body = html! {
        (crumbs(&[("/tables", "Tables")]))
        @if let Some(comment) = &table.comment { p.lead { (comment) } }
        div.actions {
            @if table.is_inserted {
                a.button.is-main href={ (href) "/new" } { "Add a row" }
                a.button href={ "/imports/new?table=" (encoded(&name)) } { "Import a file" }
            }
            a.button href={ "/writes?table=" (encoded(&name)) } { "Writes to this table" }
        }
        details.panel {
            summary { "Columns and rights" }
            (columns(&table))
        }
        @if table.is_read {
            (filters(&table, &view, &href))
        }
        @match found {
            None => (notice("calm", "sync_reader may not read this table.")),
            Some(Err(error)) => div.notice.is-bad role="alert" { p { (format!("{error:#}")) } },
            Some(Ok(rows)) => (grid(&table, &view, &rows, &href)),
        }
    };
    Ok(page(Area::Tables, &name, &body))
}

fn filters(table: &Table, view: &View, href: &str) -> Markup {
    let readable = || table.columns.iter().filter(|column| column.is_read);
    html! {
        form.filters method="get" action=(href) role="search" aria-label="Filter the rows" {
            @for condition in &view.conditions {
                input type="hidden" name="c" value=(condition.column);
                input type="hidden" name="o" value=(condition.operator);
                input type="hidden" name="v" value=(condition.value);
            }
            @if let Some((column, descends)) = &view.order {
                input type="hidden" name="order"
                    value=(format!("{column}.{}", if *descends { "desc" } else { "asc" }));
            }
            label { span { "Column" }
                select name="c" {
                    option value="" { "Choose…" }
                    @for column in readable() { option value=(column.name) { (column.name) } }
                }
            }
            label { span { "Condition" }
                select name="o" { @for (word, words) in OPERATORS { option value=(word) { (words) } } }
            }
            label { span { "Value" } input type="text" name="v" autocomplete="off"; }
            button type="submit" { "Filter" }
        }
        @if !view.conditions.is_empty() {
            ul.chips aria-label="Filters" {
                @for (index, condition) in view.conditions.iter().enumerate() {
                    li {
                        (condition.words()) " "
                        a href={ (href) (view.without(index).to_page()) }
                            aria-label={ "Remove the filter: " (condition.words()) } { "×" }
                    }
                }
            }
        }
    }
}

fn grid(table: &Table, view: &View, found: &Rows, href: &str) -> Markup {
    let shown: Vec<_> = table.columns.iter().filter(|column| column.is_read).collect();
    html! {
        @if found.rows.is_empty() {
            p.empty { "No row" @if !view.conditions.is_empty() { " meets the filters" } "." }
        } @else {
            div.scroll tabindex="0" role="region" aria-label={ "Rows of " (table.name) } {
                table.data {
                    caption.hidden { "Rows of " (table.name) }
                    thead {
                        tr {
                            @for column in &shown { (heading(column, view, href)) }
                            @if !table.key.is_empty() { th scope="col" { span.hidden { "Actions" } } }
                        }
                    }
                    tbody {
                        @for row in &found.rows { (line(table, &shown, row, href)) }
                    }
                }
            }
        }
        nav.pages aria-label="Pages" {
            @if view.cursor.is_some() {
                a href={ (href) (View { cursor: None, ..view.clone() }.to_page()) } { "First page" }
            }
            @if let Some(next) = &found.next {
                a href={ (href) (view.from(next.clone()).to_page()) } rel="next" { "Next page" }
            }
            span.note { (found.rows.len()) " rows on this page" }
        }
    }
}

fn heading(column: &Column, view: &View, href: &str) -> Markup {
    let order = view.order.as_ref().filter(|(by, _)| *by == column.name);
    let sort = order.map(|(_, descends)| if *descends { "descending" } else { "ascending" });
    html! {
        th scope="col" class=[is_number(column).then_some("num")] aria-sort=[sort] {
            a href={ (href) (view.ordered_by(&column.name).to_page()) } {
                (column.name)
                @if let Some((_, descends)) = order {
                    span aria-hidden="true" { (if *descends { " ↓" } else { " ↑" }) }
                }
            }
        }
    }
}

fn line(table: &Table, shown: &[&Column], row: &Row, href: &str) -> Markup {
    let key = row_key::of(table, row);
    html! {
        tr {
            @for column in shown { (cell(column, row)) }
            @if !table.key.is_empty() {
                td.acts {
                    @if let Some(key) = key.filter(|key| row_key::has_path(key)) {
                        a href={ (href) "/row?key=" (encoded(&key)) }
                            aria-label={ "Open row " (key) } { "Open" }
                    }
                }
            }
        }
    }
}

fn cell(column: &Column, row: &Row) -> Markup {
    let text = row.get(&column.name).and_then(|value| row_key::text(value));
    let class = is_number(column).then_some("num");
    html! {
        td class=[class] {
            @match text {
                None => span.null { "NULL" },
                Some(text) => @if text.chars().nth(SHOWN_CHARS).is_some() {
                    (text.chars().take(SHOWN_CHARS).collect::<String>()) "…"
                } @else { (text) },
            }
        }
    }
}

pub(super) fn is_number(column: &Column) -> bool {
    column.schema["type"].to_string().contains("number")
        || column.schema["type"].to_string().contains("integer")
}
