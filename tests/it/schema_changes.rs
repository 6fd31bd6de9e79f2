//! Schema changes while writes wait in the queue: each write ends in a way that its client sees,
//! and no other group waits for it.

use std::time::Duration;

use aurora_sync::api::caller::RowSecurity;
use aurora_sync::aws::objects::Objects;
use aurora_sync::aws::queue::Queue;
use aurora_sync::domain::deadline::now_ms;
use aurora_sync::functions::apply::{self, Apply};
use aurora_sync::functions::enqueue::{self, Enqueue};
use aurora_sync::functions::refresh::{self, Refresh};
use aurora_sync::functions::runtime::Invocation;
use aurora_sync::functions::tables::Tables;
use aws_lambda_events::sqs::SqsEvent;
use serde_json::{Value, json};

use crate::support::fake_aws::FakeAws;
use crate::support::services::Bucket;
use crate::support::write_api::event;
use crate::support::{HttpResponse, World, deadline, sqs_event};

const TABLES: &str = "
    CREATE TYPE mood AS ENUM ('sad', 'ok');
    CREATE TABLE t (id integer PRIMARY KEY, a integer, b text, c varchar(10), m mood);
    INSERT INTO t VALUES (1, 10, 'one', 'c1', 'ok'), (2, 20, 'two', 'c2', 'ok');
    CREATE TABLE other (id integer PRIMARY KEY);";

const HOUR_MS: i64 = 60 * 60 * 1_000;

/// The number of deliveries of a message in a test. `apply` asks S3 for a newer catalog once in a
/// second.
const DELIVERIES: u32 = 30;

/// A database whose catalog is in S3, and `apply`, which has read it.
struct Site {
    world: World,
    bucket: Bucket,
    aws: FakeAws,
    apply: Apply,
}

impl Site {
    async fn new() -> Self {
        let mut world = World::existing(&[TABLES.to_owned()]).await;
        world.grant_all().await;
        world.read_catalog().await;
        let (bucket, aws) = (Bucket::new().await, FakeAws::new().await);
        let tables = Tables::stored(Objects::new(&bucket.sdk_config), bucket.name.clone(), None);
        let queue = Queue::new(&aws.sdk_config, aws.queue_url());
        let apply = Apply { tables, data_api: world.writer.clone(), outbox: None, queue };
        let site = Self { world, bucket, aws, apply };
        Box::pin(site.refresh()).await;
        site.apply.tables.load().await;
        site
    }

    /// Stores the tables as they are now. `apply` does not know it.
    async fn refresh(&self) {
        let refresh = Refresh {
            data_api: self.world.reader.clone(),
            objects: Objects::new(&self.bucket.sdk_config),
            bucket: self.bucket.name.clone(),
        };
        refresh::run(&refresh, deadline()).await.unwrap();
    }

    /// Has a request accepted by the tables that [`World::catalog`] has. Returns the id of the
    /// write and its message.
    async fn accept(&self, method: &str, path: &str, body: &Value) -> (String, String) {
        let enqueue = Enqueue {
            tables: self.world.tables(),
            queue: Queue::new(&self.aws.sdk_config, self.aws.queue_url()),
            partitions: 1,
            row_security: RowSecurity::Off,
        };
        let headers = [("content-type", "application/json")];
        let mut request = event(method, path, &headers, body);
        if method == "DELETE" {
            request["body"] = Value::Null;
        }
        let request = serde_json::from_value(request).unwrap();
        let response: HttpResponse =
            enqueue::handle(&enqueue, request, Invocation::until(deadline())).await.into();
        assert_eq!(response.status, 202, "{}", response.body);
        let id = response.json()["id"].as_str().unwrap().to_owned();
        let mut sent = self.aws.take_writes();
        (id, sent.records.remove(0).body.unwrap())
    }

