//! Failures of a call that holds a session, and the state of the session afterwards.

use crate::error::ApiError;
use crate::pg_error::{PgError, SqlError};
use crate::sessions::CheckedOut;

#[derive(Debug)]
pub(crate) enum Failure {
    Pg(PgError),
    Api(ApiError),
}

impl From<PgError> for Failure {
    fn from(error: PgError) -> Self {
        Self::Pg(error)
    }
}

impl From<ApiError> for Failure {
    fn from(error: ApiError) -> Self {
        Self::Api(error)
    }
}

impl From<Failure> for ApiError {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Pg(error) => error.into(),
            Failure::Api(error) => error,
        }
    }
}

/// Gives the session back, if it is of any use, and the answer out.
pub(crate) fn finish<T>(
    result: Result<T, Failure>,
    checked_out: CheckedOut,
) -> Result<T, ApiError> {
    if matches!(result, Err(Failure::Pg(PgError::Connection(_)))) {
        drop(checked_out);
    } else {
        checked_out.release();
    }
    result.map_err(ApiError::from)
}

/// Lets PostgreSQL itself fail with an SQLSTATE, so that a transaction is really aborted by it.
pub(crate) async fn raise<T>(checked_out: &mut CheckedOut, state: &str) -> Result<T, Failure> {
    let SqlError { code, message, .. } = SqlError::injected(state);
    let sql = format!(
        "DO $$BEGIN RAISE EXCEPTION USING ERRCODE = '{code}', MESSAGE = '{message}'; END$$"
    );
    checked_out.connection()?.simple(&sql).await?;
    // It has raised; a state that PostgreSQL does not raise with is no error to it.
    Err(Failure::Api(SqlError::injected(state).into()))
}
