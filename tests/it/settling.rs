//! How a delivery is settled: the number of calls, what folds, versions, Idempotency-Keys, references.

use aurora_sync::write::{Write, fingerprint};
use serde_json::json;
use uuid::Uuid;

use crate::support::writes::write;
use crate::support::{STAFF, World};

const LEDGER: &str = "SELECT key, operation, outcome, rule, sqlstate FROM sync.write ORDER BY id";

/// The writes of these words.
fn writes(world: &World, texts: &[&str]) -> Vec<Write> {
    texts.iter().map(|text| write(&world.schema.catalog, text)).collect()
}

/// Delivers writes in ten messages or fewer, and gives the number of calls of the Data API.
async fn calls(world: &World, writes: Vec<Write>) -> u64 {
    world.server.counters().reset();
    assert!(world.apply_writes(writes).await.batch_item_failures.is_empty());
    world.server.counters().all_calls()
}

#[tokio::test]
async fn mixed_operations_on_one_table_cost_one_call() {
    let world = World::with(STAFF).await;
    let texts = [
        "insert staff id=0010 name=a",
        "insert staff id=0011 name=a age=1",
        "upsert staff id=0001 name=b",
        "upsert staff id=0012 name=b age=2",
        "ignore staff id=0002 name=c",
        "update staff id=0002 name=d",
        "update staff id=0003 age",
        "delete staff id=0010",
        "insert staff id=0010 name=again",
        "delete staff id=0003",
    ];
    assert_eq!(calls(&world, writes(&world, &texts)).await, 1);
    assert_eq!(
        world.rows("SELECT id, name, age FROM staff ORDER BY id").await,
        ["0001|b|12", "0002|d|34", "0010|again|-", "0011|a|1", "0012|b|2"]
    );
}

#[tokio::test]
async fn a_delivery_costs_five_calls_whatever_the_number_of_its_bad_rows() {
    let world =
        World::with("CREATE TABLE t (id integer PRIMARY KEY, a integer CHECK (a <> 13))").await;
    let mut first = 0;
    for bad in [1, 50, 1_000] {
        let texts: Vec<_> = (first..first + 1_000)
            .map(|id| format!("insert t id={id} a={}", if (id - first) < bad { 13 } else { 1 }))
            .collect();
        let texts: Vec<_> = texts.iter().map(String::as_str).collect();
        assert_eq!(calls(&world, writes(&world, &texts)).await, 5, "{bad} bad rows");
        first += 1_000;
        assert_eq!(
            world
                .rows(&format!(
                    "SELECT count(*) FILTER (WHERE outcome = 'rejected'), count(*) FROM sync.write
                    WHERE key::integer >= {}",
                    first - 1_000
                ))
                .await,
            [format!("{bad}|1000")]
        );
    }
    assert_eq!(world.rows("SELECT count(*) FROM t").await, ["1949"]);
}

#[tokio::test]
async fn a_rejected_write_keeps_its_payload_and_its_reason() {
    let world = World::with(
        "CREATE TABLE t (id integer PRIMARY KEY, a text[], b json, c text CONSTRAINT never CHECK (c <> 'x'))",
    )
    .await;
    let mut bad =
        writes(&world, &["insert t id=1 a={1,NULL} b={\"k\":[1]} c=x", "update t id=2 c"]);
    bad.extend(writes(&world, &["insert t id=3 c=fine"]));
    world.apply_writes(bad).await;
    assert_eq!(
        world
            .rows(
                "SELECT key, rule, sqlstate, constraint_name, payload::jsonb::text FROM sync.write
                WHERE outcome = 'rejected' ORDER BY id"
            )
            .await,
        [
            r#"1|database|23514|never|{"row": {"a": "{1,NULL}", "b": "{\"k\":[1]}", "c": "x", "id": "1"}, "table": "t", "operation": "insert"}"#,
            r#"2|row-missing|-|-|{"row": {"c": null, "id": "2"}, "table": "t", "operation": "update"}"#,
        ]
    );
}

