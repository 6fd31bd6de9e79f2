//! The files of the migrations: the worker's own, which are part of the program, and the user's,
//! which are read when the function runs.

use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use sha2::{Digest, Sha256};

use super::error::MigrateError;

/// The worker's own files, in their order. Each statement of them can be repeated.
const OWN: [(&str, &str); 4] = [
    ("sync/0001_ledger.sql", include_str!("../../../sql/sync/0001_ledger.sql")),
    ("sync/0002_settle.sql", include_str!("../../../sql/sync/0002_settle.sql")),
    ("sync/0003_imports.sql", include_str!("../../../sql/sync/0003_imports.sql")),
    ("sync/0004_events.sql", include_str!("../../../sql/sync/0004_events.sql")),
];

/// A file of SQL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct SqlFile {
    /// The path below `sql/`, such as `0001_staff.sql` or `sync/0001_ledger.sql`.
    pub(super) name: String,
    pub(super) text: String,
}

impl SqlFile {
    /// Returns the SHA-256 of the file's bytes, in hexadecimal.
    pub(super) fn checksum(&self) -> String {
        hex::encode(Sha256::digest(self.text.as_bytes()))
    }
}

/// Returns the worker's own files.
pub(super) fn own() -> Vec<SqlFile> {
    OWN.map(|(name, text)| SqlFile { name: name.to_owned(), text: text.to_owned() }).into()
}

/// Reads the user's files, sorted by name. A folder that is missing holds none, and folders inside
/// of it are ignored.
pub(super) fn of_user(folder: &Path) -> Result<Vec<SqlFile>, MigrateError> {
    let unreadable =
        |source| MigrateError::Unreadable { path: folder.display().to_string(), source };
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(unreadable(error)),
    };
    let mut files = Vec::new();
    for entry in entries {
        let path = entry.map_err(unreadable)?.path();
        let Some(name) = path.file_name().and_then(|name| name.to_str()) else { continue };
        if path.is_file() && path.extension().is_some_and(|found| found == "sql") {
            let text = fs::read_to_string(&path).map_err(|source| MigrateError::Unreadable {
                path: path.display().to_string(),
                source,
            })?;
            files.push(SqlFile { name: name.to_owned(), text });
        }
    }
    files.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_of_the_workers_own_schema_is_part_of_the_program() {
        let mut found: Vec<_> = fs::read_dir("sql/sync")
            .unwrap()
            .map(|entry| format!("sync/{}", entry.unwrap().file_name().to_str().unwrap()))
            .collect();
        found.sort();
        assert_eq!(OWN.map(|(name, _)| name).as_slice(), found);
    }

    #[test]
    fn the_users_files_are_sorted_and_other_files_ignored() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path();
        for name in ["0010_b.sql", "0002_a.sql", "README.md"] {
            fs::write(path.join(name), "SELECT 1").unwrap();
        }
        fs::create_dir(path.join("sync")).unwrap();
        fs::write(path.join("sync/0001_ledger.sql"), "SELECT 1").unwrap();
        let names: Vec<_> = of_user(path).unwrap().into_iter().map(|file| file.name).collect();
        assert_eq!(names, ["0002_a.sql", "0010_b.sql"]);
    }

    #[test]
    fn a_missing_folder_holds_no_files() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(of_user(&folder.path().join("sql")).unwrap(), []);
    }

    #[test]
    fn a_file_that_is_not_utf_8_is_named() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("0001_latin.sql"), b"SELECT '\xe9'").unwrap();
        let error = of_user(folder.path()).unwrap_err().to_string();
        assert!(error.contains("0001_latin.sql"), "{error}");
    }
}
