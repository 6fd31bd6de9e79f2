//! The log lines that CloudWatch counts: each condition of an alarm makes its line.

use std::sync::Arc;

use aurora_sync::domain::caller::Caller;
use aurora_sync::domain::deadline::Deadline;
use aurora_sync::functions::enqueue;
use aurora_sync::functions::lookup;
use aurora_sync::functions::prune::{self, Prune, RETENTION_DAYS_MIN};
use aurora_sync::functions::runtime::Invocation;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::flaky_queue::Behavior;
use crate::support::logs::{Log, metrics};
use crate::support::lookups::event as read_event;
use crate::support::write_api::{WriteApi, row_event};
use crate::support::writes::write;
use crate::support::{HttpResponse, STAFF, World, deadline, delivery, sqs_event};

const REQUEST: Uuid = Uuid::from_u128(0x018f_0000_0000_7000_8000_0000_0000_0001);
const TRACE: &str = "Root=1-67891233-abcdef012345678912345678;Parent=53995c3f42cd8ad8;Sampled=1";

fn invocation() -> Invocation {
    Invocation {
        request_id: Some(REQUEST),
        trace: Some(TRACE.into()),
        ..Invocation::until(deadline())
    }
}

#[tokio::test]
async fn a_delivery_logs_its_settled_writes_and_the_time_since_they_were_accepted() {
    let world = World::with(STAFF).await;
    let log = Log::from_level("error");
    let writes = ["insert staff id=0010 name=a", "insert staff id=0011 name=b"];
    let writes = writes.map(|text| write(&world.catalog, text));
    world.apply_writes(writes.to_vec()).await;
    let line = log.line("batch settled");
    assert_eq!(
        metrics(&line),
        ["accepted_writes", "settled_writes", "settling_seconds", "data_api_calls"],
        "also at level error"
    );
    assert_eq!((&line["messages"], &line["settled_writes"]), (&json!(1), &json!(2)));
    assert_eq!(line["data_api_calls"], 3);
    assert_eq!(line["settling_seconds"].as_array().unwrap().len(), 1, "one for each message");
}

#[tokio::test]
async fn the_time_of_a_write_is_that_between_its_acceptance_and_its_end() {
    let world = World::with(STAFF).await;
    let log = Log::from_level("info");
    let mut one = write(&world.catalog, "insert staff id=0010 name=a");
    one.accepted_at_ms = 1_000_000;
    let message = delivery(&aurora_sync::domain::write::pack(vec![one], 1));
    world.apply_at(message, 1_060_000).await;
    let seconds = log.line("batch settled")["settling_seconds"][0].as_f64().unwrap();
    assert!((60.0..120.0).contains(&seconds), "{seconds}");
}

#[tokio::test]
async fn each_rejected_write_logs_a_line_whatever_rejects_it() {
    let world = World::with(STAFF).await;
    let by = |text: &str| {
        let mut one = write(&world.catalog, text);
        one.caller = Arc::new(Caller { request_id: Some(REQUEST), ..Caller::default() });
        one
    };
    let rules = async |writes: Vec<_>| {
        let log = Log::from_level("error");
        assert!(world.apply_writes(writes).await.batch_item_failures.is_empty());
        let lines = log.lines("write rejected");
        assert!(lines.iter().all(|line| line["accepted_by"] == REQUEST.to_string()), "{lines:?}");
        assert!(lines.iter().all(|line| line["level"] == "WARN"), "{lines:?}");
        let rules = lines.iter().map(|line| line["rule"].as_str().unwrap().to_owned());
        rules.collect::<Vec<_>>()
    };
    // By the database, by a rule inside the database, by a rule of the worker.
    assert_eq!(rules(vec![by("insert staff id=0001 name=a")]).await, ["database"]);
    let good = "insert staff id=0010 name=a";
    assert_eq!(rules(vec![by("update staff id=0099 name=a"), by(good)]).await, ["row-missing"]);
    let mut odd = by("update staff id=0001 name=a");
    odd.row.push(odd.row[0].clone());
    assert_eq!(rules(vec![odd]).await, ["duplicate-member"]);
    assert_eq!(rules(vec![by("update staff id=0001 name=b")]).await, Vec::<String>::new());
    assert_eq!(
        world
            .rows("SELECT key, outcome, request_id FROM sync.write ORDER BY settled_at, id")
            .await
            .len(),
        5
    );
    let requests = "SELECT DISTINCT request_id::text FROM sync.write";
    assert_eq!(world.rows(requests).await, [REQUEST.to_string()]);
}

