//! Requests as they come over the wire (restJson1).
//!
//! Pure. Members that the model does not know are ignored, as are those that are null.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

use serde::Deserialize;
use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserializer, MapAccess, Visitor};

/// The union of all five operations' members.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Request<'a> {
    pub(super) resource_arn: Option<String>,
    pub(super) secret_arn: Option<String>,
    pub(super) database: Option<String>,
    pub(super) schema: Option<String>,
    #[serde(borrow)]
    pub(super) sql: Option<Text<'a>>,
    pub(super) transaction_id: Option<String>,
    #[serde(borrow)]
    pub(super) parameters: Option<Vec<Object<SqlParameter<'a>>>>,
    #[serde(borrow)]
    pub(super) parameter_sets: Option<Vec<Vec<Object<SqlParameter<'a>>>>>,
    pub(super) include_result_metadata: Option<bool>,
    pub(super) continue_after_timeout: Option<bool>,
    pub(super) format_records_as: Option<String>,
    pub(super) result_set_options: Option<Object<ResultSetOptions>>,
}

#[derive(Debug, Default, Clone, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct ResultSetOptions {
    pub(super) decimal_return_type: Option<String>,
    pub(super) long_return_type: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct SqlParameter<'a> {
    #[serde(borrow)]
    pub(super) name: Option<Text<'a>>,
    #[serde(borrow)]
    pub(super) value: Option<Object<FieldUnion<'a>>>,
    pub(super) type_hint: Option<String>,
}

/// A union: exactly one member counts.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct FieldUnion<'a> {
    pub(super) is_null: Option<bool>,
    pub(super) boolean_value: Option<bool>,
    pub(super) long_value: Option<i64>,
    pub(super) double_value: Option<Double>,
    #[serde(borrow)]
    pub(super) string_value: Option<Text<'a>>,
    #[serde(borrow)]
    pub(super) blob_value: Option<Text<'a>>,
    pub(super) array_value: Option<serde::de::IgnoredAny>,
}

/// JSON has no name for the special ones, so that they come as strings.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub(super) enum Double {
    Number(f64),
    Special(String),
}

/// A text that is borrowed from the body where nothing in it is escaped.
#[derive(Debug, Deserialize)]
#[serde(transparent)]
pub(super) struct Text<'a>(#[serde(borrow)] pub(super) Cow<'a, str>);

/// A structure that must be an object. serde also reads one from an array, member by member.
#[derive(Debug)]
pub(super) struct Object<T>(pub(super) T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ObjectVisitor<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for ObjectVisitor<T> {
            type Value = T;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<T, A::Error> {
                T::deserialize(MapAccessDeserializer::new(map))
            }
        }
        deserializer.deserialize_map(ObjectVisitor(PhantomData)).map(Self)
    }
}

/// Reads a body; an empty one has no members.
pub(super) fn read(body: &[u8]) -> Result<Request<'_>, serde_json::Error> {
    if body.is_empty() {
        return Ok(Request::default());
    }
    serde_json::from_slice::<Object<Request<'_>>>(body).map(|request| request.0)
}
