//! The commands on a deployment, but for those that are older than this folder.

pub(crate) mod completions;
pub(crate) mod dead_letters;
pub(crate) mod imports;
pub(crate) mod remember;
pub(crate) mod tables;
pub(crate) mod tail;
pub(crate) mod writes;
mod edit;
pub(crate) mod output;

use std::io::{self, BufRead as _, IsTerminal as _, Write as _};

use anyhow::bail;
use serde::Serialize;

use crate::arguments::place::Place;
use crate::operations::{self, Deployed, NotFound};
use crate::outcome::{Outcome, failed, wrong_usage};
use crate::progress::line;

/// Finds the deployment, or prints why it is not found.
async fn deployed(place: &Place) -> Result<Deployed, Outcome> {
    let account = &place.account;
    let place = operations::Place {
        api_url: place.api.clone(),
        stack: account.stack.clone(),
        profile: account.profile.clone(),
        region: account.region.clone(),
    };
    Deployed::find(&place).await.map_err(|error| match error {
        NotFound::Unknown(error) => wrong_usage(&error),
        NotFound::Failed(error) => failed(&error),
    })
}

/// Prints the outcome of a command, or its error.
fn ended(result: anyhow::Result<Outcome>) -> Outcome {
    result.unwrap_or_else(|error| failed(&error))
}

fn print_json(value: &impl Serialize) -> anyhow::Result<()> {
    line(&serde_json::to_string(value)?);
    Ok(())
}

/// Asks before something that cannot be taken back. Without a terminal, `--yes` must agree.
fn is_agreed(question: &str, is_yes: bool) -> anyhow::Result<bool> {
    if is_yes {
        return Ok(true);
    }
    if !io::stdin().is_terminal() {
        bail!("{question} Nobody can be asked here: give --yes");
    }
    let mut error = io::stderr().lock();
    write!(error, "{question} [y/N] ")?;
    error.flush()?;
    let mut answer = String::new();
    io::stdin().lock().read_line(&mut answer)?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}
