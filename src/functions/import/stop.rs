//! The reason for which an import stops before all of its file is loaded.

use csv_stream::reader::ReadError;

use crate::domain::error::{DataApiError, ServiceError, ServiceFault, SyncError, chain};
use crate::functions::metrics;

/// The reason for which reading or loading stops.
#[derive(Debug)]
pub(super) enum Stop {
    /// The import fails. The text gives the reason and the fix to the owner of the file.
    Failed(String),
    /// The time of the invocation is over. Another one continues, if this one has loaded anything.
    OutOfTime { has_advanced: bool },
    /// The import is retried later, or blocked: see [`SyncError::disposition`].
    Error(SyncError),
}

impl Stop {
    /// Stops with this error, if there is one.
    pub(super) fn if_failed(error: Option<String>) -> Result<(), Self> {
        error.map_or(Ok(()), |error| Err(Self::Failed(error)))
    }

    /// Returns `true` if another catalog may have another result.
    pub(super) fn may_depend_on_tables(&self) -> bool {
        match self {
            Self::Failed(_) => true,
            Self::OutOfTime { .. } => false,
            Self::Error(error) => error.is_about_tables(),
        }
    }

    /// Turns an error that ends the import for good into a failure. The rows that were loaded stay.
    pub(super) fn of_import(self) -> Self {
        let error = match self {
            Self::Error(SyncError::Service(ref error)) if error.fault == ServiceFault::NotFound => {
                "the file no longer exists; the rows that were loaded stay"
            }
            Self::Error(SyncError::Service(ref error)) if error.fault == ServiceFault::Changed => {
                "the file was replaced before all of it was read; the newer file has its own import, and the rows that \
                 were loaded of this one stay"
            }
            // A defect of the worker. Nobody may rely on the counts then.
            Self::Error(SyncError::Database(ref error)) if error.has_lost_rows() => {
                tracing::error!(target: metrics::TARGET, "rows of the file are not conserved");
                "not all rows of a chunk are accounted for: a defect of aurora-sync, please report it; the rows that \
                 were loaded before stay"
            }
            other => return other,
        };
        Self::Failed(error.to_owned())
    }
}

impl From<SyncError> for Stop {
    fn from(error: SyncError) -> Self {
        match error {
            SyncError::OutOfTime => Self::OutOfTime { has_advanced: false },
            error => Self::Error(error),
        }
    }
}

impl From<DataApiError> for Stop {
    fn from(error: DataApiError) -> Self {
        Self::Error(error.into())
    }
}

impl From<ServiceError> for Stop {
    fn from(error: ServiceError) -> Self {
        Self::Error(error.into())
    }
}

impl From<ReadError> for Stop {
    fn from(error: ReadError) -> Self {
        Self::Failed(format!("the rest of the file cannot be read: {}", chain(&error)))
    }
}

impl From<String> for Stop {
    fn from(error: String) -> Self {
        Self::Failed(error)
    }
}
