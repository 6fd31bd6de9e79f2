//! The page of all tables.

use axum::extract::State;
use maud::{Markup, html};

use super::page::{Area, page};
use super::site::{Failure, Shared};
use crate::api::encoded;
use crate::operations::tables::{Column, Table};

pub(super) async fn list(State(site): Shared) -> Result<Markup, Failure> {
    let offer = site.offer().await?;
    let body = html! {
        @if offer.tables.is_empty() {
            div.notice.is-calm {
                p {
                    "The API offers no table. Grant " code { "sync_reader" } " and "
                    code { "sync_writer" } " rights on your tables."
                }
            }
        } @else {
            div.scroll tabindex="0" role="region" aria-label="Tables" {
                table {
                    caption.hidden { "The tables that the API offers" }
                    thead {
                        tr {
                            th scope="col" { "Table" }
                            th scope="col" { "Columns" }
                            th scope="col" { "Key" }
                            th scope="col" { "sync_reader may" }
                            th scope="col" { "sync_writer may" }
                        }
                    }
                    tbody { @for table in &offer.tables { (row(table)) } }
                }
            }
            p.note { "Catalog " code { (offer.catalog_version) } ", aurora-sync " (offer.version) }
        }
    };
    Ok(page(Area::Tables, "Tables", &body))
}

fn row(table: &Table) -> Markup {
    html! {
        tr {
            th scope="row" {
                a href={ "/tables/" (encoded(&table.name)) } { (table.name) }
                @if let Some(comment) = &table.comment { span.note { (comment) } }
            }
            td { (table.columns.len()) }
            td { (table.key.join(", ")) }
            td { (if table.is_read { "read" } else { "nothing" }) }
            td { (changes(table)) }
        }
    }
}

/// Lists the changes that the writer may make.
fn changes(table: &Table) -> String {
    let all =
        [(table.is_inserted, "insert"), (table.is_updated, "update"), (table.is_deleted, "delete")];
    let words: Vec<_> = all.iter().filter(|(may, _)| *may).map(|(_, word)| *word).collect();
    if words.is_empty() { "nothing".to_owned() } else { words.join(", ") }
}

/// Makes the table of a table's columns.
pub(super) fn columns(table: &Table) -> Markup {
    html! {
        div.scroll tabindex="0" role="region" aria-label="Columns" {
            table {
                caption.hidden { "The columns of " (table.name) }
                thead {
                    tr {
                        th scope="col" { "Column" }
                        th scope="col" { "Values" }
                        th scope="col" { "Null" }
                        th scope="col" { "sync_reader may" }
                        th scope="col" { "sync_writer may" }
                    }
                }
                tbody {
                    @for column in &table.columns {
                        tr {
                            th scope="row" {
                                (column.name)
                                @if table.key.contains(&column.name) { " " span.badge.is-calm { "key" } }
                            }
                            td { (column.kind) }
                            td { (if column.is_nullable { "yes" } else { "no" }) }
                            td { (if column.is_read { "read" } else { "nothing" }) }
                            td { (of_column(column)) }
                        }
                    }
                }
            }
        }
    }
}

fn of_column(column: &Column) -> &'static str {
    match (column.is_inserted, column.is_updated) {
        (true, true) => "insert, update",
        (true, false) => "insert",
        (false, true) => "update",
        (false, false) => "nothing",
    }
}
