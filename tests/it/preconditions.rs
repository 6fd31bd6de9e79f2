//! `If-Match` and `If-None-Match` of writes: the ETag of a row decides when the write is applied.

use std::collections::BTreeSet;

use aurora_sync::domain::write::{Precondition, Write};
use serde_json::{Value, json};

use crate::lookups::EVERYTHING;
use crate::support::write_api::{WriteApi, row_event};
use crate::support::writes::write;
use crate::support::{MEASUREMENT, STAFF, World, sample};

const LEDGER: &str = "SELECT key, operation, outcome, rule, sqlstate FROM sync.write ORDER BY id";
const ROWS: &str = "SELECT id, name, age FROM staff ORDER BY id";

/// Returns the ETag of a row.
async fn tag(world: &World, address: &str) -> String {
    let response = world.read(address, &[]).await;
    assert_eq!(response.status, 200, "{}", response.body);
    response.header("etag").to_owned()
}

fn if_match(world: &World, text: &str, tags: &str) -> Write {
    let precondition = Some(Precondition::IfMatch(tags.to_owned()));
    Write { precondition, ..write(&world.catalog, text) }
}

fn if_none_match(world: &World, text: &str) -> Write {
    Write { precondition: Some(Precondition::IfNoneMatch), ..write(&world.catalog, text) }
}

#[tokio::test]
async fn of_two_updates_with_one_etag_the_first_is_applied() {
    let world = World::with(STAFF).await;
    // In one delivery, and in two.
    for (key, is_one) in [("0001", true), ("0002", false)] {
        let tag = tag(&world, &format!("/staff/{key}")).await;
        let first = if_match(&world, &format!("update staff id={key} name=first"), &tag);
        let second = if_match(&world, &format!("update staff id={key} age=99"), &tag);
        let (first_id, second_id) = (first.id, second.id);
        if is_one {
            world.apply_writes(vec![first, second]).await;
        } else {
            world.apply_writes(vec![first]).await;
            world.apply_writes(vec![second]).await;
        }
        let outcome = async |id| {
            world.rows(&format!("SELECT outcome, rule FROM sync.write WHERE id = '{id}'")).await
        };
        assert_eq!(outcome(first_id).await, ["applied|-"]);
        assert_eq!(outcome(second_id).await, ["rejected|precondition-failed"]);
    }
    assert_eq!(world.rows(ROWS).await, ["0001|first|12", "0002|first|34", "0003|Dynamo|56"]);
}

#[tokio::test]
async fn an_etag_is_valid_until_the_row_changes() {
    let world = World::with(STAFF).await;
    let before = tag(&world, "/staff/0001").await;
    let same = if_match(&world, "update staff id=0001 name=Aurora age=12", &before);
    let change = if_match(&world, "update staff id=0001 age=13", &before);
    world.apply_writes(vec![same, change]).await;
    let after = tag(&world, "/staff/0001").await;
    assert_ne!(after, before);
    let list = format!("\"0123\", {before}, {after}");
    world.apply_writes(vec![if_match(&world, "update staff id=0001 age=14", &list)]).await;
    assert_eq!(world.rows("SELECT DISTINCT outcome FROM sync.write").await, ["applied"]);
    assert_eq!(world.rows("SELECT age FROM staff WHERE id = '0001'").await, ["14"]);
}

#[tokio::test]
async fn an_update_or_a_delete_is_applied_only_to_a_row_that_matches() {
    let world = World::with(STAFF).await;
    let (first, second) = (tag(&world, "/staff/0001").await, tag(&world, "/staff/0002").await);
    let partial = second.get(..10).unwrap();
    world
        .apply_writes(vec![
            if_match(&world, "delete staff id=0001", &second),
            if_match(&world, "delete staff id=0002", &second),
            if_match(&world, "update staff id=0003 age=1", &format!("{partial}, \"\"")),
            if_match(&world, "update staff id=0003 age=1", ""),
            if_match(&world, "update staff id=0003 age=57", "*"),
            if_match(&world, "delete staff id=9999", "*"),
            if_match(&world, "update staff id=9999 age=1", "*"),
            if_match(&world, "update staff id=9999 age=1", &first),
            if_match(&world, "delete staff id=9999", &first),
        ])
        .await;
    assert_eq!(world.rows(ROWS).await, ["0001|Aurora|12", "0003|Dynamo|57"]);
    assert_eq!(
        world.rows(LEDGER).await,
        [
            "0001|delete|rejected|precondition-failed|-",
            "0002|delete|applied|-|-",
            "0003|update|rejected|precondition-failed|-",
            "0003|update|rejected|precondition-failed|-",
            "0003|update|applied|-|-",
            "9999|delete|rejected|precondition-failed|-",
            "9999|update|rejected|precondition-failed|-",
            "9999|update|rejected|precondition-failed|-",
            "9999|delete|rejected|precondition-failed|-",
        ]
    );
}

