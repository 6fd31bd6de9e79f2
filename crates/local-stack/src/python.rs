//! Virtual environments in `.local/`: that of the AWS emulator and the AWS command line, and those
//! of others.
//!
//! Installs each once, from pinned requirements; never touches another Python installation.

use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, bail};
use ephemeral_postgres::process::Child;
use rustix::process::Signal;

use crate::progress::step;
use crate::workspace;

const EMULATOR: Kit = Kit {
    name: "python",
    contents: "the AWS emulator",
    file: "crates/local-stack/requirements.txt",
    requirements: include_str!("../requirements.txt"),
};
const POLL_EVERY: Duration = Duration::from_millis(100);

/// Python packages that are installed together, in an environment of their own.
#[derive(Debug, Clone, Copy)]
pub struct Kit {
    /// The folder of the environment in `.local/`.
    pub name: &'static str,
    /// The contents, for messages, such as `the AWS emulator`.
    pub contents: &'static str,
    /// The path of the requirements in the repository, for messages.
    pub file: &'static str,
    /// The text of the requirements.
    pub requirements: &'static str,
}

impl Kit {
    /// Installs it where it is missing, and returns the path of its Python.
    pub async fn interpreter(self) -> anyhow::Result<PathBuf> {
        Ok(Python::ensure_kit(&workspace::local_folder()?, self).await?.interpreter())
    }

    /// Installs it where it is missing, and returns the folder of its programs.
    pub async fn bin(self) -> anyhow::Result<PathBuf> {
        Ok(Python::ensure_kit(&workspace::local_folder()?, self).await?.bin())
    }
}

#[derive(Debug, Clone)]
pub(crate) struct Python {
    venv: PathBuf,
}

impl Python {
    /// Installs what is missing, which takes some twenty seconds once. When two processes come at
    /// the same time, the second waits for the first.
    pub(crate) async fn ensure(local: &Path) -> anyhow::Result<Self> {
        Self::ensure_kit(local, EMULATOR).await
    }

    async fn ensure_kit(local: &Path, kit: Kit) -> anyhow::Result<Self> {
        let venv = local.join(kit.name);
        let _lock = lock(&local.join(format!("{}.lock", kit.name)), kit).await?;
        // Written last: a half-made environment is made anew.
        let stamp = venv.join("installed.txt");
        if fs::read_to_string(&stamp).is_ok_and(|installed| installed == kit.requirements) {
            return Ok(Self { venv });
        }
        let name = format!("installing {} into {} (once)", kit.contents, venv.display());
        step(&name, install(local, &venv, kit)).await?;
        fs::write(&stamp, kit.requirements)
            .with_context(|| format!("cannot write {}", stamp.display()))?;
        Ok(Self { venv })
    }

    pub(crate) fn bin(&self) -> PathBuf {
        self.venv.join("bin")
    }

    pub(crate) fn interpreter(&self) -> PathBuf {
        self.bin().join("python")
    }
}

/// Returns the Python of the emulator's environment, which has boto3 and `aws` too.
pub async fn interpreter() -> anyhow::Result<PathBuf> {
    EMULATOR.interpreter().await
}

/// Held until the file is dropped, or its process ends.
async fn lock(path: &Path, kit: Kit) -> anyhow::Result<File> {
    let cannot = || format!("cannot lock {}", path.display());
    let file = File::options().create(true).truncate(false).write(true).open(path);
    let file = file.with_context(cannot)?;
    let mut is_reported = false;
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(TryLockError::Error(error)) => return Err(error).with_context(cannot),
            Err(TryLockError::WouldBlock) if is_reported => {}
            Err(TryLockError::WouldBlock) => {
                tracing::info!("waiting for another process that installs {}", kit.contents);
                is_reported = true;
            }
        }
        tokio::time::sleep(POLL_EVERY).await;
    }
}

async fn install(local: &Path, venv: &Path, kit: Kit) -> anyhow::Result<()> {
    let log = local.join(format!("{}-install.log", kit.name));
    let mut make = Command::new("python3");
    make.args(["-m", "venv", "--clear"]).arg(venv);
    run(make, &log).await.context(
        "cannot make a virtual environment; install Python 3.10 or newer, \
         on Debian and Ubuntu python3 and python3-venv",
    )?;
    let requirements = local.join(format!("{}-requirements.txt", kit.name));
    fs::write(&requirements, kit.requirements)
        .with_context(|| format!("cannot write {}", requirements.display()))?;
    let mut pip = Command::new(venv.join("bin/python"));
    pip.args(["-m", "pip", "install", "--disable-pip-version-check", "--progress-bar=off"])
        // Python compiles what it imports when it imports it, which is a fraction of what comes
        // along.
        .args(["--no-compile", "--requirement"])
        .arg(&requirements);
    let cannot = || format!("cannot install {}; PyPI is needed once", kit.file);
    run(pip, &log).await.with_context(cannot)
}

/// Runs a command to its end, and reports what it installs meanwhile.
async fn run(mut command: Command, log: &Path) -> anyhow::Result<()> {
    let output = File::create(log).with_context(|| format!("cannot write {}", log.display()))?;
    command
        .stdin(Stdio::null())
        .stdout(output.try_clone().context("cannot share a log")?)
        .stderr(output);
    let program = command.get_program().to_string_lossy().into_owned();
    let mut child =
        Child::spawn(command, Signal::TERM).with_context(|| format!("cannot run {program}"))?;
    let mut n_shown = 0;
    loop {
        let status = child.exit_status().with_context(|| format!("cannot wait for {program}"))?;
        let text = fs::read_to_string(log).unwrap_or_default();
        let steps = || text.lines().filter(|line| is_step(line));
        for step in steps().skip(n_shown) {
            // Up to what asked for it, and not every one of a long list.
            let step = step.split(" (from").next().unwrap_or(step);
            tracing::info!("  {}", step.chars().take(60).collect::<String>());
        }
        n_shown = steps().count();
        match status {
            Some(status) if status.success() => return Ok(()),
            Some(status) => bail!("{program} failed ({status}):\n{text}"),
            None => tokio::time::sleep(POLL_EVERY).await,
        }
    }
}

fn is_step(line: &str) -> bool {
    line.starts_with("Collecting ") || line.starts_with("Installing ")
}
