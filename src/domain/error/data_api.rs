//! Errors of the RDS Data API, and of PostgreSQL behind it.
//!
//! Pure.

use std::error::Error;
use std::fmt;

use super::{Disposition, SqlState};

/// The unique constraint that fails when another worker has settled the same write.
const SETTLED_ONCE: &str = "sync_write_settled_once";

/// The unique constraint that fails when another worker has loaded the same chunk.
const LOADED_ONCE: &str = "sync_chunk_loaded_once";

/// The check constraint that fails when some rows of a set are not accounted for.
const CONSERVES_ROWS: &str = "import_chunk_conserves_rows";

/// The name in the error of `sync.enter_import` when another worker has ended the import.
const IMPORT_RUNS: &str = "sync_import_is_running";

/// An error of the RDS Data API.
#[derive(Debug)]
pub struct DataApiError {
    /// The operation, such as `BeginTransaction`.
    pub operation: &'static str,
    /// `true` if success of the call would have committed a change: for `CommitTransaction`, and
    /// for a statement outside of a transaction.
    pub commits: bool,
    pub fault: DataApiFault,
    /// The message of the service. With a data error it may hold values of the row, which must not
    /// reach a log.
    pub message: String,
}

/// The exceptions of the RDS Data API, and failures to reach it.
///
/// Source: the service model (botocore `rds-data/2018-08-01`). The exceptions that the model lacks
/// are from reports of responses of the service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DataApiFault {
    /// An error of PostgreSQL: `DatabaseErrorException`, or `BadRequestException` of the same form,
    /// which the service sent before.
    Sql(SqlState),
    /// A complaint of the service about the call: one of these two exceptions, without an SQLSTATE.
    BadRequest,
    /// `DatabaseResumingException`: the database was paused and resumes because of this call. No
    /// statement ran.
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
    /// `ValidationException`, such as for several statements in one text, an array value, or a text
    /// that is too long.
    Validation,
    Throttling,
    /// No response arrived: the connection could not be made, broke, or timed out. The effect of
    /// the call is *unknown*.
    NoResponse,
    /// An exception that this version does not know, by its code.
    Unknown(String),
}

/// The length of a UUID in PostgreSQL's output, in characters.
const UUID_LENGTH: usize = 36;

impl DataApiError {
    /// Makes the error of a commit whose response did not arrive before the deadline.
    pub fn unconfirmed_commit() -> Self {
        Self {
            operation: "CommitTransaction",
            commits: true,
            fault: DataApiFault::NoResponse,
            message: "the time of the invocation is over".to_owned(),
        }
    }

    /// Returns the action for an error of a statement that changes rows of users.
    pub fn disposition(&self) -> Disposition {
        match &self.fault {
            DataApiFault::Sql(_) if self.is_done_elsewhere() => Disposition::Retry,
            DataApiFault::Sql(_) if self.has_lost_rows() => Disposition::Block,
            DataApiFault::Sql(state) => state.disposition(self.text()),
            DataApiFault::Resuming
            | DataApiFault::Unavailable
            | DataApiFault::ServiceUnavailable
            | DataApiFault::InternalServerError
            | DataApiFault::StatementTimeout
            | DataApiFault::TransactionNotFound
            | DataApiFault::InvalidResourceState
            | DataApiFault::Throttling
            | DataApiFault::NoResponse => Disposition::Retry,
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
            | DataApiFault::Unknown(_) => Disposition::Block,
        }
    }

    /// Returns `true` if the database is resuming from its pause.
    pub fn is_resuming(&self) -> bool {
        self.fault == DataApiFault::Resuming
    }

    /// Returns `true` if some of the rows that were sent are not accounted for.
    pub fn has_lost_rows(&self) -> bool {
        let text = "new row for relation \"import_chunk\" violates check constraint";
        self.has_exact_text("23514", &format!("{text} \"{CONSERVES_ROWS}\""))
    }

