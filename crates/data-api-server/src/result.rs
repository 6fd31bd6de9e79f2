//! Rows of PostgreSQL as the service returns them: one field a cell, by the column's type.
//!
//! Pure.

use std::borrow::Cow;

use serde_json::{Value, json};

use crate::error::ApiError;
use crate::request::ResultSetOptions;
use crate::statement::{Column, Outcome};
use crate::types::{Form, OtherTypes, form};

/// Most bytes of a result that is formatted as JSON.
const FORMATTED_BYTES_MAX: usize = 10 * 1024 * 1024;

/// The rows as records, or the first reason why they cannot be.
pub(crate) fn records(
    columns: &[Column],
    types: &OtherTypes,
    outcome: &Outcome,
    options: &ResultSetOptions,
) -> Result<Vec<Vec<Value>>, ApiError> {
    let forms: Vec<_> = columns.iter().map(|column| form(column.type_oid, types)).collect();
    for form in &forms {
        let element = match form {
            Form::Array(element) => element,
            other => other,
        };
        if let Form::Unsupported(name) = element {
            let message = format!("The result contains the unsupported data type {name}.");
            return Err(ApiError::unsupported_result(message));
        }
    }
    if outcome.is_too_large {
        return Err(ApiError::unsupported_result("The result exceeds the size limit 1 MB."));
    }
    let record = |cells: &mut dyn Iterator<Item = Option<Cow<'_, str>>>| {
        let fields = cells.zip(&forms).map(|(cell, form)| match cell {
            None => Ok(json!({ "isNull": true })),
            Some(text) => field(form, &text, options),
        });
        fields.collect::<Result<Vec<_>, _>>()
    };
    outcome.rows.iter().map(|row| record(&mut row.cells())).collect()
}

fn field(form: &Form, text: &str, options: &ResultSetOptions) -> Result<Value, ApiError> {
    if let Form::Array(element) = form {
        return array(element, text);
    }
    let value = scalar(form, text)?;
    Ok(match form {
        Form::Long if options.long_return_type.as_deref() == Some("STRING") => {
            json!({ "stringValue": text })
        }
        Form::Long => json!({ "longValue": value }),
        Form::Double | Form::Single => json!({ "doubleValue": value }),
        Form::Numeric if options.decimal_return_type.as_deref() == Some("DOUBLE_OR_LONG") => {
            match text.parse::<i64>() {
                Ok(number) => json!({ "longValue": number }),
                Err(_) => json!({ "doubleValue": double(text) }),
            }
        }
        Form::Boolean => json!({ "booleanValue": value }),
        Form::Bytea => json!({ "blobValue": value }),
        _ => json!({ "stringValue": value }),
    })
}

fn scalar(form: &Form, text: &str) -> Result<Value, ApiError> {
    Ok(match form {
        Form::Long => json!(text.parse::<i64>().unwrap_or_default()),
        Form::Double => double(text),
        Form::Single => single(text),
        Form::Boolean => json!(text == "t"),
        Form::Time => json!(with_fraction(text)),
        Form::Date => json!(finite(text)?),
        Form::Timestamp => json!(with_fraction(finite(text)?)),
        Form::TimestampTz => json!(with_fraction(&in_utc(finite(text)?))),
        Form::Json => json!(written_again(text)?),
        Form::Bytea => json!(blob(text)),
        Form::Numeric | Form::Text | Form::Array(_) | Form::Unsupported(_) => json!(text),
    })
}

/// The specials have no form in JSON; as strings, as other clients write them.
fn double(text: &str) -> Value {
    match text.parse::<f64>() {
        Ok(number) if number.is_finite() => json!(number),
        _ => json!(text),
    }
}

fn single(text: &str) -> Value {
    match text.parse::<f32>() {
        Ok(number) if number.is_finite() => json!(f64::from(number)),
        _ => json!(text),
    }
}

/// Infinite dates end in a failure without a message, each time (measured).
fn finite(text: &str) -> Result<&str, ApiError> {
    if text.ends_with("infinity") { Err(ApiError::new("InternalFailure", "")) } else { Ok(text) }
}

