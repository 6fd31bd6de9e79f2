//! Accepts writes: validates them, sends them to the queue, and responds with 202.
//!
//! Has no access to the database. [`crate::functions::apply`] settles the writes, and the status
//! URL shows their outcomes.

mod accept;
mod coding;
mod body;
mod idempotency;
mod parameters;
mod precondition;
mod prefer;
mod send;

use std::time::Duration;

use aws_lambda_events::apigw::{ApiGatewayV2httpRequest, ApiGatewayV2httpResponse};
use aws_lambda_events::http::header::{HeaderName, LOCATION};
use serde::Serialize;

use self::accept::{Accepted, Refusal, accept};
use self::send::{Sent, send};
use crate::api::caller::RowSecurity;
use crate::api::http::{Request, Response, Route};
use crate::api::link;
use crate::api::problem::{AcceptedWrite, Kind, Problem};
use crate::aws::queue::{Queue, Reason};
use crate::domain::deadline::{Deadline, now_ms};
use crate::domain::fault::FieldFault;
use crate::domain::write::{Write, pack};
use crate::functions::runtime::Invocation;
use crate::functions::tables::{self, Tables};

/// The longest time that a request waits for the queue. API Gateway ends a request after 30 s (API
/// Gateway, "Quotas for HTTP APIs").
const SEND_WITHIN: Duration = Duration::from_secs(20);

/// The values of `Retry-After`: for an outage of the queue, and for throttling.
const RETRY_AFTER_SECONDS: u16 = 5;
const RETRY_AFTER_THROTTLE_SECONDS: u16 = 15;

/// The configuration and client of the function.
#[derive(Debug)]
pub struct Enqueue {
    pub tables: Tables,
    pub queue: Queue,
    /// The number of message groups of a table, which limits the concurrency of its writes.
    pub partitions: u32,
    pub row_security: RowSecurity,
}

/// Handles one request. An error is a response too.
pub async fn handle(
    enqueue: &Enqueue,
    event: ApiGatewayV2httpRequest,
    invocation: Invocation,
) -> ApiGatewayV2httpResponse {
    let deadline = invocation.deadline.min(Deadline::after(SEND_WITHIN));
    let response = match Request::from_event(event, enqueue.row_security) {
        Ok(mut request) => {
            request.caller.request_id = invocation.request_id;
            respond(enqueue, &request, invocation.trace.as_deref(), deadline).await
        }
        Err(problem) => problem.into(),
    };
    response.of_request(invocation.request_id).into()
}

async fn respond(
    enqueue: &Enqueue,
    request: &Request,
    trace: Option<&str>,
    deadline: Deadline,
) -> Response {
    let catalog = match enqueue.tables.current(deadline).await {
        Ok(catalog) => catalog,
        Err(error) => return tables::unavailable(&error).into(),
    };
    let mut accepted = accept(&catalog, request, now_ms());
    let may_be_accepted_now = match &accepted {
        Ok(accepted) => accepted.faults.total() > 0,
        Err(_) if !request.route.is_of_table() => false,
        Err(refusal) => tables::may_depend_on_tables(refusal.problem.status),
    };
    if may_be_accepted_now && let Some(newer) = enqueue.tables.newer_than(&catalog, deadline).await
    {
        accepted = accept(&newer, request, now_ms());
    }
    match accepted {
        Ok(accepted) => queue(enqueue, &request.route, accepted, trace, deadline).await,
        Err(refusal) => refuse(refusal),
    }
}

fn refuse(Refusal { problem, header }: Refusal) -> Response {
    tracing::info!(status = problem.status, faults = problem.errors.len(), "request refused");
    let response = Response::from(*problem);
    match header {
        Some((name, value)) => response.with_header(name, &value),
        None => response,
    }
}

/// Sends the writes to the queue, and returns the response with their status URLs.
async fn queue(
    enqueue: &Enqueue,
    route: &Route,
    accepted: Accepted,
    trace: Option<&str>,
    deadline: Deadline,
) -> Response {
    let Accepted { writes, faults, is_list, applied } = accepted;
    let entries: Vec<_> =
        writes.iter().map(|(item, write)| entry(route, *item, write, is_list)).collect();
    let writes = writes.into_iter().map(|(_, write)| write).collect();
    let sent = send(&enqueue.queue, pack(writes, enqueue.partitions), trace, deadline).await;
    if let Some(reason) = sent.reason {
        return not_confirmed(entries, &sent, reason);
    }
    let first_id = entries.first().map(|entry| entry.id).unwrap_or_default();
    // The access log has a line too, and each line is paid for.
    tracing::debug!(writes = entries.len(), faults = faults.total(), %first_id, "writes accepted");
    let response = match entries.as_slice() {
        [write] if !is_list => Response::json(202, write).with_header(LOCATION, &write.status),
        _ => {
            let errors_total = (faults.total() > 0).then_some(faults.total());
            let errors = errors_total.map(|_| faults.into_listed());
            Response::json(202, &AcceptedWrites { writes: entries, errors, errors_total })
        }
    };
    match applied {
        Some(applied) => {
            response.with_header(HeaderName::from_static("preference-applied"), &applied)
        }
        None => response,
    }
}

/// The response for a list: one entry for each accepted item, in the order of the items.
#[derive(Debug, Serialize)]
struct AcceptedWrites {
    writes: Vec<AcceptedWrite>,
    /// The faults of the other items, if the client prefers partial handling.
    #[serde(skip_serializing_if = "Option::is_none")]
    errors: Option<Vec<FieldFault>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    errors_total: Option<usize>,
}

fn entry(route: &Route, item: usize, write: &Write, is_list: bool) -> AcceptedWrite {
    let status = link::to_write(route, write.id, write.fingerprint.as_deref());
    AcceptedWrite { item: is_list.then_some(item), id: write.id, status }
}

/// Makes the problem for writes that the queue did not confirm.
fn not_confirmed(entries: Vec<AcceptedWrite>, sent: &Sent, reason: Reason) -> Response {
    let all = entries.len();
    let accepted: Vec<_> =
        entries.into_iter().filter(|entry| sent.accepted.contains(&entry.id)).collect();
    tracing::error!(
        accepted = accepted.len(),
        lost = all - accepted.len(),
        ?reason,
        "queue did not confirm all writes"
    );
    // A message whose response was lost may be in the queue nevertheless.
    let what = match accepted.len() {
        0 => "The queue confirmed none of the writes; it may have accepted some.".to_owned(),
        some => format!(
            "The queue confirmed {some} of {all} writes, see \"accepted\"; it may have accepted others."
        ),
    };
    let again = "Send the whole request again only with the same Idempotency-Key: then each write is applied once. \
                 Without one, a write that is sent again may be applied twice.";
    let problem = match reason {
        Reason::Refused => Problem::new(
            Kind::Internal,
            format!("{what} It will not accept them before the deployment is fixed."),
        ),
        Reason::Unavailable => Problem::new(Kind::Unavailable, format!("{what} {again}"))
            .with_retry_after(RETRY_AFTER_SECONDS),
        Reason::Throttled => Problem::new(Kind::Unavailable, format!("{what} {again}"))
            .with_retry_after(RETRY_AFTER_THROTTLE_SECONDS),
    };
    problem.with_accepted(accepted).into()
}

#[cfg(test)]
mod tests;
