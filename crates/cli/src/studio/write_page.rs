//! The page of one write: its outcome, its payload, and how it is sent again.

use axum::Form;
use axum::extract::{Path, Query, State};
use axum::response::Redirect;
use maud::{Markup, PreEscaped, html};
use serde::Deserialize;

use super::fragment::{Fragment, Then};
use super::page::{Area, badge, crumbs, facts, live as live_part, page, time};
use super::site::{Failure, Shared};
use crate::api::encoded;
use crate::operations::writes::{self, Status};

/// The members of a status that the page shows, with their words.
const SHOWN: [(&str, &str); 9] = [
    ("table", "Table"),
    ("key", "Key"),
    ("operation", "Operation"),
    ("rule", "Rule"),
    ("sqlstate", "SQLSTATE"),
    ("constraint", "Constraint"),
    ("column", "Column"),
    ("caller", "Caller"),
    ("request_id", "Request"),
];

#[derive(Debug, Deserialize)]
pub(super) struct OfId {
    id: String,
    /// The part is on the write's own page, which has more news then.
    own: Option<String>,
    /// The part is on a form of the row, which is out of date once the write is applied.
    form: Option<String>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Resend {
    row: String,
}

pub(super) async fn show(State(site): Shared, Path(id): Path<String>) -> Result<Markup, Failure> {
    let status = writes::show(&site.deployed, &id).await?;
    let part = news(&status, true);
    let body = html! {
        (crumbs(&[("/writes", "Writes")]))
        @if status.outcome == "pending" {
            (live_part(&format!("/live/write?own=1&id={}", encoded(&id)), &part))
        } @else { (part) }
        (details(&status))
        @if status.outcome == "rejected" { (payload(&status)) }
    };
    Ok(page(Area::Writes, &format!("Write {}", status.id), &body))
}

/// Answers a part of a page that follows a write.
pub(super) async fn live(
    State(site): Shared,
    Query(OfId { id, own, form }): Query<OfId>,
) -> Result<Fragment, Failure> {
    let status = writes::show(&site.deployed, &id).await?;
    let outcome = status.outcome.as_str();
    let row = row_page(&status).filter(|_| form.is_some() && outcome != "rejected");
    let then = match (outcome, row) {
        ("pending", _) => Then::Again,
        _ if own.is_some() => Then::Go(format!("/writes/{}", encoded(&id))),
        (_, Some(page)) => Then::Go(format!("{page}&write={}", encoded(&id))),
        (_, None) => Then::End,
    };
    Ok(Fragment { content: news(&status, own.is_some()), then })
}

/// Returns the page of a write's row, if its key is known.
fn row_page(status: &Status) -> Option<String> {
    let (table, key) = (status.text("table")?, status.text("key")?);
    Some(format!("/tables/{}/row?key={}", encoded(table), encoded(key)))
}

pub(super) async fn resend(
    State(site): Shared,
    Path(id): Path<String>,
    Form(Resend { row }): Form<Resend>,
) -> Result<Redirect, Failure> {
    let status = writes::show(&site.deployed, &id).await?;
    let was = status.payload.as_ref().map(|payload| pretty(payload.row.get()));
    let row = row.replace("\r\n", "\n");
    let edited = was.is_none_or(|was| was.trim() != row.trim()).then_some(row);
    if let Some(row) = &edited
        && let Err(error) = serde_json::from_str::<serde_json::Map<String, serde_json::Value>>(row)
    {
        return Err(Failure::wrong(format!(
            "The row is no JSON object: {error}. Go back and correct it; nothing was sent."
        )));
    }
    let resent = writes::resend(&site.deployed, &status, edited.as_deref()).await?;
    Ok(Redirect::to(&format!("/writes/{}", encoded(&resent.status_id))))
}

/// Makes the news of a write, on its own page or on another one.
fn news(status: &Status, is_own_page: bool) -> Markup {
    let kind = match status.outcome.as_str() {
        "pending" => "busy",
        "rejected" => "bad",
        "superseded" => "calm",
        _ => "good",
    };
    let column = status.text("column");
    html! {
        div class={ "notice is-" (kind) } {
            p {
                (badge(&status.outcome)) " "
                @match status.outcome.as_str() {
                    "pending" => "The write is accepted and on its way.",
                    "applied" => "The row is as the write wanted it.",
                    "unchanged" => (unchanged(status.text("operation"))),
                    "superseded" => "The row has a newer version.",
                    _ => "The write cannot be applied.",
                }
            }
            @if let Some(reason) = status.text("reason") {
                p.reason data-problem-of=[column] {
                    @if let Some(column) = column { (column) ": " }
                    (reason)
                }
            }
            @for name in ["hint", "detail"] {
                @if let Some(text) = status.text(name) { p { (text) } }
            }
            p.links {
                @if !is_own_page { a href={ "/writes/" (status.id) } { "The write" } }
                @if let Some(page) = row_page(status)
                    && matches!(status.outcome.as_str(), "applied" | "unchanged" | "rejected" | "superseded")
                    && status.text("operation") != Some("delete") {
                    a href=(page) { "The row as it is now" }
                }
            }
        }
    }
}

/// Says why a write of this operation has changed nothing.
fn unchanged(operation: Option<&str>) -> &'static str {
    match operation {
        Some("insert_ignore") => {
            "A row with this key was there and is left alone, or a trigger left the new one out."
        }
        Some("delete") => "The row was not there, or a trigger kept it.",
        _ => "The row was as the write wants it already, or a trigger left it out.",
    }
}

