//! The one driver of changes of users' rows: `BeginTransaction`, `BatchExecuteStatement` for each 4
//! MiB of parameter sets, `CommitTransaction`.
//!
//! A batch runs whole first. If the database refuses a row, the batch is rolled back and runs again
//! bisected: the server finds the bad rows and writes the good ones. If a deferred constraint
//! refuses the commit, the batch runs a third time with immediate constraints. If the commit got no
//! response, the batch is looked up, and repeated only if it was not committed. The caller defines
//! what a batch holds: writes ([`crate::functions::apply`]), or rows of a file
//! ([`crate::functions::import`]).

use tokio::time::timeout;

use crate::aws::data_api::DataApi;
use crate::database::transaction::{BegunAhead, End, Transaction, in_transaction_begun};
use crate::domain::deadline::Deadline;
use crate::domain::error::SyncError;

/// Most repetitions of a batch whose commit got no response and did not happen.
const REPEATS_MAX: usize = 3;

/// The way in which the rows of a batch are tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Attempt {
    /// Runs each set as one statement.
    Whole,
    /// Lets the server find the bad rows of each set (`sync.bisect`).
    Bisected,
    /// Does the same with immediate constraints, so that a deferred constraint tells whose row it
    /// refuses.
    BisectedImmediately,
}

impl Attempt {
    /// Returns `true` unless each set is one statement.
    pub fn is_bisected(self) -> bool {
        self != Self::Whole
    }

    /// Returns the attempt that follows after this error, if it finds the row that is at fault.
    fn after(self, error: &SyncError, has_unknown_types: bool) -> Option<Self> {
        match (self, error) {
            (Self::Whole, SyncError::Refused(_)) => Some(Self::Bisected),
            (Self::Whole, SyncError::Database(fault))
                // The error that an unknown type raises for a value can look like an error in our
                // statement.
                if fault.may_be_about_a_value() && has_unknown_types
                    // Another worker was faster, and the next attempt finds its record. Or a user's
                    // constraint or trigger raises the error of one of our own constraints, and the
                    // next attempt finds its row.
                    || fault.is_done_elsewhere()
                    || fault.has_lost_rows() =>
            {
                Some(Self::Bisected)
            }
            // A deferred constraint does not tell whose row it refuses.
            (Self::Whole | Self::Bisected, SyncError::Database(fault))
                if fault.is_refused_commit() =>
            {
                Some(Self::BisectedImmediately)
            }
            _ => None,
        }
    }
}

/// The work of one batch: changes rows in one transaction, and records them in it.
#[expect(
    async_fn_in_trait,
    reason = "a function works on one thread: no caller needs the futures to be Send"
)]
pub trait Work {
    type Done;

    /// Changes and records all rows, in a transaction that is committed afterwards.
    async fn run(
        &self,
        transaction: &Transaction<'_>,
        attempt: Attempt,
    ) -> Result<Self::Done, SyncError>;

    /// Returns the result if the batch is on record. Called after a commit that got no response.
    async fn on_record(&self, attempt: Attempt) -> Result<Option<Self::Done>, SyncError>;

    /// Tells if a column has a type whose values only the database can check.
    fn has_unknown_types(&self) -> bool;
}

/// Runs a batch.
///
/// After an error, either nothing was changed, or the change is on record. The first attempt uses
/// the transaction that was begun ahead, if there is one.
pub async fn run<W: Work>(
    data_api: &DataApi,
    deadline: Deadline,
    begun: &BegunAhead,
    work: &W,
) -> Result<W::Done, SyncError> {
    let mut attempt = Attempt::Whole;
    let mut repeats = 0;
    loop {
        let done = in_transaction_begun(data_api, deadline, begun, async |transaction| {
            work.run(transaction, attempt).await.map(End::Commit)
        });
        let error = match done.await {
            Ok(done) => return Ok(done),
            Err(error) => error,
        };
        if let Some(next) = attempt.after(&error, work.has_unknown_types()) {
            attempt = next;
            continue;
        }
        if !error.is_unconfirmed_commit() {
            return Err(error);
        }
        let recorded = timeout(deadline.remaining(), work.on_record(attempt));
        let Ok(recorded) = recorded.await else { return Err(error) };
        if let Some(done) = recorded? {
            tracing::info!(reason = %error, "commit got no response but is done");
            return Ok(done);
        }
        if repeats == REPEATS_MAX {
            return Err(error);
        }
        repeats += 1;
        tracing::info!(reason = %error, "commit got no response and is not done; the batch is repeated");
    }
}
