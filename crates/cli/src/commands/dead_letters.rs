//! `aurora-sync dlq`.

use jiff::Timestamp;
use serde::Serialize;

use super::output::{Cell, Colour, age, columns, counted, has_colours, printable};
use super::{deployed, ended, is_agreed, print_json};
use crate::arguments::dead_letters::{
    DeadLettersCommand, DeadList, DeadShow, QueueName, Selected, Take,
};
use crate::operations::Deployed;
use crate::operations::dead_letters::{
    Action, CauseChoice, DeadLetter, Looked, Moved, Queue, REDRIVEN_FILES, Selection, Summary,
    TableChoice, check, look, summaries, take,
};
use crate::outcome::{Outcome, wrong_usage};
use crate::progress::{Progress, error_line, line};

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

async fn look_at(deployed: &Deployed, name: Option<QueueName>) -> anyhow::Result<Vec<Looked>> {
    let mut all = Vec::new();
    for queue in queues(name) {
        all.push(look(deployed, queue).await?);
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
    let looked = look_at(deployed, arguments.queue).await?;
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
    let looked = look_at(deployed, arguments.selected.queue).await?;
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
    let looked = look_at(deployed, arguments.selected.queue).await?;
    check(&selection, &looked)?;
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
        let progress = Progress::new(queue.as_str());
        let moved = take(deployed, queue, &selection, action, |moved| {
            progress.at(None, &counted(moved.messages, "message"));
        });
        let moved = moved.await?;
        drop(progress);
        taken.push(Taken { queue, moved });
    }
    if arguments.json {
        print_json(&taken)?;
    } else if taken.is_empty() {
        line("there is no dead letter");
    }
    for Taken { queue, moved } in taken.iter().filter(|_| !arguments.json) {
        line(&format!(
            "{}: {} with {} {}; {} left",
            queue.as_str(),
            counted(moved.messages, "message"),
            counted(moved.items, item(*queue)),
            done(action),
            moved.left
        ));
    }
    Ok(Outcome::Good)
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
        let letters = looked.letters.iter().filter(|letter| selection.selects(letter));
        let (messages, items) = letters.fold((0, 0), |(messages, items), letter| {
            (messages + 1, items + letter.items.len() as u64)
        });
        if messages > 0 {
            let at_least = if looked.is_partial { "at least " } else { "" };
            let item = item(looked.queue);
            let counted_items = counted(items, item);
            parts.push(format!("{at_least}{counted_items} in {}", counted(messages, "message")));
        }
    }
    let what =
        if parts.is_empty() { "nothing that can be seen".to_owned() } else { parts.join(" and ") };
    match action {
        Action::Redrive => {
            let has_files = looked
                .iter()
                .any(|looked| looked.queue == Queue::Imports && !looked.letters.is_empty());
            let files = if has_files { format!(" {REDRIVEN_FILES}") } else { String::new() };
            format!("Redrive {what}?{files}")
        }
        Action::Discard => {
            format!("Discard {what}? The writes are rejected, and the imports fail.")
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

    #[test]
    fn the_question_names_what_is_done() {
        let looked = Looked {
            queue: Queue::Writes,
            messages_total: 0,
            is_partial: false,
            causes_error: None,
            letters: Vec::new(),
        };
        let asked = |action| question(std::slice::from_ref(&looked), &Selection::default(), action);
        assert_eq!(asked(Action::Redrive), "Redrive nothing that can be seen?");
        assert!(asked(Action::Discard).ends_with("The writes are rejected, and the imports fail."));
    }
}
