//! `GET /`: the description of the API in OpenAPI 3.1, made from the catalog.
//!
//! Pure. Makes plain JSON: the description is fixed when the functions are built, so a library of
//! types would only add size.

mod schema;
mod components;
mod paths;
mod writes;

use aurora_sync_catalog::{Catalog, Table};
use aws_lambda_events::http::header::ACCEPT;
use serde_json::{Map, Value, json};

use crate::api::http::{Request, Response};

const MEDIA_TYPE: &str = "application/vnd.oai.openapi+json;version=3.1";

/// Returns the description as a response: as the OpenAPI media type if the request prefers it,
/// otherwise as JSON.
pub fn response(catalog: &Catalog, request: &Request) -> Response {
    let is_asked_for = request.header_list(ACCEPT).contains("application/vnd.oai.openapi+json");
    let media_type = if is_asked_for { MEDIA_TYPE } else { "application/json" };
    Response::new(200, media_type, document(catalog).to_string())
}

/// Returns the description of the API.
pub fn document(catalog: &Catalog) -> Value {
    let described: Vec<_> = catalog.offered().collect();
    let mut all_paths = Map::new();
    for table in &described {
        all_paths.extend(paths::of_table(table));
    }
    all_paths.extend(paths::of_the_worker());
    let tags = described.iter().map(|table| {
        let description = table.comment.clone().unwrap_or_else(|| format!("The rows of {table}."));
        json!({ "name": table.path(), "description": description })
    });
    let tags: Vec<_> = tags
        .chain([json!({
            "name": "_sync",
            "description": "The states of writes and imports.",
        })])
        .collect();
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "aurora-sync",
            "version": env!("CARGO_PKG_VERSION"),
            "x-catalog-version": catalog.version(),
            "description": "Writes are accepted at once and applied in batches, each exactly once and in \
                order for each key; their status shows their outcome. Reads respond at once.",
            "license": { "name": "MIT OR Apache-2.0", "identifier": "MIT OR Apache-2.0" },
        },
        // Relative to the URL of the description: the function does not know its own URL.
        "servers": [{ "url": "." }],
        "security": [{ "sigv4": [] }, {}],
        "tags": tags,
        "paths": all_paths,
        "components": components::of_tables(&described),
    })
}

/// Returns a table's name in ASCII letters, digits, `.`, `-` and `_`. Two tables never have the
/// same one.
fn component_name(table: &Table) -> String {
    let mut name = String::new();
    for character in table.path().chars() {
        match character {
            'a'..='z' | 'A'..='Z' | '0'..='9' | '.' | '_' => name.push(character),
            // Hyphens mark the encoded characters.
            other => name.push_str(&format!("-{:x}-", u32::from(other))),
        }
    }
    name
}

/// Makes a reference to a component.
fn reference(kind: &str, name: &str) -> Value {
    json!({ "$ref": format!("#/components/{kind}/{name}") })
}

#[cfg(test)]
mod tests;
