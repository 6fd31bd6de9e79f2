//! Values as text in PostgreSQL's input syntax, checked against their column.
//!
//! Pure. Refuses values that PostgreSQL is certain to refuse, so that a client hears of them in the response and
//! a file's row is rejected with its column; the database refuses the others. No value
//! ever stands in a [`Fault`], and no number ever becomes a float.

mod array;
pub mod array_literal;
mod decimal;
mod expected;
mod interval;
mod json;
mod network;
mod number;
mod text;
mod time;

use std::borrow::Cow;
use std::fmt;

use aurora_sync_catalog::{Column, ColumnType};
use serde_json::value::RawValue;

pub(crate) use self::expected::expected;
use self::number::Float;
use self::time::Moment;

pub(crate) use self::number::canonical_numeric;
pub(crate) use self::time::{canonical_date, canonical_time, canonical_timestamp};

/// Why a value is not one of its column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    pub rule: Rule,
    /// What would be right, as in "expected …". Never the value itself.
    pub expected: String,
    /// Where in the value, as the end of a JSON Pointer: empty, or `/1` for an array's second element.
    pub pointer: String,
}

/// Which rule a value breaks: words that do not change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rule {
    NotNull,
    /// Another kind of JSON value than the column's type takes.
    Type,
    Format,
    Range,
    /// Deeper nesting than is taken.
    Depth,
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
            Self::Depth => "depth",
            Self::Length => "length",
            Self::Precision => "precision",
            Self::Enum => "enum",
            Self::UnsupportedCharacter => "unsupported-character",
        })
    }
}

impl Fault {
    fn new(rule: Rule, expected: impl Into<String>) -> Self {
        Self { rule, expected: expected.into(), pointer: String::new() }
    }

    /// The same, seen from the array in which the value stands.
    fn within(mut self, index: usize) -> Self {
        self.pointer.insert_str(0, &format!("/{index}"));
        self
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
    Kind::of(column).json(raw).map(Some)
}

/// A field of a CSV file, or a part of a key in a URL. Never NULL. Allocates nothing where the text is as it
/// should be, as most are.
pub fn from_text<'a>(column: &Column, text: &'a str) -> Result<Cow<'a, str>, Fault> {
    Kind::of(column).text(text)
}

/// Whether PostgreSQL is certain to take this text as it is, and to keep all of it. Of some types it
/// takes forms that are not checked here: those are not certain.
pub fn is_certain(column: &Column, text: &str) -> bool {
    use ColumnType as Type;
    let is_checked_whole = match &column.column_type {
        Type::Date | Type::Time | Type::TimeTz | Type::Timestamp | Type::TimestampTz => {
            time::is_iso(text)
        }
        Type::Inet | Type::Cidr => network::is_whole(text),
        // The infinite are newer than the rest of numeric, and C reads more floats than SQL has.
        Type::Numeric { .. } | Type::Real | Type::DoublePrecision => number::is_finite(text),
        Type::Interval | Type::Array(_) | Type::Other { .. } => false,
        _ => true,
    };
    is_checked_whole && from_text(column, text).as_deref() == Ok(text)
}

/// Why it is not certain what a field of a file means, though PostgreSQL would take it: `11/12/2026` is a day of November
/// or of December as the database is set, `today` another day each day, and digits are grouped only as declared.
pub fn doubt(column_type: &ColumnType, text: &str) -> Option<&'static str> {
    use ColumnType as Type;
    match column_type {
        // Most begin with a year of four digits.
        Type::Date | Type::Timestamp | Type::TimestampTz
            if text.as_bytes().get(4) == Some(&b'-') =>
        {
            None
        }
        Type::Date | Type::Timestamp | Type::TimestampTz if time::is_of_uncertain_order(text) => {
            Some("which of the numbers is the day is not certain")
        }
        Type::Date | Type::Time | Type::TimeTz | Type::Timestamp | Type::TimestampTz
            if time::is_relative(text) =>
        {
            Some("it would depend on when the file is loaded")
        }
        Type::SmallInt
        | Type::Integer
        | Type::BigInt
        | Type::Numeric { .. }
        | Type::Real
        | Type::DoublePrecision
            if text.contains('_') =>
        {
            Some("digits are not to be grouped")
        }
        Type::Array(element) => {
            text.split(['{', '}', ',', '"']).find_map(|part| doubt(element, part))
        }
        _ => None,
    }
}

/// What a column, or an element of its arrays, holds.
#[derive(Debug, Clone, Copy)]
struct Kind<'a> {
    column_type: &'a ColumnType,
    /// See [`Column::fraction_digits`].
    fraction_digits: Option<u8>,
}

impl<'a> Kind<'a> {
    fn of(column: &'a Column) -> Self {
        Self { column_type: &column.column_type, fraction_digits: column.fraction_digits }
    }

    fn element(self, column_type: &'a ColumnType) -> Self {
        Self { column_type, ..self }
    }

