//! The page that takes a file: the file, a preview of it, and the options.

use axum::body::Bytes;
use axum::extract::{Query, State};
use import_options::Settings;
use maud::{Markup, html};
use serde_json::Value;

use super::page::{Area, crumbs, page};
use super::site::{Failure, Shared, Site};
use crate::operations::tables::Table;
use crate::preview::{Gravity, HEAD_BYTES, Head, Preview, ShownRecord, preview as of_file};

/// Fields that are texts: the option, its label, and an example or the default.
const TEXTS: [(&str, &str, &str); 9] = [
    ("delimiter", "Delimiter", ", or tab, semicolon, pipe"),
    ("quote", "Quote", "\" or none"),
    ("escape", "Escape character", "none"),
    ("comment", "Comment character", "none"),
    ("encoding", "Encoding", "utf-8"),
    ("null", "Text for NULL", "besides an empty field"),
    ("columns", "Columns", "those of the header"),
    ("max-rejects", "Most rejected rows", "any number, or 5%"),
    ("max-deletes", "Most deleted rows", "10%, of mode replace"),
];

/// Fields that are choices: the option, its label, and its values, the default first.
const CHOICES: [(&str, &str, &[&str]); 4] = [
    ("header", "First record", &["names the columns", "is a row"]),
    ("numbers", "Numbers", &["plain", "1,234.5", "1.234,5"]),
    ("extra-columns", "Unknown columns", &["refuse", "ignore"]),
    ("atomic", "Rows", &["one by one", "all or none"]),
];

const MODES: [(&str, &str); 5] = [
    ("upsert", "insert new rows, and update the others"),
    ("insert", "insert new rows, and reject the others"),
    ("ignore", "insert new rows, and leave the others alone"),
    ("replace", "as upsert, and delete the rows that are not in the file"),
    ("delete", "delete the rows of the file"),
];

/// Returns the options that a form sends, by their documented names. What the form shows counts,
/// whatever the defaults of the stack are. They decide where a text field is empty.
pub(super) fn options(pairs: &[(String, String)]) -> Vec<(&'static str, String)> {
    let value = |name: &'static str| {
        let found = pairs.iter().find(|(found, _)| found == name);
        let value = match (name, found.map_or("", |(_, value)| value.as_str())) {
            ("dry-run", "") => "false",
            (_, "") => return None,
            ("header", "is a row") | ("atomic", "one by one") => "false",
            ("header", "names the columns") | ("atomic", "all or none") => "true",
            ("delimiter", "\t") => "tab",
            ("delimiter", " ") => "space",
            (_, value) => value,
        };
        Some((name, value.to_owned()))
    };
    import_options::ALL.iter().filter_map(|option| value(option.name)).collect()
}

/// Returns the options that a preview takes as given. It can propose another value for a choice
/// that is as it was before anybody chose.
fn given<'o>(
    options: &'o [(&'static str, String)],
    defaults: &'o Settings,
) -> impl Iterator<Item = (&'o str, &'o str)> {
    let all = options.iter().map(|(name, value)| (*name, value.as_str()));
    all.filter(|(name, value)| {
        let is_unchosen = matches!(
            (*name, *value),
            ("mode", "upsert")
                | ("header", "true")
                | ("numbers", "plain")
                | ("extra-columns", "refuse")
                | ("atomic", "false")
        );
        defaults.is_set(name) || !is_unchosen
    })
}

/// Returns the defaults of the stack for a file of a table.
fn defaults(site: &Site, table: &str, name: &str) -> Settings {
    let key = format!("imports/{table}/{name}");
    Settings::read(&site.deployed.import_defaults, &key, std::iter::empty()).0
}

