//! Reads tables from a running PostgreSQL, 13 to 18.
//!
//! Pure. The caller runs [`TABLES`] as long as rows follow, and gives the documents to [`catalog`].
//! Every document describes one table wholly, so that tables that are changed between two calls
//! leave no half of a table behind.

mod raw;
mod tables;

pub use self::raw::InvalidDocument;

use crate::catalog::{Catalog, Remark, Table};

/// The query: one parameter `after`, an oid as a number (0 at first), and rows of an oid, a JSON
/// document, and whether more rows follow. It needs the roles `sync_reader` and `sync_writer`, and
/// no right but to connect.
pub const TABLES: &str = include_str!("tables.sql");

/// Makes the catalog of the query's documents.
pub fn catalog<'d>(
    documents: impl IntoIterator<Item = &'d str>,
) -> Result<Catalog, InvalidDocument> {
    let mut tables = Vec::new();
    let mut remarks = Vec::new();
    for document in documents {
        let raw = raw::Relation::parse(document)?;
        let (table, found) = tables::read(raw);
        remarks.extend(found);
        tables.extend(table);
    }
    leave_out_doubles(&mut tables, &mut remarks);
    keep_keys_between(&mut tables);
    // The order of oids differs between databases with the same tables.
    tables.sort_by_key(Table::path);
    remarks.sort_by(|a, b| (&a.table, &a.text).cmp(&(&b.table, &b.text)));
    Ok(Catalog::new(tables, remarks))
}

/// Leaves out tables that would be reached under one name, such as `"a.b"` and `a.b`.
fn leave_out_doubles(tables: &mut Vec<Table>, remarks: &mut Vec<Remark>) {
    let paths: Vec<_> = tables.iter().map(Table::path).collect();
    let is_double = |path: &String| paths.iter().filter(|other| *other == path).count() > 1;
    let mut doubles: Vec<_> = paths.iter().filter(|path| is_double(path)).cloned().collect();
    doubles.sort();
    doubles.dedup();
    tables.retain(|table| !doubles.contains(&table.path()));
    remarks.extend(doubles.into_iter().map(|path| Remark {
        text: format!(
            "not offered, since two tables would be reached under /{path}; rename one of them"
        ),
        table: path,
    }));
}

/// Keeps the foreign keys to tables of the catalog.
fn keep_keys_between(tables: &mut [Table]) {
    let paths: Vec<_> = tables.iter().map(Table::path).collect();
    for table in tables {
        table.foreign_keys.retain(|key| paths.contains(&key.parent));
    }
}

#[cfg(test)]
mod tests;
