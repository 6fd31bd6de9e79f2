//! The five operations, from a request to an answer.

use std::borrow::Cow;
use std::sync::Arc;

use serde_json::{Value, json};

use super::Service;
use super::connection::{PgError, SqlError};
use super::error::ApiError;
use super::metadata::metadata;
use super::parameter::{Bind, binds};
use super::placeholder::scan;
use super::request::{Object, Request, ResultSetOptions, Text};
use super::result::{formatted, records};
use super::sessions::Lent;
use super::types::other_types;

/// Most characters of an SQL text (service model, `SqlStatement`).
const SQL_CHARACTERS_MAX: usize = 65_536;

/// Most characters of a database's name (service model, `DbName`).
const DATABASE_CHARACTERS_MAX: usize = 64;

/// Fewest and most characters of an ARN (service model, `Arn`).
const ARN_CHARACTERS: std::ops::RangeInclusive<usize> = 11..=100;

/// An operation of the API.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    Execute,
    BatchExecute,
    Begin,
    Commit,
    Rollback,
}

impl Operation {
    pub(super) fn of_path(path: &str) -> Option<Self> {
        Some(match path {
            "/Execute" => Self::Execute,
            "/BatchExecute" => Self::BatchExecute,
            "/BeginTransaction" => Self::Begin,
            "/CommitTransaction" => Self::Commit,
            "/RollbackTransaction" => Self::Rollback,
            _ => return None,
        })
    }

    /// As the service model calls it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Execute => "ExecuteStatement",
            Self::BatchExecute => "BatchExecuteStatement",
            Self::Begin => "BeginTransaction",
            Self::Commit => "CommitTransaction",
            Self::Rollback => "RollbackTransaction",
        }
    }

    /// As a fault's rule calls it.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Execute => "execute",
            Self::BatchExecute => "batch",
            Self::Begin => "begin",
            Self::Commit => "commit",
            Self::Rollback => "rollback",
        }
    }

    pub(super) fn of_word(word: &str) -> Option<Self> {
        [Self::Execute, Self::BatchExecute, Self::Begin, Self::Commit, Self::Rollback]
            .into_iter()
            .find(|operation| operation.word() == word)
    }

    /// Whether a paused database wakes up for it.
    pub(super) fn starts_work(self) -> bool {
        matches!(self, Self::Execute | Self::BatchExecute | Self::Begin)
    }
}

impl Service {
    /// Does what was asked. With `sql_fault`, PostgreSQL fails with that SQLSTATE instead.
    pub(super) async fn perform(
        self: &Arc<Self>,
        operation: Operation,
        request: &Request<'_>,
        sql_fault: Option<&str>,
    ) -> Result<Value, ApiError> {
        self.check_target(request)?;
        if request.schema.is_some() {
            return Err(ApiError::validation("The schema parameter isn't supported"));
        }
        if operation.starts_work() && self.pause.is_resuming(self.sessions.clock.now()) {
            return Err(ApiError::injected("DatabaseResumingException"));
        }
        match operation {
            Operation::Execute => self.execute(request, sql_fault).await,
            Operation::BatchExecute => self.batch_execute(request, sql_fault).await,
            Operation::Begin => match sql_fault {
                Some(state) => Err(SqlError::injected(state).into()),
                None => {
                    let id = self.sessions.begin(request.database.as_deref()).await?;
                    Ok(json!({ "transactionId": id }))
                }
            },
            Operation::Commit => {
                // PostgreSQL answers the commit of a failed transaction with a rollback and no error.
                self.end(request, "COMMIT", sql_fault).await?;
                Ok(json!({ "transactionStatus": "Transaction Committed" }))
            }
            Operation::Rollback => {
                self.end(request, "ROLLBACK", sql_fault).await?;
                Ok(json!({ "transactionStatus": "Rollback Complete" }))
            }
        }
    }

