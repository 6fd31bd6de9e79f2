//! The command lines of `tables`, `use`, `completions` and `man`.

#![allow(clippy::doc_markdown, reason = "the docs are the text of --help")]

use std::path::PathBuf;

use super::place::{EXIT_OF_READ, Place};

/// List the tables that the API offers, their columns and rights
#[derive(Debug, clap::Args)]
#[command(after_help = EXIT_OF_READ)]
pub(crate) struct Tables {
    /// Show the columns of this table only
    #[arg(value_name = "TABLE")]
    pub(crate) table: Option<String>,
    /// Print JSON: version, catalog_version, tables
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) place: Place,
}

/// Remember a stack, which the other commands use without --stack
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Without a name, prints the stack that is remembered. The other commands use it if \
    neither --stack nor the environment (API_URL) says where aurora-sync is deployed.\n\n\
    Exit status: 0 done, 1 the file could not be read or written, 2 the command line is wrong."
)]
pub(crate) struct Use {
    /// The CloudFormation stack
    #[arg(value_name = "STACK")]
    pub(crate) stack: Option<String>,
    /// Forget the stack
    #[arg(long, conflicts_with = "stack")]
    pub(crate) forget: bool,
    /// Print JSON: stack, file
    #[arg(long)]
    pub(crate) json: bool,
}

/// Print the completions for a shell
#[derive(Debug, clap::Args)]
#[command(
    after_help = "For bash: aurora-sync completions bash > ~/.local/share/bash-completion/completions/aurora-sync"
)]
pub(crate) struct Completions {
    pub(crate) shell: clap_complete::Shell,
}

/// Print the man page, or write those of all commands
#[derive(Debug, clap::Args)]
#[command(after_help = "To read it: aurora-sync man | man -l -")]
pub(crate) struct Man {
    /// Write the pages into this folder
    #[arg(long, value_name = "FOLDER")]
    pub(crate) to: Option<PathBuf>,
}
