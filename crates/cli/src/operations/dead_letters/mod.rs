//! The dead-letter queues of writes and imports: look, redrive, discard.
//!
//! No message is lost: it leaves the dead-letter queue only after its task is done elsewhere. A
//! command that is killed between the two leaves it there, and a second run has no second effect,
//! since a write is settled once and an import ends once.

mod causes;
mod letter;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::Duration;

use anyhow::{Context as _, bail};
use serde::Serialize;
use serde_json::json;
use tokio::time::Instant;

pub(crate) use self::causes::Causes;
pub(crate) use self::letter::DeadLetter;
use super::Deployed;
use crate::aws::messages::{Message, Messages};

/// The most messages that are looked at.
const LOOKED_AT_MAX: usize = 1_000;

/// The time for which messages are hidden while somebody looks at them, in seconds. It is also the
/// time until they can be seen again if the command is killed.
const HIDDEN_S: i32 = 60;

/// The most time to look, well before the first messages can be seen again.
const LOOKED_WITHIN: Duration = Duration::from_secs(40);

/// The cause while causes cannot be read. The reason is in [`Looked`].
const NOT_READ: &str = "not known: it cannot be read";

const NO_CAUSES: &str = "the causes of dead letters cannot be read, so none is selected by its cause; try again, or \
                         select by queue, table or id";

/// The effect of a redrive on files.
pub(crate) const REDRIVEN_FILES: &str =
    "A file is loaded as if it was uploaded now, over rows that were changed since.";

/// One of the two queues.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Queue {
    Writes,
    Imports,
}

impl Queue {
    pub(crate) const ALL: [Self; 2] = [Self::Writes, Self::Imports];

    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Writes => "writes",
            Self::Imports => "imports",
        }
    }

    fn dead(self, deployed: &Deployed) -> anyhow::Result<Messages> {
        let url = match self {
            Self::Writes => {
                deployed.name("WritesDeadLetterQueueUrl", "WRITES_DEAD_LETTER_QUEUE_URL")
            }
            Self::Imports => {
                deployed.name("ImportsDeadLetterQueueUrl", "IMPORTS_DEAD_LETTER_QUEUE_URL")
            }
        };
        Ok(deployed.aws.messages(url?))
    }

    fn main(self, deployed: &Deployed) -> anyhow::Result<Messages> {
        let url = match self {
            Self::Writes => deployed.name("WritesQueueUrl", "WRITES_QUEUE_URL"),
            Self::Imports => deployed.name("ImportsQueueUrl", "IMPORTS_QUEUE_URL"),
        };
        Ok(deployed.aws.messages(url?))
    }
}

/// The messages of a dead-letter queue, as far as SQS shows them.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Looked {
    pub(crate) queue: Queue,
    /// The number of all messages, as SQS estimates it.
    pub(crate) messages_total: u64,
    /// There are messages that are not in `letters`: SQS shows ten of a message group at most, and
    /// none that somebody else looks at.
    pub(crate) is_partial: bool,
    /// The reason for which causes are not known, if they cannot be read.
    pub(crate) causes_error: Option<String>,
    pub(crate) letters: Vec<DeadLetter>,
}

/// The messages with one cause and one table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Summary {
    pub(crate) queue: Queue,
    pub(crate) cause: String,
    /// The table. `None` for messages that cannot be read.
    pub(crate) table: Option<String>,
    pub(crate) messages: u64,
    /// The writes, or the files.
    pub(crate) items: u64,
    /// The time at which the oldest message was sent, of RFC 3339.
    pub(crate) oldest_at: String,
}

/// The messages to redrive or discard: those that meet all that is given, or all messages.
#[derive(Debug, Clone, Default)]
pub(crate) struct Selection {
    pub(crate) cause: CauseChoice,
    pub(crate) table: TableChoice,
    /// Ids of messages, or of writes and imports in them. Empty: any.
    pub(crate) ids: Vec<String>,
}

/// The causes of a [`Selection`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) enum CauseChoice {
    #[default]
    Any,
    /// This cause only, as [`Summary`] has it.
    Is(String),
    /// All causes that begin with this text.
    BeginsWith(String),
}

/// The tables of a [`Selection`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) enum TableChoice {
    /// Any table, and messages that cannot be read.
    #[default]
    Any,
    /// This table only.
    Is(String),
    /// Only messages that cannot be read.
    Unreadable,
}

