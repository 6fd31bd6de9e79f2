//! `enqueue`: what is accepted is in the queue, in order; what is refused is not.

use std::collections::BTreeSet;

use aurora_sync::aws::queue::Queue;
use aurora_sync::enqueue::{self, Enqueue};
use serde_json::{Value, json};

use crate::support::services::FifoQueue;
use crate::support::{Answer, STAFF, World, sample, schema_of};

const ROWS: &str = "SELECT id, name, age FROM staff ORDER BY id";

/// A queue and `enqueue` before it.
struct Door {
    queue: FifoQueue,
    enqueue: Enqueue,
}

impl Door {
    async fn open() -> Self {
        let queue = FifoQueue::new().await;
        let enqueue = Enqueue {
            catalog: schema_of(STAFF).catalog,
            queue: Queue::new(&queue.sdk_config, queue.url.clone()),
            partitions: 8,
        };
        Self { queue, enqueue }
    }

    async fn request(&self, event: Value) -> Answer {
        enqueue::handle(&self.enqueue, serde_json::from_value(event).unwrap()).await.into()
    }
}

#[tokio::test]
async fn every_sample_that_is_accepted_reaches_its_row() {
    let (world, door) = (World::with(STAFF).await, Door::open().await);
    for (name, accepted, rows) in [
        (
            "api-post-one",
            1,
            &["0001|Aurora|12", "0002|Lambda|34", "0003|Dynamo|56", "0004|Apigateway|78"][..],
        ),
        (
            "api-put",
            1,
            &["0001|Aurora!|12", "0002|Lambda|34", "0003|Dynamo|56", "0004|Apigateway|78"],
        ),
        ("api-delete", 1, &["0001|Aurora!|12", "0002|Lambda|34", "0004|Apigateway|78"]),
    ] {
        let answer = door.request(sample(name)).await;
        assert_eq!(answer.status, 202, "{name}: {}", answer.body);
        let response = world.apply(door.queue.drain().await).await.unwrap();
        assert!(response.batch_item_failures.is_empty());
        assert_eq!(world.rows(ROWS).await, rows, "{name}");
        let ids = world.rows("SELECT id::text FROM sync.write ORDER BY id DESC LIMIT 1").await;
        assert_eq!(ids.len(), accepted);
        assert_eq!(answer.json()["id"], ids[0], "{name}: the answer names the write");
        assert_eq!(answer.json()["status"], format!("/_sync/writes/{}", ids[0]));
    }
}

#[tokio::test]
async fn an_array_settles_item_by_item() {
    let (world, door) = (World::with(STAFF).await, Door::open().await);
    assert_eq!(door.request(sample("api-post-base64")).await.status, 202);
    let answer = door.request(sample("api-post-array")).await;
    assert_eq!(answer.status, 202);
    let event = door.queue.drain().await;
    let response = world.apply(event).await.unwrap();
    assert!(response.batch_item_failures.is_empty());
    // 0004 is there already, by the request before.
    assert_eq!(
        world.rows(ROWS).await[3..],
        ["0004|Apigateway|78", "0005|Queue|19", "0006|Bucket|-"]
    );
    let ledger = world.rows("SELECT id::text, outcome FROM sync.write ORDER BY id").await;
    let answer = answer.json();
    let ids =
        answer["writes"].as_array().unwrap().iter().map(|write| write["id"].as_str().unwrap());
    let outcomes: Vec<_> =
        ids.map(|id| ledger.iter().find_map(|line| line.strip_prefix(id)).unwrap()).collect();
    assert_eq!(outcomes, ["|rejected", "|applied", "|applied"]);
}

#[tokio::test]
async fn what_is_refused_is_not_queued() {
    let door = Door::open().await;
    for (name, word, rules) in [
        (
            "api-post-invalid",
            "invalid-write",
            &["length", "not-null", "format", "unknown-column"][..],
        ),
        ("api-post-not-utf8", "malformed-body", &[]),
    ] {
        let answer = door.request(sample(name)).await;
        let problem = answer.json();
        assert_eq!(answer.content_type, "application/problem+json");
        assert_eq!(problem["type"], format!("urn:problem-type:aurora-sync:{word}"), "{name}");
        let errors = problem["errors"].as_array().cloned().unwrap_or_default();
        let found: Vec<_> = errors.iter().map(|error| &error["rule"]).collect();
        assert_eq!(found, rules, "{name}");
    }
    assert!(door.queue.drain().await.records.is_empty());
}

#[tokio::test]
async fn writes_to_one_key_share_a_group_and_keep_their_order() {
    let door = Door::open().await;
    let mut event = sample("api-post-array");
    // More rows than one SendMessageBatch call takes messages of, and than one message takes rows.
    let rows: Vec<_> = (0..2_000)
        .map(|n| json!({"id": format!("{:04}", n % 20), "name": n.to_string()}))
        .collect();
    event["body"] = Value::from(rows).to_string().into();
    assert_eq!(door.request(event).await.status, 202);
    let mut seen = vec![Vec::new(); 20];
    let mut groups = vec![BTreeSet::new(); 20];
    for record in door.queue.drain().await.records {
        let body: Value = serde_json::from_str(record.body.as_ref().unwrap()).unwrap();
        for write in body["writes"].as_array().unwrap() {
            let key: usize = write["key"][0].as_str().unwrap().parse().unwrap();
            let name: usize = write["row"][1][1].as_str().unwrap().parse().unwrap();
            seen[key].push(name);
            groups[key].insert(record.attributes["MessageGroupId"].clone());
        }
    }
    for (key, names) in seen.iter().enumerate() {
        assert_eq!(*names, (0..100).map(|n| n * 20 + key).collect::<Vec<_>>());
        assert_eq!(groups[key].len(), 1);
    }
}

#[tokio::test]
async fn a_queue_that_is_not_there_is_an_outage_that_accepts_nothing() {
    let mut door = Door::open().await;
    let url = format!("{}-gone.fifo", door.queue.url);
    door.enqueue.queue = Queue::new(&door.queue.sdk_config, url);
    let answer = door.request(sample("api-post-one")).await;
    assert_eq!(answer.status, 503);
    assert_eq!(answer.json()["type"], "urn:problem-type:aurora-sync:unavailable");
    assert!(answer.json()["detail"].as_str().unwrap().contains("none was accepted"));
}