    fn check_target(&self, request: &Request<'_>) -> Result<(), ApiError> {
        let cluster = arn(request.resource_arn.as_deref(), "resourceArn")?;
        let secret = arn(request.secret_arn.as_deref(), "secretArn")?;
        let database = request.database.as_deref().unwrap_or_default();
        if database.chars().count() > DATABASE_CHARACTERS_MAX {
            return Err(too_long("database", DATABASE_CHARACTERS_MAX));
        }
        if self.cluster_arn.as_ref().is_some_and(|known| known != cluster) {
            let message = format!("HttpEndpoint is not enabled for resource {cluster}");
            return Err(ApiError::new("HttpEndpointNotEnabledException", message));
        }
        if self.secret_arn.as_ref().is_some_and(|known| known != secret) {
            return Err(ApiError::new("SecretsErrorException", "The secret cannot be found"));
        }
        Ok(())
    }

    async fn end(
        &self,
        request: &Request<'_>,
        sql: &str,
        sql_fault: Option<&str>,
    ) -> Result<(), ApiError> {
        let id = required(request.transaction_id.as_deref(), "transactionId")?;
        match sql_fault {
            None => self.sessions.end(id, sql).await,
            Some(state) => {
                self.sessions.lose(id).await;
                Err(SqlError::injected(state).into())
            }
        }
    }

    async fn execute(
        self: &Arc<Self>,
        request: &Request<'_>,
        sql_fault: Option<&str>,
    ) -> Result<Value, ApiError> {
        let sql = sql_text(request)?;
        // One closing semicolon is taken here, though not in a batch.
        let trimmed = sql.trim_end();
        let scanned = scan(trimmed.strip_suffix(';').unwrap_or(trimmed));
        let parameters = request.parameters.as_deref().unwrap_or_default();
        let binds = binds(&scanned.names, parameters)?;
        let mut lent = self.lend(request).await?;
        if let Some(state) = sql_fault {
            return finish(raise(&mut lent, state).await, lent);
        }
        let form = AnswerForm::of(request);
        let (rows, result) = if request.continue_after_timeout == Some(true) {
            let binds = binds.into_iter().map(Bind::into_owned).collect();
            self.execute_without_end(lent, scanned.sql, binds, form).await
        } else {
            let result = run(&mut lent, &scanned.sql, &binds, &form).await;
            finish_run(result, lent)
        };
        self.counters.count_rows(request.transaction_id.as_deref(), rows);
        if let (Some(id), Err(error)) = (request.transaction_id.as_deref(), &result)
            && error.name == "UnsupportedResultException"
        {
            // Whether the service keeps the transaction is not known; it did not once.
            self.sessions.lose(id).await;
        }
        result
    }

    /// Runs a statement that goes on when the time for the answer is over.
    async fn execute_without_end(
        &self,
        mut lent: Lent,
        sql: String,
        binds: Vec<Bind<'static>>,
        form: AnswerForm,
    ) -> (u64, Result<Value, ApiError>) {
        let id = lent.connection().map(|connection| connection.id());
        let work = tokio::spawn(async move {
            let unlimited = match &lent {
                Lent::Pooled { .. } => "SET statement_timeout = 0",
                Lent::Pinned { .. } => "SET LOCAL statement_timeout = 0",
            };
            let set = match lent.connection() {
                Some(connection) => connection.simple(unlimited).await.map_err(Failure::Pg),
                None => Ok(()),
            };
            let result = match set {
                Ok(()) => run(&mut lent, &sql, &binds, &form).await,
                Err(failure) => Err(failure),
            };
            finish_run(result, lent)
        });
        match tokio::time::timeout(self.statement_timeout, work).await {
            Ok(Ok(result)) => result,
            Ok(Err(_)) => (0, Err(ApiError::injected("InternalServerErrorException"))),
            Err(_) => (0, Err(ApiError::statement_timeout(id))),
        }
    }

