//! The five operations, from a request to an answer.

use serde_json::{Value, json};

use super::Service;
use super::connection::{Connection, Outcome, PgError, Prepared};
use super::error::ApiError;
use super::placeholder::scan;
use super::request::{Request, SqlParameter, binds};
use super::result::{formatted, metadata, records, user_types};

/// Most characters of an SQL text (service model, `SqlStatement`).
const SQL_CHARACTERS_MAX: usize = 65_536;

/// An operation of the API.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Operation {
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

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Execute => "ExecuteStatement",
            Self::BatchExecute => "BatchExecuteStatement",
            Self::Begin => "BeginTransaction",
            Self::Commit => "CommitTransaction",
            Self::Rollback => "RollbackTransaction",
        }
    }
}

impl Service {
    pub(super) async fn perform(
        &self,
        operation: Operation,
        request: &Request,
    ) -> Result<Value, ApiError> {
        self.check_target(request)?;
        if request.schema.is_some() {
            return Err(ApiError::validation("The schema parameter isn't supported"));
        }
        match operation {
            Operation::Execute => self.execute(request).await,
            Operation::BatchExecute => self.batch_execute(request).await,
            Operation::Begin => {
                let id = self.sessions.begin(request.database.as_deref()).await?;
                Ok(json!({ "transactionId": id }))
            }
            Operation::Commit => {
                // PostgreSQL answers the commit of a failed transaction with a rollback and no error.
                self.sessions
                    .end(required(request.transaction_id.as_deref(), "transactionId")?, "COMMIT")
                    .await?;
                Ok(json!({ "transactionStatus": "Transaction Committed" }))
            }
            Operation::Rollback => {
                self.sessions
                    .end(required(request.transaction_id.as_deref(), "transactionId")?, "ROLLBACK")
                    .await?;
                Ok(json!({ "transactionStatus": "Rollback Complete" }))
            }
        }
    }

    fn check_target(&self, request: &Request) -> Result<(), ApiError> {
        let cluster = required(request.resource_arn.as_deref(), "resourceArn")?;
        let secret = required(request.secret_arn.as_deref(), "secretArn")?;
        if self.cluster_arn.as_ref().is_some_and(|known| known != cluster) {
            let message = format!("HttpEndpoint is not enabled for resource {cluster}");
            return Err(ApiError::new("HttpEndpointNotEnabledException", message));
        }
        if self.secret_arn.as_ref().is_some_and(|known| known != secret) {
            return Err(ApiError::new("SecretsErrorException", "The secret cannot be found"));
        }
        Ok(())
    }

    async fn execute(&self, request: &Request) -> Result<Value, ApiError> {
        let sql = sql_text(request)?;
        // One closing semicolon is taken here, though not in a batch.
        let trimmed = sql.trim_end();
        let scanned = scan(trimmed.strip_suffix(';').unwrap_or(trimmed));
        let binds = binds(&scanned.names, request.parameters.as_deref().unwrap_or_default())?;
        self.with_session(request, async |connection| {
            let types: Vec<_> = binds.iter().map(|bind| bind.type_oid).collect();
            let prepared = connection.prepare(&scanned.sql, &types).await?;
            let outcome = connection.run(&prepared, &binds).await?;
            answer(connection, &prepared, &outcome, request).await
        })
        .await
    }

    async fn batch_execute(&self, request: &Request) -> Result<Value, ApiError> {
        let sql = sql_text(request)?;
        let sets = request.parameter_sets.as_deref().unwrap_or_default();
        if sets.is_empty() {
            // Not even the statement is looked at.
            return Ok(json!({ "updateResults": [] }));
        }
        let scanned = scan(sql);
        let sets = sets
            .iter()
            .map(|set: &Vec<SqlParameter>| binds(&scanned.names, set))
            .collect::<Result<Vec<_>, _>>()?;
        let is_pipelined = request.transaction_id.is_some();
        self.with_session(request, async |connection| {
            let mut rest = sets.as_slice();
            // A NULL has no type: neighbouring sets that declare the same types share a statement.
            while let Some(first) = rest.first() {
                let types: Vec<_> = first.iter().map(|bind| bind.type_oid).collect();
                let alike = rest
                    .iter()
                    .take_while(|set| {
                        set.iter().map(|bind| bind.type_oid).eq(types.iter().copied())
                    })
                    .count();
                let (now, later) = rest.split_at(alike);
                let prepared = connection.prepare(&scanned.sql, &types).await?;
                connection.run_all(&prepared, now, is_pipelined).await?;
                rest = later;
            }
            Ok(())
        })
        .await?;
        let results: Vec<_> = sets.iter().map(|_| json!({ "generatedFields": [] })).collect();
        Ok(json!({ "updateResults": results }))
    }

    /// Does work in the request's transaction, or in a session of the pool.
    async fn with_session<T>(
        &self,
        request: &Request,
        work: impl AsyncFnOnce(&mut Connection) -> Result<T, Failure>,
    ) -> Result<T, ApiError> {
        let Some(id) = request.transaction_id.as_deref() else {
            let mut pooled = self.sessions.take(request.database.as_deref()).await?;
            let result = work(&mut pooled.connection).await;
            if !matches!(result, Err(Failure::Pg(PgError::Connection(_)))) {
                pooled.release().await;
            }
            return result.map_err(ApiError::from);
        };
        let transaction = self.sessions.transaction(id)?;
        let mut session =
            transaction.session.try_lock().map_err(|_| ApiError::transaction_is_busy())?;
        let connection = session.as_mut().ok_or_else(|| ApiError::transaction_not_found(id))?;
        let result = work(connection).await;
        if matches!(result, Err(Failure::Pg(PgError::Connection(_)))) {
            *session = None;
            self.sessions.forget(id);
        }
        result.map_err(ApiError::from)
    }
}

/// What can go wrong with a session in hand.
#[derive(Debug)]
enum Failure {
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

fn required<'a>(member: Option<&'a str>, name: &str) -> Result<&'a str, ApiError> {
    member
        .filter(|value| !value.is_empty())
        .ok_or_else(|| ApiError::validation(format!("{name} must not be empty")))
}

fn sql_text(request: &Request) -> Result<&str, ApiError> {
    let sql = required(request.sql.as_deref(), "sql")?;
    if sql.chars().count() > SQL_CHARACTERS_MAX {
        let message = format!("sql must have length less than or equal to {SQL_CHARACTERS_MAX}");
        return Err(ApiError::validation(message));
    }
    Ok(sql)
}

async fn answer(
    connection: &mut Connection,
    prepared: &Prepared,
    outcome: &Outcome,
    request: &Request,
) -> Result<Value, Failure> {
    let Some(columns) = &prepared.columns else {
        return Ok(json!({
            "numberOfRecordsUpdated": outcome.rows_affected,
            "generatedFields": [],
        }));
    };
    let types = user_types(connection, columns).await?;
    let options = request.result_set_options.clone().unwrap_or_default();
    let records = records(columns, &types, &outcome.rows, &options)?;
    if request.format_records_as.as_deref() == Some("JSON") {
        let formatted = formatted(columns, &records)?;
        return Ok(json!({ "formattedRecords": formatted, "numberOfRecordsUpdated": 0 }));
    }
    let mut answer = json!({
        "records": records,
        "numberOfRecordsUpdated": outcome.rows_affected,
    });
    if request.include_result_metadata == Some(true)
        && let Some(members) = answer.as_object_mut()
    {
        members.insert("columnMetadata".to_owned(), json!(metadata(columns, &types)));
    }
    Ok(answer)
}
