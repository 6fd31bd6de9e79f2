//! Parameters as PostgreSQL takes them: a text and a declared type for each placeholder.
//!
//! Pure. A string without a hint *is* text: nothing is coerced.

use std::borrow::Cow;

use crate::error::ApiError;
use crate::placeholder::Scanned;
use crate::request::{Double, FieldUnion, Object, SqlParameter, Text};

/// A parameter of a statement.
#[derive(Debug)]
pub(crate) struct Bind<'a> {
    /// PostgreSQL's text form, or the bytes themselves of a `bytea`; `None` is NULL.
    pub(crate) bytes: Option<Cow<'a, [u8]>>,
    /// The declared type's OID, 0 for none.
    pub(crate) type_oid: u32,
}

impl<'a> Bind<'a> {
    pub(crate) fn text(text: impl Into<Cow<'a, str>>, type_oid: u32) -> Self {
        let bytes = match text.into() {
            Cow::Borrowed(text) => Cow::Borrowed(text.as_bytes()),
            Cow::Owned(text) => Cow::Owned(text.into_bytes()),
        };
        Self { bytes: Some(bytes), type_oid }
    }

    /// Returns whether it travels in PostgreSQL's binary form.
    pub(crate) fn is_binary(&self) -> bool {
        self.type_oid == BYTEA
    }

    pub(crate) fn into_owned(self) -> Bind<'static> {
        let bytes = self.bytes.map(|bytes| Cow::Owned(bytes.into_owned()));
        Bind { bytes, type_oid: self.type_oid }
    }
}

/// Type OIDs of `pg_type.dat`.
const BOOL: u32 = 16;
const BYTEA: u32 = 17;
const INT8: u32 = 20;
const TEXT: u32 = 25;
const FLOAT8: u32 = 701;
const DATE: u32 = 1082;
const TIME: u32 = 1083;
const TIMESTAMP: u32 = 1114;
const NUMERIC: u32 = 1700;
const UUID: u32 = 2950;
const JSONB: u32 = 3802;

/// One bind for each occurrence of a placeholder, in order.
pub(crate) fn binds<'a>(
    scanned: &Scanned,
    parameters: &'a [Object<SqlParameter<'_>>],
) -> Result<Vec<Bind<'a>>, ApiError> {
    let mut given: Vec<Option<&SqlParameter<'_>>> = vec![None; scanned.indexes.len()];
    for Object(parameter) in parameters {
        let name = parameter.name.as_ref().map_or("", |Text(name)| name.as_ref());
        if parameter.value.as_ref().is_some_and(|Object(value)| value.array_value.is_some()) {
            return Err(ApiError::validation("Array parameters are not supported"));
        }
        // The response of the service to these is not known. To take them would hide a mistake.
        let slot = scanned.indexes.get(name).and_then(|index| given.get_mut(*index));
        let slot = slot.ok_or_else(|| {
            ApiError::bad_request(format!("Parameter {name} is not in the statement"))
        })?;
        if slot.replace(parameter).is_some() {
            return Err(ApiError::bad_request(format!("Parameter {name} is given twice")));
        }
    }
    // A placeholder without a parameter is bound to nothing, and PostgreSQL counts: so it goes by
    // where what looks like one is inside dollar quotes, and fails with 08P01 elsewhere (both
    // measured).
    let find = |index: &usize| given.get(*index).copied().flatten();
    scanned.occurrences.iter().filter_map(find).map(bind).collect()
}

