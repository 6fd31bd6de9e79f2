//! Tables, columns and migrations, as data.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::identifier::quote_identifier;
use crate::types::ColumnType;

/// The content of `sql/`: the tables that requests may reach, and the migrations that make them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Schema {
    pub catalog: Catalog,
    pub migrations: Vec<Migration>,
}

/// The tables that requests may reach. Nothing else is reachable.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Catalog {
    tables: Vec<Table>,
}

impl Catalog {
    /// A catalog of these tables, in the order in which their DDL creates them.
    pub fn new(tables: Vec<Table>) -> Self {
        Self { tables }
    }

    /// The table that is reachable under this name (see [`Table::path`]).
    pub fn table(&self, path: &str) -> Option<&Table> {
        self.tables.iter().find(|table| table.path() == path)
    }

    pub fn tables(&self) -> &[Table] {
        &self.tables
    }
}

/// One table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Table {
    /// The schema as the DDL names it, folded; `None` where the DDL leaves it to the search path.
    pub schema: Option<String>,
    /// The name as PostgreSQL keeps it: folded to lower case unless quoted.
    pub name: String,
    /// The columns in the order of the DDL.
    pub columns: Vec<Column>,
    /// Names of the primary key's columns, in the key's order; empty where there is none.
    pub primary_key: Vec<String>,
    /// The foreign keys to tables of the catalog.
    pub foreign_keys: Vec<ForeignKey>,
    /// True if rows with different keys can exclude each other: a unique index or constraint
    /// besides the primary key, or an exclusion constraint.
    pub rows_exclude: bool,
    /// True if the database does more with a row than to check and store it, or may not do what it
    /// is told: a trigger, a rule, a row policy, a generated column, partitions, a table that
    /// inherits from this one.
    pub has_row_logic: bool,
    /// The column of which a write must hold a greater value than the row does (`@sync:version`).
    pub version_column: Option<String>,
    pub access: Access,
}

/// The permissions of requests on a table or a column: all, unless a comment in the DDL says
/// otherwise.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Access {
    /// `@sync:no-read`: no look-up returns it, filters by it, or sorts by it.
    pub no_read: bool,
    /// `@sync:no-write`: no write may name it.
    pub no_write: bool,
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
    /// front where that is neither left out nor `public`.
    pub fn path(&self) -> String {
        path(self.schema.as_deref(), &self.name)
    }

    /// The name in SQL, quoted, with its schema where the DDL gives one.
    pub fn sql_name(&self) -> String {
        match &self.schema {
            None => quote_identifier(&self.name),
            Some(schema) => {
                format!("{}.{}", quote_identifier(schema), quote_identifier(&self.name))
            }
        }
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

    /// Returns whether look-ups may read the table.
    pub fn is_readable(&self) -> bool {
        !self.access.no_read
    }

    /// Returns whether writes and imports may change the table.
    pub fn is_writable(&self) -> bool {
        !self.access.no_write
    }

    pub fn version_column(&self) -> Option<&Column> {
        self.column(self.version_column.as_deref()?)
    }
}

/// One column.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Column {
    /// The name as PostgreSQL keeps it.
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
    /// True if texts that differ can be one value to the database: by a collation of the user's
    /// own, or by the type (`bpchar` without a length, `name`).
    pub has_own_equality: bool,
    /// The number of digits of a second's fraction that a time or timestamp, or each one of an
    /// array, keeps, where that is declared.
    pub fraction_digits: Option<u8>,
    pub access: Access,
}

impl Column {
    /// Returns whether an insert must name this column.
    pub fn is_required(&self) -> bool {
        !self.nullable && self.when_absent == WhenAbsent::Null
    }

    /// Returns whether a write may name this column at all.
    pub fn is_writable(&self) -> bool {
        !self.access.no_write && !self.is_generated()
    }

    /// Returns whether the database makes all of its values.
    pub fn is_generated(&self) -> bool {
        matches!(self.when_absent, WhenAbsent::Generated | WhenAbsent::AlwaysIdentity)
    }

    /// Returns whether look-ups may read, filter by and sort by this column.
    pub fn is_readable(&self) -> bool {
        !self.access.no_read
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

/// One file of `sql/`, cut into the statements that the Data API takes one a call.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Migration {
    /// The path below `sql/`, such as `0001_staff.sql` or `sync/0001_ledger.sql`.
    pub name: String,
    /// SHA-256 of the file's bytes, in hexadecimal.
    pub checksum: String,
    pub statements: Vec<Statement>,
}

/// One SQL statement of a migration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Statement {
    /// The line of the file on which it begins, from 1.
    pub line: usize,
    /// The text without the closing semicolon, safe for the Data API's placeholder scanner.
    pub sql: String,
}

/// Returns the name of a table in URLs, S3 keys and the ledger.
pub(crate) fn path(schema: Option<&str>, name: &str) -> String {
    match schema {
        None | Some("public") => name.to_owned(),
        Some(schema) => format!("{schema}.{name}"),
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.path())
    }
}
