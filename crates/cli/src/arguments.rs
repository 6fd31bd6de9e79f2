//! The command line.

#![allow(clippy::doc_markdown, reason = "the docs are the text of --help")]

pub(crate) mod dead_letters;
pub(crate) mod general;
pub(crate) mod imports;
pub(crate) mod place;
pub(crate) mod studio;
pub(crate) mod writes;

use std::path::PathBuf;
use std::time::Duration;

use clap::{ArgAction, Parser, Subcommand};

/// Works with a deployed aurora-sync
#[derive(Debug, Parser)]
#[command(name = "aurora-sync", version)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Import(Box<Import>),
    Imports(imports::Imports),
    Writes(writes::Writes),
    Tail(writes::Tail),
    #[command(name = "dlq")]
    DeadLetters(dead_letters::DeadLetters),
    Tables(general::Tables),
    Refresh(Refresh),
    Doctor(Doctor),
    Studio(Box<studio::Studio>),
    Use(general::Use),
    Completions(general::Completions),
    Man(general::Man),
}

impl Command {
    /// Returns the account of a command that works with a deployment.
    pub(crate) fn account_mut(&mut self) -> Option<&mut Account> {
        use dead_letters::DeadLettersCommand as Dead;
        use imports::ImportsCommand as Imports;
        use writes::WritesCommand as Writes;
        let place = match self {
            Self::Import(import) => return Some(&mut import.deployment.account),
            Self::Refresh(refresh) => return Some(&mut refresh.account),
            Self::Doctor(doctor) => return Some(&mut doctor.account),
            Self::Studio(studio) => return Some(&mut studio.deployment.account),
            Self::Imports(imports) => match &mut imports.command {
                Imports::List(list) => &mut list.place,
                Imports::Show(show) => &mut show.place,
                Imports::Rejected(rejected) => &mut rejected.place,
                Imports::Cancel(cancel) => &mut cancel.place,
                Imports::Retry(retry) => &mut retry.place,
            },
            Self::Writes(writes) => match &mut writes.command {
                Writes::List(list) => &mut list.place,
                Writes::Show(show) => &mut show.place,
                Writes::Resend(resend) => &mut resend.place,
            },
            Self::Tail(tail) => &mut tail.place,
            Self::DeadLetters(dead) => match &mut dead.command {
                Dead::List(list) => &mut list.place,
                Dead::Show(show) => &mut show.place,
                Dead::Redrive(redrive) => &mut redrive.take.place,
                Dead::Discard(discard) => &mut discard.take.place,
            },
            Self::Tables(tables) => &mut tables.place,
            Self::Use(_) | Self::Completions(_) | Self::Man(_) => return None,
        };
        Some(&mut place.account)
    }
}

/// Check a deployment, and say how to fix what is wrong
#[derive(Debug, clap::Args)]
#[command(after_help = "The checks change nothing, but they wake up a paused database.\n\n\
    Exit status: 0 all is well, 1 something does not work, 2 the command line is wrong, 3 there are \
    warnings. Of the probe: 0 what was tried holds, 1 an experiment failed, 3 an assumption does not \
    hold.")]
pub(crate) struct Doctor {
    /// The function that reads the tables, else $REFRESH_FUNCTION
    #[arg(long, value_name = "NAME")]
    pub(crate) function: Option<String>,
    /// The address of the API, else $API_URL
    #[arg(long, value_name = "URL")]
    pub(crate) api: Option<String>,
    /// Print JSON: a list of check, severity, what, why, help; of the probe: id, assumption,
    /// verdict, seen, relied_on_by, tests
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) probing: Probing,
    #[command(flatten)]
    pub(crate) account: Account,
}

/// The probe.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Probe")]
pub(crate) struct Probing {
    /// Try the assumptions that only a real AWS account can settle, instead of the checks. States
    /// its costs and asks first
    #[arg(long)]
    pub(crate) probe: bool,
    /// Begin without asking
    #[arg(long, requires = "probe")]
    pub(crate) yes: bool,
    /// Leave out what takes a minute
    #[arg(long, requires = "probe")]
    pub(crate) quick: bool,
    /// Try these assumptions only
    #[arg(long, requires = "probe", value_name = "ID,ID…", value_delimiter = ',')]
    pub(crate) only: Option<Vec<String>>,
    /// The cluster, else $CLUSTER_ARN
    #[arg(long, requires = "probe", value_name = "ARN")]
    pub(crate) cluster_arn: Option<String>,
    /// The secret of the database's owner, else $SECRET_ARN
    #[arg(long, requires = "probe", value_name = "ARN")]
    pub(crate) secret_arn: Option<String>,
    /// The database, else $DATABASE
    #[arg(long, requires = "probe", value_name = "NAME")]
    pub(crate) database: Option<String>,
}

