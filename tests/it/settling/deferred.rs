//! Deferred constraints: rows that refer to each other, beside a row that must be rejected.

use aurora_sync::domain::write::{Precondition, pack};

use super::writes;
use crate::support::histories::{fault, seeds, wait_for_no_transaction};
use crate::support::{World, delivery as delivery_of};

const LEDGER: &str =
    "SELECT table_name, key, operation, outcome, sqlstate FROM sync.write ORDER BY id";

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
async fn a_precondition_is_checked_again_when_writes_are_tried_together() {
    let world = World::with(COUPLE).await;
    let texts = [
        "insert a id=1 b=1",
        "update a id=1 note=later",
        "insert b id=1 a=1",
        "insert a id=9 b=99",
    ];
    let mut writes = writes(&world, &texts);
    // Alone it finds no row, since the first write needs the third one.
    writes[1].precondition = Some(Precondition::IfMatch("*".to_owned()));
    world.apply_writes(writes).await;
    assert_eq!(
        world.rows(LEDGER).await,
        [
            "a|1|insert|applied|-",
            "a|1|update|applied|-",
            "b|1|insert|applied|-",
            "a|9|insert|rejected|23503"
        ]
    );
    assert_eq!(world.rows("SELECT id, b, note FROM a").await, ["1|1|later"]);
}

#[tokio::test]
async fn a_pair_with_a_bad_row_is_rejected() {
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

/// Rows as `(table, id, the id of the other table to which it refers)`.
type Rows = Vec<(&'static str, u32, u32)>;

/// Returns rows whose references form pairs, chains and circles. Some refer to no row.
fn random_rows(random: &mut fastrand::Rng) -> Rows {
    let ids = random.u32(2..9);
    let mut rows: Rows = ["a", "b"]
        .into_iter()
        .flat_map(|table| (1..=ids).map(move |id| (table, id)))
        .map(|(table, id)| (table, id, if random.bool() { id } else { random.u32(1..=ids + 1) }))
        .collect();
    random.shuffle(&mut rows);
    rows.truncate(random.usize(2..=rows.len()));
    rows
}

/// Returns the rows that can all be in the tables: none of them refers to a row that is not among
/// them.
fn closed(mut rows: Rows) -> Rows {
    loop {
        let is_there =
            |(table, id): (&str, u32)| rows.iter().any(|row| (row.0, row.1) == (table, id));
        let other = |table: &str| if table == "a" { "b" } else { "a" };
        let kept: Rows =
            rows.iter().copied().filter(|(table, _, to)| is_there((other(table), *to))).collect();
        if kept.len() == rows.len() {
            return kept;
        }
        rows = kept;
    }
}

/// Applies rows with random references. `AURORA_SYNC_SEEDS=1000` tries a thousand seeds, as in the
/// histories.
#[tokio::test]
async fn exactly_the_rows_with_valid_references_are_applied() {
    let world = World::with(COUPLE).await;
    for seed in seeds(20) {
        let mut random = fastrand::Rng::with_seed(seed);
        let rows = random_rows(&mut random);
        let texts = rows.iter().map(|(table, id, to)| {
            let column = if *table == "a" { "b" } else { "a" };
            format!("insert {table} id={id} {column}={to}")
        });
        let texts: Vec<_> = texts.collect();
        let writes = writes(&world, &texts.iter().map(String::as_str).collect::<Vec<_>>());
        // These two are left out: after them the messages are settled one by one, and the tables
        // have different ones.
        let mut faults = std::iter::repeat_with(|| fault(&mut random));
        let fault = faults
            .find(|fault| !fault.starts_with("timeout") && !fault.contains("UnsupportedResult"))
            .unwrap();
        world.fault(&format!("any@{} {fault}", random.u32(1..9)));
        let messages = pack(writes, 1);
        for delivery in 0.. {
            assert!(delivery < 20, "seed {seed}: {rows:?}");
            let done = world.apply(delivery_of(&messages)).await;
            world.server.faults().clear();
            if done.is_ok_and(|response| response.batch_item_failures.is_empty()) {
                break;
            }
            wait_for_no_transaction(&world, std::time::Duration::from_mins(6)).await;
        }
        let mut expected: Vec<_> =
            closed(rows.clone()).iter().map(|(table, id, _)| format!("{table}|{id}")).collect();
        expected.sort();
        let found = "SELECT 'a', id FROM a UNION ALL SELECT 'b', id FROM b ORDER BY 1, 2";
        assert_eq!(world.rows(found).await, expected, "seed {seed}: {rows:?}");
        let applied =
            "SELECT table_name, key FROM sync.write WHERE outcome = 'applied' ORDER BY 1, 2";
        assert_eq!(world.rows(applied).await, expected, "seed {seed}: {rows:?}");
        world.rows("DELETE FROM sync.write").await;
        world.rows("TRUNCATE a, b").await;
    }
}
