//! Messages that come late or several times: redriven ones, slow ones, and those of a newer
//! deployment.

use std::time::Duration;

use aurora_sync::domain::deadline::Deadline;
use aws_lambda_events::sqs::SqsBatchResponse;

use crate::support::writes::{ACCEPTED_AT_MS, Envelope, event, write};
use crate::support::{STAFF, World};

const OUTCOMES: &str = "SELECT key, operation, outcome, rule FROM sync.write ORDER BY id";
const LOCKS: &str = "SELECT count(*) FROM pg_locks WHERE relation = 't'::regclass";
const MINUTE_MS: i64 = 60_000;
const HOUR_MS: i64 = 60 * MINUTE_MS;

fn left(response: &SqsBatchResponse) -> Vec<&str> {
    response.batch_item_failures.iter().map(|failure| failure.item_identifier.as_str()).collect()
}

/// Returns a message of one write, accepted and sent this many minutes after [`ACCEPTED_AT_MS`].
fn message(world: &World, text: &str, accepted: i64, sent: i64) -> Envelope {
    let mut write = write(&world.catalog, text);
    write.accepted_at_ms += accepted * MINUTE_MS;
    let envelope = Envelope::of(text, "a", vec![write]);
    Envelope { sent_at_ms: ACCEPTED_AT_MS + sent * MINUTE_MS, ..envelope }
}

#[tokio::test]
async fn a_redriven_write_does_not_overwrite_a_later_one() {
    let world = World::with(STAFF).await;
    let older = message(&world, "update staff id=0001 name=older", 0, 60);
    let newer = message(&world, "update staff id=0001 name=newer", 1, 1);
    assert_eq!(left(&world.apply(event(&[newer])).await.unwrap()), [""; 0]);
    for _ in 0..2 {
        assert_eq!(left(&world.apply(event(std::slice::from_ref(&older))).await.unwrap()), [""; 0]);
    }
    assert_eq!(world.rows("SELECT name FROM staff WHERE id = '0001'").await, ["newer"]);
    assert_eq!(
        world
            .rows("SELECT rule, payload::json->'row'->>'name', reason FROM sync.write WHERE outcome = 'rejected'")
            .await,
        ["overtaken|older|a later write of this key was settled while this one was in the dead-letter queue; if its payload is still right, send it again"]
    );
}

#[tokio::test]
async fn a_redriven_write_does_not_overwrite_a_later_one_of_its_own_delivery() {
    let world = World::with(STAFF).await;
    let newer = message(&world, "update staff id=0001 name=newer", 1, 1);
    let older = message(&world, "update staff id=0001 name=older", 0, 60);
    assert_eq!(left(&world.apply(event(&[newer, older])).await.unwrap()), [""; 0]);
    assert_eq!(world.rows("SELECT name FROM staff WHERE id = '0001'").await, ["newer"]);
}

#[tokio::test]
async fn a_redriven_write_without_a_later_one_is_applied() {
    let world = World::with(STAFF).await;
    for (text, accepted, sent) in [
        // A write of another key, and a rejected one.
        ("update staff id=0002 name=x", 2, 2),
        ("insert staff id=0001 name=x", 2, 2),
        ("update staff id=0001 name=late", 1, 60),
        ("update staff id=0001 name=later", 2, 60),
    ] {
        let message = message(&world, text, accepted, sent);
        assert_eq!(left(&world.apply(event(&[message])).await.unwrap()), [""; 0]);
    }
    assert_eq!(world.rows("SELECT name FROM staff WHERE id = '0001'").await, ["later"]);
}

#[tokio::test]
async fn a_redriven_write_that_was_settled_before_keeps_its_outcome() {
    let world = World::with(STAFF).await;
    let older = message(&world, "update staff id=0001 name=older", 0, 0);
    let newer = message(&world, "update staff id=0001 name=newer", 1, 1);
    let again = Envelope { sent_at_ms: ACCEPTED_AT_MS + HOUR_MS, ..older.clone() };
    for message in [older, newer, again] {
        assert_eq!(left(&world.apply(event(&[message])).await.unwrap()), [""; 0]);
    }
    assert_eq!(world.rows("SELECT name FROM staff WHERE id = '0001'").await, ["newer"]);
    assert_eq!(world.rows("SELECT outcome FROM sync.write").await, ["applied", "applied"]);
}

