//! `cargo local package`: builds the functions for Lambda, and lays out a folder from which anybody
//! can deploy them.

use std::path::PathBuf;

use anyhow::Context;
use clap::ValueEnum;
use ephemeral_postgres::signals;

use super::print;
use crate::architecture::Architecture;
use crate::dist::{Zips, lay_out};
use crate::functions::build_for_lambda;
use crate::progress::step;
use crate::{needs, workspace};

/// The options of `cargo local package`.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// The folder to make; the files of an earlier one are replaced
    #[arg(long, value_name = "FOLDER", default_value = "dist")]
    out: PathBuf,
    /// The processors to build for
    #[arg(long, value_name = "NAME", default_value = "arm64")]
    architecture: Choice,
    /// The folder of the SQL files that a deployment applies. Without it, put them into
    /// `functions/arm64/migrate/sql` (or `functions/x86_64/…`) of the made folder, or have none
    #[arg(long, value_name = "FOLDER")]
    sql: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Choice {
    Arm64,
    #[value(name = "x86_64")]
    X86_64,
    Both,
}

impl Choice {
    fn architectures(self) -> &'static [Architecture] {
        match self {
            Self::Arm64 => &[Architecture::Arm64],
            Self::X86_64 => &[Architecture::X86_64],
            Self::Both => &[Architecture::Arm64, Architecture::X86_64],
        }
    }
}

pub async fn run(arguments: Arguments) -> anyhow::Result<()> {
    tokio::select! {
        ended = package(arguments) => ended,
        interrupted = signals::interrupted() => interrupted.context("cannot listen for signals"),
    }
}

async fn package(arguments: Arguments) -> anyhow::Result<()> {
    let root = workspace::root()?;
    let architectures = arguments.architecture.architectures();
    needs::check().await?;
    for architecture in architectures {
        needs::check_target(&root, *architecture).await?;
    }
    let mut programs = Vec::new();
    for architecture in architectures {
        let name = format!("building the functions for {architecture}");
        let building = build_for_lambda(&root, *architecture);
        programs.push((*architecture, step(&name, building).await?));
    }
    lay_out(&arguments.out, &programs, arguments.sql.as_deref(), Zips::Compressed)?;
    print(&format!(
        "{0} holds all that a deployment needs, and a README.md that says how. In short:\n\n  \
         cd {0} && sam deploy{1}",
        arguments.out.display(),
        match arguments.architecture {
            Choice::X86_64 => " --template template-x86_64.yaml",
            Choice::Arm64 | Choice::Both => "",
        }
    ));
    Ok(())
}
