//! Errors that leave migrations unapplied, each with the way out.

use crate::domain::error::{DataApiError, DataApiFault, SyncError};

use super::split::MARK;

/// An error that leaves migrations unapplied.
#[derive(Debug, thiserror::Error)]
pub enum MigrateError {
    #[error("cannot read {path}")]
    Unreadable {
        path: String,
        #[source]
        source: std::io::Error,
    },
    /// A file is refused before anything runs.
    #[error("{name}, line {line}: {cause}")]
    Refused { name: String, line: usize, cause: String },
    #[error("the parameter Baseline is {baseline}, which is not a file of sql/: {files}")]
    NoBaseline { baseline: String, files: String },
    #[error(
        "another stack serves the database: {holder}. Two stacks would take the passwords of the database users from each \
         other; give this one a database of its own (parameter Database). To hand the database over, delete the other \
         stack first; if it is gone, or serves another copy of the database, run DELETE FROM sync.deployment as the owner"
    )]
    OtherStack { holder: String },
    #[error(
        "the stack serves {served}, and this update names {named}. If that is a mistake, set ClusterArn, Database, \
         SnapshotIdentifier, DBSubnetGroupName and KmsKeyArn back to their values before. If not, move the data first, \
         and set the parameter AllowOtherDatabase to true for this update"
    )]
    OtherDatabase { served: String, named: String },
    #[error("{name} was applied with other content; revert the change and put it into a new file")]
    Changed { name: String },
    #[error(
        "{name}, line {line}: the index {index} is invalid, because its CREATE INDEX CONCURRENTLY \
         failed; run DROP INDEX CONCURRENTLY {index}, remove the cause, and deploy again"
    )]
    InvalidIndex { name: String, line: usize, index: String },
    /// A statement or the commit of a file failed, or an outage lasted until the deadline.
    #[error("{text}")]
    Failed {
        /// The file, the line, and the way out.
        text: String,
        #[source]
        source: SyncError,
    },
    #[error(transparent)]
    Sync(#[from] SyncError),
}

impl MigrateError {
    /// Makes the error of a file of which the statement on `line` was the last; 0 for none.
    pub(super) fn not_applied(name: &str, line: usize, source: SyncError) -> Self {
        let text = match line {
            0 => format!("{name} is not applied"),
            line => format!("{name} is not applied; it got to line {line}"),
        };
        Self::Failed { text, source }
    }

    /// Makes the error of a statement that failed.
    pub(super) fn statement(name: &str, line: usize, error: DataApiError) -> Self {
        let text = format!("{name}, line {line}{}", advice(name, &error));
        Self::Failed { text, source: error.into() }
    }
}

/// Returns the way out after `: `, or nothing.
fn advice(name: &str, error: &DataApiError) -> String {
    let state = match &error.fault {
        DataApiFault::Sql(state) => state.0.as_str(),
        DataApiFault::StatementTimeout => "57014",
        _ => return String::new(),
    };
    match state {
        // Duplicate column, object, function, database, schema, table.
        "42701" | "42710" | "42723" | "42P04" | "42P06" | "42P07" => format!(
            ": it exists already. If this file and those before it describe what the database \
             already has, record them as applied without running them: set the parameter \
             Baseline to {name}"
        ),
        // The statement cannot run inside a transaction.
        "25001" => format!(": put it into a file of its own whose first line is `{MARK}`"),
        // A statement went on after the time for its response, and then failed.
        "25P02" => ": it took longer than the 45 s of the Data API and failed then. PostgreSQL's \
                    log has the error"
            .to_owned(),
        "57014" => format!(
            ": it was cancelled, or took longer than the 45 s of the Data API. Run the file with \
             psql, and record it as applied: set the parameter Baseline to {name}"
        ),
        _ => String::new(),
    }
}
