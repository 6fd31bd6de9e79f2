//! Prunes the ledger: settled writes whose messages cannot come again.
//!
//! A row must outlive every delivery of its message: as long as the queue keeps it, and then the dead-letter
//! queue. Steps are small, so that neither locks nor a transaction grow with the backlog; what one
//! invocation does not finish, the next one does.

use crate::aws::data_api::DataApi;
use crate::database::transaction::awake;
use crate::domain::deadline::Deadline;
use crate::domain::error::{Disposition, SyncError};
use crate::domain::field::{Field, parameter};

/// The least days that a settled write is kept: 14 in the queue, 14 in the dead-letter queue
/// (`MessageRetentionPeriod` in template.yaml), and one for clocks and visibility timeouts.
pub const RETENTION_DAYS_MIN: u32 = 29;

/// Rows of one step.
pub const STEP_ROWS: u32 = 10_000;

const PRUNE: &str = "WITH old AS (
  SELECT id FROM sync.write
  WHERE settled_at < clock_timestamp() - make_interval(days => :days::integer)
  ORDER BY settled_at LIMIT :step_rows::integer
), pruned AS (
  DELETE FROM sync.write USING old WHERE write.id = old.id RETURNING 1
)
SELECT count(*) FROM pruned";

/// What the function needs.
#[derive(Debug)]
pub struct Prune {
    pub data_api: DataApi,
    /// At least [`RETENTION_DAYS_MIN`], which [`crate::functions::config`] sees to.
    pub retention_days: u32,
    /// Rows of one step, [`STEP_ROWS`] unless a test wants many steps of few.
    pub step_rows: u32,
}

/// Prunes until nothing is left or the time is over, and gives the number of rows.
///
/// An outage is no failure: the next invocation goes on.
pub async fn run(prune: &Prune, deadline: Deadline) -> Result<u64, SyncError> {
    let mut pruned = 0;
    while !deadline.remaining().is_zero() {
        match step(prune, deadline).await {
            Ok(rows) => {
                pruned += rows;
                if rows < u64::from(prune.step_rows) {
                    break;
                }
            }
            Err(error) if error.disposition() == Disposition::Retry => {
                tracing::warn!(%error, "pruning is left to the next invocation");
                break;
            }
            Err(error) => return Err(error),
        }
    }
    tracing::info!(pruned, days = prune.retention_days, "ledger pruned");
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
        .ok_or_else(|| SyncError::Inconsistent("pruning gave no count".to_owned()))
}
