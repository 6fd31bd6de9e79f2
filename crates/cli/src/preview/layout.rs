//! Finds the columns of a file's fields, and proposes whether it has a header.
//!
//! Pure.

use csv_stream::records::{Content, Record};

use super::form::Numbers;
use super::given::Given;
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
    pub(super) fn of(records: &mut Vec<Record>, table: &'t Table, given: &Given) -> Self {
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
        let has_header = given.header.unwrap_or_else(|| !is_row(first.as_deref(), table));
        let names = if has_header {
            let header = records.remove(0);
            let Some(names) = first else {
                let reason = cells::unreadable(&header.content);
                layout.problems.push(stops(format!("the header cannot be read: {reason}")));
                return layout;
            };
            layout.named(names, given)
        } else if let Some(columns) = &given.columns {
            columns.clone()
        } else {
            layout.propose_no_header(table, given)
        };
        layout.assign(&names, table, given);
        layout.check_missing(table, given);
        layout
    }

    fn propose_no_header(&mut self, table: &Table, given: &Given) -> Vec<String> {
        let names: Vec<_> = written(table).map(|column| column.name.clone()).collect();
        if given.header.is_none() {
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
    fn named(&mut self, header: Vec<String>, given: &Given) -> Vec<String> {
        let Some(mut columns) = given.columns.clone() else { return header };
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

    fn assign(&mut self, names: &[String], table: &'t Table, given: &Given) {
        for (index, name) in names.iter().enumerate() {
            let found = column(table, name);
            let twice = found.is_some_and(|found| self.columns.contains(&Some(found)));
            let problem = match found {
                _ if name == ERROR_COLUMN => None,
                Some(_) if twice => Some(format!("the header names {name:?} twice; keep one")),
                Some(found) => refused(found, table, given),
                None if given.ignores_extra_columns => None,
                None => Some(unknown(name, index, table)),
            };
            self.problems.extend(problem.map(stops));
            let loaded = found.filter(|_| name != ERROR_COLUMN && !twice);
            let loaded = loaded.filter(|found| refused(found, table, given).is_none());
            self.columns.push(loaded);
            let column = loaded.map(|column| column.name.clone());
            self.fields.push(Field { name: name.clone(), column });
        }
    }

    fn check_missing(&mut self, table: &'t Table, given: &Given) {
        let is_delete = given.has_mode("delete");
        let is_needed = |column: &&Column| {
            let is_key = table.key.contains(&column.name);
            let is_of_replace = is_key && given.has_mode("replace");
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
        && columns.iter().any(|column| Numbers::are_of(column))
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

/// Returns the reason why a column cannot be loaded, if there is one.
fn refused(column: &Column, table: &Table, given: &Given) -> Option<String> {
    let is_key = table.key.contains(&column.name);
    let is_ignored = given.ignores_extra_columns && !is_key;
    if given.has_mode("delete") || column.is_inserted || is_ignored {
        return None;
    }
    let name = &column.name;
    Some(format!(
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
    let near = table
        .columns
        .iter()
        .map(|column| {
            (strsim::damerau_levenshtein(&name.to_lowercase(), &column.name.to_lowercase()), column)
        })
        .filter(|(distance, column)| *distance <= 1 + column.name.chars().count() / 4)
        .min_by_key(|(distance, _)| *distance);
    let near = near.map_or_else(String::new, |(_, column)| format!(" (is it {}?)", column.name));
    let shown: String = name.chars().take(64).collect();
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
