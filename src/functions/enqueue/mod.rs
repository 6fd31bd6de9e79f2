//! Accepts writes: refuses those that are certain to be wrong, queues the others, responds with 202.
//!
//! Has no access to the database: [`crate::functions::apply`] settles the writes, and the status URL shows their outcomes.

mod accept;
mod body;
mod idempotency;
mod prefer;
mod send;

use std::time::Duration;

use aurora_sync_catalog::{Catalog, Table};
use aws_lambda_events::apigw::{ApiGatewayProxyRequest, ApiGatewayProxyResponse};
use aws_lambda_events::http::header::{ALLOW, HeaderName, LOCATION};
use serde::Serialize;

use self::accept::{Accepted, Refusal, accept};
use self::send::{Sent, send};
use crate::api::http::{Request, Response};
use crate::api::problem::{AcceptedWrite, Kind, Problem};
use crate::aws::queue::{Queue, Reason};
use crate::domain::deadline::{Deadline, now_ms};
use crate::domain::fault::{FieldFault, nearest};
use crate::domain::key::Key;
use crate::domain::write::{Write, pack};

/// How long a request waits for the queue. API Gateway gives up after 29 s ("Quotas for REST APIs").
const SEND_WITHIN: Duration = Duration::from_secs(20);

/// When it is worth trying again: after a hiccup of the queue, and where it takes fewer calls than
/// there are.
const RETRY_AFTER_SECONDS: u16 = 5;
const RETRY_AFTER_THROTTLE_SECONDS: u16 = 15;

/// What the function needs.
#[derive(Debug)]
pub struct Enqueue {
    pub catalog: Catalog,
    pub queue: Queue,
    /// Number of message groups of a table: the bound on its writes applied beside each other.
    pub partitions: u32,
}

/// Answers one request. Never fails: an error is a response too.
pub async fn handle(
    enqueue: &Enqueue,
    event: ApiGatewayProxyRequest,
    deadline: Deadline,
) -> ApiGatewayProxyResponse {
    let deadline = deadline.min(Deadline::after(SEND_WITHIN));
    let caller = idempotency::caller(&event.request_context);
    let response = match Request::from_event(event) {
        Ok(request) => match accept(&enqueue.catalog, &request, &caller, now_ms()) {
            Ok(accepted) => queue(enqueue, accepted, deadline).await,
            Err(refusal) => refuse(refusal),
        },
        Err(problem) => problem.into(),
    };
    response.into()
}

fn refuse(Refusal { problem, allow }: Refusal) -> Response {
    tracing::info!(status = problem.status, faults = problem.errors.len(), "request refused");
    let response = Response::from(*problem);
    match allow {
        Some(allow) => response.with_header(ALLOW, allow),
        None => response,
    }
}

/// Puts the writes into the queue, and answers where their outcomes will be.
async fn queue(enqueue: &Enqueue, accepted: Accepted, deadline: Deadline) -> Response {
    let Accepted { writes, faults, is_list, applied } = accepted;
    let entries: Vec<_> = writes.iter().map(|(item, write)| entry(*item, write, is_list)).collect();
    let writes = writes.into_iter().map(|(_, write)| write).collect();
    let sent = send(&enqueue.queue, pack(writes, enqueue.partitions), deadline).await;
    if let Some(reason) = sent.trouble {
        return not_taken(entries, &sent, reason);
    }
    let first_id = entries.first().map(|entry| entry.id).unwrap_or_default();
    tracing::info!(writes = entries.len(), faults = faults.total(), %first_id, "writes accepted");
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

/// The response for a list: an entry an item that is accepted, in the order of the items.
#[derive(Debug, Serialize)]
struct AcceptedWrites {
    writes: Vec<AcceptedWrite>,
    /// What is wrong with the items that are not accepted, where the client asked for a part.
    #[serde(skip_serializing_if = "Option::is_none")]
    errors: Option<Vec<FieldFault>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    errors_total: Option<usize>,
}

fn entry(item: usize, write: &Write, is_list: bool) -> AcceptedWrite {
    let id = write.id;
    let status = match &write.fingerprint {
        // Whoever sent another payload under the same Idempotency-Key must not take its outcome for
        // that of his own.
        Some(fingerprint) => format!("/_sync/writes/{id}?fingerprint={fingerprint}"),
        None => format!("/_sync/writes/{id}"),
    };
    AcceptedWrite { item: is_list.then_some(item), id, status }
}

/// Says that the queue did not say of all writes that it took them, and of which it did.
fn not_taken(entries: Vec<AcceptedWrite>, sent: &Sent, reason: Reason) -> Response {
    let all = entries.len();
    let accepted: Vec<_> =
        entries.into_iter().filter(|entry| sent.accepted.contains(&entry.id)).collect();
    tracing::error!(
        accepted = accepted.len(),
        lost = all - accepted.len(),
        ?reason,
        "queue did not confirm all writes"
    );
    // A message whose response was lost may be in the queue all the same.
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

/// The table, or which one may be meant.
pub fn find_table<'a>(catalog: &'a Catalog, name: &str) -> Result<&'a Table, Problem> {
    catalog.table(name).ok_or_else(|| {
        let paths: Vec<_> = catalog.tables().iter().map(Table::path).collect();
        let detail = match nearest(name, paths.iter().map(String::as_str)) {
            Some(near) => format!("Did you mean /{near}?"),
            None => format!("The tables are: {}.", paths.join(", ")),
        };
        Problem::new(Kind::UnknownTable, detail)
    })
}

/// The key that a path names.
pub fn key_of_path(table: &Table, path: &str) -> Result<Key, Problem> {
    Key::from_path(table, path).map_err(|error| Problem::new(Kind::InvalidKey, format!("{error}.")))
}

#[cfg(test)]
mod tests;
