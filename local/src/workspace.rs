//! Where the project's own files are, and the ignored folder for what is made from them.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::Context;

/// The root of the workspace.
pub fn root() -> PathBuf {
    let member = Path::new(env!("CARGO_MANIFEST_DIR"));
    member.parent().unwrap_or(member).to_path_buf()
}

/// `.local/`: tools that were installed, and the files of what runs. Git ignores it.
pub fn local_folder() -> anyhow::Result<PathBuf> {
    let folder = root().join(".local");
    fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    Ok(folder)
}

/// A folder for one run; removed when it is dropped, or by a later run where we are killed.
#[derive(Debug)]
pub struct RunFolder(PathBuf);

impl RunFolder {
    /// A new folder under `base`, after those of dead processes are swept.
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
        // What is left is swept by a later run.
        drop(fs::remove_dir_all(&self.0));
    }
}

fn sweep(runs: &Path) {
    let Ok(entries) = fs::read_dir(runs) else { return };
    for entry in entries.flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let pid = name.split('-').next().and_then(|pid| pid.parse().ok());
        let pid = pid.and_then(rustix::process::Pid::from_raw);
        if pid.is_some_and(|pid| rustix::process::test_kill_process(pid).is_err()) {
            drop(fs::remove_dir_all(entry.path()));
        }
    }
}