    /// Returns `true` if another worker has done the same work. A retry finds its result.
    ///
    /// PostgreSQL's message does not name the table of the constraint, and a user's table may have
    /// a constraint of the same name. After bisecting, the error is about the worker's own table,
    /// since the server has rejected the user's row.
    pub fn is_done_elsewhere(&self) -> bool {
        let is_duplicate = |constraint: &str| {
            let text = "duplicate key value violates unique constraint";
            self.has_exact_text("23505", &format!("{text} \"{constraint}\""))
        };
        is_duplicate(SETTLED_ONCE) || is_duplicate(LOADED_ONCE) || self.is_ended_import()
    }

    /// Returns `true` if `sync.enter_import` found that another worker has ended the import.
    fn is_ended_import(&self) -> bool {
        let end = format!(" is not running: constraint \"{IMPORT_RUNS}\"");
        let id = self.text().strip_prefix("import ").and_then(|rest| rest.get(..UUID_LENGTH));
        id.is_some_and(|id| self.has_exact_text("55000", &format!("import {id}{end}")))
    }

    /// Returns `true` if PostgreSQL's primary message is `text` and nothing else. A message that
    /// only contains the text may have it from a value.
    fn has_exact_text(&self, state: &str, text: &str) -> bool {
        let DataApiFault::Sql(found) = &self.fault else { return false };
        // A detail or a hint, and the SQLSTATE, may follow.
        let is_end = |rest: &str| rest.is_empty() || rest.starts_with(['\n', ';']);
        found.0 == state && self.text().strip_prefix(text).is_some_and(is_end)
    }

    /// Returns PostgreSQL's message without `ERROR: `, followed by the additions of the service.
    fn text(&self) -> &str {
        self.message.strip_prefix("ERROR: ").unwrap_or(&self.message)
    }

    /// Returns `true` if PostgreSQL refused the data at the commit, as deferred constraints do.
    pub fn is_refused_commit(&self) -> bool {
        self.operation == "CommitTransaction" && self.disposition() == Disposition::Reject
    }

    /// Returns `true` if a commit was sent and its result is unknown.
    pub(super) fn is_unconfirmed_commit(&self) -> bool {
        self.commits
            && match &self.fault {
                // PostgreSQL rolled back the statement that it cancelled.
                DataApiFault::Sql(state) if state.0 == "57014" => false,
                // 08: the connection. 57: operator intervention. 40003: completion unknown. Any
                // other error is of a transaction that did not commit.
                DataApiFault::Sql(state) => {
                    matches!(state.class(), "08" | "57") || state.0 == "40003"
                }
                DataApiFault::Resuming | DataApiFault::Throttling => false,
                // The service ended the statement, which rolled it back.
                DataApiFault::StatementTimeout => self.operation == "CommitTransaction",
                _ => self.disposition() == Disposition::Retry,
            }
    }

    /// Returns `true` if the statement was ended because it ran too long.
    pub(super) fn is_statement_timeout(&self) -> bool {
        self.fault == DataApiFault::StatementTimeout
            || self.has_exact_text("57014", "canceling statement due to statement timeout")
    }

    /// Returns `true` if the statement was cancelled, or did not end in the time for its response.
    pub fn is_canceled(&self) -> bool {
        match &self.fault {
            DataApiFault::StatementTimeout => true,
            DataApiFault::Sql(state) => state.0 == "57014",
            _ => false,
        }
    }

    /// Returns `true` if the transaction still runs the statement of another call.
    pub fn is_still_running(&self) -> bool {
        self.fault == DataApiFault::BadRequest
            && self.message.contains("Transaction is still running a query")
    }

