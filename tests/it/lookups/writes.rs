//! The status of a write, and the list of writes.

use aurora_sync::domain::write::Write;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::lookups::resolved;
use crate::support::writes::write;
use crate::support::{STAFF, World};

async fn status(world: &World, id: Uuid) -> Value {
    world.read(&format!("/_sync/writes/{id}"), &[]).await.json()
}

/// Settles a write, and returns its status.
async fn settled(world: &World, text: &str) -> Value {
    let write = write(&world.catalog, text);
    let id = write.id;
    world.apply_writes(vec![write]).await;
    status(world, id).await
}

const KEYS: &str = "
    CREATE TABLE counted (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, name text NOT NULL);
    CREATE TABLE named (id uuid DEFAULT gen_random_uuid() PRIMARY KEY, name text);
    CREATE TABLE noted (kind text, at timestamptz DEFAULT '2026-11-23 09:30:00.5+01', name text, PRIMARY KEY (kind, at));
    CREATE TABLE guarded (id serial PRIMARY KEY, name text);
    CREATE FUNCTION guard() RETURNS trigger LANGUAGE plpgsql AS
        'BEGIN IF NEW.name = ''skip'' THEN RETURN NULL; END IF; NEW.id := NEW.id * 100; RETURN NEW; END';
    CREATE TRIGGER guard BEFORE INSERT ON guarded FOR EACH ROW EXECUTE FUNCTION guard();
    CREATE TABLE happened (name text);
";

#[tokio::test]
async fn the_status_of_an_insert_has_the_key_that_the_database_made() {
    let world = World::with(KEYS).await;
    for (text, key) in [
        ("insert counted name=a", "1"),
        ("insert noted kind=x,\"y name=a", "\"x,\"\"y\",2026-11-23T08:30:00.5+00:00"),
        ("insert guarded name=a", "100"),
    ] {
        let status = settled(&world, text).await;
        assert_eq!(status["key"], key, "{status}");
        let row = world.read(&resolved("/_sync/writes/1", &status["row"]), &[]).await;
        assert_eq!((row.status, &row.json()["name"]), (200, &json!("a")), "{status}");
    }
    let status = settled(&world, "insert named name=a").await;
    assert_eq!(world.rows("SELECT id::text FROM named").await, [status["key"].as_str().unwrap()]);
    for (text, outcome) in
        [("insert guarded name=skip", "unchanged"), ("insert happened name=a", "applied")]
    {
        let status = settled(&world, text).await;
        assert_eq!(status["outcome"], outcome);
        assert_eq!((&status["key"], status.get("row")), (&Value::Null, None), "{status}");
    }
}

#[tokio::test]
async fn each_row_of_a_list_has_its_own_key() {
    let world = World::with(KEYS).await;
    for (table, rows) in [("counted", 1_500), ("named", 1_500), ("guarded", 300)] {
        let text = |n| format!("insert {table} name=n{n}");
        let writes: Vec<Write> = (0..rows).map(|n| write(&world.catalog, &text(n))).collect();
        world.apply_writes(writes.clone()).await;
        let ids: Vec<_> = writes.iter().map(|write| format!("'{}'", write.id)).collect();
        let names = format!(
            "SELECT name FROM sync.write LEFT JOIN {table} AS made ON made.id::text = write.key
             JOIN unnest(ARRAY[{}]::uuid[]) WITH ORDINALITY AS asked (id, n) ON asked.id = write.id ORDER BY n",
            ids.join(",")
        );
        let expected: Vec<_> = (0..rows).map(|n| format!("n{n}")).collect();
        assert_eq!(world.rows(&names).await, expected, "{table}");
    }
}

#[tokio::test]
async fn a_bad_row_does_not_change_the_keys_of_the_others() {
    let world = World::with(KEYS).await;
    let texts = ["insert counted name=a", "insert counted name", "insert counted name=c"];
    let writes: Vec<_> = texts.iter().map(|text| write(&world.catalog, text)).collect();
    let ids: Vec<_> = writes.iter().map(|write| write.id).collect();
    world.apply_writes(writes).await;
    for (id, name) in [(ids[0], "a"), (ids[2], "c")] {
        let status = status(&world, id).await;
        let row = world.read(&resolved("/_sync/writes/1", &status["row"]), &[]).await;
        assert_eq!(row.json()["name"], name);
    }
    assert_eq!(status(&world, ids[1]).await["key"], Value::Null);
}

#[tokio::test]
async fn a_writer_that_may_not_read_a_key_inserts_without_it() {
    let mut world = World::with(KEYS).await;
    world.run("REVOKE SELECT ON counted FROM sync_writer").await;
    world.run("GRANT SELECT (name), INSERT (name) ON counted TO sync_writer").await;
    world.run("REVOKE INSERT, UPDATE, DELETE ON counted FROM sync_writer").await;
    world.run("GRANT INSERT (name) ON counted TO sync_writer").await;
    world.read_catalog().await;
    let status = settled(&world, "insert counted name=a").await;
    assert_eq!((&status["outcome"], &status["key"]), (&json!("applied"), &Value::Null));
}

