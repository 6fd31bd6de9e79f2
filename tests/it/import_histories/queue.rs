//! A standard queue as SQS has it: messages in any order, sometimes one again that was deleted.

use aws_lambda_events::sqs::SqsEvent;

use crate::support::writes::{Envelope, event};

/// How often a message that was deleted comes again in a history.
const GHOSTS_MAX: usize = 6;

#[derive(Debug)]
pub(super) struct Queue {
    waiting: Vec<Envelope>,
    deleted: Vec<Envelope>,
    sent: usize,
    ghosts: usize,
}

impl Queue {
    /// Holds the message of S3.
    pub(super) fn of(notification: String) -> Self {
        let mut queue = Self { waiting: Vec::new(), deleted: Vec::new(), sent: 0, ghosts: 0 };
        queue.send(vec![notification]);
        queue
    }

    pub(super) fn send(&mut self, bodies: Vec<String>) {
        for body in bodies {
            self.sent += 1;
            self.waiting.push(Envelope::raw(&format!("m{}", self.sent), "", &body));
        }
    }

    /// One message, or two; `None` where none waits.
    pub(super) fn deliver(&mut self, random: &mut fastrand::Rng) -> Option<SqsEvent> {
        if self.ghosts < GHOSTS_MAX
            && random.u8(..6) == 0
            && let Some(ghost) = random.choice(&self.deleted)
        {
            self.ghosts += 1;
            return Some(event(std::slice::from_ref(ghost)));
        }
        let mut places: Vec<_> = (0..self.waiting.len()).collect();
        random.shuffle(&mut places);
        places.truncate(random.usize(1..=2));
        if places.is_empty() {
            return None;
        }
        let delivered: Vec<_> = places
            .into_iter()
            .map(|index| {
                let message = &mut self.waiting[index];
                message.receive_count += 1;
                message.clone()
            })
            .collect();
        Some(event(&delivered))
    }

    /// Deletes what was delivered and is not left.
    pub(super) fn acknowledge(&mut self, delivered: &[String], left: &[String]) {
        let is_done =
            |message: &Envelope| delivered.contains(&message.id) && !left.contains(&message.id);
        let (done, waiting) = std::mem::take(&mut self.waiting).into_iter().partition(is_done);
        self.waiting = waiting;
        self.deleted.extend(done);
    }
}
