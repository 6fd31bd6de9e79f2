//! `ExecuteStatement`: one statement, once, and its answer.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

use crate::connection::Connection;
use crate::error::ApiError;
use crate::failure::{Failure, finish, raise};
use crate::metadata::metadata;
use crate::parameter::{Bind, binds};
use crate::placeholder::scan;
use crate::request::{Object, Request, ResultSetOptions};
use crate::result::{formatted, records};
use crate::service::Service;
use crate::sessions::CheckedOut;
use crate::statement::{Column, Outcome};
use crate::types::other_types;
use crate::validation;

impl Service {
    pub(crate) async fn execute(
        self: &Arc<Self>,
        request: &Request<'_>,
        sql_fault: Option<&str>,
    ) -> Result<Value, ApiError> {
        let sql = validation::sql(request)?.trim_end();
        // One closing semicolon is taken here, though not in a batch.
        let scanned = scan(sql.strip_suffix(';').unwrap_or(sql));
        let parameters = request.parameters.as_deref().unwrap_or_default();
        let binds = binds(&scanned, parameters)?;
        let mut checked_out = self.check_out(request).await?;
        if let Some(state) = sql_fault {
            return finish(raise(&mut checked_out, state).await, checked_out);
        }
        let form = AnswerForm::of(request);
        let result = if request.continue_after_timeout == Some(true) {
            let binds = binds.into_iter().map(Bind::into_owned).collect();
            self.execute_without_end(checked_out, scanned.sql, binds, form).await
        } else {
            let result = run(&mut checked_out, &scanned.sql, &binds, &form).await;
            finish(result, checked_out)
        };
        let transaction_id = request.transaction_id.as_deref();
        if let (Some(id), Err(error)) = (transaction_id, &result)
            && error.name == "UnsupportedResultException"
        {
            // The service may keep the transaction; that is not known. It did not once.
            self.sessions.lose(id).await;
        }
        let Answer { rows, body } = result?;
        self.counters.count_rows(transaction_id, rows);
        Ok(body)
    }

    /// Runs a statement that goes on when the time for the answer is over.
    async fn execute_without_end(
        &self,
        mut checked_out: CheckedOut,
        sql: String,
        binds: Vec<Bind<'static>>,
        form: AnswerForm,
    ) -> Result<Answer, ApiError> {
        let id = checked_out.connection()?.id();
        let limit = self.statement_timeout;
        let work = tokio::spawn(async move {
            let result = run_without_limit(&mut checked_out, &sql, &binds, &form, limit).await;
            finish(result, checked_out)
        });
        match tokio::time::timeout(limit, work).await {
            Ok(result) => {
                result.unwrap_or_else(|_| Err(ApiError::injected("InternalServerErrorException")))
            }
            Err(_) => Err(ApiError::statement_timeout(Some(id))),
        }
    }

    pub(crate) async fn check_out(
        self: &Arc<Self>,
        request: &Request<'_>,
    ) -> Result<CheckedOut, ApiError> {
        let secret = validation::arn(request.secret_arn.as_deref(), "secretArn")?;
        self.sessions
            .check_out(secret, request.database.as_deref(), request.transaction_id.as_deref())
            .await
    }
}

/// The form of the response to a statement.
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

/// The answer of a statement.
#[derive(Debug)]
struct Answer {
    /// Returned or changed.
    rows: u64,
    body: Value,
}

/// Runs a statement once.
async fn run(
    checked_out: &mut CheckedOut,
    sql: &str,
    binds: &[Bind<'_>],
    form: &AnswerForm,
) -> Result<Answer, Failure> {
    let connection = checked_out.connection()?;
    let types: Vec<_> = binds.iter().map(|bind| bind.type_oid).collect();
    let prepared = connection.prepare(sql, &types).await?;
    let outcome = connection.run(&prepared, binds).await?;
    match &prepared.columns {
        Some(columns) => answer_of_query(connection, columns, &outcome, form).await,
        None => {
            let rows = outcome.rows_changed();
            let body = json!({ "numberOfRecordsUpdated": rows, "generatedFields": [] });
            Ok(Answer { rows, body })
        }
    }
}

async fn answer_of_query(
    connection: &mut Connection,
    columns: &[Column],
    outcome: &Outcome,
    form: &AnswerForm,
) -> Result<Answer, Failure> {
    let types = other_types(connection, columns).await?;
    let records = records(columns, &types, outcome, &form.options)?;
    let rows = records.len() as u64;
    // Known to be 0 for SELECT; of changes that return rows, the stricter reading of two.
    let mut body = json!({ "numberOfRecordsUpdated": 0 });
    let mut add = |name: &str, value: Value| body.as_object_mut()?.insert(name.to_owned(), value);
    // The format is for SELECT only, and ignored otherwise.
    if form.is_json && outcome.tag.starts_with("SELECT") {
        add("formattedRecords", formatted(columns, &records)?.into());
        return Ok(Answer { rows, body });
    }
    add("records", json!(records));
    if form.has_metadata {
        add("columnMetadata", metadata(connection, columns, &types).await?.into());
    }
    Ok(Answer { rows, body })
}

/// Runs a statement that may take as long as it wants; the limit is back afterwards.
async fn run_without_limit(
    checked_out: &mut CheckedOut,
    sql: &str,
    binds: &[Bind<'_>],
    form: &AnswerForm,
    limit: Duration,
) -> Result<Answer, Failure> {
    let is_pinned = checked_out.is_pinned();
    let scope = if is_pinned { "LOCAL" } else { "SESSION" };
    checked_out.connection()?.simple(&format!("SET {scope} statement_timeout = 0")).await?;
    let result = run(checked_out, sql, binds, form).await;
    // A session of the pool forgets it anyway, and a failed transaction has taken it back.
    if is_pinned && result.is_ok() {
        let limit_ms = limit.as_millis();
        checked_out
            .connection()?
            .simple(&format!("SET LOCAL statement_timeout = {limit_ms}"))
            .await?;
    }
    result
}