#[tokio::test]
async fn an_insert_if_absent_leaves_a_row_alone() {
    let world = World::with(STAFF).await;
    world
        .apply_writes(vec![
            if_none_match(&world, "insert staff id=0001 name=again"),
            if_none_match(&world, "insert staff id=0004 name=new"),
            if_none_match(&world, "insert staff id=0004 name=later"),
        ])
        .await;
    assert_eq!(
        world.rows(LEDGER).await,
        [
            "0001|insert|rejected|precondition-failed|-",
            "0004|insert|applied|-|-",
            "0004|insert|rejected|precondition-failed|-",
        ]
    );
    assert_eq!(world.rows(ROWS).await[3..], ["0004|new|-"]);
    assert_eq!(world.rows(ROWS).await[0], "0001|Aurora|12");
}

#[tokio::test]
async fn a_precondition_sees_the_writes_before_it_and_no_others() {
    let world = World::with(STAFF).await;
    let before = tag(&world, "/staff/0001").await;
    let plain = |text: &str| write(&world.catalog, text);
    world.apply_writes(vec![plain("update staff id=0002 name=Aurora age=12")]).await;
    world
        .apply_writes(vec![
            plain("update staff id=0001 age=1"),
            if_match(&world, "update staff id=0001 name=late", &before),
            plain("update staff id=0001 age=12"),
            if_match(&world, "update staff id=0001 name=again", &before),
            plain("update staff id=0001 age=77"),
        ])
        .await;
    let outcomes = "SELECT outcome FROM sync.write WHERE key = '0001' ORDER BY id";
    assert_eq!(
        world.rows(outcomes).await,
        ["applied", "rejected", "applied", "applied", "applied"]
    );
    assert_eq!(world.rows(ROWS).await[0], "0001|again|77");
    assert_ne!(tag(&world, "/staff/0002").await, before, "a tag is of one row");
}

#[tokio::test]
async fn a_repeated_delivery_finds_the_outcome_and_not_the_row() {
    let world = World::with(STAFF).await;
    let before = tag(&world, "/staff/0001").await;
    let change = if_match(&world, "update staff id=0001 age=13", &before);
    let failed = if_match(&world, "delete staff id=0001", &before);
    let created = if_none_match(&world, "insert staff id=0004 name=new");
    let writes = vec![change, failed, created];
    world.apply_writes(writes.clone()).await;
    let (rows, ledger) = (world.rows(ROWS).await, world.rows(LEDGER).await);
    world.rows("UPDATE staff SET age = 12 WHERE id = '0001'").await;
    world.apply_writes(writes).await;
    assert_eq!(world.rows(LEDGER).await, ledger);
    assert_eq!(world.rows(ROWS).await[1..], rows[1..]);
    assert_eq!(world.rows(ROWS).await[0], "0001|Aurora|12");
}

#[tokio::test]
async fn a_commit_without_a_response_applies_a_conditional_update_once() {
    let world = World::with(STAFF).await;
    let before = tag(&world, "/staff/0001").await;
    world.fault("commit@1 drop-answer");
    let response =
        world.apply_writes(vec![if_match(&world, "update staff id=0001 age=13", &before)]).await;
    assert!(response.batch_item_failures.is_empty());
    assert_eq!(world.rows(LEDGER).await, ["0001|update|applied|-|-"]);
}

