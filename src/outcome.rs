//! What became of a write or of a row of a file.
//!
//! Pure. An outcome is not an error: a rejected write is a write that is settled.

/// What became of a write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    Applied,
    Unchanged,
    Rejected(Rejection),
}

/// Why a write or a row is rejected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rejection {
    /// A word that does not change: ours, or `database` where PostgreSQL refused.
    pub rule: String,
    /// In full. May hold values: for those who may read the ledger, not for logs.
    pub reason: String,
    pub sqlstate: Option<String>,
    pub constraint: Option<String>,
    pub column: Option<String>,
}

impl Rejection {
    pub fn by_rule(rule: &str, reason: impl Into<String>) -> Self {
        Self {
            rule: rule.to_owned(),
            reason: reason.into(),
            sqlstate: None,
            constraint: None,
            column: None,
        }
    }
}
