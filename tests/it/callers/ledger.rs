//! The ledger holds the caller of each write, and row security shows him his own writes only.

use aurora_sync::domain::write::Write;
use serde_json::json;

use super::{NOTES, by, claims, read, with_token, world};
use crate::support::http_api::CALLER;
use crate::support::write_api::{WriteApi, row_event};
use crate::support::writes::{ACCEPTED_AT_MS, Envelope, event, write};
use crate::support::{STAFF, World};

const CALLERS: &str = "SELECT key, outcome, caller FROM sync.write ORDER BY accepted_at, id";

#[tokio::test]
async fn each_outcome_has_the_caller_of_its_write() {
    let world = World::with(STAFF).await;
    // Without claims, all callers share a step.
    let by = |name: &str, text: &str| {
        let mut write = by(&world, name, text);
        std::sync::Arc::make_mut(&mut write.caller).claims = None;
        write
    };
    world.server.counters().reset();
    world
        .apply_writes(vec![
            by("ann", "insert staff id=0011 name=a"),
            by("bob", "insert staff id=0012 name=b"),
            write(&world.catalog, "insert staff id=0013 name=c"),
        ])
        .await;
    assert_eq!(world.server.counters().all_calls(), 3);
    // One row is refused, so that the set is bisected.
    world
        .apply_writes(vec![
            by("ann", "insert staff id=0011 name=e"),
            by("bob", "insert staff id=0014 name=f"),
            by("bob", "update staff id=0099 name=d"),
            // Refused without a statement.
            Write { table: "nowhere".into(), ..by("eve", "insert staff id=0015 name=g") },
        ])
        .await;
    assert_eq!(
        world.rows(CALLERS).await,
        [
            "0011|applied|https://id.example|ann",
            "0012|applied|https://id.example|bob",
            "0013|applied|-",
            "0011|rejected|https://id.example|ann",
            "0014|applied|https://id.example|bob",
            "0099|rejected|https://id.example|bob",
            "0015|rejected|https://id.example|eve",
        ]
    );
}

#[tokio::test]
async fn a_write_is_on_record_with_the_principal_of_its_request() {
    let (world, api) = (World::with(STAFF).await, WriteApi::open(STAFF).await);
    let body = json!({ "name": "a" });
    let session = "arn:aws:sts::123456789012:assumed-role/office/monday";
    let role = "arn:aws:iam::123456789012:role/office";
    let mut by_role = row_event("PATCH", "staff", "0002", &[], &body);
    by_role["requestContext"]["authorizer"] = json!({ "iam": { "userArn": session } });
    let subject = json!({ "iss": "https://id.example", "sub": "42" });
    let mut nobody = row_event("PATCH", "staff", "0003", &[], &body);
    nobody["requestContext"]["authorizer"] = json!(null);
    for event in [
        row_event("PATCH", "staff", "0001", &[], &body),
        by_role,
        with_token(row_event("PATCH", "staff", "0009", &[], &body), &subject),
        nobody,
    ] {
        assert_eq!(api.request(event).await.status, 202);
    }
    world.apply(api.queue.drain().await).await.unwrap();
    let callers = world.rows("SELECT key, caller FROM sync.write ORDER BY key").await;
    assert_eq!(
        callers,
        [
            format!("0001|{CALLER}"),
            format!("0002|{role}"),
            "0003|-".to_owned(),
            "0009|https://id.example|42".to_owned(),
        ]
    );
    let listed =
        world.read(&format!("/_sync/writes?caller=eq.{role}&select=key,caller"), &[]).await;
    assert_eq!(listed.json(), json!([{ "key": "0002", "caller": role }]));
    let id = world.rows("SELECT id::text FROM sync.write WHERE key = '0002'").await.remove(0);
    assert_eq!(world.read(&format!("/_sync/writes/{id}"), &[]).await.json()["caller"], role);
}

#[tokio::test]
async fn an_idempotency_key_outlives_the_session_of_a_role_and_belongs_to_one_caller() {
    let api = WriteApi::open(STAFF).await;
    let id = async |authorizer: serde_json::Value| {
        let body = json!({ "name": "a" });
        let mut event = row_event("PATCH", "staff", "0001", &[("idempotency-key", "k")], &body);
        event["requestContext"]["authorizer"] = authorizer;
        let response = api.request(event).await;
        assert_eq!(response.status, 202, "{}", response.body);
        response.json()["id"].clone()
    };
    let session = |name: &str| {
        let arn = format!("arn:aws:sts::123456789012:assumed-role/office/{name}");
        json!({ "iam": { "userArn": arn } })
    };
    let token = |subject: &str| json!({ "jwt": { "claims": claims(subject) } });
    let monday = id(session("monday")).await;
    assert_eq!(id(session("tuesday")).await, monday);
    let ann = id(token("ann")).await;
    assert_eq!(id(token("ann")).await, ann);
    let bob = id(token("bob")).await;
    assert!(ann != bob && ann != monday && bob != monday);
}