#[tokio::test]
async fn a_redriven_write_is_overtaken_by_any_later_write_if_keys_cannot_be_compared() {
    let world = World::with("CREATE TABLE t (k interval PRIMARY KEY, a text)").await;
    for (text, accepted, sent) in
        [("upsert t k=1_mon a=newer", 1, 1), ("upsert t k=30_days a=older", 0, 60)]
    {
        let message = message(&world, text, accepted, sent);
        assert_eq!(left(&world.apply(event(&[message])).await.unwrap()), [""; 0]);
    }
    assert_eq!(
        world.rows(OUTCOMES).await,
        ["1 mon|upsert|applied|-", "30 days|upsert|rejected|overtaken"]
    );
}

#[tokio::test]
async fn a_redriven_insert_with_a_generated_key_is_never_overtaken() {
    let world =
        World::with("CREATE TABLE t (id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY, a text)")
            .await;
    for (text, accepted, sent) in [("insert t a=newer", 1, 1), ("insert t a=older", 0, 60)] {
        let message = message(&world, text, accepted, sent);
        assert_eq!(left(&world.apply(event(&[message])).await.unwrap()), [""; 0]);
    }
    assert_eq!(world.rows("SELECT a FROM t ORDER BY id").await, ["newer", "older"]);
}

/// Returns a database whose table needs this time for each row. The catalog does not know the
/// trigger, so that updates fold.
async fn slow(seconds: f32) -> World {
    let world = World::with(
        "CREATE TABLE t (id integer PRIMARY KEY, a integer);
         INSERT INTO t SELECT n, 0 FROM generate_series(1, 6) AS n",
    )
    .await;
    for sql in [
        &format!(
            "CREATE FUNCTION wait() RETURNS trigger LANGUAGE plpgsql AS
             'BEGIN PERFORM pg_sleep({seconds}); RETURN NEW; END'"
        ),
        "CREATE TRIGGER wait BEFORE INSERT OR UPDATE ON t FOR EACH ROW EXECUTE FUNCTION wait()",
    ] {
        world.rows(sql).await;
    }
    world
}

/// Returns a message of these writes.
fn writes(world: &World, texts: &[String]) -> Envelope {
    let writes = texts.iter().map(|text| write(&world.catalog, text));
    Envelope::of("m", "a", writes.collect())
}

#[tokio::test]
async fn a_single_message_has_all_of_the_time() {
    let world = slow(0.75).await;
    let texts: Vec<_> = (11..15).map(|id| format!("insert t id={id}")).collect();
    let message = writes(&world, &texts);
    let time = Deadline::after(Duration::from_millis(3_900));
    assert_eq!(left(&world.apply_within(event(&[message]), time).await.unwrap()), [""; 0]);
}

#[tokio::test]
async fn a_single_write_has_all_of_the_time() {
    let world = slow(2.5).await;
    let message = writes(&world, &["insert t id=11".to_owned()]);
    let time = Deadline::after(Duration::from_millis(3_300));
    assert_eq!(left(&world.apply_within(event(&[message]), time).await.unwrap()), [""; 0]);
}

#[tokio::test]
async fn no_statement_runs_on_after_the_deadline() {
    let world = slow(20.0).await;
    let message = writes(&world, &["insert t id=11".to_owned()]);
    let time = Deadline::after(Duration::from_secs(1));
    assert_eq!(left(&world.apply_within(event(&[message]), time).await.unwrap()), ["m"]);
    assert_eq!(world.rows(LOCKS).await, ["0"]);
}

#[tokio::test]
async fn no_later_step_of_a_delivery_runs_on_after_the_deadline() {
    let world = slow(2.0).await;
    // An update after an insert of its row is a step of its own.
    let texts = ["insert t id=11", "update t id=11 a=1", "update t id=1 a=1", "delete t id=1"];
    let message = writes(&world, &texts.map(str::to_owned));
    let time = Deadline::after(Duration::from_secs(3));
    assert_eq!(left(&world.apply_within(event(&[message]), time).await.unwrap()), ["m"]);
    assert_eq!(world.rows(LOCKS).await, ["0"]);
}

