//! Errors of PostgreSQL, before they become exceptions of the service.
//!
//! Pure.

use std::io;

use fallible_iterator::FallibleIterator;
use postgres_protocol::message::backend::ErrorResponseBody;

/// An error that PostgreSQL reports.
#[derive(Debug, Clone, Default)]
pub(crate) struct SqlError {
    pub(crate) code: String,
    pub(crate) message: String,
    pub(crate) hint: Option<String>,
    pub(crate) position: Option<String>,
    /// The session that it happened in.
    pub(crate) connection_id: Option<i64>,
}

#[derive(Debug)]
pub(crate) enum PgError {
    Sql(Box<SqlError>),
    /// A kind of answer that the service does not go on with.
    Unexpected(&'static str),
    Connection(io::Error),
}

impl SqlError {
    /// The state of a statement that was cancelled, as by its time limit.
    pub(crate) const CANCELED: &str = "57014";

    /// Returns whether PostgreSQL does not let the user in: `invalid_password`, or
    /// `invalid_authorization_specification`, as for a user that does not exist.
    pub(crate) fn is_login_refused(&self) -> bool {
        matches!(self.code.as_str(), "28P01" | "28000")
    }

    /// An error that nothing has caused.
    pub(crate) fn injected(state: &str) -> Self {
        let message = match state {
            "40001" => "could not serialize access due to concurrent update",
            "40P01" => "deadlock detected",
            "53300" => "sorry, too many clients already",
            "55P03" => "canceling statement due to lock timeout",
            Self::CANCELED => "canceling statement due to statement timeout",
            "57P01" => "terminating connection due to administrator command",
            _ => "injected fault",
        };
        Self { code: state.to_owned(), message: message.to_owned(), ..Self::default() }
    }
}

/// An error as it comes. PostgreSQL's detail is left out: it shows rows.
pub(crate) fn read_error(
    body: &ErrorResponseBody,
    connection_id: i64,
) -> io::Result<Box<SqlError>> {
    let mut error = SqlError { connection_id: Some(connection_id), ..SqlError::default() };
    let mut fields = body.fields();
    while let Some(field) = fields.next()? {
        let value = String::from_utf8_lossy(field.value_bytes()).into_owned();
        match field.type_() {
            b'C' => error.code = value,
            b'M' => error.message = value,
            b'H' => error.hint = Some(value),
            b'P' => error.position = Some(value),
            _ => {}
        }
    }
    Ok(Box::new(error))
}

impl PgError {
    /// The session ended before it answered.
    pub(crate) fn lost() -> Self {
        Self::Connection(io::ErrorKind::NotConnected.into())
    }
}

impl From<io::Error> for PgError {
    fn from(error: io::Error) -> Self {
        Self::Connection(error)
    }
}
