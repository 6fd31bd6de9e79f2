//! The exit status of each command.

use std::process::ExitCode;

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

/// Prints the error of a command that failed.
pub(crate) fn failed(error: &anyhow::Error) -> Outcome {
    error_line(&format!("error: {error:#}"));
    Outcome::Failed
}

/// Prints the error of a command line that is wrong.
pub(crate) fn wrong_usage(error: &anyhow::Error) -> Outcome {
    error_line(&format!("error: {error:#}"));
    Outcome::Usage
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_of_all_files_is_the_outcome() {
        assert!(Outcome::Failed > Outcome::Attention && Outcome::Attention > Outcome::Good);
    }
}
