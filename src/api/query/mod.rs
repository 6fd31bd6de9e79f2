//! The query string of a look-up, in PostgREST's spelling, and the SELECT behind it.
//!
//! Pure. Values of a request are parameters, cast to their column's type without length; names are
//! the catalog's. [`Asked`] is what a request wants, [`Query`] how it is asked of the database.
//! PostgreSQL itself makes the JSON, so that numbers stay what they are.

mod scanner;
mod operator;
mod parameters;
mod condition;
mod group;
mod order;
mod cursor;
mod asked;
mod form;
mod statement;
mod page;

use aurora_sync_catalog::{Column, Table, quote_identifier};

use crate::domain::fault::nearest;

pub use asked::{Asked, LIMIT_DEFAULT, LIMIT_MAX, RESERVED, write_ids};
pub use form::Form;
pub use page::{Page, Shape};
pub use statement::{
    Head, Query, Relation, by_key, columns, key_of_first, list, planned_count, settled,
};

/// Most characters of an unknown name in a response: PostgreSQL's own names have 63 bytes.
const NAME_SHOWN_MAX: usize = 63;

/// A column as the statements name it: of the one table that they read.
fn column_sql(column: &Column) -> String {
    format!("t.{}", quote_identifier(&column.name))
}

/// The column of this name, where requests may read it.
fn readable_column<'t>(table: &'t Table, name: &str) -> Result<&'t Column, String> {
    let readable = || table.columns.iter().filter(|column| column.is_readable());
    readable().find(|column| column.name == name).ok_or_else(|| {
        let names = || readable().map(|column| column.name.as_str());
        let shown: String = name.chars().take(NAME_SHOWN_MAX).collect();
        match nearest(name, names()) {
            Some(near) => format!("there is no column {shown}; did you mean {near}?"),
            None => {
                let names = names().collect::<Vec<_>>().join(", ");
                format!("there is no column {shown}; expected one of {names}")
            }
        }
    })
}

#[cfg(test)]
mod tests;
