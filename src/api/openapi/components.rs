//! Components that the paths share: schemas of rows, parameters, headers, responses.
//!
//! Pure.

use aurora_sync_catalog::{Changes, Table};
use serde_json::{Map, Value, json};

use super::{component_name, reference, schema};
use crate::api::query::{AFTER_MAX, LIMIT_DEFAULT, LIMIT_MAX};
use crate::api::worker_tables::{IMPORT, REJECT, WRITE};
use crate::domain::fault::FAULTS_MAX;

pub(super) fn of_tables(tables: &[&Table]) -> Value {
    json!({
        "securitySchemes": {
            "sigv4": {
                "type": "apiKey",
                "in": "header",
                "name": "Authorization",
                "description": "AWS Signature Version 4 for the service execute-api, unless the API was \
                    deployed with Authorization=NONE.",
                "x-amazon-apigateway-authtype": "awsSigv4",
            },
        },
        "schemas": schemas(tables),
        "parameters": parameters(),
        "headers": headers(),
        "responses": responses(),
    })
}

fn schemas(tables: &[&Table]) -> Map<String, Value> {
    let mut schemas = Map::new();
    for table in tables {
        let name = component_name(table);
        if table.is_readable() {
            schemas.insert(name.clone(), schema::row_read(table));
        }
        if table.permits(Changes::INSERT) {
            schemas.insert(format!("{name}_insert"), schema::row_inserted(table));
        }
        if table.permits(Changes::UPDATE) {
            schemas.insert(format!("{name}_update"), schema::row_updated(table));
            schemas.insert(format!("{name}_update_by_key"), schema::row_updated_by_key(table));
        }
        if table.permits(Changes::DELETE) {
            schemas.insert(format!("{name}_key"), schema::key(table));
        }
    }
    schemas.insert("_sync_import".to_owned(), schema::row_read(&IMPORT));
    schemas.insert("_sync_reject".to_owned(), schema::row_read(&REJECT));
    schemas.insert("_sync_settled_write".to_owned(), schema::row_read(&WRITE));
    schemas.insert("_sync_write".to_owned(), write_status());
    schemas.insert("_sync_accepted".to_owned(), accepted());
    schemas.insert("_sync_accepted_list".to_owned(), accepted_list());
    schemas.insert("_sync_fault".to_owned(), fault());
    schemas.insert("_sync_problem".to_owned(), problem());
    schemas
}

fn write_status() -> Value {
    let text = || json!({ "type": ["string", "null"] });
    json!({
        "type": "object",
        "properties": {
            "id": { "type": "string", "format": "uuid" },
            "outcome": { "enum": ["pending", "applied", "unchanged", "superseded", "rejected"] },
            "table": text(),
            "key": text(),
            "operation": text(),
            "rule": text(),
            "sqlstate": text(),
            "reason": text(),
            "hint": text(),
            "constraint": text(),
            "column": text(),
            "accepted_at": text(),
            "settled_at": text(),
            "caller": text(),
            "request_id": text(),
            "payload": {
                "type": "object",
                "properties": {
                    "row": { "type": "object", "description": "The row of a rejected write, as a request takes it." },
                    "precondition": { "type": "string" },
                },
                "required": ["row"],
            },
            "resend_of": { "type": "string", "format": "uuid" },
            "resent_as": { "type": "array", "items": { "type": "string", "format": "uuid" } },
            "row": { "type": "string" },
            "blocked": {
                "type": "object",
                "properties": {
                    "cause": { "type": "string" },
                    "since": { "type": "string" },
                    "tried_at": { "type": "string" },
                },
                "required": ["cause", "since", "tried_at"],
            },
            "other_payloads": {
                "type": "array",
                "items": {
                    "type": "object",
                    "properties": {
                        "outcome": { "type": "string" },
                        "rule": text(),
                        "accepted_at": { "type": "string" },
                        "settled_at": { "type": "string" },
                    },
                    "required": ["outcome", "accepted_at", "settled_at"],
                },
            },
            "detail": { "type": "string" },
        },
        "required": ["id", "outcome"],
    })
}

/// Describes a write in the queue.
fn accepted() -> Value {
    json!({
        "type": "object",
        "properties": {
            "item": {
                "type": "integer",
                "minimum": 0,
                "description": "The index of the item in the body, if the body is a list.",
            },
            "id": { "type": "string", "format": "uuid" },
            "status": { "type": "string", "description": "The URL of the write's status." },
        },
        "required": ["id", "status"],
    })
}

/// Describes the response to a list.
fn accepted_list() -> Value {
    json!({
        "type": "object",
        "properties": {
            "writes": { "type": "array", "items": reference("schemas", "_sync_accepted") },
            "errors": faults("The faults of the items that were not accepted (Prefer: handling=partial)."),
            "errors_total": errors_total(),
        },
        "required": ["writes"],
    })
}

fn faults(description: &str) -> Value {
    json!({
        "type": "array",
        "items": reference("schemas", "_sync_fault"),
        "maxItems": FAULTS_MAX,
        "description": description,
    })
}

fn errors_total() -> Value {
    json!({ "type": "integer", "description": "The number of all faults, listed or not." })
}

/// Describes one fault of a body.
fn fault() -> Value {
    json!({
        "type": "object",
        "properties": {
            "pointer": { "type": "string", "description": "A JSON Pointer into the body." },
            "rule": { "type": "string" },
            "detail": { "type": "string" },
        },
        "required": ["pointer", "rule", "detail"],
    })
}

