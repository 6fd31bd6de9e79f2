//! The delivery of messages: retries, blocked groups, outages, and broken messages.

use std::time::Duration;

use aurora_sync::aws::queue::Queue;
use aurora_sync::domain::deadline::{Deadline, now_ms};
use aurora_sync::domain::error::{DataApiError, DataApiFault, Disposition, SqlState};
use aws_lambda_events::sqs::SqsBatchResponse;
use data_api_server::Operation;
use serde_json::json;

use crate::support::services::FifoQueue;
use crate::support::writes::{Envelope, event, write};
use crate::support::{STAFF, World, deadline};

/// Returns messages from texts `group:table:id`, in order. Each inserts one row.
fn messages(world: &World, texts: &[&str]) -> Vec<Envelope> {
    texts
        .iter()
        .map(|text| {
            let [group, table, id] = text.split(':').collect::<Vec<_>>()[..] else { panic!() };
            let write = write(&world.catalog, &format!("insert {table} id={id}"));
            Envelope::of(text, group, vec![write])
        })
        .collect()
}

/// Adds an unreadable message, which costs a call of its own.
fn messages_and_another(world: &World, texts: &[&str]) -> Vec<Envelope> {
    let mut messages = messages(world, texts);
    messages.push(Envelope::raw("unreadable", "z", "{}"));
    messages
}

fn left(response: &SqsBatchResponse) -> Vec<&str> {
    response.batch_item_failures.iter().map(|failure| failure.item_identifier.as_str()).collect()
}

#[tokio::test]
async fn a_missing_table_blocks_its_message_and_the_later_messages_of_its_group() {
    let world = World::with(
        "CREATE TABLE there (id integer PRIMARY KEY); CREATE TABLE gone (id integer PRIMARY KEY)",
    )
    .await;
    world.rows("DROP TABLE gone").await;
    let texts = ["a:there:1", "b:there:2", "a:gone:1", "b:there:3", "a:there:4", "c:there:5"];
    let response = world.apply(event(&messages(&world, &texts))).await.unwrap();
    assert_eq!(left(&response), ["a:gone:1", "a:there:4"]);
    assert_eq!(world.rows("SELECT id FROM there ORDER BY id").await, ["1", "2", "3", "5"]);
    assert_eq!(world.rows("SELECT count(*) FROM sync.write").await, ["4"]);
}

#[tokio::test]
async fn a_missing_table_does_not_block_writes_to_another_table() {
    let world = World::with(
        "CREATE TABLE there (id integer PRIMARY KEY); CREATE TABLE gone (id integer PRIMARY KEY)",
    )
    .await;
    world.rows("DROP TABLE gone").await;
    let texts = ["insert gone id=1", "insert there id=1", "insert gone id=2", "insert there id=2"];
    let writes = texts.map(|text| write(&world.catalog, text));
    let response = world.apply_writes(writes.to_vec()).await;
    assert_eq!(response.batch_item_failures.len(), 1);
    assert_eq!(world.rows("SELECT id FROM there ORDER BY id").await, ["1", "2"]);
    assert_eq!(world.rows("SELECT DISTINCT table_name FROM sync.write").await, ["there"]);
}

#[tokio::test]
async fn messages_are_retried_later_after_one_attempt_during_an_outage() {
    let world = World::with("CREATE TABLE t (id integer PRIMARY KEY)").await;
    world.fault("any@1.. fail-before=ServiceUnavailableError");
    world.server.counters().reset();
    let response = world.apply(event(&messages(&world, &["a:t:1", "b:t:2"]))).await.unwrap();
    assert_eq!(left(&response), ["a:t:1", "b:t:2"]);
    assert_eq!(world.server.counters().all_calls(), 1, "no transaction begins");
}

