//! A standard queue like that of SQS: messages come in any order, and a deleted one may come again.

use aws_lambda_events::sqs::SqsEvent;

use crate::support::writes::{Envelope, event};

/// The most times that a deleted message comes again in a history.
const REPEATS_MAX: usize = 6;

#[derive(Debug)]
pub(super) struct Queue {
    waiting: Vec<Envelope>,
    deleted: Vec<Envelope>,
    sent: usize,
    repeats: usize,
}

impl Queue {
    /// Returns a queue with the notification of S3.
    pub(super) fn of(notification: String) -> Self {
        let mut queue = Self { waiting: Vec::new(), deleted: Vec::new(), sent: 0, repeats: 0 };
        queue.send(vec![notification]);
        queue
    }

    pub(super) fn send(&mut self, bodies: Vec<String>) {
        for body in bodies {
            self.sent += 1;
            self.waiting.push(Envelope::raw(&format!("m{}", self.sent), "", &body));
        }
    }

    /// Returns one or two messages, or `None` if none waits.
    pub(super) fn deliver(&mut self, random: &mut fastrand::Rng) -> Option<SqsEvent> {
        if self.repeats < REPEATS_MAX
            && random.u8(..6) == 0
            && let Some(repeated) = random.choice(&self.deleted)
        {
            self.repeats += 1;
            return Some(event(std::slice::from_ref(repeated)));
        }
        let mut indexes: Vec<_> = (0..self.waiting.len()).collect();
        random.shuffle(&mut indexes);
        indexes.truncate(random.usize(1..=2));
        if indexes.is_empty() {
            return None;
        }
        let delivered: Vec<_> = indexes
            .into_iter()
            .map(|index| {
                let message = &mut self.waiting[index];
                message.receive_count += 1;
                message.clone()
            })
            .collect();
        Some(event(&delivered))
    }

    /// Deletes the delivered messages that are not left.
    pub(super) fn acknowledge(&mut self, delivered: &[String], left: &[String]) {
        let is_done =
            |message: &Envelope| delivered.contains(&message.id) && !left.contains(&message.id);
        let (done, waiting) = std::mem::take(&mut self.waiting).into_iter().partition(is_done);
        self.waiting = waiting;
        self.deleted.extend(done);
    }
}
