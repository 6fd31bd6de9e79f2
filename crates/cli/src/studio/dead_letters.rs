//! The pages of the two dead-letter queues.

use axum::Form;
use axum::extract::{Path, Query, State};
use maud::{Markup, html};
use serde::Deserialize;

use super::page::{Area, badge, crumbs, hidden, page, time};
use super::site::{Failure, Shared, Site};
use crate::api::encoded;
use crate::operations::dead_letters::{
    Action, DeadLetter, Looked, Moved, Queue, Selection, Summary, look, summaries, take,
};

/// The messages of a queue, as a form or an address chooses them.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Choice {
    cause: Option<String>,
    table: Option<String>,
    id: Option<String>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Act {
    queue: String,
    action: String,
    cause: Option<String>,
    table: Option<String>,
    id: Option<String>,
    /// The action was confirmed on a page that names it.
    sure: Option<String>,
}

impl Choice {
    fn selection(&self) -> Selection {
        let given = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
        Selection {
            cause: given(&self.cause),
            table: given(&self.table),
            ids: given(&self.id).into_iter().collect(),
        }
    }

    fn fields(&self) -> Markup {
        html! {
            @for (name, value) in [("cause", &self.cause), ("table", &self.table), ("id", &self.id)] {
                @if let Some(value) = value { (hidden(name, value)) }
            }
        }
    }
}

pub(super) async fn list(State(site): Shared) -> Result<Markup, Failure> {
    overview(&site, None).await
}

/// Makes the page of both queues, with the result of an action.
async fn overview(site: &Site, done: Option<String>) -> Result<Markup, Failure> {
    let mut looked = Vec::new();
    for queue in Queue::ALL {
        looked.push(Box::pin(look(&site.deployed, queue)).await?);
    }
    let body = html! {
        @if let Some(done) = done { div.notice.is-good role="status" { p { (done) } } }
        p.lead {
            "Messages that SQS stopped delivering after many attempts. Remove the cause, and then redrive them. Each of "
            "them is still applied once, in the order of its key."
        }
        @for looked in &looked { (queue(looked)) }
    };
    Ok(page(Area::DeadLetters, "Dead letters", &body))
}

fn queue(looked: &Looked) -> Markup {
    let name = looked.queue.as_str();
    let title = if looked.queue == Queue::Writes { "Writes" } else { "Files" };
    html! {
        section aria-labelledby=(name) {
            h2 id=(name) { (title) " " span.count { (looked.messages_total) } }
            @if looked.is_partial {
                p.note {
                    "SQS shows ten messages of a message group at most. The others follow when these are redriven or "
                    "discarded."
                }
            }
            @if looked.messages_total == 0 {
                p.empty { "No dead letters." }
            } @else {
                div.scroll tabindex="0" role="region" aria-label={ "Dead letters of " (name) } {
                    table {
                        caption.hidden { "Dead letters of " (name) ", by cause and table" }
                        thead {
                            tr {
                                th scope="col" { "Cause" } th scope="col" { "Table" }
                                th.num scope="col" { "Messages" }
                                th.num scope="col" { (if looked.queue == Queue::Writes { "Writes" } else { "Files" }) }
                                th scope="col" { "Oldest (UTC)" } th scope="col" { span.hidden { "Actions" } }
                            }
                        }
                        tbody { @for summary in summaries(looked) { (line(&summary)) } }
                    }
                }
            }
        }
    }
}

fn line(summary: &Summary) -> Markup {
    let table = summary.table.clone().unwrap_or_else(|| "unreadable".to_owned());
    let choice =
        Choice { cause: Some(summary.cause.clone()), table: summary.table.clone(), id: None };
    let query = format!(
        "cause={}{}",
        encoded(&summary.cause),
        summary
            .table
            .as_ref()
            .map_or_else(String::new, |table| format!("&table={}", encoded(table)))
    );
    html! {
        tr {
            th.wide scope="row" { (summary.cause) }
            td { (table) }
            td.num { (summary.messages) }
            td.num { (summary.items) }
            td { (time(&summary.oldest_at)) }
            td.acts {
                a href={ "/dead-letters/" (summary.queue.as_str()) "?" (query) }
                    aria-label={ "Show those of " (table) ", " (summary.cause) } { "Show" }
                (button(summary.queue, Action::Redrive, &choice))
                (button(summary.queue, Action::Discard, &choice))
            }
        }
    }
}

fn word(action: Action) -> &'static str {
    match action {
        Action::Redrive => "redrive",
        Action::Discard => "discard",
    }
}