impl Selection {
    /// Returns `true` if the message is selected.
    pub(crate) fn selects(&self, letter: &DeadLetter) -> bool {
        let has = |id: &String| letter.id == *id || letter.items.iter().any(|item| item.id == *id);
        let has_cause = match &self.cause {
            CauseChoice::Any => true,
            CauseChoice::Is(cause) => letter.cause == *cause,
            CauseChoice::BeginsWith(text) => letter.cause.starts_with(text),
        };
        let has_table = match &self.table {
            TableChoice::Any => true,
            TableChoice::Is(table) => letter.table.as_ref() == Some(table),
            TableChoice::Unreadable => letter.table.is_none(),
        };
        has_cause && has_table && (self.ids.is_empty() || self.ids.iter().any(has))
    }
}

/// The task for the selected messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Action {
    /// Send them to the queue again, which settles them as if nothing had happened. A write that
    /// would overtake a later one of its key is rejected as `overtaken`.
    Redrive,
    /// Have their writes rejected as `discarded`, with their payloads kept, and their imports fail.
    Discard,
}

/// The result of an [`Action`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Moved {
    pub(crate) messages: u64,
    /// The writes, or the files.
    pub(crate) items: u64,
    /// The messages that cannot be read.
    pub(crate) unreadable: u64,
    /// The messages that stay in the dead-letter queue, as SQS estimates it.
    pub(crate) left: u64,
}

/// Looks at the messages of a dead-letter queue. They are hidden from others for a moment, and
/// stay in the queue. Reads their causes, which wakes up a paused database.
pub(crate) async fn look(
    deployed: &Deployed,
    queue: Queue,
    causes: &mut Causes,
) -> anyhow::Result<Looked> {
    let dead = queue.dead(deployed)?;
    let messages_total = dead.count().await?;
    if messages_total == 0 {
        return Ok(Looked {
            queue,
            messages_total,
            is_partial: false,
            causes_error: None,
            letters: Vec::new(),
        });
    }
    let mut messages: Vec<Message> = Vec::new();
    let received = receive_all(&dead, &mut messages).await;
    let released = dead.release(&messages).await;
    received?;
    released?;
    let mut causes_error = None;
    let mut letters = Vec::new();
    for message in &messages {
        let mut letter = DeadLetter::of(queue, message);
        // After an error, no further cause is asked for: each could fail after a long time.
        if causes_error.is_none() {
            match causes.of(deployed, &letter).await {
                Ok(cause) => letter.cause = cause,
                Err(error) => causes_error = Some(format!("{error:#}")),
            }
        }
        if causes_error.is_some() {
            NOT_READ.clone_into(&mut letter.cause);
        }
        letters.push(letter);
    }
    let is_partial = messages_total > letters.len() as u64;
    Ok(Looked { queue, messages_total, is_partial, causes_error, letters })
}

async fn receive_all(dead: &Messages, messages: &mut Vec<Message>) -> anyhow::Result<()> {
    let until = Instant::now() + LOOKED_WITHIN;
    while messages.len() < LOOKED_AT_MAX && Instant::now() < until {
        let received = dead.receive(HIDDEN_S).await?;
        if received.is_empty() {
            break;
        }
        messages.extend(received);
    }
    Ok(())
}

/// Groups messages by their cause and table, the largest group first.
pub(crate) fn summaries(looked: &Looked) -> Vec<Summary> {
    let mut groups: BTreeMap<(&str, Option<&str>), Summary> = BTreeMap::new();
    for letter in &looked.letters {
        let key = (letter.cause.as_str(), letter.table.as_deref());
        let summary = groups.entry(key).or_insert_with(|| Summary {
            queue: looked.queue,
            cause: letter.cause.clone(),
            table: letter.table.clone(),
            messages: 0,
            items: 0,
            oldest_at: letter.sent_at.clone(),
        });
        summary.messages += 1;
        summary.items += letter.items.len() as u64;
        if letter.sent_at < summary.oldest_at {
            summary.oldest_at.clone_from(&letter.sent_at);
        }
    }
    let mut summaries: Vec<_> = groups.into_values().collect();
    summaries.sort_by_key(|summary| std::cmp::Reverse(summary.messages));
    summaries
}

