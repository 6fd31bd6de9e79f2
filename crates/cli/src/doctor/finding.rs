//! The findings of `aurora-sync doctor`, and how they are shown.
//!
//! Pure.

use serde::Serialize;

use crate::outcome::Outcome;

/// The width of the column of checks and severities.
const LABEL_WIDTH: usize = 19;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Severity {
    Ok,
    /// Not checked.
    Skipped,
    /// Something may go wrong, or go wrong later.
    Warning,
    /// Something does not work.
    Error,
}

/// The result of a check.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Finding {
    /// The subject of the check, as in `tables`.
    pub(crate) check: &'static str,
    pub(crate) severity: Severity,
    pub(crate) what: String,
    /// The consequence, or the reason of a skipped check. An `ok` has none.
    pub(crate) why: Option<String>,
    /// The command or the setting that helps.
    pub(crate) help: Option<String>,
}

impl Finding {
    pub(crate) fn ok(check: &'static str, what: String) -> Self {
        Self { check, severity: Severity::Ok, what, why: None, help: None }
    }

    pub(crate) fn skipped(check: &'static str, what: &str, why: &str, help: &str) -> Self {
        let severity = Severity::Skipped;
        Self { severity, ..Self::warning(check, what.to_owned(), why, help) }
    }

    pub(crate) fn warning(check: &'static str, what: String, why: &str, help: &str) -> Self {
        let severity = Severity::Warning;
        Self { check, severity, what, why: Some(why.to_owned()), help: Some(help.to_owned()) }
    }

    pub(crate) fn error(check: &'static str, what: String, why: &str, help: &str) -> Self {
        Self { severity: Severity::Error, ..Self::warning(check, what, why, help) }
    }
}

/// Returns the outcome of the worst finding.
pub(crate) fn outcome(findings: &[Finding]) -> Outcome {
    match findings.iter().map(|finding| finding.severity).max() {
        None | Some(Severity::Ok | Severity::Skipped) => Outcome::Good,
        Some(Severity::Warning) => Outcome::Attention,
        Some(Severity::Error) => Outcome::Failed,
    }
}

/// Formats the findings for people, a paragraph each.
pub(crate) fn text(findings: &[Finding]) -> String {
    let mut text = String::new();
    for Finding { check, severity, what, why, help } in findings {
        let severity = match severity {
            Severity::Ok => "ok",
            Severity::Skipped => "skipped",
            Severity::Warning => "warning",
            Severity::Error => "error",
        };
        let label = format!("{check:<8}  {severity}");
        text.push_str(&format!("{label:<LABEL_WIDTH$} {what}\n"));
        for (word, line) in [("why:", why), ("do:", help)] {
            if let Some(line) = line {
                text.push_str(&format!("{:LABEL_WIDTH$} {word:<4} {line}\n", ""));
            }
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_finding_says_what_why_and_what_to_do() {
        let findings = [
            Finding::ok("api", "it responds".into()),
            Finding::warning("tables", "staff.age: removed".into(), "It fails.", "refresh"),
        ];
        assert_eq!(
            text(&findings),
            "api       ok        it responds\n\
             tables    warning   staff.age: removed\n\
             \x20                   why: It fails.\n\
             \x20                   do:  refresh\n"
        );
    }

    #[test]
    fn the_worst_finding_decides() {
        let ok = || Finding::ok("api", String::new());
        let skipped = || Finding::skipped("api", "", "", "");
        let warning = || Finding::warning("api", String::new(), "", "");
        let error = || Finding::error("api", String::new(), "", "");
        assert_eq!(outcome(&[ok(), skipped()]), Outcome::Good);
        assert_eq!(outcome(&[ok(), warning()]), Outcome::Attention);
        assert_eq!(outcome(&[warning(), error(), ok()]), Outcome::Failed);
    }
}