pub(super) async fn show(
    State(site): Shared,
    Query(query): Query<Vec<(String, String)>>,
) -> Result<Markup, Failure> {
    let offer = site.offer().await?;
    let chosen = query.iter().find(|(name, _)| name == "table").map(|(_, value)| value.as_str());
    let tables: Vec<_> = offer.tables.iter().filter(|table| table.is_inserted).collect();
    let shown = chosen.or(tables.first().map(|table| table.name.as_str()));
    let defaults = defaults(&site, shown.unwrap_or_default(), "");
    let body = html! {
        (crumbs(&[("/imports", "Imports")]))
        @if tables.is_empty() {
            p.empty { "sync_writer may not insert into any table." }
        } @else {
            form #import data-import="" autocomplete="off" {
                div.filters {
                    label { span { "Table" }
                        select name="table" {
                            @for table in &tables {
                                option value=(table.name) selected[chosen == Some(table.name.as_str())] { (table.name) }
                            }
                        }
                    }
                    label { span { "Mode" }
                        select name="mode" {
                            @for (word, words) in MODES {
                                option value=(word) selected[word == defaults.options.mode.as_str()] { (word) ": " (words) }
                            }
                        }
                    }
                }
                div.drop data-drop="" {
                    label for="file" { strong { "Choose a CSV file" } " or drop it here" }
                    input #file type="file" aria-describedby="file-note";
                    p.note #file-note { "Plain, or compressed with gzip, zstd or bzip2. The preview stays on this machine. A dry run and an import upload the file." }
                }
                details.panel {
                    summary { "Options" }
                    div.options { (settings(&defaults)) }
                }
                div #preview aria-live="polite" {}
                div.actions {
                    button.is-main type="button" data-send="dry-run" disabled { "Check it (dry run)" }
                    button type="button" data-send="import" disabled { "Import it" }
                }
                div #progress role="status" {}
            }
            noscript { p.notice.is-bad { "This page needs its script to send a file. Use " code { "aurora-sync import" } " without it." } }
        }
    };
    Ok(page(Area::Import, "Import a file", &body))
}

/// Shows the options with the defaults of the stack.
fn settings(defaults: &Settings) -> Markup {
    let of_stack = defaults.options.to_json();
    let is_chosen = |name: &str, value: &str| {
        let pair = (name.to_owned(), value.to_owned());
        let chosen = options(&[pair]).into_iter().find(|(found, _)| *found == name);
        chosen.is_some_and(|(_, value)| text(&of_stack[name]) == value)
    };
    html! {
        @for (name, label, values) in CHOICES {
            label { span { (label) }
                select name=(name) {
                    @for value in values { option value=(value) selected[is_chosen(name, value)] { (value) } }
                }
            }
        }
        @for (name, label, example) in TEXTS {
            label { span { (label) }
                @if defaults.is_set(name) {
                    input type="text" name=(name) placeholder={ "default of the stack: " (text(&of_stack[name])) } spellcheck="false";
                } @else {
                    input type="text" name=(name) placeholder=(example) spellcheck="false";
                }
            }
        }
    }
}

fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// Answers a preview of the first bytes of a file.
pub(super) async fn preview(
    State(site): Shared,
    Query(query): Query<Vec<(String, String)>>,
    bytes: Bytes,
) -> Result<Markup, Failure> {
    let field = |name: &str| {
        query.iter().find(|(found, _)| found == name).map_or("", |(_, value)| value.as_str())
    };
    let table = site.table(field("table")).await?;
    let head = Head {
        bytes: bytes.get(..HEAD_BYTES).unwrap_or(&bytes),
        is_whole: field("whole") == "true" && bytes.len() <= HEAD_BYTES,
    };
    let options = options(&query);
    let defaults = defaults(&site, &table.name, field("name"));
    let key = format!("imports/{}/{}", table.name, field("name"));
    let given = given(&options, &defaults);
    let given = Settings::read(&site.deployed.import_defaults, &key, given);
    Ok(shown(&table, &of_file(head, &table, &given)))
}

