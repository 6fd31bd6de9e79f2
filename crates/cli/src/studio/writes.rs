//! The page of settled writes.

use axum::extract::{Query, State};
use axum::response::{IntoResponse as _, Redirect, Response};
use jiff::Timestamp;
use maud::{Markup, html};

use super::page::{Area, badge, page, time};
use super::site::{Failure, Shared};
use crate::api::{Page, encoded};
use crate::operations::writes::{self, Filter, Order, Write};

const OUTCOMES: [&str; 4] = ["applied", "unchanged", "superseded", "rejected"];

/// The times that a person can choose, in hours.
const SINCE: [(&str, &str, i64); 4] = [
    ("1h", "the last hour", 1),
    ("1d", "the last day", 24),
    ("7d", "the last week", 168),
    ("all", "any time", 0),
];

const LIMIT: u32 = 50;

pub(super) async fn list(
    State(site): Shared,
    Query(query): Query<Vec<(String, String)>>,
) -> Result<Response, Failure> {
    let field = |name: &str| {
        let found = query.iter().find(|(found, _)| found == name);
        found.map(|(_, value)| value.trim().to_owned()).filter(|value| !value.is_empty())
    };
    if let Some(id) = field("id") {
        return Ok(Redirect::to(&format!("/writes/{}", encoded(&id))).into_response());
    }
    let since = field("since").unwrap_or_else(|| "1d".to_owned());
    let hours = SINCE.iter().find(|(word, ..)| *word == since).map_or(24, |(.., hours)| *hours);
    let filter = Filter {
        outcome: field("outcome"),
        table: field("table"),
        key: field("key"),
        rule: field("rule"),
        caller: field("caller"),
        since: (hours > 0).then(|| hours_ago(hours)),
        until: None,
    };
    let found = match field("page").filter(|path| path.starts_with("/_sync/writes?")) {
        Some(path) => writes::next(&site.deployed, &path).await?,
        None => writes::list(&site.deployed, &filter, Order::NewestFirst, LIMIT).await?,
    };
    let body = html! {
        (search(&filter, &since))
        (grid(&found))
        nav.pages aria-label="Pages" {
            @if let Some(next) = &found.next {
                a rel="next" href={ "/writes?" (query_of(&filter, &since)) "&page=" (encoded(next)) } { "Next page" }
            }
            span.note { (found.items.len()) " settled writes on this page. Times are UTC." }
        }
    };
    Ok(page(Area::Writes, "Writes", &body).into_response())
}

/// Returns a time to the second: the API takes no more than six digits after it.
fn hours_ago(hours: i64) -> Timestamp {
    let seconds = Timestamp::now().as_second() - hours * 3_600;
    Timestamp::from_second(seconds).unwrap_or(Timestamp::MIN)
}

fn query_of(filter: &Filter, since: &str) -> String {
    let all = [
        ("outcome", filter.outcome.as_deref()),
        ("table", filter.table.as_deref()),
        ("key", filter.key.as_deref()),
        ("rule", filter.rule.as_deref()),
        ("caller", filter.caller.as_deref()),
        ("since", Some(since)),
    ];
    let pairs =
        all.iter().filter_map(|(name, value)| Some(format!("{name}={}", encoded((*value)?))));
    pairs.collect::<Vec<_>>().join("&")
}

fn search(filter: &Filter, since: &str) -> Markup {
    let text = |name: &str, label: &str, value: Option<&String>| {
        html! {
            label { span { (label) } input type="text" name=(name) value=[value] autocomplete="off"; }
        }
    };
    html! {
        form.filters method="get" action="/writes" role="search" aria-label="Search the writes" {
            (text("id", "Id", None))
            (text("table", "Table", filter.table.as_ref()))
            (text("key", "Key", filter.key.as_ref()))
            label { span { "Outcome" }
                select name="outcome" {
                    option value="" { "Any" }
                    @for outcome in OUTCOMES {
                        option value=(outcome) selected[filter.outcome.as_deref() == Some(outcome)] { (outcome) }
                    }
                }
            }
            (text("caller", "Caller", filter.caller.as_ref()))
            label { span { "Settled within" }
                select name="since" {
                    @for (word, words, _) in SINCE { option value=(word) selected[word == since] { (words) } }
                }
            }
            button type="submit" { "Search" }
        }
    }
}

fn grid(found: &Page<Write>) -> Markup {
    html! {
        @if found.items.is_empty() {
            p.empty { "No settled write is found. A write that is still on its way has only its id: search for that." }
        } @else {
            div.scroll tabindex="0" role="region" aria-label="Settled writes" {
                table.data {
                    caption.hidden { "Settled writes, the newest first" }
                    thead {
                        tr {
                            th scope="col" { "Settled" } th scope="col" { "Outcome" }
                            th scope="col" { "Table" } th scope="col" { "Key" }
                            th scope="col" { "Operation" } th scope="col" { "Reason" }
                            th scope="col" { "Caller" } th scope="col" { span.hidden { "Actions" } }
                        }
                    }
                    tbody { @for write in &found.items { (line(write)) } }
                }
            }
        }
    }
}

fn line(write: &Write) -> Markup {
    let text = |value: &Option<String>| value.clone().unwrap_or_default();
    html! {
        tr {
            td { (time(&write.settled_at)) }
            td { (badge(&write.outcome)) }
            td { (text(&write.table)) }
            td { (text(&write.key)) }
            td { (write.operation) }
            td.wide {
                @if let Some(rule) = &write.rule { code { (rule) } " " }
                @if let Some(column) = &write.column { (column) ": " }
                (text(&write.reason))
            }
            td { (text(&write.caller)) }
            td.acts { a href={ "/writes/" (write.id) } aria-label={ "Open write " (write.id) } { "Open" } }
        }
    }
}