    /// Returns `true` if the database cannot be reached with this secret and database name,
    /// whatever the call.
    pub(super) fn is_access_error(&self) -> bool {
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

    /// Returns `true` if the database refuses the password of the secret.
    pub fn is_wrong_password(&self) -> bool {
        matches!(&self.fault, DataApiFault::Sql(state) if state.0 == "28P01")
    }

    /// Returns `true` for class 42, "syntax error or access rule violation".
    pub fn is_about_a_statement(&self) -> bool {
        matches!(&self.fault, DataApiFault::Sql(state) if state.class() == "42")
    }

    /// Returns `true` if PostgreSQL lacks something that the catalog names, or has it in another
    /// form: a schema (3F000), a table, column, type, operator or right (class 42), a key for
    /// `ON CONFLICT` (42P10), or the plan's result (0A000).
    pub fn is_about_tables(&self) -> bool {
        let is_of_plan = || self.has_exact_text("0A000", "cached plan must not change result type");
        matches!(&self.fault, DataApiFault::Sql(state) if state.class() == "42" || state.class() == "3F")
            || is_of_plan()
    }

    /// Returns `true` if the error may come from the input function of a type that the catalog does
    /// not know. Some such functions report class 42 (`regclass`, `tsquery`, `ltree`), some XX
    /// (`hstore` before PostgreSQL 16).
    pub fn may_be_about_a_value(&self) -> bool {
        matches!(&self.fault, DataApiFault::Sql(state) if matches!(state.class(), "42" | "XX"))
    }

    /// Returns `true` if the service has lost the transaction, and no commit was sent.
    pub fn is_lost_transaction(&self) -> bool {
        self.fault == DataApiFault::TransactionNotFound && !self.commits
    }

    /// Returns `true` for a serialization failure or a deadlock: the same transaction is likely to
    /// succeed at once.
    pub fn is_serialization_failure(&self) -> bool {
        matches!(&self.fault, DataApiFault::Sql(state) if matches!(state.0.as_str(), "40001" | "40P01"))
    }
}

/// Formats the error for logs: without the message where it may hold values of a row.
impl fmt::Display for DataApiError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} failed: ", self.operation)?;
        match &self.fault {
            DataApiFault::Sql(state) if state.is_message_safe_to_log() => {
                f.write_str(&self.message)
            }
            DataApiFault::Sql(state) => write!(f, "PostgreSQL reports SQLSTATE {state}"),
            fault if self.message.is_empty() => write!(f, "{fault:?}"),
            fault => write!(f, "{fault:?}: {}", self.message),
        }
    }
}

impl Error for DataApiError {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::error::SyncError;

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
    fn the_beginning_of_the_text_decides_if_the_sqlstate_is_ambiguous() {
        use Disposition::{Block, Reject, Retry};
        let check = |state: &str, text: &str, expected: Disposition| {
            let error = sql_error(&format!("ERROR: {text}; SQLState: {state}"));
            assert_eq!(error.disposition(), expected, "{text}");
        };
        check("0A000", "cached plan must not change result type", Retry);
        check(
            "0A000",
            "XQuery \"x\" flag (expanded regular expressions) is not implemented",
            Reject,
        );
        check("42501", "new row violates row-level security policy for table \"t\"", Reject);
        check("42501", "new row violates row-level security policy \"p\" for table \"t\"", Reject);
        check("42501", "permission denied for table t", Block);
        check("42501", "no new row violates row-level security policy", Block);
        check("54000", "index row size 2800 exceeds btree version 4 maximum 2704", Reject);
        check("54000", "cannot extend file \"base/1/2\" beyond 4294967295 blocks", Block);
        check("54000", "database is not accepting commands that assign new XIDs", Block);
    }

