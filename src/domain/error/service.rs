//! Errors of Amazon S3 and Amazon SQS.
//!
//! Pure.

use super::Disposition;

/// An error of S3 or SQS, after the retries of the SDK.
#[derive(Debug, thiserror::Error)]
#[error("{operation} failed: {message}")]
pub struct ServiceError {
    /// The operation, such as `GetObject`.
    pub operation: &'static str,
    pub fault: ServiceFault,
    /// The message of the service with its causes, for logs.
    pub message: String,
}

/// The kinds of service errors that callers treat differently.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ServiceFault {
    /// The object does not exist.
    NotFound,
    /// The object is no longer the version that was requested.
    Changed,
    /// The permission, the bucket or the queue is missing: the deployment is wrong.
    Denied,
    /// The service is not available, or its response is not usable. It may work later.
    Unavailable,
}

impl ServiceError {
    /// Returns the action to take.
    pub fn disposition(&self) -> Disposition {
        match self.fault {
            ServiceFault::NotFound | ServiceFault::Changed => Disposition::Reject,
            ServiceFault::Denied => Disposition::Block,
            ServiceFault::Unavailable => Disposition::Retry,
        }
    }
}
