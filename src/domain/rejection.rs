//! Rejections of writes and of rows of a file.
//!
//! Pure. A rejection is an outcome, not an error.

use wording::shortened;

/// The longest reason, in characters, since each rejected row stores one.
pub const REASON_CHARS_MAX: usize = 1_000;

/// The rejection of a write or a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rejection {
    /// The rule that rejected it, in a word that never changes: one of the worker's rules, or
    /// `database` if PostgreSQL refused the row.
    pub rule: String,
    /// The reason, at most [`REASON_CHARS_MAX`] characters. It may hold values of the row, so it is
    /// stored for readers of the ledger and must not reach a log.
    pub reason: String,
    pub sqlstate: Option<String>,
    pub constraint: Option<String>,
    pub column: Option<String>,
}

impl Rejection {
    /// Makes a rejection by one of the worker's rules.
    pub fn by_rule(rule: &str, reason: impl Into<String>) -> Self {
        Self {
            rule: rule.to_owned(),
            reason: shortened(&reason.into(), REASON_CHARS_MAX).into_owned(),
            sqlstate: None,
            constraint: None,
            column: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_reasons_are_cut() {
        let reason = |chars| Rejection::by_rule("format", "é".repeat(chars)).reason;
        assert_eq!(reason(REASON_CHARS_MAX), "é".repeat(REASON_CHARS_MAX));
        let cut = reason(REASON_CHARS_MAX + 1);
        assert_eq!(cut.chars().count(), REASON_CHARS_MAX);
        assert!(cut.ends_with("é…"));
    }
}