fn shown(table: &Table, found: &Preview) -> Markup {
    let stops = found.problems.iter().filter(|problem| problem.gravity == Gravity::Stops);
    let rejects = found.problems.iter().filter(|problem| problem.gravity == Gravity::Rejects);
    let (stops, rejects): (Vec<_>, Vec<_>) = (stops.collect(), rejects.collect());
    html! {
        div data-stopped=[found.is_stopped().then_some("")] {
            @if !found.proposed.is_empty() {
                div.notice.is-busy {
                    p {
                        strong { "Proposed from the content of the file. " }
                        "Use these options, or set them yourself:"
                    }
                    ul {
                        @for proposal in &found.proposed {
                            li data-option=(proposal.option) data-value=(proposal.value) {
                                (proposal.option) " " code { (proposal.value) } ": " (proposal.why)
                            }
                        }
                    }
                    button.is-small type="button" data-accept="" { "Use these options" }
                }
            }
            @if !stops.is_empty() {
                div.notice.is-bad role="alert" {
                    p { strong { "The import would fail:" } }
                    ul { @for problem in &stops { li { (problem.text) } } }
                }
            }
            @if !rejects.is_empty() {
                div.notice.is-busy {
                    p { strong { "Rows would be rejected:" } }
                    ul { @for problem in &rejects { li { (problem.text) } } }
                }
            }
            @if !found.fields.is_empty() { (records(table, found)) }
        }
    }
}

fn records(table: &Table, found: &Preview) -> Markup {
    let kind = |name: &str| {
        let column = table.columns.iter().find(|column| column.name == name);
        column.map_or("", |column| column.kind.as_str())
    };
    html! {
        div.scroll tabindex="0" role="region" aria-label="First rows of the file" {
            table.data {
                caption { "The first rows, as they would be read (" (found.encoding) ")" }
                thead {
                    tr {
                        th.num scope="col" { "Line" }
                        @for field in &found.fields {
                            th scope="col" {
                                (field.name)
                                span.kind {
                                    @match &field.column {
                                        Some(column) => (kind(column)),
                                        None => "left out",
                                    }
                                }
                            }
                        }
                    }
                }
                tbody { @for record in &found.records { (record_row(record)) } }
            }
        }
        p.note {
            (found.records_read) " rows were looked at" @if found.is_whole { ", all of the file" } "."
        }
    }
}

fn record_row(record: &ShownRecord) -> Markup {
    let whole = record.faults.iter().find(|fault| fault.field.is_none());
    let of_field = |index: usize| record.faults.iter().find(|fault| fault.field == Some(index));
    html! {
        tr class=[whole.map(|_| "is-bad")] {
            th.num scope="row" {
                (record.line)
                @if let Some(fault) = whole { span.problem { (fault.reason) } }
            }
            @for (index, field) in record.fields.iter().enumerate() {
                td class=[of_field(index).map(|_| "is-bad")] {
                    @match field { None => span.null { "NULL" }, Some(text) => (text) }
                    @if let Some(fault) = of_field(index) { span.problem { (fault.reason) } }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use import_options::Defaults;

    use super::*;

    #[test]
    fn a_form_sends_what_it_shows() {
        let pairs = [
            ("mode", "upsert"),
            ("header", "is a row"),
            ("numbers", "plain"),
            ("atomic", "one by one"),
            ("delimiter", "\t"),
            ("quote", ""),
            ("table", "staff"),
        ];
        let pairs = pairs.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let found = options(&pairs);
        let found: Vec<_> = found.iter().map(|(name, value)| (*name, value.as_str())).collect();
        assert_eq!(
            found,
            [
                ("mode", "upsert"),
                ("delimiter", "tab"),
                ("header", "false"),
                ("numbers", "plain"),
                ("atomic", "false"),
                ("dry-run", "false"),
            ]
        );
    }

    #[test]
    fn a_choice_that_differs_from_the_default_of_the_stack_counts_as_given() {
        let options = [("mode", "upsert".to_owned()), ("numbers", "plain".to_owned())];
        let names = |json: &str| {
            let defaults = Defaults::parse(json).unwrap();
            let defaults = Settings::read(&defaults, "imports/t/", std::iter::empty()).0;
            given(&options, &defaults).map(|(name, _)| name.to_owned()).collect::<Vec<_>>()
        };
        assert_eq!(names("{}"), Vec::<String>::new());
        assert_eq!(names(r#"{"imports/t/": {"mode": "replace"}}"#), ["mode"]);
    }
}