/// Takes the selected messages out of a dead-letter queue, in the order of each message group.
/// Tells `moved` after each message how far it is. Fails if a cause is selected and causes cannot
/// be read.
pub(crate) async fn take(
    deployed: &Deployed,
    queue: Queue,
    selection: &Selection,
    action: Action,
    causes: &mut Causes,
    mut moved: impl FnMut(Moved),
) -> anyhow::Result<Moved> {
    let dead = queue.dead(deployed)?;
    let mover = Mover { deployed, queue, main: queue.main(deployed)?, action };
    let mut kept: HashMap<String, Message> = HashMap::new();
    let mut done = Moved::default();
    let taken = async {
        let mut gone = HashSet::new();
        loop {
            let received = dead.receive(HIDDEN_S).await?;
            // A message that stays can be seen again after a while.
            let is_new =
                |message: &Message| !kept.contains_key(&message.id) && !gone.contains(&message.id);
            if !received.iter().any(is_new) {
                kept.extend(received.into_iter().map(|message| (message.id.clone(), message)));
                return anyhow::Ok(());
            }
            for (index, message) in received.iter().enumerate() {
                match mover.take_selected(&dead, message, selection, causes).await {
                    Ok(Some(letter)) => {
                        gone.insert(message.id.clone());
                        done.messages += 1;
                        done.items += letter.items.len() as u64;
                        done.unreadable += u64::from(letter.unreadable.is_some());
                        moved(done);
                    }
                    Ok(None) => {
                        kept.insert(message.id.clone(), message.clone());
                    }
                    Err(error) => {
                        let rest = received.iter().skip(index);
                        kept.extend(rest.map(|message| (message.id.clone(), message.clone())));
                        return Err(error);
                    }
                }
            }
        }
    };
    let taken = taken.await;
    let kept: Vec<_> = kept.into_values().collect();
    // After an error, the first one counts. What is not released can be seen again in a minute.
    let released = dead.release(&kept).await;
    taken?;
    released?;
    done.left = dead.count().await?;
    Ok(done)
}

/// Does the task for one message after the other.
#[derive(Debug)]
struct Mover<'a> {
    deployed: &'a Deployed,
    queue: Queue,
    main: Messages,
    action: Action,
}

impl Mover<'_> {
    /// Does the task for a message if it is selected, and returns the message then.
    async fn take_selected(
        &self,
        dead: &Messages,
        message: &Message,
        selection: &Selection,
        causes: &mut Causes,
    ) -> anyhow::Result<Option<DeadLetter>> {
        let mut letter = DeadLetter::of(self.queue, message);
        if selection.cause != CauseChoice::Any {
            letter.cause = causes.of(self.deployed, &letter).await.context(NO_CAUSES)?;
        }
        if !selection.selects(&letter) {
            return Ok(None);
        }
        self.take(dead, message, &letter).await?;
        Ok(Some(letter))
    }

    async fn take(
        &self,
        dead: &Messages,
        message: &Message,
        letter: &DeadLetter,
    ) -> anyhow::Result<()> {
        let id = &message.id;
        match (self.action, self.queue) {
            // The id is not that of the first send, which SQS may still remember.
            (Action::Redrive, _) => {
                let body = letter::with_time(&message.body, message.sent_at_ms);
                let body = body.as_deref().unwrap_or(&message.body);
                let deduplication_id = format!("redrive-{id}");
                self.main.send(message.group.as_deref(), &deduplication_id, body).await?;
            }
            (Action::Discard, Queue::Writes) => {
                // A body that is no JSON object is settled as rejected in any case.
                let body = letter::discarded(&message.body);
                let body = body.as_deref().unwrap_or(&message.body);
                let deduplication_id = format!("discard-{id}");
                self.main.send(message.group.as_deref(), &deduplication_id, body).await?;
            }
            // A message that names no file has no import that could fail.
            (Action::Discard, Queue::Imports) if letter.items.is_empty() => {}
            (Action::Discard, Queue::Imports) => {
                let body = json!({ "discard": message.body });
                super::imports::invoke(self.deployed, id, &body).await?;
            }
        }
        dead.delete(message).await.with_context(|| {
            format!("the message {id} is sent, and also stays: take it again, which has no second effect")
        })
    }
}

