//! Finds the columns of a file's fields, and proposes whether it has a header.
//!
//! Pure.

use csv_stream::records::{Content, Record};
use import_options::{LoadMode, Numbers, Settings};
use wording::{nearest, shortened};

use super::form::is_number;
use super::{Field, Problem, Proposal, cells, stops};
use crate::operations::tables::{Column, Table};

/// The column that `rejected.csv` adds, and that an import leaves out.
const ERROR_COLUMN: &str = "_error";

/// The columns of the fields.
#[derive(Debug)]
pub(super) struct Layout<'t> {
    pub(super) fields: Vec<Field>,
    pub(super) columns: Vec<Option<&'t Column>>,
    pub(super) proposed: Vec<Proposal>,
    pub(super) problems: Vec<Problem>,
}

impl<'t> Layout<'t> {
    /// Finds the columns, and takes the header out of the records.
    pub(super) fn of(records: &mut Vec<Record>, table: &'t Table, given: &Settings) -> Self {
        let mut layout = Self {
            fields: Vec::new(),
            columns: Vec::new(),
            proposed: Vec::new(),
            problems: Vec::new(),
        };
        let first: Option<Vec<String>> = match records.first().map(|record| &record.content) {
            None => {
                layout.problems.push(stops("the file has no record; choose another one"));
                return layout;
            }
            Some(Content::Fields(fields)) => {
                Some(fields.iter().map(|name| name.unwrap_or_default().trim().to_owned()).collect())
            }
            Some(_) => None,
        };
        let has_header = if given.is_set("header") {
            given.options.has_header
        } else {
            !is_row(first.as_deref(), table)
        };
        let names = if has_header {
            let header = records.remove(0);
            let Some(names) = first else {
                let reason = cells::unreadable(&header.content);
                layout.problems.push(stops(format!("the header cannot be read: {reason}")));
                return layout;
            };
            layout.named(names, given)
        } else if let Some(columns) = &given.options.columns {
            columns.clone()
        } else {
            layout.propose_no_header(table, given)
        };
        layout.assign(&names, table, given);
        layout.check_missing(table, given);
        layout
    }

    fn propose_no_header(&mut self, table: &Table, given: &Settings) -> Vec<String> {
        let names: Vec<_> = written(table).map(|column| column.name.clone()).collect();
        if !given.is_set("header") {
            self.proposed.push(Proposal {
                option: "header",
                value: "false".to_owned(),
                why: "the first record names no column, and could be a row".to_owned(),
            });
        }
        self.proposed.push(Proposal {
            option: "columns",
            value: names.iter().map(|name| quoted(name)).collect::<Vec<_>>().join(","),
            why: "without a header, the columns of the fields must be named; these are the table's"
                .to_owned(),
        });
        names
    }

    /// Returns the names of the option `columns`, which replace those of the header.
    fn named(&mut self, header: Vec<String>, given: &Settings) -> Vec<String> {
        let Some(mut columns) = given.options.columns.clone() else { return header };
        let is_error = |name: Option<&String>| name.is_some_and(|name| name == ERROR_COLUMN);
        if header.len() == columns.len() + 1 && is_error(header.last()) {
            columns.push(ERROR_COLUMN.to_owned());
        }
        if header.len() != columns.len() {
            self.problems.push(stops(format!(
                "columns names {} columns, and the header has {} fields; name all of them",
                columns.len(),
                header.len()
            )));
        }
        columns
    }

    fn assign(&mut self, names: &[String], table: &'t Table, given: &Settings) {
        let mut known = Vec::new();
        for (index, name) in names.iter().enumerate() {
            let found = column(table, name);
            let twice = found.is_some_and(|found| known.contains(&found));
            known.extend(found);
            let is_loaded = match found {
                Some(found) => is_loaded(found, table, given),
                None => Ok(false),
            };
            let problem = match found {
                _ if name == ERROR_COLUMN => None,
                Some(_) if twice => Some(format!("the header names {name:?} twice; keep one")),
                Some(_) => is_loaded.clone().err(),
                None if given.options.ignores_extra_columns => None,
                None => Some(unknown(name, index, table)),
            };
            self.problems.extend(problem.map(stops));
            let is_loaded = is_loaded == Ok(true) && name != ERROR_COLUMN && !twice;
            let loaded = found.filter(|_| is_loaded);
            self.columns.push(loaded);
            let column = loaded.map(|column| column.name.clone());
            self.fields.push(Field { name: name.clone(), column });
        }
    }

