//! A FIFO queue like that of SQS: each group is in order, and no two deliveries of a group run at
//! once.
//!
//! It is in memory, because a thousand histories on the emulator would take hours. `enqueue`,
//! `deliveries` and `end_to_end` use the SQS of the emulator.

use std::collections::{BTreeSet, HashSet};

use aurora_sync::domain::write::{MessageBody, Write, pack};
use aws_lambda_events::sqs::SqsEvent;

use crate::support::writes::{Envelope, event};

/// The number of message groups of a table.
const PARTITIONS: u32 = 3;

/// The most messages of one delivery.
const DELIVERY_MAX: usize = 10;

/// The longest time between the acceptance of a write and its message.
const SENT_WITHIN_MS: i64 = 30_000;

/// The time of a message in the dead-letter queue.
const SET_ASIDE_MS: i64 = 3_600_000;

#[derive(Debug)]
pub(super) struct Queue {
    waiting: Vec<Envelope>,
}

/// A message at its position in its group.
#[derive(Debug, Clone)]
pub(super) struct Message {
    envelope: Envelope,
    /// The writes of the message; none if `enqueue` did not send it.
    pub(super) writes: Vec<Write>,
    /// The message was in the dead-letter queue and comes again as a new one. Later messages of its
    /// group may have been settled before it.
    pub(super) is_redriven: bool,
}

/// Returns the messages of all requests, in order, some broken ones, and some redriven ones.
pub(super) fn messages(requests: &[Vec<Write>], random: &mut fastrand::Rng) -> Vec<Message> {
    let mut messages = Vec::new();
    for (number, writes) in requests.iter().enumerate() {
        for message in pack(writes.clone(), PARTITIONS) {
            let id = format!("{number}-{}", message.group);
            let writes = serde_json::from_str::<MessageBody>(&message.body).unwrap();
            let writes = writes.into_writes().unwrap();
            let mut envelope = Envelope::raw(&id, &message.group, &message.body);
            envelope.sent_at_ms = writes[0].accepted_at_ms + random.i64(0..SENT_WITHIN_MS);
            messages.push(Message { envelope, writes, is_redriven: false });
        }
        if random.u8(..20) == 0 {
            let envelope = Envelope::raw(&format!("{number}-broken"), "p0", "{broken");
            messages.push(Message { envelope, writes: Vec::new(), is_redriven: false });
        }
    }
    redrive(&mut messages, random);
    messages
}

/// Moves some messages behind later ones, as a redrive from the dead-letter queue does. Half of
/// them were settled before, and only their responses were lost.
fn redrive(messages: &mut Vec<Message>, random: &mut fastrand::Rng) {
    for index in 0..messages.len() {
        if random.u8(..8) > 0 || messages[index].is_redriven {
            continue;
        }
        let mut again = messages[index].clone();
        again.is_redriven = true;
        again.envelope.id.push_str("-again");
        again.envelope.sent_at_ms += SET_ASIDE_MS;
        let behind = random.usize(index..messages.len());
        messages.insert(behind + 1, again);
        if random.bool() {
            messages.remove(index);
        }
    }
}

impl Queue {
    pub(super) fn of(messages: &[Message]) -> Self {
        Self { waiting: messages.iter().map(|message| message.envelope.clone()).collect() }
    }

    /// Returns some messages, the first ones of their groups, or `None` if none waits.
    pub(super) fn deliver(&mut self, random: &mut fastrand::Rng) -> Option<SqsEvent> {
        let groups: BTreeSet<String> =
            self.waiting.iter().map(|message| message.group.clone()).collect();
        let groups: HashSet<String> = groups.into_iter().filter(|_| random.u8(..3) > 0).collect();
        let count = random.usize(1..=DELIVERY_MAX);
        let mut taken: Vec<_> = self
            .waiting
            .iter_mut()
            .filter(|message| groups.contains(&message.group))
            .take(count)
            .collect();
        if taken.is_empty() {
            taken = self.waiting.iter_mut().take(1).collect();
        }
        if taken.is_empty() {
            return None;
        }
        let delivered: Vec<_> = taken.iter().map(|message| Envelope::clone(message)).collect();
        for message in taken {
            message.receive_count += 1;
        }
        Some(event(&delivered))
    }

    /// Deletes the delivered messages that are not left.
    pub(super) fn acknowledge(&mut self, delivered: &[String], left: &[String]) {
        // After the first message of a group that is left, all later ones must be left.
        let mut stopped = HashSet::new();
        for id in delivered {
            let message = self.waiting.iter().find(|message| message.id == *id).unwrap();
            let is_left = left.contains(id);
            assert!(is_left || !stopped.contains(&message.group), "{id} overtakes its group");
            if is_left {
                stopped.insert(message.group.clone());
            }
        }
        self.waiting
            .retain(|message| !delivered.contains(&message.id) || left.contains(&message.id));
    }
}
