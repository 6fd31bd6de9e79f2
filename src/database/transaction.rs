//! Transactions of the Data API, from begin to commit.
//!
//! Waits while the database resumes, rolls back after an error, and repeats a transaction that lost
//! a deadlock or a serialization conflict. A transaction is never left open. It is never committed
//! after a failed call either: PostgreSQL rolls back at such a commit, and reports no error.

use std::cell::RefCell;
use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBuilder};
use tokio::time::timeout;

use crate::aws::data_api::{DataApi, TransactionId};
use crate::domain::deadline::Deadline;
use crate::domain::error::{DataApiError, DataApiFault, Disposition, SyncError};
use crate::domain::field::{Parameter, Record};

/// The number of times that a transaction is repeated after a deadlock or a serialization conflict.
const REPEATS_MAX: usize = 3;

/// An open transaction.
#[derive(Debug)]
pub struct Transaction<'a> {
    data_api: &'a DataApi,
    id: TransactionId,
    time: Duration,
}

impl Transaction<'_> {
    /// Returns the time between its begin and the deadline, in milliseconds.
    pub fn time_ms(&self) -> i32 {
        i32::try_from(self.time.as_millis()).unwrap_or(i32::MAX)
    }

    /// Runs one statement, and returns its records. The transaction has failed after an error.
    pub async fn execute(
        &self,
        sql: &str,
        parameters: Vec<Parameter>,
    ) -> Result<Vec<Record>, DataApiError> {
        self.data_api.execute(Some(&self.id), sql, parameters).await
    }

    /// Runs one statement that goes on after the time for its response. The transaction cannot be
    /// used until the statement has ended.
    pub async fn execute_to_the_end(&self, sql: &str) -> Result<(), DataApiError> {
        self.data_api.execute_to_the_end(Some(&self.id), sql).await
    }

    /// Runs one statement over rows of users, once for each parameter set.
    ///
    /// The transaction has failed after an error. If the database refuses a row, the error is
    /// [`SyncError::Refused`].
    pub async fn change_rows(&self, sql: &str, sets: Vec<Vec<Parameter>>) -> Result<(), SyncError> {
        let changed = self.data_api.batch_execute(&self.id, sql, sets).await;
        changed.map_err(|error| match error.disposition() {
            Disposition::Reject => SyncError::Refused(error),
            Disposition::Retry | Disposition::Block => error.into(),
        })
    }
}

/// A transaction that is begun while the one before it still works, so that `BeginTransaction`
/// costs no time of its own.
#[derive(Debug, Default)]
pub struct BegunAhead(RefCell<Option<TransactionId>>);

impl BegunAhead {
    /// Begins a transaction, unless there is one. An error is logged only: the transaction is then
    /// begun when it is needed, and the error is met there.
    pub async fn begin(&self, data_api: &DataApi, deadline: Deadline) {
        if self.0.borrow().is_some() {
            return;
        }
        match timeout(deadline.remaining(), data_api.begin()).await {
            Ok(Ok(id)) => *self.0.borrow_mut() = Some(id),
            Ok(Err(error)) => tracing::info!(reason = %error, "transaction not begun ahead"),
            Err(_) => tracing::info!("transaction not begun ahead in time"),
        }
    }

    /// Takes the transaction out of another `BegunAhead`.
    pub fn take_from(&self, other: &Self) {
        *self.0.borrow_mut() = other.0.take();
    }

    /// Rolls the transaction back if it was not used.
    pub async fn discard(&self, data_api: &DataApi, deadline: Deadline) {
        if let Some(id) = self.0.take() {
            roll_back(data_api, &id, deadline).await;
        }
    }
}

/// The way in which a transaction ends, with the result of its work.
#[derive(Debug)]
pub enum End<T> {
    Commit(T),
    /// The work has no effect; only its result is used.
    Rollback(T),
}

