//! Settled writes: list, show, send again.

use std::collections::BTreeMap;

use anyhow::{Context as _, bail};
use bytes::Bytes;
use hyper::Method;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;
use uuid::Uuid;

use super::{Deployed, query};
use crate::api::{ApiError, Page, encoded, refusal};

/// A settled write, as `GET /_sync/writes` lists it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Write {
    pub(crate) id: String,
    /// The table. `None` for a message that could not be read.
    pub(crate) table: Option<String>,
    /// The key as it stands in URLs. `None` if it is withheld, or the database makes it.
    pub(crate) key: Option<String>,
    pub(crate) operation: String,
    /// `applied`, `unchanged`, `superseded` or `rejected`.
    pub(crate) outcome: String,
    pub(crate) rule: Option<String>,
    pub(crate) sqlstate: Option<String>,
    pub(crate) reason: Option<String>,
    pub(crate) constraint: Option<String>,
    pub(crate) column: Option<String>,
    /// A time of RFC 3339, as all times here.
    pub(crate) accepted_at: String,
    pub(crate) settled_at: String,
    pub(crate) caller: Option<String>,
    pub(crate) request_id: Option<String>,
}

/// The status of a write, settled or pending, as `GET /_sync/writes/{id}` tells it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Status {
    pub(crate) id: String,
    /// An outcome of [`Write`], or `pending`.
    pub(crate) outcome: String,
    /// The payload of a rejected write. `None` if `sync_reader` may not read all of it.
    #[serde(default)]
    pub(crate) payload: Option<Payload>,
    /// The write whose payload was sent again as this one.
    #[serde(default)]
    pub(crate) resend_of: Option<String>,
    /// The writes as which the payload of this one was sent again.
    #[serde(default)]
    pub(crate) resent_as: Vec<String>,
    /// The other members: those of [`Write`], and `hint`, `row`, `blocked`, `other_payloads`,
    /// `detail`.
    #[serde(flatten)]
    pub(crate) rest: BTreeMap<String, Value>,
}

impl Status {
    /// Returns another member that is a text.
    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        self.rest.get(name).and_then(Value::as_str)
    }
}

/// The payload of a rejected write, ready to be sent again.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Payload {
    /// The object of the row: its columns, those of the key included.
    pub(crate) row: Box<RawValue>,
    /// The header of the precondition that the row did not meet. It is not sent again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) precondition: Option<String>,
}

/// The conditions of a list. All that are given must hold.
#[derive(Debug, Clone, Default)]
pub(crate) struct Filter {
    pub(crate) outcome: Option<String>,
    pub(crate) table: Option<String>,
    pub(crate) key: Option<String>,
    pub(crate) rule: Option<String>,
    pub(crate) caller: Option<String>,
    /// The earliest time at which a write was settled.
    pub(crate) since: Option<Timestamp>,
    /// The time before which a write was settled.
    pub(crate) until: Option<Timestamp>,
}

impl Filter {
    fn conditions(&self) -> Vec<(&'static str, String)> {
        let equal = [
            ("outcome", &self.outcome),
            ("table", &self.table),
            ("key", &self.key),
            ("rule", &self.rule),
            ("caller", &self.caller),
        ];
        let equal = equal
            .into_iter()
            .filter_map(|(name, value)| value.as_ref().map(|value| (name, format!("eq.{value}"))));
        let since = self.since.map(|time| ("settled_at", format!("gte.{time:.6}")));
        let until = self.until.map(|time| ("settled_at", format!("lt.{time:.6}")));
        equal.chain(since).chain(until).collect()
    }
}

/// The order of a list, by the time of settling.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Order {
    NewestFirst,
    OldestFirst,
}

/// Reads the first page of the settled writes. [`next`] reads the others.
pub(crate) async fn list(
    deployed: &Deployed,
    filter: &Filter,
    order: Order,
    limit: u32,
) -> anyhow::Result<Page<Write>> {
    next(deployed, &first(filter, order, limit)).await
}

/// Reads the page at this path, that of [`Page::next`].
pub(crate) async fn next(deployed: &Deployed, path: &str) -> anyhow::Result<Page<Write>> {
    page(deployed, path).await.map_err(ApiError::into_error)
}

/// Returns the path of the first page.
pub(crate) fn first(filter: &Filter, order: Order, limit: u32) -> String {
    let mut conditions = filter.conditions();
    if order == Order::OldestFirst {
        conditions.push(("order", "settled_at.asc".to_owned()));
    }
    conditions.push(("limit", limit.to_string()));
    format!("/_sync/writes?{}", query(&conditions))
}

/// Reads the page at this path. An error says whether a later request may succeed.
pub(crate) async fn page(deployed: &Deployed, path: &str) -> Result<Page<Write>, ApiError> {
    deployed.api.page(path).await
}

/// Reads the status of a write. A write under an Idempotency-Key can have a fingerprint:
/// `ID?fingerprint=…`, as its status URL ends.
pub(crate) async fn show(deployed: &Deployed, id: &str) -> anyhow::Result<Status> {
    status(deployed, id).await.map_err(ApiError::into_error)
}

/// Reads the status of a write as [`show`] does. An error says whether a later request may succeed.
pub(crate) async fn status(deployed: &Deployed, id: &str) -> Result<Status, ApiError> {
    deployed.api.get(&format!("/_sync/writes/{id}")).await
}

/// A payload that was sent again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Resent {
    /// The rejected write.
    pub(crate) resend_of: String,
    /// The new write.
    pub(crate) id: String,
    /// The id with the fingerprint of the payload, for [`show`].
    #[serde(skip)]
    pub(crate) status_id: String,
}

