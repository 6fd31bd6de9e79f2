//! Rows of a JSON body, checked against their table.
//!
//! Pure. Finds all faults of a row, not only the first one. The time grows with the number of
//! members and the number of columns, not with their product.

mod json;

use std::collections::HashMap;

use aurora_sync_catalog::{Column, Table};
use wording::nearest;

pub use self::json::JsonRow;
use crate::domain::fault::{Faults, FieldFault, pointer_step};
use crate::domain::key::{Key, canonical};
use crate::domain::value;
use crate::domain::write::{Cell, Operation};

/// The longest name that a fault repeats, in bytes. PostgreSQL's own names have at most 63 bytes.
const NAME_BYTES_MAX: usize = 256;

/// The expectation in a fault whose name is longer than [`NAME_BYTES_MAX`].
const NO_LONG_NAMES: &str = "no member whose name is longer than any column's";

/// A table with the indexes of its columns.
#[derive(Debug)]
pub struct Columns<'a> {
    pub table: &'a Table,
    indexes: HashMap<&'a str, usize>,
    /// The indexes of the primary key's columns, in the key's order.
    key: Vec<usize>,
}

impl<'a> Columns<'a> {
    /// Indexes the columns of a table.
    pub fn of(table: &'a Table) -> Self {
        let indexes: HashMap<_, _> =
            table.columns.iter().enumerate().map(|(n, column)| (column.name.as_str(), n)).collect();
        let key = table.primary_key.iter().filter_map(|name| indexes.get(name.as_str()).copied());
        let key = key.collect();
        Self { table, indexes, key }
    }

    /// Iterates over the key's columns, each with its index, in the key's order.
    fn key_columns(&self) -> impl Iterator<Item = (usize, &'a Column)> {
        self.key.iter().map(|&index| (index, &self.table.columns[index]))
    }

    fn key_of(&self, values: &[Value]) -> Option<Key> {
        Key::of_row(self.table, |name| values[*self.indexes.get(name)?].text())
    }
}

/// A row that passed all checks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckedRow {
    /// The key; `None` if the database generates it.
    pub key: Option<Key>,
    /// The cells, in the order of the table's columns.
    pub cells: Vec<Cell>,
}

/// The value of one column in a row.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Value {
    Absent,
    /// The row has a member for the column, with a fault.
    Faulty,
    Null,
    Text(String),
}

impl Value {
    fn text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            Self::Absent | Self::Faulty | Self::Null => None,
        }
    }
}

/// Checks one row for one operation, and adds its faults to `faults`. Returns `None` if there are
/// any.
///
/// `path_key` is the key in the URL path, if there is one. `pointer` is the JSON Pointer of the row
/// in the body.
pub fn check(
    columns: &Columns<'_>,
    operation: Operation,
    path_key: Option<&Key>,
    row: &JsonRow<'_>,
    pointer: &str,
    faults: &mut Faults,
) -> Option<CheckedRow> {
    let faults_before = faults.total();
    let mut check = Check { columns, pointer, is_bare: row.is_bare, faults };
    let mut values = check.values(operation, row);
    if let Some(key) = path_key {
        check.path_key(key, &mut values);
    }
    match operation {
        Operation::Insert | Operation::Upsert | Operation::InsertIgnore => {
            check.new_row(row, &values);
        }
        Operation::Update | Operation::Delete => check.known_row(operation, &values),
    }
    if matches!(operation, Operation::Update | Operation::Upsert) {
        check.version(&values);
    }
    if check.faults.total() == faults_before {
        check.spelling_of_key(&values);
    }
    if faults.total() > faults_before {
        return None;
    }
    let key = columns.key_of(&values);
    let cells = columns
        .table
        .columns
        .iter()
        .zip(values)
        .filter_map(|(column, value)| match value {
            Value::Text(text) => Some((column.name.clone(), Some(text))),
            Value::Null => Some((column.name.clone(), None)),
            Value::Absent | Value::Faulty => None,
        })
        .collect();
    Some(CheckedRow { key, cells })
}

/// The check of one row.
#[derive(Debug)]
struct Check<'a, 't> {
    columns: &'a Columns<'t>,
    pointer: &'a str,
    is_bare: bool,
    faults: &'a mut Faults,
}

impl Check<'_, '_> {
    /// Adds a fault of the row, or of the member `name`, or of an element at `pointer` within that
    /// member.
    fn fault(
        &mut self,
        (name, within): (Option<&str>, &str),
        rule: &str,
        expected: impl FnOnce() -> String,
    ) {
        let pointer = self.pointer;
        let name = name.filter(|_| !self.is_bare);
        self.faults.push(|| FieldFault {
            pointer: format!("{pointer}{}{within}", name.map(pointer_step).unwrap_or_default()),
            rule: rule.to_owned(),
            detail: format!("expected {}", expected()),
        });
    }