/// A timestamp without its offset, in UTC whatever zone the session has.
fn in_utc(text: &str) -> Cow<'_, str> {
    if let Some(utc) = text.strip_suffix("+00") {
        return Cow::Borrowed(utc);
    }
    if let Some(utc) = text.strip_suffix("+00 BC") {
        return Cow::Owned(format!("{utc} BC"));
    }
    match text.parse::<jiff::Timestamp>() {
        Ok(timestamp) => Cow::Owned(timestamp.strftime("%Y-%m-%d %H:%M:%S%.f").to_string()),
        Err(_) => Cow::Borrowed(text),
    }
}

/// None, three or six digits of a second.
fn with_fraction(text: &str) -> String {
    let Some((whole, rest)) = text.split_once('.') else { return text.to_owned() };
    let end = rest.find(|character: char| !character.is_ascii_digit()).unwrap_or(rest.len());
    let (fraction, era) = rest.split_at(end);
    let width = if fraction.len() <= 3 { 3 } else { 6 };
    format!("{whole}.{fraction:0<width$}{era}")
}

/// JSON as the service gives it: parsed and written again, compact. Numbers beyond 64 bits become
/// floats and those beyond floats fail, as is known; that members are sorted is the stricter
/// reading.
fn written_again(text: &str) -> Result<String, ApiError> {
    let mut value: Value =
        serde_json::from_str(text).map_err(|_| ApiError::new("InternalFailure", ""))?;
    value.sort_all_objects();
    Ok(value.to_string())
}

fn blob(text: &str) -> String {
    let bytes = match text.strip_prefix("\\x") {
        Some(digits) => hex::decode(digits).unwrap_or_default(),
        None => unescaped(text),
    };
    base64::Engine::encode(&base64::prelude::BASE64_STANDARD, bytes)
}

/// The bytes of the other form, which a transaction can choose (`bytea_output`): `\\` is a
/// backslash, `\377` a byte.
fn unescaped(text: &str) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let octal =
            after.get(..3).filter(|digits| digits.iter().all(|b| (b'0'..=b'7').contains(b)));
        let (byte, taken) = match octal {
            Some(digits) if *first == b'\\' => {
                (digits.iter().fold(0, |byte: u8, digit| byte.wrapping_mul(8) + (digit - b'0')), 4)
            }
            _ if *first == b'\\' => (b'\\', 2),
            _ => (*first, 1),
        };
        bytes.push(byte);
        rest = rest.get(taken..).unwrap_or_default();
    }
    bytes
}

fn array(element: &Form, text: &str) -> Result<Value, ApiError> {
    let elements = elements(text).ok_or_else(|| {
        ApiError::unsupported_result("The result contains a multidimensional array")
    })?;
    let values = elements
        .iter()
        .map(|element_text| match element_text {
            None => Ok(Value::Null),
            // Not widened here: {1.1} comes back as 1.1 (measured).
            Some(text) if *element == Form::Single => Ok(double(text)),
            Some(text) => scalar(element, text),
        })
        .collect::<Result<Vec<_>, _>>()?;
    let member = match element {
        Form::Long => "longValues",
        Form::Double | Form::Single => "doubleValues",
        Form::Boolean => "booleanValues",
        _ => "stringValues",
    };
    Ok(json!({ "arrayValue": { member: values } }))
}

/// The elements of an array literal; `None` where it has more than one dimension.
fn elements(literal: &str) -> Option<Vec<Option<String>>> {
    let mut elements = Vec::new();
    // Bounds that do not begin at 1 stand in front: `[2:3]={a,b}`.
    let literal = match literal.split_once('=') {
        Some((bounds, rest)) if bounds.starts_with('[') => rest,
        _ => literal,
    };
    let inner = literal.strip_prefix('{')?.strip_suffix('}')?;
    let mut characters = inner.chars().peekable();
    while characters.peek().is_some() {
        let mut text = String::new();
        let mut is_quoted = false;
        match characters.peek() {
            Some('{') => return None,
            Some('"') => {
                is_quoted = true;
                characters.next();
                while let Some(character) = characters.next() {
                    match character {
                        '\\' => text.extend(characters.next()),
                        '"' => break,
                        other => text.push(other),
                    }
                }
            }
            _ => {
                while let Some(character) = characters.next_if(|character| *character != ',') {
                    text.push(character);
                }
            }
        }
        elements.push(if !is_quoted && text == "NULL" { None } else { Some(text) });
        characters.next_if_eq(&',');
    }
    Some(elements)
}

