//! Names as PostgreSQL keeps them.

use sqlparser::ast::{Ident, ObjectName, ObjectNamePart};

/// PostgreSQL cuts longer names (`NAMEDATALEN - 1`).
const NAME_BYTES_MAX: usize = 63;

/// A name as PostgreSQL keeps it, with its schema where the DDL gives one.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Name {
    pub(super) schema: Option<String>,
    pub(super) name: String,
}

impl Name {
    pub(super) fn of(name: &ObjectName) -> Self {
        let mut parts = name.0.iter().rev().filter_map(ObjectNamePart::as_ident).map(fold);
        let name = parts.next().unwrap_or_default();
        Self { schema: parts.next(), name }
    }

    /// Returns whether both can mean one table: an unqualified name means the one in `public`.
    pub(super) fn means(&self, schema: Option<&str>, name: &str) -> bool {
        let schema_or_public = |schema: Option<&str>| schema.unwrap_or("public").to_owned();
        self.name == name && schema_or_public(self.schema.as_deref()) == schema_or_public(schema)
    }
}

/// A name folded to lower case unless quoted, and cut to PostgreSQL's length.
pub(super) fn fold(ident: &Ident) -> String {
    let mut name = match ident.quote_style {
        // The tokenizer leaves doubled quotes as they are.
        Some(_) => ident.value.replace("\"\"", "\""),
        None => ident.value.to_lowercase(),
    };
    while name.len() > NAME_BYTES_MAX {
        name.pop();
    }
    name
}
