//! The state of a running server. `http`, `call`, `perform`, `execute` and `batch` give it its
//! methods, in the order in which a request goes through them.

use std::sync::Arc;
use std::time::Duration;

use crate::counters::Counters;
use crate::sessions::Sessions;
use crate::switchboard::{Faults, Pause};

/// The state that all connections share.
#[derive(Debug)]
pub(crate) struct Service {
    pub(crate) sessions: Arc<Sessions>,
    pub(crate) cluster_arn: Option<String>,
    pub(crate) statement_timeout: Duration,
    pub(crate) pause: Pause,
    pub(crate) faults: Faults,
    pub(crate) counters: Counters,
}

impl Service {
    /// Moves the clock of transactions and of the pause on.
    pub(crate) fn pass(&self, time: Duration) {
        self.sessions.clock.pass(time);
        self.sessions.expire();
    }
}