    /// Delivers the messages, as SQS does, until they are settled. Returns `false` if they are not.
    async fn deliver(&self, event: &SqsEvent, now_ms: i64) -> bool {
        for _ in 0..DELIVERIES {
            let handled = apply::handle(&self.apply, event.clone(), now_ms, deadline()).await;
            if handled.unwrap().batch_item_failures.is_empty() {
                return true;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        false
    }

    /// Returns the outcome that the client reads, with the rule and the column.
    async fn outcome(&self, id: &str) -> String {
        let status = self.world.read(&format!("/_sync/writes/{id}"), &[]).await.json();
        let named = ["outcome", "rule", "sqlstate", "column"];
        let parts = named.iter().filter_map(|name| status[*name].as_str());
        parts.collect::<Vec<_>>().join(" ")
    }

    /// Delivers a write beside one of another group. Returns its outcome. A write that waits gets
    /// `waits, ` in front of the outcome that it has an hour later.
    async fn settle(&self, id: &str, body: &str) -> String {
        let (other, other_body) = self.accept("POST", "other", &json!({ "id": 1 })).await;
        let now = now_ms();
        let both = sent_at_once(sqs_event(&[("m0", "t", body), ("m1", "other", &other_body)]));
        let is_settled = self.deliver(&both, now).await;
        assert_eq!(self.outcome(&other).await, "applied");
        if is_settled {
            return self.outcome(id).await;
        }
        assert_eq!(self.outcome(id).await, "pending");
        // Writes that are new wait for a deployment, which may be under way.
        let event = sent_at_once(sqs_event(&[("m0", "t", body)]));
        assert!(self.deliver(&event, now + HOUR_MS).await, "the write waits for ever");
        format!("waits, {}", self.outcome(id).await)
    }
}

/// Gives the messages the times of their writes.
fn sent_at_once(mut event: SqsEvent) -> SqsEvent {
    for record in &mut event.records {
        let body: Value = serde_json::from_str(record.body.as_ref().unwrap()).unwrap();
        let accepted_at = body["writes"][0]["accepted_at_ms"].to_string();
        record.attributes.insert("SentTimestamp".to_owned(), accepted_at);
    }
    event
}

/// Checks the outcome of a write that was accepted before the change, and the row after it.
async fn check(change: &str, request: (&str, &str, Value), expected: &str, row: &str) {
    let site = Box::pin(Site::new()).await;
    let (id, body) = Box::pin(site.accept(request.0, request.1, &request.2)).await;
    site.world.run(change).await;
    Box::pin(site.refresh()).await;
    Box::pin(check_end(&site, (&id, &body), (change, expected, row))).await;
}

/// Checks the outcome of a write that the new tables accept while `apply` holds the old ones.
async fn check_new(change: &str, request: (&str, &str, Value), expected: &str, row: &str) {
    let mut site = Box::pin(Site::new()).await;
    site.world.run(change).await;
    Box::pin(site.refresh()).await;
    site.world.read_catalog().await;
    let (id, body) = Box::pin(site.accept(request.0, request.1, &request.2)).await;
    Box::pin(check_end(&site, (&id, &body), (change, expected, row))).await;
}

async fn check_end(
    site: &Site,
    (id, body): (&str, &str),
    (change, expected, row): (&str, &str, &str),
) {
    assert_eq!(site.settle(id, body).await, expected, "{change}");
    let (sql, expected) = row.split_once(" => ").unwrap();
    assert_eq!(site.world.rows(sql).await.join(" "), expected, "{change}");
}

#[tokio::test]
async fn a_new_column_is_written_at_once() {
    let change = "ALTER TABLE t ADD d text";
    let write = ("PATCH", "t/1", json!({ "d": "new" }));
    check_new(change, write, "applied", "SELECT d FROM t WHERE id = 1 => new").await;
}

#[tokio::test]
async fn a_new_label_is_written_at_once() {
    let change = "ALTER TYPE mood ADD VALUE 'glad'";
    let write = ("PATCH", "t/1", json!({ "m": "glad" }));
    check_new(change, write, "applied", "SELECT m::text FROM t WHERE id = 1 => glad").await;
}

#[tokio::test]
async fn a_new_column_that_must_not_be_null_rejects_the_writes_that_do_not_know_it() {
    let change = "ALTER TABLE t ADD d text NOT NULL DEFAULT ''; ALTER TABLE t ALTER d DROP DEFAULT";
    let write = ("POST", "t", json!({ "id": 3, "a": 1 }));
    check(change, write, "rejected database 23502 d", "SELECT count(*) FROM t => 2").await;
}

#[tokio::test]
async fn a_write_of_a_dropped_column_is_rejected_after_an_hour() {
    let change = "ALTER TABLE t DROP a";
    let write = ("PATCH", "t/1", json!({ "a": 5, "b": "new" }));
    let expected = "waits, rejected unknown-column a";
    check(change, write, expected, "SELECT b FROM t WHERE id = 1 => one").await;
}

#[tokio::test]
async fn a_write_of_other_columns_than_the_dropped_one_is_applied() {
    let write = ("PATCH", "t/1", json!({ "b": "new" }));
    check("ALTER TABLE t DROP a", write, "applied", "SELECT b FROM t WHERE id = 1 => new").await;
}

#[tokio::test]
async fn a_write_of_a_renamed_column_is_rejected_after_an_hour() {
    let change = "ALTER TABLE t RENAME a TO z";
    let write = ("PATCH", "t/1", json!({ "a": 5 }));
    let expected = "waits, rejected unknown-column a";
    check(change, write, expected, "SELECT z FROM t WHERE id = 1 => 10").await;
}

#[tokio::test]
async fn a_column_that_takes_the_old_values_too_gets_them() {
    let write = || ("PATCH", "t/1", json!({ "a": 5 }));
    let row = "SELECT a::text FROM t WHERE id = 1 => 5";
    for change in ["text", "bigint", "numeric(9,2) USING a", "smallint"] {
        let row = if change.starts_with("numeric") {
            row.replace("=> 5", "=> 5.00")
        } else {
            row.to_owned()
        };
        check(&format!("ALTER TABLE t ALTER a TYPE {change}"), write(), "applied", &row).await;
    }
}

#[tokio::test]
async fn a_text_for_a_column_that_became_a_number_is_judged_by_its_value() {
    let change = "ALTER TABLE t ALTER b TYPE integer USING length(b)";
    for (text, expected, row) in [
        ("7", "applied", "SELECT b FROM t WHERE id = 1 => 7"),
        ("x", "rejected database 22P02", "SELECT b FROM t WHERE id = 1 => 3"),
    ] {
        check(change, ("PATCH", "t/1", json!({ "b": text })), expected, row).await;
    }
}

#[tokio::test]
async fn a_text_that_became_too_long_is_rejected() {
    let change = "ALTER TABLE t ALTER c TYPE varchar(3)";
    let write = ("PATCH", "t/1", json!({ "c": "longer" }));
    check(change, write, "rejected database 22001", "SELECT c FROM t WHERE id = 1 => c1").await;
}

#[tokio::test]
async fn a_missing_value_of_a_column_that_became_not_null_is_rejected() {
    let change = "ALTER TABLE t ALTER b SET NOT NULL";
    let write = ("POST", "t", json!({ "id": 3 }));
    check(change, write, "rejected database 23502 b", "SELECT count(*) FROM t => 2").await;
}

#[tokio::test]
async fn a_write_to_a_dropped_table_is_rejected_after_an_hour() {
    let write = ("PATCH", "t/1", json!({ "a": 5 }));
    let expected = "waits, rejected unknown-table";
    check("DROP TABLE t", write, expected, "SELECT count(*) FROM other => 1").await;
}

#[tokio::test]
async fn a_write_to_a_renamed_table_is_rejected_after_an_hour() {
    let write = ("PATCH", "t/1", json!({ "a": 5 }));
    let expected = "waits, rejected unknown-table";
    check("ALTER TABLE t RENAME TO u", write, expected, "SELECT a FROM u WHERE id = 1 => 10").await;
}

/// Checks that a write never changes another row than the one that its client named.
#[tokio::test]
async fn a_write_by_a_key_that_is_no_key_any_more_is_rejected() {
    let change = "ALTER TABLE t DROP CONSTRAINT t_pkey; ALTER TABLE t ADD PRIMARY KEY (b)";
    let rows = "SELECT id, a, b FROM t ORDER BY a => 1|10|one 2|20|two";
    for (request, expected, row) in [
        (("PATCH", "t/1", json!({ "a": 5 })), "rejected required", rows),
        // By the new key, it would be a change of the other row.
        (("PATCH", "t/1", json!({ "b": "two" })), "rejected other-key", rows),
        (("PUT", "t/1", json!({ "b": "two", "a": 5 })), "rejected other-key", rows),
        (("DELETE", "t/1", Value::Null), "rejected required", rows),
        (
            ("POST", "t", json!({ "id": 3, "b": "three", "a": 30 })),
            "applied",
            "SELECT count(*) FROM t WHERE id = 3 => 1",
        ),
    ] {
        let mut site = Box::pin(Site::new()).await;
        let (id, body) = Box::pin(site.accept(request.0, request.1, &request.2)).await;
        site.world.run(change).await;
        Box::pin(site.refresh()).await;
        let objects = Objects::new(&site.bucket.sdk_config);
        site.apply.tables = Tables::stored(objects, site.bucket.name.clone(), None);
        Box::pin(check_end(&site, (&id, &body), (change, expected, row))).await;
    }
}

#[tokio::test]
async fn a_write_by_the_old_key_is_applied_while_nobody_has_read_the_new_one() {
    let change = "ALTER TABLE t DROP CONSTRAINT t_pkey; ALTER TABLE t ADD PRIMARY KEY (b)";
    let write = ("PATCH", "t/1", json!({ "a": 5 }));
    check(change, write, "applied", "SELECT a FROM t WHERE id = 1 => 5").await;
}

#[tokio::test]
async fn a_write_without_a_right_is_rejected() {
    let change = "REVOKE UPDATE ON t FROM sync_writer";
    let write = ("PATCH", "t/1", json!({ "a": 5 }));
    check(change, write, "rejected read-only", "SELECT a FROM t WHERE id = 1 => 10").await;
    let change = "REVOKE ALL ON t FROM sync_writer, sync_reader";
    let write = ("PATCH", "t/1", json!({ "a": 5 }));
    let expected = "waits, rejected unknown-table";
    check(change, write, expected, "SELECT a FROM t WHERE id = 1 => 10").await;
}

#[tokio::test]
async fn a_change_that_nobody_has_read_blocks_its_own_group_only_and_ends_when_it_is_read() {
    let site = Box::pin(Site::new()).await;
    let write = json!({ "a": 5, "b": "new" });
    let (id, body) = site.accept("PATCH", "t/1", &write).await;
    let (other, other_body) = site.accept("POST", "other", &json!({ "id": 1 })).await;
    site.world.run("ALTER TABLE t ALTER b TYPE integer USING length(b)").await;
    let both = sqs_event(&[("m0", "t", &body), ("m1", "other", &other_body)]);
    let left = apply::handle(&site.apply, both.clone(), now_ms(), deadline()).await.unwrap();
    let left: Vec<_> = left.batch_item_failures.iter().map(|f| &f.item_identifier).collect();
    assert_eq!(left, ["m0"]);
    assert_eq!(site.outcome(&other).await, "applied");
    assert_eq!(site.outcome(&id).await, "pending");
    Box::pin(site.refresh()).await;
    assert!(site.deliver(&both, now_ms()).await);
    assert_eq!(site.outcome(&id).await, "rejected database 22P02");
}

#[tokio::test]
async fn a_write_by_a_right_that_was_granted_a_moment_ago_is_applied() {
    let mut site = Box::pin(Site::new()).await;
    site.world.run("REVOKE UPDATE ON t FROM sync_writer").await;
    Box::pin(site.refresh()).await;
    let objects = Objects::new(&site.bucket.sdk_config);
    site.apply.tables = Tables::stored(objects, site.bucket.name.clone(), None);
    site.apply.tables.load().await;
    let change = "GRANT UPDATE ON t TO sync_writer";
    site.world.run(change).await;
    Box::pin(site.refresh()).await;
    site.world.read_catalog().await;
    let body = json!({ "a": 5 });
    let (id, body) = Box::pin(site.accept("PATCH", "t/1", &body)).await;
    let row = "SELECT a FROM t WHERE id = 1 => 5";
    Box::pin(check_end(&site, (&id, &body), (change, "applied", row))).await;
}
