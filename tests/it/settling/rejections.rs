//! Rejected writes: their payloads and their reasons.

use super::writes;
use crate::support::World;

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
async fn the_first_accepted_of_two_rows_with_one_unique_value_is_applied() {
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
async fn a_value_that_an_unknown_type_refuses_rejects_its_row_for_every_sqlstate() {
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
    // A missing table rejects no row.
    world.rows("DROP TABLE t").await;
    let left = world.apply_writes(writes(&world, &["insert t id=6 query=cat"])).await;
    assert_eq!(left.batch_item_failures.len(), 1);
}

#[tokio::test]
async fn a_row_refused_for_two_reasons_has_the_first_error_of_postgresql() {
    let world = World::with(
        "CREATE TABLE t (id integer PRIMARY KEY, a integer, b text); INSERT INTO t VALUES (1), (2), (3)",
    )
    .await;
    let mut bad = writes(&world, &["insert t id=1", "insert t id=2 a=1", "insert t id=3 a=1"]);
    // An operator can send such a message.
    bad[2].row[1].1 = Some("x".to_owned());
    world.apply_writes(bad).await;
    assert_eq!(
        world.rows("SELECT key, sqlstate FROM sync.write ORDER BY key").await,
        ["1|23505", "2|23505", "3|22P02"]
    );
}
