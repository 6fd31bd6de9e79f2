//! Row policies decide on each write and each look-up by the claims of its caller.

use std::time::Duration;

use aurora_sync::domain::deadline::Deadline;
use aurora_sync::domain::write::{Precondition, Write};
use aurora_sync::functions::lookup;
use aurora_sync::functions::runtime::Invocation;
use serde_json::json;

use super::{NOTES, by, claims, outcomes, read, rows, with_token, world};
use crate::support::histories::OtherSession;
use crate::support::http_api::{event, token};
use crate::support::writes::write;
use crate::support::{HttpResponse, World, until};

#[tokio::test]
async fn two_callers_in_one_delivery_change_only_their_own_rows() {
    let world = world(NOTES).await;
    world.server.counters().reset();
    world
        .apply_writes(vec![
            by(&world, "ann", "insert note id=1 text=a"),
            by(&world, "bob", "insert note id=2 text=b"),
            by(&world, "ann", "insert note id=3 text=c"),
        ])
        .await;
    // One more parameter set, and not one more transaction or call.
    assert_eq!(world.server.counters().all_calls(), 3);
    world
        .apply_writes(vec![
            by(&world, "bob", "update note id=1 text=stolen"),
            by(&world, "ann", "update note id=1 text=mine"),
            by(&world, "bob", "delete note id=3"),
            by(&world, "bob", "update note id=2 text=mine"),
        ])
        .await;
    assert_eq!(rows(&world).await, ["1|ann|mine", "2|bob|mine", "3|ann|c"]);
    assert_eq!(
        outcomes(&world).await,
        [
            "1|ann|applied|-",
            "2|bob|applied|-",
            "3|ann|applied|-",
            "1|bob|rejected|row-missing",
            "1|ann|applied|-",
            "3|bob|unchanged|-",
            "2|bob|applied|-",
        ]
    );
}

#[tokio::test]
async fn a_row_that_a_policy_refuses_is_rejected_alone() {
    let world = world(NOTES).await;
    world
        .apply_writes(vec![
            by(&world, "ann", "insert note id=1 text=a"),
            by(&world, "ann", "insert note id=2 owner=bob text=forged"),
            by(&world, "bob", "insert note id=3 text=b"),
            by(&world, "ann", "update note id=1 owner=bob"),
            by(&world, "ann", "upsert note id=3 owner=ann text=taken"),
        ])
        .await;
    assert_eq!(rows(&world).await, ["1|ann|a", "3|bob|b"]);
    assert_eq!(
        outcomes(&world).await,
        [
            "1|ann|applied|-",
            "2|ann|rejected|row-security",
            "3|bob|applied|-",
            "1|ann|rejected|row-security",
            "3|ann|rejected|row-security",
        ]
    );
    let refused = world
        .rows("SELECT sqlstate, reason, payload::jsonb -> 'row' ->> 'text' FROM sync.write WHERE key = '2'")
        .await;
    assert_eq!(
        refused,
        ["-|a row policy of the table does not permit the caller to make this change|forged"]
    );
}

#[tokio::test]
async fn no_outcome_tells_the_values_of_a_hidden_row() {
    let world = world(NOTES).await;
    world.apply_writes(vec![by(&world, "ann", "insert note id=1 text=secret")]).await;
    for text in ["secret", "guess"] {
        let guess = by(&world, "bob", &format!("upsert note id=1 owner=ann text={text}"));
        let id = guess.id;
        world.apply_writes(vec![guess]).await;
        let outcome = format!("SELECT outcome, rule FROM sync.write WHERE id = '{id}'");
        assert_eq!(world.rows(&outcome).await, ["rejected|row-security"], "{text}");
    }
}