#[tokio::test]
async fn no_bisected_statement_runs_on_after_the_deadline() {
    let world = slow(2.0).await;
    let message = writes(&world, &["insert t id=1", "insert t id=11"].map(str::to_owned));
    let time = Deadline::after(Duration::from_secs(3));
    assert_eq!(left(&world.apply_within(event(&[message]), time).await.unwrap()), ["m"]);
    assert_eq!(world.rows(LOCKS).await, ["0"]);
}

/// Delivers messages until none is left, each time with too little time for all of them. From this
/// delivery on, each must settle a write.
async fn settles_step_by_step(
    world: &World,
    mut messages: Vec<Envelope>,
    time: Duration,
    from_delivery: u32,
) {
    let mut settled = 0;
    for delivery in 1_u32.. {
        let response = world.apply_within(event(&messages), Deadline::after(time)).await.unwrap();
        let left = left(&response);
        messages.retain(|message| left.contains(&message.id.as_str()));
        for message in &mut messages {
            message.receive_count += 1;
        }
        let count = world.rows("SELECT count(*) FROM sync.write").await[0].parse().unwrap();
        assert!(count > settled || delivery < from_delivery, "delivery {delivery} settled nothing");
        settled = count;
        if messages.is_empty() {
            return;
        }
        assert_eq!(world.rows(LOCKS).await, ["0"], "delivery {delivery} left locks");
    }
}

#[tokio::test]
async fn a_message_longer_than_a_delivery_is_settled_step_by_step() {
    let world = slow(0.5).await;
    let texts: Vec<_> = (11..19).map(|id| format!("insert t id={id}")).collect();
    let messages = vec![writes(&world, &texts)];
    settles_step_by_step(&world, messages, Duration::from_millis(1_500), 2).await;
    assert_eq!(world.rows("SELECT count(*) FROM t").await, ["14"]);
}

#[tokio::test]
async fn writes_of_a_redriven_message_do_not_overtake_each_other() {
    let world = slow(0.5).await;
    // Ids from an Idempotency-Key have no order.
    let writes = (1..=3).map(|n: u8| {
        let mut write = write(&world.catalog, &format!("update t id=1 a={n}"));
        write.id = uuid::Uuid::from_u128(10 - u128::from(n));
        write.fingerprint = Some(n.to_string());
        write
    });
    let message = Envelope::of("m", "a", writes.collect());
    let sent_at_ms = ACCEPTED_AT_MS + HOUR_MS;
    let messages = vec![Envelope { sent_at_ms, receive_count: 4, ..message }];
    settles_step_by_step(&world, messages, Duration::from_millis(900), 4).await;
    assert_eq!(world.rows("SELECT a FROM t WHERE id = 1").await, ["3"]);
    assert_eq!(world.rows("SELECT DISTINCT outcome FROM sync.write").await, ["applied"]);
}

#[tokio::test]
async fn updates_that_fold_are_settled_step_by_step() {
    let world = slow(0.5).await;
    let texts: Vec<_> = (0..12).map(|n| format!("update t id={} a={n}", n / 2 + 1)).collect();
    let messages = vec![writes(&world, &texts)];
    settles_step_by_step(&world, messages, Duration::from_millis(1_500), 4).await;
    assert_eq!(world.rows("SELECT a FROM t ORDER BY id").await, ["1", "3", "5", "7", "9", "11"]);
}

#[tokio::test]
async fn several_messages_longer_than_a_delivery_are_settled_step_by_step() {
    let world = slow(1.0).await;
    let mut messages = Vec::new();
    for id in 11..14 {
        let message = writes(&world, &[format!("insert t id={id}")]);
        messages.push(Envelope { id: id.to_string(), ..message });
    }
    settles_step_by_step(&world, messages, Duration::from_millis(1_600), 4).await;
    assert_eq!(world.rows("SELECT count(*) FROM t").await, ["9"]);
}

#[tokio::test]
async fn a_message_that_comes_again_has_its_parents_written_before_their_children() {
    let world = World::with(
        "CREATE TABLE node (id integer PRIMARY KEY, parent integer REFERENCES node (id))",
    )
    .await;
    let texts = ["insert node id=2 parent=1", "insert node id=1", "insert node id=3 parent=2"];
    let writes = texts.map(|text| write(&world.catalog, text));
    let message = Envelope::of("m", "a", writes.to_vec());
    let message = Envelope { receive_count: 4, ..message };
    assert_eq!(left(&world.apply(event(&[message])).await.unwrap()), [""; 0]);
    let outcomes = world.rows("SELECT outcome FROM sync.write").await;
    assert_eq!(outcomes, ["applied", "applied", "applied"]);
}

