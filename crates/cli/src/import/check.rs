//! Checks a file before its upload: its table, its options, its header and its first records.
//!
//! Pure. The worker has the last word. A check refuses a file that would fail, whose content asks
//! for other options, or of which no record that was looked at would be loaded.

use wording::nearest;

use crate::operations::tables::{Offer, Table};
use crate::preview::{Gravity, Preview, Proposal};

/// The most problems that are printed of a file.
const PRINTED_MAX: usize = 5;

/// Returns the table, or says which ones there are.
pub(super) fn table<'a>(offer: &'a Offer, name: &str) -> Result<&'a Table, String> {
    if let Some(table) = offer.tables.iter().find(|table| table.name == name) {
        return Ok(table);
    }
    let hint = match nearest(name, offer.tables.iter().map(|table| table.name.as_str())) {
        Some(near) => format!("did you mean {near}?"),
        None => "aurora-sync tables lists those that are; a new one needs a GRANT to sync_writer"
            .to_owned(),
    };
    Err(format!("the API offers no table {name}; {hint}"))
}

/// Returns why a file is not to be uploaded, with the options that would help; `None` if it can be.
pub(super) fn refusal(found: &Preview) -> Option<String> {
    let is_in_vain =
        !found.records.is_empty() && found.records.iter().all(|record| !record.faults.is_empty());
    if !found.is_stopped() && !is_in_vain && found.proposed.is_empty() {
        return None;
    }
    let mut lines = Vec::new();
    if !found.proposed.is_empty() {
        let options: Vec<_> = found.proposed.iter().map(flag).collect();
        lines.push(format!("its content asks for {}", options.join(" ")));
        lines.extend(found.proposed.iter().map(|one| format!("  --{}: {}", one.option, one.why)));
    }
    if is_in_vain && !found.is_stopped() {
        lines.push("each of its first rows would be rejected".to_owned());
    }
    let of = |gravity| found.problems.iter().filter(move |problem| problem.gravity == gravity);
    let texts = of(Gravity::Stops).chain(of(Gravity::Rejects).filter(|_| is_in_vain));
    lines.extend(texts.take(PRINTED_MAX).map(|problem| format!("  {}", problem.text)));
    Some(lines.join("\n"))
}

fn flag(proposal: &Proposal) -> String {
    option(proposal.option, &proposal.value)
}

/// Returns an option as a shell takes it.
pub(crate) fn option(name: &str, value: &str) -> String {
    format!("--{name} {}", word(value))
}

/// Returns a text as one word of a shell.
pub(crate) fn word(text: &str) -> String {
    let is_word = text.chars().all(|c| c.is_ascii_alphanumeric() || "-_.,/".contains(c));
    if is_word && !text.is_empty() {
        text.to_owned()
    } else {
        format!("'{}'", text.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::preview::{Fault, Problem, ShownRecord};

    fn found(
        proposed: &[(&'static str, &str)],
        problems: &[(Gravity, &str)],
        faulty: [bool; 2],
    ) -> Preview {
        let record = |is_faulty: bool| ShownRecord {
            line: 2,
            fields: Vec::new(),
            faults: if is_faulty {
                vec![Fault { field: None, reason: "bad".into() }]
            } else {
                Vec::new()
            },
        };
        let proposal = |(option, value): &(&'static str, &str)| Proposal {
            option,
            value: (*value).to_owned(),
            why: "because".into(),
        };
        let problem = |(gravity, text): &(Gravity, &str)| Problem {
            gravity: *gravity,
            text: (*text).to_owned(),
        };
        Preview {
            proposed: proposed.iter().map(proposal).collect(),
            encoding: "UTF-8",
            fields: Vec::new(),
            records: faulty.map(record).into(),
            problems: problems.iter().map(problem).collect(),
            records_read: 2,
            is_whole: true,
        }
    }

    #[test]
    fn a_file_with_a_bad_row_is_uploaded() {
        assert_eq!(refusal(&found(&[], &[(Gravity::Rejects, "line 2")], [true, false])), None);
    }

    #[test]
    fn a_file_that_would_fail_is_refused_with_the_reason() {
        let text = refusal(&found(&[], &[(Gravity::Stops, "no column")], [false, false]));
        assert_eq!(text.as_deref(), Some("  no column"));
    }

    #[test]
    fn a_file_of_bad_rows_is_refused_with_the_first_ones() {
        let text = refusal(&found(&[], &[(Gravity::Rejects, "line 2: bad")], [true, true]));
        assert_eq!(
            text.as_deref(),
            Some("each of its first rows would be rejected\n  line 2: bad")
        );
    }

    #[test]
    fn an_option_that_the_content_asks_for_is_named_as_it_is_written() {
        let text =
            refusal(&found(&[("delimiter", "semicolon"), ("null", "\\N")], &[], [false, false]));
        assert_eq!(
            text.as_deref(),
            Some(
                "its content asks for --delimiter semicolon --null '\\N'\n  --delimiter: because\n  --null: because"
            )
        );
    }

    #[test]
    fn a_text_is_one_word_of_a_shell() {
        for (text, expected) in [
            ("a.csv", "a.csv"),
            ("", "''"),
            ("$(x) y", "'$(x) y'"),
            ("名", "'名'"),
            ("a'b", r"'a'\''b'"),
        ] {
            assert_eq!(word(text), expected);
        }
    }

    #[test]
    fn an_unknown_table_names_the_nearest_one() {
        let offer = |names: &[&str]| Offer {
            version: String::new(),
            catalog_version: String::new(),
            tables: names.iter().map(|name| Table::named(name, "id", Vec::new())).collect(),
        };
        let error = table(&offer(&["items", "orders"]), "itens").unwrap_err();
        assert_eq!(error, "the API offers no table itens; did you mean items?");
        assert!(table(&offer(&["orders"]), "stuff").unwrap_err().contains("GRANT"));
        assert!(table(&offer(&["orders"]), "orders").is_ok());
    }
}
