//! The tables as the worker knows them, read from the running database.
//!
//! Owns the description of tables, columns and types ([`Catalog`]), the query that reads them from
//! `pg_catalog` ([`introspection`]), and the comparison of two catalogs ([`drift`]). Everything
//! here is pure: the caller runs the query.

mod identifier;
mod types;
mod catalog;
mod build;
pub mod drift;
pub mod introspection;
#[cfg(feature = "notation")]
pub mod notation;

pub use crate::catalog::{
    Access, Catalog, Changes, Column, ForeignKey, ReadOnly, Remark, Table, WhenAbsent,
};
pub use crate::identifier::quote_identifier;
pub use crate::types::ColumnType;
