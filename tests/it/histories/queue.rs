//! A FIFO queue as SQS has it: groups in order, and nothing of a group beside what is in flight.
//!
//! In memory, since a thousand histories on the emulator would take hours; what SQS itself does is tested
//! there (`enqueue`, `deliveries`, `end_to_end`).

use std::collections::{BTreeSet, HashSet};

use aurora_sync::write::pack;
use aws_lambda_events::sqs::SqsEvent;

use super::model::History;
use crate::support::writes::{Envelope, event};

/// Message groups of a table.
const PARTITIONS: u32 = 3;

/// What a FIFO queue delivers at once, at most.
const DELIVERY_MAX: usize = 10;

#[derive(Debug)]
pub(super) struct Queue {
    waiting: Vec<Envelope>,
}

impl Queue {
    /// Holds all messages of a history, and some that are not ours.
    pub(super) fn of(history: &History, random: &mut fastrand::Rng) -> Self {
        let mut waiting = Vec::new();
        for (number, writes) in history.requests.iter().enumerate() {
            for message in pack(writes.clone(), PARTITIONS) {
                let id = format!("{number}-{}", message.group);
                waiting.push(Envelope::raw(&id, &message.group, &message.body));
            }
            if random.u8(..20) == 0 {
                waiting.push(Envelope::raw(&format!("{number}-broken"), "p0", "{broken"));
            }
        }
        Self { waiting }
    }

    /// Some messages, the first of their groups; `None` where none waits.
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

    /// Forgets what was delivered and is not left; where nothing came back, all of it comes again.
    pub(super) fn acknowledge(&mut self, delivered: &[String], left: &[String]) {
        // From a group's first message that is left, all later ones must be left.
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
