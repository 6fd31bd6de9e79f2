//! `apply`: each accepted write takes effect once, in order, and has an outcome.

use std::sync::Arc;

use aurora_sync::domain::key::Key;
use aurora_sync::domain::write::{Operation, Write};
use data_api_server::Operation as ServerOperation;
use serde_json::json;
use uuid::Uuid;

use crate::support::{MEASUREMENT, STAFF, World, delivery, sample, sqs_event};

const LEDGER: &str = "SELECT key, operation, outcome, rule, sqlstate FROM sync.write ORDER BY id";
const ROWS: &str = "SELECT id, name, age FROM staff ORDER BY id";

fn write(world: &World, operation: Operation, row: &[(&str, Option<&str>)]) -> Write {
    let table = &world.catalog.tables()[0];
    let row: Vec<_> =
        row.iter().map(|(name, value)| ((*name).to_owned(), value.map(str::to_owned))).collect();
    let cell = |name: &str| row.iter().find(|(column, _)| column == name)?.1.as_deref();
    Write {
        id: Uuid::now_v7(),
        table: table.path(),
        operation,
        key: Key::of_row(table, cell),
        row: row.clone(),
        accepted_at_ms: 1_763_856_000_000,
        fingerprint: None,
        precondition: None,
        caller: Arc::default(),
    }
}

#[tokio::test]
async fn mixed_operations_settle_in_one_batch() {
    let world = World::with(STAFF).await;
    let response = world
        .apply_writes(vec![
            write(
                &world,
                Operation::Insert,
                &[("id", Some("0004")), ("name", Some("Api")), ("age", Some("78"))],
            ),
            write(&world, Operation::Update, &[("id", Some("0001")), ("age", None)]),
            write(&world, Operation::Delete, &[("id", Some("0002"))]),
            write(&world, Operation::Delete, &[("id", Some("9999"))]),
            write(
                &world,
                Operation::Upsert,
                &[("id", Some("0003")), ("name", Some("Dynamo")), ("age", Some("56"))],
            ),
            write(&world, Operation::Upsert, &[("id", Some("0005")), ("name", Some("New"))]),
            write(&world, Operation::InsertIgnore, &[("id", Some("0001")), ("name", Some("No"))]),
            write(&world, Operation::Update, &[("id", Some("8888")), ("name", Some("Nobody"))]),
        ])
        .await;
    assert!(response.batch_item_failures.is_empty());
    assert_eq!(
        world.rows(ROWS).await,
        ["0001|Aurora|-", "0003|Dynamo|56", "0004|Api|78", "0005|New|-"]
    );
    assert_eq!(
        world.rows(LEDGER).await,
        [
            "0004|insert|applied|-|-",
            "0001|update|applied|-|-",
            "0002|delete|applied|-|-",
            "9999|delete|unchanged|-|-",
            "0003|upsert|unchanged|-|-",
            "0005|upsert|applied|-|-",
            "0001|insert_ignore|unchanged|-|-",
            "8888|update|rejected|row-missing|-",
        ]
    );
}

#[tokio::test]
async fn writes_to_one_key_keep_their_order() {
    let world = World::with(STAFF).await;
    let name = |name| [("id", Some("0009")), ("name", Some(name))];
    world
        .apply_writes(vec![
            write(&world, Operation::Insert, &name("first")),
            write(&world, Operation::Update, &name("second")),
            write(&world, Operation::Delete, &[("id", Some("0009"))]),
            write(&world, Operation::Insert, &name("third")),
            write(&world, Operation::Update, &name("last")),
        ])
        .await;
    assert_eq!(world.rows("SELECT name FROM staff WHERE id = '0009'").await, ["last"]);
    assert_eq!(world.rows("SELECT DISTINCT outcome FROM sync.write").await, ["applied"]);
}

#[tokio::test]
async fn a_repeated_delivery_has_no_second_effect() {
    let world = World::with(STAFF).await;
    let writes = vec![
        write(&world, Operation::Insert, &[("id", Some("0004")), ("name", Some("Api"))]),
        write(&world, Operation::Update, &[("id", Some("0001")), ("name", Some("changed"))]),
        write(&world, Operation::Update, &[("id", Some("7777")), ("name", Some("nobody"))]),
    ];
    world.apply_writes(writes.clone()).await;
    let ledger = world.rows(LEDGER).await;
    world.rows("UPDATE staff SET name = 'since then' WHERE id = '0001'").await;
    world.apply_writes(writes).await;
    assert_eq!(world.rows("SELECT name FROM staff WHERE id = '0001'").await, ["since then"]);
    assert_eq!(world.rows(LEDGER).await, ledger);
}

