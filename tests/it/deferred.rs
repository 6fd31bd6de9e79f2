//! Deferred constraints: rows that refer to each other, beside a row that must be rejected.

use aurora_sync::domain::write::Write;

use crate::support::World;
use crate::support::writes::write;

const LEDGER: &str =
    "SELECT table_name, key, operation, outcome, sqlstate FROM sync.write ORDER BY id";

/// The writes of these words.
fn writes(world: &World, texts: &[&str]) -> Vec<Write> {
    texts.iter().map(|text| write(&world.schema.catalog, text)).collect()
}

/// Two tables whose rows refer to each other.
const COUPLE: &str = "CREATE TABLE a (id integer PRIMARY KEY, b integer NOT NULL, note text);
    CREATE TABLE b (id integer PRIMARY KEY, a integer NOT NULL REFERENCES a DEFERRABLE INITIALLY DEFERRED);
    ALTER TABLE ONLY a ADD CONSTRAINT to_b FOREIGN KEY (b) REFERENCES b (id) DEFERRABLE INITIALLY DEFERRED";

#[tokio::test]
async fn a_pair_in_two_tables_is_applied_beside_a_row_that_refers_to_nothing() {
    let world = World::with(COUPLE).await;
    let texts = ["insert a id=1 b=1", "insert a id=9 b=99", "insert b id=1 a=1"];
    world.apply_writes(writes(&world, &texts)).await;
    assert_eq!(
        world.rows(LEDGER).await,
        ["a|1|insert|applied|-", "a|9|insert|rejected|23503", "b|1|insert|applied|-"]
    );
    assert_eq!(world.rows("SELECT a.id, b.id FROM a, b").await, ["1|1"]);
}

#[tokio::test]
async fn an_insert_and_an_update_that_refer_to_each_other_are_applied_beside_a_bad_row() {
    let world = World::with(COUPLE).await;
    world.rows("WITH x AS (INSERT INTO a VALUES (1, 1)) INSERT INTO b VALUES (1, 1)").await;
    let texts = [
        "update a id=1 b=2",
        "insert b id=2 a=2",
        "insert a id=2 b=2",
        "update a id=2 note=later",
        "insert b id=7 a=77",
    ];
    world.apply_writes(writes(&world, &texts)).await;
    assert_eq!(
        world.rows(LEDGER).await,
        [
            "a|1|update|applied|-",
            "b|2|insert|applied|-",
            "a|2|insert|applied|-",
            "a|2|update|applied|-",
            "b|7|insert|rejected|23503"
        ]
    );
    assert_eq!(world.rows("SELECT id, b, note FROM a ORDER BY id").await, ["1|2|-", "2|2|later"]);
}

#[tokio::test]
async fn a_pair_whose_half_is_bad_is_rejected_whole() {
    let world = World::with(COUPLE).await;
    // The second pair needs a row that is rejected.
    let texts = [
        "insert a id=1 b=1",
        "insert b id=1 a=1",
        "insert a id=2 b=2",
        "insert b id=2 a=3",
        "insert a id=4 b=99",
    ];
    world.apply_writes(writes(&world, &texts)).await;
    let outcomes = "SELECT table_name, key, outcome FROM sync.write ORDER BY id";
    assert_eq!(
        world.rows(outcomes).await,
        ["a|1|applied", "b|1|applied", "a|2|rejected", "b|2|rejected", "a|4|rejected"]
    );
}
