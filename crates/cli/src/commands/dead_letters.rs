//! `aurora-sync dlq`.

use std::io::{self, IsTerminal as _};

use jiff::Timestamp;
use serde::Serialize;

use super::output::{Cell, Colour, age, columns, counted, has_colours, printable};
use super::{deployed, ended, is_agreed, print_json};
use crate::arguments::dead_letters::{
    DeadLettersCommand, DeadList, DeadShow, QueueName, Selected, Take,
};
use crate::operations::Deployed;
use crate::operations::dead_letters::{
    Action, CauseChoice, Causes, DeadLetter, Looked, Moved, Queue, REDRIVEN_FILES, Selection,
    Summary, TableChoice, check, look, summaries, take,
};
use crate::outcome::{Outcome, wrong_usage};
use crate::progress::{Progress, error_line, grouped, line};

pub(crate) async fn run(command: &DeadLettersCommand) -> Outcome {
    let (place, taken) = match command {
        DeadLettersCommand::List(arguments) => (&arguments.place, None),
        DeadLettersCommand::Show(arguments) => (&arguments.place, None),
        DeadLettersCommand::Redrive(arguments) => (&arguments.take.place, Some(&arguments.take)),
        DeadLettersCommand::Discard(arguments) => (&arguments.take.place, Some(&arguments.take)),
    };
    if taken.is_some_and(|take| !take.all && take.selected.is_empty()) {
        return wrong_usage(&anyhow::anyhow!(
            "say which dead letters: give --all, or --queue, --cause, --table or --id"
        ));
    }
    let deployed = match deployed(place).await {
        Ok(deployed) => deployed,
        Err(outcome) => return outcome,
    };
    ended(match command {
        DeadLettersCommand::List(arguments) => list(&deployed, arguments).await,
        DeadLettersCommand::Show(arguments) => show(&deployed, arguments).await,
        DeadLettersCommand::Redrive(arguments) => {
            take_all(&deployed, &arguments.take, Action::Redrive).await
        }
        DeadLettersCommand::Discard(arguments) => {
            take_all(&deployed, &arguments.take, Action::Discard).await
        }
    })
}

fn queues(name: Option<QueueName>) -> Vec<Queue> {
    match name {
        Some(QueueName::Writes) => vec![Queue::Writes],
        Some(QueueName::Imports) => vec![Queue::Imports],
        None => Queue::ALL.to_vec(),
    }
}

async fn look_at(
    deployed: &Deployed,
    name: Option<QueueName>,
    causes: &mut Causes,
) -> anyhow::Result<Vec<Looked>> {
    let mut all = Vec::new();
    for queue in queues(name) {
        all.push(look(deployed, queue, causes).await?);
    }
    Ok(all)
}

/// The dead letters of a queue, in short.
#[derive(Debug, Serialize)]
struct Listed {
    queue: Queue,
    messages_total: u64,
    is_partial: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    causes_error: Option<String>,
    groups: Vec<Summary>,
}

impl Listed {
    fn of(looked: &Looked) -> Self {
        let Looked { queue, messages_total, is_partial, .. } = *looked;
        let causes_error = looked.causes_error.clone();
        Self { queue, messages_total, is_partial, causes_error, groups: summaries(looked) }
    }
}

async fn list(deployed: &Deployed, arguments: &DeadList) -> anyhow::Result<Outcome> {
    let looked = look_at(deployed, arguments.queue, &mut Causes::default()).await?;
    let listed: Vec<_> = looked.iter().map(Listed::of).collect();
    if arguments.json {
        print_json(&listed)?;
    } else {
        line(&text(&listed, Timestamp::now(), has_colours()));
    }
    let is_empty = listed.iter().all(|listed| listed.messages_total == 0);
    Ok(if is_empty { Outcome::Good } else { Outcome::Attention })
}

fn text(listed: &[Listed], now: Timestamp, has_colours: bool) -> String {
    let mut rows: Vec<Vec<Cell>> = Vec::new();
    let mut notes = Vec::new();
    for Listed { queue, messages_total, is_partial, causes_error, groups } in listed {
        let name = queue.as_str();
        let at_least = if *is_partial { "at least " } else { "" };
        for group in groups {
            rows.push(vec![
                name.into(),
                Cell::coloured(
                    format!("{at_least}{}", counted(group.messages, "message")),
                    Colour::Red,
                ),
                counted(group.items, item(*queue)).into(),
                printable(group.table.as_deref().unwrap_or("not readable")).into(),
                format!("oldest {}", age(&group.oldest_at, now)).into(),
                printable(&group.cause).into(),
            ]);
        }
        if *is_partial {
            notes.push(format!(
                "{name}: {} in all. Not all can be seen: SQS shows ten of a message group at most, and none \
                 that somebody else looks at",
                counted(*messages_total, "message")
            ));
        } else if groups.is_empty() {
            notes.push(format!("{name}: no dead letter"));
        }
        if let Some(error) = causes_error {
            notes.push(format!("{name}: the causes are not known: {}", printable(error)));
        }
    }
    let rows = (!rows.is_empty()).then(|| columns(&rows, has_colours));
    rows.into_iter().chain(notes).collect::<Vec<_>>().join("\n")
}

