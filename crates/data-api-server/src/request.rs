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
pub(crate) struct Request<'a> {
    pub(crate) resource_arn: Option<String>,
    pub(crate) secret_arn: Option<String>,
    pub(crate) database: Option<String>,
    pub(crate) schema: Option<String>,
    #[serde(borrow)]
    pub(crate) sql: Option<Text<'a>>,
    pub(crate) transaction_id: Option<String>,
    #[serde(borrow)]
    pub(crate) parameters: Option<Vec<Object<SqlParameter<'a>>>>,
    #[serde(borrow)]
    pub(crate) parameter_sets: Option<Vec<Vec<Object<SqlParameter<'a>>>>>,
    pub(crate) include_result_metadata: Option<bool>,
    pub(crate) continue_after_timeout: Option<bool>,
    pub(crate) format_records_as: Option<String>,
    pub(crate) result_set_options: Option<Object<ResultSetOptions>>,
}

#[derive(Debug, Default, Clone, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct ResultSetOptions {
    pub(crate) decimal_return_type: Option<String>,
    pub(crate) long_return_type: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct SqlParameter<'a> {
    #[serde(borrow)]
    pub(crate) name: Option<Text<'a>>,
    #[serde(borrow)]
    pub(crate) value: Option<Object<FieldUnion<'a>>>,
    pub(crate) type_hint: Option<String>,
}

/// A union: exactly one member counts.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct FieldUnion<'a> {
    pub(crate) is_null: Option<bool>,
    pub(crate) boolean_value: Option<bool>,
    pub(crate) long_value: Option<i64>,
    pub(crate) double_value: Option<Double>,
    #[serde(borrow)]
    pub(crate) string_value: Option<Text<'a>>,
    #[serde(borrow)]
    pub(crate) blob_value: Option<Text<'a>>,
    pub(crate) array_value: Option<serde::de::IgnoredAny>,
}

/// JSON has no name for the special ones, so that they come as strings.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub(crate) enum Double {
    Number(f64),
    Special(String),
}

/// A text that is borrowed from the body where nothing in it is escaped.
#[derive(Debug, Deserialize)]
#[serde(transparent)]
pub(crate) struct Text<'a>(#[serde(borrow)] pub(crate) Cow<'a, str>);

/// A structure that must be an object. serde also reads one from an array, member by member.
#[derive(Debug)]
pub(crate) struct Object<T>(pub(crate) T);

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
pub(crate) fn read(body: &[u8]) -> Result<Request<'_>, serde_json::Error> {
    if body.is_empty() {
        return Ok(Request::default());
    }
    serde_json::from_slice::<Object<Request<'_>>>(body).map(|request| request.0)
}