/// Read the tables of the database again, so that the API knows a schema change at once
#[derive(Debug, clap::Args)]
#[command(
    after_help = "The functions also find a change by themselves: at once for a request that names \
    something new, and within a minute otherwise.\n\n\
    Exit status: 0 the tables were read, 1 they could not be read, 2 the command line is wrong."
)]
pub(crate) struct Refresh {
    /// The function that reads the tables, else $REFRESH_FUNCTION
    #[arg(long, value_name = "NAME")]
    pub(crate) function: Option<String>,
    /// Print JSON: version, stored_before, tables, changes, remarks
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) account: Account,
}

/// Check files, upload them, follow their imports and print the reports
#[derive(Debug, clap::Args)]
#[command(
    after_help = "The table, the options, the header and the first rows are checked before anything is \
    uploaded. A large upload that was interrupted is resumed by the same command.\n\n\
    Examples:\n  \
    aurora-sync import items.csv --table items\n  \
    aurora-sync import june.csv july.csv -t sales --delimiter semicolon --numbers 1.234,5\n  \
    aurora-sync import all.csv.gz -t items --mode replace --dry-run\n  \
    aurora-sync import items.csv -t items --rejected bad.csv   # mend bad.csv, then import it\n\n\
    Exit status: 0 all rows are good, 1 an import failed or could not be followed, \
    2 the command line or a file is wrong and nothing was uploaded, 3 imports completed with rejected rows, \
    130 it was interrupted."
)]
pub(crate) struct Import {
    /// CSV files, compressed (gzip, zstd, bzip2) or not, loaded one after the other; - is standard
    /// input
    #[arg(required = true, value_name = "FILE")]
    pub(crate) files: Vec<PathBuf>,
    /// The table that the rows are for
    #[arg(long, short, value_name = "TABLE", help_heading = "Options")]
    pub(crate) table: String,
    /// The object's name under imports/TABLE/, for one file [default: the name of the file]
    #[arg(long, value_name = "NAME", help_heading = "Options")]
    pub(crate) name: Option<String>,
    /// Upload the files without a check
    #[arg(long, help_heading = "Options")]
    pub(crate) no_check: bool,
    /// Save the rejected rows here, to mend and import again; for one file
    #[arg(long, value_name = "PATH", help_heading = "Options")]
    pub(crate) rejected: Option<PathBuf>,
    /// Print report.json instead of a summary, a line for each file
    #[arg(long, help_heading = "Options")]
    pub(crate) json: bool,
    /// Stop following after this time; the import itself goes on [default: no limit]
    #[arg(long, value_name = "SECONDS", value_parser = seconds, help_heading = "Options")]
    pub(crate) timeout: Option<Duration>,
    #[command(flatten)]
    pub(crate) options: Options,
    #[command(flatten)]
    pub(crate) deployment: Deployment,
}

/// The format of the file, and what becomes of its rows: docs/reference/options.md.
#[derive(Debug, Default, clap::Args)]
pub(crate) struct Options {
    /// upsert, insert, ignore, replace or delete [default: upsert]
    #[arg(long, value_name = "MODE", help_heading = ROWS)]
    pub(crate) mode: Option<String>,
    /// One character, or tab, comma, semicolon, pipe, space [default: comma]
    #[arg(long, value_name = "MARK", help_heading = FORMAT)]
    pub(crate) delimiter: Option<String>,
    /// One character, or none [default: "]
    #[arg(long, value_name = "MARK", help_heading = FORMAT)]
    pub(crate) quote: Option<String>,
    /// The character that takes the next one as it is, within quotes [default: none]
    #[arg(long, value_name = "MARK", help_heading = FORMAT)]
    pub(crate) escape: Option<String>,
    /// Lines that begin with this character are skipped [default: none]
    #[arg(long, value_name = "MARK", help_heading = FORMAT)]
    pub(crate) comment: Option<String>,
    /// Such as utf-8, shift_jis, windows-1252 [default: utf-8, or that of the byte order mark]
    #[arg(long, value_name = "NAME", help_heading = FORMAT)]
    pub(crate) encoding: Option<String>,
    /// The text that is NULL besides an empty field, such as \N [default: none]
    #[arg(long, value_name = "TEXT", help_heading = FORMAT)]
    pub(crate) null: Option<String>,
    /// The first record names the columns, or not [default: true]
    #[arg(long, value_name = "true|false", help_heading = FORMAT)]
    pub(crate) header: Option<String>,
    /// The columns of the fields, separated by commas [default: those of the header]
    #[arg(long, value_name = "NAME,NAME…", help_heading = FORMAT)]
    pub(crate) columns: Option<String>,
    /// Columns that the table does not have: ignore or refuse them [default: refuse]
    #[arg(long, value_name = "ignore|refuse", help_heading = FORMAT)]
    pub(crate) extra_columns: Option<String>,
    /// How numbers are written: plain, 1,234.5 or 1.234,5 [default: plain]
    #[arg(long, value_name = "FORM", help_heading = FORMAT)]
    pub(crate) numbers: Option<String>,
    /// Fail as soon as more rows are rejected: a number, or a percentage such as 5% [default: no
    /// limit]
    #[arg(long, value_name = "LIMIT", help_heading = ROWS)]
    pub(crate) max_rejects: Option<String>,
    /// With mode replace, fail rather than delete more rows: a number, or a percentage [default:
    /// 10%]
    #[arg(long, value_name = "LIMIT", help_heading = ROWS)]
    pub(crate) max_deletes: Option<String>,
    /// All rows or none [default: false]
    #[arg(long, num_args = 0..=1, default_missing_value = "true", value_name = "true|false", action = ArgAction::Set, require_equals = true, help_heading = ROWS)]
    pub(crate) atomic: Option<String>,
    /// Check everything and write nothing [default: false]
    #[arg(long, num_args = 0..=1, default_missing_value = "true", value_name = "true|false", action = ArgAction::Set, require_equals = true, help_heading = ROWS)]
    pub(crate) dry_run: Option<String>,
}

