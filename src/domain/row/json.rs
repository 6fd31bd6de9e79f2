//! JSON objects whose members keep their raw text.
//!
//! Pure.

use std::fmt;

use aurora_sync_catalog::Column;
use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

/// A JSON object, or one bare value, with the raw text of each member. No number becomes a float.
#[derive(Debug)]
pub struct JsonRow<'a> {
    pub(super) members: Vec<(String, &'a RawValue)>,
    /// `true` if the body is the value of the only member, without an object around it.
    pub(super) is_bare: bool,
}

impl<'a> JsonRow<'a> {
    /// Keeps the members of these names only.
    #[must_use]
    pub fn of_columns(mut self, names: &[String]) -> Self {
        self.members.retain(|(name, _)| names.contains(name));
        self
    }

    /// Returns the name of the first member whose value is an object.
    pub fn object(&self) -> Option<&str> {
        let mut members = self.members.iter();
        members.find(|(_, value)| value.get().starts_with('{')).map(|(name, _)| name.as_str())
    }

    /// Makes a row of one column from its bare value.
    pub fn of_value(column: &Column, value: &'a RawValue) -> Self {
        Self { members: vec![(column.name.clone(), value)], is_bare: true }
    }
}

impl<'de> Deserialize<'de> for JsonRow<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Members;

        impl<'de> Visitor<'de> for Members {
            type Value = Vec<(String, &'de RawValue)>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object with a member for each column")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(members)
            }
        }

        deserializer.deserialize_map(Members).map(|members| Self { members, is_bare: false })
    }
}
