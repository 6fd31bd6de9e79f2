//! The outcome of a write or of a row of a file.
//!
//! Pure. An outcome is not an error: a rejected write is a write that is settled.

/// Most characters of a reason: one is kept with each of many rows.
pub const REASON_CHARS_MAX: usize = 1_000;

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
    /// At most [`REASON_CHARS_MAX`] of it. May hold values: for those who may read the ledger, not for logs.
    pub reason: String,
    pub sqlstate: Option<String>,
    pub constraint: Option<String>,
    pub column: Option<String>,
}

impl Rejection {
    pub fn by_rule(rule: &str, reason: impl Into<String>) -> Self {
        Self {
            rule: rule.to_owned(),
            reason: shortened(reason.into()),
            sqlstate: None,
            constraint: None,
            column: None,
        }
    }
}

fn shortened(mut reason: String) -> String {
    if reason.chars().nth(REASON_CHARS_MAX).is_some() {
        let kept = reason.char_indices().nth(REASON_CHARS_MAX - 1);
        reason.truncate(kept.map_or(0, |(place, _)| place));
        reason.push('…');
    }
    reason
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_is_no_longer_than_what_is_kept_of_one() {
        let reason = |chars| Rejection::by_rule("format", "é".repeat(chars)).reason;
        assert_eq!(reason(REASON_CHARS_MAX), "é".repeat(REASON_CHARS_MAX));
        let cut = reason(REASON_CHARS_MAX + 1);
        assert_eq!(cut.chars().count(), REASON_CHARS_MAX);
        assert!(cut.ends_with("é…"));
    }
}
