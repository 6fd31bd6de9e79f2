//! `GET /`: the API's own description, OpenAPI 3.1, made from the catalog.
//!
//! Pure. Plain JSON: what is described is known when the functions are built, so that a library of types
//! would add nothing but its size.

mod schema;
mod components;
mod paths;
mod writes;

use aurora_sync_catalog::{Catalog, Table};
use aws_lambda_events::apigw::ApiGatewayProxyRequest;
use aws_lambda_events::http::header::ACCEPT;
use serde_json::{Map, Value, json};

use crate::api::http::{Request, Response};

const MEDIA_TYPE: &str = "application/vnd.oai.openapi+json;version=3.1";

/// The description as a response: as its own media type where the request names that, else as JSON.
pub fn response(catalog: &Catalog, request: &Request, address: &str) -> Response {
    let is_asked_for = request.header_list(ACCEPT).contains("application/vnd.oai.openapi+json");
    let media_type = if is_asked_for { MEDIA_TYPE } else { "application/json" };
    Response::new(200, media_type, document(catalog, address).to_string())
}

/// The address of the API, by an event of its root.
pub fn address(event: &ApiGatewayProxyRequest) -> String {
    let context = &event.request_context;
    match (&context.domain_name, &context.path) {
        (Some(domain), Some(path)) => format!("https://{domain}{}", path.trim_end_matches('/')),
        // An emulator's: relative to the address of the description itself.
        _ => ".".to_owned(),
    }
}

/// The description of an API at this address.
pub fn document(catalog: &Catalog, address: &str) -> Value {
    let tables = || catalog.tables().iter();
    let described: Vec<_> =
        tables().filter(|table| table.is_readable() || table.is_writable()).collect();
    let mut all_paths = Map::new();
    for table in &described {
        all_paths.extend(paths::of_table(table));
    }
    all_paths.extend(paths::of_the_worker());
    let tags = described.iter().map(|table| json!({ "name": table.path() }));
    let tags: Vec<_> = tags
        .chain([json!({
            "name": "_sync",
            "description": "What became of writes and imports.",
        })])
        .collect();
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "aurora-sync",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "Writes are accepted at once and applied in batches, each exactly once and in \
                order for each key; their status tells how they ended. Reads are answered at once.",
            "license": { "name": "MIT OR Apache-2.0", "identifier": "MIT OR Apache-2.0" },
        },
        "servers": [{ "url": address }],
        "security": [{ "sigv4": [] }, {}],
        "tags": tags,
        "paths": all_paths,
        "components": components::of_tables(&described),
    })
}

/// A table's name where only ASCII letters, digits, `.`, `-` and `_` may stand. Two tables never share one.
fn component_name(table: &Table) -> String {
    let mut name = String::new();
    for character in table.path().chars() {
        match character {
            'a'..='z' | 'A'..='Z' | '0'..='9' | '.' | '_' => name.push(character),
            // A hyphen is what marks the others.
            other => name.push_str(&format!("-{:x}-", u32::from(other))),
        }
    }
    name
}

/// A reference to a component.
fn reference(kind: &str, name: &str) -> Value {
    json!({ "$ref": format!("#/components/{kind}/{name}") })
}

#[cfg(test)]
mod tests;
