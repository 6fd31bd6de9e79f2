//! The payload of a rejected write, in the form in which the API takes it again.
//!
//! Pure.

use std::collections::BTreeMap;

use aurora_sync_catalog::{ColumnType, Table};
use serde::{Deserialize, Serialize};
use serde_json::value::{RawValue, to_raw_value};

use crate::domain::write::{IF_MATCH, IF_NONE_MATCH, PUBLIC_VERSION};

/// A payload that a reader may see.
#[derive(Debug, Serialize)]
pub(super) struct ShownPayload {
    /// The columns of the row. A value is a text in PostgreSQL's syntax, and that of a JSON column
    /// is JSON.
    row: BTreeMap<String, Box<RawValue>>,
    /// The header of the precondition of the write.
    #[serde(skip_serializing_if = "Option::is_none")]
    precondition: Option<String>,
}

impl ShownPayload {
    /// Reads a payload of the ledger. Returns `None` if it names a column that look-ups do not
    /// read, or is not a row.
    pub(super) fn of(table: &Table, payload: &str) -> Option<Self> {
        #[derive(Deserialize)]
        struct Stored {
            format: Option<String>,
            row: BTreeMap<String, Box<RawValue>>,
        }
        let Stored { format, row } = serde_json::from_str(payload).ok()?;
        // The row of another producer is already as a request takes it.
        let is_as_sent = format.as_deref() == Some(PUBLIC_VERSION);
        let text = |value: &RawValue| serde_json::from_str::<Option<String>>(value.get()).ok();
        let mut shown = Self { row: BTreeMap::new(), precondition: None };
        for (name, value) in row {
            match table.column(&name) {
                Some(column) if column.is_readable() => {
                    let value =
                        if is_as_sent { value } else { raw(&column.column_type, text(&value)?)? };
                    shown.row.insert(name, value);
                }
                None if !is_as_sent && (name == IF_MATCH || name == IF_NONE_MATCH) => {
                    let value = text(&value)?.unwrap_or_default();
                    shown.precondition = Some(format!("{name}: {value}"));
                }
                _ => return None,
            }
        }
        Some(shown)
    }
}

/// Returns a value of a column as JSON.
fn raw(column_type: &ColumnType, value: Option<String>) -> Option<Box<RawValue>> {
    match (column_type, value) {
        (ColumnType::Json | ColumnType::JsonB, Some(json)) => RawValue::from_string(json).ok(),
        (_, value) => to_raw_value(&value).ok(),
    }
}

#[cfg(test)]
mod tests {
    use aurora_sync_catalog::notation::table;

    use super::*;

    fn shown(payload: &str) -> Option<String> {
        let table = table("t", "id bigint key, doc jsonb, name text, secret text unread");
        let shown = ShownPayload::of(&table, payload)?;
        Some(serde_json::to_string(&shown).unwrap())
    }

    #[test]
    fn a_payload_is_a_row_that_the_api_takes() {
        let stored = r#"{"row":{"id":"9007199254740993","doc":"{\"a\":1.10}","name":null,"If-Match":"\"ab\""}}"#;
        assert_eq!(
            shown(stored).as_deref(),
            Some(
                r#"{"row":{"doc":{"a":1.10},"id":"9007199254740993","name":null},"precondition":"If-Match: \"ab\""}"#
            )
        );
    }

    #[test]
    fn the_payload_of_another_producer_is_shown_as_it_was_sent() {
        let stored = |row: &str| {
            format!(r#"{{"format":"public-1","table":"t","operation":"insert","row":{row}}}"#)
        };
        assert_eq!(
            shown(&stored(r#"{"id":1.10,"doc":"1"}"#)).as_deref(),
            Some(r#"{"row":{"doc":"1","id":1.10}}"#)
        );
        assert_eq!(shown(&stored(r#"{"id":1,"If-Match":"x"}"#)), None);
        assert_eq!(shown(&stored("[1]")), None);
    }

    #[test]
    fn a_payload_with_a_column_that_nobody_may_read_is_withheld() {
        for column in ["secret", "dropped"] {
            assert_eq!(shown(&format!(r#"{{"row":{{"id":"1","{column}":"x"}}}}"#)), None);
        }
        assert_eq!(shown("no JSON"), None);
    }
}
