//! The folders of the repository.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context;

/// A file that only the root of this repository has beside its template.
const MARK: &str = "crates/local-stack/Cargo.toml";

/// Returns the root of the checkout that the current folder is in.
///
/// Looked up at run time: a program that was built in one checkout works in another, and in one
/// that was moved.
pub fn root() -> anyhow::Result<PathBuf> {
    let here = std::env::current_dir().context("cannot find the current folder")?;
    root_above(&here).with_context(|| {
        format!("{} is in no checkout of aurora-sync; go into one and try again", here.display())
    })
}

fn root_above(folder: &Path) -> Option<PathBuf> {
    let is_root =
        |folder: &&Path| folder.join("template.yaml").exists() && folder.join(MARK).exists();
    folder.ancestors().find(is_root).map(Path::to_path_buf)
}

/// Returns `.local/`: installed tools, and the files of running stacks. Git ignores it.
pub fn local_folder() -> anyhow::Result<PathBuf> {
    let folder = root()?.join(".local");
    fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    Ok(folder)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checkout_is_found_from_any_folder_in_it() {
        let checkout = tempfile::tempdir().unwrap();
        let root = checkout.path();
        fs::create_dir_all(root.join("crates/local-stack/src")).unwrap();
        fs::write(root.join("template.yaml"), "").unwrap();
        fs::write(root.join(MARK), "").unwrap();
        assert_eq!(root_above(&root.join("crates/local-stack/src")).as_deref(), Some(root));
        assert_eq!(root_above(root).as_deref(), Some(root));
        assert_eq!(root_above(root.parent().unwrap()), None);
    }
}
