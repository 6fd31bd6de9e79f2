//! The tables and migrations of `sql/`, as the build script read them.

use aurora_sync_catalog::{Catalog, Migration};

/// The tables that requests may reach.
pub fn catalog() -> Catalog {
    serde_json::from_str(include_str!(concat!(env!("OUT_DIR"), "/catalog.json")))
        .expect("the build script wrote it with the same types")
}

/// The migrations, the worker's own first.
pub fn migrations() -> Vec<Migration> {
    serde_json::from_str(include_str!(concat!(env!("OUT_DIR"), "/migrations.json")))
        .expect("the build script wrote it with the same types")
}
