//! Rows of a JSON body, checked against their table.
//!
//! Pure. Finds everything that is wrong with a body, not just the first fault.

use std::fmt;

use aurora_sync_catalog::{Column, Table};
use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::key::Key;
use crate::problem::{FieldFault, nearest, pointer_step};
use crate::value;
use crate::write::{Cell, Operation};

/// A JSON object with its members as they stand in the body: no number is ever made a float.
#[derive(Debug)]
pub struct JsonRow<'a> {
    members: Vec<(String, &'a RawValue)>,
}

impl<'de> Deserialize<'de> for JsonRow<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Members;

        impl<'de> Visitor<'de> for Members {
            type Value = Vec<(String, &'de RawValue)>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object with a member for each column")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(members)
            }
        }

        deserializer.deserialize_map(Members).map(|members| Self { members })
    }
}

/// A row that fits its table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckedRow {
    /// Where the database makes the key, there is none yet.
    pub key: Option<Key>,
    /// In the table's order.
    pub cells: Vec<Cell>,
}

/// Checks one row for one operation. `key` is the key that the path names, if it names one.
///
/// `pointer` leads to the row in the body. Gives all faults where there are any.
pub fn check(
    table: &Table,
    operation: Operation,
    key: Option<&Key>,
    row: &JsonRow<'_>,
    pointer: &str,
) -> Result<CheckedRow, Vec<FieldFault>> {
    let mut faults = Vec::new();
    let mut fault = |step: &str, rule: &str, detail: String| {
        faults.push(FieldFault {
            pointer: format!(
                "{pointer}{}",
                if step.is_empty() { String::new() } else { pointer_step(step) }
            ),
            rule: rule.to_owned(),
            detail: format!("expected {detail}"),
        });
    };
    let mut values: Vec<Option<Option<String>>> = vec![None; table.columns.len()];
    for (name, raw) in &row.members {
        let Some(place) = table.columns.iter().position(|column| column.name == *name) else {
            fault(name, "unknown-column", unknown_column(table, name));
            continue;
        };
        let column = &table.columns[place];
        if values[place].is_some() {
            fault(name, "duplicate-member", "each column once".to_owned());
        } else if !column.is_writable() {
            fault(
                name,
                "generated",
                "no value: the database makes this column's values".to_owned(),
            );
        } else {
            match value::from_json(column, raw) {
                Ok(value) => values[place] = Some(value),
                Err(found) => fault(name, &found.rule.to_string(), found.expected),
            }
        }
    }
    let given = |name: &str| row.members.iter().any(|(member, _)| member == name);
    if let Some(key) = key {
        for (column, part) in table.key_columns().zip(key.parts()) {
            let place = place_of(table, column);
            let same = match &values[place] {
                None => true,
                Some(value) => Key::of_row(table, |name| {
                    if name == column.name {
                        value.as_deref()
                    } else {
                        Some(key_part(table, key, name))
                    }
                })
                .is_some_and(|found| found == *key),
            };
            if same {
                values[place] = Some(Some(part.to_owned()));
            } else {
                fault(
                    &column.name,
                    "key",
                    "no other value than the path's: a key cannot be changed".to_owned(),
                );
            }
        }
    }
    match operation {
        Operation::Insert | Operation::Upsert | Operation::InsertIgnore => {
            for column in &table.columns {
                if column.is_required()
                    && !given(&column.name)
                    && values[place_of(table, column)].is_none()
                {
                    fault(
                        &column.name,
                        "required",
                        "a value: the column is NOT NULL and has no default".to_owned(),
                    );
                }
            }
            if row.members.is_empty() {
                fault("", "empty", "at least one column".to_owned());
            }
        }
        Operation::Update | Operation::Delete => {
            for column in table.key_columns() {
                if values[place_of(table, column)].is_none() && !given(&column.name) {
                    fault(
                        &column.name,
                        "required",
                        "a value: it says which row is meant".to_owned(),
                    );
                }
            }
            let sets_nothing =
                !table.columns.iter().any(|column| !table.is_key(column) && given(&column.name));
            if operation == Operation::Update && sets_nothing {
                fault("", "empty", "at least one column besides the key".to_owned());
            }
        }
    }
    if !faults.is_empty() {
        return Err(faults);
    }
    let key = Key::of_row(table, |name| {
        values[table.columns.iter().position(|column| column.name == name)?].as_ref()?.as_deref()
    });
    let cells = table
        .columns
        .iter()
        .zip(values)
        .filter(|(column, _)| operation != Operation::Delete || table.is_key(column))
        .filter_map(|(column, value)| Some((column.name.clone(), value?)))
        .collect();
    Ok(CheckedRow { key, cells })
}

fn place_of(table: &Table, column: &Column) -> usize {
    table
        .columns
        .iter()
        .position(|known| known.name == column.name)
        .expect("a key column is a column of its table")
}

fn key_part<'a>(table: &Table, key: &'a Key, name: &str) -> &'a str {
    table
        .key_columns()
        .zip(key.parts())
        .find(|(column, _)| column.name == name)
        .map_or("", |(_, part)| part)
}

/// Names what is known where a column is not.
pub fn unknown_column(table: &Table, name: &str) -> String {
    let names = || table.columns.iter().map(|column| column.name.as_str());
    match nearest(name, names()) {
        Some(near) => format!("a column of the table; did you mean \"{near}\"?"),
        None => format!("a column of the table: {}", names().collect::<Vec<_>>().join(", ")),
    }
}
