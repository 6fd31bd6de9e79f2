//! The folder for what is installed and for the data of running servers.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::Context;
use rustix::process::{Pid, test_kill_process};

/// Names the folder for what is installed and for the data of running servers. Without it, it is
/// `ephemeral-postgres` in the user's cache folder.
pub const FOLDER_VARIABLE: &str = "EPHEMERAL_POSTGRES_FOLDER";

/// Returns that folder, and makes it where it is not there.
pub(crate) fn base() -> anyhow::Result<PathBuf> {
    let variable =
        |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let folder = match variable(FOLDER_VARIABLE) {
        Some(folder) => folder,
        None => variable("XDG_CACHE_HOME")
            .or_else(|| Some(variable("HOME")?.join(".cache")))
            .unwrap_or_else(std::env::temp_dir)
            .join("ephemeral-postgres"),
    };
    fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    std::path::absolute(&folder).with_context(|| format!("cannot find {}", folder.display()))
}

/// A folder for one run. Dropping it removes it; where the process was killed, a later run does.
#[derive(Debug)]
pub struct RunFolder(PathBuf);

impl RunFolder {
    /// Makes a new folder under `base`, after it has removed those of processes that are gone.
    pub fn new(base: &Path, name: &str) -> anyhow::Result<Self> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let runs = base.join("run");
        fs::create_dir_all(&runs).with_context(|| format!("cannot make {}", runs.display()))?;
        sweep(&runs);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let folder = runs.join(format!("{}-{name}-{count}", std::process::id()));
        fs::create_dir(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
        Ok(Self(folder))
    }

    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for RunFolder {
    fn drop(&mut self) {
        // A later run removes the rest.
        drop(fs::remove_dir_all(&self.0));
    }
}

fn sweep(runs: &Path) {
    let Ok(entries) = fs::read_dir(runs) else { return };
    for entry in entries.flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let pid = name.split('-').next().and_then(|pid| pid.parse().ok());
        let pid = pid.and_then(Pid::from_raw);
        if pid.is_some_and(|pid| test_kill_process(pid).is_err()) {
            drop(fs::remove_dir_all(entry.path()));
        }
    }
}
