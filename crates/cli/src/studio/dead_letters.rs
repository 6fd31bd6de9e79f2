//! The pages of the two dead-letter queues.

use axum::Form;
use axum::extract::{Path, Query, State};
use maud::{Markup, html};
use serde::Deserialize;

use super::page::{Area, badge, crumbs, hidden, page, time};
use super::site::{Failure, Shared, Site};
use crate::api::encoded;
use crate::operations::dead_letters::{
    Action, CauseChoice, Causes, DeadLetter, Looked, Moved, Queue, REDRIVEN_FILES, Selection,
    Summary, TableChoice, look, summaries, take,
};

/// The messages of a queue, as a form or an address chooses them.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Choice {
    cause: Option<String>,
    table: Option<String>,
    /// Only messages that cannot be read.
    unreadable: Option<String>,
    id: Option<String>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Act {
    queue: String,
    action: String,
    cause: Option<String>,
    table: Option<String>,
    unreadable: Option<String>,
    id: Option<String>,
    /// The action was confirmed on a page that names it.
    sure: Option<String>,
}

impl Choice {
    /// Chooses the messages of a row of the overview.
    fn of(summary: &Summary) -> Self {
        Self {
            cause: Some(summary.cause.clone()),
            table: summary.table.clone(),
            unreadable: summary.table.is_none().then(|| "1".to_owned()),
            id: None,
        }
    }

    fn selection(&self) -> Selection {
        let table = match &self.table {
            Some(table) => TableChoice::Is(table.clone()),
            None if self.unreadable.is_some() => TableChoice::Unreadable,
            None => TableChoice::Any,
        };
        let cause = self.cause.clone().map_or(CauseChoice::Any, CauseChoice::Is);
        Selection { cause, table, ids: self.id.iter().cloned().collect() }
    }

    /// Returns the names and values of what is given.
    fn pairs(&self) -> impl Iterator<Item = (&'static str, &str)> {
        let all = [
            ("cause", &self.cause),
            ("table", &self.table),
            ("unreadable", &self.unreadable),
            ("id", &self.id),
        ];
        all.into_iter().filter_map(|(name, value)| Some((name, value.as_deref()?)))
    }

    fn fields(&self) -> Markup {
        html! { @for (name, value) in self.pairs() { (hidden(name, value)) } }
    }

    fn query(&self) -> String {
        let pairs = self.pairs().map(|(name, value)| format!("{name}={}", encoded(value)));
        pairs.collect::<Vec<_>>().join("&")
    }

    /// Names the messages.
    fn name(&self) -> String {
        let of = match (&self.id, &self.table) {
            (Some(id), _) => return format!("message {id}"),
            (None, Some(table)) => format!("all of {table}"),
            (None, None) if self.unreadable.is_some() => "all that cannot be read".to_owned(),
            (None, None) => "all".to_owned(),
        };
        match &self.cause {
            Some(cause) => format!("{of} with the cause {cause:?}"),
            None => of,
        }
    }
}

pub(super) async fn list(State(site): Shared) -> Result<Markup, Failure> {
    overview(&site, None).await
}

