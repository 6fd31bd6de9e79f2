//! Whose fault an error is, and what is done about it: one exhaustive table.
//!
//! Pure. The responses of the service become [`DataApiError`] in `src/aws/data_api.rs`; what a caller does
//! is decided here and nowhere else.

use std::error::Error;
use std::fmt;

/// The constraint that fails when another worker settled the same write meanwhile.
pub const SETTLED_ONCE: &str = "sync_write_settled_once";

/// The constraint that fails when another worker loaded the same chunk meanwhile.
pub const LOADED_ONCE: &str = "sync_chunk_loaded_once";

/// The constraint that fails when the rows of a set are not all accounted for.
pub const CONSERVES_ROWS: &str = "import_chunk_conserves_rows";

/// Named by `sync.enter_import` where somebody else ended the import meanwhile.
pub const IMPORT_RUNS: &str = "sync_import_is_running";

/// What to do about an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Disposition {
    /// Nobody's fault: give the work back and do it again later. Nothing is rejected.
    Retry,
    /// The data's fault: record it and go on without it.
    Reject,
    /// Our fault, or the deployment's: stop, keep everything, tell a human.
    Block,
}

/// A call that a service refused or did not answer as asked.
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
                Disposition::Reject => Disposition::Block,
                other => other,
            },
            Self::Service(error) => error.disposition(),
            Self::OutOfTime => Disposition::Retry,
            // Bad rows are rejected alone, before anybody asks: this one could not be told from the others.
            Self::Refused(_) | Self::Inconsistent(_) => Disposition::Block,
        }
    }

    /// Whether less work, or more time, would have been enough.
    pub fn is_for_time(&self) -> bool {
        match self {
            Self::OutOfTime => true,
            Self::Database(error) => {
                error.fault == DataApiFault::StatementTimeout
                    || error.is_just("57014", "canceling statement due to statement timeout")
            }
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

    /// Whether a commit was asked for and nobody can tell from the response whether it was done. The
    /// ledger can.
    pub fn is_unconfirmed_commit(&self) -> bool {
        let Self::Database(error) = self else { return false };
        error.commits
            && match &error.fault {
                // PostgreSQL rolled back the statement that it cancelled.
                DataApiFault::Sql(state) if state.0 == "57014" => false,
                // PostgreSQL itself says that it did not commit.
                DataApiFault::Sql(state) => {
                    matches!(state.class(), "08" | "57") || state.0 == "40003"
                }
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
    /// The response did not come: the connection could not be made, broke, or timed out.
    /// Whether the call had its effect is *unknown*; the ledger tells.
    NoResponse,
    /// A response that this version does not know, by its code.
    Unknown(String),
}

/// Characters of a UUID, as PostgreSQL writes it.
const UUID_LENGTH: usize = 36;

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

    /// Whose fault, by the SQLSTATE and, where that is not enough, by how PostgreSQL's text begins.
    /// `sync.is_of_row` (`sql/sync/0002_settle.sql`) says the same of the data's; a test holds them to each other.
    fn disposition(&self, text: &str) -> Disposition {
        let begins_with = |texts: &[&str]| texts.iter().any(|begin| text.starts_with(begin));
        match self.0.as_str() {
            // Right after a migration. Else something that PostgreSQL cannot do with the row: a rule, a flag of a jsonpath.
            "0A000" if begins_with(&["cached plan must not change result type"]) => {
                Disposition::Retry
            }
            "0A000" => Disposition::Reject,
            // A policy is about rows; every other permission is about the deployment.
            "42501" if begins_with(&["new row violates row-level security policy"]) => {
                Disposition::Reject
            }
            // The table or the whole database is full. Else a value is too large for an index, or a row for a page.
            "54000"
                if begins_with(&[
                    "cannot extend file ",
                    "database is not accepting commands ",
                    "multixact \"members\" limit exceeded",
                ]) =>
            {
                Disposition::Block
            }
            // No number is left in a sequence, for no row.
            "2200H" => Disposition::Block,
            // Lock not available. A failover leaves a connection to what is a reader now. A transaction that stood still,
            // or took, too long. "Snapshot too old".
            "55P03" | "25006" | "25P03" | "25P04" | "72000" => Disposition::Retry,
            // A file of the database, or of an extension, is not there: nothing that passes.
            "58P01" | "58P02" => Disposition::Block,
            // CASE without ELSE in PL/pgSQL; a key twice in one statement (two spellings that only the database holds
            // equal); a trigger that changes its own row; a row outside a view's WITH CHECK; a value nested too deeply.
            "20000" | "21000" | "27000" | "44000" | "54000" | "54001" => Disposition::Reject,
            _ => match self.class() {
                // Connection, transaction rollback, insufficient resources, operator intervention, system error.
                "08" | "40" | "53" | "57" | "58" => Disposition::Retry,
                // Data exception, integrity constraint violation, what triggers in PL/Perl or PL/Python and in PL/pgSQL
                // raise.
                "22" | "23" | "38" | "P0" => Disposition::Reject,
                class if !Self::CLASSES.contains(&class) => Disposition::Reject,
                _ => Disposition::Block,
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

    /// Whether rows that were sent are not accounted for.
    pub fn has_lost_rows(&self) -> bool {
        let text = "new row for relation \"import_chunk\" violates check constraint";
        self.is_just("23514", &format!("{text} \"{CONSERVES_ROWS}\""))
    }

    /// Whether another worker did the same work meanwhile: what it did is found when it is retried.
    ///
    /// PostgreSQL does not say whose constraint it is. A table of a user may have one of that name: where the
    /// batch is bisected, its row is rejected inside the server, and an error that is left is about ours.
    pub fn is_overtaken(&self) -> bool {
        let is_duplicate = |constraint: &str| {
            let text = "duplicate key value violates unique constraint";
            self.is_just("23505", &format!("{text} \"{constraint}\""))
        };
        is_duplicate(SETTLED_ONCE) || is_duplicate(LOADED_ONCE) || self.is_ended_import()
    }

    /// Whether `sync.enter_import` found that somebody else had ended the import.
    fn is_ended_import(&self) -> bool {
        let end = format!(" is not running: constraint \"{IMPORT_RUNS}\"");
        let id = self.text().strip_prefix("import ").and_then(|rest| rest.get(..UUID_LENGTH));
        id.is_some_and(|id| self.is_just("55000", &format!("import {id}{end}")))
    }

    /// Whether PostgreSQL says this and nothing else. A text that only holds it somewhere may have it from a value.
    fn is_just(&self, state: &str, text: &str) -> bool {
        let DataApiFault::Sql(found) = &self.fault else { return false };
        // A detail or a hint, and the SQLSTATE, may follow.
        let is_end = |rest: &str| rest.is_empty() || rest.starts_with(['\n', ';']);
        found.0 == state && self.text().strip_prefix(text).is_some_and(is_end)
    }

    /// PostgreSQL's text from its beginning, and what the service adds behind it.
    fn text(&self) -> &str {
        self.message.strip_prefix("ERROR: ").unwrap_or(&self.message)
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

    /// Whether the service does not know the transaction any more, and nobody asked it to commit.
    pub fn is_lost_transaction(&self) -> bool {
        self.fault == DataApiFault::TransactionNotFound && !self.commits
    }

    /// A commit whose response nobody waited for.
    pub fn unconfirmed_commit() -> Self {
        Self {
            operation: "CommitTransaction",
            commits: true,
            fault: DataApiFault::NoResponse,
            message: "the time of the invocation is over".to_owned(),
        }
    }

    /// Whether doing the transaction again at once is likely to succeed.
    pub fn is_serialization_failure(&self) -> bool {
        matches!(&self.fault, DataApiFault::Sql(state) if matches!(state.0.as_str(), "40001" | "40P01"))
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
            ServiceFault::Denied => Disposition::Block,
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
        use Disposition::{Block, Reject, Retry};
        for (state, expected) in [
            ("08006", Retry),
            ("08P01", Retry),
            ("20000", Reject),
            ("21000", Reject),
            ("22001", Reject),
            ("22P02", Reject),
            ("22P05", Reject),
            ("2200H", Block),
            ("23502", Reject),
            ("23503", Reject),
            ("23505", Reject),
            ("23514", Reject),
            ("23P01", Reject),
            ("25006", Retry),
            ("25P02", Block),
            ("25P03", Retry),
            ("27000", Reject),
            ("28P01", Block),
            ("38000", Reject),
            ("39P01", Block),
            ("3D000", Block),
            ("40001", Retry),
            ("40003", Retry),
            ("40P01", Retry),
            ("42601", Block),
            ("42703", Block),
            ("42804", Block),
            ("42P01", Block),
            ("44000", Reject),
            ("53100", Retry),
            ("53300", Retry),
            ("54001", Reject),
            ("54011", Block),
            ("55000", Block),
            ("55006", Block),
            ("55P03", Retry),
            ("57014", Retry),
            ("57P01", Retry),
            ("57P03", Retry),
            ("57P04", Retry),
            ("58030", Retry),
            ("58P01", Block),
            ("72000", Retry),
            ("P0001", Reject),
            ("P0002", Reject),
            ("P0004", Reject),
            ("XX000", Block),
            ("XX001", Block),
            ("XX002", Block),
            ("45000", Reject),
            ("ZZ001", Reject),
        ] {
            assert_eq!(SqlState(state.into()).disposition(""), expected, "{state}");
        }
    }

    #[test]
    fn where_an_sqlstate_is_not_enough_the_beginning_of_the_text_decides() {
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