/// Begins a transaction in another session that changes a row, delivers a write of ann that waits
/// for it, and commits.
async fn deliver_during(world: &World, change: &str, write: Write) {
    let other = OtherSession::begin(world, change, true).await;
    let delivered = world.apply_writes(vec![write]);
    let commit = async {
        let waiting = "SELECT count(*) FROM pg_stat_activity
            WHERE datname = current_database() AND wait_event_type = 'Lock'";
        until(async || world.rows(waiting).await != ["0"]).await;
        other.end().await;
    };
    Box::pin(async { tokio::join!(delivered, commit) }).await;
}

#[tokio::test]
async fn a_change_by_another_session_is_no_refusal() {
    let tables = NOTES.replace("shared boolean", "version bigint, shared boolean")
        + "COMMENT ON COLUMN note.version IS '@sync:version';";
    let world = world(&tables).await;
    let last = "SELECT outcome, rule FROM sync.write ORDER BY settled_at DESC LIMIT 1";
    // A newer version wins, though the statement began before it was there.
    let newer = "INSERT INTO note VALUES (1, 'ann', 'new', 5)";
    let older = by(&world, "ann", "upsert note id=1 text=old version=3");
    deliver_during(&world, newer, older).await;
    assert_eq!(world.rows("SELECT text, version FROM note").await, ["new|5"]);
    assert_eq!(world.rows(last).await, ["superseded|-"]);
    let newest = "UPDATE note SET text = 'newest', version = 9 WHERE id = 1";
    let between = by(&world, "ann", "update note id=1 text=between version=7");
    deliver_during(&world, newest, between).await;
    assert_eq!(world.rows("SELECT text, version FROM note").await, ["newest|9"]);
    assert_eq!(world.rows(last).await, ["superseded|-"]);
    let delete = by(&world, "ann", "delete note id=1");
    deliver_during(&world, "DELETE FROM note WHERE id = 1", delete).await;
    assert_eq!(world.rows(last).await, ["unchanged|-"]);
}

#[tokio::test]
async fn a_precondition_that_holds_does_not_hide_a_refusal() {
    let world = world(NOTES).await;
    world.apply_writes(vec![by(&world, "ann", "insert note id=1 text=a shared=true")]).await;
    for text in ["update note id=1 text=b", "delete note id=1"] {
        let precondition = Some(Precondition::IfMatch("*".into()));
        let write = Write { precondition, ..by(&world, "bob", text) };
        let address = format!("/_sync/writes/{}", write.id);
        world.apply_writes(vec![write]).await;
        assert_eq!(read(&world, "bob", &address).await.json()["rule"], "row-security", "{text}");
    }
}

#[tokio::test]
async fn an_estimate_does_not_tell_the_values_of_hidden_rows() {
    let world = world(NOTES).await;
    world
        .run("INSERT INTO note SELECT n, 'bob', 'secret' FROM generate_series(1, 1000) AS n; ANALYZE note")
        .await;
    for count in ["planned", "estimated"] {
        let prefer = format!("count={count}");
        let event = event("GET", "/note?text=eq.secret", &[("prefer", &prefer)], &[]);
        let response = world.lookup(with_token(event, &claims("ann"))).await;
        assert_eq!(response.header("content-range"), "*/0");
        assert_eq!(response.header("preference-applied"), "count=exact");
    }
}

#[tokio::test]
async fn nobody_waits_for_the_write_of_another_caller() {
    let world = world(NOTES).await;
    let write = by(&world, "bob", "insert note id=1 owner=ann text=refused");
    let address = format!("/note?after={}", write.id);
    world.apply_writes(vec![write]).await;
    assert_eq!(read(&world, "bob", &address).await.status, 409);
    assert_eq!(read(&world, "ann", &address).await.status, 503);
}

#[tokio::test]
async fn a_row_that_the_caller_sees_and_may_not_change_is_no_missing_row() {
    let world = world(NOTES).await;
    world
        .apply_writes(vec![
            by(&world, "ann", "insert note id=1 text=a shared=true"),
            by(&world, "bob", "update note id=1 text=b"),
            by(&world, "bob", "delete note id=1"),
        ])
        .await;
    assert_eq!(rows(&world).await, ["1|ann|a"]);
    assert_eq!(
        outcomes(&world).await,
        ["1|ann|applied|-", "1|bob|rejected|row-security", "1|bob|rejected|row-security"]
    );
}

