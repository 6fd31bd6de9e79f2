//! Look-ups: rows, the status of writes, the state of imports. One Data API call each; none for
//! what is refused.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aurora_sync_catalog::Catalog;
use aws_lambda_events::apigw::{ApiGatewayProxyRequest, ApiGatewayProxyResponse};
use aws_lambda_events::http::Method;
use aws_lambda_events::http::header::{ACCEPT, ALLOW};
use serde_json::json;
use uuid::Uuid;

use crate::aws::data_api::DataApi;
use crate::deadline::Deadline;
use crate::enqueue::{find_table, key_of_path};
use crate::error::{DataApiError, DataApiFault, Disposition};
use crate::field::{Parameter, Record, parameter};
use crate::http::{Request, Response, Route};
use crate::problem::{Kind, Problem};
use crate::query::{self, Form, Query};
use crate::transaction::awake;

/// The media type of the Data API's own records.
const RECORDS_TYPE: &str = "application/vnd.amazon.rds-data+json";

/// API Gateway gives up after 29 s ("Quotas for REST APIs").
const ANSWER_WITHIN: Duration = Duration::from_secs(25);

/// How long a write can stay in the queues: 14 days in each of the two, and a day of margin.
const PENDING_MAX: Duration = Duration::from_hours(29 * 24);

const WRITE_STATUS: &str = "SELECT row_to_json(found)::text FROM (
  SELECT id, table_name AS \"table\", key, operation, outcome, rule, sqlstate, reason,
    constraint_name AS \"constraint\", column_name AS \"column\", accepted_at, settled_at
  FROM sync.write WHERE id = :id::uuid
) AS found";

const IMPORT_COLUMNS: &str = "id, table_name AS \"table\", bucket, object_key AS \"key\", state, error, rows_read, rows_written,
    rows_unchanged, rows_rejected, started_at, finished_at";

/// What the function needs.
#[derive(Debug)]
pub struct Lookup {
    pub catalog: Catalog,
    pub data_api: DataApi,
}

/// Answers one request. Never fails: an error is an answer too.
pub async fn handle(
    lookup: &Lookup,
    event: ApiGatewayProxyRequest,
    deadline: Deadline,
) -> ApiGatewayProxyResponse {
    let deadline = deadline.min(Deadline::after(ANSWER_WITHIN));
    let answer = match Request::from_event(event) {
        Ok(request) if request.method != Method::GET => {
            let problem = Problem::new(Kind::MethodNotAllowed, "This path takes GET.");
            Ok(Response::from(problem).with_header(ALLOW, "GET"))
        }
        Ok(request) => answer(lookup, &request, deadline).await,
        Err(problem) => Err(problem),
    };
    let response = answer.unwrap_or_else(Response::from);
    tracing::info!(status = response.status, bytes = response.body.len(), "look-up answered");
    response.into()
}

async fn answer(
    lookup: &Lookup,
    request: &Request,
    deadline: Deadline,
) -> Result<Response, Problem> {
    match &request.route {
        Route::Row(table, key) => {
            let table = find_table(&lookup.catalog, table)?;
            let key = key_of_path(table, key)?;
            let form = form(request)?;
            let records = run(lookup, query::by_key(table, &key, form), deadline).await?;
            if records.is_empty() {
                return Err(Problem::new(
                    Kind::RowNotFound,
                    format!("{table} has no row with this key."),
                ));
            }
            rows(&records, form)
        }
        Route::Table(table) => {
            let table = find_table(&lookup.catalog, table)?;
            let form = form(request)?;
            let records = run(lookup, query::list(table, &request.query, form)?, deadline).await?;
            rows(&records, form)
        }
        Route::Write(id) => write_status(lookup, id, deadline).await,
        Route::Imports => {
            let sql = format!(
                "SELECT '[' || coalesce(string_agg(row_to_json(found)::text, ','), '') || ']' FROM (
  SELECT {IMPORT_COLUMNS} FROM sync.import ORDER BY started_at DESC LIMIT 100
) AS found"
            );
            let records = run(lookup, Query { sql, parameters: Vec::new() }, deadline).await?;
            rows(&records, Form::Json)
        }
        Route::Import(id) => {
            let not_found = || {
                Problem::new(Kind::ImportNotFound, "GET /_sync/imports lists the latest imports.")
            };
            let id = Uuid::parse_str(id).map_err(|_| not_found())?;
            let sql = format!(
                "SELECT row_to_json(found)::text FROM (
  SELECT {IMPORT_COLUMNS} FROM sync.import WHERE id = :id::uuid
) AS found"
            );
            let records =
                run(lookup, Query { sql, parameters: vec![id_parameter(id)] }, deadline).await?;
            if records.is_empty() {
                return Err(not_found());
            }
            rows(&records, Form::Json)
        }
        Route::Unknown => {
            Err(Problem::new(Kind::UnknownRoute, "Rows are at /{table} and /{table}/{key}."))
        }
    }
}