#[tokio::test]
async fn a_thousand_updates_of_one_row_become_one() {
    let world = World::with(STAFF).await;
    let texts: Vec<_> = (0..1_000).map(|n| format!("update staff id=0001 age={n}")).collect();
    let texts: Vec<_> = texts.iter().map(String::as_str).collect();
    let updates = writes(&world, &texts);
    // The ledger is asked first, lest a settled one be done again as a part of the fold.
    assert_eq!(calls(&world, updates.clone()).await, 4);
    assert_eq!(world.rows("SELECT age FROM staff WHERE id = '0001'").await, ["999"]);
    assert_eq!(
        world.rows("SELECT outcome, count(*) FROM sync.write GROUP BY outcome").await,
        ["applied|1000"]
    );
    // A second delivery with one more: only that one is done.
    world.rows("UPDATE staff SET age = -1, name = 'since then' WHERE id = '0001'").await;
    let mut again = updates;
    again.extend(writes(&world, &["update staff id=0001 name=new"]));
    world.apply_writes(again).await;
    assert_eq!(world.rows("SELECT name, age FROM staff WHERE id = '0001'").await, ["new|-1"]);
}

#[tokio::test]
async fn folded_updates_of_a_missing_row_are_rejected_each_with_its_payload() {
    let world = World::with(STAFF).await;
    world
        .apply_writes(writes(
            &world,
            &["update staff id=7777 age=1", "update staff id=7777 name=x"],
        ))
        .await;
    assert_eq!(
        world
            .rows(
                "SELECT rule, payload::json->'row'->>'age', payload::json->'row'->>'name'
                FROM sync.write ORDER BY id"
            )
            .await,
        ["row-missing|1|-", "row-missing|-|x"]
    );
}

#[tokio::test]
async fn an_older_version_is_superseded() {
    let world = World::with(
        "CREATE TABLE t (id integer PRIMARY KEY, v bigint, a text);
         COMMENT ON COLUMN t.v IS '@sync:version'; INSERT INTO t VALUES (1, 5, 'five'), (2, NULL, 'none')",
    )
    .await;
    for (text, outcome, row) in [
        ("update t id=1 v=4 a=four", "superseded", "5|five"),
        ("update t id=1 v=5 a=five", "unchanged", "5|five"),
        ("update t id=1 v=5 a=other", "superseded", "5|five"),
        ("update t id=1 v=6 a=six", "applied", "6|six"),
        ("upsert t id=1 v=6 a=six", "unchanged", "6|six"),
        ("upsert t id=1 v=3 a=three", "superseded", "6|six"),
        ("upsert t id=1 v=7 a=seven", "applied", "7|seven"),
        ("update t id=1 a=versionless", "rejected", "7|seven"),
        ("update t id=2 v=1 a=first", "applied", "7|seven"),
        ("update t id=9 v=1 a=x", "rejected", "7|seven"),
        ("upsert t id=3 v=1 a=new", "applied", "7|seven"),
        ("delete t id=1", "applied", ""),
    ] {
        let write = write(&world.schema.catalog, text);
        let id = write.id;
        world.apply_writes(vec![write]).await;
        let found = world.rows(&format!("SELECT outcome FROM sync.write WHERE id = '{id}'")).await;
        assert_eq!(found, [outcome], "{text}");
        assert_eq!(world.rows("SELECT v, a FROM t WHERE id = 1").await.concat(), row, "{text}");
    }
    assert_eq!(world.rows("SELECT id, v, a FROM t ORDER BY id").await, ["2|1|first", "3|1|new"]);
}

/// A write under an id that its Idempotency-Key gives.
fn keyed(world: &World, id: u128, text: &str) -> Write {
    let mut write = write(&world.schema.catalog, text);
    write.id = Uuid::new_v8(id.to_be_bytes());
    write.fingerprint =
        Some(fingerprint(&write.table, write.operation, write.key.as_ref(), &write.row));
    write
}

