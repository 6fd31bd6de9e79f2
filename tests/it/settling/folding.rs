//! Updates of one row that fold, and those that must not.

use super::{LEDGER, calls, writes};
use crate::support::{STAFF, World};

#[tokio::test]
async fn a_thousand_updates_of_one_row_become_one() {
    let world = World::with(STAFF).await;
    let texts: Vec<_> = (0..1_000).map(|n| format!("update staff id=0001 age={n}")).collect();
    let texts: Vec<_> = texts.iter().map(String::as_str).collect();
    let updates = writes(&world, &texts);
    // The ledger is read first, so that the fold contains no settled write.
    assert_eq!(calls(&world, updates.clone()).await, 4);
    assert_eq!(world.rows("SELECT age FROM staff WHERE id = '0001'").await, ["999"]);
    assert_eq!(
        world.rows("SELECT outcome, count(*) FROM sync.write GROUP BY outcome").await,
        ["applied|1000"]
    );
    // A second delivery has one more write, and only that one is applied.
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
async fn updates_of_columns_under_a_check_are_not_folded() {
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
