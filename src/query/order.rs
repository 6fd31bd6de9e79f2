//! The order of rows, and what comes after a row in it.
//!
//! Pure. The key breaks ties, so that of two rows one always comes first: a page begins strictly after
//! the last row of the page before it, whatever was inserted or deleted in between.

use aurora_sync_catalog::{Column, Table};

use super::column_sql;
use super::operator::is_ordered;
use super::parameters::Parameters;
use super::readable_column;
use super::scanner::Scanner;

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

    /// As in `ORDER BY`. PostgreSQL's own place of nulls is left out, and so it is where there are
    /// none: an index is used only where the words are the index's.
    fn sql(&self) -> String {
        let direction = if self.is_descending { " DESC" } else { "" };
        let nulls = match (self.column.nullable, self.is_descending, self.nulls_first) {
            (true, true, false) => " NULLS LAST",
            (true, false, true) => " NULLS FIRST",
            _ => "",
        };
        format!("{direction}{nulls}")
    }

    /// Its spelling, for the cursor's digest.
    pub(super) fn spelling(&self) -> String {
        format!("{}{}", column_sql(self.column), self.sql())
    }

    fn comparison(&self) -> &'static str {
        if self.is_descending { "<" } else { ">" }
    }

    /// Whether the rows after a value are those of one comparison, whatever the value.
    fn is_plain(&self) -> bool {
        !self.column.nullable
    }
}

/// `order=age.desc.nullslast,name`. The key's columns that are not in it come last.
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
            return Err(format!("order: {name} stands there twice"));
        }
        let is_descending = !scanner.take(".asc") && scanner.take(".desc");
        let nulls_first = if scanner.take(".nullsfirst") {
            true
        } else {
            !scanner.take(".nullslast") && is_descending
        };
        terms.push(Term { column, is_descending, nulls_first });
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

/// Adds the key's columns that are not there yet, each in the direction of the last term.
pub(super) fn with_key<'t>(table: &'t Table, mut terms: Vec<Term<'t>>) -> Vec<Term<'t>> {
    // In one direction an index on the column and the key serves the whole order.
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

/// ` ORDER BY …`, nothing where there is no order.
pub(super) fn order_by(terms: &[Term<'_>], name: impl Fn(usize, &Column) -> String) -> String {
    let terms: Vec<_> = terms
        .iter()
        .enumerate()
        .map(|(place, term)| format!("{}{}", name(place, term.column), term.sql()))
        .collect();
    if terms.is_empty() { String::new() } else { format!(" ORDER BY {}", terms.join(", ")) }
}

/// The rows after the one with these values in this order. `None` is NULL.
pub(super) fn after(
    terms: &[Term<'_>],
    values: &[Option<String>],
    parameters: &mut Parameters,
) -> String {
    let Some((first, later)) = terms.split_first() else { return "false".to_owned() };
    let Some((value, later_values)) = values.split_first() else { return "false".to_owned() };
    let same_direction =
        terms.iter().all(|term| term.is_plain() && term.is_descending == first.is_descending);
    if same_direction && !later.is_empty() {
        // One comparison of rows, for which PostgreSQL goes straight to the place in an index.
        return compare_rows(terms, values, parameters);
    }
    let column = column_sql(first.column);
    let beyond = beyond(first, value.as_deref(), parameters);
    if later.is_empty() {
        return beyond;
    }
    let equal = match value {
        None => format!("{column} IS NULL"),
        Some(value) => format!("{column} = {}", parameters.bind(value, &first.column.column_type)),
    };
    let rest = after(later, later_values, parameters);
    let after = format!("({beyond} OR ({equal} AND {rest}))");
    match value {
        // Says again what follows anyway: this part alone can bound the scan of an index.
        Some(value) if first.is_plain() => {
            let bound = parameters.bind(value, &first.column.column_type);
            format!("({column} {}= {bound} AND {after})", first.comparison())
        }
        _ => after,
    }
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
            // No row has NULL there, so none comes after one that would have.
            parameters.bind(value.as_deref().unwrap_or_default(), &term.column.column_type)
        })
        .collect();
    format!("({}) {comparison} ({})", columns.join(", "), values.join(", "))
}

/// The rows whose value of this one column comes after a value.
fn beyond(term: &Term<'_>, value: Option<&str>, parameters: &mut Parameters) -> String {
    let column = column_sql(term.column);
    match value {
        Some(value) => {
            let bound = parameters.bind(value, &term.column.column_type);
            let beyond = format!("{column} {} {bound}", term.comparison());
            if term.column.nullable && !term.nulls_first {
                format!("({beyond} OR {column} IS NULL)")
            } else {
                beyond
            }
        }
        None if term.nulls_first => format!("{column} IS NOT NULL"),
        None => "false".to_owned(),
    }
}
