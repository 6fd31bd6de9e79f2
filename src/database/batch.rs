//! The one driver of changes of users' rows: `BeginTransaction`, `BatchExecuteStatement` for each 4 MiB of parameter sets,
//! `CommitTransaction`.
//!
//! A batch runs whole. Where the database refuses a row of it, all of it is rolled back and runs again bisected: the
//! server finds the bad rows, and the good ones are written. Where a deferred constraint refuses the commit, it runs a
//! third time, and constraints are checked row by row. A commit without an answer is looked up, and the batch is repeated
//! only if it was not done. Its caller says what a batch holds: writes ([`crate::functions::apply`]), or rows of a file
//! ([`crate::functions::import`]).

use tokio::time::timeout;

use crate::aws::data_api::DataApi;
use crate::database::transaction::{BegunAhead, End, Transaction, in_transaction_begun};
use crate::domain::deadline::Deadline;
use crate::domain::error::SyncError;

/// How often a batch is repeated at once whose commit was not answered, and which was not done.
const REPEATS_MAX: usize = 3;

/// How the rows of a batch are tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Attempt {
    /// Each set as one statement.
    Whole,
    /// The server finds the bad rows of each set (`sync.bisect`).
    Bisected,
    /// The same, and deferred constraints are checked at once.
    BisectedImmediately,
}

impl Attempt {
    pub fn is_bisected(self) -> bool {
        self != Self::Whole
    }
}

/// Rows that are changed in one transaction, and recorded in it.
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

    /// The result, if the batch is on record; asked after a commit without an answer.
    async fn on_record(&self, attempt: Attempt) -> Result<Option<Self::Done>, SyncError>;

    /// Whether a column has a type that is left to the database.
    fn has_unknown_types(&self) -> bool;
}

/// Runs a batch.
///
/// After an error nothing has happened, or what happened is on record. The first attempt is made in the transaction that
/// was begun ahead, if there is one.
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
        match &error {
            SyncError::Refused(_) if attempt == Attempt::Whole => attempt = Attempt::Bisected,
            // The error that an unknown type raises for a value can look like a mistake of ours.
            SyncError::Database(fault)
                if attempt == Attempt::Whole
                    && fault.may_be_about_a_value()
                    && work.has_unknown_types() =>
            {
                attempt = Attempt::Bisected;
            }
            // Another worker was faster, and this attempt finds that on record; or a user's constraint or trigger says what
            // ours would say, and this attempt finds its row.
            SyncError::Database(fault)
                if attempt == Attempt::Whole
                    && (fault.is_done_elsewhere() || fault.has_lost_rows()) =>
            {
                attempt = Attempt::Bisected;
            }
            // A deferred constraint, which does not say whose row it was.
            SyncError::Database(fault)
                if fault.is_refused_commit() && attempt != Attempt::BisectedImmediately =>
            {
                attempt = Attempt::BisectedImmediately;
            }
            _ if error.is_unconfirmed_commit() => {
                let recorded = timeout(deadline.remaining(), work.on_record(attempt));
                let Ok(recorded) = recorded.await else { return Err(error) };
                if let Some(done) = recorded? {
                    tracing::info!(reason = %error, "commit was not answered but done");
                    return Ok(done);
                }
                if repeats == REPEATS_MAX {
                    return Err(error);
                }
                repeats += 1;
                tracing::info!(reason = %error, "commit was not answered nor done; batch is repeated");
            }
            _ => return Err(error),
        }
    }
}
