//! The event of an import that has ended.

use std::collections::BTreeSet;
use std::time::Duration;

use aurora_sync::functions::import;
use serde_json::{Value, json};

use super::Importer;
use crate::support::events::{detail, outbox};
use crate::support::fake_aws::FakeAws;
use crate::support::histories::{hang, wait_for_calls, wait_for_no_transaction};
use crate::support::{STAFF, deadline, sqs_event};

const OUTBOX: &str = "SELECT count(*) FROM sync.event";

/// Longer than the Data API keeps an idle transaction.
const UNTIL_NEXT_DELIVERY: Duration = Duration::from_mins(6);

/// Returns an importer that publishes events, and their bus.
async fn telling() -> (Importer, FakeAws) {
    let (mut importer, aws) = (Importer::with(STAFF).await, FakeAws::new().await);
    importer.import.outbox = Some(outbox(&importer.world, &aws));
    (importer, aws)
}

/// Returns the only event, its kind and its detail.
async fn told(importer: &Importer, aws: &FakeAws) -> (Value, Value) {
    let events = aws.take_events();
    assert_eq!(events.len(), 1, "{events:?}");
    (events[0]["DetailType"].clone(), detail(&importer.world, &events[0]).await)
}

#[tokio::test]
async fn an_import_that_completes_or_fails_is_told_once_with_its_counts_and_no_value() {
    let (importer, aws) = telling().await;
    let file = "id,name,age\n0004,Ada,1\n0005,secret,secret\n";
    importer.drop_file("imports/staff/a.csv", file).await;
    let (kind, detail) = told(&importer, &aws).await;
    assert_eq!((kind, &detail["state"]), (json!("ImportCompleted"), &json!("completed")));
    assert_eq!(
        detail["rows"],
        json!({"read": 2, "written": 1, "unchanged": 0, "superseded": 0, "rejected": 1})
    );
    assert_eq!(detail["source"]["key"], "imports/staff/a.csv");
    assert!(!detail.to_string().contains("secret"), "{detail}");
    let report = detail["report_key"].as_str().unwrap();
    assert!(importer.bucket.get(report).await.is_some(), "{report}");

    importer.drop_file("imports/staff/b.csv", "secret\n1\n").await;
    let (kind, detail) = self::told(&importer, &aws).await;
    assert_eq!((kind, &detail["state"]), (json!("ImportFailed"), &json!("failed")));
    assert!(!detail.to_string().contains("secret"), "{detail}");
    assert_eq!(importer.world.rows(OUTBOX).await, ["0"]);
}

#[tokio::test]
async fn an_import_that_a_newer_file_ends_is_told_with_its_report() {
    let (importer, aws) = telling().await;
    let key = "imports/staff/a.csv";
    let etag = importer.bucket.put(key, "id,name,age\n0004,Ada,1\n").await;
    importer.notify(key, &etag, "02").await;
    assert_eq!(told(&importer, &aws).await.0, "ImportCompleted");
    // The notification of the older version comes late.
    importer.notify(key, "older", "01").await;
    let (kind, detail) = told(&importer, &aws).await;
    assert_eq!(kind, "ImportFailed");
    assert!(importer.bucket.get(detail["report_key"].as_str().unwrap()).await.is_some());
    importer.notify(key, "older", "01").await;
    assert_eq!(aws.take_events().len(), 0, "it is told once");
}

#[tokio::test]
async fn without_a_bus_an_import_leaves_no_event() {
    let importer = Importer::with(STAFF).await;
    importer.drop_file("imports/staff/a.csv", "id,name,age\n0004,Ada,1\n").await;
    assert_eq!(importer.world.rows(OUTBOX).await, ["0"]);
}

/// The import is killed at each of its calls of the Data API in turn, and its message comes again.
#[tokio::test]
async fn an_event_of_an_import_arrives_wherever_it_is_killed() {
    let (importer, aws) = telling().await;
    let world = &importer.world;
    let mut call = 0;
    let mut repeated = 0;
    loop {
        call += 1;
        let key = format!("imports/staff/{call}.csv");
        let etag = importer.bucket.put(&key, "id,name,age\n0004,Ada,1\n0005,Bad,x\n").await;
        let body = json!({ "Records": [importer.notification(&key, &etag, "01")] }).to_string();
        let event = sqs_event(&[("m1", "", &body)]);
        world.server.faults().add(hang(call));
        let calls = world.server.counters().all_calls() + call;
        let is_killed = tokio::select! {
            biased;
            _ = Box::pin(import::handle(&importer.import, event.clone(), deadline())) => false,
            () = wait_for_calls(world, calls) => true,
        };
        world.server.faults().clear();
        world.server.pass(UNTIL_NEXT_DELIVERY);
        wait_for_no_transaction(world, UNTIL_NEXT_DELIVERY).await;
        let again = Box::pin(import::handle(&importer.import, event, deadline())).await.unwrap();
        assert!(again.batch_item_failures.is_empty(), "killed at {call}");
        let mut ids = BTreeSet::new();
        let events = aws.take_events();
        for event in &events {
            let detail = detail(world, event).await;
            assert_eq!(detail["source"]["key"], key);
            ids.insert(detail["id"].to_string());
        }
        assert_eq!(ids.len(), 1, "killed at {call}: {events:?}");
        repeated += events.len() - 1;
        assert_eq!(world.rows(OUTBOX).await, ["0"], "killed at {call}");
        if !is_killed {
            break;
        }
    }
    assert!(call > 8, "{call}");
    assert_eq!(repeated, 1, "one kill was between the bus and the outbox");
}
