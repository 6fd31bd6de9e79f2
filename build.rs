//! Reads `sql/` when the functions are built: a table that the catalog cannot hold stops the build.

use std::path::{Path, PathBuf};
use std::{env, fs};

use anyhow::Context;
use aurora_sync_catalog::ddl;

fn main() -> anyhow::Result<()> {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=sql");
    let schema = match ddl::read_dir(Path::new("sql")) {
        Ok(schema) => schema,
        Err(error) => {
            println!("cargo::error={error}");
            return Ok(());
        }
    };
    let out = PathBuf::from(env::var_os("OUT_DIR").context("cargo sets OUT_DIR")?);
    fs::write(out.join("catalog.json"), serde_json::to_vec(&schema.catalog)?)?;
    fs::write(out.join("migrations.json"), serde_json::to_vec(&schema.migrations)?)?;
    Ok(())
}
