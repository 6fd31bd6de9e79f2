//! `lookup`: rows and statuses as clients ask for them.

mod filters;
mod pages;
mod forms;
mod caching;
mod consistency;
mod refusals;
mod imports;
mod writes;
mod description;
mod scale;
mod properties;
mod withheld;

use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::{MEASUREMENT, STAFF, World, get, sample};
use data_api_server::Operation;

pub(crate) use forms::EVERYTHING;

const JSON: &str = "application/json";
const RECORDS: &str = "application/vnd.amazon.rds-data+json";

#[tokio::test]
async fn the_tutorials_look_up_has_both_forms_of_response() {
    let world = World::with(STAFF).await;
    let list = |accept| get("/{table}", &json!({"table": "staff"}), &json!({"id": "0001"}), accept);
    let response = world.lookup(list(RECORDS)).await;
    assert_eq!((response.status, response.content_type.as_str()), (200, RECORDS));
    assert_eq!(
        response.body,
        r#"[[{"stringValue":"0001"},{"stringValue":"Aurora"},{"longValue":12}]]"#
    );
    let response = world.lookup(list("*/*")).await;
    assert_eq!(response.body, r#"[{"id":"0001","name":"Aurora","age":12}]"#);
}

#[tokio::test]
async fn every_sample_look_up_has_a_response() {
    let world = World::with(STAFF).await;
    for name in ["api-get-list", "api-get-by-key", "api-get-raw-records", "api-get-filtered"] {
        let response = world.lookup(sample(name)).await;
        assert_eq!(response.status, 200, "{name}: {}", response.body);
    }
    let response = world.lookup(sample("api-get-write-status")).await;
    assert!(matches!(response.status, 200 | 404), "{}", response.body);
}

#[tokio::test]
async fn a_row_is_found_by_its_key() {
    let world = World::with(STAFF).await;
    let by_key = |key: &str| {
        get("/{table}/{key}", &json!({"table": "staff", "key": key}), &Value::Null, JSON)
    };
    let response = world.lookup(by_key("0002")).await;
    assert_eq!(response.body, r#"{"id":"0002","name":"Lambda","age":34}"#);
    let response = world.lookup(by_key("9999")).await;
    assert_eq!(
        (response.status, response.content_type.as_str()),
        (404, "application/problem+json")
    );
    assert_eq!(response.json()["type"], "urn:problem-type:aurora-sync:row-not-found");
    assert_eq!(world.lookup(by_key("99999")).await.status, 400);
}

#[tokio::test]
async fn a_list_is_ordered_by_key_and_bounded() {
    let world = World::with(STAFF).await;
    let list = |query: Value| get("/{table}", &json!({"table": "staff"}), &query, JSON);
    let ids = |response: Value| -> Vec<String> {
        response
            .as_array()
            .unwrap()
            .iter()
            .map(|row| row["id"].as_str().unwrap().to_owned())
            .collect()
    };
    assert_eq!(ids(world.lookup(list(Value::Null)).await.json()), ["0001", "0002", "0003"]);
    assert_eq!(ids(world.lookup(list(json!({"limit": "2"}))).await.json()), ["0001", "0002"]);
    assert_eq!(world.lookup(list(json!({"age": "99"}))).await.body, "[]");
}

#[tokio::test]
async fn look_ups_that_fail_are_problems() {
    let world = World::with(STAFF).await;
    let calls_before = world.server.counters().calls(Operation::Execute);
    let status = async |event: Value| {
        let response = world.lookup(event).await;
        assert_eq!(response.content_type, "application/problem+json");
        response.status
    };
    let list = |table: &str, query: Value, accept| {
        get("/{table}", &json!({"table": table}), &query, accept)
    };
    assert_eq!(status(list("stuff", Value::Null, JSON)).await, 404);
    assert_eq!(status(list("sync.write", Value::Null, JSON)).await, 404);
    assert_eq!(status(list("staff", json!({"nope": "1"}), JSON)).await, 400);
    assert_eq!(status(list("staff", json!({"age": "old"}), JSON)).await, 400);
    assert_eq!(status(list("staff", Value::Null, "text/html")).await, 406);
    // None of these costs a call.
    assert_eq!(world.server.counters().calls(Operation::Execute), calls_before);
}

#[tokio::test]
async fn every_column_of_the_second_table_is_read_exactly() {
    let world = World::with(MEASUREMENT).await;
    world
        .rows(
            r#"INSERT INTO "Measurement" (sensor, "taken at", amount, is_valid, extra, tags, note)
               VALUES ('6f9619ff-8b86-d011-b42d-00c04fc964ff', 'infinity', 12345678.9012, false,
                 '{"n":12345678901234567890.5}', '{a,NULL}', '')"#,
        )
        .await;
    let list = |accept| get("/{table}", &json!({"table": "Measurement"}), &Value::Null, accept);
    let response = world.lookup(list(JSON)).await;
    assert_eq!(
        response.body,
        r#"[{"sensor":"6f9619ff-8b86-d011-b42d-00c04fc964ff","taken at":"infinity","number":1,"amount":12345678.9012,"is_valid":false,"extra":{"n": 12345678901234567890.5},"tags":["a",null],"note":""}]"#
    );
    let response = world.lookup(list(RECORDS)).await;
    assert_eq!(
        response.body,
        r#"[[{"stringValue":"6f9619ff-8b86-d011-b42d-00c04fc964ff"},{"stringValue":"infinity"},{"longValue":1},{"stringValue":"12345678.9012"},{"booleanValue":false},{"stringValue":"{\"n\": 12345678901234567890.5}"},{"arrayValue":{"stringValues":["a",null]}},{"stringValue":""}]]"#
    );
    let key = "6f9619ff-8b86-d011-b42d-00c04fc964ff,infinity";
    let by_key =
        get("/{table}/{key}", &json!({"table": "Measurement", "key": key}), &Value::Null, JSON);
    assert_eq!(world.lookup(by_key).await.json()["note"], "");
}

#[tokio::test]
async fn the_status_of_a_write_is_pending_until_it_is_settled() {
    let world = World::with(STAFF).await;
    let status = |id: &str| get("/_sync/writes/{id}", &json!({ "id": id }), &Value::Null, JSON);
    let id = Uuid::now_v7().to_string();
    let response = world.lookup(status(&id)).await;
    assert_eq!(response.json(), json!({ "id": id, "outcome": "pending" }));
    world
        .rows(&format!(
            "INSERT INTO sync.write (id, table_name, key, operation, outcome, accepted_at)
             VALUES ('{id}', 'staff', '0001', 'update', 'applied', now())"
        ))
        .await;
    let response = world.lookup(status(&id)).await.json();
    assert_eq!((&response["outcome"], &response["key"]), (&json!("applied"), &json!("0001")));
    assert_eq!(world.lookup(status("nonsense")).await.status, 404);
    assert_eq!(world.lookup(status(&Uuid::new_v4().to_string())).await.status, 404);
}

#[tokio::test]
async fn an_unavailable_database_is_503_with_retry_after() {
    let world = World::with(STAFF).await;
    world.fault("execute fail-before=ServiceUnavailableError");
    let response =
        world.lookup(get("/{table}", &json!({"table": "staff"}), &Value::Null, JSON)).await;
    assert_eq!((response.status, &response.json()["retry_after"]), (503, &json!(5)));
}