/// A rotation changes the password in the database before it changes the secret.
#[tokio::test]
async fn a_wrong_password_blocks_a_message_only_after_some_deliveries() {
    let world = World::with("CREATE TABLE t (id integer PRIMARY KEY)").await;
    let message = messages(&world, &["a:t:1"]).remove(0);
    for (receive_count, blocked) in [(7, vec![]), (8, vec!["a|28P01"])] {
        world.fault("batch@1 sql=28P01");
        let message = Envelope { receive_count, ..message.clone() };
        let response = world.apply(event(&[message])).await.unwrap();
        assert_eq!(left(&response), ["a:t:1"]);
        assert_eq!(world.rows("SELECT message_group, cause FROM sync.blocked").await, blocked);
    }
    let response = world.apply(event(&[message])).await.unwrap();
    assert_eq!(left(&response), [""; 0]);
}

#[tokio::test]
async fn an_outage_during_a_delivery_keeps_the_writes_settled_before_it() {
    let world = World::with("CREATE TABLE t (id integer PRIMARY KEY)").await;
    // The whole delivery times out; then the second message meets an outage.
    world.fault("batch@1 timeout");
    world.fault("batch@3.. fail-before=ServiceUnavailableError");
    let response =
        world.apply(event(&messages(&world, &["a:t:1", "b:t:2", "c:t:3"]))).await.unwrap();
    assert_eq!(left(&response), ["b:t:2", "c:t:3"]);
    world.server.faults().clear();
    assert_eq!(world.rows("SELECT id FROM t").await, ["1"]);
}

#[tokio::test]
async fn a_lost_transaction_or_conflict_is_repeated_at_once() {
    for fault in
        ["batch sql=40001", "batch@1..3 sql=40P01", "batch lose-transaction", "commit sql=40001"]
    {
        let world = World::with("CREATE TABLE t (id integer PRIMARY KEY)").await;
        world.fault(fault);
        let response = world.apply(event(&messages(&world, &["a:t:1"]))).await.unwrap();
        assert_eq!(left(&response), [""; 0], "{fault}");
        assert_eq!(world.rows("SELECT id FROM t").await, ["1"], "{fault}");
    }
}

#[tokio::test]
async fn a_commit_without_a_response_is_looked_up_before_it_is_repeated() {
    for (fault, commits) in [
        ("commit drop-answer", 1),
        ("commit cut-answer", 1),
        ("commit fail-after=InternalServerErrorException", 1),
        ("commit timeout-after", 1),
        // The commit failed: it is repeated after a look into the ledger.
        ("commit drop-request", 2),
        ("commit fail-before=DatabaseUnavailableException", 2),
        ("commit lose-transaction", 2),
    ] {
        let world = World::with("CREATE TABLE t (id integer PRIMARY KEY)").await;
        world.fault(fault);
        world.server.counters().reset();
        let messages = messages_and_another(&world, &["a:t:1"]);
        let response = world.apply(event(&messages)).await.unwrap();
        assert_eq!(left(&response), [""; 0], "{fault}");
        assert_eq!(world.server.counters().calls(Operation::Commit), commits, "{fault}");
        assert_eq!(world.rows("SELECT id FROM t").await, ["1"], "{fault}");
        let outcomes = world.rows("SELECT outcome FROM sync.write ORDER BY outcome").await;
        assert_eq!(outcomes, ["applied", "rejected"], "{fault}");
    }
}

#[tokio::test]
async fn the_next_delivery_finds_a_commit_that_outlasted_its_invocation() {
    let world = World::with("CREATE TABLE t (id integer PRIMARY KEY)").await;
    world.fault("commit@1 delay=2s");
    let message = event(&messages(&world, &["a:t:1"]));
    let soon = Deadline::after(Duration::from_millis(500));
    assert_eq!(left(&world.apply_within(message.clone(), soon).await.unwrap()), ["a:t:1"]);
    assert_eq!(left(&world.apply(message).await.unwrap()), [""; 0]);
    assert_eq!(world.rows("SELECT id FROM t").await, ["1"]);
    assert_eq!(world.rows("SELECT outcome FROM sync.write").await, ["applied"]);
}

