//! The five operations by their names: in paths, in the service model, in rules.
//!
//! Pure.

/// An operation of the API.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    Execute,
    BatchExecute,
    Begin,
    Commit,
    Rollback,
}

impl Operation {
    pub(crate) fn of_path(path: &str) -> Option<Self> {
        Some(match path {
            "/Execute" => Self::Execute,
            "/BatchExecute" => Self::BatchExecute,
            "/BeginTransaction" => Self::Begin,
            "/CommitTransaction" => Self::Commit,
            "/RollbackTransaction" => Self::Rollback,
            _ => return None,
        })
    }

    /// Returns its name in the service model.
    pub fn name(self) -> &'static str {
        match self {
            Self::Execute => "ExecuteStatement",
            Self::BatchExecute => "BatchExecuteStatement",
            Self::Begin => "BeginTransaction",
            Self::Commit => "CommitTransaction",
            Self::Rollback => "RollbackTransaction",
        }
    }

    /// Returns its name in the rules of faults.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Execute => "execute",
            Self::BatchExecute => "batch",
            Self::Begin => "begin",
            Self::Commit => "commit",
            Self::Rollback => "rollback",
        }
    }

    pub(crate) fn of_word(word: &str) -> Option<Self> {
        [Self::Execute, Self::BatchExecute, Self::Begin, Self::Commit, Self::Rollback]
            .into_iter()
            .find(|operation| operation.word() == word)
    }

    /// Returns whether a paused database wakes up for it.
    pub(crate) fn starts_work(self) -> bool {
        matches!(self, Self::Execute | Self::BatchExecute | Self::Begin)
    }
}
