//! Work that is repeated through outages.

use std::pin::Pin;
use std::time::{Duration, Instant};

use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder};

use crate::domain::deadline::Deadline;
use crate::domain::error::{Disposition, SyncError, chain};

/// Returns pauses without an end.
pub(super) fn pauses(min: Duration, max: Duration) -> ExponentialBackoff {
    ExponentialBuilder::default()
        .with_min_delay(min)
        .with_max_delay(max)
        .with_jitter()
        .without_max_times()
        .build()
}

/// The time for which a wrong password counts as one that is being rotated.
const ROTATION: Duration = Duration::from_mins(3);

/// Does the work, and repeats it after an error that may pass, until the deadline. Returns the last
/// error then.
pub(super) async fn through_outages<T>(
    deadline: Deadline,
    work: impl AsyncFn() -> Result<T, SyncError>,
) -> Result<T, SyncError> {
    let mut pauses = pauses(Duration::from_millis(500), Duration::from_secs(15));
    let mut last = None;
    let started = Instant::now();
    loop {
        // Boxed without its type, since the futures of SDK calls nest deeper than the compiler's
        // limit on types.
        let attempt: Pin<Box<dyn Future<Output = _> + '_>> = Box::pin(work());
        let error = match attempt.await {
            Ok(value) => return Ok(value),
            // It hides the outage.
            Err(SyncError::OutOfTime) => return Err(last.unwrap_or(SyncError::OutOfTime)),
            Err(error) => error,
        };
        let pause = pauses.next().unwrap_or_default();
        let may_pass = error.disposition() == Disposition::Retry
            || (error.is_wrong_password() && started.elapsed() < ROTATION);
        if !may_pass || deadline.remaining() < pause {
            return Err(error);
        }
        tracing::warn!(reason = chain(&error), "migration is repeated");
        tokio::time::sleep(pause).await;
        last = Some(error);
    }
}