fn bind<'a>(parameter: &'a SqlParameter<'_>) -> Result<Bind<'a>, ApiError> {
    let none = || ApiError::validation("A parameter's value has exactly one member");
    let Object(value) = parameter.value.as_ref().ok_or_else(none)?;
    if members(value) != 1 {
        return Err(none());
    }
    let of = |text: Cow<'a, str>, type_oid| Ok(Bind::text(text, type_oid));
    if let Some(Text(text)) = &value.string_value {
        let text = Cow::Borrowed(text.as_ref());
        let type_oid = match parameter.type_hint.as_deref() {
            None => TEXT,
            Some(hint) => hinted(hint, &text)?,
        };
        return of(text, type_oid);
    }
    if let Some(hint) = parameter.type_hint.as_deref() {
        // Known hints say nothing about other members; unknown ones are not in the model.
        hinted_oid(hint)?;
    }
    if let Some(number) = value.long_value {
        return of(number.to_string().into(), INT8);
    }
    if let Some(number) = &value.double_value {
        return match number {
            Double::Number(number) => of(number.to_string().into(), FLOAT8),
            Double::Special(word) if ["NaN", "Infinity", "-Infinity"].contains(&word.as_str()) => {
                of(Cow::Borrowed(word), FLOAT8)
            }
            Double::Special(_) => Err(ApiError::serialization()),
        };
    }
    if let Some(boolean) = value.boolean_value {
        return of(if boolean { "t" } else { "f" }.into(), BOOL);
    }
    if let Some(Text(blob)) = &value.blob_value {
        let bytes = base64::Engine::decode(&base64::prelude::BASE64_STANDARD, blob.as_bytes())
            .map_err(|_| ApiError::serialization())?;
        return Ok(Bind { bytes: Some(bytes.into()), type_oid: BYTEA });
    }
    Ok(Bind { bytes: None, type_oid: 0 })
}

fn members(value: &FieldUnion<'_>) -> usize {
    [
        value.is_null.is_some(),
        value.boolean_value.is_some(),
        value.long_value.is_some(),
        value.double_value.is_some(),
        value.string_value.is_some(),
        value.blob_value.is_some(),
        value.array_value.is_some(),
    ]
    .into_iter()
    .filter(|is_there| *is_there)
    .count()
}

fn hinted_oid(hint: &str) -> Result<u32, ApiError> {
    Ok(match hint {
        "DATE" => DATE,
        "TIME" => TIME,
        "TIMESTAMP" => TIMESTAMP,
        "DECIMAL" => NUMERIC,
        "UUID" => UUID,
        "JSON" => JSONB,
        _ => {
            let message = "typeHint must be one of [JSON, UUID, TIMESTAMP, DATE, TIME, DECIMAL]";
            return Err(ApiError::validation(message));
        }
    })
}

/// The hint's type, for a text in the hint's own format. DECIMAL, UUID and JSON are for PostgreSQL
/// to read.
fn hinted(hint: &str, text: &str) -> Result<u32, ApiError> {
    let type_oid = hinted_oid(hint)?;
    let is_good = match type_oid {
        DATE => is_date(text),
        TIME => is_time(text),
        TIMESTAMP => {
            text.split_once(' ').is_some_and(|(date, time)| is_date(date) && is_time(time))
        }
        _ => true,
    };
    if is_good {
        Ok(type_oid)
    } else {
        Err(ApiError::bad_request(format!("Cannot parse date or time \"{text}\"")))
    }
}

/// `YYYY-MM-DD`.
fn is_date(text: &str) -> bool {
    is_shape(text, "0000-00-00")
}

/// `HH:MM:SS[.FFF]`. Three digits are documented; a client that was adapted to the service sends
/// six.
fn is_time(text: &str) -> bool {
    let (time, fraction) = text.split_once('.').unwrap_or((text, "0"));
    is_shape(time, "00:00:00")
        && (1..=6).contains(&fraction.len())
        && fraction.bytes().all(|byte| byte.is_ascii_digit())
}

/// Returns whether a text has digits where the shape has zeros, and the shape's own characters
/// elsewhere.
fn is_shape(text: &str, shape: &str) -> bool {
    text.len() == shape.len()
        && text.bytes().zip(shape.bytes()).all(|(byte, expected)| match expected {
            b'0' => byte.is_ascii_digit(),
            other => byte == other,
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hints_take_their_documented_format_only() {
        for (hint, text, is_good) in [
            ("DATE", "2026-11-23", true),
            ("DATE", "2026-11-23T00:00:00Z", false),
            ("TIME", "09:30:00", true),
            ("TIME", "09:30:00.123", true),
            ("TIME", "09:30", false),
            ("TIMESTAMP", "2026-11-23 09:30:00.123456", true),
            ("TIMESTAMP", "2026-11-23T09:30:00", false),
            ("TIMESTAMP", "2026-11-23 09:30:00Z", false),
            ("TIMESTAMP", "2026-11-23 09:30:00+00", false),
            ("DECIMAL", "anything", true),
            ("INTEGER", "1", false),
        ] {
            assert_eq!(hinted(hint, text).is_ok(), is_good, "{hint} {text}");
        }
    }
}
