//! The documents of the query, as it writes them.

use serde::Deserialize;

/// A document that the query of this version does not write.
#[derive(Debug, thiserror::Error)]
#[error("a document of the introspection cannot be read; this is a defect of aurora-sync")]
pub struct InvalidDocument(#[source] serde_json::Error);

#[derive(Debug, Deserialize)]
#[expect(clippy::struct_excessive_bools, reason = "each says something of its own")]
pub(super) struct Relation {
    pub(super) schema: String,
    pub(super) name: String,
    /// `pg_class.relkind`.
    pub(super) kind: char,
    /// False for a materialized view that cannot be read before its first REFRESH.
    pub(super) is_populated: bool,
    pub(super) comment: Option<String>,
    pub(super) reader_reaches_schema: bool,
    pub(super) writer_reaches_schema: bool,
    pub(super) can_delete: bool,
    pub(super) columns: Vec<Column>,
    pub(super) primary_key: Option<PrimaryKey>,
    pub(super) foreign_keys: Vec<ForeignKey>,
    pub(super) rows_exclude: bool,
    pub(super) has_row_logic: bool,
    pub(super) has_row_security: bool,
}

impl Relation {
    pub(super) fn parse(document: &str) -> Result<Self, InvalidDocument> {
        serde_json::from_str(document).map_err(InvalidDocument)
    }
}

#[derive(Debug, Deserialize)]
pub(super) struct PrimaryKey {
    pub(super) columns: Vec<String>,
    pub(super) is_deferrable: bool,
}

#[derive(Debug, Deserialize)]
pub(super) struct ForeignKey {
    pub(super) columns: Vec<String>,
    pub(super) parent_schema: String,
    pub(super) parent: String,
    pub(super) parent_columns: Vec<String>,
}

#[derive(Debug, Deserialize)]
#[expect(clippy::struct_excessive_bools, reason = "each is a column of its own in pg_catalog")]
pub(super) struct Column {
    pub(super) name: String,
    pub(super) type_schema: String,
    /// `pg_type.typname` of the base type of a domain and of the element of an array.
    #[serde(rename = "type")]
    pub(super) type_name: String,
    /// `pg_attribute.atttypmod`, or the domain's; -1 for none.
    pub(super) modifier: i32,
    /// The labels of an enumerated type.
    pub(super) labels: Option<Vec<String>>,
    pub(super) is_array: bool,
    pub(super) is_domain: bool,
    pub(super) is_not_null: bool,
    /// `pg_attribute.attidentity`.
    pub(super) identity: String,
    pub(super) is_generated: bool,
    pub(super) has_default: bool,
    pub(super) unusable_sequence: Option<String>,
    pub(super) has_rules: bool,
    pub(super) has_own_equality: bool,
    pub(super) comment: Option<String>,
    pub(super) reader_selects: bool,
    pub(super) writer_selects: bool,
    pub(super) writer_inserts: bool,
    pub(super) writer_updates: bool,
}
