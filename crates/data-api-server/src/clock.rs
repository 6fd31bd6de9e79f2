//! The time since the server started, which tests can move on.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

#[derive(Debug)]
pub(crate) struct Clock {
    started: Instant,
    moved_ms: AtomicU64,
}

impl Clock {
    pub(crate) fn new() -> Self {
        Self { started: Instant::now(), moved_ms: AtomicU64::new(0) }
    }

    pub(crate) fn now(&self) -> Duration {
        self.started.elapsed() + Duration::from_millis(self.moved_ms.load(Ordering::Relaxed))
    }

    pub(crate) fn pass(&self, time: Duration) {
        let time_ms = u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        self.moved_ms.fetch_add(time_ms, Ordering::Relaxed);
    }
}
