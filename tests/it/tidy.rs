//! The repository checks: rules of the code, the documents and the template that no compiler holds.

mod layers;
mod twins;
mod wording;

use std::fs;
use std::path::{Path, PathBuf};

/// Returns the files of a folder and its subfolders that have this extension, with their texts.
fn files(folder: impl AsRef<Path>, extension: &str) -> Vec<(PathBuf, String)> {
    let folder = folder.as_ref();
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|found| found == extension) {
                let text = fs::read_to_string(&path).unwrap();
                found.push((path, text));
            }
        }
    }
    assert!(!found.is_empty(), "no .{extension} file in {}", folder.display());
    found.sort();
    found
}

/// Returns the folders of the packages under `crates/`.
fn crates() -> Vec<PathBuf> {
    let entries = fs::read_dir("crates").unwrap().map(|entry| entry.unwrap().path());
    let mut found: Vec<_> = entries.filter(|path| path.join("Cargo.toml").exists()).collect();
    assert!(found.len() > 1);
    found.sort();
    found
}

/// Returns the text without comments and unit tests.
fn code(text: &str) -> String {
    let text = text.split("#[cfg(test)]").next().unwrap();
    text.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n")
}

/// Tells if a file holds unit tests only. Snapshots are tests: they write out the SQL texts of all
/// layers.
fn is_test(path: &Path) -> bool {
    path.ends_with("tests.rs") || path.ends_with("snapshots.rs")
}
