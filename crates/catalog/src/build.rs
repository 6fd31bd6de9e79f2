//! Makes tables and columns from little: everything is permitted, and nothing special holds, unless
//! it is said.

use crate::catalog::{Access, Changes, Column, Table, WhenAbsent};
use crate::types::ColumnType;

impl Table {
    /// Makes a table of the schema `public` without a primary key.
    pub fn new(name: &str, columns: Vec<Column>) -> Self {
        Self {
            schema: "public".to_owned(),
            name: name.to_owned(),
            comment: None,
            columns,
            primary_key: Vec::new(),
            foreign_keys: Vec::new(),
            rows_exclude: false,
            has_row_logic: false,
            has_row_security: false,
            version_column: None,
            changes: Changes::ALL,
            read_only: None,
        }
    }
}

impl Column {
    /// Makes a column that takes NULL and has no default.
    pub fn new(name: &str, column_type: ColumnType) -> Self {
        Self {
            name: name.to_owned(),
            column_type,
            nullable: true,
            when_absent: WhenAbsent::Null,
            has_rules: false,
            has_own_equality: false,
            fraction_digits: None,
            comment: None,
            access: Access::ALL,
        }
    }
}
