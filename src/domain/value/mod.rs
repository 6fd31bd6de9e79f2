//! Values as text in PostgreSQL's input syntax, checked against their column.
//!
//! Pure. Refuses values that PostgreSQL certainly refuses: a client reads the fault in the
//! response, and a row of a file is rejected with the name of its column. PostgreSQL refuses the
//! others. No [`Fault`] contains the value, and no number becomes a float.

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

/// A fault of a value: the broken rule, the expected form, and the position.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    pub rule: Rule,
    /// A description of valid values, to follow the word "expected". It never contains the value.
    pub expected: String,
    /// The end of a JSON Pointer to the part of the value: empty, or `/1` for the second element of
    /// an array.
    pub pointer: String,
}

/// The rules for values. Their names never change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rule {
    NotNull,
    /// The column's type does not accept this kind of JSON value.
    Type,
    Format,
    Range,
    /// The value is nested too deeply.
    Depth,
    /// The value has more characters than the column holds.
    Length,
    /// The value has more digits than the column holds.
    Precision,
    Enum,
    /// The value has U+0000 or half of a surrogate pair, which PostgreSQL's text cannot hold.
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

    /// Adds what came instead, if it is known in a few words.
    fn instead(mut self, text: &str) -> Self {
        if !matches!(self.rule, Rule::Format | Rule::Enum) || self.expected.contains(", not ") {
            return self;
        }
        if text.is_empty() {
            self.expected.push_str(", not an empty string");
        } else if text::trimmed(text).is_empty() {
            self.expected.push_str(", not a string of blanks");
        }
        self
    }

    /// Prepends the index of the value in the array that contains it.
    fn within(mut self, index: usize) -> Self {
        self.pointer.insert_str(0, &format!("/{index}"));
        self
    }
}

/// Checks a member of a JSON body, and returns its text; `None` is NULL.
///
/// A number or a boolean may also be a string in PostgreSQL's syntax, for clients whose numbers are
/// floats. A text column accepts strings only. A json column accepts any value unchanged. JSON's
/// null is NULL for every type.
pub fn from_json(column: &Column, value: &RawValue) -> Result<Option<String>, Fault> {
    let raw = value.get();
    if raw == "null" {
        if column.nullable {
            return Ok(None);
        }
        return Err(Fault::new(Rule::NotNull, "a value, not null: the column is NOT NULL"));
    }
    Kind::of(column).json(raw).map(Some)
}

/// Names the kind of a JSON value, with its article.
pub fn kind_of_json(raw: &str) -> &'static str {
    match raw.as_bytes().first() {
        Some(b'"') => "a string",
        Some(b'{') => "an object",
        Some(b'[') => "an array",
        Some(b't' | b'f') => "a boolean",
        Some(b'n') => "null",
        _ => "a number",
    }
}

/// Checks a field of a CSV file or a part of a key in a URL, and returns its text, which is never
/// NULL. Allocates nothing if the text needs no change, which is the usual case.
pub fn from_text<'a>(column: &Column, text: &'a str) -> Result<Cow<'a, str>, Fault> {
    Kind::of(column).text(text)
}

/// Returns `true` if PostgreSQL certainly accepts the text and keeps all of it. Some types have
/// forms that the checks leave to PostgreSQL; for these it returns `false`.
pub fn is_certain(column: &Column, text: &str) -> bool {
    use ColumnType as Type;
    let is_checked_whole = match &column.column_type {
        Type::Date | Type::Time | Type::TimeTz | Type::Timestamp | Type::TimestampTz => {
            time::is_iso(text)
        }
        Type::Inet | Type::Cidr => network::is_whole(text),
        // Infinities of numeric are new in PostgreSQL 14, and C reads more forms of floats than SQL
        // defines.
        Type::Numeric { .. } | Type::Real | Type::DoublePrecision => number::is_finite(text),
        Type::Interval | Type::Array(_) | Type::Other { .. } => false,
        _ => true,
    };
    is_checked_whole && from_text(column, text).as_deref() == Ok(text)
}

/// Returns the reason why a field of a file is ambiguous although PostgreSQL accepts it:
/// `11/12/2026` is a day of November or of December by the database's setting, `today` changes
/// every day, and digit groups must be declared.
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
            Some("the day and the month are ambiguous")
        }
        Type::Date | Type::Time | Type::TimeTz | Type::Timestamp | Type::TimestampTz
            if time::is_relative(text) =>
        {
            Some("it depends on the day of the import")
        }
        Type::SmallInt
        | Type::Integer
        | Type::BigInt
        | Type::Numeric { .. }
        | Type::Real
        | Type::DoublePrecision
            if text.contains('_') =>
        {
            Some("digits must not be grouped")
        }
        Type::Array(element) => {
            text.split(['{', '}', ',', '"']).find_map(|part| doubt(element, part))
        }
        _ => None,
    }
}

/// The type of a column, or of the elements of its arrays.
#[derive(Debug, Clone, Copy)]
struct Kind<'a> {
    column_type: &'a ColumnType,
    /// The digits after the point of a second; see [`Column::fraction_digits`].
    fraction_digits: Option<u8>,
}

impl<'a> Kind<'a> {
    fn of(column: &'a Column) -> Self {
        Self { column_type: &column.column_type, fraction_digits: column.fraction_digits }
    }

    fn element(self, column_type: &'a ColumnType) -> Self {
        Self { column_type, ..self }
    }

    /// Checks a JSON value other than null, and returns its text.
    fn json(self, raw: &str) -> Result<String, Fault> {
        use ColumnType as Type;
        let column_type = self.column_type;
        let wrong_kind = || {
            let kind = kind_of_json(raw);
            let is_text =
                matches!(column_type, Type::Char { .. } | Type::VarChar { .. } | Type::Text);
            let why = match kind {
                "a number" if is_text => ": a number would lose its leading zeros",
                _ => "",
            };
            Fault::new(Rule::Type, format!("{}, not {kind}{why}", expected(column_type)))
        };
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
        self.checked(text).map_err(|fault| fault.instead(text))
    }

    fn checked(self, text: &str) -> Result<Cow<'_, str>, Fault> {
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
                // PostgreSQL would silently round to the digits that the column keeps.
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
            // Trailing blanks have no meaning in char(n).
            Type::Char { length } => bounded(text.trim_end_matches(' '), text, *length),
            // Trailing blanks have a meaning in varchar(n), and PostgreSQL silently cuts those
            // beyond the length.
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

/// Decodes a JSON string.
fn json_string(raw: &str) -> Result<String, Fault> {
    // Well-formed JSON can still contain half of a surrogate pair.
    serde_json::from_str(raw).map_err(|_| {
        Fault::new(Rule::UnsupportedCharacter, "no half of a surrogate pair (\\ud800 to \\udfff)")
    })
}

/// Returns `text` if `counted` has at most `length` characters.
fn bounded<'a>(counted: &str, text: &'a str, length: u32) -> Result<Cow<'a, str>, Fault> {
    // A text has no more characters than bytes.
    let length_max = length as usize;
    let is_too_long = counted.len() > length_max && counted.chars().nth(length_max).is_some();
    if is_too_long {
        let found = counted.chars().count();
        return Err(Fault::new(Rule::Length, format!("at most {length} characters, not {found}")));
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
