//! The OpenAPI description of the API.

use std::process::Command;

use aurora_sync::api::openapi;
use aurora_sync_catalog::Catalog;
use serde_json::Value;

use super::forms::EVERYTHING;
use crate::support::{MEASUREMENT, STAFF, World, catalog_of, sample};

/// A script that validates a description against the schema of the OpenAPI Initiative.
const VALIDATE: &str = "import json, sys, openapi_spec_validator as v
v.validate(json.load(open(sys.argv[1])), cls=v.OpenAPIV31SpecValidator)";

/// Returns the faults that the validator finds.
async fn fault(description: &Value) -> Option<String> {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), description.to_string()).unwrap();
    let python = local_stack::python_interpreter().await.unwrap();
    let output = Command::new(python).args(["-c", VALIDATE]).arg(file.path()).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    (!output.status.success()).then_some(said)
}

#[tokio::test]
async fn the_description_is_valid_openapi() {
    let odd = r#"
        CREATE TABLE "a {b}" (id integer PRIMARY KEY, "limit" text, "or" text, "x y" text);
        CREATE TABLE log (line text);
        CREATE TABLE inbox (id integer PRIMARY KEY); REVOKE SELECT ON inbox FROM sync_reader;"#;
    let catalog = catalog_of(&format!("{STAFF}{MEASUREMENT}{EVERYTHING}{odd}")).await;
    let mut description = openapi::document(&catalog);
    assert_eq!(fault(&description).await, None);
    assert_eq!(fault(&openapi::document(&Catalog::default())).await, None);
    // The validator finds faults.
    description["paths"]["/staff"]["get"]["responses"]["200"] = "nothing".into();
    let fault = fault(&description).await.unwrap();
    assert!(fault.contains("'nothing' is not of type 'object'"), "{fault}");
}

#[tokio::test]
async fn the_root_of_the_api_describes_it_without_a_call() {
    let world = World::with(STAFF).await;
    let calls = world.server.counters().all_calls();
    let response = world.lookup(sample("api-get-root")).await;
    assert_eq!((response.status, response.content_type.as_str()), (200, "application/json"));
    let description = response.json();
    assert_eq!(description["servers"][0]["url"], ".");
    assert!(description["paths"]["/staff/{key}"]["get"].is_object());
    let accept = [("accept", "application/vnd.oai.openapi+json")];
    let response = world.read("/", &accept).await;
    assert_eq!(response.content_type, "application/vnd.oai.openapi+json;version=3.1");
    let known = [("if-none-match", response.header("etag")), accept[0]];
    assert_eq!(world.read("/", &known).await.status, 304);
    assert_eq!(world.server.counters().all_calls(), calls);
}
