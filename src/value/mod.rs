//! Values as text in PostgreSQL's input syntax, checked against their column.
//!
//! Pure. Refuses what PostgreSQL is certain to refuse, so that a client hears of it at the door and
//! a file's row is rejected with its column; what only the database can know is left to it. No value
//! ever stands in a [`Fault`], and no number ever becomes a float.

mod array;
mod number;
mod time;

use std::fmt;
use std::net::IpAddr;

use aurora_sync_catalog::{Column, ColumnType};
use serde_json::value::RawValue;

/// Why a value is not one of its column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    pub rule: Rule,
    /// What would be right, as in "expected …". Never the value itself.
    pub expected: String,
}

/// Which rule a value breaks: words that do not change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rule {
    NotNull,
    /// Another kind of JSON value than the column's type takes.
    Type,
    Format,
    Range,
    /// More characters than the column holds.
    Length,
    /// More digits than the column holds.
    Precision,
    Enum,
    /// U+0000 or half of a surrogate pair, which PostgreSQL's text cannot hold.
    UnsupportedCharacter,
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotNull => "not-null",
            Self::Type => "type",
            Self::Format => "format",
            Self::Range => "range",
            Self::Length => "length",
            Self::Precision => "precision",
            Self::Enum => "enum",
            Self::UnsupportedCharacter => "unsupported-character",
        })
    }
}

impl Fault {
    fn new(rule: Rule, expected: impl Into<String>) -> Self {
        Self { rule, expected: expected.into() }
    }
}

/// A member of a JSON body; `None` is NULL.
///
/// A number or a boolean may come as a string too, in PostgreSQL's own syntax: clients whose numbers
/// are floats need that. A text column takes strings only. A json column takes any value as it is;
/// JSON's null is NULL for every type.
pub fn from_json(column: &Column, value: &RawValue) -> Result<Option<String>, Fault> {
    let raw = value.get();
    if raw == "null" {
        if column.nullable {
            return Ok(None);
        }
        return Err(Fault::new(Rule::NotNull, "a value: the column is NOT NULL"));
    }
    typed_json(&column.column_type, raw).map(Some)
}

/// A field of a CSV file, or a part of a key in a URL. Never NULL.
pub fn from_text(column: &Column, text: &str) -> Result<String, Fault> {
    typed_text(&column.column_type, text)
}

/// A JSON value other than null.
fn typed_json(column_type: &ColumnType, raw: &str) -> Result<String, Fault> {
    use ColumnType as Type;
    let wrong_kind = || Fault::new(Rule::Type, expected(column_type));
    match column_type {
        Type::Json | Type::JsonB => json(column_type, raw),
        Type::Array(element) => match raw.as_bytes().first() {
            Some(b'[') => array::from_json(element, raw),
            Some(b'"') => typed_text(column_type, &json_string(raw)?),
            _ => Err(wrong_kind()),
        },
        _ => match raw.as_bytes().first() {
            Some(b'"') => typed_text(column_type, &json_string(raw)?),
            Some(b't' | b'f') => match column_type {
                Type::Boolean => Ok(raw.to_owned()),
                _ => Err(wrong_kind()),
            },
            Some(b'-' | b'0'..=b'9') => match column_type {
                Type::SmallInt
                | Type::Integer
                | Type::BigInt
                | Type::Numeric { .. }
                | Type::Real
                | Type::DoublePrecision => typed_text(column_type, raw),
                _ => Err(wrong_kind()),
            },
            _ => Err(wrong_kind()),
        },
    }
}

/// A JSON string's text.
fn json_string(raw: &str) -> Result<String, Fault> {
    // What is well-formed as JSON can still hold half of a surrogate pair.
    serde_json::from_str(raw).map_err(|_| {
        Fault::new(Rule::UnsupportedCharacter, "no half of a surrogate pair (\\ud800 to \\udfff)")
    })
}

fn typed_text(column_type: &ColumnType, text: &str) -> Result<String, Fault> {
    use ColumnType as Type;
    if text.contains('\0') {
        return Err(Fault::new(
            Rule::UnsupportedCharacter,
            "no U+0000, which PostgreSQL cannot store",
        ));
    }
    let format = || Fault::new(Rule::Format, expected(column_type));
    match column_type {
        Type::SmallInt => number::integer(text, i16::MIN.into(), i16::MAX.into()),
        Type::Integer => number::integer(text, i32::MIN.into(), i32::MAX.into()),
        Type::BigInt => number::integer(text, i64::MIN, i64::MAX),
        Type::Numeric { precision, scale } => number::numeric(text, *precision, *scale),
        Type::Real | Type::DoublePrecision => number::float(text).ok_or_else(format),
        Type::Boolean => boolean(text).ok_or_else(format),
        Type::Char { length } | Type::VarChar { length: Some(length) } => {
            // Blanks beyond the length are cut by PostgreSQL without a word.
            let characters = text.trim_end_matches(' ').chars().count();
            if characters > *length as usize {
                return Err(Fault::new(Rule::Length, format!("at most {length} characters")));
            }
            Ok(text.to_owned())
        }
        Type::VarChar { length: None } | Type::Text | Type::Other { .. } => Ok(text.to_owned()),
        Type::Uuid => {
            let is_uuid = uuid::Uuid::try_parse(text.trim()).is_ok();
            if is_uuid { Ok(text.trim().to_owned()) } else { Err(format()) }
        }
        Type::Json | Type::JsonB => json(column_type, text),
        Type::Bytea => bytea(text).ok_or_else(format),
        Type::Date => time::date(text).ok_or_else(format),
        Type::Time | Type::TimeTz => time::time(text).ok_or_else(format),
        Type::Timestamp | Type::TimestampTz => time::timestamp(text).ok_or_else(format),
        Type::Interval => {
            // Too many forms to check here; an empty one is never right.
            if text.trim().is_empty() { Err(format()) } else { Ok(text.to_owned()) }
        }
        Type::Inet | Type::Cidr => network(text).ok_or_else(format),
        Type::Enum { labels, .. } => {
            if labels.iter().any(|label| label == text) {
                Ok(text.to_owned())
            } else {
                Err(Fault::new(Rule::Enum, format!("one of: {}", labels.join(", "))))
            }
        }
        Type::Array(_) => array::from_text(text).ok_or_else(format),
    }
}

