//! Checks single fields against their columns, as far as that needs neither the database nor much
//! code: the dry run checks everything.
//!
//! Pure.

use csv_stream::records::{Content, RECORD_BYTES_MAX};
use import_options::Numbers;
use serde_json::Value;

use super::Fault;
use super::form::{kind, plain};
use crate::operations::tables::Column;

/// Returns the faults of the fields of a record.
pub(super) fn faults(
    fields: &[Option<String>],
    columns: &[Option<&Column>],
    numbers: Numbers,
    null: Option<&str>,
) -> Vec<Fault> {
    let pairs = fields.iter().zip(columns).enumerate();
    pairs
        .filter_map(|(index, (text, column))| {
            let text = text.as_deref().filter(|text| Some(*text) != null);
            let reason = fault(text, (*column)?, numbers, null)?;
            Some(Fault { field: Some(index), reason })
        })
        .collect()
}

/// Returns the fault of a field; `None` as its text is NULL.
pub(super) fn fault(
    text: Option<&str>,
    column: &Column,
    numbers: Numbers,
    null: Option<&str>,
) -> Option<String> {
    // Of another kind, a quoted empty field is NULL too.
    let takes_empty = matches!(kind(column), Some("string") | None);
    let text = text.filter(|text| (!text.is_empty() || takes_empty) && Some(*text) != null);
    let Some(text) = text else {
        return (!column.is_nullable)
            .then(|| "expected a value: the column is NOT NULL".to_owned());
    };
    let expected = of_schema(text, column, numbers)?;
    Some(format!("expected {expected}"))
}

/// Returns the expectation that a text does not meet.
fn of_schema(text: &str, column: &Column, numbers: Numbers) -> Option<String> {
    let schema = &column.schema;
    match kind(column)? {
        "integer" | "number" => of_number(text, column, numbers),
        "boolean" => {
            let text = text.trim().to_ascii_lowercase();
            let words = ["true", "false", "yes", "no", "on", "off", "1", "0"];
            let is_fit = words.iter().any(|word| !text.is_empty() && word.starts_with(&text));
            (!is_fit).then(|| "true or false".to_owned())
        }
        "string" => {
            if let Some(labels) = schema["enum"].as_array() {
                let labels: Vec<_> = labels.iter().filter_map(Value::as_str).collect();
                return (!labels.contains(&text)).then(|| format!("one of {}", labels.join(", ")));
            }
            let length = schema["maxLength"].as_u64()?;
            // A char ignores blanks at its end, and a varchar does not.
            let count = text.trim_end_matches(' ').chars().count() as u64;
            (count > length).then(|| format!("at most {length} characters, not {count}"))
        }
        _ => None,
    }
}

fn of_number(text: &str, column: &Column, numbers: Numbers) -> Option<String> {
    let schema = &column.schema;
    let limits = match (kind(column), schema["format"].as_str()) {
        (Some("integer"), Some("int32")) => Some((i64::from(i32::MIN), i64::from(i32::MAX))),
        (Some("integer"), Some(_)) => Some((i64::MIN, i64::MAX)),
        (Some("integer"), None) => schema["minimum"].as_i64().zip(schema["maximum"].as_i64()),
        _ => None,
    };
    let expected = || match limits {
        Some((low, high)) => format!("an integer from {low} to {high}"),
        None => "a number, such as 1234.5".to_owned(),
    };
    let Some(plain) = plain(numbers, text) else {
        let is_plain = numbers == Numbers::Plain;
        let form = || format!("a number, written as {}", numbers.as_str());
        return Some(if is_plain { expected() } else { form() });
    };
    let (low, high) = limits?;
    // The worker reads other forms of integers, too: 1.0, 1e3 and 0x1f.
    let is_digits = plain.trim_start_matches(['-', '+']).bytes().all(|byte| byte.is_ascii_digit());
    let is_fit = plain.parse::<i64>().is_ok_and(|number| (low..=high).contains(&number));
    (is_digits && !is_fit).then(expected)
}

/// Returns the reason why a record has no fields.
pub(super) fn unreadable(content: &Content) -> String {
    match content {
        Content::Fields(_) => "it can be read".to_owned(),
        Content::TooLong { .. } => {
            format!(
                "the record is over {RECORD_BYTES_MAX} bytes; close its quote, or set quote=none"
            )
        }
        Content::Malformed { byte_offset } => {
            format!("byte {byte_offset} is no character of the encoding; set encoding")
        }
        Content::Unclosed => "a quote is never closed; close it, or set quote=none".to_owned(),
        Content::Misquoted { field } => {
            format!("text follows the closing quote of field {}; double the quotes", field + 1)
        }
    }
}