#[tokio::test]
async fn a_caller_may_insert_a_row_that_he_may_not_see() {
    let tables = "CREATE TABLE report (id integer PRIMARY KEY, text text);
        ALTER TABLE report ENABLE ROW LEVEL SECURITY;
        CREATE POLICY all_may_report ON report FOR INSERT WITH CHECK (true);";
    let world = world(tables).await;
    world.apply_writes(vec![by(&world, "ann", "insert report id=1 text=a")]).await;
    assert_eq!(world.rows("SELECT id, text FROM report").await, ["1|a"]);
    assert_eq!(outcomes(&world).await, ["1|ann|applied|-"]);
}

#[tokio::test]
async fn a_caller_without_claims_has_none_after_another_caller() {
    let world = world(NOTES).await;
    let nobody = write(&world.catalog, "insert note id=2 owner=ann text=forged");
    world.apply_writes(vec![by(&world, "ann", "insert note id=1 text=a"), nobody]).await;
    assert_eq!(rows(&world).await, ["1|ann|a"]);
    let after = write(&world.catalog, "insert note id=3 owner=ann text=forged");
    world.apply_writes(vec![after]).await;
    assert_eq!(rows(&world).await, ["1|ann|a"]);
}

#[tokio::test]
async fn updates_of_two_callers_keep_their_order_and_do_not_fold() {
    let world = world(
        "CREATE TABLE counter (id integer PRIMARY KEY, value integer, changed_by text);
        CREATE FUNCTION stamp() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
            NEW.changed_by := concat(OLD.changed_by, current_setting('request.jwt.claims')::json ->> 'sub');
            RETURN NEW; END $$;
        CREATE TRIGGER stamp BEFORE UPDATE ON counter FOR EACH ROW EXECUTE FUNCTION stamp();
        INSERT INTO counter VALUES (1, 0);",
    )
    .await;
    world
        .apply_writes(vec![
            by(&world, "a", "update counter id=1 value=1"),
            by(&world, "b", "update counter id=1 value=2"),
            by(&world, "a", "update counter id=1 value=3"),
        ])
        .await;
    assert_eq!(world.rows("SELECT value, changed_by FROM counter").await, ["3|aba"]);
}

#[tokio::test]
async fn an_error_of_a_policy_is_the_fault_of_its_row() {
    let world = world(
        "CREATE TABLE item (id integer PRIMARY KEY, share integer);
        ALTER TABLE item ENABLE ROW LEVEL SECURITY;
        CREATE POLICY strange ON item USING (true) WITH CHECK (100 / share > 0);",
    )
    .await;
    world
        .apply_writes(vec![
            by(&world, "ann", "insert item id=1 share=5"),
            by(&world, "ann", "insert item id=2 share=0"),
            by(&world, "bob", "insert item id=3 share=500"),
            by(&world, "bob", "insert item id=4 share=7"),
        ])
        .await;
    assert_eq!(world.rows("SELECT id FROM item ORDER BY id").await, ["1", "4"]);
    assert_eq!(
        outcomes(&world).await,
        [
            "1|ann|applied|-",
            "2|ann|rejected|database",
            "3|bob|rejected|row-security",
            "4|bob|applied|-",
        ]
    );
}

#[tokio::test]
async fn a_policy_that_depends_on_the_time_decides_when_the_write_is_applied() {
    let world = world(
        "CREATE TABLE window_of (opens timestamptz, closes timestamptz);
        INSERT INTO window_of VALUES (now() - interval '1 hour', now() + interval '1 hour');
        CREATE TABLE vote (id integer PRIMARY KEY);
        ALTER TABLE vote ENABLE ROW LEVEL SECURITY;
        CREATE POLICY in_time ON vote USING (true)
            WITH CHECK (EXISTS (SELECT FROM window_of WHERE clock_timestamp() BETWEEN opens AND closes));",
    )
    .await;
    world.run("GRANT SELECT ON window_of TO sync_writer").await;
    world.apply_writes(vec![by(&world, "ann", "insert vote id=1")]).await;
    world.run("UPDATE window_of SET closes = now() - interval '1 minute'").await;
    world.apply_writes(vec![by(&world, "ann", "insert vote id=2")]).await;
    assert_eq!(outcomes(&world).await, ["1|ann|applied|-", "2|ann|rejected|row-security"]);
}

