//! Tables with triggers.

use super::{LEDGER, writes};
use crate::support::World;

#[tokio::test]
async fn an_error_of_a_trigger_rejects_only_its_row() {
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

/// A trigger that skips rows with `skip` and `kept`, and changes the keys of rows with `moved`.
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
async fn a_row_that_a_trigger_skips_is_unchanged() {
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