/// Returns the noun for the contents of a message.
fn item(queue: Queue) -> &'static str {
    match queue {
        Queue::Writes => "write",
        Queue::Imports => "file",
    }
}

fn selection(selected: &Selected) -> Selection {
    let Selected { cause, table, ids, .. } = selected.clone();
    Selection {
        cause: cause.map_or(CauseChoice::Any, CauseChoice::BeginsWith),
        table: table.map_or(TableChoice::Any, TableChoice::Is),
        ids,
    }
}

async fn show(deployed: &Deployed, arguments: &DeadShow) -> anyhow::Result<Outcome> {
    let selection = selection(&arguments.selected);
    let looked = look_at(deployed, arguments.selected.queue, &mut Causes::default()).await?;
    check(&selection, &looked)?;
    let letters = looked.iter().flat_map(|looked| &looked.letters);
    let letters: Vec<_> = letters.filter(|letter| selection.selects(letter)).collect();
    if arguments.json {
        print_json(&letters)?;
    } else if letters.is_empty() {
        error_line("no dead letter meets the conditions");
    } else {
        line(&letters.iter().map(|letter| letter_text(letter)).collect::<Vec<_>>().join("\n"));
    }
    for error in looked.iter().filter_map(|looked| looked.causes_error.as_ref()) {
        error_line(&format!("the causes are not known: {}", printable(error)));
    }
    if looked.iter().any(|looked| looked.is_partial) {
        error_line("not all dead letters can be seen: SQS shows ten of a message group at most");
    }
    Ok(Outcome::Good)
}

fn letter_text(letter: &DeadLetter) -> String {
    let mut lines = vec![format!(
        "{} {}  sent {}  {}",
        letter.queue.as_str(),
        letter.id,
        letter.sent_at,
        printable(&letter.cause)
    )];
    for item in &letter.items {
        if let Some(write) = &item.write {
            let row = serde_json::to_string(&write.row).unwrap_or_default();
            lines.push(printable(&format!("{} {} {} {row}", item.id, write.operation, item.table)));
        }
        if let Some(file) = &item.file {
            lines.push(printable(&format!("s3://{}/{} ({})", file.bucket, file.key, file.version)));
        }
    }
    if let Some(body) = &letter.unreadable {
        lines.push(format!("not readable: {}", printable(body)));
    }
    lines.join("\n  ")
}

/// The result for one queue.
#[derive(Debug, Serialize)]
struct Taken {
    queue: Queue,
    #[serde(flatten)]
    moved: Moved,
}

async fn take_all(
    deployed: &Deployed,
    arguments: &Take,
    action: Action,
) -> anyhow::Result<Outcome> {
    let selection = selection(&arguments.selected);
    let mut causes = Causes::default();
    let looked = look_at(deployed, arguments.selected.queue, &mut causes).await?;
    check(&selection, &looked)?;
    if !may_select(&looked, &selection) {
        return nothing_taken(&looked, arguments.json, action);
    }
    if !arguments.yes {
        let question = question(&looked, &selection, action);
        match is_agreed(&question, false) {
            Ok(true) => {}
            Ok(false) => return Ok(Outcome::Usage),
            Err(error) => return Ok(wrong_usage(&error)),
        }
    }
    let mut taken = Vec::new();
    for looked in looked.iter().filter(|looked| looked.messages_total > 0) {
        let queue = looked.queue;
        // Only on a terminal: elsewhere the first line would stay, with a part of the number.
        let progress = io::stderr().is_terminal().then(|| Progress::new(queue.as_str()));
        let moved = take(deployed, queue, &selection, action, &mut causes, |moved| {
            if let Some(progress) = &progress {
                progress.at(None, &counted(moved.messages, "message"));
            }
        });
        let moved = moved.await;
        drop(progress);
        let moved = match moved {
            Err(error) if !taken.is_empty() => {
                for Taken { queue, moved } in &taken {
                    error_line(&taken_text(*queue, *moved, action));
                }
                // Not an error of the command line: some messages are moved.
                anyhow::bail!("{error:#}");
            }
            moved => moved?,
        };

        taken.push(Taken { queue, moved });
    }
    if arguments.json {
        print_json(&taken)?;
    }
    for Taken { queue, moved } in taken.iter().filter(|_| !arguments.json) {
        line(&taken_text(*queue, *moved, action));
    }
    Ok(Outcome::Good)
}

