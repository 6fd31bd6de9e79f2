//! Writes to existing rows: versions, and values that are equal but not identical.

use super::writes;
use crate::support::World;
use crate::support::writes::write;

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
        let write = write(&world.catalog, text);
        let id = write.id;
        world.apply_writes(vec![write]).await;
        let found = world.rows(&format!("SELECT outcome FROM sync.write WHERE id = '{id}'")).await;
        assert_eq!(found, [outcome], "{text}");
        assert_eq!(world.rows("SELECT v, a FROM t WHERE id = 1").await.concat(), row, "{text}");
    }
    assert_eq!(world.rows("SELECT id, v, a FROM t ORDER BY id").await, ["2|1|first", "3|1|new"]);
}

#[tokio::test]
async fn an_update_of_the_same_version_with_other_values_is_superseded() {
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

#[tokio::test]
async fn an_upsert_writes_a_value_that_is_equal_but_not_identical() {
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
        let write = write(&world.catalog, &format!("upsert t id=1 {change}"));
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