    async fn batch_execute(
        self: &Arc<Self>,
        request: &Request<'_>,
        sql_fault: Option<&str>,
    ) -> Result<Value, ApiError> {
        let sql = sql_text(request)?;
        let sets = request.parameter_sets.as_deref().unwrap_or_default();
        if sets.is_empty() {
            // Not even the statement is looked at.
            return Ok(json!({ "updateResults": [] }));
        }
        let scanned = scan(sql);
        let sets = sets
            .iter()
            .map(|set| binds(&scanned.names, set))
            .collect::<Result<Vec<Vec<Bind<'_>>>, _>>()?;
        let mut lent = self.lend(request).await?;
        if let Some(state) = sql_fault {
            return finish(raise(&mut lent, state).await, lent);
        }
        // Outside a transaction every set commits for itself: what stands when a later one fails is
        // not known of the service, and this is the harsher reading.
        let is_pipelined = request.transaction_id.is_some();
        let result = run_sets(&mut lent, &scanned.sql, &sets, is_pipelined).await;
        let rows = result.as_ref().copied().unwrap_or_default();
        self.counters.count_rows(request.transaction_id.as_deref(), rows);
        let results: Vec<_> = sets.iter().map(|_| json!({ "generatedFields": [] })).collect();
        finish(result.map(|_| json!({ "updateResults": results })), lent)
    }

    async fn lend(self: &Arc<Self>, request: &Request<'_>) -> Result<Lent, ApiError> {
        self.sessions.lend(request.database.as_deref(), request.transaction_id.as_deref()).await
    }
}

/// What the answer of a statement is to look like.
#[derive(Debug)]
struct AnswerForm {
    is_json: bool,
    has_metadata: bool,
    options: ResultSetOptions,
}

impl AnswerForm {
    fn of(request: &Request<'_>) -> Self {
        let options = request.result_set_options.as_ref();
        Self {
            is_json: request.format_records_as.as_deref() == Some("JSON"),
            has_metadata: request.include_result_metadata == Some(true),
            options: options.map(|Object(options)| options.clone()).unwrap_or_default(),
        }
    }
}

