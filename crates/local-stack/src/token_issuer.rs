//! An identity provider for the local stack: it signs a token of any claims for whoever asks.

use std::fs::{self, File};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use ephemeral_postgres::process::Child;
use rustix::process::Signal;

use crate::python::Python;

const PROGRAM: &str = include_str!("token_issuer.py");

/// The audience of its tokens.
pub(crate) const AUDIENCE: &str = "aurora-sync";

/// It takes half a second. A minute says that something hangs.
const READY_WITHIN: Duration = Duration::from_mins(1);

/// A running issuer. It ends with its value.
#[derive(Debug)]
pub(crate) struct TokenIssuer {
    url: String,
    _process: Child,
}

impl TokenIssuer {
    /// Starts it on a free port of this machine.
    pub(crate) async fn start(python: &Python, folder: &Path) -> anyhow::Result<Self> {
        let path = folder.join("token-issuer.log");
        let output = File::create(&path).context("cannot write the log of the token issuer")?;
        let errors = output.try_clone().context("cannot write the log of the token issuer")?;
        let mut command = Command::new(python.interpreter());
        command.args(["-c", PROGRAM]).stdout(output).stderr(errors);
        let mut process =
            Child::spawn(command, Signal::TERM).context("cannot start the token issuer")?;
        let started = Instant::now();
        loop {
            let log = fs::read_to_string(&path).unwrap_or_default();
            if let Some((url, _)) = log.split_once('\n')
                && url.starts_with("http://")
            {
                return Ok(Self { url: url.to_owned(), _process: process });
            }
            if process.exit_status()?.is_some() || started.elapsed() > READY_WITHIN {
                bail!("the token issuer did not start: {log}");
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Returns the URL, which is the claim `iss` too.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }
}
