//! The command line of `imports`.

#![allow(clippy::doc_markdown, reason = "the docs are the text of --help")]

use std::path::PathBuf;

use clap::Subcommand;
use jiff::Timestamp;

use super::place::{EXIT_OF_READ, Place, time};

/// List imports, show one, save its rejected rows, cancel one that runs, or load a file again
#[derive(Debug, clap::Args)]
pub(crate) struct Imports {
    #[command(subcommand)]
    pub(crate) command: ImportsCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ImportsCommand {
    List(ImportsList),
    Show(ImportsShow),
    Rejected(ImportsRejected),
    Cancel(ImportsCancel),
    Retry(ImportsRetry),
}

/// List imports, the newest first
#[derive(Debug, clap::Args)]
#[command(after_help = EXIT_OF_READ)]
pub(crate) struct ImportsList {
    /// The table
    #[arg(long, short)]
    pub(crate) table: Option<String>,
    /// The state of the imports
    #[arg(long, value_parser = ["running", "completed", "failed"])]
    pub(crate) state: Option<String>,
    /// Begun at this time or later: an age such as 30m, 1h or 2d, or a time of RFC 3339
    #[arg(long, value_name = "TIME", value_parser = time)]
    pub(crate) since: Option<Timestamp>,
    /// List at most this number of imports
    #[arg(long, value_name = "NUMBER", default_value_t = 100)]
    pub(crate) limit: u32,
    /// Print a JSON array of the imports, as GET /_sync/imports has them
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) place: Place,
}

/// Show an import, its rejected rows by rule, and the first of them
#[derive(Debug, clap::Args)]
#[command(after_help = EXIT_OF_READ)]
pub(crate) struct ImportsShow {
    /// The id of the import
    pub(crate) id: String,
    /// Show at most this number of rejected rows
    #[arg(long, value_name = "NUMBER", default_value_t = 10)]
    pub(crate) rejects: u32,
    /// Print JSON: import, rejected_by_rule, rejects
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) place: Place,
}

/// Save the rejected rows of an import as a file, to correct and import it
#[derive(Debug, clap::Args)]
#[command(
    after_help = "The file is rejected.csv of the import, byte by byte. Its column _error has the reasons, and \
    an import leaves it out.\n\n\
    Exit status: 0 the file is saved, 1 it could not be, 2 the command line is wrong."
)]
pub(crate) struct ImportsRejected {
    /// The id of the import
    pub(crate) id: String,
    /// The file to write
    #[arg(long, value_name = "PATH", default_value = "rejected.csv")]
    pub(crate) to: PathBuf,
    #[command(flatten)]
    pub(crate) place: Place,
}

/// Cancel an import that runs
#[derive(Debug, clap::Args)]
#[command(
    after_help = "The import ends as failed before its next set of rows. The rows that were loaded \
    before stay, and its report counts them.\n\n\
    Exit status: 0 it has ended, 1 it could not be cancelled, 2 the command line is wrong, 3 it is \
    cancelled, and has not ended yet."
)]
pub(crate) struct ImportsCancel {
    /// The id of the import
    pub(crate) id: String,
    /// Print the import as JSON
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) place: Place,
}

/// Load the file of an import that has ended again, with the same options
#[derive(Debug, clap::Args)]
#[command(
    after_help = "The object is copied onto itself, so that S3 notifies of it again. Rows that were \
    loaded before are unchanged in the modes upsert and ignore, rejected as duplicates in the mode insert, \
    and inserted twice if the table has no key.\n\n\
    Exit status: 0 the new import has begun, 1 the file could not be uploaded again, 2 the command line \
    is wrong, 3 the file is uploaded, and its import has not begun yet."
)]
pub(crate) struct ImportsRetry {
    /// The id of the import
    pub(crate) id: String,
    /// Print JSON: retry_of, id
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) place: Place,
}