#[tokio::test]
async fn a_status_links_to_the_row_that_the_write_left() {
    let world = World::with(STAFF).await;
    for (text, row) in [
        ("insert staff id=0004 name=new", Some("/staff/0004")),
        ("update staff id=0004 age=1", Some("/staff/0004")),
        ("ignore staff id=0004 name=again", Some("/staff/0004")),
        ("insert staff id=0004 name=again", None),
        ("delete staff id=0004", None),
    ] {
        let status = settled(&world, text).await;
        let found = status.get("row").map(|link| resolved("/_sync/writes/1", link));
        assert_eq!(found.as_deref(), row, "{status}");
    }
}

#[tokio::test]
async fn a_write_whose_group_is_blocked_says_why() {
    let world = World::with(STAFF).await;
    world.run("REVOKE UPDATE ON staff FROM sync_writer").await;
    let first = write(&world.catalog, "update staff id=0001 name=x");
    let later = write(&world.catalog, "delete staff id=0001");
    let other = write(&world.catalog, "delete staff id=0003");
    let (first_id, later_id) = (first.id, later.id);
    let response = world.apply_writes(vec![first.clone(), later.clone()]).await;
    assert_eq!(response.batch_item_failures.len(), 1);
    for id in [first_id, later_id] {
        let status = status(&world, id).await;
        assert_eq!(
            (&status["outcome"], &status["blocked"]["cause"]),
            (&json!("pending"), &json!("42501"))
        );
        assert!(status["detail"].as_str().unwrap().contains("lacks a right"), "{status}");
    }
    assert_eq!(status(&world, other.id).await.get("blocked"), None);
    // It stays the same block while the cause stays.
    let since = status(&world, first_id).await["blocked"]["since"].clone();
    world.apply_writes(vec![first.clone(), later.clone()]).await;
    assert_eq!(status(&world, first_id).await["blocked"]["since"], since);
    world.run("GRANT UPDATE ON staff TO sync_writer").await;
    world.apply_writes(vec![first, later]).await;
    for id in [first_id, later_id] {
        let status = status(&world, id).await;
        assert_eq!((&status["outcome"], status.get("blocked")), (&json!("applied"), None));
    }
}

#[tokio::test]
async fn a_block_is_recorded_only_if_the_database_takes_it() {
    let world = World::with(STAFF).await;
    world.run("REVOKE UPDATE ON staff FROM sync_writer").await;
    world.run("DROP TABLE sync.blocked").await;
    let write = write(&world.catalog, "update staff id=0001 name=x");
    let response = world.apply_writes(vec![write]).await;
    assert_eq!(response.batch_item_failures.len(), 1);
}

#[tokio::test]
async fn a_delivery_without_errors_makes_no_call_for_blocks() {
    let world = World::with(STAFF).await;
    let before = world.server.counters().all_calls();
    world.apply_writes(vec![write(&world.catalog, "update staff id=0001 name=x")]).await;
    assert_eq!(world.server.counters().all_calls() - before, 3);
}

#[tokio::test]
async fn the_list_of_writes_has_filters_an_order_and_pages() {
    let world = World::with(&format!("{STAFF} {KEYS}")).await;
    let texts = [
        "insert staff id=0004 name=new",
        "insert staff id=0004 name=again",
        "update staff id=9999 name=nobody",
        "insert counted name=a",
        "insert counted name",
        "delete staff id=0001",
    ];
    let writes: Vec<_> = texts.iter().map(|text| write(&world.catalog, text)).collect();
    for write in &writes {
        world.apply_writes(vec![write.clone()]).await;
    }
    let id = |n: usize| writes[n].id.to_string();
    let list = async |query: &str| -> Vec<String> {
        let (rows, _) = world.walk(&format!("/_sync/writes?{query}")).await;
        rows.iter().map(|row| row["id"].as_str().unwrap().to_owned()).collect()
    };
    let all: Vec<_> = (0..texts.len()).rev().map(id).collect();
    assert_eq!(list("").await, all);
    assert_eq!(list("limit=2").await, all);
    assert_eq!(
        list("order=settled_at.asc&limit=1").await,
        all.iter().rev().cloned().collect::<Vec<_>>()
    );
    assert_eq!(list("outcome=eq.rejected").await, [id(4), id(2), id(1)]);
    assert_eq!(list("outcome=eq.rejected&table=eq.staff").await, [id(2), id(1)]);
    assert_eq!(list("outcome=rejected&rule=eq.row-missing").await, [id(2)]);
    assert_eq!(list("outcome=neq.rejected&table=eq.staff").await, [id(5), id(0)]);
    assert_eq!(list("table=eq.staff&key=eq.0004").await, [id(1), id(0)]);
    let response = world
        .read("/_sync/writes?select=table,key,outcome,sqlstate&limit=1&table=eq.counted", &[])
        .await;
    assert_eq!(
        response.body,
        r#"[{"table":"counted","key":null,"outcome":"rejected","sqlstate":"23502"}]"#
    );
    assert_eq!(world.read("/_sync/writes?nope=1", &[]).await.status, 400);
    // Each entry is the one of the status.
    let entry = world.read("/_sync/writes?limit=1&outcome=eq.applied", &[]).await.json()[0].clone();
    let status = status(&world, writes[5].id).await;
    for (name, value) in entry.as_object().unwrap() {
        assert_eq!(status[name], *value, "{name}");
    }
}

