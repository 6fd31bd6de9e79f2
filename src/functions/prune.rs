//! Prunes the ledger: deletes settled writes whose messages SQS cannot deliver again.
//!
//! A row must outlive every delivery of its message, from the queue and then from the dead-letter
//! queue. Steps are small, so that locks and transactions do not grow with the backlog. The next
//! invocation continues where one ends.
//!
//! Publishes the events that their own functions could not publish, too. Those that nobody could
//! publish are deleted after the same time.

use crate::aws::data_api::DataApi;
use crate::database::transaction::awake;
use crate::domain::deadline::Deadline;
use crate::domain::error::{Disposition, SyncError};
use crate::domain::field::{Field, parameter};
use crate::functions::metrics;
use crate::functions::outbox::Outbox;

/// The least days for which the ledger keeps a settled write: 14 in the queue, 14 in the
/// dead-letter queue (`MessageRetentionPeriod` in `template.yaml`), and one for clocks and
/// visibility timeouts.
pub const RETENTION_DAYS_MIN: u32 = 29;

/// The number of rows of one step.
pub const STEP_ROWS: u32 = 10_000;

const PRUNE: &str = "WITH old AS (
  SELECT id FROM sync.write
  WHERE settled_at < clock_timestamp() - make_interval(days => :days::integer)
  ORDER BY settled_at LIMIT :step_rows::integer
), pruned AS (
  DELETE FROM sync.write USING old WHERE write.id = old.id RETURNING 1
), forgotten AS (
  DELETE FROM sync.blocked WHERE tried_at < clock_timestamp() - make_interval(days => :days::integer)
), forgotten_resends AS (
  DELETE FROM sync.resend WHERE recorded_at < clock_timestamp() - make_interval(days => :days::integer)
), untold AS (
  DELETE FROM sync.event WHERE created_at < clock_timestamp() - make_interval(days => :days::integer)
)
SELECT count(*) FROM pruned";

/// The configuration and client of the function.
#[derive(Debug)]
pub struct Prune {
    pub data_api: DataApi,
    /// The outbox of the events that were not published, if there is a bus.
    pub outbox: Option<Outbox>,
    /// The days to keep a settled write, at least [`RETENTION_DAYS_MIN`].
    /// [`crate::functions::config`] checks it.
    pub retention_days: u32,
    /// The number of rows of one step: [`STEP_ROWS`], or fewer in tests.
    pub step_rows: u32,
}

/// Prunes until nothing is left or the time is over, and returns the number of deleted rows.
///
/// An outage is not an error: the next invocation continues.
pub async fn run(prune: &Prune, deadline: Deadline) -> Result<u64, SyncError> {
    let mut pruned = 0;
    let mut unfinished_prunings = 1;
    while !deadline.remaining().is_zero() {
        match step(prune, deadline).await {
            Ok(rows) => {
                pruned += rows;
                if rows < u64::from(prune.step_rows) {
                    unfinished_prunings = 0;
                    break;
                }
            }
            Err(error) if error.disposition() == Disposition::Retry => {
                tracing::warn!(%error, "pruning continues in the next invocation");
                break;
            }
            Err(error) => return Err(error),
        }
    }
    if let Some(outbox) = &prune.outbox {
        outbox.publish_rest(deadline).await;
    }
    let days = prune.retention_days;
    metrics::line!(info, prune.data_api, pruned, days, unfinished_prunings, "ledger pruned");
    Ok(pruned)
}

async fn step(prune: &Prune, deadline: Deadline) -> Result<u64, SyncError> {
    let parameters = vec![
        parameter("days", prune.retention_days.to_string()),
        parameter("step_rows", prune.step_rows.to_string()),
    ];
    let records =
        awake(deadline, async || prune.data_api.execute(None, PRUNE, parameters.clone()).await)
            .await?;
    let count = records.first().and_then(|record| record.first()).and_then(Field::as_long);
    count
        .and_then(|count| u64::try_from(count).ok())
        .ok_or_else(|| SyncError::Inconsistent("pruning returned no count".to_owned()))
}
