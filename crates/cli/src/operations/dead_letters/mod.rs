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

use self::causes::Causes;
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

/// The cause that nothing has recorded.
pub(crate) const UNKNOWN: &str = "unknown: the log of the function says it";

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
    /// A cause, as [`Summary`] has it, or the beginning of one.
    pub(crate) cause: Option<String>,
    pub(crate) table: Option<String>,
    /// Ids of messages, or of writes and imports in them. Empty: any.
    pub(crate) ids: Vec<String>,
}

impl Selection {
    /// Returns `true` if the message is selected.
    pub(crate) fn selects(&self, letter: &DeadLetter) -> bool {
        let has = |id: &String| letter.id == *id || letter.items.iter().any(|item| item.id == *id);
        self.cause.as_ref().is_none_or(|cause| letter.cause.starts_with(cause))
            && (self.table.is_none() || self.table == letter.table)
            && (self.ids.is_empty() || self.ids.iter().any(has))
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
    /// The messages that stay in the dead-letter queue, as SQS estimates it.
    pub(crate) left: u64,
}

/// Looks at the messages of a dead-letter queue. They are hidden from others for a moment, and
/// stay in the queue. Reads their causes, which wakes up a paused database.
pub(crate) async fn look(deployed: &Deployed, queue: Queue) -> anyhow::Result<Looked> {
    let dead = queue.dead(deployed)?;
    let messages_total = dead.count().await?;
    if messages_total == 0 {
        return Ok(Looked { queue, messages_total, is_partial: false, letters: Vec::new() });
    }
    let mut messages: Vec<Message> = Vec::new();
    let received = receive_all(&dead, &mut messages).await;
    let released = dead.release(&messages).await;
    received?;
    released?;
    let mut causes = Causes::default();
    let mut letters = Vec::new();
    for message in &messages {
        letters.push(causes.explained(deployed, DeadLetter::of(queue, message)).await);
    }
    Ok(Looked { queue, messages_total, is_partial: messages_total > letters.len() as u64, letters })
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
/// Tells `moved` after each message how far it is.
pub(crate) async fn take(
    deployed: &Deployed,
    queue: Queue,
    selection: &Selection,
    action: Action,
    mut moved: impl FnMut(Moved),
) -> anyhow::Result<Moved> {
    let dead = queue.dead(deployed)?;
    let mover = Mover { deployed, queue, main: queue.main(deployed)?, action };
    let mut kept: HashMap<String, Message> = HashMap::new();
    let mut done = Moved::default();
    let taken = async {
        let mut causes = Causes::default();
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
                let letter = DeadLetter::of(queue, message);
                let letter = match selection.cause {
                    None => letter,
                    Some(_) => causes.explained(deployed, letter).await,
                };
                if !selection.selects(&letter) {
                    kept.insert(message.id.clone(), message.clone());
                    continue;
                }
                if let Err(error) = mover.take(&dead, message, &letter).await {
                    let rest = received.iter().skip(index);
                    kept.extend(rest.map(|message| (message.id.clone(), message.clone())));
                    return Err(error);
                }
                gone.insert(message.id.clone());
                done.messages += 1;
                done.items += letter.items.len() as u64;
                moved(done);
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
                let deduplication_id = format!("redrive-{id}");
                self.main.send(message.group.as_deref(), &deduplication_id, &message.body).await?;
            }
            (Action::Discard, Queue::Writes) => {
                // A body that cannot be read is settled as rejected in any case.
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

/// Fails if ids are selected that are in none of the messages.
pub(crate) fn check_ids(selection: &Selection, looked: &[Looked]) -> anyhow::Result<()> {
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
    use super::*;

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
        let looked = Looked { queue: Queue::Writes, messages_total: 3, is_partial: false, letters };
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
                cause: cause.map(str::to_owned),
                table: table.map(str::to_owned),
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
}