/// Runs a statement once; gives the rows that it returned or changed, and the answer.
async fn run(
    lent: &mut Lent,
    sql: &str,
    binds: &[Bind<'_>],
    form: &AnswerForm,
) -> Result<(u64, Value), Failure> {
    let connection = lent.connection().ok_or_else(Failure::lost)?;
    let types: Vec<_> = binds.iter().map(|bind| bind.type_oid).collect();
    let prepared = connection.prepare(sql, &types).await?;
    let outcome = connection.run(&prepared, binds).await?;
    let Some(columns) = &prepared.columns else {
        let answer =
            json!({ "numberOfRecordsUpdated": outcome.rows_affected, "generatedFields": [] });
        return Ok((outcome.rows_affected, answer));
    };
    let rows = outcome.rows.len() as u64;
    let types = other_types(connection, columns).await?;
    let records = records(columns, &types, &outcome.rows, &form.options)?;
    if form.is_json {
        let formatted = formatted(columns, &records)?;
        return Ok((rows, json!({ "formattedRecords": formatted, "numberOfRecordsUpdated": 0 })));
    }
    let mut answer = json!({ "records": records, "numberOfRecordsUpdated": outcome.rows_affected });
    if form.has_metadata
        && let Some(members) = answer.as_object_mut()
    {
        let metadata = metadata(connection, columns, &types).await?;
        members.insert("columnMetadata".to_owned(), Value::Array(metadata));
    }
    Ok((rows, answer))
}

/// Runs a statement once for each set; gives the rows that it changed.
async fn run_sets(
    lent: &mut Lent,
    sql: &str,
    sets: &[Vec<Bind<'_>>],
    is_pipelined: bool,
) -> Result<u64, Failure> {
    let connection = lent.connection().ok_or_else(Failure::lost)?;
    let mut rows = 0;
    let mut rest = sets;
    // A NULL has no type: neighbouring sets that declare the same types share a statement.
    while let Some(first) = rest.first() {
        let types: Vec<_> = first.iter().map(|bind| bind.type_oid).collect();
        let is_alike =
            |set: &&Vec<Bind<'_>>| set.iter().map(|bind| bind.type_oid).eq(types.iter().copied());
        let (now, later) = rest.split_at(rest.iter().take_while(is_alike).count());
        let prepared = connection.prepare(sql, &types).await?;
        rows += connection.run_all(&prepared, now, is_pipelined).await?;
        rest = later;
    }
    Ok(rows)
}

/// Lets PostgreSQL itself fail with an SQLSTATE, so that a transaction is really aborted by it.
async fn raise(lent: &mut Lent, state: &str) -> Result<Value, Failure> {
    let connection = lent.connection().ok_or_else(Failure::lost)?;
    let SqlError { code, message, .. } = SqlError::injected(state);
    let sql = format!(
        "DO $$BEGIN RAISE EXCEPTION USING ERRCODE = '{code}', MESSAGE = '{message}'; END$$"
    );
    connection.simple(&sql).await?;
    // It has raised; a state that PostgreSQL does not raise with is no error to it.
    Err(Failure::Api(SqlError::injected(state).into()))
}

impl SqlError {
    /// An error that nothing has caused.
    fn injected(state: &str) -> Self {
        let message = match state {
            "40001" => "could not serialize access due to concurrent update",
            "40P01" => "deadlock detected",
            "53300" => "sorry, too many clients already",
            "55P03" => "canceling statement due to lock timeout",
            "57P01" => "terminating connection due to administrator command",
            _ => "injected fault",
        };
        Self { code: state.to_owned(), message: message.to_owned(), ..Self::default() }
    }
}

/// What can go wrong with a session in hand.
#[derive(Debug)]
enum Failure {
    Pg(PgError),
    Api(ApiError),
}

impl Failure {
    fn lost() -> Self {
        Self::Pg(PgError::Connection(std::io::ErrorKind::NotConnected.into()))
    }

    fn is_lost(&self) -> bool {
        matches!(self, Self::Pg(PgError::Connection(_)))
    }
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

/// Gives the session back and the answer out.
fn finish<T>(result: Result<T, Failure>, lent: Lent) -> Result<T, ApiError> {
    lent.release(result.as_ref().is_err_and(Failure::is_lost));
    result.map_err(ApiError::from)
}

fn finish_run(result: Result<(u64, Value), Failure>, lent: Lent) -> (u64, Result<Value, ApiError>) {
    match finish(result, lent) {
        Ok((rows, answer)) => (rows, Ok(answer)),
        Err(error) => (0, Err(error)),
    }
}

fn required<'a>(member: Option<&'a str>, name: &str) -> Result<&'a str, ApiError> {
    member
        .filter(|value| !value.is_empty())
        .ok_or_else(|| ApiError::validation(format!("{name} must not be empty")))
}

fn arn<'a>(member: Option<&'a str>, name: &str) -> Result<&'a str, ApiError> {
    let arn = required(member, name)?;
    if ARN_CHARACTERS.contains(&arn.chars().count()) {
        Ok(arn)
    } else {
        let (min, max) = ARN_CHARACTERS.into_inner();
        Err(ApiError::validation(format!("{name} must have from {min} to {max} characters")))
    }
}

fn too_long(name: &str, max: usize) -> ApiError {
    ApiError::validation(format!("{name} must have length less than or equal to {max}"))
}

fn sql_text<'a>(request: &'a Request<'_>) -> Result<&'a str, ApiError> {
    let sql = request.sql.as_ref().map(|Text(sql)| Cow::as_ref(sql));
    let sql = required(sql, "sql")?;
    if sql.chars().count() > SQL_CHARACTERS_MAX {
        return Err(too_long("sql", SQL_CHARACTERS_MAX));
    }
    Ok(sql)
}