#[tokio::test]
async fn another_payload_under_a_used_idempotency_key_is_rejected_and_never_applied() {
    let world = World::with(STAFF).await;
    let first = keyed(&world, 1, "insert staff id=0010 name=first");
    let other = keyed(&world, 1, "insert staff id=0011 name=other");
    let again = first.clone();
    // In deliveries of their own, in one delivery, and each again.
    assert_eq!(calls(&world, vec![first.clone()]).await, 1);
    assert_eq!(calls(&world, vec![other.clone()]).await, 1);
    let in_one =
        [keyed(&world, 2, "update staff id=0001 age=1"), keyed(&world, 2, "delete staff id=0001")];
    world.apply_writes(in_one.to_vec()).await;
    world.apply_writes([vec![again, other.clone()], in_one.to_vec()].concat()).await;
    assert_eq!(
        world
            .rows("SELECT key, operation, outcome, rule FROM sync.write ORDER BY key, operation")
            .await,
        [
            "0001|delete|rejected|idempotency-key-reused",
            "0001|update|applied|-",
            "0010|insert|applied|-",
            "0011|insert|rejected|idempotency-key-reused",
        ]
    );
    assert_eq!(world.rows("SELECT id FROM staff WHERE id IN ('0001', '0011')").await, ["0001"]);
    // Each payload's own status URL tells of that payload; the id alone, of the first.
    for (fingerprint, outcome, rule) in [
        (format!("?fingerprint={}", first.fingerprint.as_ref().unwrap()), "applied", json!(null)),
        (
            format!("?fingerprint={}", other.fingerprint.as_ref().unwrap()),
            "rejected",
            json!("idempotency-key-reused"),
        ),
        ("?fingerprint=00".to_owned(), "pending", json!(null)),
        (String::new(), "applied", json!(null)),
    ] {
        let status = world.read(&format!("/_sync/writes/{}{fingerprint}", first.id), &[]).await;
        assert_eq!(status.json()["outcome"], outcome, "{fingerprint}");
        assert_eq!(status.json()["rule"], rule, "{fingerprint}");
    }
    let wrong = world.read(&format!("/_sync/writes/{}?fingerprnt=00", first.id), &[]).await;
    assert_eq!(wrong.status, 400);
    // With the payload.
    let fingerprint = other.fingerprint.unwrap();
    assert_eq!(
        world
            .rows(&format!(
                "SELECT payload::json->'row'->>'name' FROM sync.write
                WHERE id = sync.reused_id('{}', '{fingerprint}')",
                other.id
            ))
            .await,
        ["other"]
    );
}

#[tokio::test]
async fn a_bad_row_does_not_hide_a_reused_idempotency_key() {
    let world = World::with(STAFF).await;
    world.apply_writes(vec![keyed(&world, 1, "insert staff id=0010 name=first")]).await;
    world
        .apply_writes(vec![
            keyed(&world, 1, "insert staff id=0011 name=other"),
            keyed(&world, 2, "insert staff id=0001 name=duplicate"),
            keyed(&world, 3, "insert staff id=0012 name=good"),
        ])
        .await;
    assert_eq!(
        world.rows("SELECT key, outcome, rule, sqlstate FROM sync.write ORDER BY key").await,
        [
            "0001|rejected|database|23505",
            "0010|applied|-|-",
            "0011|rejected|idempotency-key-reused|-",
            "0012|applied|-|-",
        ]
    );
}

#[tokio::test]
async fn rows_that_refer_to_each_other_settle_in_one_delivery() {
    let world = World::with(
        "CREATE TABLE child (id integer PRIMARY KEY, parent integer NOT NULL);
         CREATE TABLE parent (id integer PRIMARY KEY);
         ALTER TABLE ONLY child ADD CONSTRAINT c FOREIGN KEY (parent) REFERENCES parent (id)",
    )
    .await;
    let texts = [
        "insert child id=1 parent=1",
        "insert child id=2 parent=2",
        "insert parent id=1",
        "insert parent id=2",
    ];
    assert_eq!(calls(&world, writes(&world, &texts)).await, 1);
    let texts =
        ["delete parent id=1", "delete parent id=2", "delete child id=2", "delete child id=1"];
    assert_eq!(calls(&world, writes(&world, &texts)).await, 1);
    assert_eq!(
        world.rows("SELECT outcome, count(*) FROM sync.write GROUP BY outcome").await,
        ["applied|8"]
    );
    // A parent that a child holds stays, and says so.
    let texts = ["insert parent id=3", "insert child id=3 parent=3", "delete parent id=3"];
    world.apply_writes(writes(&world, &texts)).await;
    assert_eq!(
        world.rows(LEDGER).await[8..],
        ["3|insert|applied|-|-", "3|insert|applied|-|-", "3|delete|rejected|database|23503"]
    );
}

