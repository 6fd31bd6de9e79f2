//! Whose fault an error is, and what is done about it: one exhaustive table.
//!
//! Pure. The service's answers become [`DataApiError`] in `src/aws/data_api.rs`; what a caller does
//! is decided here and nowhere else.

use std::error::Error;
use std::fmt;

/// What to do about an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Disposition {
    /// Nobody's fault: give the work back and do it again later. Nothing is rejected.
    Retry,
    /// The data's fault: record it and go on without it.
    Reject,
    /// Our fault, or the deployment's: stop, keep everything, tell a human.
    Halt,
}

/// A call that a service did not answer as asked.
#[derive(Debug, thiserror::Error)]
pub enum SyncError {
    #[error(transparent)]
    Database(#[from] DataApiError),
    #[error(transparent)]
    Service(#[from] ServiceError),
    /// The database refuses a row of the user's, in a statement over several of them.
    #[error(transparent)]
    Refused(DataApiError),
    /// The invocation's time is over: what was begun is rolled back.
    #[error("the time of the invocation is over")]
    OutOfTime,
    /// What was read back cannot be: a defect, or a hand in the worker's own tables.
    #[error("{0}")]
    Inconsistent(String),
}

impl SyncError {
    /// What to do, for a call that the worker makes for itself.
    ///
    /// PostgreSQL's word that the data is wrong counts as a reason to reject only where the
    /// statement ran over users' rows: there, callers ask [`DataApiError::disposition`].
    pub fn disposition(&self) -> Disposition {
        match self {
            Self::Database(error) => match error.disposition() {
                Disposition::Reject => Disposition::Halt,
                other => other,
            },
            Self::Service(error) => error.disposition(),
            Self::OutOfTime => Disposition::Retry,
            // Bad rows are rejected alone, before anybody asks: this one could not be told from the others.
            Self::Refused(_) | Self::Inconsistent(_) => Disposition::Halt,
        }
    }

    /// Whether less work, or more time, would have been enough.
    pub fn is_for_time(&self) -> bool {
        match self {
            Self::OutOfTime => true,
            Self::Database(error) => error.fault == DataApiFault::StatementTimeout,
            Self::Service(_) | Self::Refused(_) | Self::Inconsistent(_) => false,
        }
    }

    /// Whether the error came before anything that was asked for: nobody could have begun.
    pub fn begins_nothing(&self) -> bool {
        matches!(self, Self::Database(error) if error.operation == "BeginTransaction" || error.is_no_access())
    }

    pub fn is_resuming(&self) -> bool {
        matches!(self, Self::Database(error) if error.is_resuming())
    }

    /// Whether a commit was asked for and nobody can tell from the answer whether it was done. The
    /// ledger can.
    pub fn is_unanswered_commit(&self) -> bool {
        let Self::Database(error) = self else { return false };
        error.commits
            && match &error.fault {
                // PostgreSQL itself says that it did not commit.
                DataApiFault::Sql(state) => state.class() == "08" || state.class() == "57",
                DataApiFault::Resuming | DataApiFault::Throttling => false,
                // What took too long was ended.
                DataApiFault::StatementTimeout => error.operation == "CommitTransaction",
                _ => error.disposition() == Disposition::Retry,
            }
    }
}

/// An error of the RDS Data API.
#[derive(Debug)]
pub struct DataApiError {
    /// The operation, such as `BeginTransaction`.
    pub operation: &'static str,
    /// Whether what was done would have been committed with it: a commit, or a statement outside of a transaction.
    pub commits: bool,
    pub fault: DataApiFault,
    /// What the service says. With a data error it may hold values of the row: not for logs.
    pub message: String,
}

/// The exceptions of the RDS Data API, and what can happen on the way to it.
///
/// From the service model (botocore `rds-data/2018-08-01`) and, for the unmodelled ones, from
/// reports of what the service sends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DataApiFault {
    /// `DatabaseErrorException`, or an older `BadRequestException` of its form: PostgreSQL's error.
    Sql(SqlState),
    /// One of the two without an SQLSTATE: the service's own complaint about the call.
    BadRequest,
    /// `DatabaseResumingException`: paused, and waking up because of this call. Nothing ran.
    Resuming,
    Unavailable,
    DatabaseNotFound,
    ServiceUnavailable,
    InternalServerError,
    StatementTimeout,
    TransactionNotFound,
    NotFound,
    InvalidResourceState,
    HttpEndpointNotEnabled,
    SecretsError,
    InvalidSecret,
    UnsupportedResult,
    AccessDenied,
    Forbidden,
    /// `ValidationException`: several statements, an array value, a text that is too long.
    Validation,
    Throttling,
    /// The answer did not come: the connection could not be made, broke, or timed out.
    /// Whether the call had its effect is *unknown*; the ledger tells.
    NoAnswer,
    /// An answer that this version does not know, by its code.
    Unknown(String),
}

/// A five-character SQLSTATE.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SqlState(pub String);

impl SqlState {
    /// The class: the first two characters.
    fn class(&self) -> &str {
        self.0.get(..2).unwrap_or_default()
    }