#[tokio::test]
async fn a_delivery_waits_for_a_resuming_database_until_its_deadline() {
    let world = World::with("CREATE TABLE t (id integer PRIMARY KEY)").await;
    world.server.pause(Duration::from_millis(300));
    let response = world.apply(event(&messages(&world, &["a:t:1"]))).await.unwrap();
    assert_eq!(left(&response), [""; 0]);
    world.server.pause(Duration::from_mins(10));
    let soon = Deadline::after(Duration::from_millis(500));
    let response = world.apply_within(event(&messages(&world, &["a:t:2"])), soon).await.unwrap();
    assert_eq!(left(&response), ["a:t:2"]);
    world.server.pass(Duration::from_mins(10));
    let response = world.apply(event(&messages(&world, &["a:t:2"]))).await.unwrap();
    assert_eq!(left(&response), [""; 0]);
}

#[tokio::test]
async fn no_transaction_begins_after_the_deadline() {
    let world = World::with("CREATE TABLE t (id integer PRIMARY KEY)").await;
    world.server.counters().reset();
    let over = Deadline::after(Duration::ZERO);
    let response = world.apply_within(event(&messages(&world, &["a:t:1"])), over).await.unwrap();
    assert_eq!(left(&response), ["a:t:1"]);
    assert_eq!(world.server.counters().all_calls(), 0);
}

#[tokio::test]
async fn no_transaction_stays_open_after_the_deadline() {
    let world = World::with("CREATE TABLE t (id integer PRIMARY KEY)").await;
    world.fault("batch@1.. delay=2s");
    let soon = Deadline::after(Duration::from_millis(1_500));
    let response = world.apply_within(event(&messages(&world, &["a:t:1"])), soon).await.unwrap();
    assert_eq!(left(&response), ["a:t:1"]);
    world.server.faults().clear();
    let open = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND xact_start IS NOT NULL
        AND pid <> pg_backend_pid()";
    assert_eq!(world.rows(open).await, ["0"]);
    assert_eq!(world.rows("SELECT count(*) FROM sync.write").await, ["0"]);
}

#[tokio::test]
async fn a_message_without_an_id_fails_the_invocation() {
    let world = World::with(STAFF).await;
    assert!(world.apply(event(&[Envelope::raw("", "a", "{}")])).await.is_err());
}

#[tokio::test]
async fn messages_that_are_retried_later_come_again_after_their_backoff() {
    let world = World::with(STAFF).await;
    let queue = FifoQueue::new().await;
    let bodies = [write(&world.catalog, "insert staff id=0010 name=x")];
    let message = &aurora_sync::domain::write::pack(bodies.to_vec(), 1)[0];
    let sender = Queue::new(&queue.sdk_config, queue.url.clone());
    assert!(sender.send(&[message], None).await.is_empty());
    let mut received = queue.receive().await;
    assert_eq!(received.records.len(), 1);
    // `apply` sees that the message has been in flight twice.
    received.records[0].attributes.insert("ApproximateReceiveCount".into(), "2".into());
    let mut function = world.apply_function();
    function.queue = sender;
    world.fault("any@1.. fail-before=ServiceUnavailableError");
    let response = aurora_sync::functions::apply::handle(&function, received, now_ms(), deadline())
        .await
        .unwrap();
    assert_eq!(response.batch_item_failures.len(), 1);
    assert!(queue.receive().await.records.is_empty(), "its pause of four seconds has begun");
    let again = queue.receive_within(Duration::from_secs(30)).await;
    assert_eq!(again.records.len(), 1, "the queue's own pause is much longer");
}

/// SQLSTATEs that a statement over users' rows can meet, one of each disposition and class, and
/// some that only a trigger raises.
const STATES: [&str; 23] = [
    "22001", "22012", "22P02", "23502", "23505", "23514", "23P01", "21000", "44000", "P0001",
    "P0002", "P0004", "42P01", "42501", "25006", "54001", "XX000", "0A000", "53100", "40001",
    "54000", "45000", "ZZ001",
];

