//! The key of a row, as the paths of the API have it.
//!
//! Pure.

use std::collections::HashMap;

use serde_json::value::RawValue;

use crate::operations::tables::{Column, Table};

/// A row of a look-up: its values as JSON, by their columns.
pub(super) type Row = HashMap<String, Box<RawValue>>;

/// Returns the text of a value; `None` is NULL. A text stands without its quotes, and any other
/// value as PostgreSQL has written it.
pub(super) fn text(value: &RawValue) -> Option<String> {
    match value.get() {
        "null" => None,
        json if json.starts_with('"') => serde_json::from_str(json).ok(),
        json => Some(json.to_owned()),
    }
}

/// Returns the text of a column's value as a form shows it: that of a column of JSON keeps its
/// quotes.
pub(super) fn field_text(column: &Column, value: &RawValue) -> Option<String> {
    if is_json(column) && value.get() != "null" {
        Some(value.get().to_owned())
    } else {
        text(value)
    }
}

/// Returns whether a column takes any JSON value.
pub(super) fn is_json(column: &Column) -> bool {
    let description = column.schema["description"].as_str().unwrap_or_default();
    column.schema.get("type").is_none() && !description.starts_with("PostgreSQL's ")
}

/// Returns the key of a row. `None` if the table has no key, or the row does not show it.
pub(super) fn of(table: &Table, row: &Row) -> Option<String> {
    let part = |name: &String| text(row.get(name)?);
    match table.key.as_slice() {
        [] => None,
        [name] => part(name),
        names => {
            let parts: Option<Vec<_>> =
                names.iter().map(|name| Some(quoted(&part(name)?))).collect();
            Some(parts?.join(","))
        }
    }
}

/// Quotes a part of a key with several columns, where it must be.
fn quoted(part: &str) -> String {
    if part.contains([',', '"']) {
        format!("\"{}\"", part.replace('"', "\"\""))
    } else {
        part.to_owned()
    }
}

/// Returns whether a path of the API can name the key.
pub(super) fn has_path(key: &str) -> bool {
    !matches!(key, "" | "." | "..") && !key.contains(['%', '?'])
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn table(key: &[&str]) -> Table {
        Table {
            name: "t".into(),
            comment: None,
            key: key.iter().map(|name| (*name).to_owned()).collect(),
            columns: Vec::new(),
            is_read: true,
            is_inserted: true,
            is_updated: true,
            is_deleted: true,
        }
    }

    #[test]
    fn a_key_is_written_as_paths_have_it() {
        let row: Row =
            serde_json::from_value(json!({ "a": "x,\"y\"", "b": 7, "c": null })).unwrap();
        assert_eq!(of(&table(&["a"]), &row).as_deref(), Some("x,\"y\""));
        assert_eq!(of(&table(&["b", "a"]), &row).as_deref(), Some("7,\"x,\"\"y\"\"\""));
        assert_eq!(of(&table(&["c"]), &row), None);
        assert_eq!(of(&table(&[]), &row), None);
    }

    #[test]
    fn numbers_keep_their_digits() {
        let row: Row = serde_json::from_str(r#"{"n":12345678901234567890.10}"#).unwrap();
        assert_eq!(text(&row["n"]).as_deref(), Some("12345678901234567890.10"));
    }

    #[test]
    fn keys_that_no_path_can_name_are_known() {
        assert!(has_path("0001") && has_path("a/b"));
        assert!(!has_path("5%") && !has_path("a?") && !has_path("") && !has_path(".."));
    }
}