/// Describes problem details (RFC 9457).
fn problem() -> Value {
    json!({
        "type": "object",
        "properties": {
            "type": { "type": "string", "pattern": "^urn:problem-type:aurora-sync:[a-z-]+$" },
            "title": { "type": "string" },
            "status": { "type": "integer" },
            "detail": { "type": "string" },
            "message": { "type": "string", "description": "The detail, as clients of PostgREST expect it." },
            "errors": faults("The faults of the body."),
            "errors_total": errors_total(),
            "accepted": {
                "type": "array",
                "items": reference("schemas", "_sync_accepted"),
                "description": "The writes of the request that were accepted nevertheless.",
            },
            "retry_after": { "type": "integer" },
            "request_id": { "type": "string", "description": "The id of the request in the logs." },
            "writes": {
                "type": "array",
                "items": {
                    "type": "object",
                    "properties": {
                        "id": { "type": "string", "format": "uuid" },
                        "outcome": { "type": "string" },
                        "status": { "type": "string" },
                    },
                    "required": ["id", "outcome", "status"],
                },
            },
        },
        "required": ["type", "title", "status", "detail", "message"],
    })
}

fn parameters() -> Value {
    let query = |name: &str, description: &str| json!({ "name": name, "in": "query", "description": description, "schema": { "type": "string" } });
    let header = |name: &str, description: &str| json!({ "name": name, "in": "header", "description": description, "schema": { "type": "string" } });
    json!({
        "select": query("select", "The columns of the response, separated by commas. Without it, all columns."),
        "order": query("order", "Columns, each with .asc or .desc and .nullsfirst or .nullslast."),
        "limit": {
            "name": "limit",
            "in": "query",
            "description": "The most rows of a page.",
            "schema": { "type": "integer", "minimum": 1, "maximum": LIMIT_MAX, "default": LIMIT_DEFAULT },
        },
        "cursor": query("cursor", "The start of the page, from the Link header of the page before."),
        "and": query("and", "A group of conditions, such as (age.gte.30,age.lt.40)."),
        "or": query("or", "A group of conditions, such as (age.lt.30,age.is.null)."),
        "not.and": query("not.and", "A group that must not match."),
        "not.or": query("not.or", "A group that must not match."),
        "after": {
            "name": "after",
            "in": "query",
            "description": "Ids of writes, or <id>.<fingerprint>, that must be settled first. Commas can separate them too.",
            "schema": {
                "type": "array",
                "items": { "type": "string" },
                "minItems": 1,
                "maxItems": AFTER_MAX,
            },
        },
        "fingerprint": query(
            "fingerprint",
            "The fingerprint of the payload, as the URL of the status of a write with an Idempotency-Key has it.",
        ),
        "consistent-after": header("Consistent-After", "Has the same meaning as the parameter after."),
        "count": header("Prefer", "count=exact, planned or estimated adds the total number of rows to Content-Range."),
        "if-none-match": header("If-None-Match", "The ETag of a response that the client has."),
        "if-same": header(
            "If-Match",
            "The ETag of a response that the client has, or a list of them, or *. Another response is 412.",
        ),
        "columns": query(
            "columns",
            "The columns to insert, separated by commas. Other members of the rows do not count.",
        ),
        "on_conflict": query(
            "on_conflict",
            "The columns of the primary key, separated by commas, which is all that finds an existing row.",
        ),
        "if-match": header(
            "If-Match",
            "The ETag of the row, from GET, or a list of them, or *. The change is applied only if the row has one of \
             them then; otherwise it is rejected with the rule precondition-failed.",
        ),
        "if-absent": {
            "name": "If-None-Match",
            "in": "header",
            "description": "Inserts the row only if there is none with its key; otherwise the write is rejected with the \
                rule precondition-failed.",
            "schema": { "type": "string", "pattern": "^\\*$" },
        },
        "resolution": header(
            "Prefer",
            "resolution=merge-duplicates or resolution=ignore-duplicates; handling=partial accepts the good items.",
        ),
        "handling": header("Prefer", "handling=partial accepts the good items."),
        "idempotency-key": {
            "name": "Idempotency-Key",
            "in": "header",
            "description": "A name for the request: the same request with the same name makes the same writes.",
            "schema": { "type": "string", "maxLength": 255 },
        },
    })
}

fn headers() -> Value {
    let text =
        |description: &str| json!({ "description": description, "schema": { "type": "string" } });
    json!({
        "ETag": text("Identifies this response for If-None-Match. That of a row is for If-Match of writes, too."),
        "Link": text("rel=\"next\": the next page, relative to the URL of this one."),
        "Preference-Applied": text("The preferences of Prefer that were applied."),
        "Content-Range": text("The total number of rows, if Prefer has count."),
        "Location": text("The URL of the write's status, if the body is one object."),
        "Retry-After": text("The seconds after which to try again."),
    })
}

fn responses() -> Value {
    json!({
        "problem": {
            "description": "A problem, by its type: see docs/reference/errors.md.",
            "headers": { "Retry-After": reference("headers", "Retry-After") },
            "content": {
                "application/problem+json": { "schema": reference("schemas", "_sync_problem") },
            },
        },
        "not-modified": {
            "description": "The response that the client has is still current.",
            "headers": { "ETag": reference("headers", "ETag") },
        },
        "accepted": accepted_response(
            "The write is accepted. Its status shows its outcome.",
            &reference("schemas", "_sync_accepted"),
        ),
        "accepted-items": accepted_response(
            "The write is accepted, or each of the writes of a list. Its status shows its outcome.",
            &json!({
                "anyOf": [
                    reference("schemas", "_sync_accepted"),
                    reference("schemas", "_sync_accepted_list"),
                ],
            }),
        ),
    })
}

fn accepted_response(description: &str, schema: &Value) -> Value {
    json!({
        "description": description,
        "headers": {
            "Location": reference("headers", "Location"),
            "Preference-Applied": reference("headers", "Preference-Applied"),
        },
        "content": { "application/json": { "schema": schema } },
    })
}