#[tokio::test]
async fn a_bad_row_does_not_change_the_outcomes_of_preconditions() {
    let world = World::with(STAFF).await;
    let before = tag(&world, "/staff/0001").await;
    world
        .apply_writes(vec![
            write(&world.catalog, "insert staff id=0001 name=duplicate"),
            if_match(&world, "update staff id=0001 age=13", &before),
            if_match(&world, "update staff id=0002 age=35", &before),
            if_match(&world, "update staff id=0003 name", "*"),
            if_none_match(&world, "insert staff id=0004 name"),
            if_none_match(&world, "insert staff id=0003 name=again"),
            if_none_match(&world, "insert staff id=0005 name=new"),
        ])
        .await;
    assert_eq!(
        world.rows(LEDGER).await,
        [
            "0001|insert|rejected|database|23505",
            "0001|update|applied|-|-",
            "0002|update|rejected|precondition-failed|-",
            "0003|update|rejected|database|23502",
            "0004|insert|rejected|database|23502",
            "0003|insert|rejected|precondition-failed|-",
            "0005|insert|applied|-|-",
        ]
    );
    // The payload of a rejected write has its precondition.
    let payload = "SELECT payload::json -> 'row' FROM sync.write WHERE key = '0003' ORDER BY id";
    let payload = world.rows(payload).await;
    let row = |text: &str| serde_json::from_str::<Value>(text).unwrap();
    assert_eq!(row(&payload[0]), json!({"If-Match": "*", "id": "0003", "name": null}));
    assert_eq!(row(&payload[1]), json!({"If-None-Match": "*", "id": "0003", "name": "again"}));
}

#[tokio::test]
async fn rows_that_refer_to_each_other_keep_their_preconditions() {
    let tables = "CREATE TABLE a (id integer PRIMARY KEY, b integer);
        CREATE TABLE b (id integer PRIMARY KEY, a integer REFERENCES a DEFERRABLE INITIALLY DEFERRED);
        ALTER TABLE a ADD FOREIGN KEY (b) REFERENCES b DEFERRABLE INITIALLY DEFERRED;
        INSERT INTO a VALUES (1)";
    let world = World::with(tables).await;
    let row = tag(&world, "/a/1").await;
    world
        .apply_writes(vec![
            // Refers to nothing, so that the commit is refused.
            write(&world.catalog, "insert b id=9 a=9"),
            if_match(&world, "update a id=1 b=1", &row),
            if_none_match(&world, "insert b id=1 a=1"),
            if_match(&world, "update a id=1 b=1", "\"0\""),
            if_none_match(&world, "insert a id=1 b=1"),
        ])
        .await;
    assert_eq!(world.rows("SELECT id, b FROM a").await, ["1|1"]);
    assert_eq!(world.rows("SELECT id, a FROM b").await, ["1|1"]);
    assert_eq!(
        world.rows("SELECT table_name, outcome, rule FROM sync.write ORDER BY id").await,
        [
            "b|rejected|database",
            "a|applied|-",
            "b|applied|-",
            "a|rejected|precondition-failed",
            "a|rejected|precondition-failed",
        ]
    );
}

#[tokio::test]
async fn an_older_version_or_a_trigger_comes_after_the_precondition() {
    let tables = "CREATE TABLE stamped (id integer PRIMARY KEY, v integer, a text);
        COMMENT ON COLUMN stamped.v IS '@sync:version';
        CREATE TABLE guarded (id integer PRIMARY KEY, a text);
        CREATE FUNCTION guard() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
        INSERT INTO stamped VALUES (1, 5, 'x'), (2, 5, 'x'), (3, 5, 'x');
        INSERT INTO guarded VALUES (1, 'x');
        CREATE TRIGGER guard BEFORE INSERT OR UPDATE OR DELETE ON guarded FOR EACH ROW EXECUTE FUNCTION guard();";
    let world = World::with(tables).await;
    let stamped = |n| format!("/stamped/{n}");
    let one = tag(&world, &stamped(1)).await;
    let guarded = tag(&world, "/guarded/1").await;
    world
        .apply_writes(vec![
            if_match(&world, "update stamped id=1 v=4 a=y", &one),
            if_match(&world, "update stamped id=1 v=5 a=x", &one),
            if_match(&world, "update stamped id=2 v=6 a=y", &one),
            if_match(&world, "update stamped id=1 v=6 a=y", &one),
            if_match(&world, "update stamped id=3 v=5 a=x", &one),
            if_match(&world, "update guarded id=1 a=y", &guarded),
            if_match(&world, "delete guarded id=1", &guarded),
            if_match(&world, "delete guarded id=1", &one),
            if_match(&world, "delete guarded id=2", "*"),
            if_none_match(&world, "insert guarded id=1 a=y"),
            if_none_match(&world, "insert guarded id=2 a=y"),
        ])
        .await;
    assert_eq!(
        world.rows("SELECT operation, outcome, rule FROM sync.write ORDER BY id").await,
        [
            "update|superseded|-",
            "update|unchanged|-",
            "update|rejected|precondition-failed",
            "update|applied|-",
            "update|rejected|precondition-failed",
            "update|unchanged|-",
            "delete|unchanged|-",
            "delete|rejected|precondition-failed",
            "delete|rejected|precondition-failed",
            "insert|rejected|precondition-failed",
            // Nothing tells it from one whose key another session has just inserted.
            "insert|rejected|precondition-failed",
        ]
    );
}