/// Makes the page of both queues, with the result of an action.
async fn overview(site: &Site, done: Option<String>) -> Result<Markup, Failure> {
    let mut causes = Causes::default();
    let mut looked = Vec::new();
    for queue in Queue::ALL {
        looked.push(Box::pin(look(&site.deployed, queue, &mut causes)).await?);
    }
    let body = html! {
        @if let Some(done) = done { div.notice.is-good role="status" { p { (done) } } }
        p.lead {
            "Messages that SQS stopped delivering after many attempts. Remove the cause, and then redrive them. A write "
            "is applied once, or rejected if a later one of its key was applied. " (REDRIVEN_FILES)
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
            @if let Some(error) = &looked.causes_error {
                p.note { "The causes are not known: " (error) }
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
    let choice = Choice::of(summary);
    html! {
        tr {
            th.wide scope="row" { (summary.cause) }
            td { (table) }
            td.num { (summary.messages) }
            td.num { (summary.items) }
            td { (time(&summary.oldest_at)) }
            td.acts {
                a href={ "/dead-letters/" (summary.queue.as_str()) "?" (choice.query()) }
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

/// Returns the label of an action's button, and its class.
fn label(action: Action) -> (&'static str, &'static str) {
    match action {
        Action::Redrive => ("Redrive", ""),
        Action::Discard => ("Discard", "is-bad"),
    }
}

/// Returns the effect of an action, if a person has to confirm it.
fn effect(queue: Queue, action: Action) -> Option<&'static str> {
    match (action, queue) {
        (Action::Redrive, Queue::Writes) => None,
        (Action::Redrive, Queue::Imports) => Some(REDRIVEN_FILES),
        (Action::Discard, Queue::Writes) => Some(
            "Their writes are rejected as discarded. Their payloads are kept, and can be sent again if the API offers \
             their table. A message that apply cannot read is rejected as unreadable.",
        ),
        (Action::Discard, Queue::Imports) => {
            Some("Their imports fail, and say that they were discarded. The files stay.")
        }
    }
}

/// Makes the button that asks for an action.
fn button(queue: Queue, action: Action, choice: &Choice) -> Markup {
    let (label, class) = label(action);
    let dots = if effect(queue, action).is_some() { "…" } else { "" };
    html! {
        form.inline method="post" action="/dead-letters" {
            (hidden("queue", queue.as_str())) (hidden("action", word(action))) (choice.fields())
            button.is-small class=(class) type="submit" aria-label={ (label) (dots) " " (choice.name()) } {
                (label) (dots)
            }
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
    let Act { cause, table, unreadable, id, sure, .. } = act;
    let choice = Choice { cause, table, unreadable, id };
    if sure.is_none()
        && let Some(effect) = effect(queue, action)
    {
        return Ok(confirm(queue, action, effect, &choice));
    }
    let (selection, mut causes) = (choice.selection(), Causes::default());
    let taken = Box::pin(take(&site.deployed, queue, &selection, action, &mut causes, |_| {}));
    let moved = taken.await?;
    overview(&site, Some(taken_text(queue, moved, action))).await
}

/// Formats the result of an action.
fn taken_text(queue: Queue, moved: Moved, action: Action) -> String {
    let Moved { messages, items, unreadable, left } = moved;
    let things = if queue == Queue::Writes { "writes" } else { "files" };
    let done = match action {
        Action::Redrive => "sent to their queue again",
        Action::Discard => "discarded",
    };
    if unreadable == 0 {
        return format!("{messages} messages with {items} {things} were {done}. {left} stay.");
    }
    format!(
        "{messages} messages with {items} {things} were {done}, {unreadable} of them unreadable. {left} stay."
    )
}

/// Makes the page that names the effect of an action before it begins.
fn confirm(queue: Queue, action: Action, effect: &str, choice: &Choice) -> Markup {
    let (label, class) = label(action);
    let name = choice.name();
    let body = html! {
        (crumbs(&[("/dead-letters", "Dead letters")]))
        p.lead { (effect) }
        form method="post" action="/dead-letters" {
            (hidden("queue", queue.as_str())) (hidden("action", word(action))) (hidden("sure", "1")) (choice.fields())
            div.actions {
                button class=(class) type="submit" { (label) " " (name) }
                a.button href="/dead-letters" { "Keep them" }
            }
        }
    };
    page(Area::DeadLetters, &format!("{label} {name}?"), &body)
}

pub(super) async fn show(
    State(site): Shared,
    Path(name): Path<String>,
    Query(choice): Query<Choice>,
) -> Result<Markup, Failure> {
    let queue = named(&name)?;
    let looked = Box::pin(look(&site.deployed, queue, &mut Causes::default())).await?;
    let selection = choice.selection();
    let letters: Vec<_> =
        looked.letters.iter().filter(|letter| selection.selects(letter)).collect();
    let body = html! {
        (crumbs(&[("/dead-letters", "Dead letters")]))
        @if let Some(cause) = &choice.cause { p.lead { "Cause: " (cause) } }
        @if let Some(error) = &looked.causes_error {
            p.note { "The causes are not known: " (error) }
        } @else if letters.is_empty() {
            p.empty { "These dead letters are not there any more." }
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    fn summary(table: Option<&str>) -> Summary {
        Summary {
            queue: Queue::Writes,
            cause: "42501".to_owned(),
            table: table.map(str::to_owned),
            messages: 1,
            items: 1,
            oldest_at: "2026-11-27T12:00:00Z".to_owned(),
        }
    }

    #[test]
    fn a_row_of_the_overview_selects_its_cause_and_its_table_or_unreadable_messages() {
        for (table, selected, query) in [
            (Some("t"), TableChoice::Is("t".to_owned()), "cause=42501&table=t"),
            (None, TableChoice::Unreadable, "cause=42501&unreadable=1"),
        ] {
            let choice = Choice::of(&summary(table));
            let selection = choice.selection();
            assert_eq!(selection.cause, CauseChoice::Is("42501".to_owned()));
            assert_eq!(selection.table, selected);
            assert_eq!(choice.query(), query);
        }
    }

    #[test]
    fn the_result_of_an_action_counts_unreadable_messages() {
        let said = |unreadable| {
            let moved = Moved { messages: 7, items: 3, unreadable, left: 1 };
            taken_text(Queue::Writes, moved, Action::Discard)
        };
        assert_eq!(said(0), "7 messages with 3 writes were discarded. 1 stay.");
        assert_eq!(
            said(4),
            "7 messages with 3 writes were discarded, 4 of them unreadable. 1 stay."
        );
    }

    #[test]
    fn a_redrive_of_files_is_confirmed_on_a_page_that_names_its_effect() {
        let effect = effect(Queue::Imports, Action::Redrive).unwrap();
        let choice = Choice { table: Some("t".to_owned()), ..Choice::default() };
        let page = confirm(Queue::Imports, Action::Redrive, effect, &choice).into_string();
        assert!(page.contains("over rows that were changed since"), "{page}");
        assert!(page.contains(r#"name="action" value="redrive""#), "{page}");
        assert!(page.contains("Redrive all of t</button>"), "{page}");
    }

    #[test]
    fn a_redrive_of_writes_begins_at_once_and_a_discard_is_confirmed() {
        assert_eq!(effect(Queue::Writes, Action::Redrive), None);
        for queue in Queue::ALL {
            assert!(effect(queue, Action::Discard).is_some(), "{queue:?}");
        }
    }
}
