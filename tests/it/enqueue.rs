//! `enqueue`: accepted writes are in the queue, in order, and refused ones are not.

use std::collections::BTreeSet;
use std::time::Duration;

use aurora_sync::aws::queue::Queue;
use serde_json::{Value, json};

use crate::support::flaky_queue::Behavior;
use crate::support::write_api::{WriteApi, event};
use crate::support::{STAFF, World, http_api, sample};

const ROWS: &str = "SELECT id, name, age FROM staff ORDER BY id";

#[tokio::test]
async fn every_accepted_sample_changes_its_row() {
    let (world, api) = (World::with(STAFF).await, WriteApi::open(STAFF).await);
    for (name, accepted, rows) in [
        (
            "api-post-one",
            1,
            &["0001|Aurora|12", "0002|Lambda|34", "0003|Dynamo|56", "0004|Apigateway|78"][..],
        ),
        (
            "api-put",
            1,
            &["0001|Aurora!|12", "0002|Lambda|34", "0003|Dynamo|56", "0004|Apigateway|78"],
        ),
        ("api-delete", 1, &["0001|Aurora!|12", "0002|Lambda|34", "0004|Apigateway|78"]),
    ] {
        let response = api.request(sample(name)).await;
        assert_eq!(response.status, 202, "{name}: {}", response.body);
        let delivery = world.apply(api.queue.drain().await).await.unwrap();
        assert!(delivery.batch_item_failures.is_empty());
        assert_eq!(world.rows(ROWS).await, rows, "{name}");
        let ids = world.rows("SELECT id::text FROM sync.write ORDER BY id DESC LIMIT 1").await;
        assert_eq!(ids.len(), accepted);
        assert_eq!(response.json()["id"], ids[0], "{name}: the response names the write");
        let status = format!("_sync/writes/{}", ids[0]);
        assert!(response.json()["status"].as_str().unwrap().ends_with(&status));
    }
}

#[tokio::test]
async fn each_item_of_an_array_is_settled_on_its_own() {
    let (world, api) = (World::with(STAFF).await, WriteApi::open(STAFF).await);
    assert_eq!(api.request(sample("api-post-base64")).await.status, 202);
    let response = api.request(sample("api-post-array")).await;
    assert_eq!(response.status, 202);
    let event = api.queue.drain().await;
    let delivery = world.apply(event).await.unwrap();
    assert!(delivery.batch_item_failures.is_empty());
    // The request before has inserted 0004.
    assert_eq!(
        world.rows(ROWS).await[3..],
        ["0004|Apigateway|78", "0005|Queue|19", "0006|Bucket|-"]
    );
    let ledger = world.rows("SELECT id::text, outcome FROM sync.write ORDER BY id").await;
    let response = response.json();
    let ids =
        response["writes"].as_array().unwrap().iter().map(|write| write["id"].as_str().unwrap());
    let outcomes: Vec<_> =
        ids.map(|id| ledger.iter().find_map(|line| line.strip_prefix(id)).unwrap()).collect();
    assert_eq!(outcomes, ["|rejected", "|applied", "|applied"]);
}

#[tokio::test]
async fn a_refused_request_is_not_queued() {
    let api = WriteApi::open(STAFF).await;
    for (name, word, rules) in [
        (
            "api-post-invalid",
            "invalid-write",
            &["length", "not-null", "format", "unknown-column"][..],
        ),
        ("api-post-not-utf8", "malformed-body", &[]),
    ] {
        let response = api.request(sample(name)).await;
        let problem = response.json();
        assert_eq!(response.content_type, "application/problem+json");
        assert_eq!(problem["type"], format!("urn:problem-type:aurora-sync:{word}"), "{name}");
        let errors = problem["errors"].as_array().cloned().unwrap_or_default();
        let found: Vec<_> = errors.iter().map(|error| &error["rule"]).collect();
        assert_eq!(found, rules, "{name}");
    }
    assert!(api.queue.drain().await.records.is_empty());
}

#[tokio::test]
async fn writes_to_one_key_share_a_group_and_keep_their_order() {
    let api = WriteApi::open(STAFF).await;
    let mut event = sample("api-post-array");
    // More rows than one SendMessageBatch call and one message hold.
    let rows: Vec<_> = (0..2_000)
        .map(|n| json!({"id": format!("{:04}", n % 20), "name": n.to_string()}))
        .collect();
    event["body"] = Value::from(rows).to_string().into();
    assert_eq!(api.request(event).await.status, 202);
    let mut seen = vec![Vec::new(); 20];
    let mut groups = vec![BTreeSet::new(); 20];
    for record in api.queue.drain().await.records {
        let body: Value = serde_json::from_str(record.body.as_ref().unwrap()).unwrap();
        for write in body["writes"].as_array().unwrap() {
            let key: usize = write["key"][0].as_str().unwrap().parse().unwrap();
            let name: usize = write["row"][1][1].as_str().unwrap().parse().unwrap();
            seen[key].push(name);
            groups[key].insert(record.attributes["MessageGroupId"].clone());
        }
    }
    for (key, names) in seen.iter().enumerate() {
        assert_eq!(*names, (0..100).map(|n| n * 20 + key).collect::<Vec<_>>());
        assert_eq!(groups[key].len(), 1);
    }
}