    /// The SQLSTATE at the end of a message of the Data API:
    /// `ERROR: …; Position: 15; SQLState: 42P01`.
    ///
    /// The message may hold anything that a user sent, so only its very end counts.
    pub fn from_message(message: &str) -> Option<Self> {
        let (_, state) = message.trim_end().rsplit_once("SQLState: ")?;
        let is_state = state.len() == 5
            && state.bytes().all(|byte| byte.is_ascii_digit() || byte.is_ascii_uppercase());
        is_state.then(|| Self(state.to_owned()))
    }

    /// Whether PostgreSQL's message names things of the database only: what users' triggers and values
    /// make of a message is not for logs.
    fn speaks_of_the_database(&self) -> bool {
        const CLASSES: [&str; 16] = [
            "08", "0A", "25", "26", "28", "2F", "34", "3D", "3F", "40", "42", "53", "54", "55",
            "57", "58",
        ];
        CLASSES.contains(&self.class())
    }

    /// The classes of PostgreSQL's manual, appendix A. Others are of a user's trigger.
    const CLASSES: [&str; 44] = [
        "00", "01", "02", "03", "08", "09", "0A", "0B", "0F", "0L", "0P", "0Z", "10", "20", "21",
        "22", "23", "24", "25", "26", "27", "28", "2B", "2D", "2F", "34", "38", "39", "3B", "3D",
        "3F", "40", "42", "44", "53", "54", "55", "57", "58", "72", "F0", "HV", "P0", "XX",
    ];

    /// Whose fault, by these classes. `sync.is_of_row` (`sql/sync/0002_settle.sql`) says the same of the data's.
    fn disposition(&self) -> Disposition {
        match self.0.as_str() {
            // Serialization failure, deadlock, lock not available, statement cancelled,
            // "cached plan must not change result type" right after a migration.
            "40001" | "40P01" | "55P03" | "57014" | "0A000" => Disposition::Retry,
            // A row outside a view's WITH CHECK; a key twice in one statement (two spellings that only the database
            // holds equal); a value too large for an index, or a row for a page.
            "44000" | "21000" | "54000" => Disposition::Reject,
            _ => match self.class() {
                // Connection, insufficient resources, operator intervention, system error.
                "08" | "53" | "57" | "58" => Disposition::Retry,
                // Data exception, integrity constraint violation, what PL/pgSQL raises.
                "22" | "23" | "P0" => Disposition::Reject,
                class if !Self::CLASSES.contains(&class) => Disposition::Reject,
                _ => Disposition::Halt,
            },
        }
    }
}

impl fmt::Display for SqlState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl DataApiError {
    pub fn disposition(&self) -> Disposition {
        match &self.fault {
            DataApiFault::Sql(_) if self.is_overtaken() => Disposition::Retry,
            DataApiFault::Sql(_) if self.has_lost_rows() => Disposition::Halt,
            DataApiFault::Sql(state) => state.disposition(),
            DataApiFault::Resuming
            | DataApiFault::Unavailable
            | DataApiFault::ServiceUnavailable
            | DataApiFault::InternalServerError
            | DataApiFault::StatementTimeout
            | DataApiFault::TransactionNotFound
            | DataApiFault::InvalidResourceState
            | DataApiFault::Throttling
            | DataApiFault::NoAnswer => Disposition::Retry,
            DataApiFault::BadRequest
            | DataApiFault::DatabaseNotFound
            | DataApiFault::NotFound
            | DataApiFault::HttpEndpointNotEnabled
            | DataApiFault::SecretsError
            | DataApiFault::InvalidSecret
            | DataApiFault::UnsupportedResult
            | DataApiFault::AccessDenied
            | DataApiFault::Forbidden
            | DataApiFault::Validation
            | DataApiFault::Unknown(_) => Disposition::Halt,
        }
    }

    /// Whether rows that were sent are not accounted for.
    pub fn has_lost_rows(&self) -> bool {
        self.constraint() == Some(crate::statement::CONSERVES_ROWS)
    }

    /// Whether another worker did the same work meanwhile: what it did is found when it is retried.
    pub fn is_overtaken(&self) -> bool {
        matches!(
            self.constraint(),
            Some(
                crate::statement::SETTLED_ONCE
                    | crate::statement::LOADED_ONCE
                    | crate::statement::IMPORT_RUNS
            )
        )
    }

