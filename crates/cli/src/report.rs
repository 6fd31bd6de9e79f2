//! `report.json` for people. docs/reference/report.schema.json describes it.

use std::fmt::Write as _;

use serde::{Deserialize, Serialize};

use crate::commands::output::{Colour, counted, painted, printable};
use crate::progress::{grouped, rounded};

/// Rejects that are shown of those in the report.
const SHOWN_MAX: usize = 10;

/// The members of a report that are shown.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub(crate) struct Report {
    pub(crate) state: String,
    pub(crate) error: Option<String>,
    pub(crate) dry_run: bool,
    pub(crate) rows: Rows,
    pub(crate) rows_overwritten: Option<u64>,
    pub(crate) rows_deleted: u64,
    pub(crate) duration_seconds: f64,
    pub(crate) rows_per_second: Option<f64>,
    pub(crate) rejected_by_rule: Vec<Kind>,
    pub(crate) rejects: Vec<Reject>,
    pub(crate) rejected_file: Option<String>,
    pub(crate) rejected_file_rows: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(crate) struct Rows {
    pub(crate) read: u64,
    pub(crate) written: u64,
    pub(crate) unchanged: u64,
    pub(crate) superseded: u64,
    pub(crate) rejected: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
pub(crate) struct Kind {
    pub(crate) rule: String,
    pub(crate) sqlstate: Option<String>,
    pub(crate) column: Option<String>,
    pub(crate) count: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(crate) struct Reject {
    pub(crate) record: u64,
    pub(crate) line: u64,
    pub(crate) column: Option<String>,
    pub(crate) sqlstate: Option<String>,
    pub(crate) reason: String,
}

impl Report {
    /// Formats the report for people.
    pub(crate) fn text(&self, results_bucket: &str, has_colours: bool) -> String {
        let mut text = String::new();
        let mut line = |line: String| {
            // Writing to a string does not fail.
            writeln!(text, "{line}").ok();
        };
        let rate = self
            .rows_per_second
            .map_or_else(String::new, |rate| format!(", {} rows/s", rounded(rate)));
        let colour = match self.state.as_str() {
            "completed" if self.rows.rejected == 0 => Colour::Green,
            "completed" => Colour::Yellow,
            _ => Colour::Red,
        };
        let state = painted(&self.state, colour, has_colours);
        line(format!("{state} in {} s{rate}", rounded(self.duration_seconds)));
        if let Some(error) = &self.error {
            let error = format!("error: {}", printable(error));
            line(painted(&error, Colour::Red, has_colours));
        }
        if self.dry_run {
            line("dry run: nothing was written".to_owned());
        }
        let mut counts = vec![
            ("read", self.rows.read),
            ("written", self.rows.written),
            ("unchanged", self.rows.unchanged),
            ("superseded", self.rows.superseded),
            ("rejected", self.rows.rejected),
        ];
        if let Some(rows) = self.rows_overwritten {
            counts.push(("overwritten", rows));
        }
        if self.rows_deleted > 0 {
            counts.push(("deleted", self.rows_deleted));
        }
        for (name, count) in counts {
            let is_bad = name == "rejected" && count > 0;
            let colour = if is_bad { Colour::Yellow } else { Colour::Plain };
            line(painted(&format!("  {name:<11}{:>15}", grouped(count)), colour, has_colours));
        }
        if !self.rejected_by_rule.is_empty() {
            line("rejected by rule".to_owned());
        }
        for Kind { rule, sqlstate, column, count } in &self.rejected_by_rule {
            let details: Vec<_> = [sqlstate, column].into_iter().flatten().cloned().collect();
            let details = printable(&details.join(" "));
            line(format!("  {rule:<11}{:>15}  {details}", grouped(*count)).trim_end().to_owned());
        }
        if !self.rejects.is_empty() {
            line("the first rejected rows".to_owned());
        }
        for reject in self.rejects.iter().take(SHOWN_MAX) {
            line(format!("  line {}: {}", reject.line, reject.why()));
        }
        if let Some(key) = &self.rejected_file {
            let rows = counted(self.rejected_file_rows, "rejected row");
            line(format!("{rows}, to fix and import again: s3://{results_bucket}/{key}"));
        }
        text
    }
}

impl Reject {
    fn why(&self) -> String {
        let column = self.column.as_ref().map_or_else(String::new, |column| format!("{column}: "));
        let sqlstate = self.sqlstate.as_ref();
        let sqlstate = sqlstate.map_or_else(String::new, |state| format!(" (SQLSTATE {state})"));
        // One line each, since a reason can have several.
        let reason = self.reason.replace(['\r', '\n'], " ");
        printable(&format!("{column}{reason}{sqlstate}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_is_shown_from_its_counts_to_its_rows() {
        let report: Report = serde_json::from_str(
            r#"{"schema": 1, "state": "completed", "error": null, "dry_run": true,
                "rows": {"read": 1010, "written": 1000, "unchanged": 3, "superseded": 2, "rejected": 5},
                "rows_overwritten": 700, "rows_deleted": 4, "duration_seconds": 12.345, "rows_per_second": 81.8,
                "rejected_by_rule": [
                    {"rule": "format", "sqlstate": null, "column": "age", "count": 4},
                    {"rule": "database", "sqlstate": "23514", "column": null, "count": 1}],
                "rejects": [
                    {"record": 1, "line": 2, "column": "age", "rule": "format", "sqlstate": null, "reason": "expected\nan integer"},
                    {"record": 2, "line": 3, "column": null, "rule": "database", "sqlstate": "23514", "reason": "no"}],
                "rejected_file": "staff/1/rejected.csv", "rejected_file_rows": 5}"#,
        )
        .unwrap();
        assert_eq!(
            report.text("results", false),
            "completed in 12 s, 82 rows/s\n\
             dry run: nothing was written\n  \
               read                 1,010\n  \
               written              1,000\n  \
               unchanged                3\n  \
               superseded               2\n  \
               rejected                 5\n  \
               overwritten            700\n  \
               deleted                  4\n\
             rejected by rule\n  \
               format                   4  age\n  \
               database                 1  23514\n\
             the first rejected rows\n  \
               line 2: age: expected an integer\n  \
               line 3: no (SQLSTATE 23514)\n\
             5 rejected rows, to fix and import again: s3://results/staff/1/rejected.csv\n"
        );
        let coloured = report.text("results", true);
        assert!(coloured.starts_with("\u{1b}[33mcompleted\u{1b}[0m in"), "{coloured}");
        let failed = Report { state: "failed".into(), error: Some("a\u{1b}[2J".into()), ..report };
        let failed = failed.text("results", false);
        assert!(failed.contains("\nerror: a\u{fffd}[2J\n"), "{failed}");
    }
}