#[tokio::test]
async fn the_list_of_writes_shows_no_value_that_is_not_readable() {
    let world = World::with("CREATE TABLE person (id text PRIMARY KEY, salary integer)").await;
    world.apply_writes(vec![write(&world.catalog, "insert person id=Lambda salary=plenty")]).await;
    let list = async || world.read("/_sync/writes", &[]).await.body;
    assert!(list().await.contains("plenty") && list().await.contains("Lambda"));
    world
        .run("REVOKE SELECT ON person FROM sync_reader; GRANT SELECT (id) ON person TO sync_reader")
        .await;
    assert!(!list().await.contains("plenty") && list().await.contains("Lambda"));
    world.run("REVOKE SELECT (id) ON person FROM sync_reader").await;
    assert!(!list().await.contains("Lambda"));
    // Filters do not find it either.
    assert_eq!(world.read("/_sync/writes?key=eq.Lambda", &[]).await.body, "[]");
    assert_eq!(world.read("/_sync/writes?reason=like.*plenty*", &[]).await.body, "[]");
}

#[tokio::test]
async fn a_row_that_the_writer_may_not_see_is_inserted_without_its_key() {
    let world = World::with(
        "CREATE TABLE letters (id serial PRIMARY KEY, body text);
         ALTER TABLE letters ENABLE ROW LEVEL SECURITY;
         CREATE POLICY put ON letters FOR INSERT WITH CHECK (true);
         CREATE POLICY see ON letters FOR SELECT USING (false);",
    )
    .await;
    let status = settled(&world, "insert letters body=hello").await;
    assert_eq!((&status["outcome"], &status["key"]), (&"applied".into(), &Value::Null), "{status}");
    assert_eq!(world.rows("SELECT id, body FROM letters").await, ["1|hello"]);
}

#[tokio::test]
async fn no_page_leaves_out_a_payload_of_an_idempotency_key() {
    let world = World::with(STAFF).await;
    let first = write(&world.catalog, "insert staff id=0010 name=a");
    for (number, name) in ["a", "b", "c"].into_iter().enumerate() {
        let text = format!("insert staff id=0010 name={name}");
        let fingerprint = Some(format!("{number:032x}"));
        let write = Write { id: first.id, fingerprint, ..write(&world.catalog, &text) };
        world.apply_writes(vec![write]).await;
    }
    for order in ["id", "outcome"] {
        let mut address = format!("/_sync/writes?order={order}&limit=1");
        let mut count = 0;
        loop {
            let page = world.read(&address, &[]).await;
            count += page.json().as_array().unwrap().len();
            match crate::support::lookups::next_page(&address, &page) {
                Some(next) => address = next,
                None => break,
            }
        }
        assert_eq!(count, 3, "{order}");
    }
}

#[tokio::test]
async fn the_status_of_a_rejected_write_has_the_payload_as_a_request_takes_it() {
    let world = World::with(
        "CREATE TABLE t (id bigint PRIMARY KEY, doc jsonb, amount numeric, tags text[], CHECK (amount < 10))",
    )
    .await;
    let mut rejected = write(&world.catalog, "insert t id=9007199254740993 amount=10.50");
    rejected.row.push(("doc".into(), Some("{\"a\": [1.10]}".into())));
    rejected.row.push(("tags".into(), Some("{x,NULL}".into())));
    let id = rejected.id;
    world.apply_writes(vec![rejected]).await;
    let response = world.read(&format!("/_sync/writes/{id}"), &[]).await;
    assert!(
        response.body.contains(
            r#""payload":{"row":{"amount":"10.50","doc":{"a": [1.10]},"id":"9007199254740993","tags":"{x,NULL}"}}"#
        ),
        "{}",
        response.json()
    );
    world.run("REVOKE SELECT ON t FROM sync_reader; GRANT SELECT (id) ON t TO sync_reader").await;
    assert_eq!(status(&world, id).await.get("payload"), None);
}

#[tokio::test]
async fn the_statuses_of_a_rejected_write_and_of_its_resend_name_each_other() {
    let world = World::with(STAFF).await;
    let rejected = write(&world.catalog, "insert staff id=0001 name=again");
    let old = rejected.id;
    world.apply_writes(vec![rejected]).await;
    assert_eq!(status(&world, old).await["outcome"], "rejected");
    let mut again = write(&world.catalog, "insert staff id=0100 name=again");
    again.caller = std::sync::Arc::new(aurora_sync::domain::caller::Caller {
        resend_of: Some(old),
        ..Default::default()
    });
    let new = again.id;
    for _ in 0..2 {
        world.apply_writes(vec![again.clone()]).await;
    }
    let of_new = status(&world, new).await;
    assert_eq!((&of_new["outcome"], &of_new["resend_of"]), (&json!("applied"), &json!(old)));
    assert_eq!(status(&world, old).await["resent_as"], json!([new]));
}
