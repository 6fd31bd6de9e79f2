//! The form of a row, and the body of the write that it becomes.
//!
//! Pure.

use std::collections::{BTreeMap, HashMap};

use maud::{Markup, html};
use serde_json::Value;
use serde_json::value::RawValue;

use super::page::hidden;
use super::row_key;
use crate::operations::tables::{Column, Table};

/// The fields of a form, by their columns.
pub(super) type Inputs = HashMap<String, Input>;

/// The field of a column.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[expect(clippy::option_option, reason = "a value that was there can be NULL")]
pub(super) struct Input {
    pub(super) how: How,
    pub(super) text: String,
    /// The value that the row had when the form was made. `None` for a new row; NULL within it.
    pub(super) was: Option<Option<String>>,
}

/// The kind of value that a field gives.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum How {
    #[default]
    Text,
    Null,
    /// The column is left out, and gets its default.
    Absent,
}

/// The problems of a form.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Problems {
    pub(super) fields: BTreeMap<String, String>,
    pub(super) whole: Option<String>,
}

/// The columns that a form of a row has.
pub(super) fn columns(table: &Table, is_new: bool) -> impl Iterator<Item = &Column> {
    table.columns.iter().filter(move |column| {
        if is_new {
            column.is_inserted
        } else {
            column.is_updated && !table.key.contains(&column.name)
        }
    })
}

/// Makes the fields of a new row.
pub(super) fn of_new(table: &Table) -> Inputs {
    let input = |column: &Column| {
        let how = if column.is_required { How::Text } else { How::Absent };
        Input { how, ..Input::default() }
    };
    columns(table, true).map(|column| (column.name.clone(), input(column))).collect()
}

/// Makes the fields of a row that is there.
pub(super) fn of_row(table: &Table, row: &row_key::Row) -> Inputs {
    let input = |column: &Column| {
        // A column that nobody may read is left as it is unless it is filled in.
        let Some(value) = row.get(&column.name) else {
            return Input { how: How::Absent, ..Input::default() };
        };
        let was = row_key::field_text(column, value);
        let how = if was.is_some() { How::Text } else { How::Null };
        Input { how, text: was.clone().unwrap_or_default(), was: Some(was) }
    };
    columns(table, false).map(|column| (column.name.clone(), input(column))).collect()
}

/// Reads the fields that a browser sends: `v:` the text, `h:` the kind, `w:` the text and `n:` the
/// NULL that the row had.
pub(super) fn read(table: &Table, is_new: bool, form: &[(String, String)]) -> Inputs {
    let find = |prefix: &str, name: &str| {
        let found = form.iter().find(|(found, _)| found.strip_prefix(prefix) == Some(name));
        // Browsers send the ends of lines as CRLF.
        found.map(|(_, value)| value.replace("\r\n", "\n"))
    };
    let input = |column: &Column| {
        let name = &column.name;
        let text = find("v:", name).unwrap_or_default();
        let was_null = find("n:", name).map(|_| None);
        let was = find("w:", name).map(Some).or(was_null);
        let before = was.clone().flatten().unwrap_or_default();
        // Without a script, a person can fill in a field and leave its kind as it is.
        let is_filled = !text.is_empty() && text != before;
        let how = match find("h:", name).as_deref() {
            Some("null") if !is_filled => How::Null,
            Some("absent") if !is_filled => How::Absent,
            _ => How::Text,
        };
        Input { how, text, was }
    };
    columns(table, is_new).map(|column| (column.name.clone(), input(column))).collect()
}

