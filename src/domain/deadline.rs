//! How long a function may still work, and the time of day.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::time::Instant;

/// The moment by which an invocation must have answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Deadline(Instant);

impl Deadline {
    pub fn after(time: Duration) -> Self {
        Self(Instant::now() + time)
    }

    /// From Lambda's `deadline`: milliseconds since 1970, UTC.
    pub fn from_unix_ms(deadline_ms: u64) -> Self {
        Self::after(Duration::from_millis(deadline_ms).saturating_sub(since_1970()))
    }

    /// The same, but earlier.
    #[must_use]
    pub fn less(self, time: Duration) -> Self {
        Self(self.0.checked_sub(time).unwrap_or(self.0))
    }

    pub fn remaining(self) -> Duration {
        self.0.saturating_duration_since(Instant::now())
    }
}

/// Now, in milliseconds since 1970, UTC.
pub fn now_ms() -> i64 {
    i64::try_from(since_1970().as_millis()).unwrap_or(i64::MAX)
}

fn since_1970() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}