fn details(status: &Status) -> Markup {
    let mut shown: Vec<(&str, Markup)> = SHOWN
        .iter()
        .filter_map(|(name, words)| Some((*words, html! { (status.text(name)?) })))
        .collect();
    for (name, words) in [("accepted_at", "Accepted (UTC)"), ("settled_at", "Settled (UTC)")] {
        if let Some(text) = status.text(name) {
            shown.push((words, time(text)));
        }
    }
    let to = |id: &String| html! { a href={ "/writes/" (id) } { (id) } };
    if let Some(id) = &status.resend_of {
        shown.push(("Sent again from", to(id)));
    }
    for id in &status.resent_as {
        shown.push(("Sent again as", to(id)));
    }
    facts(&shown)
}

fn payload(status: &Status) -> Markup {
    let Some(payload) = &status.payload else {
        return html! {
            p.note {
                "The payload is withheld, since sync_reader may not read all of it. It is in the column payload of "
                code { "sync.write" } "."
            }
        };
    };
    html! {
        h2 { "Send it again" }
        form method="post" action={ "/writes/" (encoded(&status.id)) "/resend" } {
            div.field {
                label for="row" { "The row, as JSON" }
                textarea #row.code name="row" rows="10" spellcheck="false" {
                    (PreEscaped("\n")) (pretty(payload.row.get()))
                }
            }
            @if let Some(precondition) = &payload.precondition {
                p.note { "The precondition " code { (precondition) } " is not sent again." }
            }
            div.actions {
                button.is-main type="submit" { "Send write " (status.id) " again" }
            }
        }
    }
}

/// Puts each member of an object on a line of its own. Values keep their digits.
fn pretty(json: &str) -> String {
    use serde_json::value::RawValue;
    #[derive(Deserialize)]
    #[serde(transparent)]
    struct Members<'a>(#[serde(borrow)] std::collections::BTreeMap<String, &'a RawValue>);
    match serde_json::from_str::<Members<'_>>(json) {
        Ok(Members(members)) => {
            let name = |name: &String| serde_json::Value::from(name.as_str());
            let lines =
                members.iter().map(|(key, value)| format!("  {}: {}", name(key), value.get()));
            format!("{{\n{}\n}}", lines.collect::<Vec<_>>().join(",\n"))
        }
        Err(_) => json.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(operation: &str, outcome: &str) -> Status {
        let status = serde_json::json!({
            "id": "a", "table": "a b", "key": "1,2", "operation": operation, "outcome": outcome,
        });
        serde_json::from_value(status).unwrap()
    }

    #[test]
    fn an_unchanged_write_says_what_its_operation_found() {
        let shown = |operation| news(&status(operation, "unchanged"), true).into_string();
        assert!(shown("insert_ignore").contains("A row with this key was there and is left alone"));
        assert!(shown("delete").contains("The row was not there"));
        assert!(shown("upsert").contains("The row was as the write wants it already"));
    }

    #[test]
    fn a_write_leads_to_its_row() {
        let page = row_page(&status("update", "applied"));
        assert_eq!(page.as_deref(), Some("/tables/a%20b/row?key=1%2C2"));
    }

    #[test]
    fn a_row_stands_on_several_lines_and_keeps_its_digits() {
        assert_eq!(
            pretty(r#"{"id":"1","n":12345678901234567890.10}"#),
            "{\n  \"id\": \"1\",\n  \"n\": 12345678901234567890.10\n}"
        );
        assert_eq!(pretty("no JSON"), "no JSON");
    }
}