/// Makes the button that asks for an action.
fn button(queue: Queue, action: Action, choice: &Choice) -> Markup {
    let (label, class) = match action {
        Action::Redrive => ("Redrive", ""),
        Action::Discard => ("Discard…", "is-bad"),
    };
    let about = choice.table.as_deref().unwrap_or("unreadable messages");
    html! {
        form.inline method="post" action="/dead-letters" {
            (hidden("queue", queue.as_str())) (hidden("action", word(action))) (choice.fields())
            button.is-small class=(class) type="submit" aria-label={ (label) " " (about) } { (label) }
        }
    }
}

pub(super) async fn act(State(site): Shared, Form(act): Form<Act>) -> Result<Markup, Failure> {
    let queue = named(&act.queue)?;
    let action = match act.action.as_str() {
        "redrive" => Action::Redrive,
        "discard" => Action::Discard,
        other => return Err(Failure::wrong(format!("{other:?} is no action on dead letters."))),
    };
    let choice = Choice { cause: act.cause, table: act.table, id: act.id };
    if action == Action::Discard && act.sure.is_none() {
        return Ok(confirm(queue, &choice));
    }
    let moved = Box::pin(take(&site.deployed, queue, &choice.selection(), action, |_| {})).await?;
    let Moved { messages, items, left } = moved;
    let things = if queue == Queue::Writes { "writes" } else { "files" };
    let done = match action {
        Action::Redrive => "sent to their queue again",
        Action::Discard => "discarded",
    };
    overview(
        &site,
        Some(format!("{messages} messages with {items} {things} were {done}. {left} stay.")),
    )
    .await
}

fn confirm(queue: Queue, choice: &Choice) -> Markup {
    let what = match (&choice.id, &choice.table, &choice.cause) {
        (Some(id), ..) => format!("message {id}"),
        (None, Some(table), Some(cause)) => format!("all of {table} with the cause {cause:?}"),
        (None, Some(table), None) => format!("all of {table}"),
        _ => "all that cannot be read".to_owned(),
    };
    let effect = match queue {
        Queue::Writes => {
            "Their writes are rejected as discarded. Their payloads are kept, and can be sent again."
        }
        Queue::Imports => "Their imports fail, and say that they were discarded. The files stay.",
    };
    let body = html! {
        (crumbs(&[("/dead-letters", "Dead letters")]))
        p.lead { (effect) }
        form method="post" action="/dead-letters" {
            (hidden("queue", queue.as_str())) (hidden("action", "discard")) (hidden("sure", "1")) (choice.fields())
            div.actions {
                button.is-bad type="submit" { "Discard " (what) }
                a.button href="/dead-letters" { "Keep them" }
            }
        }
    };
    page(Area::DeadLetters, &format!("Discard {what}?"), &body)
}

pub(super) async fn show(
    State(site): Shared,
    Path(name): Path<String>,
    Query(choice): Query<Choice>,
) -> Result<Markup, Failure> {
    let queue = named(&name)?;
    let looked = Box::pin(look(&site.deployed, queue)).await?;
    let selection = choice.selection();
    let letters: Vec<_> =
        looked.letters.iter().filter(|letter| selection.selects(letter)).collect();
    let body = html! {
        (crumbs(&[("/dead-letters", "Dead letters")]))
        @if let Some(cause) = &choice.cause { p.lead { "Cause: " (cause) } }
        @if letters.is_empty() { p.empty { "These dead letters are not there any more." } }
        @for found in letters { (letter(found)) }
    };
    Ok(page(Area::DeadLetters, &format!("Dead letters of {name}"), &body))
}

fn letter(letter: &DeadLetter) -> Markup {
    let choice = Choice { id: Some(letter.id.clone()), ..Choice::default() };
    html! {
        section.panel aria-label={ "Message " (letter.id) } {
            h2 { "Message " (letter.id) }
            p.note { "Sent " (time(&letter.sent_at)) " UTC" @if let Some(group) = &letter.group { ", group " (group) } }
            @if let Some(body) = &letter.unreadable { pre tabindex="0" { (body) } }
            ul.plain {
                @for item in &letter.items {
                    li {
                        @if let Some(write) = &item.write {
                            p { (badge(&write.operation)) " " a href={ "/writes/" (item.id) } { (item.id) } " into " (item.table) }
                            pre tabindex="0" aria-label={ "The row of " (item.id) } {
                                (serde_json::to_string_pretty(&write.row).unwrap_or_default())
                            }
                        }
                        @if let Some(file) = &item.file { p { "s3://" (file.bucket) "/" (file.key) } }
                    }
                }
            }
            div.actions {
                (button(letter.queue, Action::Redrive, &choice))
                (button(letter.queue, Action::Discard, &choice))
            }
        }
    }
}

fn named(name: &str) -> Result<Queue, Failure> {
    let found = Queue::ALL.into_iter().find(|queue| queue.as_str() == name);
    found.ok_or_else(|| Failure::not_found(format!("There is no queue {name:?}.")))
}