#[tokio::test]
async fn a_parent_that_the_caller_does_not_see_is_a_parent() {
    let world = world(
        "CREATE TABLE parent (id integer PRIMARY KEY, owner text);
        ALTER TABLE parent ENABLE ROW LEVEL SECURITY;
        CREATE POLICY own ON parent USING (owner = current_setting('request.jwt.claims')::json ->> 'sub');
        CREATE TABLE child (id integer PRIMARY KEY, parent integer REFERENCES parent);
        INSERT INTO parent VALUES (1, 'bob');",
    )
    .await;
    // The first row is refused, and the reason of the second one looks the same to the caller.
    world
        .apply_writes(vec![
            by(&world, "ann", "insert child id=1 parent=7"),
            by(&world, "ann", "insert child id=2 parent=1"),
        ])
        .await;
    assert_eq!(outcomes(&world).await, ["1|ann|rejected|database", "2|ann|applied|-"]);
}

#[tokio::test]
async fn rows_that_refer_to_each_other_are_applied_under_the_claims_of_each() {
    let world = world(
        "CREATE TABLE husband (id integer PRIMARY KEY, wife integer, owner text);
        CREATE TABLE wife (id integer PRIMARY KEY,
            husband integer REFERENCES husband DEFERRABLE INITIALLY DEFERRED, owner text);
        ALTER TABLE husband ADD FOREIGN KEY (wife) REFERENCES wife DEFERRABLE INITIALLY DEFERRED;
        ALTER TABLE husband ENABLE ROW LEVEL SECURITY;
        ALTER TABLE wife ENABLE ROW LEVEL SECURITY;
        CREATE POLICY own ON husband USING (owner = current_setting('request.jwt.claims')::json ->> 'sub');
        CREATE POLICY own ON wife USING (owner = current_setting('request.jwt.claims')::json ->> 'sub');",
    )
    .await;
    world
        .apply_writes(vec![
            by(&world, "ann", "insert husband id=1 wife=1 owner=ann"),
            by(&world, "bob", "insert wife id=1 husband=1 owner=bob"),
            by(&world, "bob", "insert wife id=2 husband=7 owner=bob"),
            by(&world, "bob", "insert wife id=3 owner=ann"),
        ])
        .await;
    assert_eq!(world.rows("SELECT id, owner FROM husband").await, ["1|ann"]);
    assert_eq!(world.rows("SELECT id, owner FROM wife").await, ["1|bob"]);
    assert_eq!(
        outcomes(&world).await,
        [
            "1|ann|applied|-",
            "1|bob|applied|-",
            "2|bob|rejected|database",
            "3|bob|rejected|row-security",
        ]
    );
}

