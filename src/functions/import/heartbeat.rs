//! Keeps a message from others while its file is imported.
//!
//! An import may take its whole 15 minutes, and the queue hides a message for six times that. If its worker
//! dies, the file should not wait so long: it is hidden for three minutes, again and again.

use std::time::Duration;

use tokio::time::timeout;

use crate::aws::queue::Queue;

/// How long the message stays hidden when its worker is gone.
const HIDDEN: Duration = Duration::from_mins(3);

/// How often that is said again, by default.
pub const EVERY: Duration = Duration::from_secs(45);

/// Most time that a call may take: it stands between two others.
const CALL_MAX: Duration = Duration::from_secs(5);

/// A message that is being worked on.
#[derive(Debug, Clone, Copy)]
pub(super) struct Heartbeat<'a> {
    pub queue: &'a Queue,
    /// Empty where there is none.
    pub receipt_handle: &'a str,
    pub every: Duration,
}

impl Heartbeat<'_> {
    /// Does the work, and meanwhile keeps the message hidden.
    pub(super) async fn during<T>(self, work: impl Future<Output = T>) -> T {
        tokio::select! {
            done = work => done,
            () = self.beat() => unreachable!("it beats for ever"),
        }
    }

    async fn beat(self) {
        loop {
            self.hide(HIDDEN).await;
            tokio::time::sleep(self.every).await;
        }
    }

    /// Lets the message come again after this time. Where that fails, an earlier word or the queue's own holds.
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
