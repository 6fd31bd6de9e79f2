//! The programs that are measured: built with optimization, and with the benchmark's tables in
//! them.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, bail};
use local_stack::{BINARIES, Functions, workspace};

/// The variable by which build.rs gets the folder of tables.
const SQL_VARIABLE: &str = "AURORA_SYNC_SQL";

/// Builds the functions and `cargo local` itself, so that a slow Data API server does not limit the
/// figures. Returns the folder of the programs.
pub fn build() -> anyhow::Result<PathBuf> {
    let root = workspace::root();
    let sql = assemble_sql(&root)?;
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command
        .current_dir(&root)
        .args(["build", "--profile", "measured", "--package", "aurora-sync", "--bins"])
        .args(["--package", "local"])
        .env(SQL_VARIABLE, &sql);
    for name in cargos_own_variables() {
        command.env_remove(name);
    }
    let status = command.status().context("cannot run cargo")?;
    if !status.success() {
        bail!("cargo could not build the programs; its messages are above");
    }
    Ok(target_folder(&root).join("measured"))
}

pub(crate) fn target_folder(root: &Path) -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), PathBuf::from)
}

/// Returns the functions in a folder of cargo.
pub fn beside(folder: &Path) -> anyhow::Result<Functions> {
    let path = |name: &str| {
        let path = folder.join(name);
        if path.exists() { Ok(path) } else { bail!("there is no {}", path.display()) }
    };
    let [enqueue, apply, import, lookup, migrate, prune] = BINARIES.map(path);
    Ok(Functions {
        enqueue: enqueue?,
        apply: apply?,
        import: import?,
        lookup: lookup?,
        migrate: migrate?,
        prune: prune?,
    })
}

/// Returns the variables that `cargo run` sets for the program that it runs: to build scripts they
/// would look like a change.
fn cargos_own_variables() -> Vec<OsString> {
    let is_own = |name: &str| name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_");
    let names = std::env::vars_os().map(|(name, _)| name);
    names.filter(|name| name.to_str().is_some_and(is_own)).collect()
}

/// Copies `sql/` and the benchmark's tables into the ignored folder. Writes only files that have
/// changed, because cargo looks at the time of a file.
pub(crate) fn assemble_sql(root: &Path) -> anyhow::Result<PathBuf> {
    let target = workspace::local_folder()?.join("bench-sql");
    fs::create_dir_all(target.join("sync")).context("cannot make the folder of tables")?;
    let mut copies = Vec::new();
    for (from, to) in [
        ("sql", target.clone()),
        ("sql/sync", target.join("sync")),
        ("crates/bench/sql", target.clone()),
    ] {
        for entry in fs::read_dir(root.join(from)).with_context(|| format!("cannot read {from}"))? {
            let path = entry?.path();
            let (Some(name), true) = (path.file_name(), path.is_file()) else { continue };
            let content = fs::read(&path)?;
            let copy = to.join(name);
            if fs::read(&copy).ok().as_ref() != Some(&content) {
                fs::write(&copy, content)
                    .with_context(|| format!("cannot write {}", copy.display()))?;
            }
            copies.push(copy);
        }
    }
    for folder in [&target, &target.join("sync")] {
        for entry in fs::read_dir(folder).context("cannot read the folder of tables")? {
            let path = entry?.path();
            if path.is_file() && !copies.contains(&path) {
                fs::remove_file(&path)
                    .with_context(|| format!("cannot remove {}", path.display()))?;
            }
        }
    }
    Ok(target)
}
