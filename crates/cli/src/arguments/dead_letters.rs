//! The command line of `dlq`.

#![allow(clippy::doc_markdown, reason = "the docs are the text of --help")]

use clap::{Subcommand, ValueEnum};

use super::place::Place;

/// Look at the dead-letter queues, and redrive or discard their messages
#[derive(Debug, clap::Args)]
pub(crate) struct DeadLetters {
    #[command(subcommand)]
    pub(crate) command: DeadLettersCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum DeadLettersCommand {
    List(DeadList),
    Show(DeadShow),
    Redrive(DeadTake),
    Discard(DeadDiscard),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum QueueName {
    Writes,
    Imports,
}

/// List the dead letters by cause and table
#[derive(Debug, clap::Args)]
#[command(
    after_help = "The messages stay in their queues. They are hidden from others for a moment. Their \
    causes are read from the database, which wakes it up if it is paused. If no cause is on record, the \
    list says unreadable, unknown-table (the API does not offer the table) or not on record.\n\n\
    Exit status: 0 there is no dead letter, 1 the queues could not be read, 2 the command line is wrong, \
    3 there are dead letters."
)]
pub(crate) struct DeadList {
    /// One queue only
    #[arg(long, value_name = "QUEUE")]
    pub(crate) queue: Option<QueueName>,
    /// Print a JSON array: queue, messages_total, is_partial, causes_error (only if the causes
    /// cannot be read), groups (cause, table, messages, items, oldest_at)
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) place: Place,
}

/// Show the writes and files of dead letters
#[derive(Debug, clap::Args)]
#[command(after_help = "Shows the values of the writes.\n\n\
    Exit status: 0 they are printed, 1 they could not be read, 2 the command line is wrong.")]
pub(crate) struct DeadShow {
    /// Print a JSON array: queue, id, group, sent_at, cause, table, items, unreadable
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) selected: Selected,
    #[command(flatten)]
    pub(crate) place: Place,
}

/// The dead letters. All conditions must hold.
#[derive(Debug, Clone, Default, clap::Args)]
#[command(next_help_heading = "Which dead letters")]
pub(crate) struct Selected {
    /// One queue only
    #[arg(long, value_name = "QUEUE")]
    pub(crate) queue: Option<QueueName>,
    /// Only dead letters whose cause begins with this text, such as unreadable
    #[arg(long, value_name = "TEXT")]
    pub(crate) cause: Option<String>,
    /// One table only
    #[arg(long, short)]
    pub(crate) table: Option<String>,
    /// The ids of messages, or of writes in them
    #[arg(long = "id", value_name = "ID,ID…", value_delimiter = ',')]
    pub(crate) ids: Vec<String>,
}

impl Selected {
    /// Returns `true` if nothing is selected.
    pub(crate) fn is_empty(&self) -> bool {
        let Self { queue, cause, table, ids } = self;
        queue.is_none() && cause.is_none() && table.is_none() && ids.is_empty()
    }
}

/// Send dead letters to their queues again, in the order of each key and with the same ids
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Remove the cause first, else they come back. A write that was applied before has no \
    second effect. A write is not applied over a later one of its key: it is rejected as overtaken, with \
    its payload kept. With --id, a later write of a key can pass an earlier one that stays.\n\n\
    Exit status: 0 they are sent, or none meets the conditions, 1 some could not be sent, and stay, 2 the \
    command line is wrong, or you did not agree; nothing was sent."
)]
pub(crate) struct DeadTake {
    #[command(flatten)]
    pub(crate) take: Take,
}

/// Take dead letters out of their queues for good: their writes are rejected, their imports fail
#[derive(Debug, clap::Args)]
#[command(
    after_help = "A write is settled as rejected with the rule discarded. Its status says so, and its \
    payload is kept: aurora-sync writes resend sends it again. An import ends as failed. A message that \
    apply cannot read settles with the rule unreadable.\n\n\
    The payload of a table that the API does not offer cannot be sent again: save the output of \
    aurora-sync dlq show --json first.\n\n\
    Exit status: 0 they are discarded, or none meets the conditions, 1 some could not be discarded, and \
    stay, 2 the command line is wrong, or you did not agree; nothing was discarded."
)]
pub(crate) struct DeadDiscard {
    #[command(flatten)]
    pub(crate) take: Take,
}

/// The options of redrive and discard.
#[derive(Debug, clap::Args)]
pub(crate) struct Take {
    /// All dead letters, or all that meet the conditions
    #[arg(long)]
    pub(crate) all: bool,
    /// Begin without asking
    #[arg(long)]
    pub(crate) yes: bool,
    /// Print a JSON array: queue, messages, items, unreadable, left
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) selected: Selected,
    #[command(flatten)]
    pub(crate) place: Place,
}