    /// Whether PostgreSQL refused the data only when the transaction was to end.
    pub fn is_refused_commit(&self) -> bool {
        self.operation == "CommitTransaction" && self.disposition() == Disposition::Reject
    }

    pub fn is_resuming(&self) -> bool {
        self.fault == DataApiFault::Resuming
    }

    /// Whether nobody may or can get to the database, whatever the call.
    fn is_no_access(&self) -> bool {
        match &self.fault {
            // Class 28, "invalid authorization specification", and 3D, "invalid catalog name".
            DataApiFault::Sql(state) => matches!(state.class(), "28" | "3D"),
            DataApiFault::DatabaseNotFound
            | DataApiFault::NotFound
            | DataApiFault::HttpEndpointNotEnabled
            | DataApiFault::SecretsError
            | DataApiFault::InvalidSecret
            | DataApiFault::AccessDenied
            | DataApiFault::Forbidden => true,
            _ => false,
        }
    }

    /// Whether PostgreSQL complains of a statement: class 42, "syntax error or access rule violation".
    pub fn is_about_a_statement(&self) -> bool {
        matches!(&self.fault, DataApiFault::Sql(state) if state.class() == "42")
    }

    /// Whether it may be what a type that we do not know says to a value: some speak in class 42 (`regclass`, `tsquery`,
    /// `ltree`), some in XX (`hstore` before PostgreSQL 16).
    pub fn may_be_about_a_value(&self) -> bool {
        matches!(&self.fault, DataApiFault::Sql(state) if matches!(state.class(), "42" | "XX"))
    }

    /// Whether a row has a key, or another value, that a row has already.
    pub fn is_unique_violation(&self) -> bool {
        matches!(&self.fault, DataApiFault::Sql(state) if state.0 == "23505")
    }

    /// Whether the service does not know the transaction any more, and nobody asked it to commit.
    pub fn is_lost_transaction(&self) -> bool {
        self.fault == DataApiFault::TransactionNotFound && !self.commits
    }

    /// A commit whose answer nobody waited for.
    pub fn unanswered_commit() -> Self {
        Self {
            operation: "CommitTransaction",
            commits: true,
            fault: DataApiFault::NoAnswer,
            message: "the time of the invocation is over".to_owned(),
        }
    }

    /// Whether doing the transaction again at once is likely to succeed.
    pub fn is_serialization_failure(&self) -> bool {
        matches!(&self.fault, DataApiFault::Sql(state) if matches!(state.0.as_str(), "40001" | "40P01"))
    }

    /// The constraint that the message names, as in `… violates unique constraint "staff_pkey"`.
    pub fn constraint(&self) -> Option<&str> {
        let (_, rest) = self.message.split_once("constraint \"")?;
        rest.split_once('"').map(|(name, _)| name)
    }
}

/// Without the message where it may hold values of a row.
impl fmt::Display for DataApiError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} failed: ", self.operation)?;
        match &self.fault {
            DataApiFault::Sql(state) if state.speaks_of_the_database() => {
                f.write_str(&self.message)
            }
            DataApiFault::Sql(state) => write!(f, "PostgreSQL refuses with SQLSTATE {state}"),
            fault if self.message.is_empty() => write!(f, "{fault:?}"),
            fault => write!(f, "{fault:?}: {}", self.message),
        }
    }
}

impl Error for DataApiError {}

/// An error of S3 or SQS, after the SDK's own retries.
#[derive(Debug, thiserror::Error)]
#[error("{operation} failed: {message}")]
pub struct ServiceError {
    /// The operation, such as `GetObject`.
    pub operation: &'static str,
    pub fault: ServiceFault,
    pub message: String,
}

/// What callers tell apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ServiceFault {
    /// No such object.
    NotFound,
    /// The object is no longer the one that was asked for.
    Changed,
    /// No permission, or no such bucket or queue: the deployment is wrong.
    Denied,
    /// Anything that may pass.
    Unavailable,
}

impl ServiceError {
    pub fn disposition(&self) -> Disposition {
        match self.fault {
            ServiceFault::NotFound | ServiceFault::Changed => Disposition::Reject,
            ServiceFault::Denied => Disposition::Halt,
            ServiceFault::Unavailable => Disposition::Retry,
        }
    }
}