    #[test]
    fn every_fault_has_one_disposition() {
        use DataApiFault as Fault;
        use Disposition::{Block, Retry};
        for (fault, expected) in [
            (Fault::Resuming, Retry),
            (Fault::Unavailable, Retry),
            (Fault::ServiceUnavailable, Retry),
            (Fault::InternalServerError, Retry),
            (Fault::StatementTimeout, Retry),
            (Fault::TransactionNotFound, Retry),
            (Fault::InvalidResourceState, Retry),
            (Fault::Throttling, Retry),
            (Fault::NoResponse, Retry),
            (Fault::BadRequest, Block),
            (Fault::DatabaseNotFound, Block),
            (Fault::NotFound, Block),
            (Fault::HttpEndpointNotEnabled, Block),
            (Fault::SecretsError, Block),
            (Fault::InvalidSecret, Block),
            (Fault::UnsupportedResult, Block),
            (Fault::AccessDenied, Block),
            (Fault::Forbidden, Block),
            (Fault::Validation, Block),
            (Fault::Unknown("NewException".into()), Block),
        ] {
            let error =
                DataApiError { operation: "Test", commits: false, fault, message: String::new() };
            assert_eq!(error.disposition(), expected, "{error}");
        }
    }

    #[test]
    fn a_name_counts_only_with_its_sqlstate_and_in_postgresqls_own_text() {
        use Disposition::{Block, Reject, Retry};
        let check = |message: &str, expected: Disposition| {
            assert_eq!(sql_error(message).disposition(), expected, "{message}");
        };
        let unique = "duplicate key value violates unique constraint";
        check(&format!("ERROR: {unique} \"sync_write_settled_once\"; SQLState: 23505"), Retry);
        check(
            &format!("ERROR: {unique} \"sync_chunk_loaded_once\"\n  Detail: x; SQLState: 23505"),
            Retry,
        );
        check(&format!("ERROR: {unique} \"sync_write_settled_once\"; SQLState: 22P02"), Reject);
        check(&format!("ERROR: {unique} \"sync_write_settled_once\" x; SQLState: 23505"), Reject);
        check(&format!("ERROR: x: {unique} \"sync_write_settled_once\"; SQLState: 23505"), Reject);
        check(
            "ERROR: invalid input syntax for type date: \"1 constraint \"sync_write_settled_once\"\"; SQLState: 22007",
            Reject,
        );
        let rows = "violates check constraint \"import_chunk_conserves_rows\"";
        check(
            &format!("ERROR: new row for relation \"import_chunk\" {rows}; SQLState: 23514"),
            Block,
        );
        check(&format!("ERROR: new row for relation \"t\" {rows}; SQLState: 23514"), Reject);
        let ended = "is not running: constraint \"sync_import_is_running\"; SQLState: 55000";
        check(&format!("ERROR: import 5e1d7a3c-0000-4000-8000-000000000001 {ended}"), Retry);
        check(&format!("ERROR: import {ended}"), Block);
    }

    #[test]
    fn only_commits_can_be_unconfirmed() {
        let check = |operation, commits, fault: DataApiFault, expected: bool| {
            let error = DataApiError { operation, commits, fault, message: String::new() };
            let about = error.to_string();
            assert_eq!(SyncError::from(error).is_unconfirmed_commit(), expected, "{about}");
        };
        let sql = |state: &str| DataApiFault::Sql(SqlState(state.to_owned()));
        for operation in ["ExecuteStatement", "CommitTransaction"] {
            check(operation, true, DataApiFault::NoResponse, true);
            check(operation, true, DataApiFault::InternalServerError, true);
            check(operation, true, sql("57P01"), true);
            check(operation, true, sql("08006"), true);
            check(operation, true, sql("40003"), true);
            check(operation, true, sql("57014"), false);
            check(operation, true, sql("23505"), false);
            check(operation, true, DataApiFault::Throttling, false);
            check(operation, true, DataApiFault::AccessDenied, false);
        }
        check("CommitTransaction", true, DataApiFault::StatementTimeout, true);
        check("ExecuteStatement", true, DataApiFault::StatementTimeout, false);
        check("ExecuteStatement", false, DataApiFault::NoResponse, false);
    }

    #[test]
    fn values_do_not_reach_the_log() {
        let error =
            sql_error("ERROR: invalid input syntax for type integer: \"secret\"; SQLState: 22P02");
        assert!(!error.to_string().contains("secret"));
    }
}