/// Sends the payload of a rejected write again, or another row in its place, under a new id that
/// names the old one. The same payload has the same new id each time, so that only the first
/// sending has an effect. The precondition of the old write is left out.
///
/// Fails if the write is not rejected, if its payload is withheld, and if the API refuses the row.
pub(crate) async fn resend(
    deployed: &Deployed,
    rejected: &Status,
    edited_row: Option<&str>,
) -> anyhow::Result<Resent> {
    let id = &rejected.id;
    if rejected.outcome != "rejected" {
        bail!("the write {id} is {}: only a rejected one can be sent again", rejected.outcome);
    }
    let payload = rejected.payload.as_ref().with_context(|| {
        format!(
            "the payload of the write {id} is withheld, since sync_reader may not read all of its columns: see \
             the column payload of sync.write"
        )
    })?;
    let table = rejected.text("table").context("the write names no table")?;
    let operation = rejected.text("operation").unwrap_or_default();
    let row = edited_row.unwrap_or(payload.row.get());
    let request = request(table, operation, row).with_context(|| {
        format!("the write {id} is \"{operation}\", which cannot be sent again")
    })?;
    let key = idempotency_key(id, edited_row);
    let mut headers = vec![("content-type", "application/json"), ("idempotency-key", key.as_str())];
    headers.extend(request.prefer.map(|preference| ("prefer", preference)));
    let body = Bytes::from(request.body);
    let sent = deployed.api.request(request.method, &request.path, &headers, body).await;
    let response = sent.map_err(ApiError::into_error)?;
    if response.status != 202 {
        bail!("the API does not accept the payload of {id}: {}", refusal(&response));
    }
    let accepted: Accepted = serde_json::from_slice(&response.body)
        .context("the API accepts the payload with a response of another form")?;
    let accepted = match accepted {
        Accepted::One(accepted) => Some(accepted),
        Accepted::List { writes } => writes.into_iter().next(),
    };
    let accepted = accepted.context("the API accepts the payload without an id")?;
    let status_id = accepted.status.rsplit('/').next().unwrap_or_default().to_owned();
    Ok(Resent { resend_of: id.clone(), id: accepted.id, status_id })
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Accepted {
    List { writes: Vec<AcceptedWrite> },
    One(AcceptedWrite),
}

#[derive(Debug, Deserialize)]
struct AcceptedWrite {
    id: String,
    status: String,
}

/// Returns the name of a request that sends a payload again. The worker reads the id in it
/// (`src/functions/enqueue/idempotency.rs`).
fn idempotency_key(id: &str, edited_row: Option<&str>) -> String {
    match edited_row {
        None => format!("\"resend of {id}\""),
        Some(row) => {
            let hash = Uuid::new_v5(&Uuid::NAMESPACE_OID, row.as_bytes());
            format!("\"resend of {id} edited {hash}\"")
        }
    }
}

/// A request for one write.
#[derive(Debug, PartialEq, Eq)]
struct WriteRequest {
    method: Method,
    path: String,
    prefer: Option<&'static str>,
    body: String,
}

/// Returns the request for an operation, as the ledger names it. The body names the row of an
/// update or a delete, since not every key can be in a path.
fn request(table: &str, operation: &str, row: &str) -> Option<WriteRequest> {
    let path = format!("/{}", encoded(table));
    let (method, prefer, is_list) = match operation {
        "insert" => (Method::POST, None, false),
        "upsert" => (Method::POST, Some("resolution=merge-duplicates"), false),
        "insert_ignore" => (Method::POST, Some("resolution=ignore-duplicates"), false),
        "update" => (Method::PATCH, None, true),
        "delete" => (Method::DELETE, None, true),
        _ => return None,
    };
    let body = if is_list { format!("[{row}]") } else { row.to_owned() };
    Some(WriteRequest { method, path, prefer, body })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_operation_has_its_request() {
        let found = |operation| {
            let request = request("a b", operation, "{}")?;
            assert_eq!(request.path, "/a%20b");
            Some((request.method.to_string(), request.prefer, request.body))
        };
        let expected =
            |method: &str, prefer, body: &str| Some((method.to_owned(), prefer, body.to_owned()));
        assert_eq!(found("insert"), expected("POST", None, "{}"));
        assert_eq!(found("upsert"), expected("POST", Some("resolution=merge-duplicates"), "{}"));
        assert_eq!(
            found("insert_ignore"),
            expected("POST", Some("resolution=ignore-duplicates"), "{}")
        );
        assert_eq!(found("update"), expected("PATCH", None, "[{}]"));
        assert_eq!(found("delete"), expected("DELETE", None, "[{}]"));
        assert_eq!(found("unreadable"), None);
    }

    #[test]
    fn the_key_of_a_resend_names_the_old_write_and_differs_for_each_edited_row() {
        assert_eq!(idempotency_key("a", None), "\"resend of a\"");
        let edited = |row| idempotency_key("a", Some(row));
        assert!(edited("{}").starts_with("\"resend of a edited "));
        assert_eq!(edited("{}"), edited("{}"));
        assert_ne!(edited("{}"), edited("{\"b\":1}"));
    }

    #[test]
    fn a_filter_is_the_conditions_that_are_given() {
        let filter = Filter {
            outcome: Some("rejected".into()),
            since: Some("2026-01-01T00:00:00Z".parse().unwrap()),
            ..Filter::default()
        };
        assert_eq!(
            query(&filter.conditions()),
            "outcome=eq.rejected&settled_at=gte.2026-01-01T00%3A00%3A00.000000Z"
        );
    }
}
