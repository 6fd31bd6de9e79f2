//! The exit status of each command.

use std::fmt;
use std::process::ExitCode;

use crate::commands::output::printable;
use crate::progress::error_line;

/// The outcome of a command, or of a part of it. The worst part decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Outcome {
    Good,
    /// Everything was done, and something needs attention: rejected rows, or warnings.
    Attention,
    Failed,
    /// The command line is wrong: nothing was begun.
    Usage,
    /// The user interrupted it.
    Interrupted,
}

impl From<Outcome> for ExitCode {
    fn from(outcome: Outcome) -> Self {
        Self::from(match outcome {
            Outcome::Good => 0,
            Outcome::Failed => 1,
            Outcome::Usage => 2,
            Outcome::Attention => 3,
            // 128 and the number of SIGINT, as shells have it.
            Outcome::Interrupted => 130,
        })
    }
}

/// An error of a command line that is wrong or incomplete.
#[derive(Debug)]
pub(crate) struct WrongUsage(pub(crate) String);

impl fmt::Display for WrongUsage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for WrongUsage {}

/// Prints the error of a command that failed, by its command line if it is a [`WrongUsage`].
pub(crate) fn failed(error: &anyhow::Error) -> Outcome {
    print(error);
    if error.is::<WrongUsage>() { Outcome::Usage } else { Outcome::Failed }
}

/// Prints the error of a command line that is wrong.
pub(crate) fn wrong_usage(error: &anyhow::Error) -> Outcome {
    print(error);
    Outcome::Usage
}

/// Prints an error, which can hold texts of the database.
fn print(error: &anyhow::Error) {
    error_line(&format!("error: {}", printable(&format!("{error:#}"))));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_of_all_files_is_the_outcome() {
        assert!(Outcome::Failed > Outcome::Attention && Outcome::Attention > Outcome::Good);
    }

    #[test]
    fn an_error_of_the_command_line_keeps_its_outcome_in_any_context() {
        let error = anyhow::Error::new(WrongUsage("give --stack NAME".to_owned()));
        assert_eq!(failed(&error.context("no queue").context("no dead letter")), Outcome::Usage);
        assert_eq!(failed(&anyhow::anyhow!("no response")), Outcome::Failed);
    }
}