/// An error with all its causes on one line.
pub fn chain(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_sqlstate_class_has_one_disposition() {
        use Disposition::{Halt, Reject, Retry};
        for (state, expected) in [
            ("40001", Retry),
            ("40P01", Retry),
            ("55P03", Retry),
            ("57014", Retry),
            ("0A000", Retry),
            ("08006", Retry),
            ("08P01", Retry),
            ("53300", Retry),
            ("57P01", Retry),
            ("57P03", Retry),
            ("58030", Retry),
            ("22001", Reject),
            ("22P02", Reject),
            ("22021", Reject),
            ("23502", Reject),
            ("23503", Reject),
            ("23505", Reject),
            ("23514", Reject),
            ("23P01", Reject),
            ("P0001", Reject),
            ("44000", Reject),
            ("21000", Reject),
            ("25P02", Halt),
            ("28P01", Halt),
            ("3D000", Halt),
            ("42501", Halt),
            ("42601", Halt),
            ("42703", Halt),
            ("42P01", Halt),
            ("54000", Reject),
            ("54001", Halt),
            ("XX000", Halt),
            ("P0002", Reject),
            ("P0004", Reject),
            ("45000", Reject),
            ("ZZ001", Reject),
        ] {
            assert_eq!(SqlState(state.into()).disposition(), expected, "{state}");
        }
    }

    #[test]
    fn every_fault_has_one_disposition() {
        use DataApiFault as Fault;
        use Disposition::{Halt, Retry};
        for (fault, expected) in [
            (Fault::Resuming, Retry),
            (Fault::Unavailable, Retry),
            (Fault::ServiceUnavailable, Retry),
            (Fault::InternalServerError, Retry),
            (Fault::StatementTimeout, Retry),
            (Fault::TransactionNotFound, Retry),
            (Fault::InvalidResourceState, Retry),
            (Fault::Throttling, Retry),
            (Fault::NoAnswer, Retry),
            (Fault::BadRequest, Halt),
            (Fault::DatabaseNotFound, Halt),
            (Fault::NotFound, Halt),
            (Fault::HttpEndpointNotEnabled, Halt),
            (Fault::SecretsError, Halt),
            (Fault::InvalidSecret, Halt),
            (Fault::UnsupportedResult, Halt),
            (Fault::AccessDenied, Halt),
            (Fault::Forbidden, Halt),
            (Fault::Validation, Halt),
            (Fault::Unknown("NewException".into()), Halt),
        ] {
            let error =
                DataApiError { operation: "Test", commits: false, fault, message: String::new() };
            assert_eq!(error.disposition(), expected, "{error}");
        }
    }

    fn sql_error(message: &str) -> DataApiError {
        let state = SqlState::from_message(message).unwrap();
        DataApiError {
            operation: "BatchExecuteStatement",
            commits: false,
            fault: DataApiFault::Sql(state),
            message: message.into(),
        }
    }

    #[test]
    fn the_sqlstate_is_read_at_the_end_of_the_message_only() {
        let check = |message: &str, expected: Option<&str>| {
            let found = SqlState::from_message(message);
            assert_eq!(found.as_ref().map(|state| state.0.as_str()), expected, "{message}");
        };
        check("ERROR: relation \"x\" does not exist; Position: 15; SQLState: 42P01", Some("42P01"));
        check("ERROR: bad \"a; SQLState: 00000\" here; SQLState: 22P02", Some("22P02"));
        check("ERROR: first line\n  Detail: Key (k)=(v); SQLState: 23505\n", Some("23505"));
        check("Transaction is still running a query", None);
        check("a SQLState: 22P02 that is not at the end", None);
    }

    #[test]
    fn being_overtaken_is_not_the_datas_fault() {
        let overtaken = sql_error(
            "ERROR: duplicate key value violates unique constraint \"sync_write_settled_once\"; SQLState: 23505",
        );
        assert_eq!(overtaken.disposition(), Disposition::Retry);
    }

    #[test]
    fn only_what_commits_can_be_left_unanswered() {
        let check = |operation, commits, fault: DataApiFault, expected: bool| {
            let error = DataApiError { operation, commits, fault, message: String::new() };
            let about = error.to_string();
            assert_eq!(SyncError::from(error).is_unanswered_commit(), expected, "{about}");
        };
        let sql = |state: &str| DataApiFault::Sql(SqlState(state.to_owned()));
        for operation in ["ExecuteStatement", "CommitTransaction"] {
            check(operation, true, DataApiFault::NoAnswer, true);
            check(operation, true, DataApiFault::InternalServerError, true);
            check(operation, true, sql("57P01"), true);
            check(operation, true, sql("08006"), true);
            check(operation, true, sql("23505"), false);
            check(operation, true, DataApiFault::Throttling, false);
            check(operation, true, DataApiFault::AccessDenied, false);
        }
        check("CommitTransaction", true, DataApiFault::StatementTimeout, true);
        check("ExecuteStatement", true, DataApiFault::StatementTimeout, false);
        check("ExecuteStatement", false, DataApiFault::NoAnswer, false);
    }

    #[test]
    fn values_do_not_reach_the_log() {
        let error =
            sql_error("ERROR: invalid input syntax for type integer: \"secret\"; SQLState: 22P02");
        assert!(!error.to_string().contains("secret"));
    }
}
