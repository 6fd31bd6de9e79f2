//! The status of a write shows no values that look-ups may not read.

use serde_json::Value;

use crate::support::World;
use crate::support::writes::write;

const STAFF: &str = "CREATE TABLE staff (
    id char(4) PRIMARY KEY,
    name text NOT NULL,
    salary money
);";

const WITHHELD: &str = "The message is withheld, since sync_reader may not read all that it can hold: see the column \
                        reason of sync.write.";

/// Returns the status of a write after a change of the database.
async fn status(tables: &str, text: &str, change: &str) -> Value {
    let world = World::with(tables).await;
    let write = write(&world.catalog, text);
    let address = format!("/_sync/writes/{}", write.id);
    world.apply_writes(vec![write]).await;
    world.run(change).await;
    world.read(&address, &[]).await.json()
}

const REFUSED: &str = "insert staff id=0002 name=Lambda salary=plenty";

#[tokio::test]
async fn a_status_of_a_table_that_is_read_whole_shows_all() {
    let status = status(STAFF, REFUSED, "").await;
    assert!(status["reason"].as_str().unwrap().contains("\"plenty\""), "{status}");
    assert_eq!(status["key"], "0002");
}

#[tokio::test]
async fn a_status_shows_no_value_of_a_hidden_column() {
    let hide = "REVOKE SELECT ON staff FROM sync_reader; GRANT SELECT (id) ON staff TO sync_reader";
    let status = status(STAFF, REFUSED, hide).await;
    assert_eq!(status["reason"], WITHHELD);
    assert_eq!(status["key"], "0002");
    assert_eq!(status["sqlstate"], "22P02");
}

#[tokio::test]
async fn a_status_shows_no_key_that_is_not_readable() {
    for hide in [
        "REVOKE SELECT ON staff FROM sync_reader; GRANT SELECT (name, salary) ON staff TO sync_reader",
        "ALTER TABLE staff ENABLE ROW LEVEL SECURITY",
        "DROP TABLE staff",
    ] {
        let status = status(STAFF, REFUSED, hide).await;
        assert_eq!((&status["key"], &status["reason"]), (&Value::Null, &WITHHELD.into()), "{hide}");
    }
}

#[tokio::test]
async fn a_reason_of_the_worker_is_shown() {
    let status = status(
        STAFF,
        "update staff id=0009 name=Nobody",
        "REVOKE SELECT ON staff FROM sync_reader",
    )
    .await;
    assert_eq!(
        (&status["rule"], &status["reason"]),
        (
            &"row-missing".into(),
            &"there is no row with this key: PUT and PATCH only update, POST creates".into()
        )
    );
}

#[tokio::test]
async fn a_status_of_an_insert_whose_key_exists_says_what_helps() {
    let tables = "CREATE TABLE staff (id integer PRIMARY KEY, email text UNIQUE);
        INSERT INTO staff VALUES (1, 'a');";
    let hint = async |text: &str| status(tables, text, "").await["hint"].clone();
    assert_eq!(
        hint("insert staff id=1 email=b").await,
        "PUT updates the row that has the key; POST with Prefer: resolution=merge-duplicates inserts or updates."
    );
    // Neither would help against another unique column.
    assert_eq!(hint("insert staff id=2 email=a").await, Value::Null);
}

#[tokio::test]
async fn a_status_does_not_name_a_table_that_is_not_offered() {
    let tables = "CREATE TABLE customer (id integer PRIMARY KEY);
        CREATE TABLE orders (id integer PRIMARY KEY, customer integer REFERENCES customer);";
    let rows = "INSERT INTO customer VALUES (42); INSERT INTO orders VALUES (1, 42);";
    let world = World::with(&format!("{tables}{rows}")).await;
    let write = write(&world.catalog, "delete customer id=42");
    let address = format!("/_sync/writes/{}", write.id);
    world.apply_writes(vec![write]).await;
    let reason = async || world.read(&address, &[]).await.json()["reason"].clone();
    assert!(reason().await.as_str().unwrap().contains("\"orders\""), "{}", reason().await);
    world.run("REVOKE ALL ON orders FROM sync_reader").await;
    assert_eq!(reason().await, WITHHELD);
}
