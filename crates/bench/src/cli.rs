//! `cargo local bench`: measures, prints, and writes the document.

use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use anyhow::Context;

use ephemeral_postgres::signals;
use local_stack::cli::{print, up};
use local_stack::workspace;

use crate::settings::{Name, Scale, Settings};
use crate::{programs, report};

/// Measure aurora-sync beside other ways to do the same
///
/// Builds optimized programs first. Everything runs on this machine: the functions, the Data API server,
/// PostgreSQL and the peers share its processors, so only ratios mean something elsewhere.
#[derive(Debug, clap::Args)]
#[expect(clippy::struct_excessive_bools, reason = "they are flags of a command line")]
pub struct Arguments {
    /// Measure these parts only
    #[arg(long, value_name = "NAME", num_args = 1..)]
    only: Vec<Name>,
    /// The smallest sizes and few rounds: minutes
    #[arg(long, conflicts_with = "full")]
    quick: bool,
    /// Also what takes hours
    #[arg(long)]
    full: bool,
    /// Write docs/benchmarks.md and docs/costs.md of what was measured last
    #[arg(long)]
    write_docs: bool,
    /// The same, and measure nothing
    #[arg(long, conflicts_with_all = ["only", "quick", "full", "programs"])]
    docs_only: bool,
    /// Rounds of each figure
    #[arg(long, value_name = "NUMBER")]
    rounds: Option<usize>,
    /// Rows of each file
    #[arg(long, value_name = "NUMBER", value_delimiter = ',')]
    rows: Vec<u64>,
    /// Only scenarios whose names hold these words, such as "wide" or "upsert of new"
    #[arg(long = "scenario", value_name = "WORDS")]
    scenarios: Vec<String>,
    /// Beside aurora-sync only what holds this word, such as "psql"
    #[arg(long, value_name = "WORD")]
    way: Option<String>,
    /// Milliseconds that each call of the Data API takes longer, as a real one does (some 17)
    #[arg(long, value_name = "MILLISECONDS")]
    call_delay: Option<u64>,
    /// A variable for our functions, as in NAME=VALUE
    #[arg(long = "env", value_name = "NAME=VALUE", value_parser = up::parse_parameter)]
    environment: Vec<(String, String)>,
    /// Measure the programs of this folder as they are, and by this very program
    #[arg(long, value_name = "FOLDER")]
    programs: Option<PathBuf>,
}

pub async fn run(arguments: Arguments) -> anyhow::Result<()> {
    if arguments.docs_only {
        return report::write_docs(&kept()?);
    }
    let Some(folder) = &arguments.programs else {
        return Err(run_measured()?);
    };
    // The one that is dropped stops what it has started.
    tokio::select! {
        ended = measure(&arguments, folder) => ended,
        interrupted = signals::interrupted() => interrupted.context("cannot listen for signals"),
    }
}

/// Builds, and becomes the optimized form of this program. Comes back only with an error.
fn run_measured() -> anyhow::Result<anyhow::Error> {
    tracing::info!("building the programs");
    let folder = programs::build()?;
    let mut command = Command::new(folder.join("local"));
    command.args(std::env::args_os().skip(1)).arg("--programs").arg(&folder);
    let error = command.exec();
    Ok(anyhow::Error::new(error).context("cannot run the optimized program"))
}

async fn measure(arguments: &Arguments, folder: &std::path::Path) -> anyhow::Result<()> {
    let scale = match arguments {
        Arguments { quick: true, .. } => Scale::Quick,
        Arguments { full: true, .. } => Scale::Full,
        _ => Scale::Normal,
    };
    let settings = Settings {
        rounds: arguments.rounds,
        rows: arguments.rows.clone(),
        scenarios: arguments.scenarios.clone(),
        way: arguments.way.clone(),
        environment: arguments.environment.clone(),
        call_delay: arguments.call_delay.map(Duration::from_millis),
        command: command_line(),
        ..Settings::new(scale)
    };
    let names = match arguments.only.as_slice() {
        [] => Name::ALL,
        some => some,
    };
    let keep = kept()?;
    let programs = programs::beside(folder)?;
    crate::run::run(&settings, names, programs, Some(keep.clone()), &mut |text| print(text))
        .await?;
    if arguments.write_docs {
        report::write_docs(&keep)?;
    }
    Ok(())
}

/// Returns the folder of the figures.
fn kept() -> anyhow::Result<PathBuf> {
    Ok(workspace::local_folder()?.join("bench"))
}

/// Returns the command as it was typed.
fn command_line() -> String {
    let words = std::env::args().skip(1).take_while(|word| word != "--programs");
    let words = words.filter(|word| word != "--write-docs");
    let words = words.map(|word| if word.contains(' ') { format!("'{word}'") } else { word });
    format!("cargo local {}", words.collect::<Vec<_>>().join(" "))
}
