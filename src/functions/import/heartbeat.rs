//! Hides a message from other workers while its file is imported.
//!
//! An invocation may take 15 minutes, and the queue hides a message for six times that. If the
//! worker dies, the file should not wait so long. So its message is hidden for three minutes, and
//! again before they are over.

use std::time::Duration;

use tokio::time::timeout;

use crate::aws::queue::Queue;

/// The time for which a message is hidden, and so the time until another worker gets the message of
/// one that died.
const HIDDEN: Duration = Duration::from_mins(3);

/// The default time between two calls that hide the message.
pub const EVERY: Duration = Duration::from_secs(45);

/// The most time of a call, so that it does not delay the next one.
const CALL_MAX: Duration = Duration::from_secs(5);

/// The message of a file that is imported.
#[derive(Debug, Clone, Copy)]
pub(super) struct Heartbeat<'a> {
    pub queue: &'a Queue,
    /// The handle of the delivery; empty if the event has none.
    pub receipt_handle: &'a str,
    pub every: Duration,
}

impl Heartbeat<'_> {
    /// Runs the work, and keeps the message hidden meanwhile.
    pub(super) async fn during<T>(self, work: impl Future<Output = T>) -> T {
        tokio::select! {
            done = work => done,
            () = self.beat() => unreachable!("the heartbeat never ends"),
        }
    }

    async fn beat(self) {
        loop {
            self.hide(HIDDEN).await;
            tokio::time::sleep(self.every).await;
        }
    }

    /// Makes SQS deliver the message again after this time. If that fails, the time of an earlier
    /// call or the visibility timeout of the queue holds.
    pub(super) async fn hide(self, time: Duration) {
        if self.receipt_handle.is_empty() {
            return;
        }
        match timeout(CALL_MAX, self.queue.postpone(&[(self.receipt_handle, time)])).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(%error, "visibility of the message not changed"),
            Err(_) => tracing::warn!("visibility of the message not changed in time"),
        }
    }
}