    /// Checks all members, and returns the value of each column, by the column's index.
    fn values(&mut self, operation: Operation, row: &JsonRow<'_>) -> Vec<Value> {
        let columns = self.columns;
        let table = columns.table;
        let mut values = vec![Value::Absent; table.columns.len()];
        for (name, raw) in &row.members {
            let index = columns.indexes.get(name.as_str()).copied();
            let Some(index) = index.filter(|&index| is_known(table, &table.columns[index])) else {
                let is_name = name.len() <= NAME_BYTES_MAX;
                self.fault((is_name.then_some(name), ""), "unknown-column", || {
                    if is_name { unknown_column(table, name) } else { NO_LONG_NAMES.to_owned() }
                });
                continue;
            };
            let column = &table.columns[index];
            if values[index] != Value::Absent {
                self.fault((Some(name), ""), "duplicate-member", || {
                    "the column once, not twice".to_owned()
                });
                continue;
            }
            values[index] = match misplaced(table, column, operation) {
                Some((rule, expected)) => {
                    self.fault((Some(name), ""), rule, || expected.to_owned());
                    Value::Faulty
                }
                None => match value::from_json(column, raw) {
                    Ok(Some(text)) => Value::Text(text),
                    Ok(None) => Value::Null,
                    Err(found) => {
                        let rule = found.rule.to_string();
                        self.fault((Some(name), &found.pointer), &rule, || found.expected);
                        Value::Faulty
                    }
                },
            };
        }
        values
    }

    /// Adds a fault if the key has no canonical text, because it may then name another row.
    fn spelling_of_key(&mut self, values: &[Value]) {
        let columns = self.columns;
        let text = |name: &str| match &values[*columns.indexes.get(name)?] {
            Value::Text(text) => Some(text.as_str()),
            _ => None,
        };
        if let Some((name, fault)) = Key::non_canonical(columns.table, text) {
            self.fault((Some(name), ""), &fault.rule.to_string(), || fault.expected.clone());
        }
    }

    /// Puts the path's key into the row. Adds a fault for each column in which the row names
    /// another key.
    fn path_key(&mut self, key: &Key, values: &mut [Value]) {
        let columns = self.columns;
        for ((index, column), part) in columns.key_columns().zip(key.parts()) {
            match std::mem::replace(&mut values[index], Value::Text(part.to_owned())) {
                Value::Absent | Value::Faulty => {}
                Value::Text(given)
                    if canonical(&column.column_type, &given).as_deref().unwrap_or(&given)
                        == part => {}
                Value::Text(_) | Value::Null => self.fault((Some(&column.name), ""), "key", || {
                    "no other value than the path's: a key cannot be changed".to_owned()
                }),
            }
        }
    }

    fn new_row(&mut self, row: &JsonRow<'_>, values: &[Value]) {
        let columns = self.columns;
        for (column, value) in columns.table.columns.iter().zip(values) {
            if column.is_required() && *value == Value::Absent {
                self.fault((Some(&column.name), ""), "required", || {
                    "a value: the row leaves out the column, which is NOT NULL and has no default"
                        .to_owned()
                });
            }
        }
        if row.members.is_empty() {
            self.fault((None, ""), "empty", || {
                "at least one column, not an empty object".to_owned()
            });
        }
    }

    fn known_row(&mut self, operation: Operation, values: &[Value]) {
        let columns = self.columns;
        for (index, column) in columns.key_columns() {
            if values[index] == Value::Absent {
                self.fault((Some(&column.name), ""), "required", || {
                    "a value: the row leaves out the column, which is part of the key".to_owned()
                });
            }
        }
        let sets_something = values
            .iter()
            .zip(&columns.table.columns)
            .any(|(value, column)| *value != Value::Absent && !columns.table.is_key(column));
        if operation == Operation::Update && !sets_something {
            self.fault((None, ""), "empty", || {
                "at least one column besides the key: there is nothing to update".to_owned()
            });
        }
    }

    /// Adds a fault if the version column has no value: only a newer version changes an existing
    /// row.
    fn version(&mut self, values: &[Value]) {
        let columns = self.columns;
        let Some(column) = columns.table.version_column() else { return };
        let value = columns.indexes.get(column.name.as_str()).map(|index| &values[*index]);
        if matches!(value, Some(Value::Absent | Value::Null)) {
            self.fault((Some(&column.name), ""), "required", || {
                "a value: it shows if the row is newer".to_owned()
            });
        }
    }
}

/// Returns the rule and the expectation if the operation must not name the column.
fn misplaced(
    table: &Table,
    column: &Column,
    operation: Operation,
) -> Option<(&'static str, &'static str)> {
    if operation == Operation::Delete && !table.is_key(column) {
        return Some(("not-key", "no column besides the key: a row is deleted by its key"));
    }
    // The key of an existing row only names the row.
    let names_row =
        table.is_key(column) && matches!(operation, Operation::Update | Operation::Delete);
    if names_row {
        return None;
    }
    if column.is_generated() {
        return Some(("generated", "no value: the database generates this column's values"));
    }
    let is_accepted = table.accepts(column, operation.changes());
    (!is_accepted)
        .then_some(("read-only", "no value: sync_writer has no right to write the column"))
}

/// Returns `true` if callers may know of the column: they may read or write it, or name rows by it.
fn is_known(table: &Table, column: &Column) -> bool {
    column.is_offered() || table.is_key(column)
}

/// Describes the expectation for an unknown column: the nearest name, or all names. Columns that
/// callers may neither read nor write are not named.
pub fn unknown_column(table: &Table, name: &str) -> String {
    let names = || {
        let offered = table.columns.iter().filter(|column| column.is_offered());
        offered.map(|column| column.name.as_str())
    };
    match nearest(name, names()) {
        Some(near) => format!("a column of the table; did you mean \"{near}\"?"),
        None => format!("a column of the table: {}", names().collect::<Vec<_>>().join(", ")),
    }
}