#[tokio::test]
async fn the_settings_of_a_session_do_not_change_a_tag() {
    let world = World::with(&format!("{EVERYTHING} {MEASUREMENT}")).await;
    world
        .rows(
            r#"INSERT INTO "Measurement" (sensor, "taken at", extra)
               VALUES ('6f9619ff-8b86-d011-b42d-00c04fc964ff', '2026-11-23 09:30+01', '{"a": 1.50}')"#,
        )
        .await;
    let rows = [
        "/everything/2",
        "/everything/3",
        "/everything/9223372036854775807",
        "/Measurement/6f9619ff-8b86-d011-b42d-00c04fc964ff,2026-11-23T08:30:00Z",
    ];
    let mut before = Vec::new();
    for row in rows {
        before.push(tag(&world, row).await);
    }
    assert_eq!(BTreeSet::from_iter(&before).len(), rows.len());
    // All later sessions of the database write values in other ways.
    for setting in [
        "timezone TO 'Asia/Kolkata'",
        "datestyle TO 'German'",
        "intervalstyle TO 'iso_8601'",
        "extra_float_digits TO -5",
        "bytea_output TO 'escape'",
    ] {
        let name = world.rows("SELECT current_database()::text").await.remove(0);
        world.run(&format!("ALTER DATABASE {name} SET {setting}")).await;
    }
    let world = world.with_new_sessions().await;
    let changed = "SELECT to_json(day)::text, bytes::text FROM everything WHERE id > 3";
    assert!(world.rows(changed).await[0].ends_with("\\000\\377"), "the settings are in force");
    for (row, before) in rows.iter().zip(&before) {
        assert_eq!(tag(&world, row).await, *before, "{row}");
    }
    let update = "update everything id=9223372036854775807 small=1";
    let write = if_match(&world, update, &before[2]);
    world.apply_writes(vec![write]).await;
    assert_eq!(world.rows("SELECT outcome FROM sync.write").await, ["applied"]);
}

#[tokio::test]
async fn each_change_that_a_look_up_shows_changes_the_tag() {
    let world = World::with(EVERYTHING).await;
    let mut tags = vec![tag(&world, "/everything/2").await];
    for change in [
        // Equal values with other texts.
        "exact = '0'",
        "exact = '0.0'",
        "double = '0'",
        "span = '1 mon'",
        "span = '30 days'",
        "data = '{\"a\":1}'",
        "data = '{\"a\": 1}'",
        // The JSON null, and NULL.
        "data = 'null'",
        "data = NULL",
        "words = '{NULL}'",
        "words = '{\"NULL\"}'",
        "note = NULL",
        "note = ''",
    ] {
        world.rows(&format!("UPDATE everything SET {change} WHERE id = 2")).await;
        tags.push(tag(&world, "/everything/2").await);
    }
    // Another name, and another type with the same texts.
    for change in ["RENAME note TO remark", "ALTER small TYPE text"] {
        world.run(&format!("ALTER TABLE everything {change}")).await;
        let mut world = world.with_new_sessions().await;
        world.read_catalog().await;
        tags.push(tag(&world, "/everything/2").await);
    }
    let pairs = tags.windows(2).enumerate();
    let same: Vec<_> = pairs.filter(|(_, pair)| pair[0] == pair[1]).map(|(n, _)| n).collect();
    assert_eq!(same, [0_usize; 0], "{tags:#?}");
}

