//! The tables as the worker knows them, read from their DDL when it is built.
//!
//! Owns the description of tables, columns and types ([`Catalog`]) and of migrations
//! ([`Migration`]). Everything here is data: only `ddl::read_dir` does I/O. It reads the `sql/`
//! folder for the build script and the tests (feature `ddl`). The functions carry the result and
//! never parse SQL.

mod identifier;
mod types;
mod catalog;

#[cfg(feature = "ddl")]
pub mod ddl;

pub use crate::catalog::{
    Access, Catalog, Column, ForeignKey, Migration, Schema, Statement, Table, WhenAbsent,
};
pub use crate::identifier::quote_identifier;
pub use crate::types::ColumnType;
