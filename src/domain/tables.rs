//! The tables and migrations of `sql/`, which the build script has read.

use aurora_sync_catalog::{Catalog, Migration};

/// Returns the tables that requests may reach.
pub fn catalog() -> Catalog {
    serde_json::from_str(include_str!(concat!(env!("OUT_DIR"), "/catalog.json")))
        .expect("the build script wrote it with the same types")
}

/// Returns the migrations in their order: the worker's own, then those of the user.
pub fn migrations() -> Vec<Migration> {
    serde_json::from_str(include_str!(concat!(env!("OUT_DIR"), "/migrations.json")))
        .expect("the build script wrote it with the same types")
}
