//! One transaction from begin to commit: waits for a waking database, rolls back whatever fails,
//! and does the whole again where PostgreSQL asks for that. A statement alone is a transaction too, in one call
//! instead of three.
//!
//! A transaction is never left open and never committed after a failed call: PostgreSQL would
//! answer such a commit with a rollback and no error.

use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBuilder};
use tokio::time::timeout;

use crate::aws::data_api::{DataApi, TransactionId};
use crate::deadline::Deadline;
use crate::error::{DataApiError, DataApiFault, Disposition, SyncError};
use crate::field::{Parameter, Record};

/// How often a transaction that lost a deadlock or a serialization conflict is done again.
const REPEATS_MAX: usize = 3;

/// An open transaction.
#[derive(Debug)]
pub struct Transaction<'a> {
    data_api: &'a DataApi,
    id: TransactionId,
}

impl Transaction<'_> {
    pub async fn execute(
        &self,
        sql: &str,
        parameters: Vec<Parameter>,
    ) -> Result<Vec<Record>, DataApiError> {
        self.data_api.execute(Some(&self.id), sql, parameters).await
    }

    pub async fn batch_execute(
        &self,
        sql: &str,
        sets: Vec<Vec<Parameter>>,
    ) -> Result<(), DataApiError> {
        self.data_api.batch_execute(&self.id, sql, sets).await
    }
}

/// How the work in a transaction ended.
#[derive(Debug)]
pub enum End<T> {
    Commit(T),
    /// What was found out, without any effect.
    Rollback(T),
}

/// Does `work` in a transaction and ends it as the work says; an error rolls back.
///
/// After an error nothing has happened, unless [`SyncError::is_unanswered_commit`] says otherwise: then
/// only the ledger can tell. `work` may run several times, each time in a new transaction. It is dropped
/// when the deadline comes.
pub async fn in_transaction<T>(
    data_api: &DataApi,
    deadline: Deadline,
    work: impl AsyncFn(&Transaction<'_>) -> Result<End<T>, SyncError>,
) -> Result<T, SyncError> {
    repeated(deadline, async || once(data_api, deadline, &work).await).await
}

/// Makes the call of one statement that is a transaction of its own.
///
/// After an error nothing has happened, unless [`SyncError::is_unanswered_commit`] says otherwise, or the deadline
/// came: then only the ledger can tell. `call` may be made several times.
pub async fn in_one_statement<T>(
    deadline: Deadline,
    call: impl AsyncFn() -> Result<T, DataApiError>,
) -> Result<T, SyncError> {
    repeated(deadline, async || {
        if deadline.remaining().is_zero() {
            return Err(SyncError::OutOfTime);
        }
        match timeout(deadline.remaining(), awake(deadline, &call)).await {
            Ok(result) => result.map_err(SyncError::from),
            Err(_) => Err(SyncError::OutOfTime),
        }
    })
    .await
}

/// Does a transaction again that lost a deadlock or a serialization conflict.
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
            Err(SyncError::Database(error)) if error.is_serialization_failure() => {
                let delay = repeats.next().filter(|delay| *delay < deadline.remaining());
                let Some(delay) = delay else { return Err(error.into()) };
                tracing::info!(reason = %error, "transaction lost a conflict and is repeated");
                tokio::time::sleep(delay).await;
            }
            result => return result,
        }
    }
}

async fn once<T>(
    data_api: &DataApi,
    deadline: Deadline,
    work: &impl AsyncFn(&Transaction<'_>) -> Result<End<T>, SyncError>,
) -> Result<T, SyncError> {
    if deadline.remaining().is_zero() {
        return Err(SyncError::OutOfTime);
    }
    let id = awake(deadline, async || data_api.begin().await).await?;
    let transaction = Transaction { data_api, id };
    let result = timeout(deadline.remaining(), work(&transaction)).await;
    let id = transaction.id;
    match result.unwrap_or(Err(SyncError::OutOfTime)) {
        Ok(End::Commit(value)) => {
            if let Err(error) = data_api.commit(&id).await {
                roll_back(data_api, &id).await;
                return Err(error.into());
            }
            Ok(value)
        }
        Ok(End::Rollback(value)) => {
            roll_back(data_api, &id).await;
            Ok(value)
        }
        Err(error) => {
            roll_back(data_api, &id).await;
            Err(error)
        }
    }
}

/// How often a rollback is asked for. It is short: the locks are held until it is done.
const ROLLBACKS_MAX: usize = 3;

/// Rolls back as well as it can: where the service does not answer, it ends an idle transaction
/// itself after three minutes.
async fn roll_back(data_api: &DataApi, id: &TransactionId) {
    let mut delays = ExponentialBuilder::default()
        .with_min_delay(Duration::from_millis(100))
        .with_max_times(ROLLBACKS_MAX - 1)
        .build();
    loop {
        let Err(error) = data_api.rollback(id).await else { return };
        match (error.fault.clone(), delays.next()) {
            // Ended already: by the error that brought us here, or by a commit whose answer was lost.
            (DataApiFault::TransactionNotFound | DataApiFault::NotFound, _) => return,
            // A call that was dropped at the deadline may still be running in it.
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

/// Makes a call that starts work, again and again while the database is waking up.
///
/// A paused cluster answers at once, 400 `DatabaseResumingException`, and takes some 15 s to resume
/// (Aurora User Guide, "Scaling to Zero ACUs"); nothing ran, so that the call can be made again.
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
