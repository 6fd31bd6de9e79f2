//! The operations that write. Each is accepted and applied later.
//!
//! Pure.

use aurora_sync_catalog::{Changes, Table};
use serde_json::{Map, Value, json};

use super::reference;

/// Describes the writes of `/{table}`: inserts, and changes of rows whose keys are in the body.
pub(super) fn to_table(table: &Table, name: &str) -> Map<String, Value> {
    let tag = table.path();
    let mut operations = Map::new();
    if table.permits(Changes::INSERT) {
        let insert = body(&reference("schemas", &format!("{name}_insert")));
        operations.insert(
            "post".into(),
            write("insert", name, &tag, Some(insert), &["resolution", "if-absent"]),
        );
    }
    if table.permits(Changes::UPDATE) {
        let by_key = || body(&reference("schemas", &format!("{name}_by_key")));
        operations.insert("put".into(), write("put_rows", name, &tag, Some(by_key()), &[]));
        operations.insert("patch".into(), write("patch_rows", name, &tag, Some(by_key()), &[]));
    }
    if table.permits(Changes::DELETE) {
        let keys = keys(table, name);
        operations.insert("delete".into(), write("delete_rows", name, &tag, Some(keys), &[]));
    }
    operations
}

/// Describes the writes of `/{table}/{key}`.
pub(super) fn to_row(table: &Table, name: &str) -> Map<String, Value> {
    let tag = table.path();
    let update = || {
        json!({
            "required": true,
            "content": {
                "application/json": { "schema": reference("schemas", &format!("{name}_update")) },
            },
        })
    };
    let mut operations = Map::new();
    if table.permits(Changes::UPDATE) {
        let put: &[&str] = match table.permits(Changes::INSERT) {
            true => &["if-match", "if-absent"],
            false => &["if-match"],
        };
        operations.insert("put".into(), write("put", name, &tag, Some(update()), put));
        operations
            .insert("patch".into(), write("patch", name, &tag, Some(update()), &["if-match"]));
    }
    if table.permits(Changes::DELETE) {
        operations.insert("delete".into(), write("delete", name, &tag, None, &["if-match"]));
    }
    operations
}

fn write(word: &str, name: &str, tag: &str, body: Option<Value>, parameters: &[&str]) -> Value {
    let parameters = ["idempotency-key"].iter().chain(parameters);
    let parameters: Vec<_> = parameters.map(|name| reference("parameters", name)).collect();
    let mut operation = json!({
        "operationId": format!("{word}_{name}"),
        "tags": [tag],
        "parameters": parameters,
    });
    if let Some(body) = body {
        operation["requestBody"] = body;
    }
    operation["responses"] = json!({
        "202": reference("responses", "accepted"),
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
    let row = reference("schemas", &format!("{name}_by_key"));
    let item = if table.primary_key.len() == 1 {
        json!({ "anyOf": [row, { "type": ["string", "number", "boolean"] }] })
    } else {
        row
    };
    json!({
        "required": true,
        "content": {
            "application/json": { "schema": { "type": "array", "items": item, "minItems": 1 } },
            "application/x-ndjson": { "schema": { "type": "string" } },
        },
    })
}
