//! Look-ups after a write (`after`).

use std::time::Duration;

use aurora_sync::domain::deadline::Deadline;
use data_api_server::Operation;
use serde_json::json;
use uuid::Uuid;

use crate::support::{HttpResponse, STAFF, World};

async fn settle(world: &World, id: Uuid, outcome: &str) {
    world
        .rows(&format!(
            "INSERT INTO sync.write (id, table_name, key, operation, outcome, rule, accepted_at)
             VALUES ('{id}', 'staff', '0001', 'update', '{outcome}', 'database', now())"
        ))
        .await;
}

/// Sends a look-up with a short deadline.
async fn read_soon(world: &World, address: &str) -> HttpResponse {
    world.request("GET", address, &[], Deadline::after(Duration::from_secs(3))).await
}

#[tokio::test]
async fn a_look_up_after_a_settled_write_is_one_call() {
    let world = World::with(STAFF).await;
    let ids = [Uuid::now_v7(), Uuid::now_v7()];
    settle(&world, ids[0], "applied").await;
    settle(&world, ids[1], "unchanged").await;
    for (address, expected) in [
        (format!("/staff/0001?after={}", ids[0]), r#"{"id":"0001","name":"Aurora","age":12}"#),
        (format!("/staff/9999?after={}", ids[0]), "row-not-found"),
        (format!("/staff?id=0001&select=id&after={},{}", ids[0], ids[1]), r#"[{"id":"0001"}]"#),
        (format!("/staff?id=9999&after={}", ids[0]), "[]"),
    ] {
        let calls = world.server.counters().calls(Operation::Execute);
        let response = world.read(&address, &[]).await;
        assert!(response.body.contains(expected), "{address}: {}", response.body);
        assert_eq!(world.server.counters().calls(Operation::Execute) - calls, 1, "{address}");
    }
    let header = [("consistent-after", ids[0].to_string())];
    let header: Vec<_> = header.iter().map(|(name, id)| (*name, id.as_str())).collect();
    assert_eq!(world.read("/staff/0001", &header).await.status, 200);
    // The next page does not wait again.
    let response = world.read(&format!("/staff?limit=1&after={}", ids[0]), &[]).await;
    assert!(!response.header("link").contains("after"), "{}", response.header("link"));
}

#[tokio::test]
async fn a_look_up_waits_for_its_write() {
    let world = World::with(STAFF).await;
    let id = Uuid::now_v7();
    let address = format!("/staff/0001?select=age&after={id}");
    let write = async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        world.rows("UPDATE staff SET age = 13 WHERE id = '0001'").await;
        settle(&world, id, "applied").await;
    };
    let (response, ()) = tokio::join!(world.read(&address, &[]), write);
    assert_eq!(response.body, r#"{"age":13}"#);
}

#[tokio::test]
async fn a_write_not_settled_in_time_is_503_with_its_status() {
    let world = World::with(STAFF).await;
    let (settled, pending) = (Uuid::now_v7(), Uuid::now_v7());
    settle(&world, settled, "applied").await;
    let response = read_soon(&world, &format!("/staff?after={settled},{pending}")).await;
    assert_eq!((response.status, response.header("retry-after")), (503, "2"));
    let problem = response.json();
    assert_eq!(problem["type"], "urn:problem-type:aurora-sync:write-pending");
    let status = format!("_sync/writes/{pending}");
    assert_eq!(problem["writes"], json!([{"id": pending, "outcome": "pending", "status": status}]));
}

#[tokio::test]
async fn a_rejected_write_is_409_with_its_status() {
    let world = World::with(STAFF).await;
    let id = Uuid::now_v7();
    settle(&world, id, "rejected").await;
    for (address, up) in [("/staff/0001", "../"), ("/staff", "")] {
        let response = world.read(&format!("{address}?after={id}"), &[]).await;
        assert_eq!(response.status, 409);
        assert_eq!(response.json()["type"], "urn:problem-type:aurora-sync:write-rejected");
        assert_eq!(response.json()["writes"][0]["status"], format!("{up}_sync/writes/{id}"));
    }
}

#[tokio::test]
async fn a_look_up_does_not_wait_for_an_id_that_no_write_can_have() {
    let world = World::with(STAFF).await;
    let response = world.read(&format!("/staff?after={}", Uuid::new_v4()), &[]).await;
    assert_eq!(response.status, 404);
    assert_eq!(response.json()["type"], "urn:problem-type:aurora-sync:write-not-found");
    // A write with an id from an Idempotency-Key may be accepted at any time.
    let id = "6f9619ff-8b86-8011-b42d-00c04fc964ff";
    assert_eq!(read_soon(&world, &format!("/staff?after={id}")).await.status, 503);
    let response = world.read(&format!("/_sync/writes/{id}"), &[]).await.json();
    assert_eq!(response["outcome"], "pending");
    assert!(response["detail"].as_str().unwrap().contains("Idempotency-Key"));
    assert_eq!(world.read("/staff?after=nonsense", &[]).await.status, 400);
}