#[tokio::test]
async fn the_database_rejects_the_same_sqlstates_as_the_error_table() {
    let world = World::with(
        "CREATE TABLE t (id integer PRIMARY KEY, state text);
         CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS $$
         BEGIN
             RAISE EXCEPTION USING ERRCODE = NEW.state, MESSAGE = 'by request';
         END $$;
         CREATE TRIGGER fail BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION fail()",
    )
    .await;
    for (id, state) in STATES.iter().enumerate() {
        let error = DataApiError {
            operation: "BatchExecuteStatement",
            commits: false,
            fault: DataApiFault::Sql(SqlState((*state).to_owned())),
            message: String::new(),
        };
        let write = write(&world.catalog, &format!("insert t id={id} state={state}"));
        let response = world.apply(event(&[Envelope::of("m", "a", vec![write])])).await.unwrap();
        let found = world
            .rows(&format!("SELECT outcome, sqlstate FROM sync.write WHERE key = '{id}'"))
            .await;
        if error.disposition() == Disposition::Reject {
            assert_eq!(found, [format!("rejected|{state}")]);
            assert_eq!(left(&response), [""; 0], "{state}");
        } else {
            assert_eq!(found, [""; 0], "{state}");
            assert_eq!(left(&response), ["m"], "{state}");
        }
    }
}

#[tokio::test]
async fn every_broken_message_is_settled_at_its_first_delivery() {
    let world = World::with(STAFF).await;
    let good = serde_json::to_value(write(&world.catalog, "insert staff id=0010 name=x")).unwrap();
    let mut bodies: Vec<String> = [
        "",
        "null",
        "[]",
        "{}",
        "\u{feff}{}",
        r#"{"version":"1","writes":{}}"#,
        r#"{"version":"1","writes":[1]}"#,
    ]
    .map(str::to_owned)
    .into();
    bodies.push("[".repeat(100_000));
    bodies.push("x".repeat(200_000));
    bodies.push("\0".into());
    for (member, value) in [
        ("id", json!("not a uuid")),
        ("table", json!("no\0where")),
        ("table", json!("x".repeat(100_000))),
        ("operation", json!("truncate")),
        ("key", json!(["other", "\0"])),
        ("row", json!([])),
        ("row", json!([["id", "0011"], ["id", "0012"], ["name", "x"]])),
        ("row", json!([["id", "0011"], ["na\0me", "x"]])),
        ("row", json!([["id", "00\0"], ["name", "x"]])),
        ("row", json!([["id", null], ["name", null], ["age", "\u{ffff}\\\"{},"]])),
        ("accepted_at_ms", json!(i64::MAX)),
        ("accepted_at_ms", json!(i64::MIN)),
        ("accepted_at_ms", json!(1.5)),
        ("fingerprint", json!("\0")),
        ("fingerprint", json!("x".repeat(100_000))),
        ("surplus", json!(1)),
    ] {
        let mut write = good.clone();
        write["id"] = json!(uuid::Uuid::now_v7());
        write[member] = value;
        bodies.push(json!({ "version": "1", "writes": [write] }).to_string());
    }
    for (n, body) in bodies.iter().enumerate() {
        let id = uuid::Uuid::from_u128(n as u128).to_string();
        let mut message = Envelope::raw(&id, "a", body);
        for _ in 0..2 {
            let response = world.apply(event(&[message.clone()])).await.unwrap();
            assert_eq!(
                left(&response),
                [""; 0],
                "{n}: {}",
                body.chars().take(300).collect::<String>()
            );
            message.receive_count += 1;
        }
        assert_eq!(
            world.rows("SELECT count(*) FROM sync.write").await,
            [(n + 1).to_string()],
            "{}",
            body.chars().take(300).collect::<String>()
        );
    }
}
