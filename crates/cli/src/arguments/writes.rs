//! The command lines of `writes` and `tail`.

#![allow(clippy::doc_markdown, reason = "the docs are the text of --help")]

use std::time::Duration;

use clap::Subcommand;
use jiff::Timestamp;

use super::place::{EXIT_OF_READ, Place, age, time};

/// List settled writes, show one, or send rejected ones again
#[derive(Debug, clap::Args)]
pub(crate) struct Writes {
    #[command(subcommand)]
    pub(crate) command: WritesCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum WritesCommand {
    List(List),
    Show(Show),
    Resend(Box<Resend>),
}

/// List settled writes, the newest first
#[derive(Debug, clap::Args)]
#[command(after_help = EXIT_OF_READ)]
pub(crate) struct List {
    /// List at most this number of writes
    #[arg(long, value_name = "NUMBER", default_value_t = 100)]
    pub(crate) limit: u32,
    /// Print a JSON array of the writes, as GET /_sync/writes has them
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) filter: Filter,
    #[command(flatten)]
    pub(crate) place: Place,
}

/// The writes. All conditions must hold.
#[derive(Debug, Clone, Default, clap::Args)]
#[command(next_help_heading = "Which writes")]
pub(crate) struct Filter {
    /// The outcome of the writes
    #[arg(long, value_parser = ["applied", "unchanged", "superseded", "rejected"])]
    pub(crate) outcome: Option<String>,
    /// The table
    #[arg(long, short)]
    pub(crate) table: Option<String>,
    /// The key of the row, as in URLs
    #[arg(long)]
    pub(crate) key: Option<String>,
    /// The rule that rejected them, such as database or row-missing
    #[arg(long)]
    pub(crate) rule: Option<String>,
    /// The principal who sent them
    #[arg(long)]
    pub(crate) caller: Option<String>,
    /// Settled at this time or later: an age such as 30m, 1h or 2d, or a time of RFC 3339
    #[arg(long, value_name = "TIME", value_parser = time)]
    pub(crate) since: Option<Timestamp>,
    /// Settled before this time
    #[arg(long, value_name = "TIME", value_parser = time)]
    pub(crate) until: Option<Timestamp>,
}

impl Filter {
    /// Returns `true` if no condition is given.
    pub(crate) fn is_empty(&self) -> bool {
        let Self { outcome, table, key, rule, caller, since, until } = self;
        [outcome, table, key, rule, caller].iter().all(|condition| condition.is_none())
            && since.is_none()
            && until.is_none()
    }
}

/// Show the status of a write; of a rejected one also the reason and the payload
#[derive(Debug, clap::Args)]
#[command(after_help = EXIT_OF_READ)]
pub(crate) struct Show {
    /// The id of the write, or its status URL
    pub(crate) id: String,
    /// Print JSON, as GET /_sync/writes/ID has it
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) place: Place,
}

/// Send the payloads of rejected writes again, under new ids that name the old ones
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Give ids, or conditions. Conditions skip a write that was sent again before: its \
    payload can be older than the one that was mended. The oldest write is sent first. A write that had \
    a precondition (If-Match) is sent without it. The new id follows from the old one, so that a second \
    resend of the same payload has no second effect: if the new write was rejected too, resend that \
    one.\n\n\
    Exit status: 0 all are applied, unchanged or superseded, 1 a write could not be sent, 2 the \
    command line is wrong, or you did not agree; nothing was sent, 3 some are rejected again, or still \
    pending."
)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of its own")]
pub(crate) struct Resend {
    /// The ids of rejected writes
    #[arg(value_name = "ID")]
    pub(crate) ids: Vec<String>,
    /// Open the row of each write in $VISUAL or $EDITOR first
    #[arg(long)]
    pub(crate) edit: bool,
    /// With conditions: also send the writes that were sent again before
    #[arg(long)]
    pub(crate) again: bool,
    /// Send several without asking
    #[arg(long)]
    pub(crate) yes: bool,
    /// Print a JSON array: resend_of, id, outcome, rule, reason, error
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) filter: Filter,
    #[command(flatten)]
    pub(crate) place: Place,
}

/// Print the writes that settle, as they settle
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Each look reads from the database. So tail stops after a while without a write, \
    and the database can pause. It waits for an API that does not respond, three minutes at most.\n\n\
    Exit status: 0 nothing was settled for a while, 1 the writes could not be read, 2 the command line \
    is wrong."
)]
pub(crate) struct Tail {
    /// Stop after this time without a write
    #[arg(long, value_name = "TIME", value_parser = duration, default_value = "4m")]
    pub(crate) idle: Duration,
    /// Print a line of JSON for each write
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) filter: Filter,
    #[command(flatten)]
    pub(crate) place: Place,
}

fn duration(text: &str) -> Result<Duration, String> {
    let span = age(text).and_then(|span| Duration::try_from(span).ok());
    span.ok_or_else(|| "expected a time such as 30s or 4m".to_owned())
}
