//! Idempotency-Keys that are used twice.

use std::time::Duration;

use aurora_sync::domain::deadline::Deadline;
use aurora_sync::domain::write::{Write, fingerprint};
use serde_json::json;
use uuid::Uuid;

use super::calls;
use crate::support::lookups::resolved;
use crate::support::writes::write;
use crate::support::{STAFF, World};

/// Returns a write under the id of an Idempotency-Key.
fn keyed(world: &World, id: u128, text: &str) -> Write {
    let mut write = write(&world.catalog, text);
    write.id = Uuid::new_v8(id.to_be_bytes());
    write.fingerprint = Some(fingerprint(
        &write.table,
        write.operation,
        write.key.as_ref(),
        &write.row,
        write.precondition.as_ref(),
    ));
    write
}

#[tokio::test]
async fn another_payload_under_a_used_idempotency_key_is_rejected_and_never_applied() {
    let world = World::with(STAFF).await;
    let first = keyed(&world, 1, "insert staff id=0010 name=first");
    let other = keyed(&world, 1, "insert staff id=0011 name=other");
    let again = first.clone();
    // In two deliveries, in one delivery, and each again.
    assert_eq!(calls(&world, vec![first.clone()]).await, 3);
    // A rejected write costs what a bad row costs.
    assert_eq!(calls(&world, vec![other.clone()]).await, 7);
    let in_one =
        [keyed(&world, 2, "update staff id=0001 age=1"), keyed(&world, 2, "delete staff id=0001")];
    world.apply_writes(in_one.to_vec()).await;
    world.apply_writes([vec![again, other.clone()], in_one.to_vec()].concat()).await;
    assert_eq!(
        world
            .rows("SELECT key, operation, outcome, rule FROM sync.write ORDER BY key, operation")
            .await,
        [
            "0001|delete|rejected|idempotency-key-reused",
            "0001|update|applied|-",
            "0010|insert|applied|-",
            "0011|insert|rejected|idempotency-key-reused",
        ]
    );
    assert_eq!(world.rows("SELECT id FROM staff WHERE id IN ('0001', '0011')").await, ["0001"]);
    // The status URL of each payload shows that payload; the id alone shows the first one.
    for (fingerprint, outcome, rule) in [
        (format!("?fingerprint={}", first.fingerprint.as_ref().unwrap()), "applied", json!(null)),
        (
            format!("?fingerprint={}", other.fingerprint.as_ref().unwrap()),
            "rejected",
            json!("idempotency-key-reused"),
        ),
        ("?fingerprint=00".to_owned(), "pending", json!(null)),
        (String::new(), "applied", json!(null)),
    ] {
        let status = world.read(&format!("/_sync/writes/{}{fingerprint}", first.id), &[]).await;
        assert_eq!(status.json()["outcome"], outcome, "{fingerprint}");
        assert_eq!(status.json()["rule"], rule, "{fingerprint}");
    }
    // The status names the id that was asked for, and says that there are two payloads.
    for fingerprint in [None, first.fingerprint.as_ref(), other.fingerprint.as_ref()] {
        let query = fingerprint.map_or_else(String::new, |text| format!("?fingerprint={text}"));
        let status = world.read(&format!("/_sync/writes/{}{query}", first.id), &[]).await.json();
        assert_eq!(status["id"], first.id.to_string());
        let others = status["other_payloads"].as_array().unwrap();
        let is_first = fingerprint != other.fingerprint.as_ref();
        let outcome = if is_first { "rejected" } else { "applied" };
        assert_eq!((others.len(), &others[0]["outcome"]), (1, &json!(outcome)));
        assert_eq!(status["detail"].is_string(), fingerprint.is_none());
        assert!(!status.to_string().contains(first.fingerprint.as_ref().unwrap()));
    }
    let wrong = world.read(&format!("/_sync/writes/{}?fingerprnt=00", first.id), &[]).await;
    assert_eq!(wrong.status, 400);
    // The rejected write keeps its payload.
    let fingerprint = other.fingerprint.unwrap();
    assert_eq!(
        world
            .rows(&format!(
                "SELECT payload::json->'row'->>'name' FROM sync.write
                WHERE id = sync.reused_id('{}', '{fingerprint}')",
                other.id
            ))
            .await,
        ["other"]
    );
}

