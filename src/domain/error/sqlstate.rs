//! SQLSTATE codes of PostgreSQL, and the action for each class.
//!
//! Pure. Source: PostgreSQL manual, appendix A, "PostgreSQL Error Codes".

use std::fmt;

use super::Disposition;

/// The SQLSTATE of a PostgreSQL error: five characters, digits and upper-case letters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SqlState(pub String);

impl SqlState {
    /// Returns the class: the first two characters.
    pub(super) fn class(&self) -> &str {
        self.0.get(..2).unwrap_or_default()
    }

    /// Reads the SQLSTATE at the end of a message of the Data API, which has the form
    /// `ERROR: …; Position: 15; SQLState: 42P01`.
    ///
    /// Ignores the rest of the message, which may hold text that a user sent.
    pub fn from_message(message: &str) -> Option<Self> {
        let (_, state) = message.trim_end().rsplit_once("SQLState: ")?;
        let is_state = state.len() == 5
            && state.bytes().all(|byte| byte.is_ascii_digit() || byte.is_ascii_uppercase());
        is_state.then(|| Self(state.to_owned()))
    }

    /// Returns `true` if messages of this class name objects of the database only. Other messages
    /// may hold values of rows or texts of triggers, which must not reach a log.
    pub(super) fn is_message_safe_to_log(&self) -> bool {
        const CLASSES: [&str; 16] = [
            "08", "0A", "25", "26", "28", "2F", "34", "3D", "3F", "40", "42", "53", "54", "55",
            "57", "58",
        ];
        CLASSES.contains(&self.class())
    }

    /// The classes of the manual, appendix A. Any other class comes from a user's trigger.
    const CLASSES: [&str; 44] = [
        "00", "01", "02", "03", "08", "09", "0A", "0B", "0F", "0L", "0P", "0Z", "10", "20", "21",
        "22", "23", "24", "25", "26", "27", "28", "2B", "2D", "2F", "34", "38", "39", "3B", "3D",
        "3F", "40", "42", "44", "53", "54", "55", "57", "58", "72", "F0", "HV", "P0", "XX",
    ];

    /// Returns the action for an error, by its SQLSTATE and, where that is ambiguous, by the
    /// beginning of its `text`.
    ///
    /// `sync.is_of_row` (`sql/sync/0002_settle.sql`) returns true for the same errors for which
    /// this returns `Reject`. A test compares the two.
    pub(super) fn disposition(&self, text: &str) -> Disposition {
        let begins_with = |texts: &[&str]| texts.iter().any(|begin| text.starts_with(begin));
        match self.0.as_str() {
            // Happens right after a migration.
            "0A000" if begins_with(&["cached plan must not change result type"]) => {
                Disposition::Retry
            }
            // PostgreSQL does not support something that the row needs, such as a rule or a flag of
            // a jsonpath.
            "0A000" => Disposition::Reject,
            // A row policy refuses the row. Every other missing permission is about the deployment.
            "42501" if begins_with(&["new row violates row-level security policy"]) => {
                Disposition::Reject
            }
            // The table or the database is full. With another text, a value is too large for an
            // index or a page.
            "54000"
                if begins_with(&[
                    "cannot extend file ",
                    "database is not accepting commands ",
                    "multixact \"members\" limit exceeded",
                ]) =>
            {
                Disposition::Block
            }
            // A sequence has no number left, whatever the row.
            "2200H" => Disposition::Block,
            // 55P03: a lock is not available. 25006: after a failover, the connection leads to a
            // reader. 25P03, 25P04: a transaction was idle, or ran, too long. 72000: "snapshot too
            // old".
            "55P03" | "25006" | "25P03" | "25P04" | "72000" => Disposition::Retry,
            // A file of the database or of an extension is missing. It does not come back by
            // itself.
            "58P01" | "58P02" => Disposition::Block,
            // 20000: CASE without ELSE in PL/pgSQL. 21000: a key twice in one statement (two
            // spellings that only the database holds equal). 27000: a trigger changes its own row.
            // 44000: the row is outside a view's WITH CHECK. 54000, 54001: a value is too large or
            // nested too deeply.
            "20000" | "21000" | "27000" | "44000" | "54000" | "54001" => Disposition::Reject,
            _ => match self.class() {
                // Connection, transaction rollback, insufficient resources, operator intervention,
                // system error.
                "08" | "40" | "53" | "57" | "58" => Disposition::Retry,
                // Data exception, integrity constraint violation, and the errors that triggers
                // raise in PL/Perl or PL/Python (38) and in PL/pgSQL (P0).
                "22" | "23" | "38" | "P0" => Disposition::Reject,
                class if !Self::CLASSES.contains(&class) => Disposition::Reject,
                _ => Disposition::Block,
            },
        }
    }
}

impl fmt::Display for SqlState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_sqlstate_class_has_one_disposition() {
        use Disposition::{Block, Reject, Retry};
        for (state, expected) in [
            ("08006", Retry),
            ("08P01", Retry),
            ("20000", Reject),
            ("21000", Reject),
            ("22001", Reject),
            ("22P02", Reject),
            ("22P05", Reject),
            ("2200H", Block),
            ("23502", Reject),
            ("23503", Reject),
            ("23505", Reject),
            ("23514", Reject),
            ("23P01", Reject),
            ("25006", Retry),
            ("25P02", Block),
            ("25P03", Retry),
            ("27000", Reject),
            ("28P01", Block),
            ("38000", Reject),
            ("39P01", Block),
            ("3D000", Block),
            ("40001", Retry),
            ("40003", Retry),
            ("40P01", Retry),
            ("42601", Block),
            ("42703", Block),
            ("42804", Block),
            ("42P01", Block),
            ("44000", Reject),
            ("53100", Retry),
            ("53300", Retry),
            ("54001", Reject),
            ("54011", Block),
            ("55000", Block),
            ("55006", Block),
            ("55P03", Retry),
            ("57014", Retry),
            ("57P01", Retry),
            ("57P03", Retry),
            ("57P04", Retry),
            ("58030", Retry),
            ("58P01", Block),
            ("72000", Retry),
            ("P0001", Reject),
            ("P0002", Reject),
            ("P0004", Reject),
            ("XX000", Block),
            ("XX001", Block),
            ("XX002", Block),
            ("45000", Reject),
            ("ZZ001", Reject),
        ] {
            assert_eq!(SqlState(state.into()).disposition(""), expected, "{state}");
        }
    }

    #[test]
    fn the_sqlstate_is_read_at_the_end_of_the_message_only() {
        let check = |message: &str, expected: Option<&str>| {
            let found = SqlState::from_message(message);
            assert_eq!(found.as_ref().map(|state| state.0.as_str()), expected, "{message}");
        };
        check("ERROR: relation \"x\" does not exist; Position: 15; SQLState: 42P01", Some("42P01"));
        check("ERROR: bad \"a; SQLState: 00000\" here; SQLState: 22P02", Some("22P02"));
        check("ERROR: first line\n  Detail: Key (k)=(v); SQLState: 23505\n", Some("23505"));
        check("Transaction is still running a query", None);
        check("a SQLState: 22P02 that is not at the end", None);
    }
}
