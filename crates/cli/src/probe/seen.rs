//! The results of experiments.
//!
//! Pure.

/// The result of an experiment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Seen {
    Holds(String),
    NotTried(String),
    DoesNotHold(String),
    /// The experiment could not be made.
    Unsettled(String),
}

impl Seen {
    /// Makes the result of an experiment that was made.
    pub(crate) fn new(holds: bool, seen: impl Into<String>) -> Self {
        let seen = seen.into();
        if holds { Self::Holds(seen) } else { Self::DoesNotHold(seen) }
    }

    /// Orders results: those that need a look come last.
    pub(crate) fn rank(&self) -> u8 {
        match self {
            Self::Holds(_) => 0,
            Self::NotTried(_) => 1,
            Self::Unsettled(_) => 2,
            Self::DoesNotHold(_) => 3,
        }
    }

    /// Returns the verdict, as `--json` has it, and the text.
    pub(crate) fn parts(&self) -> (&'static str, &str) {
        match self {
            Self::Holds(text) => ("holds", text),
            Self::NotTried(text) => ("not tried", text),
            Self::DoesNotHold(text) => ("does not hold", text),
            Self::Unsettled(text) => ("unsettled", text),
        }
    }
}
