//! The page of `aurora-sync studio` beside the stack, if the command was built.

use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, bail};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};

const STARTS_WITHIN: Duration = Duration::from_secs(30);

/// The running page. It ends when it is dropped.
#[derive(Debug)]
pub(super) struct Page {
    /// The address, with its token.
    pub(super) url: String,
    _process: Child,
}

/// Starts the page, with these variables in its environment. Returns `None` if the command was not
/// built.
///
/// Fails if the command starts and does not say where the page is, and if there is nothing to open.
pub(super) async fn start(
    variables: &[(&'static str, &str)],
    opens: bool,
) -> anyhow::Result<Option<Page>> {
    // Cargo puts all programs of a workspace into one folder.
    let program = std::env::current_exe()?.with_file_name("aurora-sync");
    if !program.exists() {
        if opens {
            bail!(
                "{} is not there: run cargo build --package aurora-sync-cli, or leave out --open",
                program.display()
            );
        }
        return Ok(None);
    }
    let mut command = Command::new(&program);
    command.arg("studio").args((!opens).then_some("--no-open")).envs(variables.iter().copied());
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).kill_on_drop(true);
    let mut process =
        command.spawn().with_context(|| format!("cannot start {}", program.display()))?;
    let output = process.stdout.take().context("the page has no output")?;
    let mut lines = BufReader::new(output).lines();
    let first = tokio::time::timeout(STARTS_WITHIN, lines.next_line()).await;
    match first.ok().and_then(Result::ok).flatten() {
        Some(url) => Ok(Some(Page { url, _process: process })),
        // A command of an older version does not know the page.
        None if !opens => Ok(None),
        None => bail!("{} studio does not say where its page is", program.display()),
    }
}