fn id_parameter(id: Uuid) -> Parameter {
    parameter("id", id.to_string())
}

/// A write that is not in the ledger is on its way, as far as its id's own time allows.
async fn write_status(lookup: &Lookup, id: &str, deadline: Deadline) -> Result<Response, Problem> {
    let not_found = || {
        let detail =
            "The id is not one that a write was accepted under, or the write is long past.";
        Problem::new(Kind::WriteNotFound, detail)
    };
    let id = Uuid::parse_str(id).map_err(|_| not_found())?;
    let query = Query { sql: WRITE_STATUS.to_owned(), parameters: vec![id_parameter(id)] };
    let records = run(lookup, query, deadline).await?;
    if !records.is_empty() {
        return rows(&records, Form::Json);
    }
    if can_be_pending(id, SystemTime::now()) {
        Ok(Response::json(200, &json!({ "id": id, "outcome": "pending" })))
    } else {
        Err(not_found())
    }
}

/// Whether the id is of the kind that writes get, from a time from which one may still wait.
fn can_be_pending(id: Uuid, now: SystemTime) -> bool {
    let Some(time) = id.get_timestamp().filter(|_| id.get_version_num() == 7) else { return false };
    let (seconds, nanoseconds) = time.to_unix();
    let accepted = UNIX_EPOCH + Duration::new(seconds, nanoseconds);
    // Clocks of two functions differ a little.
    let soon = now + Duration::from_mins(1);
    accepted <= soon && now.duration_since(accepted).unwrap_or_default() <= PENDING_MAX
}

/// The form that the request accepts, JSON where it has no wish.
fn form(request: &Request) -> Result<Form, Problem> {
    let Some(accept) = request.header(ACCEPT) else { return Ok(Form::Json) };
    accept
        .split(',')
        .find_map(|range| match range.split(';').next().unwrap_or_default().trim() {
            RECORDS_TYPE => Some(Form::Records),
            "application/json" | "application/*" | "*/*" | "" => Some(Form::Json),
            _ => None,
        })
        .ok_or_else(|| {
            Problem::new(
                Kind::NotAcceptable,
                format!("Offered are application/json and {RECORDS_TYPE}."),
            )
        })
}

fn rows(records: &[Record], form: Form) -> Result<Response, Problem> {
    match form {
        Form::Records => {
            let body = serde_json::to_string(records).expect("records are plain data");
            Ok(Response::new(200, RECORDS_TYPE, body))
        }
        Form::Json => {
            let json = records.first().and_then(|record| record.first()?.as_text());
            let json =
                json.ok_or_else(|| Problem::new(Kind::Internal, "The database gave no JSON."))?;
            Ok(Response::new(200, "application/json", json.to_owned()))
        }
    }
}

async fn run(lookup: &Lookup, query: Query, deadline: Deadline) -> Result<Vec<Record>, Problem> {
    let Query { sql, parameters } = query;
    awake(deadline, async || lookup.data_api.execute(None, &sql, parameters.clone()).await)
        .await
        .map_err(|error| problem(&error))
}

/// What a failed call means for the one who asked.
fn problem(error: &DataApiError) -> Problem {
    match error.disposition() {
        _ if error.fault == DataApiFault::UnsupportedResult => Problem::new(
            Kind::ResultTooLarge,
            "An answer holds at most 1 MiB: ask for fewer rows with limit=.",
        ),
        Disposition::Retry => {
            tracing::warn!(%error, "database not available");
            let detail = "The database is not available yet; it may be waking up. Try again.";
            Problem::new(Kind::Unavailable, detail).with_retry_after(5)
        }
        Disposition::Reject => {
            Problem::new(Kind::InvalidQuery, "A value is not one of its column's type.")
        }
        Disposition::Halt => {
            tracing::error!(%error, "look-up is broken");
            Problem::new(Kind::Internal, "The look-up failed; its log says why.")
        }
    }
}

#[cfg(test)]
mod tests {
    use uuid::{NoContext, Timestamp};

    use super::*;

    #[test]
    fn an_id_can_be_pending_only_from_its_own_time_on() {
        let day = Duration::from_hours(24);
        let accepted = UNIX_EPOCH + 20_000 * day;
        let seconds = accepted.duration_since(UNIX_EPOCH).unwrap().as_secs();
        let id = Uuid::new_v7(Timestamp::from_unix(NoContext, seconds, 0));
        assert!(can_be_pending(id, accepted));
        assert!(can_be_pending(id, accepted + 14 * day));
        assert!(!can_be_pending(id, accepted + 30 * day));
        assert!(!can_be_pending(id, accepted - day));
        assert!(!can_be_pending(Uuid::from_u128(1), accepted));
    }
}