/// Makes the body of a write: all columns of a new row, and the changed ones of one that is there.
pub(super) fn body(table: &Table, is_new: bool, inputs: &Inputs) -> Result<String, Problems> {
    let mut problems = Problems::default();
    let mut members = Vec::new();
    for column in columns(table, is_new) {
        let Some(input) = inputs.get(&column.name) else { continue };
        let value = match input.how {
            How::Absent => continue,
            How::Null => None,
            How::Text => Some(input.text.clone()),
        };
        if input.was.as_ref() == Some(&value) {
            continue;
        }
        match json(column, value.as_deref()) {
            Ok(json) => members.push(format!("{}:{json}", Value::from(column.name.as_str()))),
            Err(expected) => {
                problems.fields.insert(column.name.clone(), expected);
            }
        }
    }
    if !problems.fields.is_empty() {
        return Err(problems);
    }
    if members.is_empty() {
        let whole = if is_new { "No field is filled in." } else { "No field was changed." };
        return Err(Problems { whole: Some(whole.to_owned()), ..Problems::default() });
    }
    Ok(format!("{{{}}}", members.join(",")))
}

/// Returns a text as a JSON value. All types take PostgreSQL's own syntax as a string, so that no
/// digit is lost.
fn json(column: &Column, text: Option<&str>) -> Result<String, String> {
    let Some(text) = text else { return Ok("null".to_owned()) };
    let is_array = column.schema["type"].to_string().contains("array") && text.starts_with('[');
    if !is_array && !row_key::is_json(column) {
        return Ok(Value::from(text).to_string());
    }
    match serde_json::from_str::<&RawValue>(text) {
        Ok(json) => Ok(json.get().to_owned()),
        Err(error) => Err(format!("expected JSON: {error}")),
    }
}

/// Makes the fields of a form.
pub(super) fn fields(table: &Table, is_new: bool, inputs: &Inputs, problems: &Problems) -> Markup {
    html! {
        @for (index, column) in columns(table, is_new).enumerate() {
            @if let Some(input) = inputs.get(&column.name) {
                (field(column, &format!("f{index}"), is_new, input, problems))
            }
        }
    }
}

fn field(column: &Column, id: &str, is_new: bool, input: &Input, problems: &Problems) -> Markup {
    let problem = problems.fields.get(&column.name);
    let Input { how, text, was } = input;
    let may_be_absent = is_new && !column.is_required || was.is_none() && !is_new;
    html! {
        div.field data-column=(column.name) {
            label for=(id) { (column.name) " " span.kind { (column.kind) } }
            div.value {
                (control(column, id, text, problem.is_some()))
                @if column.is_nullable || may_be_absent {
                    select name={ "h:" (column.name) } data-how=(id)
                        aria-label={ "Kind of value for " (column.name) } {
                        option value="text" selected[*how == How::Text] { "Value" }
                        @if column.is_nullable {
                            option value="null" selected[*how == How::Null] { "NULL" }
                        }
                        @if may_be_absent {
                            option value="absent" selected[*how == How::Absent] {
                                (if is_new { "Default" } else { "As it is" })
                            }
                        }
                    }
                }
            }
            p.problem id={ (id) "-problem" } hidden[problem.is_none()] {
                @if let Some(problem) = problem { (problem) }
            }
            @match was {
                Some(Some(was)) => (hidden(&format!("w:{}", column.name), was)),
                Some(None) => (hidden(&format!("n:{}", column.name), "1")),
                None => "",
            }
        }
    }
}

fn control(column: &Column, id: &str, text: &str, is_wrong: bool) -> Markup {
    let name = format!("v:{}", column.name);
    let described = format!("{id}-problem");
    let invalid = is_wrong.then_some("true");
    let labels = column.schema["enum"].as_array();
    // A browser takes the line breaks out of an input.
    let is_long =
        row_key::is_json(column) || text.contains(['\n', '\r']) || text.chars().count() > 80;
    html! {
        @if let Some(labels) = labels {
            select id=(id) name=(name) aria-describedby=(described) aria-invalid=[invalid] {
                option value="" { "" }
                @for label in labels.iter().filter_map(Value::as_str) {
                    option value=(label) selected[label == text] { (label) }
                }
            }
        } @else if is_long {
            textarea id=(id) name=(name) rows="4" aria-describedby=(described)
                aria-invalid=[invalid] { "\n" (text) }
        } @else {
            input id=(id) name=(name) type="text" value=(text) autocomplete="off" spellcheck="false"
                aria-describedby=(described) aria-invalid=[invalid];
        }
    }
}

#[cfg(test)]
mod tests;
