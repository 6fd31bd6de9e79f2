//! The tag of a row, which changes whenever a look-up of the whole row would return something else.
//!
//! Pure. Look-ups return it in `ETag`, and writes compare it: both by this expression, and by
//! `sync.row_tag` inside the server (`sql/sync/0002_settle.sql`).

use aurora_sync_catalog::{Table, quote_identifier};

/// Formats the tag of a row as SQL: a hash of all columns that look-ups may read. `alias` is the
/// table's name in the statement.
pub fn expression(table: &Table, alias: &str) -> String {
    let columns: Vec<_> = table
        .readable_columns()
        .map(|column| format!("{alias}.{}", quote_identifier(&column.name)))
        .collect();
    format!("(SELECT sync.row_tag(image) FROM (SELECT {}) AS image)", columns.join(", "))
}
