//! Components that the paths share: schemas of rows, parameters, headers, responses.
//!
//! Pure.

use aurora_sync_catalog::{Changes, Table};
use serde_json::{Map, Value, json};

use super::{component_name, reference, schema};
use crate::api::query::{LIMIT_DEFAULT, LIMIT_MAX};
use crate::api::worker_tables::{IMPORT, REJECT, WRITE};

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
        }
        if table.permits(Changes::UPDATE) || table.permits(Changes::DELETE) {
            schemas.insert(format!("{name}_by_key"), schema::row_with_key(table));
        }
    }
    schemas.insert("_sync_import".to_owned(), schema::row_read(&IMPORT));
    schemas.insert("_sync_reject".to_owned(), schema::row_read(&REJECT));
    schemas.insert("_sync_settled_write".to_owned(), schema::row_read(&WRITE));
    schemas.insert("_sync_write".to_owned(), write_status());
    schemas.insert("_sync_accepted".to_owned(), json!({
        "type": "object",
        "properties": { "id": { "type": "string", "format": "uuid" }, "status": { "type": "string" } },
        "required": ["id", "status"],
    }));
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

/// Describes problem details (RFC 9457).
fn problem() -> Value {
    json!({
        "type": "object",
        "properties": {
            "type": { "type": "string", "pattern": "^urn:problem-type:aurora-sync:[a-z-]+$" },
            "title": { "type": "string" },
            "status": { "type": "integer" },
            "detail": { "type": "string" },
            "errors": {
                "type": "array",
                "items": {
                    "type": "object",
                    "properties": {
                        "pointer": { "type": "string" },
                        "rule": { "type": "string" },
                        "detail": { "type": "string" },
                    },
                },
            },
            "errors_total": { "type": "integer" },
            "retry_after": { "type": "integer" },
            "writes": {
                "type": "array",
                "items": {
                    "type": "object",
                    "properties": {
                        "id": { "type": "string", "format": "uuid" },
                        "outcome": { "type": "string" },
                        "status": { "type": "string" },
                    },
                },
            },
        },
        "required": ["type", "title", "status", "detail"],
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
        "after": query("after", "Ids of writes, or <id>.<fingerprint>, separated by commas, that must be settled first."),
        "consistent-after": header("Consistent-After", "Has the same meaning as the parameter after."),
        "count": header("Prefer", "count=exact or count=planned adds the total number of rows to Content-Range."),
        "if-none-match": header("If-None-Match", "The ETag of a response that the client has."),
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
            "schema": { "type": "string", "const": "*" },
        },
        "resolution": header(
            "Prefer",
            "resolution=merge-duplicates or resolution=ignore-duplicates; handling=partial accepts the good items.",
        ),
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
        "Content-Range": text("The total number of rows, if Prefer has count."),
        "Location": text("The path of the write's status."),
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
        "accepted": {
            "description": "The write is accepted, or each of the writes. Its status shows its outcome.",
            "headers": { "Location": reference("headers", "Location") },
            "content": {
                "application/json": {
                    "schema": {
                        "anyOf": [
                            reference("schemas", "_sync_accepted"),
                            {
                                "type": "object",
                                "properties": {
                                    "writes": {
                                        "type": "array",
                                        "items": reference("schemas", "_sync_accepted"),
                                    },
                                },
                                "required": ["writes"],
                            },
                        ],
                    },
                },
            },
        },
    })
}
