//! Tables and columns, as data.

use std::fmt;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::identifier::quote_identifier;
use crate::types::ColumnType;

/// The tables and views that requests may reach. Nothing else is reachable.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Catalog {
    tables: Vec<Table>,
    remarks: Vec<Remark>,
}

/// Something that the operator should know about a table that is granted: why the API does not
/// offer it, or offers less than was granted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Remark {
    /// See [`Table::path`].
    pub table: String,
    /// The cause, and what to do.
    pub text: String,
}

impl Catalog {
    pub fn new(tables: Vec<Table>, remarks: Vec<Remark>) -> Self {
        Self { tables, remarks }
    }

    /// The table that is reachable under this name (see [`Table::path`]).
    pub fn table(&self, path: &str) -> Option<&Table> {
        self.tables.iter().find(|table| table.path() == path)
    }

    pub fn tables(&self) -> &[Table] {
        &self.tables
    }

    /// The tables that the API offers: to read, to write or both.
    pub fn offered(&self) -> impl Iterator<Item = &Table> {
        self.tables.iter().filter(|table| table.is_readable() || table.is_writable())
    }

    pub fn remarks(&self) -> &[Remark] {
        &self.remarks
    }

    /// Returns a name of the content: 16 hexadecimal digits, the same for equal catalogs.
    pub fn version(&self) -> String {
        let content = serde_json::to_vec(self).expect("lists of plain data can be serialized");
        let mut version = hex::encode(Sha256::digest(content));
        version.truncate(16);
        version
    }
}

/// One table or view.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Table {
    pub schema: String,
    pub name: String,
    /// The comment in the database, which describes the table in the API's description.
    pub comment: Option<String>,
    /// The columns in the order of the table. Those that are neither readable nor writable are
    /// among them, since they can decide on a write.
    pub columns: Vec<Column>,
    /// Names of the primary key's columns, in the key's order; empty where there is none.
    pub primary_key: Vec<String>,
    /// The foreign keys to tables of the catalog.
    pub foreign_keys: Vec<ForeignKey>,
    /// True if rows with different keys can exclude each other: a unique index or constraint
    /// besides the primary key, or an exclusion constraint.
    pub rows_exclude: bool,
    /// True if the database does more with a row than to check and store it, or may not do what it
    /// is told: a trigger, a rule, row security, a generated column, partitions, a table that
    /// inherits from this one, a check of the whole row.
    pub has_row_logic: bool,
    /// True if row security decides which rows a role sees and changes. It counts as row logic too.
    pub has_row_security: bool,
    /// The column of which a write must hold a greater value than the row does (`@sync:version`).
    pub version_column: Option<String>,
    /// The changes that the writer role may make.
    pub changes: Changes,
    /// The reason why nothing may change the table, whatever is granted.
    pub read_only: Option<ReadOnly>,
}

/// The changes of rows that are permitted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Changes {
    pub insert: bool,
    pub update: bool,
    pub delete: bool,
}

impl Changes {
    pub const ALL: Self = Self { insert: true, update: true, delete: true };
    pub const INSERT: Self = Self { insert: true, update: false, delete: false };
    pub const UPDATE: Self = Self { insert: false, update: true, delete: false };
    pub const UPSERT: Self = Self { insert: true, update: true, delete: false };
    pub const DELETE: Self = Self { insert: false, update: false, delete: true };

    pub fn is_any(self) -> bool {
        self != Self::default()
    }
}

/// The reason why a relation is only read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReadOnly {
    View,
    MaterializedView,
    /// `ON CONFLICT` finds no rows by a key that is checked at the commit (source: PostgreSQL,
    /// "INSERT").
    DeferrableKey,
}

impl fmt::Display for ReadOnly {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::View => "it is a view",
            Self::MaterializedView => "it is a materialized view",
            Self::DeferrableKey => {
                "its primary key is DEFERRABLE, and PostgreSQL has no ON CONFLICT for such a key"
            }
        })
    }
}

/// The permissions of the two database roles on a column.
#[expect(clippy::struct_excessive_bools, reason = "the permissions do not depend on each other")]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Access {
    /// The reader may SELECT it: look-ups return it, filter by it, and sort by it.
    pub read: bool,
    /// The writer may SELECT it: a write can compare it.
    pub select: bool,
    /// The writer may INSERT and SELECT it.
    pub insert: bool,
    /// The writer may UPDATE and SELECT it.
    pub update: bool,
}

impl Access {
    pub const ALL: Self = Self { read: true, select: true, insert: true, update: true };
    pub const NONE: Self = Self { read: false, select: false, insert: false, update: false };
}

/// A foreign key to a table of the catalog.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ForeignKey {
    pub columns: Vec<String>,
    /// The other table, by [`Table::path`].
    pub parent: String,
    /// The other table's columns, in the order of `columns`.
    pub parent_columns: Vec<String>,
}

impl Table {
    /// Returns whether rows of the table refer to other rows of it.
    pub fn references_itself(&self) -> bool {
        self.foreign_keys.iter().any(|key| key.parent == self.path())
    }

    /// The name in URLs, in S3 keys and in the ledger: the table's own name, with its schema in
    /// front unless that is `public`.
    pub fn path(&self) -> String {
        path(&self.schema, &self.name)
    }

    /// The name in SQL, quoted, with its schema.
    pub fn sql_name(&self) -> String {
        format!("{}.{}", quote_identifier(&self.schema), quote_identifier(&self.name))
    }

    pub fn column(&self, name: &str) -> Option<&Column> {
        self.columns.iter().find(|column| column.name == name)
    }

    /// The primary key's columns, in the key's order.
    pub fn key_columns(&self) -> impl Iterator<Item = &Column> {
        self.primary_key.iter().filter_map(|name| self.column(name))
    }

