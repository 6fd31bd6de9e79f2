//! The programs that are measured: built with optimization.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, bail};
use local_stack::{BINARIES, Functions, workspace};

/// Builds the functions and `cargo local` itself, so that a slow Data API server does not limit the
/// figures. Returns the folder of the programs.
pub fn build() -> anyhow::Result<PathBuf> {
    let root = workspace::root()?;
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command
        .current_dir(&root)
        .args(["build", "--profile", "measured", "--package", "aurora-sync", "--bins"])
        .args(["--package", "local"]);
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
    let [enqueue, apply, import, lookup, migrate, prune, refresh] = BINARIES.map(path);
    Ok(Functions {
        enqueue: enqueue?,
        apply: apply?,
        import: import?,
        lookup: lookup?,
        migrate: migrate?,
        prune: prune?,
        refresh: refresh?,
    })
}

/// Returns the variables that `cargo run` sets for the program that it runs: to build scripts they
/// would look like a change.
fn cargos_own_variables() -> Vec<OsString> {
    let is_own = |name: &str| name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_");
    let names = std::env::vars_os().map(|(name, _)| name);
    names.filter(|name| name.to_str().is_some_and(is_own)).collect()
}
