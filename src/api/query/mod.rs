//! The query string of a look-up, in PostgREST's syntax, and the SELECT that it becomes.
//!
//! Pure. Values of a request are parameters, cast to their column's type without length. Names are
//! the catalog's. [`QueryString`] is the parsed request, [`Query`] the statement. PostgreSQL itself
//! formats the JSON, so that no number changes.

mod scanner;
mod operator;
mod parameters;
mod condition;
mod group;
mod order;
mod cursor;
mod query_string;
mod form;
mod statement;
mod page;

use aurora_sync_catalog::{Column, Table, quote_identifier};
use wording::nearest;

pub use form::Form;
pub use page::{Page, Shape};
pub use parameters::Query;
pub use query_string::{
    AFTER_MAX, LIMIT_DEFAULT, LIMIT_MAX, QueryString, RESERVED, WriteRef, writes,
};
pub use statement::{Head, Relation, by_key, columns, key_of_first, list, planned_count, settled};

/// The longest unknown name in a message, in characters. PostgreSQL's own names have at most 63
/// bytes.
const NAME_SHOWN_MAX: usize = 63;

/// The name of the one table that a statement reads.
const ALIAS: &str = "t";

/// Reads names separated by commas, with those in double quotes that need them.
pub fn names(text: &str) -> Option<Vec<String>> {
    let mut scanner = scanner::Scanner::new(text);
    let mut names = vec![scanner.name()?];
    while scanner.take(",") {
        names.push(scanner.name()?);
    }
    scanner.is_at_end().then_some(names)
}

/// Formats a column for the statements.
fn column_sql(column: &Column) -> String {
    format!("{ALIAS}.{}", quote_identifier(&column.name))
}

/// Returns the column of this name, if requests may read it.
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