#[tokio::test]
async fn a_missing_queue_is_an_internal_error_and_accepts_nothing() {
    let mut api = WriteApi::open(STAFF).await;
    let url = format!("{}-gone.fifo", api.queue.url);
    api.enqueue.queue = Queue::new(&api.queue.sdk_config, url);
    let response = api.request(sample("api-post-one")).await;
    assert_eq!(response.status, 500);
    assert_eq!(response.json()["type"], "urn:problem-type:aurora-sync:internal");
    assert_eq!(response.json()["accepted"], json!([]));
}

/// Returns ten rows, most of which are in different groups.
fn ten_rows() -> Value {
    (0..10).map(|n| json!({"id": n.to_string(), "name": "x"})).collect()
}

const KEYED: &[(&str, &str)] = &[("content-type", "application/json"), ("idempotency-key", "k")];

fn ids(writes: &[Vec<Value>]) -> BTreeSet<String> {
    let writes = writes.iter().flatten();
    writes.map(|write| write["id"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn messages_that_the_queue_does_not_take_at_first_are_sent_again() {
    let throttle = Behavior::TakeFirst { code: "RequestThrottled", is_sender_fault: true };
    let hiccup = Behavior::TakeFirst { code: "InternalError", is_sender_fault: false };
    let behaviors = [
        throttle,
        hiccup,
        Behavior::LoseResponse,
        Behavior::Fail { status: 503, code: "ServiceUnavailable" },
        Behavior::Take,
    ];
    let (api, flaky) = WriteApi::open_flaky(STAFF, &behaviors).await;
    let response = api.request(event("POST", "staff", KEYED, &ten_rows())).await;
    assert_eq!(response.status, 202, "{}", response.body);
    assert_eq!(flaky.left(), 1);
    let writes = api.drain_writes().await;
    // The writes whose response was lost were sent twice and are in the queue once.
    assert_eq!(writes.iter().flatten().count(), 10);
    assert_eq!(ids(&writes).len(), 10);
}

#[tokio::test]
async fn a_partly_accepted_request_lists_its_accepted_writes_and_can_be_sent_again() {
    let down = Behavior::Fail { status: 400, code: "RequestThrottled" };
    let first = Behavior::TakeFirst { code: "InternalError", is_sender_fault: false };
    let (mut api, _flaky) = WriteApi::open_flaky(STAFF, &[first, down]).await;
    api.within = Duration::from_secs(1);
    let raw = api.respond(event("POST", "staff", KEYED, &ten_rows())).await;
    assert_eq!(raw.status_code, 503);
    let problem: Value = crate::support::HttpResponse::from(raw.clone()).json();
    assert_eq!(problem["type"], "urn:problem-type:aurora-sync:unavailable");
    assert_eq!(raw.headers["retry-after"], problem["retry_after"].to_string().as_str());
    // A message whose response was lost may be in the queue.
    let detail = problem["detail"].as_str().unwrap();
    assert!(detail.contains("may have accepted others"), "{detail}");
    assert!(detail.contains("only with the same Idempotency-Key"), "{detail}");
    let accepted = problem["accepted"].as_array().unwrap();
    assert!(!accepted.is_empty() && accepted.len() < 10, "{accepted:?}");
    for entry in accepted {
        assert!(entry["item"].as_u64().unwrap() < 10);
        let status = format!("_sync/writes/{}?fingerprint=", entry["id"].as_str().unwrap());
        assert!(entry["status"].as_str().unwrap().starts_with(&status));
    }

    api.enqueue.queue = Queue::new(&api.queue.sdk_config, api.queue.url.clone());
    let response = api.request(event("POST", "staff", KEYED, &ten_rows())).await;
    assert_eq!(response.status, 202, "{}", response.body);
    let all = response.json()["writes"].as_array().unwrap().clone();
    assert!(accepted.iter().all(|entry| all.contains(entry)));
    // SQS dropped the duplicates: each write is in the queue once.
    let writes = api.drain_writes().await;
    assert_eq!(writes.iter().flatten().count(), 10);
    assert_eq!(ids(&writes).len(), 10);
}

#[tokio::test]
async fn a_message_that_the_queue_refuses_is_not_sent_again() {
    let refused = Behavior::TakeFirst { code: "InvalidMessageContents", is_sender_fault: true };
    let (api, flaky) = WriteApi::open_flaky(STAFF, &[refused, Behavior::Take]).await;
    let response = api.request(event("POST", "staff", KEYED, &ten_rows())).await;
    assert_eq!((response.status, flaky.left()), (500, 1));
    assert_eq!(response.json()["type"], "urn:problem-type:aurora-sync:internal");
    let accepted = response.json()["accepted"].as_array().unwrap().len();
    assert_eq!(api.drain_writes().await.iter().flatten().count(), accepted);
}

#[tokio::test]
async fn an_idempotency_key_drops_a_repeated_payload_and_keeps_another_one() {
    let api = WriteApi::open(STAFF).await;
    let post = async |name: &str| {
        let rows = json!([{"id": "1", "name": "same"}, {"id": "1", "name": name}]);
        let response = api.request(event("POST", "staff", KEYED, &rows)).await;
        assert_eq!(response.status, 202, "{}", response.body);
        response.json()
    };
    let first = post("a").await;
    assert_eq!(post("a").await, first);
    let other = post("b").await;
    assert_eq!(other["writes"][0], first["writes"][0]);
    assert_eq!(other["writes"][1]["id"], first["writes"][1]["id"]);
    assert_ne!(other["writes"][1]["status"], first["writes"][1]["status"]);
    let writes = api.drain_writes().await;
    assert_eq!(writes.len(), 2, "one message of each payload");
    assert_eq!(ids(&writes).len(), 2);
}

#[tokio::test]
async fn another_payload_under_a_used_idempotency_key_is_never_applied() {
    let (world, api) = (World::with(STAFF).await, WriteApi::open(STAFF).await);
    let mut statuses = Vec::new();
    for name in ["api-post-idempotent", "api-post-idempotent-other"] {
        let response = api.request(sample(name)).await;
        assert_eq!(response.status, 202, "{name}: {}", response.body);
        statuses.push(response.json()["id"].clone());
        let delivery = world.apply(api.queue.drain().await).await.unwrap();
        assert!(delivery.batch_item_failures.is_empty());
    }
    assert_eq!(statuses[0], statuses[1]);
    assert_eq!(world.rows(ROWS).await[3..], ["0007|First|1"]);
}

#[tokio::test]
async fn keys_keep_their_commas_quotes_and_slashes() {
    let tables = r#"CREATE TABLE "Shop item" (shop text, code text, price numeric, PRIMARY KEY (shop, code));"#;
    let (world, api) = (World::with(tables).await, WriteApi::open(tables).await);
    let rows = json!([
        {"shop": "a,b", "code": "say \"hi\"/50 é", "price": 1},
        {"shop": "", "code": "x+y", "price": 2},
    ]);
    assert_eq!(api.request(event("POST", "Shop item", &[], &rows)).await.status, 202);
    world.apply(api.queue.drain().await).await.unwrap();
    let response = api.request(sample("api-put-composite-key")).await;
    assert_eq!(response.status, 202, "{}", response.body);
    let delete = http_api::event("DELETE", "/Shop%20item/%22%22,x%2By", &[], b"");
    assert_eq!(api.request(delete).await.status, 202);
    world.apply(api.queue.drain().await).await.unwrap();
    let rows = world.rows(r#"SELECT shop, code, price::text FROM "Shop item""#).await;
    assert_eq!(rows, ["a,b|say \"hi\"/50 é|3.50"]);
}

#[tokio::test]
async fn a_list_of_keys_deletes_those_rows() {
    let (world, api) = (World::with(STAFF).await, WriteApi::open(STAFF).await);
    let response = api.request(sample("api-delete-list")).await;
    assert_eq!(response.status, 202, "{}", response.body);
    world.apply(api.queue.drain().await).await.unwrap();
    assert_eq!(world.rows(ROWS).await, ["0002|Lambda|34"]);
}

#[tokio::test]
async fn partial_handling_accepts_the_good_items_and_reports_the_others() {
    let (world, api) = (World::with(STAFF).await, WriteApi::open(STAFF).await);
    let raw = api.respond(sample("api-post-ndjson-partial")).await;
    assert_eq!(raw.status_code, 202);
    assert_eq!(raw.headers["preference-applied"], "resolution=merge-duplicates, handling=partial");
    let response = crate::support::HttpResponse::from(raw).json();
    let items: Vec<_> =
        response["writes"].as_array().unwrap().iter().map(|write| &write["item"]).collect();
    assert_eq!(items, [0, 3]);
    let errors: Vec<_> =
        response["errors"].as_array().unwrap().iter().map(|e| &e["pointer"]).collect();
    assert_eq!(errors, ["/1", "/2/age"]);
    assert_eq!(response["errors_total"], 2);
    world.apply(api.queue.drain().await).await.unwrap();
    assert_eq!(world.rows(ROWS).await[..1], ["0001|Aurora II|13"]);
    assert_eq!(world.rows(ROWS).await[3..], ["0008|New|-"]);
}

#[tokio::test]
async fn characters_that_sqs_does_not_take_reach_their_row() {
    let (world, api) = (World::with(STAFF).await, WriteApi::open(STAFF).await);
    let row = json!({"id": "0004", "name": "\u{fffe}\u{ffff}\u{1}\u{7f}"});
    assert_eq!(api.request(event("POST", "staff", &[], &row)).await.status, 202);
    world.apply(api.queue.drain().await).await.unwrap();
    let name = "SELECT name = U&'\\FFFE\\FFFF\\0001\\007F' FROM staff WHERE id = '0004'";
    assert_eq!(world.rows(name).await, ["true"]);
}