#[tokio::test]
async fn one_bad_row_is_rejected_and_the_others_commit() {
    let world = World::with(STAFF).await;
    let writes = vec![
        write(&world, Operation::Insert, &[("id", Some("0004")), ("name", Some("good"))]),
        write(&world, Operation::Insert, &[("id", Some("0001")), ("name", Some("duplicate"))]),
        write(
            &world,
            Operation::Insert,
            &[("id", Some("0005")), ("name", Some("bad")), ("age", Some("x"))],
        ),
        write(&world, Operation::Insert, &[("id", Some("00006")), ("name", Some("long"))]),
        write(&world, Operation::Insert, &[("id", Some("0007")), ("name", None)]),
        write(&world, Operation::Update, &[("id", Some("0002")), ("age", Some("99999999999"))]),
        write(&world, Operation::Update, &[("id", Some("0003")), ("age", Some("57"))]),
    ];
    let response = world.apply_writes(writes.clone()).await;
    assert!(response.batch_item_failures.is_empty());
    assert_eq!(
        world.rows(ROWS).await,
        ["0001|Aurora|12", "0002|Lambda|34", "0003|Dynamo|57", "0004|good|-"]
    );
    let expected = [
        "0004|insert|applied|-|-",
        "0001|insert|rejected|database|23505",
        "0005|insert|rejected|database|22P02",
        "00006|insert|rejected|database|22001",
        "0007|insert|rejected|database|23502",
        "0002|update|rejected|database|22003",
        "0003|update|applied|-|-",
    ];
    assert_eq!(world.rows(LEDGER).await, expected);
    world.apply_writes(writes).await;
    assert_eq!(world.rows(LEDGER).await, expected);
    assert_eq!(
        world
            .rows("SELECT constraint_name, payload IS NOT NULL FROM sync.write WHERE key = '0001'")
            .await,
        ["staff_pkey|true"]
    );
}

#[tokio::test]
async fn a_deferred_constraint_rejects_only_its_row() {
    let world = World::with(
        "CREATE TABLE part (id integer PRIMARY KEY, of integer REFERENCES part DEFERRABLE INITIALLY DEFERRED)",
    )
    .await;
    world
        .apply_writes(vec![
            write(&world, Operation::Insert, &[("id", Some("1")), ("of", None)]),
            write(&world, Operation::Insert, &[("id", Some("2")), ("of", Some("99"))]),
            write(&world, Operation::Insert, &[("id", Some("3")), ("of", Some("1"))]),
        ])
        .await;
    assert_eq!(world.rows("SELECT id FROM part ORDER BY id").await, ["1", "3"]);
    assert_eq!(
        world.rows(LEDGER).await,
        ["1|insert|applied|-|-", "2|insert|rejected|database|23503", "3|insert|applied|-|-"]
    );
}