    pub fn is_key(&self, column: &Column) -> bool {
        self.primary_key.contains(&column.name)
    }

    /// Returns whether look-ups may read the table: at least one column, and the whole primary key,
    /// by which rows are found and put in order.
    pub fn is_readable(&self) -> bool {
        self.columns.iter().any(Column::is_readable) && self.key_columns().all(Column::is_readable)
    }

    /// Returns the columns that look-ups return.
    pub fn readable_columns(&self) -> impl Iterator<Item = &Column> {
        self.columns.iter().filter(|column| column.is_readable())
    }

    /// Returns whether a write can compare the row that look-ups return.
    pub fn is_comparable(&self) -> bool {
        self.is_readable() && self.readable_columns().all(|column| column.access.select)
    }

    /// Returns whether a write can return the key that the database has made. Row security refuses
    /// to insert and return a row that the writer may insert and not see.
    pub fn returns_key(&self) -> bool {
        !self.has_row_security
            && !self.primary_key.is_empty()
            && self.key_columns().all(|column| column.access.select)
    }

    /// Returns whether writes and imports may change the table in any way.
    pub fn is_writable(&self) -> bool {
        self.read_only.is_none() && self.changes.is_any()
    }

    /// Returns whether all of these changes are permitted.
    pub fn permits(&self, changes: Changes) -> bool {
        let Changes { insert, update, delete } = self.changes;
        self.read_only.is_none()
            && (insert || !changes.insert)
            && (update || !changes.update)
            && (delete || !changes.delete)
    }

    /// Returns whether a write of these changes may name the column, apart from the key of a row
    /// that exists, which only names the row.
    pub fn accepts(&self, column: &Column, changes: Changes) -> bool {
        let Access { insert, update, .. } = column.access;
        !column.is_generated()
            && (insert || !changes.insert)
            && (update || !changes.update || self.is_key(column))
    }

    pub fn version_column(&self) -> Option<&Column> {
        self.column(self.version_column.as_deref()?)
    }
}

/// One column.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Column {
    pub name: String,
    #[serde(rename = "type")]
    pub column_type: ColumnType,
    /// True if NULL is allowed (false for `NOT NULL` and for columns of the primary key).
    pub nullable: bool,
    /// The value that PostgreSQL puts there when a write does not name the column.
    pub when_absent: WhenAbsent,
    /// True if anything but its type and `NOT NULL` decides which values the column takes: a
    /// constraint, a domain, or an index, which may refuse a value that is too large or that its
    /// expression fails at.
    pub has_rules: bool,
    /// True if texts that differ can be one value to the database: by a nondeterministic
    /// collation, or by the type (`bpchar` without a length, `name`).
    pub has_own_equality: bool,
    /// The number of digits of a second's fraction that a time or timestamp, or each one of an
    /// array, keeps, where that is declared.
    pub fraction_digits: Option<u8>,
    /// The comment in the database, which describes the column in the API's description.
    pub comment: Option<String>,
    pub access: Access,
}

impl Column {
    /// Returns whether an insert must name this column.
    pub fn is_required(&self) -> bool {
        !self.nullable && self.when_absent == WhenAbsent::Null
    }

    /// Returns whether a write may name this column at all.
    pub fn is_writable(&self) -> bool {
        (self.access.insert || self.access.update) && !self.is_generated()
    }

    /// Returns whether the database makes all of its values.
    pub fn is_generated(&self) -> bool {
        matches!(self.when_absent, WhenAbsent::Generated | WhenAbsent::AlwaysIdentity)
    }

    /// Returns whether the API shows the column at all.
    pub fn is_offered(&self) -> bool {
        self.is_readable() || self.is_writable()
    }

    /// Returns whether look-ups may read, filter by and sort by this column.
    pub fn is_readable(&self) -> bool {
        self.access.read
    }
}

/// The value of a column after an insert that does not name it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WhenAbsent {
    /// NULL, which fails where the column is `NOT NULL`.
    Null,
    /// Its `DEFAULT`, the next number of a `serial`, or of an identity `BY DEFAULT`.
    Default,
    /// The next number of an identity `GENERATED ALWAYS`: a write may not name it.
    AlwaysIdentity,
    /// A `GENERATED ALWAYS AS (…)` expression: a write may not name it.
    Generated,
}

/// Returns the name of a table in URLs, S3 keys and the ledger.
pub(crate) fn path(schema: &str, name: &str) -> String {
    match schema {
        "public" => name.to_owned(),
        schema => format!("{schema}.{name}"),
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.path())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// If this fails, the stored form has changed: give it another key (`CATALOG_KEY`), since
    /// functions of both versions run during a deployment.
    #[test]
    fn the_stored_form_of_a_catalog_is_the_one_of_its_key() {
        let stored = r#"{"tables":[{"schema":"public","name":"a","comment":null,"columns":[{"name":"id","type":{"char":{"length":4}},"nullable":false,"when_absent":"null","has_rules":false,"has_own_equality":false,"fraction_digits":null,"comment":null,"access":{"read":true,"select":true,"insert":true,"update":true}}],"primary_key":["id"],"foreign_keys":[],"rows_exclude":false,"has_row_logic":false,"has_row_security":false,"version_column":null,"changes":{"insert":true,"update":true,"delete":true},"read_only":null}],"remarks":[]}"#;
        let id = Column::new("id", ColumnType::Char { length: 4 });
        let columns = vec![Column { nullable: false, ..id }];
        let table = Table { primary_key: vec!["id".to_owned()], ..Table::new("a", columns) };
        let catalog = Catalog::new(vec![table], Vec::new());
        assert_eq!(serde_json::to_string(&catalog).unwrap(), stored);
        assert_eq!(serde_json::from_str::<Catalog>(stored).unwrap(), catalog);
    }
}
