//! The service's exceptions: name, HTTP status, message.

use crate::pg_error::{PgError, SqlError};

/// An answer that is an error.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ApiError {
    pub(crate) name: String,
    /// The message; some exceptions have none.
    pub(crate) message: Option<String>,
    /// The session, where the model names it.
    pub(crate) connection_id: Option<i64>,
}

/// The exceptions of the service model and those that it sends besides, with their status.
pub(crate) const EXCEPTIONS: [(&str, u16); 22] = [
    ("AccessDeniedException", 403),
    ("BadRequestException", 400),
    ("DatabaseErrorException", 400),
    ("DatabaseNotFoundException", 404),
    ("DatabaseResumingException", 400),
    ("DatabaseUnavailableException", 504),
    ("ForbiddenException", 403),
    ("HttpEndpointNotEnabledException", 400),
    ("InternalFailure", 500),
    ("InternalServerErrorException", 500),
    ("InvalidResourceStateException", 400),
    ("InvalidSecretException", 400),
    ("NotFoundException", 404),
    ("SecretsErrorException", 400),
    ("SerializationException", 400),
    ("ServiceUnavailableError", 503),
    ("StatementTimeoutException", 400),
    ("ThrottlingException", 400),
    ("TransactionNotFoundException", 404),
    ("UnknownOperationException", 404),
    ("UnsupportedResultException", 400),
    ("ValidationException", 400),
];

impl ApiError {
    /// An exception by its name.
    pub(crate) fn new(name: &str, message: impl Into<String>) -> Self {
        let message = match name {
            "DatabaseUnavailableException" | "InternalServerErrorException" | "InternalFailure" => {
                None
            }
            _ => Some(message.into()),
        };
        Self { name: name.to_owned(), message, connection_id: None }
    }

    /// An exception that nothing has caused, with the message that the service has for it.
    pub(crate) fn injected(name: &str) -> Self {
        Self::new(
            name,
            match name {
                "DatabaseResumingException" => {
                    "The Aurora DB instance db-LOCAL is resuming after being auto-paused. Please wait a few seconds and try again."
                }
                "ThrottlingException" => "Rate exceeded",
                "StatementTimeoutException" => "canceling statement due to statement timeout",
                "DatabaseErrorException" => "ERROR: deadlock detected; SQLState: 40P01",
                _ => "injected fault",
            },
        )
    }

    pub(crate) fn status(&self) -> u16 {
        let known = EXCEPTIONS.iter().find(|(name, _)| *name == self.name);
        known.map_or(400, |(_, status)| *status)
    }

    pub(crate) fn validation(message: impl Into<String>) -> Self {
        Self::new("ValidationException", message)
    }

    pub(crate) fn bad_request(message: impl Into<String>) -> Self {
        Self::new("BadRequestException", message)
    }

    pub(crate) fn serialization() -> Self {
        Self::new("SerializationException", "The request is not what the service model says")
    }

    pub(crate) fn secrets_error(message: impl Into<String>) -> Self {
        Self::new("SecretsErrorException", message)
    }

    pub(crate) fn secret_not_found() -> Self {
        Self::secrets_error("The secret cannot be found")
    }

    pub(crate) fn invalid_secret() -> Self {
        let message = "The secret must be a JSON object with a username and a password";
        Self::new("InvalidSecretException", message)
    }

    pub(crate) fn transaction_not_found(id: &str) -> Self {
        Self::new("TransactionNotFoundException", format!("Transaction {id} is not found"))
    }

    pub(crate) fn transaction_is_busy() -> Self {
        Self::new("DatabaseErrorException", "Transaction is still running a query")
    }

    pub(crate) fn multistatements() -> Self {
        Self::validation("Multistatements aren't supported")
    }

    pub(crate) fn unsupported_result(message: impl Into<String>) -> Self {
        Self::new("UnsupportedResultException", message)
    }

    pub(crate) fn statement_timeout(connection_id: Option<i64>) -> Self {
        Self { connection_id, ..Self::injected("StatementTimeoutException") }
    }
}

impl From<SqlError> for ApiError {
    fn from(error: SqlError) -> Self {
        if error.code == SqlError::CANCELED && error.message.contains("statement timeout") {
            return Self::statement_timeout(error.connection_id);
        }
        if error.code == "42601" && error.message.contains("multiple commands") {
            return Self::multistatements();
        }
        let mut message = format!("ERROR: {}", error.message);
        if let Some(hint) = error.hint {
            message.push_str(&format!("; Hint: {hint}"));
        }
        if let Some(position) = error.position {
            message.push_str(&format!("; Position: {position}"));
        }
        message.push_str(&format!("; SQLState: {}", error.code));
        Self::new("DatabaseErrorException", message)
    }
}

impl From<PgError> for ApiError {
    fn from(error: PgError) -> Self {
        match error {
            PgError::Sql(error) => (*error).into(),
            PgError::Unexpected(message) => Self::new(
                "DatabaseErrorException",
                format!("execute: unexpected message: {message}"),
            ),
            PgError::Connection(error) => {
                tracing::warn!(%error, "connection to PostgreSQL lost");
                Self::new("DatabaseUnavailableException", "")
            }
        }
    }
}