/// What a column of this type takes.
fn expected(column_type: &ColumnType) -> String {
    use ColumnType as Type;
    match column_type {
        Type::SmallInt => number::expected_integer(i16::MIN.into(), i16::MAX.into()),
        Type::Integer => number::expected_integer(i32::MIN.into(), i32::MAX.into()),
        Type::BigInt => number::expected_integer(i64::MIN, i64::MAX),
        Type::Numeric { .. } => "a decimal number".to_owned(),
        Type::Real | Type::DoublePrecision => "a number".to_owned(),
        Type::Boolean => "true or false".to_owned(),
        Type::Char { .. } | Type::VarChar { .. } | Type::Text | Type::Other { .. } => {
            "a string".to_owned()
        }
        Type::Uuid => "a UUID, such as 6f9619ff-8b86-d011-b42d-00c04fc964ff".to_owned(),
        Type::Json | Type::JsonB => "a JSON value".to_owned(),
        Type::Bytea => "bytes as \\x and hexadecimal digits, such as \\x00ff".to_owned(),
        Type::Date => "a date, such as 2026-11-23".to_owned(),
        Type::Time => "a time, such as 09:30:00".to_owned(),
        Type::TimeTz => "a time with its offset, such as 09:30:00+01:00".to_owned(),
        Type::Timestamp => "a date and time, such as 2026-11-23T09:30:00".to_owned(),
        Type::TimestampTz => {
            "a date and time with its offset, such as 2026-11-23T09:30:00Z".to_owned()
        }
        Type::Interval => "an interval, such as PT1H30M or 1 day 2 hours".to_owned(),
        Type::Inet => "an IP address, such as 192.0.2.1 or 2001:db8::/32".to_owned(),
        Type::Cidr => "a network, such as 192.0.2.0/24".to_owned(),
        Type::Enum { labels, .. } => format!("one of: {}", labels.join(", ")),
        Type::Array(element) => format!("an array, each element {}", expected(element)),
    }
}

/// What PostgreSQL reads as a boolean: true, yes, on, 1 and their opposites, and their beginnings.
fn boolean(text: &str) -> Option<String> {
    let word = text.trim().to_ascii_lowercase();
    let begins = |whole: &str| !word.is_empty() && whole.starts_with(&word);
    if begins("true") || begins("yes") || word == "on" || word == "1" {
        Some("true".to_owned())
    } else if begins("false") || begins("no") || word == "of" || word == "off" || word == "0" {
        Some("false".to_owned())
    } else {
        None
    }
}

fn bytea(text: &str) -> Option<String> {
    let digits = text.strip_prefix("\\x")?;
    let is_hexadecimal =
        digits.len() % 2 == 0 && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_hexadecimal.then(|| text.to_owned())
}

/// An address, or a network with its prefix. PostgreSQL takes shorter forms too; they are refused,
/// as few people mean 10.0.0.1 by "10.1".
fn network(text: &str) -> Option<String> {
    let (address, prefix) = match text.split_once('/') {
        None => (text, None),
        Some((address, prefix)) => (address, Some(prefix)),
    };
    let address: IpAddr = address.parse().ok()?;
    let bits = if address.is_ipv4() { 32 } else { 128 };
    let is_prefix =
        prefix.is_none_or(|prefix| prefix.parse::<u8>().is_ok_and(|prefix| prefix <= bits));
    is_prefix.then(|| text.to_owned())
}

/// A JSON text for a json or jsonb column.
fn json(column_type: &ColumnType, text: &str) -> Result<String, Fault> {
    // Reading into strings finds halves of surrogate pairs, which both types refuse.
    let value: serde_json::Value = serde_json::from_str::<&RawValue>(text)
        .map_err(|_| Fault::new(Rule::Format, expected(column_type)))
        .and_then(|raw| {
            serde_json::from_str(raw.get()).map_err(|_| {
                Fault::new(
                    Rule::Format,
                    "JSON without halves of surrogate pairs, numbers out of range or great depth",
                )
            })
        })?;
    if *column_type == ColumnType::JsonB && holds_nul(&value) {
        return Err(Fault::new(Rule::UnsupportedCharacter, "no \\u0000, which jsonb cannot store"));
    }
    Ok(text.to_owned())
}

fn holds_nul(value: &serde_json::Value) -> bool {
    match value {
        serde_json::Value::String(text) => text.contains('\0'),
        serde_json::Value::Array(items) => items.iter().any(holds_nul),
        serde_json::Value::Object(members) => {
            members.iter().any(|(name, value)| name.contains('\0') || holds_nul(value))
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests;
