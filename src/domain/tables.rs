//! The tables of `sql/`, which the build script has read.

use aurora_sync_catalog::Catalog;

/// Returns the tables that requests may reach.
pub fn catalog() -> Catalog {
    serde_json::from_str(include_str!(concat!(env!("OUT_DIR"), "/catalog.json")))
        .expect("the build script wrote it with the same types")
}
