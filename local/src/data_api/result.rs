//! Rows of PostgreSQL as the service returns them: one field a cell, by the column's type.
//!
//! Pure, but for the names of types that are not built in, which a session looks up.

use std::collections::HashMap;

use serde_json::{Value, json};

use super::connection::{Bind, Column, Connection, PgError, Row};
use super::error::ApiError;
use super::request::ResultSetOptions;

/// Most bytes of an answer: a row counts 2, each of its columns 4 and its text's bytes.
const RESULT_BYTES_MAX: usize = 1024 * 1024;

/// How a type is returned.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Form {
    Long,
    Double,
    Numeric,
    Boolean,
    Text,
    /// With a fraction of none, three or six digits.
    Time,
    /// Likewise; refused where it is infinite.
    Timestamp,
    /// A timestamp whose text ends in the offset of UTC, which is left out.
    TimestampTz,
    Date,
    /// Parsed and written again, compact.
    Json,
    Bytea,
    Array(Box<Form>),
    /// By the name that the message gives.
    Unsupported(String),
}

/// The types that a server has beyond those built in, by OID.
pub(super) type UserTypes = HashMap<u32, UserType>;

#[derive(Debug, Clone)]
pub(super) struct UserType {
    name: String,
    /// `pg_type.typtype`: `e` for an enum, `d` for a domain.
    kind: String,
    /// The element of an array, else 0.
    element: u32,
}

/// The first OID that `initdb` leaves to users.
const FIRST_USER_OID: u32 = 16_384;

/// The user types among the columns, looked up in the session's own catalog.
pub(super) async fn user_types(
    connection: &mut Connection,
    columns: &[Column],
) -> Result<UserTypes, PgError> {
    let mut types = UserTypes::new();
    let mut open: Vec<u32> = columns.iter().map(|column| column.type_oid).collect();
    while let Some(oid) = open.pop() {
        if oid < FIRST_USER_OID || types.contains_key(&oid) {
            continue;
        }
        let sql = "SELECT typname, typtype, CASE WHEN typcategory = 'A' THEN typelem ELSE 0 END FROM pg_type WHERE oid = $1";
        let prepared = connection.prepare(sql, &[26]).await?;
        let binds = [Bind { text: Some(oid.to_string()), type_oid: 26 }];
        let outcome = connection.run(&prepared, &binds).await?;
        let Some(row) = outcome.rows.first() else { continue };
        let cells: Vec<_> = row.cells().map(Option::unwrap_or_default).collect();
        if let [name, kind, element] = cells.as_slice() {
            let element = element.parse().unwrap_or_default();
            open.push(element);
            types.insert(
                oid,
                UserType { name: (*name).to_owned(), kind: (*kind).to_owned(), element },
            );
        }
    }
    Ok(types)
}

fn form(oid: u32, types: &UserTypes) -> Form {
    let unsupported = |name: &str| Form::Unsupported(name.to_owned());
    let array = |form| Form::Array(Box::new(form));
    match oid {
        20 | 21 | 23 => Form::Long,
        700 | 701 => Form::Double,
        1700 => Form::Numeric,
        16 => Form::Boolean,
        // text, varchar, bpchar, name, uuid, inet, cidr, int4range, numrange, oid, unknown
        25 | 1043 | 1042 | 19 | 2950 | 869 | 650 | 3904 | 3906 | 26 | 705 => Form::Text,
        1083 => Form::Time,
        1114 => Form::Timestamp,
        1184 => Form::TimestampTz,
        1082 => Form::Date,
        114 | 3802 => Form::Json,
        17 => Form::Bytea,
        1016 | 1005 | 1007 => array(Form::Long),
        1021 | 1022 => array(Form::Double),
        1231 => array(Form::Numeric),
        1000 => array(Form::Boolean),
        1009 | 1015 | 1014 | 1003 | 2951 | 1041 | 651 => array(Form::Text),
        1183 => array(Form::Time),
        1115 => array(Form::Timestamp),
        1185 => array(Form::TimestampTz),
        1182 => array(Form::Date),
        199 | 3807 => array(Form::Json),
        1186 => unsupported("INTERVAL"),
        1266 => unsupported("TIMETZ"),
        790 => unsupported("MONEY"),
        142 => unsupported("XML"),
        18 => unsupported("\"CHAR\""),
        829 => unsupported("MACADDR"),
        600 => unsupported("POINT"),
        601 => unsupported("LSEG"),
        602 => unsupported("PATH"),
        603 => unsupported("BOX"),
        604 => unsupported("POLYGON"),
        628 => unsupported("LINE"),
        718 => unsupported("CIRCLE"),
        3912 => unsupported("DATERANGE"),
        3908 => unsupported("TSRANGE"),
        2205 => unsupported("regclass"),
        2206 => unsupported("regtype"),
        // A function that returns nothing returns an empty text.
        2278 => Form::Text,
        other => match types.get(&other) {
            Some(user) if user.element != 0 => array(form(user.element, types)),
            Some(user) if user.kind == "e" => Form::Text,
            // Extensions that the service documents.
            Some(user) if user.name == "vector" => Form::Text,
            Some(user) => unsupported(&user.name),
            None => unsupported(&format!("OID {other}")),
        },
    }
}