#[tokio::test]
async fn a_bad_row_does_not_hide_a_reused_idempotency_key() {
    let world = World::with(STAFF).await;
    world.apply_writes(vec![keyed(&world, 1, "insert staff id=0010 name=first")]).await;
    world
        .apply_writes(vec![
            keyed(&world, 1, "insert staff id=0011 name=other"),
            keyed(&world, 2, "insert staff id=0001 name=duplicate"),
            keyed(&world, 3, "insert staff id=0012 name=good"),
        ])
        .await;
    assert_eq!(
        world.rows("SELECT key, outcome, rule, sqlstate FROM sync.write ORDER BY key").await,
        [
            "0001|rejected|database|23505",
            "0010|applied|-|-",
            "0011|rejected|idempotency-key-reused|-",
            "0012|applied|-|-",
        ]
    );
}

#[tokio::test]
async fn a_look_up_waits_for_its_own_payload_of_an_idempotency_key() {
    let world = World::with(STAFF).await;
    let first = keyed(&world, 1, "insert staff id=0010 name=first");
    let other = keyed(&world, 1, "insert staff id=0011 name=other");
    let after = |write: &Write| format!("{}.{}", write.id, write.fingerprint.as_ref().unwrap());
    let (of_first, of_other) = (after(&first), after(&other));
    let read = async |after: &str| {
        let deadline = Deadline::after(Duration::from_secs(3));
        world.request("GET", &format!("/staff/0010?after={after}"), &[], deadline).await
    };
    world.apply_writes(vec![first.clone()]).await;
    assert_eq!(read(&first.id.to_string()).await.status, 200);
    assert_eq!(read(&of_first).await.status, 200);
    assert_eq!(read(&of_other).await.status, 503);
    world.apply_writes(vec![other.clone()]).await;
    let response = read(&of_other).await;
    assert_eq!(response.status, 409);
    let status = resolved("/staff/0010", &response.json()["writes"][0]["status"]);
    assert_eq!(world.read(&status, &[]).await.json()["rule"], "idempotency-key-reused");
    let header = world.read("/staff/0010", &[("consistent-after", &of_other)]).await;
    assert_eq!(header.status, 409);
    assert_eq!(read(&format!("{}.", first.id)).await.status, 400);
}

#[tokio::test]
async fn a_payload_that_is_rejected_without_a_statement_is_among_those_of_its_key() {
    let world = World::with(STAFF).await;
    let first = keyed(&world, 1, "update staff id=0001 name=first");
    let mut other = keyed(&world, 1, "update staff id=0001 name=other");
    other.row.push(("gone".to_owned(), None));
    other.fingerprint = Some("00ff".to_owned());
    world.apply_writes(vec![first.clone()]).await;
    world.apply_writes(vec![other]).await;
    let status = world.read(&format!("/_sync/writes/{}", first.id), &[]).await.json();
    assert_eq!(status["outcome"], "applied");
    assert_eq!(status["other_payloads"][0]["rule"], "unknown-column");
}

#[tokio::test]
async fn a_payload_that_is_sent_again_after_its_key_was_pruned_has_one_status() {
    let world = World::with(STAFF).await;
    let first = keyed(&world, 1, "insert staff id=0010 name=first");
    let other = keyed(&world, 1, "insert staff id=0011 name=other");
    world.apply_writes(vec![first.clone()]).await;
    world.apply_writes(vec![other.clone()]).await;
    world.rows(&format!("DELETE FROM sync.write WHERE id = '{}'", first.id)).await;
    world.apply_writes(vec![other.clone()]).await;
    let fingerprint = other.fingerprint.unwrap();
    let address = format!("/_sync/writes/{}?fingerprint={fingerprint}", other.id);
    let status = world.read(&address, &[]).await;
    assert_eq!(status.json()["outcome"], "applied", "{}", status.body);
}