    /// A JSON value other than null.
    fn json(self, raw: &str) -> Result<String, Fault> {
        use ColumnType as Type;
        let column_type = self.column_type;
        let wrong_kind = || Fault::new(Rule::Type, expected(column_type));
        match column_type {
            Type::Json | Type::JsonB => json::json(column_type, raw).map(str::to_owned),
            Type::Array(element) => match raw.as_bytes().first() {
                Some(b'[') => array::from_json(self.element(element), raw),
                Some(b'"') => Ok(self.text(&json_string(raw)?)?.into_owned()),
                _ => Err(wrong_kind()),
            },
            _ => match raw.as_bytes().first() {
                Some(b'"') => Ok(self.text(&json_string(raw)?)?.into_owned()),
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
                    | Type::DoublePrecision => self.text(raw).map(Cow::into_owned),
                    _ => Err(wrong_kind()),
                },
                _ => Err(wrong_kind()),
            },
        }
    }

    fn text(self, text: &str) -> Result<Cow<'_, str>, Fault> {
        use ColumnType as Type;
        let column_type = self.column_type;
        if memchr::memchr(0, text.as_bytes()).is_some() {
            return Err(Fault::new(
                Rule::UnsupportedCharacter,
                "no U+0000, which PostgreSQL cannot store",
            ));
        }
        let format = || Fault::new(Rule::Format, expected(column_type));
        let moment = |moment| {
            let text = time::moment(text, moment).map_err(|rule| broken(column_type, rule))?;
            match self.fraction_digits {
                // PostgreSQL would round, without a word, to the digits that the column keeps of a second.
                Some(digits) if time::fraction_digits(text) > usize::from(digits) => {
                    let expected = format!("at most {digits} digits after the point of a second");
                    Err(Fault::new(Rule::Precision, expected))
                }
                _ => Ok(Cow::Borrowed(text)),
            }
        };
        match column_type {
            Type::SmallInt => number::integer(text, i16::MIN.into(), i16::MAX.into()),
            Type::Integer => number::integer(text, i32::MIN.into(), i32::MAX.into()),
            Type::BigInt => number::integer(text, i64::MIN, i64::MAX),
            Type::Numeric { precision, scale } => number::numeric(text, *precision, *scale),
            Type::Real => number::float(text, Float::Real),
            Type::DoublePrecision => number::float(text, Float::Double),
            Type::Boolean => text::boolean(text).map(Cow::Borrowed).ok_or_else(format),
            // Blanks at the end mean nothing in char(n).
            Type::Char { length } => bounded(text.trim_end_matches(' '), text, *length),
            // In varchar(n) they do, and PostgreSQL cuts those beyond the length without a word.
            Type::VarChar { length: Some(length) } => bounded(text, text, *length),
            Type::VarChar { length: None } | Type::Text | Type::Other { .. } => {
                Ok(Cow::Borrowed(text))
            }
            Type::Uuid => text::uuid(text).ok_or_else(format),
            Type::Json | Type::JsonB => json::json(column_type, text).map(Cow::Borrowed),
            Type::Bytea => text::bytea(text).map(Cow::Borrowed).ok_or_else(format),
            Type::Date => moment(Moment::Date),
            Type::Time => moment(Moment::Time { has_zone: false }),
            Type::TimeTz => moment(Moment::Time { has_zone: true }),
            Type::Timestamp => moment(Moment::Timestamp { has_zone: false }),
            Type::TimestampTz => moment(Moment::Timestamp { has_zone: true }),
            Type::Interval => interval::interval(text).map(Cow::Borrowed).ok_or_else(format),
            Type::Inet => network::network(text, false).map(Cow::Borrowed).ok_or_else(format),
            Type::Cidr => network::network(text, true).map(Cow::Borrowed).ok_or_else(format),
            Type::Enum { labels, .. } => {
                if labels.iter().any(|label| label == text) {
                    Ok(Cow::Borrowed(text))
                } else {
                    Err(Fault::new(Rule::Enum, expected(column_type)))
                }
            }
            Type::Array(element) => array::from_text(self.element(element), text).map(Cow::Owned),
        }
    }
}

/// A JSON string's text.
fn json_string(raw: &str) -> Result<String, Fault> {
    // What is well-formed as JSON can still hold half of a surrogate pair.
    serde_json::from_str(raw).map_err(|_| {
        Fault::new(Rule::UnsupportedCharacter, "no half of a surrogate pair (\\ud800 to \\udfff)")
    })
}

/// A text of which `counted` must not be longer than the column.
fn bounded<'a>(counted: &str, text: &'a str, length: u32) -> Result<Cow<'a, str>, Fault> {
    // No more bytes than that are no more characters.
    let length_max = length as usize;
    let is_too_long = counted.len() > length_max && counted.chars().nth(length_max).is_some();
    if is_too_long {
        return Err(Fault::new(Rule::Length, format!("at most {length} characters")));
    }
    Ok(Cow::Borrowed(text))
}

fn broken(column_type: &ColumnType, rule: Rule) -> Fault {
    match rule {
        Rule::Precision => Fault::new(rule, "at most 6 digits after the point of a second"),
        _ => Fault::new(rule, expected(column_type)),
    }
}

#[cfg(test)]
mod tests;