#[tokio::test]
async fn a_call_that_times_out_is_followed_by_smaller_ones() {
    let world = World::with("CREATE TABLE t (id integer PRIMARY KEY)").await;
    world.fault("any@1 timeout");
    let texts: Vec<_> = (0..5).map(|id| format!("insert t id={id}")).collect();
    let message = writes(&world, &texts);
    assert_eq!(left(&world.apply(event(&[message])).await.unwrap()), [""; 0]);
    assert_eq!(world.rows("SELECT count(*) FROM t").await, ["5"]);
}

/// Returns a message as a newer version of `enqueue` would send it.
fn newer(name: &str, value: serde_json::Value, world: &World) -> String {
    let write = write(&world.catalog, "insert staff id=0010 name=x");
    let mut body = serde_json::json!({ "version": "1", "writes": [write] });
    match name {
        "version" => body["version"] = value,
        _ => body["writes"][0][name] = value,
    }
    body.to_string()
}

#[tokio::test]
async fn a_message_of_a_newer_deployment_waits_for_an_hour() {
    let world = World::with(STAFF).await;
    for (name, value, rule) in [
        ("table", serde_json::json!("new"), "unknown-table"),
        ("row", serde_json::json!([["id", "0011"], ["new", "x"]]), "unknown-column"),
        ("version", serde_json::json!("5"), "unreadable"),
    ] {
        let first = Envelope::raw(name, "a", &newer(name, value, &world));
        let good = write(&world.catalog, "upsert staff id=0010 name=later");
        let later = Envelope::of("later", "a", vec![good.clone()]);
        let other = Envelope::of("other", "b", vec![good]);
        let delivery = event(&[first.clone(), later, other]);
        for after_ms in [0, HOUR_MS - 1] {
            let response = world.apply_at(delivery.clone(), ACCEPTED_AT_MS + after_ms).await;
            assert_eq!(left(&response), [name, "later"], "{name}");
        }
        let response = world.apply_at(event(&[first]), ACCEPTED_AT_MS + HOUR_MS).await;
        assert_eq!(left(&response), [""; 0], "{name}");
        let rejected = "SELECT rule FROM sync.write WHERE outcome = 'rejected'";
        assert_eq!(world.rows(rejected).await, [rule], "{name}");
        world.rows("DELETE FROM sync.write").await;
    }
}

#[tokio::test]
async fn a_message_that_no_version_sends_is_rejected_at_once() {
    let world = World::with(STAFF).await;
    for (id, body) in ["{broken", "[]", "{}", r#"{"version":2,"writes":[]}"#, r#"{"version":"1"}"#]
        .iter()
        .enumerate()
    {
        let message = Envelope::raw(&uuid::Uuid::from_u128(id as u128).to_string(), "a", body);
        let response = world.apply_at(event(&[message]), ACCEPTED_AT_MS).await;
        assert_eq!(left(&response), [""; 0], "{body}");
    }
    assert_eq!(world.rows("SELECT count(*) FROM sync.write").await, ["5"]);
}

#[tokio::test]
async fn a_discarded_message_is_settled_as_rejected_and_keeps_its_payloads() {
    let world = World::with(STAFF).await;
    let mut write = write(&world.catalog, "upsert staff id=0010 name=x");
    write.caller = std::sync::Arc::new(aurora_sync::domain::caller::Caller {
        principal: Some("me".into()),
        ..Default::default()
    });
    let kept = Envelope::of("a", "a", vec![write]);
    let discarded = kept.body.replacen(r#""version":"3""#, r#""version":"4","discarded":true"#, 1);
    let discarded = Envelope { body: discarded, ..kept.clone() };
    // What is discarded stays so when its message is redriven too.
    for message in [&discarded, &kept, &discarded] {
        assert_eq!(
            left(&world.apply(event(std::slice::from_ref(message))).await.unwrap()),
            [""; 0]
        );
    }
    assert_eq!(world.rows("SELECT count(*) FROM staff WHERE id = '0010'").await, ["0"]);
    assert_eq!(
        world
            .rows(
                "SELECT key, outcome, rule, caller, payload::json->'row'->>'name' FROM sync.write"
            )
            .await,
        ["0010|rejected|discarded|me|x"]
    );
}
