//! The operations that write. Each is accepted and applied later.
//!
//! Pure.

use aurora_sync_catalog::{Changes, Table};
use serde_json::{Map, Value, json};

use super::{reference, schema};

/// The media type of RFC 7396, for `PATCH`.
const MERGE_PATCH: &str = "application/merge-patch+json";

/// Describes the writes of `/{table}`: inserts, and changes of rows whose keys are in the body.
pub(super) fn to_table(table: &Table, name: &str) -> Map<String, Value> {
    let operation = |word: &str, summary: &str, body: Value, parameter: &[&str]| {
        let id = format!("{word}_{name}");
        write(&id, summary, &table.path(), Some(body), parameter, "accepted-items")
    };
    let mut operations = Map::new();
    if table.permits(Changes::INSERT) {
        let rows = body(&reference("schemas", &format!("{name}_insert")));
        let parameters = ["resolution", "if-absent", "columns", "on_conflict"];
        operations.insert("post".into(), operation("insert", "Insert rows", rows, &parameters));
    }
    if table.permits(Changes::UPDATE) {
        let rows = body(&reference("schemas", &format!("{name}_update_by_key")));
        for method in ["put", "patch"] {
            let (word, summary) = (format!("{method}_rows"), "Update rows by their keys");
            let mut rows = rows.clone();
            if method == "patch" {
                rows["content"][MERGE_PATCH] = rows["content"]["application/json"].clone();
            }
            let described = operation(&word, summary, rows, &["handling"]);
            operations.insert(method.into(), described);
        }
    }
    if table.permits(Changes::DELETE) {
        let keys = keys(table, name);
        let described = operation("delete_rows", "Delete rows by their keys", keys, &["handling"]);
        operations.insert("delete".into(), described);
    }
    operations
}

/// Describes the writes of `/{table}/{key}`.
pub(super) fn to_row(table: &Table, name: &str) -> Map<String, Value> {
    let operation = |word: &str, summary: &str, body: Option<Value>, parameters: &[&str]| {
        write(&format!("{word}_{name}"), summary, &table.path(), body, parameters, "accepted")
    };
    let update = |media_types: &[&str]| {
        let schema = json!({ "schema": reference("schemas", &format!("{name}_update")) });
        let content = media_types.iter().map(|name| ((*name).to_owned(), schema.clone()));
        Some(json!({ "required": true, "content": content.collect::<Map<_, _>>() }))
    };
    let mut operations = Map::new();
    if table.permits(Changes::UPDATE) {
        let put: &[&str] =
            if table.permits(Changes::INSERT) { &["if-match", "if-absent"] } else { &["if-match"] };
        operations.insert(
            "put".into(),
            operation("put", "Update a row", update(&["application/json"]), put),
        );
        let body = update(&["application/json", MERGE_PATCH]);
        let patch = operation("patch", "Update a row", body, &["if-match"]);
        operations.insert("patch".into(), patch);
    }
    if table.permits(Changes::DELETE) {
        let delete = operation("delete", "Delete a row", None, &["if-match"]);
        operations.insert("delete".into(), delete);
    }
    operations
}

/// Describes one operation that writes.
fn write(
    id: &str,
    summary: &str,
    tag: &str,
    body: Option<Value>,
    parameters: &[&str],
    accepted: &str,
) -> Value {
    let parameters = ["idempotency-key"].iter().chain(parameters);
    let parameters: Vec<_> = parameters.map(|name| reference("parameters", name)).collect();
    let mut operation = json!({
        "operationId": id,
        "summary": summary,
        "description": "Accepts the request. The status of each write shows its outcome.",
        "tags": [tag],
        "parameters": parameters,
    });
    if let Some(body) = body {
        operation["requestBody"] = body;
    }
    operation["responses"] = json!({
        "202": reference("responses", accepted),
        "4XX": reference("responses", "problem"),
        "default": reference("responses", "problem"),
    });
    operation
}

/// Describes a body: one object, an array of objects, or one object per line.
fn body(row: &Value) -> Value {
    json!({
        "required": true,
        "content": {
            "application/json": {
                "schema": { "anyOf": [row, { "type": "array", "items": row, "minItems": 1 }] },
            },
            "application/x-ndjson": { "schema": { "type": "string" } },
        },
    })
}

/// Describes keys of rows: objects with the key's columns, or bare values if the key has one
/// column.
fn keys(table: &Table, name: &str) -> Value {
    let key = reference("schemas", &format!("{name}_key"));
    let item = match schema::key_value(table) {
        Some(value) => json!({ "anyOf": [key, value] }),
        None => key,
    };
    json!({
        "required": true,
        "content": {
            "application/json": {
                "schema": { "anyOf": [item, { "type": "array", "items": item, "minItems": 1 }] },
            },
            "application/x-ndjson": { "schema": { "type": "string" } },
        },
    })
}
