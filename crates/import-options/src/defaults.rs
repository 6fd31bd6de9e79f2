//! The options of prefixes, and the claims under which their files are loaded, from the
//! configuration.
//!
//! Pure.

use csv_stream::dialect::Dialect;
use serde_json::{Map, Value};

use crate::value::ValueFault;
use crate::{OptionFault, Settings};

/// The most bytes of the claims of a caller or of a prefix, as JSON. A message holds them besides
/// its writes. API Gateway takes 10,240 bytes of headers (API Gateway, "Quotas for HTTP APIs"), so
/// that a token has fewer.
pub const CLAIMS_BYTES_MAX: usize = 16 * 1024;

/// The prefix of all files.
const ROOT: &str = "imports/";

/// The member of a prefix that holds its claims.
const CLAIMS: &str = "claims";

/// The options of all files whose keys begin with a prefix:
/// `{"imports/<table>/": {"delimiter": ";"}}`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Defaults {
    /// The prefixes, the shortest one first.
    prefixes: Vec<Prefix>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Prefix {
    begin: String,
    /// The options by name.
    options: Vec<(String, String)>,
    /// The claims of its files under row security, as JSON.
    claims: Option<String>,
}

/// An error of the configured options.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DefaultsError {
    #[error(
        "it must be a JSON object such as {{\"imports/<table>/\": {{\"delimiter\": \";\"}}}}: {0}"
    )]
    NotJson(String),
    #[error("the prefix {0:?} must begin with imports/, as nothing else is imported")]
    Prefix(String),
    #[error(
        "the claims of the prefix {0:?} must be a JSON object with members, without U+0000, of at most {CLAIMS_BYTES_MAX} \
         bytes"
    )]
    Claims(String),
    #[error("{0}")]
    Option(OptionFault),
}

impl Defaults {
    /// Returns no options.
    pub fn none() -> Self {
        Self::default()
    }

    /// Reads the options of prefixes from JSON. All values are checked here, so that a mistake
    /// stops the deployment and not an import.
    pub fn parse(json: &str) -> Result<Self, DefaultsError> {
        let not_json = |error: serde_json::Error| DefaultsError::NotJson(error.to_string());
        let object: Map<String, Value> = serde_json::from_str(json).map_err(not_json)?;
        let mut prefixes = Vec::with_capacity(object.len());
        for (prefix, options) in object {
            if !prefix.starts_with(ROOT) {
                return Err(DefaultsError::Prefix(prefix));
            }
            let Value::Object(mut options) = options else {
                let error = format!("the options of {prefix} are not an object");
                return Err(DefaultsError::NotJson(error));
            };
            let claims = match options.shift_remove(CLAIMS) {
                None => None,
                Some(claims) => {
                    Some(checked(&claims).ok_or_else(|| DefaultsError::Claims(prefix.clone()))?)
                }
            };
            let mut texts = Vec::with_capacity(options.len());
            for (name, value) in options {
                let text = text(&name, &value, &prefix).map_err(DefaultsError::Option)?;
                texts.extend(text.map(|text| (name, text)));
            }
            prefixes.push(Prefix { begin: prefix, options: texts, claims });
        }
        prefixes.sort_by_key(|prefix| prefix.begin.len());
        Ok(Self { prefixes })
    }

    /// Returns the claims of a key: those of the longest prefix that has some. No metadata of a
    /// file can change them.
    pub fn claims_of(&self, key: &str) -> Option<&str> {
        let prefixes = self.prefixes.iter().filter(|prefix| key.starts_with(&prefix.begin));
        prefixes.filter_map(|prefix| prefix.claims.as_deref()).next_back()
    }

    /// Returns the options of a key. For each option, the longest prefix that declares it has
    /// precedence.
    pub(crate) fn of(&self, key: &str) -> Settings {
        let mut settings = Settings::default();
        for prefix in self.prefixes.iter().filter(|prefix| key.starts_with(&prefix.begin)) {
            for (name, text) in &prefix.options {
                // `parse` has checked it.
                let set = settings.set(name, text, Some(&prefix.begin));
                debug_assert!(set.is_ok(), "{set:?}");
            }
        }
        settings
    }
}

/// Returns claims as JSON, if row policies can read them. Every caller has the claims of an empty
/// object, so such an import would belong to everyone.
fn checked(claims: &Value) -> Option<String> {
    let members = claims.as_object()?;
    let claims = claims.to_string();
    let is_valid =
        !members.is_empty() && !claims.contains("\\u0000") && claims.len() <= CLAIMS_BYTES_MAX;
    is_valid.then_some(claims)
}

/// Returns the text of one option of a prefix; `None` if its value is null.
fn text(name: &str, value: &Value, prefix: &str) -> Result<Option<String>, OptionFault> {
    let fault = |expected: &str| {
        let prefix = Some(prefix.to_owned());
        ValueFault::expected(expected).of(name, Some(value.to_string()), prefix)
    };
    let text = match value {
        Value::Null => return Ok(None),
        Value::String(text) => text.clone(),
        Value::Array(names) if name == "columns" => {
            let names: Option<Vec<_>> = names.iter().map(Value::as_str).collect();
            let names = names.ok_or_else(|| fault("the names of the columns"))?;
            let fields = names.into_iter().map(|name| Dialect::default().field(name).into_owned());
            fields.collect::<Vec<_>>().join(",")
        }
        Value::Array(_) | Value::Object(_) => return Err(fault("one value")),
        Value::Bool(_) | Value::Number(_) => value.to_string(),
    };
    Settings::default().set(name, &text, Some(prefix)).map(|()| Some(text))
}
