//! Settled writes: list, show, send again.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;

use super::{Deployed, query};
use crate::api::{ApiError, Page};

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
        let since = self.since.map(|time| ("settled_at", format!("gte.{time}")));
        let until = self.until.map(|time| ("settled_at", format!("lt.{time}")));
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
    let mut conditions = filter.conditions();
    if order == Order::OldestFirst {
        conditions.push(("order", "settled_at.asc".to_owned()));
    }
    conditions.push(("limit", limit.to_string()));
    next(deployed, &format!("/_sync/writes?{}", query(&conditions))).await
}

/// Reads the page at this path, that of [`Page::next`].
pub(crate) async fn next(deployed: &Deployed, path: &str) -> anyhow::Result<Page<Write>> {
    deployed.api.page(path).await.map_err(ApiError::into_error)
}

/// Reads the status of a write. A write under an Idempotency-Key can have a fingerprint:
/// `ID?fingerprint=…`, as its status URL ends.
pub(crate) async fn show(deployed: &Deployed, id: &str) -> anyhow::Result<Status> {
    deployed.api.get(&format!("/_sync/writes/{id}")).await.map_err(ApiError::into_error)
}
