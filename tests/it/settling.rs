//! How a delivery is settled: the number of calls, what folds, versions, Idempotency-Keys, references.

use aurora_sync::domain::write::{Write, fingerprint};
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
async fn mixed_operations_on_one_table_cost_three_calls() {
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
    assert_eq!(calls(&world, writes(&world, &texts)).await, 3);
    assert_eq!(
        world.rows("SELECT id, name, age FROM staff ORDER BY id").await,
        ["0001|b|12", "0002|d|34", "0010|again|-", "0011|a|1", "0012|b|2"]
    );
}

#[tokio::test]
async fn a_delivery_costs_seven_calls_whatever_the_number_of_its_bad_rows() {
    let world =
        World::with("CREATE TABLE t (id integer PRIMARY KEY, a integer CHECK (a <> 13))").await;
    let mut first = 0;
    for bad in [1, 50, 1_000] {
        let texts: Vec<_> = (first..first + 1_000)
            .map(|id| format!("insert t id={id} a={}", if (id - first) < bad { 13 } else { 1 }))
            .collect();
        let texts: Vec<_> = texts.iter().map(String::as_str).collect();
        assert_eq!(calls(&world, writes(&world, &texts)).await, 7, "{bad} bad rows");
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
    assert_eq!(calls(&world, vec![first.clone()]).await, 3);
    assert_eq!(calls(&world, vec![other.clone()]).await, 3);
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
    assert_eq!(calls(&world, writes(&world, &texts)).await, 3);
    let texts =
        ["delete parent id=1", "delete parent id=2", "delete child id=2", "delete child id=1"];
    assert_eq!(calls(&world, writes(&world, &texts)).await, 3);
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

#[tokio::test]
async fn updates_that_a_check_compares_are_not_folded() {
    let world = World::with(
        "CREATE TABLE t (id integer PRIMARY KEY, a integer, b integer, CHECK (a <= b));
         CREATE TABLE of_column (id integer PRIMARY KEY, a integer CHECK (a <= b), b integer);
         INSERT INTO t VALUES (1, 1, 1); INSERT INTO of_column VALUES (1, 5, 5)",
    )
    .await;
    let texts = [
        "update t id=1 a=5",
        "update t id=1 b=10",
        "update of_column id=1 b=0",
        "update of_column id=1 b=10",
    ];
    world.apply_writes(writes(&world, &texts)).await;
    assert_eq!(
        world.rows("SELECT a, b FROM t UNION ALL SELECT a, b FROM of_column").await,
        ["1|10", "5|10"]
    );
    assert_eq!(
        world.rows(LEDGER).await,
        [
            "1|update|rejected|database|23514",
            "1|update|applied|-|-",
            "1|update|rejected|database|23514",
            "1|update|applied|-|-",
        ]
    );
}

#[tokio::test]
async fn a_trigger_sees_each_update_of_a_row() {
    let world = World::with(
        "CREATE TABLE t (id integer PRIMARY KEY, a integer, seen integer NOT NULL DEFAULT 0);
         CREATE FUNCTION count_up() RETURNS trigger LANGUAGE plpgsql AS $$
             BEGIN NEW.seen := OLD.seen + 1; RETURN NEW; END $$;
         CREATE TRIGGER count_up BEFORE UPDATE ON t FOR EACH ROW EXECUTE FUNCTION count_up();
         ALTER TABLE t ADD COLUMN later integer; INSERT INTO t VALUES (1)",
    )
    .await;
    let texts = ["update t id=1 later=1", "update t id=1 later=2", "update t id=1 later=3"];
    world.apply_writes(writes(&world, &texts)).await;
    assert_eq!(world.rows("SELECT later, seen FROM t").await, ["3|3"]);
}

#[tokio::test]
async fn a_value_that_an_index_refuses_is_not_folded_away() {
    let world = World::with(
        "CREATE TABLE t (id integer PRIMARY KEY, a integer); CREATE INDEX ON t ((100 / a));
         INSERT INTO t VALUES (1, 1)",
    )
    .await;
    world.apply_writes(writes(&world, &["update t id=1 a=0", "update t id=1 a=2"])).await;
    assert_eq!(
        world.rows(LEDGER).await,
        ["1|update|rejected|database|22012", "1|update|applied|-|-"]
    );
}

#[tokio::test]
async fn an_upsert_writes_a_value_that_is_equal_but_not_the_same() {
    let world = World::with(
        "CREATE COLLATION any_case (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
         CREATE TYPE pair AS (a numeric, b text);
         CREATE TABLE t (id integer PRIMARY KEY, n numeric, i interval, f float8, j jsonb, a numeric[],
             name text COLLATE any_case, p pair, x json, price numeric(8,2), code char(4), at timestamp(0));
         INSERT INTO t VALUES (1, 1.0, '1 mon', 0, '{\"a\": 1.0}', '{1.0}', 'abc', '(1.0,b)', '1', 1.5, 'ab', '2026-01-01')",
    )
    .await;
    for (change, outcome) in [
        (
            "n=1.0 i=1_mon f=0 j={\"a\":1.0} a={1.0} name=abc p=(1.0,b) x=1 price=1.500 code=ab",
            "unchanged",
        ),
        ("n=1.00", "applied"),
        ("i=30_days", "applied"),
        ("f=-0", "applied"),
        ("j={\"a\":1.00}", "applied"),
        ("a={1.00}", "applied"),
        ("name=ABC", "applied"),
        ("p=(1.00,b)", "applied"),
        ("x=1.0", "applied"),
        ("price=1.5", "unchanged"),
        ("code=ab__", "unchanged"),
        ("at=2026-01-01T00:00:00Z", "unchanged"),
    ] {
        let write = write(&world.schema.catalog, &format!("upsert t id=1 {change}"));
        let id = write.id;
        world.apply_writes(vec![write]).await;
        let found = world.rows(&format!("SELECT outcome FROM sync.write WHERE id = '{id}'")).await;
        assert_eq!(found, [outcome], "{change}");
    }
    assert_eq!(
        world
            .rows(
                "SELECT n::text, i::text, f::text, j::text, a::text, name, p::text, x::text FROM t"
            )
            .await,
        ["1.00|30 days|-0|{\"a\": 1.00}|{1.00}|ABC|(1.00,b)|1.0"]
    );
}

#[tokio::test]
async fn a_version_that_stands_with_an_equal_but_other_value_is_superseded() {
    let world = World::with(
        "CREATE TABLE t (id integer PRIMARY KEY, v bigint, i interval, price numeric(8,2));
         COMMENT ON COLUMN t.v IS '@sync:version'; INSERT INTO t VALUES (1, 5, '1 mon', 1.5)",
    )
    .await;
    let texts = ["update t id=1 v=5 i=1_mon price=1.5", "update t id=1 v=5 i=30_days"];
    world.apply_writes(writes(&world, &texts)).await;
    assert_eq!(
        world.rows("SELECT outcome FROM sync.write ORDER BY id").await,
        ["unchanged", "superseded"]
    );
}

/// A table that refers to itself, filled with a child of a parent.
const NODE: &str =
    "CREATE TABLE node (id integer PRIMARY KEY, parent integer REFERENCES node, a integer);
    INSERT INTO node VALUES (1, NULL, 0), (2, 1, 0), (3, 2, 0)";

#[tokio::test]
async fn rows_of_a_table_that_refers_to_itself_are_deleted_in_the_order_of_their_deletes() {
    let world = World::with(NODE).await;
    let texts = [
        "update node id=3 a=1",
        "update node id=3 a",
        "delete node id=3",
        "update node id=2 a=1",
        "delete node id=2",
        "delete node id=1",
    ];
    world.apply_writes(writes(&world, &texts)).await;
    assert_eq!(world.rows("SELECT DISTINCT outcome FROM sync.write").await, ["applied"]);
    assert_eq!(world.rows("SELECT id FROM node").await, Vec::<String>::new());
}

#[tokio::test]
async fn more_rows_than_one_step_holds_are_deleted_with_their_parents() {
    let world = World::with(
        "CREATE TABLE node (id integer PRIMARY KEY, parent integer REFERENCES node);
         INSERT INTO node SELECT n, nullif(n - 1, 0) FROM generate_series(1, 1500) n",
    )
    .await;
    let texts: Vec<_> = (1..=1_500).rev().map(|id| format!("delete node id={id}")).collect();
    let texts: Vec<_> = texts.iter().map(String::as_str).collect();
    world.apply_writes(writes(&world, &texts)).await;
    assert_eq!(
        world.rows("SELECT outcome, count(*) FROM sync.write GROUP BY 1").await,
        ["applied|1500"]
    );
}

#[tokio::test]
async fn rows_of_tables_that_refer_to_each_other_are_deleted_in_the_order_of_their_deletes() {
    let world = World::with(
        "CREATE TABLE a (id integer PRIMARY KEY, b integer, n integer);
         CREATE TABLE b (id integer PRIMARY KEY, a integer REFERENCES a, n integer);
         ALTER TABLE a ADD FOREIGN KEY (b) REFERENCES b;
         INSERT INTO b VALUES (1); INSERT INTO a VALUES (1, 1); INSERT INTO b VALUES (2, 1)",
    )
    .await;
    let texts = ["update b id=2 n=1", "delete b id=2", "delete a id=1", "delete b id=1"];
    world.apply_writes(writes(&world, &texts)).await;
    assert_eq!(world.rows("SELECT DISTINCT outcome FROM sync.write").await, ["applied"]);
}

#[tokio::test]
async fn a_reference_to_a_unique_column_orders_rows_by_its_values() {
    let world = World::with(
        "CREATE TABLE parent (id integer PRIMARY KEY, code text UNIQUE, a integer);
         CREATE TABLE child (id integer PRIMARY KEY, code text REFERENCES parent (code));
         INSERT INTO parent VALUES (1, 'old'), (2, 'gone'), (3, 'was');
         INSERT INTO child VALUES (1, 'old'), (2, 'gone'), (3, 'was')",
    )
    .await;
    let texts = [
        // A parent that gets its value late, and a child that comes before its parent.
        "insert parent id=10 a=1",
        "update parent id=10 code=new",
        "insert child id=10 code=new",
        "insert child id=11 code=newer",
        "insert parent id=11 code=newer",
        // A child that lets its parent go, by an update and by a delete.
        "update child id=1 code=new",
        "delete parent id=1",
        "delete child id=2",
        "delete parent id=2",
        // A parent that takes another value, once nobody has the old one.
        "update child id=3 code=new",
        "update parent id=3 code=is",
    ];
    world.apply_writes(writes(&world, &texts)).await;
    assert_eq!(
        world
            .rows("SELECT key, operation, reason FROM sync.write WHERE outcome <> 'applied'")
            .await,
        Vec::<String>::new()
    );
    assert_eq!(
        world.rows("SELECT id, code FROM child ORDER BY id").await,
        ["1|new", "3|new", "10|new", "11|newer"]
    );
}

/// A trigger that leaves out what says so, and spells some keys in its own way.
const SKIPPING: &str = "CREATE TABLE t (id integer PRIMARY KEY, a text);
    CREATE TABLE numbered (id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY, a text);
    CREATE FUNCTION skip() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            IF TG_OP = 'DELETE' THEN RETURN CASE WHEN OLD.a = 'kept' THEN NULL ELSE OLD END; END IF;
            IF NEW.a = 'skip' THEN RETURN NULL; END IF;
            IF NEW.a = 'moved' THEN NEW.id := NEW.id + 1000; END IF;
            RETURN NEW;
        END $$;
    CREATE TRIGGER skip BEFORE INSERT OR UPDATE OR DELETE ON t FOR EACH ROW EXECUTE FUNCTION skip();
    CREATE TRIGGER skip BEFORE INSERT ON numbered FOR EACH ROW EXECUTE FUNCTION skip();
    INSERT INTO t VALUES (1, 'kept'), (2, 'old')";

#[tokio::test]
async fn what_a_trigger_leaves_out_is_unchanged() {
    let world = World::with(SKIPPING).await;
    for (texts, outcomes) in [
        (vec!["insert t id=10 a=x", "insert t id=11 a=skip"], vec!["applied", "unchanged"]),
        (vec!["insert t id=12 a=skip"], vec!["unchanged"]),
        (
            vec!["insert t id=13 a=moved", "insert t id=14 a=skip", "insert t id=15 a=x"],
            vec!["applied", "unchanged", "applied"],
        ),
        (
            vec!["upsert t id=2 a=skip", "upsert t id=16 a=skip", "upsert t id=17 a=x"],
            vec!["unchanged", "unchanged", "applied"],
        ),
        (vec!["upsert t id=18 a=moved"], vec!["applied"]),
        (
            vec!["ignore t id=19 a=skip", "ignore t id=2 a=x", "ignore t id=20 a=x"],
            vec!["unchanged", "unchanged", "applied"],
        ),
        (
            vec!["update t id=2 a=skip", "update t id=99 a=skip", "update t id=2 a=new"],
            vec!["unchanged", "rejected", "applied"],
        ),
        (vec!["delete t id=1", "delete t id=2"], vec!["unchanged", "applied"]),
        (
            vec!["insert numbered a=x", "insert numbered a=skip", "insert numbered a=y"],
            vec!["applied", "unchanged", "applied"],
        ),
    ] {
        world.rows("DELETE FROM sync.write").await;
        world.apply_writes(writes(&world, &texts)).await;
        let found = world.rows("SELECT outcome FROM sync.write ORDER BY id").await;
        assert_eq!(found, outcomes, "{texts:?}");
    }
    assert_eq!(
        world.rows("SELECT id, a FROM t ORDER BY id").await,
        ["1|kept", "10|x", "15|x", "17|x", "20|x", "1013|moved", "1018|moved"]
    );
    assert_eq!(world.rows("SELECT a FROM numbered ORDER BY id").await, ["x", "y"]);
    assert_eq!(
        world.rows("SELECT count(*) FROM sync.write WHERE payload IS NOT NULL").await,
        ["0"]
    );
}

#[tokio::test]
async fn only_an_update_of_no_row_is_rejected_as_row_missing() {
    let world = World::with(&format!(
        "{SKIPPING}; CREATE TABLE versioned (id integer PRIMARY KEY, v integer, a text);
         COMMENT ON COLUMN versioned.v IS '@sync:version'; INSERT INTO versioned VALUES (1, 5, 'x');
         CREATE TRIGGER skip BEFORE UPDATE ON versioned FOR EACH ROW EXECUTE FUNCTION skip()",
    ))
    .await;
    let texts = [
        "update t id=2 a=skip",
        "update t id=3 a=skip",
        "update versioned id=1 v=4 a=skip",
        "update versioned id=1 v=5 a=x",
        "update versioned id=1 v=6 a=skip",
        "upsert versioned id=1 v=7 a=skip",
    ];
    world.apply_writes(writes(&world, &texts)).await;
    assert_eq!(
        world.rows("SELECT outcome, rule, payload IS NOT NULL FROM sync.write ORDER BY id").await,
        [
            "unchanged|-|false",
            "rejected|row-missing|true",
            "superseded|-|false",
            "unchanged|-|false",
            "unchanged|-|false",
            "unchanged|-|false",
        ]
    );
}

const PAIRS: &str = "CREATE TABLE t (id integer PRIMARY KEY, mate integer NOT NULL
    REFERENCES t DEFERRABLE INITIALLY DEFERRED, note text CHECK (note <> 'no'))";

#[tokio::test]
async fn rows_that_refer_to_each_other_stand_where_another_row_is_refused() {
    let world = World::with(PAIRS).await;
    let texts = [
        "insert t id=1 mate=2",
        "insert t id=2 mate=1",
        "insert t id=3 mate=99",
        // A circle of three, and one that refers to it.
        "insert t id=4 mate=5",
        "insert t id=5 mate=6",
        "insert t id=6 mate=4",
        "insert t id=7 mate=6",
        // One of them refers to nothing, so that the other one does too.
        "insert t id=8 mate=3",
        "insert t id=9 mate=9",
    ];
    world.apply_writes(writes(&world, &texts)).await;
    assert_eq!(
        world.rows("SELECT key, outcome, sqlstate FROM sync.write ORDER BY key").await,
        [
            "1|applied|-",
            "2|applied|-",
            "3|rejected|23503",
            "4|applied|-",
            "5|applied|-",
            "6|applied|-",
            "7|applied|-",
            "8|rejected|23503",
            "9|applied|-",
        ]
    );
}

#[tokio::test]
async fn a_pair_of_which_one_row_is_bad_is_refused_as_a_pair() {
    let world = World::with(PAIRS).await;
    let texts = [
        "insert t id=1 mate=2 note=no",
        "insert t id=2 mate=1 note=yes",
        "insert t id=3 mate=4 note=yes",
        "insert t id=4 mate=3 note=yes",
    ];
    world.apply_writes(writes(&world, &texts)).await;
    assert_eq!(
        world.rows("SELECT key, outcome, sqlstate FROM sync.write ORDER BY key").await,
        ["1|rejected|23514", "2|rejected|23503", "3|applied|-", "4|applied|-"]
    );
}

#[tokio::test]
async fn a_row_that_is_refused_for_two_reasons_has_the_error_that_postgresql_comes_to_first() {
    let world = World::with(
        "CREATE TABLE t (id integer PRIMARY KEY, a integer, b text); INSERT INTO t VALUES (1), (2), (3)",
    )
    .await;
    let mut bad = writes(&world, &["insert t id=1", "insert t id=2 a=1", "insert t id=3 a=1"]);
    // A queue can be fed by hand.
    bad[2].row[1].1 = Some("x".to_owned());
    world.apply_writes(bad).await;
    assert_eq!(
        world.rows("SELECT key, sqlstate FROM sync.write ORDER BY key").await,
        ["1|23505", "2|23505", "3|22P02"]
    );
}
