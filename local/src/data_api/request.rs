//! Requests as they come over the wire, and their parameters as PostgreSQL takes them.
//!
//! Pure. Members that the model does not know are ignored.

use serde::Deserialize;

use super::connection::Bind;
use super::error::ApiError;

/// The union of all five operations' members.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Request {
    pub(super) resource_arn: Option<String>,
    pub(super) secret_arn: Option<String>,
    pub(super) database: Option<String>,
    pub(super) schema: Option<String>,
    pub(super) sql: Option<String>,
    pub(super) transaction_id: Option<String>,
    pub(super) parameters: Option<Vec<SqlParameter>>,
    pub(super) parameter_sets: Option<Vec<Vec<SqlParameter>>>,
    pub(super) include_result_metadata: Option<bool>,
    pub(super) format_records_as: Option<String>,
    pub(super) result_set_options: Option<ResultSetOptions>,
}

#[derive(Debug, Default, Clone, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct ResultSetOptions {
    pub(super) decimal_return_type: Option<String>,
    pub(super) long_return_type: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct SqlParameter {
    #[serde(default)]
    name: Option<String>,
    #[serde(default)]
    value: Option<FieldUnion>,
    #[serde(default)]
    type_hint: Option<String>,
}

/// A union: exactly one member counts; members that are null do not.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct FieldUnion {
    is_null: Option<bool>,
    boolean_value: Option<bool>,
    long_value: Option<i64>,
    double_value: Option<Double>,
    string_value: Option<String>,
    blob_value: Option<String>,
    array_value: Option<serde_json::Value>,
}

/// JSON has no name for the special ones, so that they come as strings.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Double {
    Number(f64),
    Special(String),
}

impl FieldUnion {
    fn members(&self) -> usize {
        [
            self.is_null.is_some(),
            self.boolean_value.is_some(),
            self.long_value.is_some(),
            self.double_value.is_some(),
            self.string_value.is_some(),
            self.blob_value.is_some(),
            self.array_value.is_some(),
        ]
        .into_iter()
        .filter(|is_there| *is_there)
        .count()
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

/// The parameters in the order of the statement's placeholders.
pub(super) fn binds(names: &[String], parameters: &[SqlParameter]) -> Result<Vec<Bind>, ApiError> {
    let find = |name: &String| {
        let found = parameters.iter().find(|parameter| parameter.name.as_ref() == Some(name));
        // What the service answers is not known; it does not guess NULL.
        found.ok_or_else(|| ApiError::bad_request(format!("Cannot find parameter: {name}")))?.bind()
    };
    // An array is refused even where no placeholder names it.
    for parameter in parameters {
        if parameter.value.as_ref().is_some_and(|value| value.array_value.is_some()) {
            return Err(ApiError::validation("Array parameters are not supported"));
        }
    }
    names.iter().map(find).collect()
}

impl SqlParameter {
    fn bind(&self) -> Result<Bind, ApiError> {
        let empty = FieldUnion::default();
        let value = self.value.as_ref().unwrap_or(&empty);
        if value.members() != 1 {
            return Err(ApiError::validation("A parameter's value has exactly one member"));
        }
        let bind = |text: String, type_oid| Ok(Bind { text: Some(text), type_oid });
        if let Some(text) = &value.string_value {
            return match self.type_hint.as_deref() {
                None => bind(text.clone(), TEXT),
                Some("DATE") => bind(text.clone(), DATE),
                Some("TIME") => bind(text.clone(), TIME),
                Some("TIMESTAMP") => bind(text.clone(), TIMESTAMP),
                Some("DECIMAL") => bind(text.clone(), NUMERIC),
                Some("UUID") => bind(text.clone(), UUID),
                Some("JSON") => bind(text.clone(), JSONB),
                Some(_) => Err(ApiError::validation("The type hint is not one of the service's")),
            };
        }
        if let Some(number) = value.long_value {
            return bind(number.to_string(), INT8);
        }
        if let Some(number) = &value.double_value {
            let text = match number {
                Double::Number(number) => number.to_string(),
                Double::Special(word) => word.clone(),
            };
            return bind(text, FLOAT8);
        }
        if let Some(boolean) = value.boolean_value {
            return bind(boolean.to_string(), BOOL);
        }
        if let Some(blob) = &value.blob_value {
            let bytes = base64::Engine::decode(&base64::prelude::BASE64_STANDARD, blob)
                .map_err(|_| ApiError::validation("A blob is Base64"))?;
            return bind(format!("\\x{}", hex::encode(bytes)), BYTEA);
        }
        Ok(Bind { text: None, type_oid: 0 })
    }
}