/// Returns `true` if a message is selected, or there are messages that cannot be seen.
fn may_select(looked: &[Looked], selection: &Selection) -> bool {
    looked.iter().any(|looked| {
        looked.is_partial || looked.letters.iter().any(|letter| selection.selects(letter))
    })
}

/// Prints that no message is selected.
fn nothing_taken(looked: &[Looked], is_json: bool, action: Action) -> anyhow::Result<Outcome> {
    let looked = looked.iter().filter(|looked| looked.messages_total > 0);
    let taken: Vec<_> = looked
        .map(|looked| Taken {
            queue: looked.queue,
            moved: Moved { left: looked.messages_total, ..Moved::default() },
        })
        .collect();
    if is_json {
        print_json(&taken)?;
    } else if taken.is_empty() {
        line("there is no dead letter");
    } else {
        error_line(&format!("no dead letter meets the conditions; nothing was {}", done(action)));
    }
    Ok(Outcome::Good)
}

/// Formats the result for a queue.
fn taken_text(queue: Queue, moved: Moved, action: Action) -> String {
    let Moved { messages, items, unreadable, left } = moved;
    let (items, done) = (counted(items, item(queue)), done(action));
    let what = if unreadable == 0 {
        format!("{} with {items} {done}", counted(messages, "message"))
    } else if unreadable == messages {
        format!("{} {done}", counted(messages, "unreadable message"))
    } else {
        let messages = counted(messages, "message");
        format!("{messages} with {items} {done}, {} of them unreadable", grouped(unreadable))
    };
    let rule = if unreadable > 0 && queue == Queue::Writes && action == Action::Discard {
        ". What apply cannot read settles with the rule unreadable"
    } else {
        ""
    };
    format!("{}: {what}; {left} left{rule}", queue.as_str())
}

fn done(action: Action) -> &'static str {
    match action {
        Action::Redrive => "redriven",
        Action::Discard => "discarded",
    }
}

