//! The folders of the repository.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context;

/// Returns the root of the workspace.
pub fn root() -> PathBuf {
    let member = Path::new(env!("CARGO_MANIFEST_DIR"));
    member.ancestors().nth(2).unwrap_or(member).to_path_buf()
}

/// Returns `.local/`: installed tools, and the files of running stacks. Git ignores it.
pub fn local_folder() -> anyhow::Result<PathBuf> {
    let folder = root().join(".local");
    fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    Ok(folder)
}
