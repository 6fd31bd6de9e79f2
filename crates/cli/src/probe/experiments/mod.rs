//! The experiments, by their subject. Each returns what it saw.

pub(crate) mod batches;
pub(crate) mod gateway;
pub(crate) mod limits;
pub(crate) mod parameters;
pub(crate) mod requests;
pub(crate) mod results;
pub(crate) mod services;
pub(crate) mod time;
pub(crate) mod transactions;

use serde_json::{Value, json};

use super::lab::Reply;

/// Makes the list of one parameter `v`.
fn one(value: &Value) -> Value {
    json!([{ "name": "v", "value": value }])
}

/// Makes the list of one parameter `v` with a type hint.
fn hinted(text: &str, hint: &str) -> Value {
    json!([{ "name": "v", "value": { "stringValue": text }, "typeHint": hint }])
}

/// Makes parameter sets of one number `a` each.
fn sets(values: &[i64]) -> Value {
    let set = |value: &i64| json!([{ "name": "a", "value": { "longValue": value } }]);
    values.iter().map(set).collect()
}

/// Describes several responses.
fn told<'r>(replies: impl IntoIterator<Item = (&'r str, &'r Reply)>) -> String {
    let each = replies.into_iter().map(|(what, reply)| format!("{what}: {}", reply.told()));
    each.collect::<Vec<_>>().join("; ")
}