#[tokio::test]
async fn a_tag_is_of_the_columns_that_look_ups_return() {
    let mut world = World::with(
        "CREATE TABLE person (id integer PRIMARY KEY, name text, secret text, own text);
         INSERT INTO person VALUES (1, 'a', 'b', 'c')",
    )
    .await;
    world.run("REVOKE ALL ON person FROM sync_reader, sync_writer").await;
    world.run("GRANT SELECT (id, name, own) ON person TO sync_reader").await;
    world.run("GRANT SELECT (id, name), UPDATE (name) ON person TO sync_writer").await;
    world.read_catalog().await;
    let before = tag(&world, "/person/1").await;
    world.rows("UPDATE person SET secret = 'c'").await;
    assert_eq!(tag(&world, "/person/1").await, before);
    // The writer may not compare the column "own", so that no tag matches; and nothing is blocked.
    let response = world
        .apply_writes(vec![
            if_match(&world, "update person id=1 name=x", &before),
            if_match(&world, "update person id=1 name=y", "*"),
        ])
        .await;
    assert!(response.batch_item_failures.is_empty());
    let outcomes = "SELECT outcome FROM sync.write ORDER BY id";
    assert_eq!(world.rows(outcomes).await, ["rejected", "applied"]);
    world.run("GRANT SELECT (own) ON person TO sync_writer").await;
    world.read_catalog().await;
    let now = tag(&world, "/person/1").await;
    world.apply_writes(vec![if_match(&world, "update person id=1 name=z", &now)]).await;
    assert_eq!(world.rows(outcomes).await[2], "applied");
}

#[tokio::test]
async fn each_representation_of_a_row_has_its_own_etag_and_each_is_good_for_a_write() {
    let (world, api) = (World::with(STAFF).await, WriteApi::open(STAFF).await);
    let long = "x".repeat(2_000);
    world.rows(&format!("UPDATE staff SET name = '{long}'")).await;
    let mut tags = BTreeSet::new();
    for accept in [
        "application/json",
        "application/x-ndjson",
        "text/csv",
        "application/vnd.amazon.rds-data+json",
    ] {
        for coding in ["identity", "gzip"] {
            let headers = [("accept", accept), ("accept-encoding", coding)];
            tags.insert(world.read("/staff/0001", &headers).await.header("etag").to_owned());
        }
    }
    assert_eq!(tags.len(), 8, "{tags:?}");
    // The tag is the same with `select`, and with the head of `after`.
    assert!(tags.contains(&tag(&world, "/staff/0001?select=age").await));
    for (age, tag) in tags.iter().enumerate() {
        world.rows("UPDATE staff SET age = 12 WHERE id = '0001'").await;
        let headers = [("content-type", "application/json"), ("if-match", tag)];
        let body = json!({ "age": age });
        let response = api.request(row_event("PATCH", "staff", "0001", &headers, &body)).await;
        assert_eq!(response.status, 202, "{}", response.body);
        world.apply(api.queue.drain().await).await.unwrap();
        assert_eq!(
            world.rows("SELECT age FROM staff WHERE id = '0001'").await,
            [age.to_string()],
            "{tag}"
        );
    }
}

#[tokio::test]
async fn a_put_creates_a_row_only_if_there_is_none() {
    let (world, api) = (World::with(STAFF).await, WriteApi::open(STAFF).await);
    let headers = [("content-type", "application/json"), ("if-none-match", "*")];
    for (key, name) in [("0004", "new"), ("0004", "again"), ("0001", "again")] {
        let body = json!({ "name": name });
        let response = api.request(row_event("PUT", "staff", key, &headers, &body)).await;
        assert_eq!(response.status, 202, "{}", response.body);
    }
    world.apply(api.queue.drain().await).await.unwrap();
    assert_eq!(world.rows(ROWS).await[3..], ["0004|new|-"]);
    let rejected = "SELECT key, rule FROM sync.write WHERE outcome = 'rejected' ORDER BY id";
    assert_eq!(
        world.rows(rejected).await,
        ["0004|precondition-failed", "0001|precondition-failed"]
    );
    let mut post = sample("api-post-one");
    post["multiValueHeaders"]["if-none-match"] = json!(["*"]);
    assert_eq!(api.request(post).await.status, 202);
    world.apply(api.queue.drain().await).await.unwrap();
    assert_eq!(world.rows(rejected).await.len(), 3);
}