/// The rows as records, or the first reason why they cannot be.
pub(super) fn records(
    columns: &[Column],
    types: &UserTypes,
    rows: &[Row],
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
    let mut bytes = 0;
    let mut records = Vec::with_capacity(rows.len());
    for row in rows {
        bytes += 2;
        let mut record = Vec::with_capacity(forms.len());
        for (cell, form) in row.cells().zip(&forms) {
            bytes += 4 + cell.map_or(0, str::len);
            record.push(match cell {
                None => json!({ "isNull": true }),
                Some(text) => field(form, text, options)?,
            });
        }
        if bytes > RESULT_BYTES_MAX {
            return Err(ApiError::unsupported_result("The result exceeds the size limit 1 MB."));
        }
        records.push(record);
    }
    Ok(records)
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
        Form::Double => json!({ "doubleValue": value }),
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
        Form::Boolean => json!(text == "t"),
        Form::Time => json!(with_fraction(text)),
        Form::Date => json!(finite(text)?),
        Form::Timestamp => json!(with_fraction(finite(text)?)),
        Form::TimestampTz => json!(with_fraction(finite(text)?.trim_end_matches("+00"))),
        Form::Json => json!(compact(text)),
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

/// Infinite dates end in a failure without a message, each time (measured).
fn finite(text: &str) -> Result<&str, ApiError> {
    if text.ends_with("infinity") { Err(ApiError::new("InternalFailure", "")) } else { Ok(text) }
}

/// None, three or six digits of a second.
fn with_fraction(text: &str) -> String {
    let Some((whole, fraction)) = text.split_once('.') else { return text.to_owned() };
    let width = if fraction.len() <= 3 { 3 } else { 6 };
    format!("{whole}.{fraction:0<width$}")
}

fn compact(text: &str) -> String {
    // Kept as raw text where it is a number of any size.
    let mut out = String::with_capacity(text.len());
    let mut is_string = false;
    let mut is_escaped = false;
    for character in text.chars() {
        match character {
            _ if is_escaped => is_escaped = false,
            '\\' if is_string => is_escaped = true,
            '"' => is_string = !is_string,
            ' ' | '\n' | '\r' | '\t' if !is_string => continue,
            _ => {}
        }
        out.push(character);
    }
    out
}

fn blob(text: &str) -> String {
    let bytes = hex::decode(text.trim_start_matches("\\x")).unwrap_or_default();
    base64::Engine::encode(&base64::prelude::BASE64_STANDARD, bytes)
}

fn array(element: &Form, text: &str) -> Result<Value, ApiError> {
    let elements = elements(text).ok_or_else(|| {
        ApiError::unsupported_result("The result contains a multidimensional array")
    })?;
    let values = elements
        .iter()
        .map(|element_text| match element_text {
            None => Ok(Value::Null),
            Some(text) => scalar(element, text),
        })
        .collect::<Result<Vec<_>, _>>()?;
    let member = match element {
        Form::Long => "longValues",
        Form::Double => "doubleValues",
        Form::Boolean => "booleanValues",
        _ => "stringValues",
    };
    Ok(json!({ "arrayValue": { member: values } }))
}

/// The elements of an array literal; `None` where it has more than one dimension.
fn elements(literal: &str) -> Option<Vec<Option<String>>> {
    let mut elements = Vec::new();
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

/// The column metadata, as far as clients use it.
pub(super) fn metadata(columns: &[Column], types: &UserTypes) -> Vec<Value> {
    columns
        .iter()
        .map(|column| {
            let type_name = built_in_name(column.type_oid)
                .map(str::to_owned)
                .or_else(|| types.get(&column.type_oid).map(|user| user.name.clone()))
                .unwrap_or_default();
            json!({
                "name": column.name,
                "label": column.name,
                "typeName": type_name,
                "nullable": 2,
                "isAutoIncrement": false,
                "isCaseSensitive": matches!(form(column.type_oid, types), Form::Text),
                "isCurrency": false,
                "isSigned": matches!(form(column.type_oid, types), Form::Long | Form::Double | Form::Numeric),
            })
        })
        .collect()
}

fn built_in_name(oid: u32) -> Option<&'static str> {
    Some(match oid {
        16 => "bool",
        17 => "bytea",
        19 => "name",
        20 => "int8",
        21 => "int2",
        23 => "int4",
        25 => "text",
        114 => "json",
        650 => "cidr",
        700 => "float4",
        701 => "float8",
        869 => "inet",
        1042 => "bpchar",
        1043 => "varchar",
        1082 => "date",
        1083 => "time",
        1114 => "timestamp",
        1184 => "timestamptz",
        1700 => "numeric",
        2950 => "uuid",
        3802 => "jsonb",
        1000 => "_bool",
        1005 => "_int2",
        1007 => "_int4",
        1009 => "_text",
        1015 => "_varchar",
        1016 => "_int8",
        1231 => "_numeric",
        2951 => "_uuid",
        _ => return None,
    })
}

/// The rows as one JSON text (`formatRecordsAs`), which needs labels that differ.
pub(super) fn formatted(columns: &[Column], records: &[Vec<Value>]) -> Result<String, ApiError> {
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
    Ok(Value::Array(rows).to_string())
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
        check(
            &Form::Json,
            r#"{"a b": [1, "x y"]}"#,
            &json!({"stringValue": r#"{"a b":[1,"x y"]}"#}),
        );
        check(&Form::Double, "NaN", &json!({"doubleValue": "NaN"}));
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
        assert!(field(&array(Form::Long), "{{1},{2}}", &ResultSetOptions::default()).is_err());
    }
}