/// Asks for a task by naming what it does.
fn question(looked: &[Looked], selection: &Selection, action: Action) -> String {
    let mut parts = Vec::new();
    for looked in looked {
        let (mut messages, mut items, mut unreadable) = (0, 0, 0);
        for letter in looked.letters.iter().filter(|letter| selection.selects(letter)) {
            messages += 1;
            items += letter.items.len() as u64;
            unreadable += u64::from(letter.unreadable.is_some());
        }
        if messages > 0 {
            let at_least = if looked.is_partial { "at least " } else { "" };
            let items = counted(items, item(looked.queue));
            let what = if unreadable == 0 {
                format!("{items} in {}", counted(messages, "message"))
            } else if unreadable == messages {
                counted(messages, "unreadable message")
            } else {
                let messages = counted(messages, "message");
                format!("{items} in {messages}, {} of them unreadable", grouped(unreadable))
            };
            parts.push(format!("{at_least}{what}"));
        }
    }
    let verb = match action {
        Action::Redrive => "Redrive",
        Action::Discard => "Discard",
    };
    let asked = if parts.is_empty() {
        let hidden =
            |looked: &Looked| looked.messages_total.saturating_sub(looked.letters.len() as u64);
        format!(
            "None of the messages that can be seen meets the conditions, and {} cannot be seen. {verb} \
             those of them that do?",
            grouped(looked.iter().map(hidden).sum())
        )
    } else {
        format!("{verb} {}?", parts.join(" and "))
    };
    match action {
        Action::Redrive => {
            let has_files = looked.iter().any(|looked| {
                let is_selected = looked.letters.iter().any(|letter| selection.selects(letter));
                looked.queue == Queue::Imports && (looked.is_partial || is_selected)
            });

            let files = if has_files { format!(" {REDRIVEN_FILES}") } else { String::new() };
            format!("{asked}{files}")
        }
        Action::Discard => {
            format!("{asked} The writes are rejected, and the imports fail.")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_says_when_it_is_not_complete() {
        let listed = |is_partial| Listed {
            queue: Queue::Writes,
            messages_total: 12,
            is_partial,
            causes_error: None,
            groups: vec![Summary {
                queue: Queue::Writes,
                cause: "42501".into(),
                table: Some("staff".into()),
                messages: 10,
                items: 11,
                oldest_at: "2026-11-27T12:00:00Z".into(),
            }],
        };
        let now = "2026-11-29T12:00:00Z".parse().unwrap();
        let none = Listed {
            queue: Queue::Imports,
            messages_total: 0,
            is_partial: false,
            causes_error: None,
            groups: vec![],
        };
        assert_eq!(
            text(&[listed(false), none], now, false),
            "writes  10 messages  11 writes  staff  oldest 2 d  42501\nimports: no dead letter"
        );
        let partial = text(&[listed(true)], now, false);
        assert!(partial.starts_with("writes  at least 10 messages"), "{partial}");
        assert!(partial.contains("\nwrites: 12 messages in all. Not all can be seen"), "{partial}");
    }

    #[test]
    fn the_list_says_why_causes_are_not_known() {
        let listed = Listed {
            queue: Queue::Writes,
            messages_total: 1,
            is_partial: true,
            causes_error: Some("no answer".to_owned()),
            groups: vec![],
        };
        let said = text(&[listed], Timestamp::UNIX_EPOCH, false);
        assert!(said.ends_with("\nwrites: the causes are not known: no answer"), "{said}");
    }

    /// Returns a queue with a message of this table, and with an unreadable one.
    fn two(messages_total: u64, table: &str) -> Looked {
        let letter = |table: Option<&str>| DeadLetter {
            queue: Queue::Writes,
            id: "1".to_owned(),
            group: None,
            sent_at: String::new(),
            cause: String::new(),
            table: table.map(str::to_owned),
            items: Vec::new(),
            unreadable: table.is_none().then(|| "no JSON".to_owned()),
        };
        Looked {
            queue: Queue::Writes,
            messages_total,
            is_partial: messages_total > 2,
            causes_error: None,
            letters: vec![letter(Some(table)), letter(None)],
        }
    }

    fn of_table(table: &str) -> Selection {
        Selection { table: TableChoice::Is(table.to_owned()), ..Selection::default() }
    }

    fn asked(looked: Looked, selection: &Selection, action: Action) -> String {
        question(&[looked], selection, action)
    }

    #[test]
    fn the_question_names_what_is_done() {
        let asked = |selection: &Selection, action| asked(two(2, "staff"), selection, action);
        let of_staff = of_table("staff");
        assert_eq!(asked(&of_staff, Action::Redrive), "Redrive 0 writes in 1 message?");
        assert_eq!(
            asked(&of_staff, Action::Discard),
            "Discard 0 writes in 1 message? The writes are rejected, and the imports fail."
        );
    }

    #[test]
    fn the_question_counts_unreadable_messages() {
        let asked = |selection: &Selection| asked(two(2, "staff"), selection, Action::Redrive);
        let all = Selection::default();
        assert_eq!(asked(&all), "Redrive 0 writes in 2 messages, 1 of them unreadable?");
        let unreadable = Selection { table: TableChoice::Unreadable, ..Selection::default() };
        assert_eq!(asked(&unreadable), "Redrive 1 unreadable message?");
    }

    #[test]
    fn the_question_says_that_the_selected_messages_may_be_among_those_that_cannot_be_seen() {
        let asked = |action| asked(two(12, "staff"), &of_table("nothing"), action);
        let expected =
            "None of the messages that can be seen meets the conditions, and 10 cannot be seen. ";
        assert_eq!(asked(Action::Redrive), format!("{expected}Redrive those of them that do?"));
        assert!(asked(Action::Discard).starts_with(&format!("{expected}Discard those of them")));
    }

    #[test]
    fn only_messages_that_can_be_seen_to_meet_no_condition_are_left_without_a_question() {
        let may_select = |total, table| may_select(&[two(total, "staff")], &of_table(table));
        assert!(may_select(2, "staff"));
        assert!(!may_select(2, "nothing"));
        assert!(may_select(12, "nothing"));
    }

    #[test]
    fn the_result_counts_unreadable_messages_and_names_their_rule() {
        let said = |queue, messages, items, unreadable, action| {
            taken_text(queue, Moved { messages, items, unreadable, left: 0 }, action)
        };
        let (writes, discard, rule) = (
            Queue::Writes,
            Action::Discard,
            "; 0 left. What apply cannot read settles with the rule unreadable",
        );
        assert_eq!(
            said(writes, 3, 4, 0, discard),
            "writes: 3 messages with 4 writes discarded; 0 left"
        );
        assert_eq!(
            said(writes, 4, 0, 4, discard),
            format!("writes: 4 unreadable messages discarded{rule}")
        );
        assert_eq!(
            said(writes, 7, 3, 4, discard),
            format!("writes: 7 messages with 3 writes discarded, 4 of them unreadable{rule}")
        );
        assert_eq!(
            said(writes, 1, 0, 1, Action::Redrive),
            "writes: 1 unreadable message redriven; 0 left"
        );
        assert_eq!(
            said(Queue::Imports, 1, 0, 1, discard),
            "imports: 1 unreadable message discarded; 0 left"
        );
    }
}