#[tokio::test]
async fn a_look_up_returns_the_rows_of_its_caller() {
    let world = world(NOTES).await;
    world
        .apply_writes(vec![
            by(&world, "ann", "insert note id=1 text=a"),
            by(&world, "bob", "insert note id=2 text=b"),
            by(&world, "bob", "insert note id=3 text=c shared=true"),
        ])
        .await;
    let ids = async |subject: &str| read(&world, subject, "/note?select=id&order=id").await.body;
    assert_eq!(ids("ann").await, r#"[{"id":1},{"id":3}]"#);
    assert_eq!(ids("bob").await, r#"[{"id":2},{"id":3}]"#);
    assert_eq!(ids("eve").await, r#"[{"id":3}]"#);
    assert_eq!(read(&world, "ann", "/note/2").await.status, 404);
    assert_eq!(read(&world, "bob", "/note/2").await.status, 200);
    let anonymous = event("GET", "/note?select=id", &[], &[]);
    assert_eq!(world.lookup(anonymous).await.body, r#"[{"id":3}]"#);
}

#[tokio::test]
async fn partitions_are_chosen_by_the_claims_of_the_caller() {
    let world = world(
        "CREATE TABLE place (tenant text, id integer, PRIMARY KEY (tenant, id)) PARTITION BY LIST (tenant);
        CREATE TABLE place_a PARTITION OF place FOR VALUES IN ('ann');
        CREATE TABLE place_b PARTITION OF place FOR VALUES IN ('bob');
        ALTER TABLE place ENABLE ROW LEVEL SECURITY;
        CREATE POLICY own ON place
            USING (tenant = nullif(current_setting('request.jwt.claims', true), '')::json ->> 'sub');
        INSERT INTO place VALUES ('ann', 1), ('bob', 2);",
    )
    .await;
    assert_eq!(read(&world, "ann", "/place").await.body, r#"[{"tenant":"ann","id":1}]"#);
    assert_eq!(read(&world, "bob", "/place").await.body, r#"[{"tenant":"bob","id":2}]"#);
}

#[tokio::test]
async fn claims_are_values_and_never_sql() {
    let world = world(NOTES).await;
    let subject = "o'hara\"; DROP TABLE note; -- \\ $$ \u{1F600} :id";
    world.apply_writes(vec![by(&world, subject, "insert note id=1 text=a")]).await;
    assert_eq!(world.rows("SELECT owner FROM note").await, [subject]);
    let own = read(&world, subject, "/note?select=owner").await;
    assert_eq!(own.json(), json!([{ "owner": subject }]));
}

#[tokio::test]
async fn claims_that_postgresql_cannot_hold_are_refused() {
    let world = world(NOTES).await;
    for subject in ["a\0b", &"x".repeat(100_000)] {
        let response = read(&world, subject, "/note").await;
        assert_eq!(response.status, 400);
        assert_eq!(response.json()["type"], "urn:problem-type:aurora-sync:invalid-claims");
    }
}

/// Policies as Supabase's documentation writes them, with its helper functions and its roles.
const SUPABASE: &str = r#"
    CREATE SCHEMA auth;
    CREATE FUNCTION auth.jwt() RETURNS jsonb LANGUAGE sql STABLE AS $$
        select coalesce(nullif(current_setting('request.jwt.claim', true), ''),
            nullif(current_setting('request.jwt.claims', true), ''))::jsonb $$;
    CREATE FUNCTION auth.uid() RETURNS uuid LANGUAGE sql STABLE AS $$
        select coalesce(nullif(current_setting('request.jwt.claim.sub', true), ''),
            (nullif(current_setting('request.jwt.claims', true), '')::jsonb ->> 'sub'))::uuid $$;
    GRANT USAGE ON SCHEMA auth TO PUBLIC;
    DO $$ BEGIN CREATE ROLE authenticated NOLOGIN; EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; END $$;
    DO $$ BEGIN GRANT authenticated TO sync_reader, sync_writer; EXCEPTION WHEN unique_violation THEN NULL; END $$;
    create table profiles (id uuid primary key, user_id uuid, avatar_url text);
    alter table profiles enable row level security;
    create policy "User can see their own profile only." on profiles for select
        using ( (select auth.uid()) = user_id );
    create policy "Users can create a profile." on profiles for insert to authenticated
        with check ( (select auth.uid()) = user_id );
    create policy "Users can update their own profile." on profiles for update to authenticated
        using ( (select auth.uid()) = user_id ) with check ( (select auth.uid()) = user_id );
    create policy "Users can delete a profile." on profiles for delete to authenticated
        using ( (select auth.uid()) = user_id );
    create table my_table (id integer primary key, team_id integer);
    alter table my_table enable row level security;
    create policy "User is in team" on my_table to authenticated
        using ( team_id in (select jsonb_array_elements((auth.jwt() -> 'app_metadata' -> 'teams'))::int) );
    create policy "Restrict updates." on my_table as restrictive for update to authenticated
        using ( (select auth.jwt()->>'aal') = 'aal2' );
"#;

#[tokio::test]
async fn policies_of_supabase_work_as_they_are() {
    const ANN: &str = "d0f1a2b3-0000-4000-8000-000000000001";
    const BOB: &str = "d0f1a2b3-0000-4000-8000-000000000002";
    let world = world(SUPABASE).await;
    let insert = |subject: &str, user: &str| {
        by(&world, subject, &format!("insert profiles id={user} user_id={user} avatar_url=x"))
    };
    world
        .apply_writes(vec![
            insert(ANN, ANN),
            insert(ANN, BOB),
            insert(BOB, BOB),
            by(&world, BOB, &format!("update profiles id={BOB} avatar_url=y")),
            by(&world, BOB, &format!("update profiles id={ANN} avatar_url=y")),
            by(&world, BOB, &format!("delete profiles id={ANN}")),
        ])
        .await;
    let profiles = "SELECT user_id::text, avatar_url FROM profiles ORDER BY id";
    assert_eq!(world.rows(profiles).await, [format!("{ANN}|x"), format!("{BOB}|y")]);
    assert_eq!(read(&world, ANN, "/profiles").await.json().as_array().unwrap().len(), 1);

    world.run("INSERT INTO my_table VALUES (1, 10), (2, 20), (3, 30)").await;
    let of_teams = json!({ "sub": ANN, "aal": "aal1", "app_metadata": { "teams": [10, 30] } });
    let read = async |claims| {
        let mut event = with_token(event("GET", "/my_table?select=id&order=id", &[], &[]), claims);
        let token = token(claims);
        event["headers"]["authorization"] = format!("Bearer {token}").into();
        world.lookup(event).await.body
    };
    assert_eq!(read(&of_teams).await, r#"[{"id":1},{"id":3}]"#);
    assert_eq!(read(&claims(ANN)).await, "[]");
    let with_claims = |aal: &str| {
        let mut claims = of_teams.clone();
        claims["aal"] = aal.into();
        let mut write = by(&world, ANN, "update my_table id=1 team_id=30");
        write.caller = std::sync::Arc::new(aurora_sync::domain::caller::Caller {
            principal: None,
            claims: Some(claims.to_string().into()),
            request_id: None,
            resend_of: None,
        });
        write
    };
    world.apply_writes(vec![with_claims("aal1")]).await;
    assert_eq!(world.rows("SELECT team_id FROM my_table WHERE id = 1").await, ["10"]);
    world.apply_writes(vec![with_claims("aal2")]).await;
    assert_eq!(world.rows("SELECT team_id FROM my_table WHERE id = 1").await, ["30"]);
}

#[tokio::test]
async fn a_look_up_that_takes_too_long_leaves_no_transaction_open() {
    let slow = "CREATE FUNCTION slow() RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN
            PERFORM pg_sleep(60); RETURN true; END $$;
        CREATE POLICY slow ON note FOR SELECT USING (slow());
        INSERT INTO note VALUES (1, 'bob', 'a', false)";
    let world = world(&format!("{NOTES} {slow}")).await;
    let event = with_token(event("GET", "/note", &[], &[]), &claims("ann"));
    let soon = Invocation::until(Deadline::after(Duration::from_secs(3)));
    let request = serde_json::from_value(event).unwrap();
    let response: HttpResponse =
        lookup::handle(&world.lookup_function(), request, soon).await.into();
    assert_eq!(response.status, 504, "{}", response.body);
    let open = "SELECT count(*) FROM pg_stat_activity
        WHERE datname = current_database() AND xact_start IS NOT NULL AND pid <> pg_backend_pid()";
    assert_eq!(world.rows(open).await, ["0"]);
}