#[tokio::test]
async fn a_message_that_cannot_be_read_counts_as_a_rejected_write() {
    let world = World::with(STAFF).await;
    let log = Log::from_level("error");
    let message = sqs_event(&[("m1", "g", "{}")]);
    assert!(world.apply(message).await.unwrap().batch_item_failures.is_empty());
    assert_eq!(log.line("write rejected")["rule"], "unreadable");
}

#[tokio::test]
async fn writes_that_a_person_must_unblock_are_counted() {
    let world = World::with(STAFF).await;
    world.run("REVOKE INSERT ON staff FROM sync_writer").await;
    let log = Log::from_level("error");
    let left = world.apply_writes(vec![write(&world.catalog, "insert staff id=0010 name=a")]).await;
    assert_eq!(left.batch_item_failures.len(), 1);
    let lines = log.lines("messages blocked");
    assert!(!lines.is_empty() && lines.iter().all(|line| line["messages"] == 1), "{lines:?}");
    let settled = log.line("batch settled");
    assert!(!metrics(&settled).contains(&"settled_writes".to_owned()), "{settled}");
}

#[tokio::test]
async fn calls_that_the_data_api_limits_are_counted() {
    let world = World::with(STAFF).await;
    world.fault("any@1.. fail-before=ThrottlingException");
    let log = Log::from_level("error");
    world.apply_writes(vec![write(&world.catalog, "insert staff id=0010 name=a")]).await;
    let line = log.line("batch settled");
    for name in ["data_api_calls", "data_api_retries", "data_api_throttles"] {
        assert!(metrics(&line).contains(&name.to_owned()), "{line}");
    }
}

#[tokio::test]
async fn an_accepted_request_has_one_id_and_its_trace_in_the_queue_and_the_ledger() {
    let world = World::with(STAFF).await;
    let (api, calls) = WriteApi::open_flaky(STAFF, &[Behavior::Take]).await;
    let event = row_event("PATCH", "staff", "0001", &[], &json!({ "name": "a" }));
    let event = serde_json::from_value(event).unwrap();
    let response: HttpResponse = enqueue::handle(&api.enqueue, event, invocation()).await.into();
    assert_eq!(response.status, 202, "{}", response.body);
    // The emulator forgets it.
    let trace = &calls.calls()[0]["Entries"][0]["MessageSystemAttributes"]["AWSTraceHeader"];
    assert_eq!(trace, &json!({ "DataType": "String", "StringValue": TRACE }));
    let received = api.queue.drain().await;
    let body: Value = serde_json::from_str(received.records[0].body.as_ref().unwrap()).unwrap();
    assert_eq!((&body["version"], &body["request_id"]), (&json!("3"), &json!(REQUEST)));
    assert!(world.apply(received).await.unwrap().batch_item_failures.is_empty());
    let id = response.json()["id"].as_str().unwrap().to_owned();
    let status = world.read(&format!("/_sync/writes/{id}"), &[]).await.json();
    assert_eq!(status["request_id"], json!(REQUEST));
    let listed = world.read("/_sync/writes?select=request_id", &[]).await.json();
    assert_eq!(listed, json!([{ "request_id": REQUEST }]));
}

#[tokio::test]
async fn a_problem_has_the_id_of_its_request() {
    let (world, api) = (World::with(STAFF).await, WriteApi::open(STAFF).await);
    let refused = row_event("PATCH", "staff", "0001", &[], &json!({ "nam": "a" }));
    let refused = serde_json::from_value(refused).unwrap();
    let response: HttpResponse = enqueue::handle(&api.enqueue, refused, invocation()).await.into();
    assert_eq!((response.status, &response.json()["request_id"]), (422, &json!(REQUEST)));
    for (address, status) in [("/staff/9999", 404), ("/staff/a%25", 400), ("/nowhere", 404)] {
        let event = serde_json::from_value(read_event("GET", address, &[])).unwrap();
        let function = world.lookup_function();
        let response: HttpResponse = lookup::handle(&function, event, invocation()).await.into();
        assert_eq!((response.status, &response.json()["request_id"]), (status, &json!(REQUEST)));
    }
}

#[tokio::test]
async fn pruning_that_does_not_end_in_its_time_is_counted() {
    let world = World::with(STAFF).await;
    let function = Prune {
        data_api: world.data_api.clone(),
        outbox: None,
        retention_days: RETENTION_DAYS_MIN,
        step_rows: 10,
    };
    let line = async |deadline| {
        let log = Log::from_level("error");
        prune::run(&function, deadline).await.unwrap();
        log.line("ledger pruned")
    };
    let name = "unfinished_prunings".to_owned();
    assert!(metrics(&line(Deadline::after(std::time::Duration::ZERO)).await).contains(&name));
    assert!(!metrics(&line(deadline()).await).contains(&name));
}
