//! The programs that `cargo local` needs from the machine, looked for before anything is built.

use std::path::Path;
use std::process::Stdio;

use anyhow::{Context, bail};
use tokio::process::Command;

use crate::architecture::Architecture;

/// Fails if this Python cannot make virtual environments.
const HAS_VENV: &str = "import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 10))";

/// Fails unless Python and a C compiler are there.
pub(crate) async fn check() -> anyhow::Result<()> {
    if !succeeds("python3", &["-c", HAS_VENV]).await {
        bail!(
            "Python 3.10 or newer with its module venv is needed; \
             install it, on Debian and Ubuntu the packages python3 and python3-venv"
        );
    }
    let compiler = std::env::var("CC").unwrap_or_else(|_| "cc".to_owned());
    if !succeeds(&compiler, &["--version"]).await {
        bail!(
            "a C compiler is needed, and {compiler} does not run; install one, on Debian and \
             Ubuntu the package gcc, on macOS with xcode-select --install, or set CC"
        );
    }
    Ok(())
}

/// Fails unless the toolchain of this checkout can compile for an architecture.
pub(crate) async fn check_target(root: &Path, architecture: Architecture) -> anyhow::Result<()> {
    let target = architecture.target();
    let mut rustc = Command::new("rustc");
    // The checkout names its toolchain.
    rustc.current_dir(root).args(["--print", "target-libdir", "--target", target]);
    rustc.kill_on_drop(true);
    let output = rustc.output().await.context("cannot run rustc")?;
    let folder = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    if !output.status.success() || !Path::new(&folder).is_dir() {
        bail!("Rust's target for {architecture} is missing; run `rustup target add {target}`");
    }
    Ok(())
}

async fn succeeds(program: &str, arguments: &[&str]) -> bool {
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.kill_on_drop(true).status().await.is_ok_and(|status| status.success())
}