/// Fails if a cause is selected and causes cannot be read, or if ids are selected that are in none
/// of the messages.
pub(crate) fn check(selection: &Selection, looked: &[Looked]) -> anyhow::Result<()> {
    let causes_error = looked.iter().find_map(|looked| looked.causes_error.as_ref());
    if selection.cause != CauseChoice::Any
        && let Some(error) = causes_error
    {
        bail!("{NO_CAUSES}: {error}");
    }
    let letters = || looked.iter().flat_map(|looked| &looked.letters);
    for id in &selection.ids {
        let alone = Selection { ids: vec![id.clone()], ..Selection::default() };
        if !letters().any(|letter| alone.selects(letter)) {
            let hint = if looked.iter().any(|looked| looked.is_partial) {
                ". Not all messages can be seen: redrive or discard those before it first"
            } else {
                ""
            };
            bail!("no dead letter has the id {id}{hint}");
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use import_options::Defaults;

    use super::*;
    use crate::api::Api;
    use crate::aws::Aws;

    fn letter(id: &str, cause: &str, table: &str, sent_at: &str) -> DeadLetter {
        DeadLetter {
            queue: Queue::Writes,
            id: id.to_owned(),
            group: Some("g".to_owned()),
            sent_at: sent_at.to_owned(),
            cause: cause.to_owned(),
            table: Some(table.to_owned()),
            items: Vec::new(),
            unreadable: None,
        }
    }

    #[test]
    fn messages_are_grouped_by_cause_and_table_and_the_oldest_is_named() {
        let letters = vec![
            letter("1", "42501", "a", "2026-01-02T00:00:00Z"),
            letter("2", "42501", "b", "2026-01-03T00:00:00Z"),
            letter("3", "42501", "b", "2026-01-01T00:00:00Z"),
        ];
        let looked = Looked {
            queue: Queue::Writes,
            messages_total: 3,
            is_partial: false,
            causes_error: None,
            letters,
        };
        let found: Vec<_> = summaries(&looked)
            .into_iter()
            .map(|found| (found.table.unwrap_or_default(), found.messages, found.oldest_at))
            .collect();
        assert_eq!(
            found,
            [
                ("b".to_owned(), 2, "2026-01-01T00:00:00Z".to_owned()),
                ("a".to_owned(), 1, "2026-01-02T00:00:00Z".to_owned())
            ]
        );
    }

    #[test]
    fn a_selection_selects_what_meets_all_of_its_conditions() {
        let letter = letter("1", "42501", "a", "");
        let selects = |cause: Option<&str>, table: Option<&str>, ids: &[&str]| {
            let selection = Selection {
                cause: cause.map_or(CauseChoice::Any, |text| CauseChoice::BeginsWith(text.into())),
                table: table.map_or(TableChoice::Any, |table| TableChoice::Is(table.into())),
                ids: ids.iter().map(|id| (*id).to_owned()).collect(),
            };
            selection.selects(&letter)
        };
        assert!(selects(None, None, &[]));
        assert!(selects(Some("425"), Some("a"), &["2", "1"]));
        assert!(!selects(Some("53"), Some("a"), &["1"]));
        assert!(!selects(None, Some("b"), &[]));
        assert!(!selects(None, None, &["2"]));
    }

    #[test]
    fn the_selection_of_unreadable_messages_selects_no_readable_one_of_their_cause() {
        let readable = letter("1", "42501", "a", "");
        let unreadable = DeadLetter { table: None, ..letter("2", "42501", "", "") };
        let selected = |table| {
            let cause = CauseChoice::Is("42501".to_owned());
            let selection = Selection { cause, table, ids: Vec::new() };
            [&readable, &unreadable].map(|letter| selection.selects(letter))
        };
        assert_eq!(selected(TableChoice::Unreadable), [false, true]);
        assert_eq!(selected(TableChoice::Is("a".to_owned())), [true, false]);
        assert_eq!(selected(TableChoice::Any), [true, true]);
    }

    #[test]
    fn one_cause_does_not_select_another_that_begins_with_it() {
        let short = letter("1", "the file has gone", "a", "");
        let long = letter("2", "the file has gone, and its folder", "a", "");
        let selected = |cause| {
            let selection = Selection { cause, ..Selection::default() };
            [&short, &long].map(|letter| selection.selects(letter))
        };
        assert_eq!(selected(CauseChoice::Is(short.cause.clone())), [true, false]);
        assert_eq!(selected(CauseChoice::BeginsWith(short.cause.clone())), [true, true]);
    }

    /// Returns a deployment whose outputs name nothing.
    async fn deployed() -> Deployed {
        let aws = Aws::load(None, Some("eu-central-1")).await.unwrap();
        let url = "https://api.invalid".to_owned();
        let signer = aws.signer(&url).unwrap();
        Deployed {
            aws,
            api: Api::new(url, signer).unwrap(),
            stack: Some("bare".to_owned()),
            outputs: HashMap::new(),
            import_defaults: Defaults::default(),
        }
    }

    #[tokio::test]
    async fn a_cause_that_cannot_be_read_is_an_error_and_no_cause() {
        let letter = letter("1", "", "a", "");
        let error = Causes::default().of(&deployed().await, &letter).await.unwrap_err();
        assert!(format!("{error:#}").contains("has no output RefreshFunction"), "{error:#}");
    }

    #[test]
    fn nothing_is_selected_by_its_cause_if_causes_cannot_be_read() {
        let looked = [Looked {
            queue: Queue::Writes,
            messages_total: 1,
            is_partial: false,
            causes_error: Some("no answer".to_owned()),
            letters: vec![letter("1", NOT_READ, "a", "")],
        }];
        let cause = CauseChoice::BeginsWith("unreadable".to_owned());
        let error = check(&Selection { cause, ..Selection::default() }, &looked).unwrap_err();
        assert_eq!(error.to_string(), format!("{NO_CAUSES}: no answer"));
        let by_id = Selection { ids: vec!["1".to_owned()], ..Selection::default() };
        assert!(check(&by_id, &looked).is_ok());
    }
}