/// The headings of the options of an import. Defaults of the bucket's prefix come before those that
/// are shown.
const FORMAT: &str = "Format of the file";
const ROWS: &str = "What becomes of the rows";

impl Options {
    /// Returns the given options by their documented names.
    pub(crate) fn given(&self) -> Vec<(&'static str, &str)> {
        let options = [
            ("mode", &self.mode),
            ("delimiter", &self.delimiter),
            ("quote", &self.quote),
            ("escape", &self.escape),
            ("comment", &self.comment),
            ("encoding", &self.encoding),
            ("null", &self.null),
            ("header", &self.header),
            ("columns", &self.columns),
            ("extra-columns", &self.extra_columns),
            ("numbers", &self.numbers),
            ("max-rejects", &self.max_rejects),
            ("max-deletes", &self.max_deletes),
            ("atomic", &self.atomic),
            ("dry-run", &self.dry_run),
        ];
        let mut given = Vec::new();
        for (name, value) in options {
            match value.as_deref() {
                Some(value) if name == "delimiter" => given.push((name, delimiter_word(value))),
                Some(value) => given.push((name, value)),
                None => {}
            }
        }
        given
    }
}

/// Blanks at the ends of a header are lost on the way.
fn delimiter_word(text: &str) -> &str {
    match text {
        "\t" | "\\t" => "tab",
        " " => "space",
        other => other,
    }
}

/// Where aurora-sync is deployed. Flags come first, then the outputs of --stack, then the
/// environment.
#[derive(Debug, Default, clap::Args)]
#[command(next_help_heading = "Where")]
pub(crate) struct Deployment {
    /// The uploads bucket, else $UPLOADS_BUCKET
    #[arg(long)]
    pub(crate) bucket: Option<String>,
    /// The results bucket, else $RESULTS_BUCKET
    #[arg(long)]
    pub(crate) results: Option<String>,
    /// The address of the API, else $API_URL
    #[arg(long, value_name = "URL")]
    pub(crate) api: Option<String>,
    #[command(flatten)]
    pub(crate) account: Account,
}

/// The stack, and who asks.
#[derive(Debug, Default, clap::Args)]
#[command(next_help_heading = "Where")]
pub(crate) struct Account {
    /// The CloudFormation stack, whose outputs have the names, else the one that "use" remembers
    #[arg(long, value_name = "NAME")]
    pub(crate) stack: Option<String>,
    /// A profile of ~/.aws/config
    #[arg(long)]
    pub(crate) profile: Option<String>,
    /// The AWS region
    #[arg(long)]
    pub(crate) region: Option<String>,
}

fn seconds(text: &str) -> Result<Duration, String> {
    let seconds = text.parse::<u64>().map_err(|_| "expected a number of seconds".to_owned())?;
    Ok(Duration::from_secs(seconds))
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn options_have_their_documented_names() {
        let line = "aurora-sync import a.csv --table t --delimiter \t --max-rejects 5% --dry-run --header false";
        let Command::Import(import) = Arguments::parse_from(line.split(' ')).command else {
            panic!("the command is import");
        };
        assert_eq!(
            import.options.given(),
            [("delimiter", "tab"), ("header", "false"), ("max-rejects", "5%"), ("dry-run", "true")]
        );
    }
}
