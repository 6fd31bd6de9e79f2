//! The paths: two for each table, and the worker's own.
//!
//! Pure.

use aurora_sync_catalog::{Column, Table};
use percent_encoding::utf8_percent_encode;
use serde_json::{Map, Value, json};

use super::{component_name, reference, writes};
use crate::api::link::PATH_SEGMENT;
use crate::api::query::{Form, RESERVED};
use crate::api::worker_tables::{IMPORT, REJECT, WRITE};

/// Describes `/{table}` and, for a table with a key, `/{table}/{key}`.
pub(super) fn of_table(table: &Table) -> Map<String, Value> {
    let name = component_name(table);
    let path = format!("/{}", utf8_percent_encode(&table.path(), PATH_SEGMENT));
    let tag = table.path();
    let mut rows = Map::new();
    let mut row = Map::new();
    if table.is_readable() {
        let parameters = list_parameters(table);
        let response = list_response(&name);
        rows.insert("get".into(), read("list", "Read rows", &name, &tag, &parameters, &response));
        rows.insert(
            "head".into(),
            read("head", "Read the headers of rows", &name, &tag, &parameters, &head_response()),
        );
        let parameters = row_parameters();
        let response = row_response(&name);
        row.insert("get".into(), read("get", "Read a row", &name, &tag, &parameters, &response));
        row.insert(
            "head".into(),
            read(
                "head_row",
                "Read the headers of a row",
                &name,
                &tag,
                &parameters,
                &head_response(),
            ),
        );
    }
    if table.is_writable() {
        rows.extend(writes::to_table(table, &name));
        row.extend(writes::to_row(table, &name));
    }
    let mut paths = Map::new();
    paths.insert(path.clone(), rows.into());
    if !table.primary_key.is_empty() {
        row.insert("parameters".into(), json!([key_parameter(table)]));
        paths.insert(format!("{path}/{{key}}"), row.into());
    }
    paths
}

fn key_parameter(table: &Table) -> Value {
    let names: Vec<_> = table.key_columns().map(|column| column.name.as_str()).collect();
    json!({
        "name": "key",
        "in": "path",
        "required": true,
        "description": format!(
            "The row's key ({}), percent-encoded, its slashes too. Parts of a key are separated by commas; a part with a comma \
             or a quote must be in double quotes. A key with % or ? cannot be in a path, and could name another row: \
             use the query or the body.",
            names.join(",")
        ),
        "schema": { "type": "string" },
    })
}

fn read(
    word: &str,
    summary: &str,
    name: &str,
    tag: &str,
    parameters: &[Value],
    response: &Value,
) -> Value {
    json!({
        "operationId": format!("{word}_{name}"),
        "summary": summary,
        "description": "Responds at once.",
        "tags": [tag],
        "parameters": parameters,
        "responses": {
            "200": response,
            "304": reference("responses", "not-modified"),
            "4XX": reference("responses", "problem"),
            "default": reference("responses", "problem"),
        },
    })
}

fn shared(names: &[&str]) -> Vec<Value> {
    names.iter().map(|name| reference("parameters", name)).collect()
}

fn row_parameters() -> Vec<Value> {
    shared(&["select", "after", "consistent-after", "if-none-match", "if-same"])
}

fn list_parameters(table: &Table) -> Vec<Value> {
    let readable = table.columns.iter().filter(|column| column.is_readable());
    let mut parameters: Vec<_> = readable.map(filter).collect();
    parameters.extend(shared(&RESERVED));
    parameters.extend(shared(&["consistent-after", "count", "if-none-match"]));
    parameters
}

/// Describes a column as a query parameter.
fn filter(column: &Column) -> Value {
    let is_reserved = RESERVED.contains(&column.name.as_str());
    let name = if is_reserved { format!("\"{}\"", column.name) } else { column.name.clone() };
    json!({
        "name": name,
        "in": "query",
        "description": "An operator, a dot and a value, such as gte.30, or a plain value, which means equality.",
        "schema": { "type": "string" },
    })
}

fn list_response(schema: &str) -> Value {
    let rows = json!({ "type": "array", "items": reference("schemas", schema) });
    let mut response = json!({
        "description": "A page of rows.",
        "content": content(&rows),
    });
    response["headers"] = json!({
        "ETag": reference("headers", "ETag"),
        "Link": reference("headers", "Link"),
        "Content-Range": reference("headers", "Content-Range"),
        "Preference-Applied": reference("headers", "Preference-Applied"),
    });
    response
}

fn row_response(schema: &str) -> Value {
    json!({
        "description": "The row.",
        "headers": { "ETag": reference("headers", "ETag") },
        "content": content(&reference("schemas", schema)),
    })
}

fn head_response() -> Value {
    json!({
        "description": "The headers of GET.",
        "headers": { "ETag": reference("headers", "ETag") },
    })
}

fn content(json_schema: &Value) -> Map<String, Value> {
    let schema = |form| match form {
        Form::Json => json_schema.clone(),
        Form::Ndjson | Form::Csv => json!({ "type": "string" }),
        Form::Records => {
            json!({ "type": "array", "items": { "type": "array", "items": { "type": "object" } } })
        }
    };
    let content = |form: Form| (form.media_type().to_owned(), json!({ "schema": schema(form) }));
    Form::ALL.into_iter().map(content).collect()
}

/// Describes the paths of writes and imports.
pub(super) fn of_the_worker() -> Map<String, Value> {
    let id = json!([{
        "name": "id",
        "in": "path",
        "required": true,
        "schema": { "type": "string", "format": "uuid" },
    }]);
    let tag = "_sync";
    let status = json!({
        "description": "The state of the write.",
        "headers": { "ETag": reference("headers", "ETag") },
        "content": { "application/json": { "schema": reference("schemas", "_sync_write") } },
    });
    let parameters = shared(&["fingerprint", "if-none-match"]);
    let mut paths = Map::new();
    paths.insert(
        "/_sync/writes/{id}".into(),
        json!({
            "parameters": id,
            "get": read("get", "Read the status of a write", "_sync_write", tag, &parameters, &status),
        }),
    );
    let settled = list_response("_sync_settled_write");
    paths.insert(
        "/_sync/writes".into(),
        json!({
            "get": read("list", "Read settled writes, the newest first", "_sync_write", tag, &list_parameters(&WRITE), &settled),
        }),
    );
    let imports = list_response("_sync_import");
    paths.insert(
        "/_sync/imports".into(),
        json!({
            "get": read("list", "Read imports, the newest first", "_sync_import", tag, &list_parameters(&IMPORT), &imports),
        }),
    );
    let import = row_response("_sync_import");
    paths.insert(
        "/_sync/imports/{id}".into(),
        json!({
            "parameters": id,
            "get": read("get", "Read an import", "_sync_import", tag, &row_parameters(), &import),
        }),
    );
    let rejects = list_response("_sync_reject");
    paths.insert(
        "/_sync/imports/{id}/rejects".into(),
        json!({
            "parameters": id,
            "get": read("list", "Read the rejected rows of an import", "_sync_reject", tag, &list_parameters(&REJECT), &rejects),
        }),
    );
    paths
}
