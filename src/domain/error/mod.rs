//! Errors, and the decision what to do about each: retry, reject or block.
//!
//! Pure. `src/aws/` turns the responses of the services into [`DataApiError`] and [`ServiceError`].
//! The functions `disposition` of this module decide, and nothing else does.

mod data_api;
mod service;
mod sqlstate;

use std::error::Error;

pub use self::data_api::{DataApiError, DataApiFault};
pub use self::service::{ServiceError, ServiceFault};
pub use self::sqlstate::SqlState;

/// The action to take after an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Disposition {
    /// A fault that may pass, such as an outage: the work is retried later. Nothing is rejected.
    Retry,
    /// A fault of the data: it is rejected, and the work continues without it.
    Reject,
    /// A fault of the worker or its deployment: the work stops and is kept until a person fixes the
    /// cause.
    Block,
}

/// The number of deliveries of a message for which a wrong password counts as one that is being
/// rotated. With the pauses between them they take four minutes.
const ROTATION_DELIVERIES: u32 = 7;

/// An error of a function.
#[derive(Debug, thiserror::Error)]
pub enum SyncError {
    #[error(transparent)]
    Database(#[from] DataApiError),
    #[error(transparent)]
    Service(#[from] ServiceError),
    /// PostgreSQL refuses a row of a user, in a statement that holds several.
    #[error(transparent)]
    Refused(DataApiError),
    /// The time of the invocation is over. The transaction that was open is rolled back.
    #[error("the time of the invocation is over")]
    OutOfTime,
    /// A response or an event that is impossible: a defect, or a manual change of the worker's
    /// tables.
    #[error("{0}")]
    Inconsistent(String),
}

impl SyncError {
    /// Returns the action for an error of a call that the worker makes for itself.
    ///
    /// A data error of PostgreSQL is a reason to reject only if the statement changed rows of
    /// users. Callers of such statements use [`DataApiError::disposition`].
    pub fn disposition(&self) -> Disposition {
        match self {
            Self::Database(error) => match error.disposition() {
                Disposition::Reject => Disposition::Block,
                other => other,
            },
            Self::Service(error) => error.disposition(),
            Self::OutOfTime => Disposition::Retry,
            // Bisecting rejects bad rows one by one. This error is left when that did not find the
            // row.
            Self::Refused(_) | Self::Inconsistent(_) => Disposition::Block,
        }
    }

    /// Returns the action for an error of work that a message asks for, at this delivery of it.
    pub fn disposition_of_delivery(&self, receive_count: u32) -> Disposition {
        if self.is_wrong_password() && receive_count <= ROTATION_DELIVERIES {
            return Disposition::Retry;
        }
        self.disposition()
    }

    /// Returns `true` if the database refuses the password of the secret. This may pass: a rotation
    /// changes the password in the database before it changes the secret (Secrets Manager User
    /// Guide, "Rotation by Lambda function").
    pub fn is_wrong_password(&self) -> bool {
        matches!(self, Self::Database(error) if error.is_wrong_password())
    }

    /// Returns a word for the error that holds no value and no name: the SQLSTATE of an error of
    /// PostgreSQL.
    pub fn code(&self) -> String {
        match self {
            Self::Database(error) | Self::Refused(error) => match &error.fault {
                DataApiFault::Sql(state) => state.0.clone(),
                fault => format!("{fault:?}"),
            },
            Self::Service(_) => "service".to_owned(),
            Self::OutOfTime => "out-of-time".to_owned(),
            Self::Inconsistent(_) => "inconsistent".to_owned(),
        }
    }

    /// Returns `true` if less work, or more time, would have been enough.
    pub fn is_timeout(&self) -> bool {
        match self {
            Self::OutOfTime => true,
            Self::Database(error) => error.is_statement_timeout(),
            Self::Service(_) | Self::Refused(_) | Self::Inconsistent(_) => false,
        }
    }

    /// Returns `true` if the call failed before any of the work began, so that other work fails in
    /// the same way.
    pub fn is_before_work(&self) -> bool {
        matches!(self, Self::Database(error) if error.operation == "BeginTransaction" || error.is_access_error())
    }

    /// Returns `true` if the database is resuming from its pause.
    pub fn is_resuming(&self) -> bool {
        matches!(self, Self::Database(error) if error.is_resuming())
    }

    /// Returns `true` if the tables in the database may differ from the catalog.
    pub fn is_about_tables(&self) -> bool {
        matches!(self, Self::Database(error) if error.is_about_tables())
    }

    /// Returns `true` if a commit was sent and its result is unknown. The ledger knows it.
    pub fn is_unconfirmed_commit(&self) -> bool {
        matches!(self, Self::Database(error) if error.is_unconfirmed_commit())
    }
}

/// Formats an error with all its causes on one line, separated by colons.
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
