//! The forms in which numbers are written, and the kinds of columns.
//!
//! Pure.

use std::borrow::Cow;

use import_options::Numbers;
use serde_json::Value;

use crate::operations::tables::Column;

/// Returns whether the values of a column are numbers, which a file can write in several forms.
pub(super) fn is_number(column: &Column) -> bool {
    matches!(kind(column), Some("integer" | "number"))
}

/// Returns the number as PostgreSQL reads it, or `None` if its text has another form.
pub(super) fn plain(numbers: Numbers, text: &str) -> Option<Cow<'_, str>> {
    numbers.plain(text.trim()).filter(|plain| is_plain(plain))
}

fn is_plain(text: &str) -> bool {
    // Hexadecimal numbers and infinities are PostgreSQL's to judge.
    let is_word =
        text.chars().all(|character| character.is_ascii_alphanumeric() || character == '-');
    text.parse::<f64>().is_ok() || is_word && text.starts_with(['0', 'N', 'n', 'i', 'I', '-'])
}

/// Returns the kind of a column's values in JSON; `None` is any.
pub(super) fn kind(column: &Column) -> Option<&str> {
    match &column.schema["type"] {
        Value::Array(kinds) => kinds.iter().filter_map(Value::as_str).find(|kind| *kind != "null"),
        kind => kind.as_str(),
    }
}
