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

/// Compare aurora-sync with other ways to do the same work
///
/// Builds optimized programs first. The functions, the Data API server, PostgreSQL and the peers
/// run on this machine and share its processors, so only ratios mean something elsewhere.
#[derive(Debug, clap::Args)]
#[expect(clippy::struct_excessive_bools, reason = "they are flags of a command line")]
pub struct Arguments {
    /// Measure these parts only
    #[arg(long, value_name = "NAME", num_args = 1..)]
    only: Vec<Name>,
    /// Measure the smallest sizes in few rounds, which takes minutes
    #[arg(long, conflicts_with = "full")]
    quick: bool,
    /// Also measure the sizes that take hours
    #[arg(long)]
    full: bool,
    /// Write docs/benchmarks.md and docs/costs.md from the latest figures
    #[arg(long)]
    write_docs: bool,
    /// Write the documents and measure nothing
    #[arg(long, conflicts_with_all = ["only", "quick", "full", "programs"])]
    docs_only: bool,
    /// Rounds of each figure
    #[arg(long, value_name = "NUMBER")]
    rounds: Option<usize>,
    /// Rows of each file
    #[arg(long, value_name = "NUMBER", value_delimiter = ',')]
    rows: Vec<u64>,
    /// Measure only scenarios whose names contain these words, such as "wide" or "upsert of new"
    #[arg(long = "scenario", value_name = "WORDS")]
    scenarios: Vec<String>,
    /// Measure aurora-sync and only the ways whose names contain this word, such as "psql"
    #[arg(long, value_name = "WORD")]
    way: Option<String>,
    /// Delay each call of the Data API by this many milliseconds (some 17 on AWS)
    #[arg(long, value_name = "MILLISECONDS")]
    call_delay: Option<u64>,
    /// Set an environment variable of our functions
    #[arg(long = "env", value_name = "NAME=VALUE", value_parser = up::parse_parameter)]
    environment: Vec<(String, String)>,
    /// Measure the programs in this folder without building, and with this program
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
    // The dropped future stops the processes that it has started.
    tokio::select! {
        ended = measure(&arguments, folder) => ended,
        interrupted = signals::interrupted() => interrupted.context("cannot listen for signals"),
    }
}

/// Builds, and replaces this program by its optimized form. Returns only if that fails.
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
