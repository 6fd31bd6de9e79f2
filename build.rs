//! Reads `sql/` when the functions are built: a table that the catalog cannot hold stops the build.

use std::path::PathBuf;
use std::{env, fs};

use anyhow::Context;
use aurora_sync_catalog::ddl;

fn main() -> anyhow::Result<()> {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-env-changed=AURORA_SYNC_SQL");
    // Another folder for other tables: those of the benchmark.
    let sql = env::var_os("AURORA_SYNC_SQL").map_or_else(|| PathBuf::from("sql"), PathBuf::from);
    println!("cargo::rerun-if-changed={}", sql.display());
    let schema = match ddl::read_dir(&sql) {
        Ok(schema) => schema,
        Err(error) => {
            println!("cargo::error={error}");
            return Ok(());
        }
    };
    let out = PathBuf::from(env::var_os("OUT_DIR").context("cargo sets OUT_DIR")?);
    fs::write(out.join("catalog.json"), serde_json::to_vec(&schema.catalog)?)?;
    Ok(())
}
