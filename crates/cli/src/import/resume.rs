//! Remembers uploads that are not complete, so that the same command uploads only the rest.
//!
//! A small file for each, in the user's folder for state. A file that has changed since, or other
//! options, begin a new upload. S3 removes what is never completed by a rule of the bucket.

use std::env;
use std::fs;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use serde::{Deserialize, Serialize};

use crate::aws::objects::UploadTarget;

/// The identity of an upload: the same file, as it was, to the same object with the same options.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
struct Identity {
    path: PathBuf,
    size_bytes: u64,
    modified_ns: u128,
    part_bytes: u64,
    bucket: String,
    key: String,
    metadata: Vec<(String, String)>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Record {
    of: Identity,
    upload_id: String,
}

/// The place where an upload is remembered.
#[derive(Debug)]
pub(super) struct Memory {
    identity: Identity,
    file: PathBuf,
}

impl Memory {
    /// Returns the place for the upload of a file. `None` if there is none: without a home folder,
    /// or for a file without a time.
    pub(super) fn of(path: &Path, part_bytes: u64, target: &UploadTarget) -> Option<Self> {
        let folder = folder(|name| env::var_os(name).map(PathBuf::from))?;
        Self::within(&folder, path, part_bytes, target)
    }

    fn within(folder: &Path, path: &Path, part_bytes: u64, target: &UploadTarget) -> Option<Self> {
        let found = fs::metadata(path).ok()?;
        let modified = found.modified().ok()?.duration_since(UNIX_EPOCH).ok()?;
        let metadata = target.metadata.iter();
        let identity = Identity {
            path: fs::canonicalize(path).ok()?,
            size_bytes: found.len(),
            modified_ns: modified.as_nanos(),
            part_bytes,
            bucket: target.bucket.clone(),
            key: target.key.clone(),
            metadata: metadata.map(|(name, value)| ((*name).to_owned(), value.clone())).collect(),
        };
        let mut hasher = DefaultHasher::new();
        identity.hash(&mut hasher);
        let file = folder.join(format!("{:016x}.json", hasher.finish()));
        Some(Self { identity, file })
    }

    /// Returns the id of the upload that is not complete.
    pub(super) fn upload_id(&self) -> Option<String> {
        let record: Record = serde_json::from_slice(&fs::read(&self.file).ok()?).ok()?;
        (record.of == self.identity).then_some(record.upload_id)
    }

    /// Remembers an upload. Returns `false` if it cannot be written: then it cannot be resumed.
    pub(super) fn remember(&self, upload_id: &str) -> bool {
        let record = Record { of: self.identity.clone(), upload_id: upload_id.to_owned() };
        let write = || -> std::io::Result<()> {
            fs::create_dir_all(self.file.parent().unwrap_or(&self.file))?;
            fs::write(&self.file, serde_json::to_vec(&record)?)
        };
        write().is_ok()
    }

    /// Forgets the upload.
    pub(super) fn forget(&self) {
        drop(fs::remove_file(&self.file));
    }
}

/// The folder for state of the XDG Base Directory Specification.
fn folder(variable: impl Fn(&str) -> Option<PathBuf>) -> Option<PathBuf> {
    let of = |name| variable(name).filter(|path| path.is_absolute());
    let state = of("XDG_STATE_HOME").or_else(|| Some(of("HOME")?.join(".local/state")))?;
    Some(state.join("aurora-sync").join("uploads"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(mode: &str) -> UploadTarget {
        let metadata = vec![("mode", mode.to_owned())];
        UploadTarget { bucket: "b".into(), key: "imports/t/a.csv".into(), metadata }
    }

    #[test]
    fn an_upload_is_remembered_for_the_same_file_and_options_only() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.csv");
        fs::write(&path, "id\n1\n").unwrap();
        let memory =
            |mode: &str, bytes| Memory::within(folder.path(), &path, bytes, &target(mode)).unwrap();
        assert_eq!(memory("upsert", 5).upload_id(), None);
        assert!(memory("upsert", 5).remember("u1"));
        assert_eq!(memory("upsert", 5).upload_id().as_deref(), Some("u1"));
        assert_eq!(memory("insert", 5).upload_id(), None);
        assert_eq!(memory("upsert", 6).upload_id(), None);
        fs::write(&path, "id\n1\n2\n").unwrap();
        assert_eq!(memory("upsert", 5).upload_id(), None);
        fs::write(&path, "id\n1\n").unwrap();
        memory("upsert", 5).forget();
        assert_eq!(memory("upsert", 5).upload_id(), None);
    }

    #[test]
    fn the_folder_is_that_for_state() {
        let of = |xdg: Option<&str>, home: Option<&str>| {
            folder(|name| if name == "HOME" { home } else { xdg }.map(PathBuf::from))
        };
        assert_eq!(of(Some("/x"), Some("/h")), Some("/x/aurora-sync/uploads".into()));
        assert_eq!(of(None, Some("/h")), Some("/h/.local/state/aurora-sync/uploads".into()));
        assert_eq!(of(Some("x"), None), None);
    }
}
