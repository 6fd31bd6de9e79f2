//! Rows that refer to other rows of the delivery.

use super::{LEDGER, calls, writes};
use crate::support::World;

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
    // The delete of a parent with a child is rejected.
    let texts = ["insert parent id=3", "insert child id=3 parent=3", "delete parent id=3"];
    world.apply_writes(writes(&world, &texts)).await;
    assert_eq!(
        world.rows(LEDGER).await[8..],
        ["3|insert|applied|-|-", "3|insert|applied|-|-", "3|delete|rejected|database|23503"]
    );
}

/// A table that refers to itself, with rows in three generations.
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
async fn parents_and_children_of_several_steps_are_deleted_in_one_delivery() {
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
        // A parent gets its value late, and a child comes before its parent.
        "insert parent id=10 a=1",
        "update parent id=10 code=new",
        "insert child id=10 code=new",
        "insert child id=11 code=newer",
        "insert parent id=11 code=newer",
        // A child leaves its parent by an update, and another by a delete.
        "update child id=1 code=new",
        "delete parent id=1",
        "delete child id=2",
        "delete parent id=2",
        // A parent gets another value after its last child has left.
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

const PAIRS: &str = "CREATE TABLE t (id integer PRIMARY KEY, mate integer NOT NULL
    REFERENCES t DEFERRABLE INITIALLY DEFERRED, note text CHECK (note <> 'no'))";

#[tokio::test]
async fn rows_that_refer_to_each_other_are_applied_beside_a_rejected_row() {
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
        // Row 8 refers to the rejected row 3.
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
async fn a_bad_row_rejects_the_row_that_refers_to_it() {
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
