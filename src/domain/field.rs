//! Parameters of a statement and fields of a response, as the Data API defines them.
//!
//! Pure. Fields serialize to the service's own JSON, which is also a form of look-up responses.

use std::borrow::Cow;

use serde::de::DeserializeOwned;
use serde::ser::{Serialize, SerializeMap, Serializer};

/// A named parameter. Each value is text, which the statement casts to its type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parameter {
    pub name: Cow<'static, str>,
    /// The text; `None` is NULL.
    pub value: Option<String>,
}

/// Makes a parameter with a value.
pub fn parameter(name: impl Into<Cow<'static, str>>, value: impl Into<String>) -> Parameter {
    Parameter { name: name.into(), value: Some(value.into()) }
}

/// Makes a parameter that is NULL.
pub fn null(name: impl Into<Cow<'static, str>>) -> Parameter {
    Parameter { name: name.into(), value: None }
}

/// Makes a parameter with a value, or one that is NULL.
pub fn optional(name: impl Into<Cow<'static, str>>, value: Option<impl Into<String>>) -> Parameter {
    Parameter { name: name.into(), value: value.map(Into::into) }
}

/// Returns the length of a parameter set in a request of the SDK, in bytes: compact JSON, and a
/// comma.
pub fn encoded_len(set: &[Parameter]) -> usize {
    let of_one = |parameter: &Parameter| {
        let value = match &parameter.value {
            Some(text) => r#"{"stringValue":}"#.len() + json_len(text),
            None => r#"{"isNull":true}"#.len(),
        };
        r#"{"name":,"value":},"#.len() + json_len(&parameter.name) + value
    };
    "[],".len() + set.iter().map(of_one).sum::<usize>()
}

/// Returns the length of a text as a JSON string, in bytes, with its quotes.
fn json_len(text: &str) -> usize {
    let content: usize = text
        .bytes()
        .map(|byte| match byte {
            b'"' | b'\\' | b'\n' | b'\r' | b'\t' | 0x08 | 0x0c => 2,
            0x00..=0x1f => 6,
            _ => 1,
        })
        .sum();
    content + 2
}

/// Removes U+0000, which PostgreSQL's text cannot store.
pub fn storable(text: &str) -> String {
    text.replace('\0', "\u{fffd}")
}

/// One row of a response.
pub type Record = Vec<Field>;

/// Reads the one field of a response, a text of JSON.
pub fn json<T: DeserializeOwned>(records: &[Record]) -> Option<T> {
    serde_json::from_str(records.first()?.first()?.as_text()?).ok()
}

/// The `Field` union of the service.
#[derive(Debug, Clone, PartialEq)]
pub enum Field {
    Null,
    Boolean(bool),
    Long(i64),
    Double(f64),
    Text(String),
    /// Bytes in Base64, as in the response.
    Blob(String),
    Array(ArrayField),
}

/// The `ArrayValue` union of the service. Elements may be NULL.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub enum ArrayField {
    BooleanValues(Vec<Option<bool>>),
    LongValues(Vec<Option<i64>>),
    DoubleValues(Vec<Option<f64>>),
    StringValues(Vec<Option<String>>),
    ArrayValues(Vec<Option<ArrayField>>),
}

impl Field {
    /// Returns the value of a text field.
    pub fn as_text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }

    /// Returns the value of an integer field.
    pub fn as_long(&self) -> Option<i64> {
        match self {
            Self::Long(number) => Some(*number),
            _ => None,
        }
    }

    /// Returns the value of a boolean field.
    pub fn as_boolean(&self) -> Option<bool> {
        match self {
            Self::Boolean(value) => Some(*value),
            _ => None,
        }
    }
}

impl Serialize for Field {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut union = serializer.serialize_map(Some(1))?;
        match self {
            Self::Null => union.serialize_entry("isNull", &true)?,
            Self::Boolean(value) => union.serialize_entry("booleanValue", value)?,
            Self::Long(value) => union.serialize_entry("longValue", value)?,
            Self::Double(value) => match non_finite(*value) {
                Some(name) => union.serialize_entry("doubleValue", name)?,
                None => union.serialize_entry("doubleValue", value)?,
            },
            Self::Text(value) => union.serialize_entry("stringValue", value)?,
            Self::Blob(value) => union.serialize_entry("blobValue", value)?,
            Self::Array(value) => union.serialize_entry("arrayValue", value)?,
        }
        union.end()
    }
}

/// Returns the name that the service sends for a value that is no JSON number (Smithy, "Float and
/// double serialization").
fn non_finite(value: f64) -> Option<&'static str> {
    match value {
        _ if value.is_nan() => Some("NaN"),
        f64::INFINITY => Some("Infinity"),
        f64::NEG_INFINITY => Some("-Infinity"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_length_of_a_parameter_set_is_that_of_its_json() {
        let control: String = (1..0x20).map(char::from).collect();
        let texts = ["", "plain", "say \"hi\" \\o/", "é😀\u{7f}\u{2028}", &control];
        for texts in [&texts[..0], &texts[..1], &texts] {
            let mut set: Vec<_> = texts.iter().map(|text| parameter("c1", *text)).collect();
            set.push(null("c2"));
            let json = serde_json::Value::Array(
                set.iter()
                    .map(|parameter| match &parameter.value {
                        Some(text) => serde_json::json!({ "name": parameter.name, "value": { "stringValue": text } }),
                        None => serde_json::json!({ "name": parameter.name, "value": { "isNull": true } }),
                    })
                    .collect(),
            );
            // One comma between two parameters, and one after the set.
            assert_eq!(encoded_len(&set), json.to_string().len() + 2);
        }
    }

    #[test]
    fn doubles_that_are_not_numbers_keep_their_names() {
        for (value, expected) in [
            (f64::NAN, r#"{"doubleValue":"NaN"}"#),
            (f64::NEG_INFINITY, r#"{"doubleValue":"-Infinity"}"#),
            (0.5, r#"{"doubleValue":0.5}"#),
        ] {
            assert_eq!(serde_json::to_string(&Field::Double(value)).unwrap(), expected);
        }
    }

    #[test]
    fn fields_serialize_as_in_the_service() {
        let record = vec![
            Field::Text("0001".into()),
            Field::Long(12),
            Field::Null,
            Field::Boolean(false),
            Field::Array(ArrayField::StringValues(vec![Some("a".into()), None])),
        ];
        assert_eq!(
            serde_json::to_string(&record).unwrap(),
            r#"[{"stringValue":"0001"},{"longValue":12},{"isNull":true},{"booleanValue":false},{"arrayValue":{"stringValues":["a",null]}}]"#
        );
    }
}
