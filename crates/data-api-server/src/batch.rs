//! `BatchExecuteStatement`: one statement, once for each parameter set.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::Instant;

use crate::error::ApiError;
use crate::failure::{Failure, finish, raise};
use crate::parameter::{Bind, binds};
use crate::pg_error::{PgError, SqlError};
use crate::placeholder::scan;
use crate::request::Request;
use crate::service::Service;
use crate::sessions::CheckedOut;
use crate::validation;

/// Executions sent before their answers are waited for: enough to hide the round trip.
const PIPELINED_MAX: usize = 64;

impl Service {
    pub(crate) async fn batch_execute(
        self: &Arc<Self>,
        request: &Request<'_>,
        sql_fault: Option<&str>,
    ) -> Result<Value, ApiError> {
        let sql = validation::sql(request)?;
        let sets = request.parameter_sets.as_deref().unwrap_or_default();
        if sets.is_empty() {
            // Not even the statement is looked at.
            return Ok(json!({ "updateResults": [] }));
        }
        if sql.trim_end().ends_with(';') {
            // Documented as not to be there; what the service says to it is not known.
            return Err(ApiError::multistatements());
        }
        let scanned = scan(sql);
        let sets = sets
            .iter()
            .map(|set| binds(&scanned, set))
            .collect::<Result<Vec<Vec<Bind<'_>>>, _>>()?;
        let mut checked_out = self.check_out(request).await?;
        if let Some(state) = sql_fault {
            return finish(raise(&mut checked_out, state).await, checked_out);
        }
        let result = self.run_sets_in_time(&mut checked_out, &scanned.sql, &sets).await;
        let rows = finish(result, checked_out)?;
        self.counters.count_rows(request.transaction_id.as_deref(), rows);
        let results: Vec<_> = sets.iter().map(|_| json!({ "generatedFields": [] })).collect();
        Ok(json!({ "updateResults": results }))
    }

    /// Runs a batch, and cancels it when the time for the whole call is over: PostgreSQL's own
    /// limit is for each execution.
    async fn run_sets_in_time(
        &self,
        checked_out: &mut CheckedOut,
        sql: &str,
        sets: &[Vec<Bind<'_>>],
    ) -> Result<u64, Failure> {
        let id = checked_out.connection()?.id();
        let place = checked_out.place().clone();
        let until = Instant::now() + self.statement_timeout;
        let work = run_sets(checked_out, sql, sets, until);
        tokio::pin!(work);
        if let Ok(result) = tokio::time::timeout_at(until, &mut work).await {
            return result;
        }
        // PostgreSQL forgets a cancellation that comes between two executions: so again, until one
        // hits.
        loop {
            self.sessions.cancel(&place, id).await?;
            match tokio::time::timeout(CANCEL_AGAIN_AFTER, &mut work).await {
                Err(_) => {}
                Ok(Err(Failure::Pg(PgError::Sql(error)))) if error.code == SqlError::CANCELED => {
                    return Err(Failure::Api(ApiError::statement_timeout(Some(id))));
                }
                Ok(other) => return other,
            }
        }
    }
}

/// Long enough for PostgreSQL to say that it has cancelled.
const CANCEL_AGAIN_AFTER: Duration = Duration::from_millis(100);

/// Runs a statement once for each set, as long as there is time; gives the rows that it changed.
async fn run_sets(
    checked_out: &mut CheckedOut,
    sql: &str,
    sets: &[Vec<Bind<'_>>],
    until: Instant,
) -> Result<u64, Failure> {
    // Outside a transaction every set commits for itself: what stands when a later one fails is not
    // known of the service, and this is the stricter reading.
    let at_once = if checked_out.is_pinned() { PIPELINED_MAX } else { 1 };
    let mut rows = 0;
    let mut rest = sets;
    // A NULL has no type: neighbouring sets that declare the same types share a statement.
    while let Some(first) = rest.first() {
        if Instant::now() >= until {
            raise(checked_out, SqlError::CANCELED).await?;
        }
        let connection = checked_out.connection()?;
        let types: Vec<_> = first.iter().map(|bind| bind.type_oid).collect();
        let is_alike =
            |set: &&Vec<Bind<'_>>| set.iter().map(|bind| bind.type_oid).eq(types.iter().copied());
        let n_alike = rest.iter().take(at_once).take_while(is_alike).count();
        let (now, later) = rest.split_at(n_alike);
        let prepared = connection.prepare(sql, &types).await?;
        rows += connection.run_all(&prepared, now).await?;
        rest = later;
    }
    Ok(rows)
}