#[tokio::test]
async fn a_weak_etag_never_matches() {
    let (world, api) = (World::with(STAFF).await, WriteApi::open(STAFF).await);
    let weak = format!("W/{}", tag(&world, "/staff/0001").await);
    let headers = [("if-match", weak.as_str())];
    let response = api.request(row_event("DELETE", "staff", "0001", &headers, &Value::Null)).await;
    assert_eq!(response.status, 202, "{}", response.body);
    world.apply(api.queue.drain().await).await.unwrap();
    assert_eq!(world.rows(LEDGER).await, ["0001|delete|rejected|precondition-failed|-"]);
    let response = world.read("/staff/0001", &[("if-match", &weak)]).await;
    assert_eq!(response.status, 412);
}

#[tokio::test]
async fn a_look_up_with_another_etag_is_412() {
    let world = World::with(STAFF).await;
    for address in ["/staff/0001", "/staff?limit=1"] {
        let own = tag(&world, address).await;
        let both = format!("\"other\", {own}");
        for (header, status) in
            [(own.as_str(), 200), (&both, 200), ("*", 200), ("\"other\"", 412), ("other", 400)]
        {
            let response = world.read(address, &[("if-match", header)]).await;
            assert_eq!(response.status, status, "{address} {header}");
        }
        // If-Match comes before If-None-Match.
        let both = [("if-match", own.as_str()), ("if-none-match", own.as_str())];
        assert_eq!(world.read(address, &both).await.status, 304);
        let both = [("if-match", "\"other\""), ("if-none-match", own.as_str())];
        let response = world.read(address, &both).await;
        assert_eq!(response.status, 412);
        assert_eq!(response.json()["type"], "urn:problem-type:aurora-sync:precondition-failed");
    }
    assert_eq!(world.read("/staff/9999", &[("if-match", "*")]).await.status, 404);
}

/// A table on which triggers may leave changes out, so that a write that changes nothing has two
/// possible reasons.
const GUARDED: &str = "
    CREATE TABLE guarded (id integer PRIMARY KEY, note text, changed integer);
    INSERT INTO guarded VALUES (1, 'a', 1), (2, 'b', 1);
    CREATE FUNCTION pass() RETURNS trigger LANGUAGE plpgsql AS
        'BEGIN IF TG_OP = ''DELETE'' THEN RETURN OLD; END IF; RETURN NEW; END';
    CREATE TRIGGER pass BEFORE INSERT OR UPDATE OR DELETE ON guarded FOR EACH ROW EXECUTE FUNCTION pass();";

#[tokio::test]
async fn a_change_that_another_session_has_just_made_fails_the_precondition() {
    for comment in ["", "COMMENT ON COLUMN guarded.changed IS '@sync:version';"] {
        let world = World::with(&format!("{GUARDED}{comment}")).await;
        let first = tag(&world, "/guarded/1").await;
        let second = tag(&world, "/guarded/2").await;
        let writes = [
            if_match(&world, "update guarded id=1 note=mine changed=5", &first),
            if_match(&world, "delete guarded id=2", &second),
            if_none_match(&world, "insert guarded id=3 note=mine changed=5"),
        ];
        let theirs = [
            "UPDATE guarded SET note = 'theirs' WHERE id = 1",
            "UPDATE guarded SET note = 'theirs' WHERE id = 2",
            "INSERT INTO guarded VALUES (3, 'theirs', 1)",
        ];
        for (write, change) in writes.into_iter().zip(theirs) {
            let mut other = ephemeral_postgres::connect(&world.database_url).await.unwrap();
            let transaction = other.transaction().await.unwrap();
            transaction.batch_execute(change).await.unwrap();
            let waiting = "SELECT EXISTS (SELECT FROM pg_stat_activity
                WHERE datname = current_database() AND wait_event_type = 'Lock')";
            let commit_when_waited_for = async {
                crate::support::until(async || world.rows(waiting).await == ["true"]).await;
                transaction.commit().await.unwrap();
            };
            tokio::join!(world.apply_writes(vec![write]), commit_when_waited_for);
        }
        assert_eq!(
            world.rows("SELECT DISTINCT outcome, rule FROM sync.write").await,
            ["rejected|precondition-failed"]
        );
        let notes = world.rows("SELECT note FROM guarded ORDER BY id").await;
        assert_eq!(notes, ["theirs", "theirs", "theirs"]);
    }
}
