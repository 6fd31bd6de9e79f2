//! The statements of a look-up, each within the time of its response.

use std::time::Duration;

use crate::api::problem::{Kind, Problem};
use crate::api::query::Query;
use crate::aws::data_api::DataApi;
use crate::database::plan::SQL_LEN_MAX;
use crate::database::transaction::{End, awake, in_transaction};
use crate::domain::caller::Caller;
use crate::domain::deadline::Deadline;
use crate::domain::error::{DataApiError, DataApiFault, Disposition, SyncError};
use crate::domain::field::{Record, parameter};

/// The value of `Retry-After` for a paused database, in seconds. It resumes in about 15 s, and the
/// look-up has waited for most of them.
const RETRY_AFTER: u16 = 5;

/// The database, for one request.
#[derive(Debug, Clone, Copy)]
pub(super) struct Reader<'a> {
    data_api: &'a DataApi,
    pub(super) deadline: Deadline,
    /// The claims by which row policies choose the rows.
    claims: Option<&'a str>,
}

/// Sets the claims for the rest of the transaction, as `sync.set_claims` does for writes. They
/// cannot be set by the statement that reads the rows: PostgreSQL may choose the partitions of a
/// table before it.
const SET_CLAIMS: &str = "SELECT set_config('request.jwt.claims', :claims::text, true),
  set_config('statement_timeout', :time_ms::text, true)";

/// The time that is kept to end the transaction.
const END_WITHIN: Duration = Duration::from_secs(1);

/// An error of a statement.
#[derive(Debug)]
pub(super) enum ReadError {
    /// The records exceed the size of one response of the service.
    TooLarge,
    /// The statement did not end before the deadline.
    Timeout,
    /// The statement is longer than the service allows.
    TooLong,
    /// A type that only the database knows lacks the operator or the order, or the value is not of
    /// this type.
    UnknownType,
    Database(DataApiError),
}

impl<'a> Reader<'a> {
    pub(super) fn new(data_api: &'a DataApi, deadline: Deadline) -> Self {
        Self { data_api, deadline, claims: None }
    }

    /// Returns a reader of the worker's own tables, which have no policies.
    pub(super) fn without_claims(self) -> Self {
        Self { claims: None, ..self }
    }

    /// Returns `true` if row policies choose the rows.
    pub(super) fn has_claims(&self) -> bool {
        self.claims.is_some()
    }

    /// Returns a reader whose statements see what row policies show to the caller. Each statement
    /// takes four calls if the caller has claims.
    pub(super) fn with_claims(self, caller: &'a Caller) -> Self {
        Self { claims: caller.claims.as_deref(), ..self }
    }

    /// Runs one statement. Waits while the database resumes.
    pub(super) async fn run(&self, query: Query) -> Result<Vec<Record>, ReadError> {
        let Query { sql, parameters, has_unknown_types } = query;
        if sql.len() > SQL_LEN_MAX {
            return Err(ReadError::TooLong);
        }
        // Boxed, since the future of an SDK call is large, and a look-up has several of them.
        let call = Box::pin(async {
            let Some(claims) = self.claims else {
                let call = async || self.data_api.execute(None, &sql, parameters.clone()).await;
                return awake(self.deadline, call).await.map_err(SyncError::from);
            };
            let deadline = self.deadline.less(END_WITHIN);
            in_transaction(self.data_api, deadline, async |transaction| {
                let time_ms = transaction.time_ms().max(1).to_string();
                let claims = vec![parameter("claims", claims), parameter("time_ms", time_ms)];
                transaction.execute(SET_CLAIMS, claims).await?;
                Ok(End::Rollback(transaction.execute(&sql, parameters.clone()).await?))
            })
            .await
        });
        match tokio::time::timeout(self.deadline.remaining(), call).await {
            Ok(Ok(records)) => Ok(records),
            Ok(Err(SyncError::Database(error) | SyncError::Refused(error))) => {
                Err(match error.fault {
                    DataApiFault::UnsupportedResult => ReadError::TooLarge,
                    DataApiFault::StatementTimeout => ReadError::Timeout,
                    _ if has_unknown_types && error.is_about_a_statement() => {
                        ReadError::UnknownType
                    }
                    _ => ReadError::Database(error),
                })
            }
            Ok(Err(_)) | Err(_) => Err(ReadError::Timeout),
        }
    }
}

/// Converts the error to a problem for the client.
impl From<ReadError> for Problem {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::TooLarge => Self::new(
                Kind::ResultTooLarge,
                "A response has at most 1 MiB: ask for fewer rows with limit=, or fewer columns with select=.",
            ),
            ReadError::Timeout => Self::new(
                Kind::QueryTimeout,
                "The database did not find the rows in time: filter and order by columns that have an index, or leave out Prefer: count=exact.",
            ),
            ReadError::TooLong => Self::new(
                Kind::InvalidQuery,
                "The query is too long: ask for fewer columns or filters.",
            ),
            ReadError::UnknownType => Self::new(
                Kind::InvalidQuery,
                "A column's type does not have the operator or the order of the query, or the value is not of this type.",
            ),
            ReadError::Database(error) => of_database(&error),
        }
    }
}

fn of_database(error: &DataApiError) -> Problem {
    match error.disposition() {
        // A password that is being rotated is right again in a moment.
        disposition if disposition == Disposition::Retry || error.is_wrong_password() => {
            tracing::warn!(%error, "database not available");
            let detail =
                "The database is not available yet; it may be resuming from a pause. Try again.";
            Problem::new(Kind::Unavailable, detail).with_retry_after(RETRY_AFTER)
        }
        Disposition::Reject => {
            Problem::new(Kind::InvalidQuery, "A value is not of its column's type.")
        }
        Disposition::Retry | Disposition::Block => {
            tracing::error!(%error, "look-up blocked");
            Problem::new(Kind::Internal, "The look-up failed; its log says why.")
        }
    }
}