/// The rows as one JSON text (`formatRecordsAs`), which needs labels that differ.
pub(crate) fn formatted(columns: &[Column], records: &[Vec<Value>]) -> Result<String, ApiError> {
    let mut names: Vec<_> = columns.iter().map(|column| column.name.as_str()).collect();
    names.sort_unstable();
    if names.windows(2).any(|pair| pair[0] == pair[1]) {
        return Err(ApiError::unsupported_result("The result contains duplicate column labels"));
    }
    let rows: Vec<Value> = records
        .iter()
        .map(|record| {
            let members = columns.iter().zip(record).map(|(column, field)| {
                let value = field.as_object().and_then(|union| union.iter().next());
                let value = value.map_or(Value::Null, |(member, value)| match member.as_str() {
                    "isNull" => Value::Null,
                    "arrayValue" => value
                        .as_object()
                        .and_then(|array| array.values().next().cloned())
                        .unwrap_or_default(),
                    _ => value.clone(),
                });
                (column.name.clone(), value)
            });
            Value::Object(members.collect())
        })
        .collect();
    let formatted = Value::Array(rows).to_string();
    if formatted.len() > FORMATTED_BYTES_MAX {
        return Err(ApiError::bad_request("The formatted records exceed the size limit 10 MB."));
    }
    Ok(formatted)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(form: &Form, text: &str, expected: &Value) {
        assert_eq!(&field(form, text, &ResultSetOptions::default()).unwrap(), expected);
    }

    #[test]
    fn cells_become_fields() {
        check(&Form::Long, "12", &json!({"longValue": 12}));
        check(&Form::Numeric, "123456.7890", &json!({"stringValue": "123456.7890"}));
        check(&Form::Boolean, "f", &json!({"booleanValue": false}));
        check(&Form::Bytea, "\\x00ff", &json!({"blobValue": "AP8="}));
        check(&Form::Bytea, r"\000\377", &json!({"blobValue": "AP8="}));
        check(&Form::Bytea, r"a\\1", &json!({"blobValue": "YVwx"}));
        check(
            &Form::Json,
            r#"{"b": [1, "x y"], "a": 1.50}"#,
            &json!({"stringValue": r#"{"a":1.5,"b":[1,"x y"]}"#}),
        );
        check(&Form::Double, "NaN", &json!({"doubleValue": "NaN"}));
        check(&Form::Single, "0.1", &json!({"doubleValue": 0.100_000_001_490_116_12}));
    }

    #[test]
    fn fractions_have_none_three_or_six_digits() {
        check(
            &Form::Timestamp,
            "2026-11-23 01:02:03",
            &json!({"stringValue": "2026-11-23 01:02:03"}),
        );
        check(
            &Form::Timestamp,
            "2026-11-23 01:02:03.8",
            &json!({"stringValue": "2026-11-23 01:02:03.800"}),
        );
        check(
            &Form::TimestampTz,
            "2026-11-23 01:02:03.8551+00",
            &json!({"stringValue": "2026-11-23 01:02:03.855100"}),
        );
        check(
            &Form::TimestampTz,
            "0044-03-15 01:02:03.5+00 BC",
            &json!({"stringValue": "0044-03-15 01:02:03.500 BC"}),
        );
        assert!(field(&Form::Date, "infinity", &ResultSetOptions::default()).is_err());
    }

    #[test]
    fn arrays_keep_their_nulls() {
        let array = |form| Form::Array(Box::new(form));
        check(
            &array(Form::Long),
            "{1,NULL,-2}",
            &json!({"arrayValue": {"longValues": [1, null, -2]}}),
        );
        check(
            &array(Form::Text),
            r#"{a,"b c","NULL","\"\\",""}"#,
            &json!({"arrayValue": {"stringValues": ["a", "b c", "NULL", "\"\\", ""]}}),
        );
        check(&array(Form::Text), "{}", &json!({"arrayValue": {"stringValues": []}}));
        check(&array(Form::Long), "[2:3]={1,2}", &json!({"arrayValue": {"longValues": [1, 2]}}));
        assert!(field(&array(Form::Long), "{{1},{2}}", &ResultSetOptions::default()).is_err());
    }
}
