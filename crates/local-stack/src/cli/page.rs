//! The page of `aurora-sync studio` beside the stack.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use anyhow::Context;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};

use crate::deploy::STACK_NAME;

const STARTS_WITHIN: Duration = Duration::from_secs(30);

/// The running page. It ends when it is dropped.
#[derive(Debug)]
pub(super) struct Page {
    /// The address, with its token.
    pub(super) url: String,
    _process: Child,
}

/// Starts the page of the stack by this program, with these variables in its environment.
pub(super) async fn start(
    program: &Path,
    variables: &[(&'static str, &str)],
    api_url: &str,
    opens: bool,
) -> anyhow::Result<Page> {
    let mut command = Command::new(program);
    // The outputs of the stack have the address of the API on AWS.
    command.args(["studio", "--stack", STACK_NAME, "--api", api_url]);
    command.args((!opens).then_some("--no-open")).envs(variables.iter().copied());
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).kill_on_drop(true);
    let mut process =
        command.spawn().with_context(|| format!("cannot start {}", program.display()))?;
    let output = process.stdout.take().context("the page has no output")?;
    let mut lines = BufReader::new(output).lines();
    let first = tokio::time::timeout(STARTS_WITHIN, lines.next_line()).await;
    let url = first.ok().and_then(Result::ok).flatten();
    let url = url.with_context(|| {
        format!("the page does not start; {} studio says why", program.display())
    })?;
    Ok(Page { url, _process: process })
}