#[tokio::test]
async fn a_caller_sees_his_own_writes_and_no_others() {
    let world = world(NOTES).await;
    let ann = by(&world, "ann", "insert note id=1 text=a");
    let bob = by(&world, "bob", "insert note id=2 text=b");
    let refused = by(&world, "ann", "insert note id=3 owner=bob text=c");
    let ids = [&ann, &bob, &refused].map(|write| write.id);
    world.apply_writes(vec![ann, bob, refused]).await;

    let keys = async |subject: &str, query: &str| {
        read(&world, subject, &format!("/_sync/writes?select=key&order=key{query}")).await.body
    };
    assert_eq!(keys("ann", "").await, r#"[{"key":"1"},{"key":"3"}]"#);
    assert_eq!(keys("bob", "").await, r#"[{"key":"2"}]"#);
    assert_eq!(keys("eve", "").await, "[]");
    assert_eq!(keys("ann", "&outcome=eq.rejected&table=eq.note").await, r#"[{"key":"3"}]"#);
    // Nobody reads another caller's writes by asking for them.
    assert_eq!(keys("ann", "&caller=eq.https://id.example|bob").await, "[]");

    let status = async |subject: &str, id| {
        read(&world, subject, &format!("/_sync/writes/{id}")).await.json()
    };
    assert_eq!(status("bob", ids[1]).await["outcome"], "applied");
    assert_eq!(status("bob", ids[1]).await["key"], "2");
    assert_eq!(status("ann", ids[1]).await["outcome"], "pending");
    assert_eq!(status("ann", ids[2]).await["rule"], "row-security");
    assert_eq!(status("bob", ids[2]).await["outcome"], "pending");
}

#[tokio::test]
async fn only_the_caller_of_a_blocked_write_sees_its_cause() {
    let world = world(NOTES).await;
    world.run("REVOKE UPDATE, INSERT ON note FROM sync_writer").await;
    let ann = by(&world, "ann", "insert note id=1 text=a");
    let address = format!("/_sync/writes/{}", ann.id);
    let response = world.apply_writes(vec![ann]).await;
    assert_eq!(response.batch_item_failures.len(), 1);
    assert_eq!(read(&world, "ann", &address).await.json()["blocked"]["cause"], "42501");
    assert_eq!(read(&world, "bob", &address).await.json()["blocked"], json!(null));
}

#[tokio::test]
async fn a_write_without_effect_does_not_overtake_that_of_another_caller() {
    const MINUTE_MS: i64 = 60_000;
    let world = world(NOTES).await;
    world.run("INSERT INTO note VALUES (1, 'ann', 'first')").await;
    let ann = by(&world, "ann", "update note id=1 text=second");
    let mut bob = by(&world, "bob", "delete note id=1");
    bob.accepted_at_ms += MINUTE_MS;
    let bob = Envelope { sent_at_ms: bob.accepted_at_ms, ..Envelope::of("bob", "a", vec![bob]) };
    let redriven = Envelope::of("ann", "a", vec![ann]);
    let redriven = Envelope { sent_at_ms: ACCEPTED_AT_MS + 60 * MINUTE_MS, ..redriven };
    for message in [bob, redriven] {
        let response = world.apply(event(&[message])).await.unwrap();
        assert!(response.batch_item_failures.is_empty());
    }
    let outcomes = "SELECT outcome, rule FROM sync.write ORDER BY accepted_at";
    assert_eq!(world.rows(outcomes).await, ["applied|-", "unchanged|-"]);
    assert_eq!(world.rows("SELECT text FROM note").await, ["second"]);
}

#[tokio::test]
async fn a_status_names_no_resend_of_another_caller() {
    let world = world(NOTES).await;
    // Bob may not write a row of ann, so that each of his writes to it is rejected.
    let refused = by(&world, "bob", "insert note id=1 owner=ann");
    let old = refused.id;
    world.apply_writes(vec![refused]).await;
    let again = |subject: &str| {
        let mut again = by(&world, subject, "insert note id=2 text=again");
        std::sync::Arc::make_mut(&mut again.caller).resend_of = Some(old);
        again
    };
    let (ann, bob) = (again("ann"), again("bob"));
    let of_bob = bob.id;
    world.apply_writes(vec![ann, bob]).await;
    assert_eq!(world.rows("SELECT count(*) FROM sync.resend").await, ["2"]);
    let status = read(&world, "bob", &format!("/_sync/writes/{old}")).await.json();
    assert_eq!(status["resent_as"], json!([of_bob]), "{status}");
}