#[tokio::test]
async fn two_rows_with_one_unique_value_are_served_in_the_order_in_which_they_were_accepted() {
    let world = World::with("CREATE TABLE t (id integer PRIMARY KEY, email text UNIQUE)").await;
    world
        .apply_writes(writes(
            &world,
            &["insert t id=9 email=x", "insert t id=1 email=x", "insert t id=5 email=y"],
        ))
        .await;
    assert_eq!(world.rows("SELECT id, email FROM t ORDER BY id").await, ["5|y", "9|x"]);
    assert_eq!(
        world.rows("SELECT constraint_name FROM sync.write WHERE key = '1'").await,
        ["t_email_key"]
    );
}

#[tokio::test]
async fn what_a_trigger_raises_rejects_its_row_and_no_other() {
    let world = World::with(
        "CREATE TABLE t (id integer PRIMARY KEY, a text);
         CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$
         BEGIN
             IF NEW.a = 'bad' THEN RAISE EXCEPTION 'not this one'; END IF;
             RETURN NEW;
         END $$;
         CREATE TRIGGER refuse BEFORE INSERT OR UPDATE ON t FOR EACH ROW EXECUTE FUNCTION refuse()",
    )
    .await;
    let texts = [
        "insert t id=1 a=good",
        "insert t id=2 a=bad",
        "update t id=1 a=bad",
        "update t id=1 a=better",
    ];
    world.apply_writes(writes(&world, &texts)).await;
    assert_eq!(
        world.rows(LEDGER).await,
        [
            "1|insert|applied|-|-",
            "2|insert|rejected|database|P0001",
            "1|update|rejected|database|P0001",
            "1|update|applied|-|-",
        ]
    );
    assert_eq!(world.rows("SELECT a FROM t").await, ["better"]);
}

#[tokio::test]
async fn a_call_never_passes_the_limit_of_the_service() {
    let world = World::with("CREATE TABLE t (id integer PRIMARY KEY, a text)").await;
    // Quotes and backslashes are escaped twice, in the array's literal and in JSON.
    let long = "\"\\".repeat(100_000);
    let texts: Vec<_> = (0..12).map(|id| format!("insert t id={id} a={long}")).collect();
    let texts: Vec<_> = texts.iter().map(String::as_str).collect();
    assert_eq!(calls(&world, writes(&world, &texts)).await, 5, "9.6 MB in three calls");
    assert!(world.server.counters().bytes_in() > 9_600_000);
    assert_eq!(world.rows("SELECT count(*), min(length(a)) FROM t").await, ["12|200000"]);
}

#[tokio::test]
async fn what_an_unknown_type_refuses_is_the_datas_fault_whatever_its_sqlstate() {
    let world = World::with(
        "CREATE TABLE t (id integer PRIMARY KEY, query tsquery, relation regclass, paths jsonpath[])",
    )
    .await;
    let texts = [
        "insert t id=1 query=cat relation=t paths={$.a}",
        "insert t id=2 query=cat_dog",
        "insert t id=3 relation=nowhere",
        "insert t id=4 paths={$.b,$$}",
        "insert t id=5 query=dog",
    ];
    world.apply_writes(writes(&world, &texts)).await;
    assert_eq!(
        world.rows("SELECT key, outcome, sqlstate, column_name FROM sync.write ORDER BY id").await,
        [
            "1|applied|-|-",
            "2|rejected|42601|query",
            "3|rejected|42P01|relation",
            "4|rejected|42601|paths",
            "5|applied|-|-",
        ]
    );
    // A table that is not there is still nobody's data.
    world.rows("DROP TABLE t").await;
    let left = world.apply_writes(writes(&world, &["insert t id=6 query=cat"])).await;
    assert_eq!(left.batch_item_failures.len(), 1);
}
