//! The order of rows, and the conditions for the rows after a given one.
//!
//! Pure. The key breaks ties, so that the order of two rows is always defined: a page begins
//! strictly after the last row of the page before it, whatever was inserted or deleted in between.

use aurora_sync_catalog::{Column, Table};

use super::column_sql;
use super::operator::is_ordered;
use super::parameters::Parameters;
use super::readable_column;
use super::scanner::Scanner;

/// The most columns of an order besides the key.
const TERMS_MAX: usize = 8;

/// One column of an order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Term<'t> {
    pub(super) column: &'t Column,
    is_descending: bool,
    nulls_first: bool,
}

impl<'t> Term<'t> {
    pub(super) fn ascending(column: &'t Column) -> Self {
        Self { column, is_descending: false, nulls_first: false }
    }

    pub(super) fn descending(column: &'t Column) -> Self {
        Self { column, is_descending: true, nulls_first: true }
    }

    /// Formats the direction as in `ORDER BY`. Leaves out the order of nulls if it is PostgreSQL's
    /// default or there are none: an index must have the same words to be used.
    fn sql(&self) -> String {
        let direction = if self.is_descending { " DESC" } else { "" };
        let nulls = match (self.column.nullable, self.is_descending, self.nulls_first) {
            (true, true, false) => " NULLS LAST",
            (true, false, true) => " NULLS FIRST",
            _ => "",
        };
        format!("{direction}{nulls}")
    }

    /// Formats the term for the digest of a cursor.
    pub(super) fn spelling(&self) -> String {
        format!("{}{}", column_sql(self.column), self.sql())
    }

    fn comparison(&self) -> &'static str {
        if self.is_descending { "<" } else { ">" }
    }
}

/// Parses `order=age.desc.nullslast,name`.
pub(super) fn parse<'t>(table: &'t Table, text: &str) -> Result<Vec<Term<'t>>, String> {
    let mut scanner = Scanner::new(text);
    let mut terms: Vec<Term<'t>> = Vec::new();
    loop {
        let name = scanner.name().ok_or("order: expected columns separated by commas")?;
        let column = readable_column(table, &name)?;
        if !is_ordered(&column.column_type) {
            return Err(format!("order: {name} has a type without an order"));
        }
        if terms.iter().any(|term| term.column.name == name) {
            return Err(format!("order: {name} occurs twice"));
        }
        let is_descending = !scanner.take(".asc") && scanner.take(".desc");
        let nulls_first = if scanner.take(".nullsfirst") {
            true
        } else {
            !scanner.take(".nullslast") && is_descending
        };
        terms.push(Term { column, is_descending, nulls_first });
        if terms.len() > TERMS_MAX {
            return Err(format!("order: expected at most {TERMS_MAX} columns"));
        }
        if scanner.is_at_end() {
            return Ok(terms);
        }
        if !scanner.take(",") {
            return Err(format!(
                "order: after {name} expected .asc or .desc, then .nullsfirst or .nullslast"
            ));
        }
    }
}

/// Appends the key's columns that the order lacks, in the direction of the last term.
pub(super) fn with_key<'t>(table: &'t Table, mut terms: Vec<Term<'t>>) -> Vec<Term<'t>> {
    // In one direction, an index on the column and the key serves the whole order.
    let is_descending = terms.last().is_some_and(|term| term.is_descending);
    for column in table.key_columns() {
        if !terms.iter().any(|term| term.column.name == column.name) {
            terms.push(if is_descending {
                Term::descending(column)
            } else {
                Term::ascending(column)
            });
        }
    }
    terms
}

/// Formats ` ORDER BY …`, or nothing if there are no terms.
pub(super) fn order_by(terms: &[Term<'_>], name: impl Fn(usize, &Column) -> String) -> String {
    let terms: Vec<_> = terms
        .iter()
        .enumerate()
        .map(|(index, term)| format!("{}{}", name(index, term.column), term.sql()))
        .collect();
    if terms.is_empty() { String::new() } else { format!(" ORDER BY {}", terms.join(", ")) }
}

/// Returns conditions for the rows after the one with these values (`None` is NULL). No row meets
/// two of them, and they are in the order of their rows.
///
/// An order in one direction without nulls needs one comparison of rows, for which PostgreSQL seeks
/// in an index. For other orders, each condition fixes the first columns and bounds the next one,
/// so that PostgreSQL can seek for each. One condition with OR would read the index from its
/// beginning.
pub(super) fn rows_after(
    terms: &[Term<'_>],
    values: &[Option<String>],
    parameters: &mut Parameters,
) -> Vec<String> {
    let mut conditions = Vec::new();
    let mut fixed: Vec<String> = Vec::new();
    for (index, (term, value)) in terms.iter().zip(values).enumerate() {
        let (rest, rest_values) =
            (terms.get(index..).unwrap_or_default(), values.get(index..).unwrap_or_default());
        if is_one_direction(rest) {
            conditions.push(with(&fixed, compare_rows(rest, rest_values, parameters)));
            break;
        }
        for condition in after_value(term, value.as_deref(), parameters) {
            conditions.push(with(&fixed, condition));
        }
        let column = column_sql(term.column);
        fixed.push(match value {
            None => format!("{column} IS NULL"),
            Some(value) => {
                format!("{column} = {}", parameters.bind(value, &term.column.column_type))
            }
        });
    }
    // The rows that share the most columns with the last one come first.
    conditions.sort_by_key(|condition| std::cmp::Reverse(condition.fixed));
    conditions.into_iter().map(|condition| condition.sql).collect()
}

/// A condition that fixes some of the order's first columns.
struct Seek {
    fixed: usize,
    sql: String,
}

fn with(fixed: &[String], last: String) -> Seek {
    let conditions: Vec<_> = fixed.iter().cloned().chain([last]).collect();
    Seek { fixed: fixed.len(), sql: conditions.join(" AND ") }
}

fn is_one_direction(terms: &[Term<'_>]) -> bool {
    let first = terms.first().is_some_and(|term| term.is_descending);
    terms.iter().all(|term| !term.column.nullable && term.is_descending == first)
}

fn compare_rows(
    terms: &[Term<'_>],
    values: &[Option<String>],
    parameters: &mut Parameters,
) -> String {
    let columns: Vec<_> = terms.iter().map(|term| column_sql(term.column)).collect();
    let comparison = terms.first().map_or(">", Term::comparison);
    let values: Vec<_> = terms
        .iter()
        .zip(values)
        .map(|(term, value)| {
            // The column is NOT NULL, so the value is never `None`.
            parameters.bind(value.as_deref().unwrap_or_default(), &term.column.column_type)
        })
        .collect();
    match (columns.as_slice(), values.as_slice()) {
        ([column], [value]) => format!("{column} {comparison} {value}"),
        _ => format!("({}) {comparison} ({})", columns.join(", "), values.join(", ")),
    }
}

/// Returns conditions for the rows whose value of this column comes after `value`.
fn after_value(term: &Term<'_>, value: Option<&str>, parameters: &mut Parameters) -> Vec<String> {
    let column = column_sql(term.column);
    match value {
        Some(value) => {
            let bound = parameters.bind(value, &term.column.column_type);
            let mut conditions = vec![format!("{column} {} {bound}", term.comparison())];
            if term.column.nullable && !term.nulls_first {
                conditions.push(format!("{column} IS NULL"));
            }
            conditions
        }
        None if term.nulls_first => vec![format!("{column} IS NOT NULL")],
        None => Vec::new(),
    }
}
