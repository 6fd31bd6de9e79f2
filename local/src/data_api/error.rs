//! The service's exceptions: name, HTTP status, message.

use super::connection::{PgError, SqlError};

/// An answer that is an error.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ApiError {
    pub(super) status: u16,
    pub(super) name: String,
    /// Two exceptions of the model have none.
    pub(super) message: Option<String>,
}

impl ApiError {
    /// An exception by its name; statuses are those of the service model.
    pub(super) fn new(name: &str, message: impl Into<String>) -> Self {
        let message = match name {
            "DatabaseUnavailableException" | "InternalServerErrorException" | "InternalFailure" => {
                None
            }
            _ => Some(message.into()),
        };
        Self { status: status(name), name: name.to_owned(), message }
    }

    pub(super) fn validation(message: impl Into<String>) -> Self {
        Self::new("ValidationException", message)
    }

    pub(super) fn bad_request(message: impl Into<String>) -> Self {
        Self::new("BadRequestException", message)
    }

    pub(super) fn transaction_not_found(id: &str) -> Self {
        Self::new("TransactionNotFoundException", format!("Transaction {id} is not found"))
    }

    pub(super) fn transaction_is_busy() -> Self {
        Self::new("DatabaseErrorException", "Transaction is still running a query")
    }

    pub(super) fn unsupported_result(message: impl Into<String>) -> Self {
        Self::new("UnsupportedResultException", message)
    }
}

fn status(name: &str) -> u16 {
    match name {
        "AccessDeniedException" | "ForbiddenException" => 403,
        "DatabaseNotFoundException" | "TransactionNotFoundException" | "NotFoundException" => 404,
        "InternalServerErrorException" | "InternalFailure" => 500,
        "ServiceUnavailableError" => 503,
        "DatabaseUnavailableException" => 504,
        _ => 400,
    }
}

impl From<SqlError> for ApiError {
    fn from(error: SqlError) -> Self {
        if error.code == "57014" && error.message.contains("statement timeout") {
            return Self::new("StatementTimeoutException", error.message);
        }
        if error.code == "42601" && error.message.contains("multiple commands") {
            return Self::validation("Multistatements aren't supported");
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
            PgError::Connection(error) => {
                tracing::warn!(%error, "connection to PostgreSQL lost");
                Self::new("DatabaseUnavailableException", "")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sql_errors_have_the_services_form() {
        let error = SqlError {
            code: "42883".into(),
            message: "operator does not exist: integer = text".into(),
            hint: Some("No operator matches.".into()),
            position: Some("36".into()),
        };
        assert_eq!(
            ApiError::from(error).message.unwrap(),
            "ERROR: operator does not exist: integer = text; Hint: No operator matches.; Position: 36; SQLState: 42883"
        );
    }
}
