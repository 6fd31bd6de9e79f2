//! Events about rejected writes: each is published at least once, under one id.

use std::collections::BTreeSet;
use std::sync::Arc;

use aurora_sync::domain::caller::Caller;
use aurora_sync::domain::write::Write;
use serde_json::{Value, json};

use crate::support::events::{apply_telling, detail, prune_telling};
use crate::support::fake_aws::{CallFault, FakeAws};
use crate::support::histories::{hang, wait_for_calls};
use crate::support::logs::{Log, metrics};
use crate::support::process::Function;
use crate::support::writes::{Envelope, event, write};
use crate::support::{STAFF, World, delivery};

const OUTBOX: &str = "SELECT count(*) FROM sync.event";

/// Makes the events of the outbox older than the minute that their own worker has for them.
const A_MINUTE_LATER: &str =
    "UPDATE sync.event SET created_at = created_at - interval '61 seconds'";

/// Returns a delivery of one write, which the database refuses, under an id and a receive count.
fn refused(world: &World, id: &str, receive_count: u32) -> Envelope {
    let text = format!("update staff id={id} name=nobody");
    Envelope { receive_count, ..Envelope::of(id, "g", vec![write(&world.catalog, &text)]) }
}

/// Returns the ids of the writes of which the details tell.
fn told(details: &[Value]) -> BTreeSet<String> {
    let writes = details.iter().flat_map(|detail| detail["writes"].as_array().unwrap());
    writes.map(|write| write["id"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn one_event_tells_of_all_rejected_writes_of_a_delivery_and_holds_no_value() {
    let (world, aws) = (World::with(STAFF).await, FakeAws::new().await);
    let principal = "https://id.example|ann";
    let claims = Some(json!({ "sub": "ann", "email": "secret-claim" }).to_string().into());
    let request_id = uuid::Uuid::from_u128(7);
    let caller = Arc::new(Caller {
        principal: Some(principal.to_owned()),
        claims,
        request_id: Some(request_id),
        resend_of: None,
    });
    let texts = [
        "insert staff id=0001 name=secret-name",
        "insert staff id=0010 name=good",
        "update staff id=K999 name=secret-name",
        "insert staff id=0011 name=x age=secret-age",
        "insert staff id=0012 secret-column=x",
    ];
    let mut writes: Vec<_> = texts
        .iter()
        .map(|text| Write { caller: Arc::clone(&caller), ..write(&world.catalog, text) })
        .collect();
    writes.push(Write { table: "t".repeat(300), ..writes[0].clone() });
    writes[5].id = uuid::Uuid::now_v7();
    apply_telling(&world, &aws, delivery(&aurora_sync::domain::write::pack(writes, 1))).await;

    let entries = aws.take_events();
    let details: Vec<_> =
        futures_util::future::join_all(entries.iter().map(|entry| detail(&world, entry))).await;
    let ledger = "SELECT id::text FROM sync.write WHERE outcome = 'rejected'";
    assert_eq!(told(&details), world.rows(ledger).await.into_iter().collect());
    assert_eq!(told(&details).len(), 5);
    for (entry, detail) in entries.iter().zip(&details) {
        assert_eq!(entry["DetailType"], "WritesRejected");
        let text = detail.to_string();
        for secret in ["secret", "K999", "ttttt".repeat(30).as_str()] {
            assert!(!text.contains(secret), "{secret}: {text}");
        }
        for write in detail["writes"].as_array().unwrap() {
            assert_eq!(write["caller"], principal);
            assert_eq!(write["request_id"], request_id.to_string());
        }
        assert_eq!(detail["count"], detail["writes"].as_array().unwrap().len());
        assert_eq!(detail["complete"], true);
    }
    // The tables have message groups of their own, and one delivery is one transaction.
    assert_eq!(details.len(), 1);
    let rules = |detail: &Value| {
        let rules = detail["by_rule"].as_array().unwrap().iter();
        let rules = rules.map(|of| format!("{} {} {}", of["rule"], of["sqlstate"], of["count"]));
        rules.collect::<BTreeSet<_>>()
    };
    let expected = [
        r#""database" "22P02" 1"#,
        r#""database" "23505" 1"#,
        r#""row-missing" null 1"#,
        r#""unknown-column" null 1"#,
        r#""unknown-table" null 1"#,
    ];
    assert_eq!(rules(&details[0]), expected.map(str::to_owned).into());
    assert_eq!(world.rows(OUTBOX).await, ["0"]);
}

#[tokio::test]
async fn without_rejected_writes_events_cost_no_call() {
    let (world, aws) = (World::with(STAFF).await, FakeAws::new().await);
    let texts = [
        "insert staff id=0010 name=a",
        "upsert staff id=0001 name=b",
        "update staff id=0002 name=d",
        "delete staff id=0003",
    ];
    let writes = texts.map(|text| write(&world.catalog, text)).to_vec();
    let sent = Envelope::of("m1", "g", writes);
    let counters = world.server.counters();
    counters.reset();
    apply_telling(&world, &aws, event(std::slice::from_ref(&sent))).await;
    assert_eq!(counters.all_calls(), 3);
    // Delivered again, it looks for the events that a killed delivery may have left.
    let again = event(&[Envelope { receive_count: 2, ..sent }]);
    counters.reset();
    world.apply(again.clone()).await.unwrap();
    let without_bus = counters.all_calls();
    counters.reset();
    apply_telling(&world, &aws, again).await;
    assert_eq!(counters.all_calls(), without_bus + 1);
    assert_eq!(aws.calls(), 0);
}

#[tokio::test]
async fn without_a_bus_rejected_writes_leave_no_event_and_cost_what_they_did() {
    let world = World::with(STAFF).await;
    let refused = || vec![write(&world.catalog, "update staff id=9999 name=nobody")];
    world.server.counters().reset();
    world.apply_writes(refused()).await;
    assert_eq!(world.server.counters().all_calls(), 7);
    assert_eq!(world.rows(OUTBOX).await, ["0"]);

    let aws = FakeAws::new().await;
    world.server.counters().reset();
    apply_telling(&world, &aws, delivery(&aurora_sync::domain::write::pack(refused(), 1))).await;
    // One makes the event, one reads it, and one deletes it.
    assert_eq!(world.server.counters().all_calls(), 10);
}

/// The real program is killed at each of its calls in turn, and its message is delivered again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_event_arrives_wherever_the_process_is_killed() {
    let (world, aws) = (World::with(STAFF).await, FakeAws::new().await);
    let url = world.server.url();
    let more = [
        ("AWS_ENDPOINT_URL_SQS", url.clone()),
        ("WRITES_QUEUE_URL", format!("{url}/queue")),
        ("AWS_ENDPOINT_URL_EVENTBRIDGE", aws.url.clone()),
        ("EVENT_BUS", "default".to_owned()),
    ];
    let mut function = Function::new(&world, &aws, env!("CARGO_BIN_EXE_apply"), &more).await;
    let mut killed = 0;
    let mut repeated = 0;
    // Nine calls of the Data API, the call of the bus (0), and the one that deletes the event.
    for call in 0..=10 {
        let message = refused(&world, &format!("{call:04}-"), 1);
        if call == 0 {
            aws.inject(1, CallFault::Hang);
        } else {
            world.server.faults().add(hang(call));
        }
        let (data_api_calls, aws_calls) = (world.server.counters().all_calls(), aws.calls());
        let first = event(std::slice::from_ref(&message));
        let is_killed = tokio::select! {
            _ = function.invoke(&first) => false,
            () = wait_for_calls(&world, data_api_calls + call), if call > 0 => true,
            () = wait_for_aws(&aws, aws_calls + 1), if call == 0 => true,
        };
        if is_killed {
            function.kill().await;
            killed += 1;
        }
        world.server.faults().clear();
        aws.clear_faults();
        world.server.pass(std::time::Duration::from_mins(6));
        let again = Envelope { receive_count: 2, ..message };
        let left = function.invoke(&event(&[again])).await;
        assert_eq!(left, Some(Vec::new()), "killed at {call}");

        let mut details = Vec::new();
        for entry in aws.take_events() {
            details.push(detail(&world, &entry).await);
        }
        let ids: BTreeSet<_> = details.iter().map(|detail| detail["id"].to_string()).collect();
        assert_eq!(ids.len(), 1, "killed at {call}: {details:?}");
        repeated += details.len() - 1;
        let ledger = "SELECT id::text FROM sync.write ORDER BY settled_at DESC LIMIT 1";
        assert_eq!(told(&details), world.rows(ledger).await.into_iter().collect(), "{call}");
        assert_eq!(world.rows(OUTBOX).await, ["0"], "killed at {call}");
    }
    assert_eq!(killed, 11);
    // One kill was after the bus had taken the event, and before it was deleted.
    assert_eq!(repeated, 1);
}

async fn wait_for_aws(aws: &FakeAws, calls: u64) {
    crate::support::until(async || aws.calls() >= calls).await;
}

#[tokio::test]
async fn a_bus_that_is_away_fails_no_write_and_prune_publishes_the_event_later() {
    let (world, aws) = (World::with(STAFF).await, FakeAws::new().await);
    for call in 1..=10 {
        aws.inject(call, CallFault::Fail);
    }
    let log = Log::from_level("error");
    let response = apply_telling(&world, &aws, event(&[refused(&world, "1", 1)])).await;
    assert!(response.batch_item_failures.is_empty());
    let line = log.line("events not published");
    assert!(metrics(&line).contains(&"unpublished_events".to_owned()), "{line}");
    assert_eq!(line["unpublished_events"], 1);
    assert_eq!((aws.take_events().len(), world.rows(OUTBOX).await.remove(0)), (0, "1".to_owned()));

    aws.clear_faults();
    world.rows(A_MINUTE_LATER).await;
    prune_telling(&world, &aws).await;
    let events = aws.take_events();
    assert_eq!(events.len(), 1);
    detail(&world, &events[0]).await;
    assert_eq!(world.rows(OUTBOX).await, ["0"]);
}

#[tokio::test]
async fn an_event_that_the_bus_refuses_stays_and_the_others_leave() {
    let (world, aws) = (World::with(STAFF).await, FakeAws::new().await);
    let fill = "INSERT INTO sync.event (id, kind, subjects, detail, created_at)
        SELECT gen_random_uuid(), 'WritesRejected', '{}', json_build_object('n', n), now() - interval '1 hour'
        FROM generate_series(1, 25) AS n";
    world.rows(fill).await;
    aws.refuse_events(3);
    let log = Log::from_level("error");
    prune_telling(&world, &aws).await;
    assert_eq!(log.line("events not published")["unpublished_events"], 3);
    assert_eq!(aws.take_events().len(), 22);
    assert_eq!(world.rows(OUTBOX).await, ["3"]);
    prune_telling(&world, &aws).await;
    assert_eq!((aws.take_events().len(), world.rows(OUTBOX).await.remove(0)), (3, "0".to_owned()));
}

#[tokio::test]
async fn an_event_that_another_worker_may_be_publishing_is_left_alone_for_a_minute() {
    let (world, aws) = (World::with(STAFF).await, FakeAws::new().await);
    let fill = "INSERT INTO sync.event (id, kind, subjects, detail) VALUES (gen_random_uuid(), 'X', '{}', '{}')";
    world.rows(fill).await;
    prune_telling(&world, &aws).await;
    assert_eq!(aws.take_events().len(), 0);
}

#[tokio::test]
async fn an_event_that_nobody_could_publish_is_deleted_with_the_writes_of_its_time() {
    let (world, aws) = (World::with(STAFF).await, FakeAws::new().await);
    let fill = "INSERT INTO sync.event (id, kind, subjects, detail, created_at)
        SELECT gen_random_uuid(), 'X', '{}', '{}', now() - age * interval '1 day' FROM unnest(ARRAY[28.9, 29.1]) AS age";
    world.rows(fill).await;
    prune_telling(&world, &aws).await;
    assert_eq!(aws.take_events().len(), 1);
}

#[tokio::test]
async fn the_event_of_many_rejected_writes_fits_the_bus_and_counts_all_of_them() {
    let (world, aws) = (World::with(STAFF).await, FakeAws::new().await);
    let texts = (0..2_000).map(|id| format!("update staff id=x{id} name=nobody"));
    let caller = Arc::new(Caller { principal: Some("\"".repeat(60)), ..Caller::default() });
    let writes =
        texts.map(|text| Write { caller: Arc::clone(&caller), ..write(&world.catalog, &text) });
    let messages = aurora_sync::domain::write::pack(writes.collect(), 1);
    apply_telling(&world, &aws, delivery(&messages)).await;
    let events = aws.take_events();
    assert_eq!(events.len(), 1);
    let detail = detail(&world, &events[0]).await;
    assert_eq!((&detail["count"], &detail["complete"]), (&json!(2_000), &json!(false)));
    assert_eq!(detail["by_rule"][0]["count"], 2_000);
    let listed = detail["writes"].as_array().unwrap().len();
    assert!((10..2_000).contains(&listed), "{listed}");
    let bytes = events[0]["Detail"].as_str().unwrap().len();
    assert!(bytes < 250_000, "{bytes}");
}

#[tokio::test]
async fn a_write_that_was_rejected_before_is_not_told_again() {
    let (world, aws) = (World::with(STAFF).await, FakeAws::new().await);
    let first = refused(&world, "1", 1);
    apply_telling(&world, &aws, event(std::slice::from_ref(&first))).await;
    assert_eq!(aws.take_events().len(), 1);
    // The other write is refused too, so that the set with both of them is bisected.
    let second = refused(&world, "2", 1);
    let again = Envelope { receive_count: 2, ..first };
    apply_telling(&world, &aws, event(&[again, second])).await;
    let events = aws.take_events();
    assert_eq!(events.len(), 1);
    assert_eq!(detail(&world, &events[0]).await["count"], 1);
}

#[tokio::test]
async fn another_payload_under_an_idempotency_key_is_told() {
    let (world, aws) = (World::with(STAFF).await, FakeAws::new().await);
    let keyed = |text: &str, fingerprint: &str| Write {
        id: uuid::Uuid::from_u128(1),
        fingerprint: Some(fingerprint.to_owned()),
        ..write(&world.catalog, text)
    };
    let first = keyed("insert staff id=0010 name=a", "0a");
    let second = keyed("insert staff id=0010 name=b", "0b");
    apply_telling(&world, &aws, delivery(&aurora_sync::domain::write::pack(vec![first], 1))).await;
    assert_eq!(aws.take_events().len(), 0);
    apply_telling(&world, &aws, delivery(&aurora_sync::domain::write::pack(vec![second], 1))).await;
    let events = aws.take_events();
    let detail = detail(&world, &events[0]).await;
    assert_eq!(detail["by_rule"][0]["rule"], "idempotency-key-reused");
}