#[tokio::test]
async fn every_column_of_the_second_table_arrives_unchanged() {
    let world = World::with(MEASUREMENT).await;
    let sensor = "6f9619ff-8b86-d011-b42d-00c04fc964ff";
    let row = [
        ("sensor", Some(sensor)),
        ("taken at", Some("2026-11-23T01:02:03.456789+02:00")),
        ("amount", Some("12345678.9012")),
        ("is_valid", Some("true")),
        ("extra", Some(r#"{"a":[1,"x\"y\\z",null],"n":12345678901234567890.5}"#)),
        ("tags", Some(r#"{"a b",NULL,"c\"d"}"#)),
        ("note", Some("h\u{e9}llo")),
    ];
    let key = [row[0], ("taken at", Some("2026-01-01"))];
    world
        .apply_writes(vec![
            write(&world, Operation::Insert, &row),
            write(&world, Operation::Upsert, &row),
            write(&world, Operation::Insert, &key),
            write(
                &world,
                Operation::Update,
                &[key[0], key[1], ("tags", Some("{x,y}")), ("note", Some("never"))],
            ),
            write(&world, Operation::Update, &[key[0], key[1], ("tags", Some("{x,y}"))]),
        ])
        .await;
    assert_eq!(
        world
            .rows("SELECT \"taken at\"::text, number > 0, amount::text, is_valid, extra::text, tags::text, note FROM \"Measurement\" ORDER BY number")
            .await,
        [
            r#"2026-11-22 23:02:03.456789+00|true|12345678.9012|true|{"a": [1, "x\"y\\z", null], "n": 12345678901234567890.5}|{"a b",NULL,"c\"d"}|héllo"#,
            "2026-01-01 00:00:00+00|true|1.5000|-|-|{x,y}|-",
        ]
    );
    assert_eq!(
        world.rows("SELECT operation, outcome, constraint_name FROM sync.write ORDER BY id").await,
        [
            "insert|applied|-",
            "upsert|unchanged|-",
            "insert|applied|-",
            "update|rejected|Measurement_note_check",
            "update|applied|-",
        ]
    );
}

#[tokio::test]
async fn an_unreadable_message_is_settled_as_rejected() {
    let world = World::with(STAFF).await;
    let good = write(&world, Operation::Insert, &[("id", Some("0004")), ("name", Some("good"))]);
    let good = aurora_sync::domain::write::pack(vec![good], 1).remove(0).body;
    let messages = [
        ("5e1d7a3c-0000-4000-8000-000000000001", "p0", "{not json"),
        ("5e1d7a3c-0000-4000-8000-000000000002", "p0", good.as_str()),
        ("5e1d7a3c-0000-4000-8000-000000000003", "p0", "{\"version\":\"9\",\"writes\":[]}"),
    ];
    for _ in 0..2 {
        let response = world.apply(sqs_event(&messages)).await.unwrap();
        assert!(response.batch_item_failures.is_empty());
    }
    assert_eq!(
        world
            .rows("SELECT id::text, operation, outcome, rule, payload FROM sync.write WHERE operation = 'unreadable' ORDER BY id")
            .await,
        [
            "5e1d7a3c-0000-4000-8000-000000000001|unreadable|rejected|unreadable|{not json",
            "5e1d7a3c-0000-4000-8000-000000000003|unreadable|rejected|unreadable|{\"version\":\"9\",\"writes\":[]}",
        ]
    );
    assert_eq!(world.rows("SELECT name FROM staff WHERE id = '0004'").await, ["good"]);
}

#[tokio::test]
async fn writes_that_no_longer_fit_the_catalog_are_rejected() {
    let world = World::with(STAFF).await;
    let mut other_table = write(&world, Operation::Insert, &[("id", Some("1"))]);
    other_table.table = "gone".into();
    world
        .apply_writes(vec![
            other_table,
            write(&world, Operation::Insert, &[("id", Some("0004")), ("nope", Some("x"))]),
            write(&world, Operation::Update, &[("name", Some("no key"))]),
            write(&world, Operation::Insert, &[("id", Some("0004")), ("name", Some("a\0b"))]),
        ])
        .await;
    assert_eq!(
        world.rows("SELECT rule FROM sync.write ORDER BY id").await,
        ["unknown-table", "unknown-column", "required", "unsupported-character"]
    );
}

#[tokio::test]
async fn messages_are_retried_later_after_an_outage_and_nothing_is_rejected() {
    let world = World::with(STAFF).await;
    let writes =
        vec![write(&world, Operation::Insert, &[("id", Some("0004")), ("name", Some("x"))])];
    for fault in ["ServiceUnavailableError", "DatabaseUnavailableException", "ThrottlingException"]
    {
        world.fault(&format!("any@1.. fail-before={fault}"));
        let response = world.apply_writes(writes.clone()).await;
        world.server.faults().clear();
        assert_eq!(response.batch_item_failures.len(), 1, "{fault}");
        assert_eq!(world.rows("SELECT count(*) FROM sync.write").await, ["0"]);
    }
    assert!(world.apply_writes(writes).await.batch_item_failures.is_empty());
    assert_eq!(world.rows("SELECT outcome FROM sync.write").await, ["applied"]);
}

#[tokio::test]
async fn a_delivery_whose_commit_has_no_response_takes_effect_once() {
    let world = World::with(STAFF).await;
    let writes =
        vec![write(&world, Operation::Insert, &[("id", Some("0004")), ("name", Some("x"))])];
    world.fault("commit drop-answer");
    world.server.counters().reset();
    // The ledger shows that the commit succeeded, so that no message is retried later.
    assert!(world.apply_writes(writes.clone()).await.batch_item_failures.is_empty());
    assert_eq!(world.server.counters().calls(ServerOperation::Execute), 1);
    assert!(world.apply_writes(writes).await.batch_item_failures.is_empty());
    assert_eq!(world.rows(LEDGER).await, ["0004|insert|applied|-|-"]);
}

#[tokio::test]
async fn a_missing_table_blocks_and_keeps_the_message() {
    let world = World::with(STAFF).await;
    let writes =
        vec![write(&world, Operation::Insert, &[("id", Some("0004")), ("name", Some("x"))])];
    world.rows("ALTER TABLE staff RENAME TO elsewhere").await;
    let event = delivery(&aurora_sync::domain::write::pack(writes, 1));
    assert_eq!(world.apply(event).await.unwrap().batch_item_failures.len(), 1);
    assert_eq!(world.rows("SELECT count(*) FROM sync.write").await, ["0"]);
}

#[tokio::test]
async fn the_sample_events_of_the_queue_are_applied() {
    let world = World::with(STAFF).await;
    let event = serde_json::from_value(sample("sqs-writes")).unwrap();
    assert_eq!(json!(world.apply(event).await.unwrap()), json!({ "batchItemFailures": [] }));
    assert_eq!(world.rows("SELECT DISTINCT outcome FROM sync.write").await, ["applied"]);
    let event = serde_json::from_value(sample("sqs-malformed-body")).unwrap();
    world.apply(event).await.unwrap();
    assert_eq!(
        world.rows("SELECT count(*) FROM sync.write WHERE outcome = 'rejected'").await,
        ["1"]
    );
}
