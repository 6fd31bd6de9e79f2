//! Publishes the events of the outbox on an event bus, at least once each.
//!
//! The function that made an event publishes it after the commit, before its response: if it dies
//! in between, its messages are delivered again, and that delivery publishes the event. `prune`
//! publishes what is left, for example after an outage of `EventBridge`. A failure never fails a
//! write or an import.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::time::timeout;
use uuid::Uuid;

use crate::aws::data_api::DataApi;
use crate::aws::event_bus::EventBus;
use crate::database::outbox;
use crate::database::transaction::Transaction;
use crate::domain::deadline::Deadline;
use crate::domain::error::SyncError;
use crate::functions::metrics;

/// The most time of a delivery for its events. Their messages wait for them.
const OF_DELIVERY: Duration = Duration::from_secs(5);

/// The outbox of a database, and the bus on which its events are published.
#[derive(Debug)]
pub struct Outbox {
    data_api: DataApi,
    bus: EventBus,
    /// True if a transaction has made an event since the last delivery published some.
    has_new: AtomicBool,
}

impl Outbox {
    /// Makes an outbox.
    pub fn new(data_api: DataApi, bus: EventBus) -> Self {
        Self { data_api, bus, has_new: AtomicBool::new(false) }
    }

    /// Makes the event of the writes that the transaction has rejected, of those with these ids.
    pub async fn tell_rejected(
        &self,
        transaction: &Transaction<'_>,
        ids: impl IntoIterator<Item = Uuid>,
    ) -> Result<(), SyncError> {
        if outbox::tell_rejected(transaction, ids).await? {
            self.has_new.store(true, Ordering::Relaxed);
        }
        Ok(())
    }

    /// Returns `true` if a transaction has made an event since the last call. It may have been
    /// rolled back.
    pub fn take_new(&self) -> bool {
        self.has_new.swap(false, Ordering::Relaxed)
    }

    /// Publishes the events of these writes or of this import, and older ones, for five seconds at
    /// most. The rest stays in the outbox.
    pub async fn publish_of(&self, subjects: &[Uuid], deadline: Deadline) {
        self.publish(subjects, deadline.min(Deadline::after(OF_DELIVERY))).await;
    }

    /// Publishes what its own deliveries have left.
    pub async fn publish_rest(&self, deadline: Deadline) {
        self.publish(&[], deadline).await;
    }

    async fn publish(&self, subjects: &[Uuid], deadline: Deadline) {
        let rounds = self.rounds(subjects, deadline);
        let (unpublished_events, reason) = match timeout(deadline.remaining(), rounds).await {
            Ok(Ok(refused)) => (refused.len(), "EventBridge refused them".to_owned()),
            Ok(Err(Interrupted { events, error })) => (events, error.to_string()),
            // The number is not known.
            Err(_) => (1, "the time is over".to_owned()),
        };
        if unpublished_events > 0 {
            tracing::warn!(target: metrics::TARGET, unpublished_events, reason, "events not published");
        }
    }

    /// Publishes call by call, and returns the events that the bus refused.
    async fn rounds(
        &self,
        subjects: &[Uuid],
        deadline: Deadline,
    ) -> Result<Vec<Uuid>, Interrupted> {
        let (mut published, mut refused) = (Vec::new(), Vec::new());
        loop {
            let next = outbox::next(&self.data_api, &published, &refused, subjects, deadline).await;
            let next = next.map_err(|error| Interrupted { events: refused.len() + 1, error })?;
            if next.is_empty() {
                return Ok(refused);
            }
            let interrupted =
                |error: SyncError| Interrupted { events: refused.len() + next.len(), error };
            let failed = self.bus.put(&next).await.map_err(|error| interrupted(error.into()))?;
            published.clear();
            for (index, event) in next.iter().enumerate() {
                match failed.iter().find(|(failed, _)| *failed == index) {
                    None => published.push(event.id),
                    Some((_, code)) => {
                        let event_id = event.id;
                        tracing::warn!(%event_id, code, "event refused");
                        refused.push(event_id);
                    }
                }
            }
        }
    }
}

/// A failure that ends the publishing.
#[derive(Debug)]
struct Interrupted {
    /// The number of events that are known to be left.
    events: usize,
    error: SyncError,
}