    fn check_missing(&mut self, table: &'t Table, given: &Settings) {
        let is_delete = given.options.mode == LoadMode::Delete;
        let is_needed = |column: &&Column| {
            let is_key = table.key.contains(&column.name);
            let is_of_replace = is_key && given.options.mode == LoadMode::Replace;
            if is_delete { is_key } else { column.is_required || is_of_replace }
        };
        let missing: Vec<_> = table
            .columns
            .iter()
            .filter(is_needed)
            .filter(|column| !self.columns.contains(&Some(column)))
            .map(|column| column.name.as_str())
            .collect();
        if !missing.is_empty() {
            let names = missing.join(", ");
            self.problems.push(stops(format!(
                "no field is named {names}, which each row must have: add it to the file, or name \
                 the fields with the option columns"
            )));
        }
    }
}

/// Returns whether the first record is a row: none of its names is a column, and all of its
/// fields could be those of the columns that a row can have.
fn is_row(first: Option<&[String]>, table: &Table) -> bool {
    let Some(first) = first else { return false };
    let columns: Vec<_> = written(table).collect();
    first.len() == columns.len()
        && first.iter().all(|name| column(table, name).is_none())
        && first.iter().zip(&columns).all(|(text, column)| {
            let text = Some(text.as_str()).filter(|text| !text.is_empty());
            cells::fault(text, column, Numbers::Plain, None).is_none()
        })
        && columns.iter().any(|column| is_number(column))
}

/// Returns the column of this name: exactly or, if none has it, in another case.
pub(super) fn column<'t>(table: &'t Table, name: &str) -> Option<&'t Column> {
    let lower = name.to_lowercase();
    let mut same = table.columns.iter().filter(|column| column.name.to_lowercase() == lower);
    let exact = table.columns.iter().find(|column| column.name == name);
    exact.or_else(|| same.next().filter(|_| same.next().is_none()))
}

/// Returns the columns that a new row can have.
fn written(table: &Table) -> impl Iterator<Item = &Column> {
    table.columns.iter().filter(|column| column.is_inserted)
}

/// Returns whether the field of a column is loaded, as the worker decides it. Fails if the column
/// must not be in the file.
fn is_loaded(column: &Column, table: &Table, given: &Settings) -> Result<bool, String> {
    let is_key = table.key.contains(&column.name);
    if given.options.mode == LoadMode::Delete {
        return Ok(is_key);
    }
    if column.is_inserted {
        return Ok(true);
    }
    if given.options.ignores_extra_columns && !is_key {
        return Ok(false);
    }
    let name = &column.name;
    Err(format!(
        "the column {name:?} cannot be loaded, since the database makes its values or sync_writer \
         may not write it; set extra-columns to ignore"
    ))
}

fn unknown(name: &str, index: usize, table: &Table) -> String {
    if name.is_empty() {
        let field = index + 1;
        return format!(
            "field {field} of the header has no name; name it, or set extra-columns to ignore"
        );
    }
    let near = nearest(name, table.columns.iter().map(|column| column.name.as_str()));
    let near = near.map_or_else(String::new, |near| format!(" (is it {near}?)"));
    let shown = shortened(name, 64);
    format!(
        "the header names {shown:?}, which is no column of {}{near}; rename it, or set \
         extra-columns to ignore",
        table.name
    )
}

/// Returns a name as a field of the option `columns`.
fn quoted(name: &str) -> String {
    csv_stream::dialect::Dialect::default().field(name).into_owned()
}
