//! Sends messages in the order of their groups, with retries within the request's time.

use std::collections::{BTreeMap, HashSet, VecDeque};
use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBuilder};
use tokio::time::timeout;
use uuid::Uuid;

use crate::aws::queue::{BATCH_BYTES_MAX, Queue, Reason, SEND_MAX};
use crate::domain::deadline::Deadline;
use crate::domain::write::Message;

/// The result of sending.
#[derive(Debug, Default)]
pub(super) struct Sent {
    pub(super) accepted: HashSet<Uuid>,
    /// The most serious reason why the queue did not confirm the rest.
    pub(super) reason: Option<Reason>,
}

/// Sends messages so that the order of each group is kept: the next message of a group is sent only
/// after the queue has confirmed the one before it. After a message that stays unconfirmed, the
/// rest of its group is not sent.
///
/// A message whose response was lost is sent again. The queue drops the second one by its
/// deduplication id.
pub(super) async fn send(
    queue: &Queue,
    messages: Vec<Message>,
    trace: Option<&str>,
    deadline: Deadline,
) -> Sent {
    let mut groups: BTreeMap<String, VecDeque<Message>> = BTreeMap::new();
    for message in messages {
        groups.entry(message.group.clone()).or_default().push_back(message);
    }
    let mut sent = Sent::default();
    while !groups.is_empty() {
        // The first message of each group.
        let round: Vec<Message> = groups.values_mut().filter_map(VecDeque::pop_front).collect();
        for batch in batches(&round) {
            let lost = send_batch((queue, trace), batch, deadline, &mut sent).await;
            for group in lost {
                groups.remove(group);
            }
        }
        groups.retain(|_, waiting| !waiting.is_empty());
    }
    sent
}

/// Sends a batch until the queue has confirmed all of it or the time is over. Returns the groups
/// that stay unconfirmed.
async fn send_batch<'a>(
    (queue, trace): (&Queue, Option<&str>),
    batch: Vec<&'a Message>,
    deadline: Deadline,
    sent: &mut Sent,
) -> Vec<&'a str> {
    let mut delays = ExponentialBuilder::default()
        .with_min_delay(Duration::from_millis(100))
        .with_max_delay(Duration::from_secs(3))
        .with_jitter()
        .without_max_times()
        .build();
    let mut lost = Vec::new();
    let mut open = batch;
    loop {
        // A call that hangs must not delay the response of the request.
        let unconfirmed = match timeout(deadline.remaining(), queue.send(&open, trace)).await {
            Ok(unconfirmed) => unconfirmed.into_iter().collect(),
            Err(_) => all(&open, Reason::Unavailable),
        };
        let mut again = Vec::new();
        for (index, message) in open.into_iter().enumerate() {
            match unconfirmed.get(&index) {
                None => sent.accepted.extend(&message.ids),
                // The queue would refuse the same message again.
                Some(Reason::Refused) => {
                    sent.reason = sent.reason.max(Some(Reason::Refused));
                    lost.push(message.group.as_str());
                }
                Some(reason) => again.push((message, *reason)),
            }
        }
        let Some(worst) = again.iter().map(|(_, reason)| *reason).max() else { return lost };
        let delay = delays.next().unwrap_or_default();
        if deadline.remaining() <= delay {
            sent.reason = sent.reason.max(Some(worst));
            lost.extend(again.iter().map(|(message, _)| message.group.as_str()));
            return lost;
        }
        tracing::info!(messages = again.len(), reason = ?worst, "sending messages again");
        tokio::time::sleep(delay).await;
        open = again.into_iter().map(|(message, _)| message).collect();
    }
}

fn all(messages: &[&Message], reason: Reason) -> BTreeMap<usize, Reason> {
    (0..messages.len()).map(|index| (index, reason)).collect()
}

/// Splits messages into batches within the limits of a call.
fn batches(round: &[Message]) -> Vec<Vec<&Message>> {
    let mut batches: Vec<Vec<&Message>> = Vec::new();
    let mut bytes = 0;
    for message in round {
        match batches.last_mut() {
            Some(batch)
                if batch.len() < SEND_MAX && bytes + message.body.len() <= BATCH_BYTES_MAX =>
            {
                batch.push(message);
                bytes += message.body.len();
            }
            _ => {
                batches.push(vec![message]);
                bytes = message.body.len();
            }
        }
    }
    batches
}