/// Runs `work` in a transaction, and commits or rolls back as the work says. An error rolls back.
///
/// After an error nothing has happened, unless [`SyncError::is_unconfirmed_commit`] is true for it:
/// then only the ledger knows. `work` may run several times, each time in a new transaction. It is
/// dropped at the deadline.
pub async fn in_transaction<T>(
    data_api: &DataApi,
    deadline: Deadline,
    work: impl AsyncFn(&Transaction<'_>) -> Result<End<T>, SyncError>,
) -> Result<T, SyncError> {
    in_transaction_begun(data_api, deadline, &BegunAhead::default(), work).await
}

/// Works as [`in_transaction`] does, in the transaction that was begun ahead, if there is one.
pub async fn in_transaction_begun<T>(
    data_api: &DataApi,
    deadline: Deadline,
    begun: &BegunAhead,
    work: impl AsyncFn(&Transaction<'_>) -> Result<End<T>, SyncError>,
) -> Result<T, SyncError> {
    repeated(deadline, async || once(data_api, deadline, begun, &work).await).await
}

/// Repeats a transaction after a deadlock or a serialization conflict, or if the service has lost
/// it: the Data API ends a transaction after three idle minutes, which one that was begun ahead can
/// reach.
async fn repeated<T>(
    deadline: Deadline,
    transaction: impl AsyncFn() -> Result<T, SyncError>,
) -> Result<T, SyncError> {
    let mut repeats = ExponentialBuilder::default()
        .with_min_delay(Duration::from_millis(20))
        .with_jitter()
        .with_max_times(REPEATS_MAX)
        .build();
    loop {
        match transaction().await {
            Err(SyncError::Database(error))
                if error.is_serialization_failure() || error.is_lost_transaction() =>
            {
                let delay = repeats.next().filter(|delay| *delay < deadline.remaining());
                let Some(delay) = delay else { return Err(error.into()) };
                tracing::info!(reason = %error, "transaction is repeated");
                tokio::time::sleep(delay).await;
            }
            result => return result,
        }
    }
}

/// Runs the work once, and ends its transaction.
async fn once<T>(
    data_api: &DataApi,
    deadline: Deadline,
    begun: &BegunAhead,
    work: &impl AsyncFn(&Transaction<'_>) -> Result<End<T>, SyncError>,
) -> Result<T, SyncError> {
    if deadline.remaining().is_zero() {
        return Err(SyncError::OutOfTime);
    }
    let id = match begun.0.take() {
        Some(id) => id,
        None => {
            let begin = awake(deadline, async || data_api.begin().await);
            timeout(deadline.remaining(), begin).await.map_err(|_| SyncError::OutOfTime)??
        }
    };
    let transaction = Transaction { data_api, id, time: deadline.remaining() };
    let result = timeout(deadline.remaining(), work(&transaction)).await;
    let id = transaction.id;
    match result.unwrap_or(Err(SyncError::OutOfTime)) {
        Ok(End::Commit(value)) => {
            let committed = match timeout(deadline.remaining(), data_api.commit(&id)).await {
                Ok(committed) => committed,
                Err(_) => Err(DataApiError::unconfirmed_commit()),
            };
            if let Err(error) = committed {
                roll_back(data_api, &id, deadline).await;
                return Err(error.into());
            }
            Ok(value)
        }
        Ok(End::Rollback(value)) => {
            roll_back(data_api, &id, deadline).await;
            Ok(value)
        }
        Err(error) => {
            roll_back(data_api, &id, deadline).await;
            Err(error)
        }
    }
}

/// The number of calls of `RollbackTransaction`. A rollback is tried again because the
/// transaction's locks are held until it is done.
const ROLLBACKS_MAX: usize = 3;

/// The time that a rollback may take after the deadline: less than the time that functions reserve
/// for their response.
const ROLLBACK_AFTER_DEADLINE: Duration = Duration::from_millis(500);

/// Rolls back, if the service responds. If it does not, it ends the idle transaction itself after
/// three minutes.
async fn roll_back(data_api: &DataApi, id: &TransactionId, deadline: Deadline) {
    let time = deadline.remaining() + ROLLBACK_AFTER_DEADLINE;
    if timeout(time, roll_back_repeatedly(data_api, id)).await.is_err() {
        tracing::warn!("transaction could not be rolled back in time");
    }
}

async fn roll_back_repeatedly(data_api: &DataApi, id: &TransactionId) {
    let mut delays = ExponentialBuilder::default()
        .with_min_delay(Duration::from_millis(100))
        .with_max_times(ROLLBACKS_MAX - 1)
        .build();
    loop {
        let Err(error) = data_api.rollback(id).await else { return };
        match (error.fault.clone(), delays.next()) {
            // It has ended already: by the error before this, or by a commit whose response was
            // lost.
            (DataApiFault::TransactionNotFound | DataApiFault::NotFound, _) => return,
            // A call that was dropped at the deadline may still run in the transaction.
            (_, Some(delay)) if error.disposition() != Disposition::Reject => {
                tokio::time::sleep(delay).await;
            }
            _ => {
                tracing::warn!(%error, "transaction could not be rolled back");
                return;
            }
        }
    }
}

/// Makes a call that starts work, and repeats it while the database resumes from its pause.
///
/// A paused cluster responds at once with 400 `DatabaseResumingException`, and takes some 15 s to
/// resume (Aurora User Guide, "Scaling to Zero ACUs"). Nothing ran, so the call can be repeated.
pub async fn awake<T>(
    deadline: Deadline,
    call: impl AsyncFn() -> Result<T, DataApiError>,
) -> Result<T, DataApiError> {
    let mut delays = ExponentialBuilder::default()
        .with_min_delay(Duration::from_secs(1))
        .with_factor(1.5)
        .with_max_delay(Duration::from_secs(5))
        .with_jitter()
        .without_max_times()
        .build();
    loop {
        match call().await {
            Err(error) if error.is_resuming() => {
                let delay = delays.next().unwrap_or_default();
                if deadline.remaining() < delay {
                    return Err(error);
                }
                tracing::info!(delay_ms = delay.as_millis(), "database is waking up");
                tokio::time::sleep(delay).await;
            }
            result => return result,
        }
    }
}
