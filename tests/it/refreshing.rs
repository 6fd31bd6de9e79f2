//! The stored catalog: `refresh` writes it, and the other functions find it.

use std::sync::Arc;
use std::time::Duration;

use aurora_sync::aws::objects::Objects;
use aurora_sync::domain::deadline::Deadline;
use aurora_sync::functions::refresh::{self, Refresh, Refreshed};
use aurora_sync::functions::tables::{CATALOG_KEY, PACE, Pace, Tables};
use aurora_sync_catalog::Catalog;
use serde_json::json;

use crate::support::services::Bucket;
use crate::support::write_api::{WriteApi, event};
use crate::support::{STAFF, World, deadline, sdk_config};

/// A database and the bucket of its catalog.
struct Stored {
    world: World,
    bucket: Bucket,
}

impl Stored {
    async fn new() -> Self {
        Self { world: World::with(STAFF).await, bucket: Bucket::new().await }
    }

    fn refresh(&self) -> Refresh {
        Refresh {
            data_api: self.world.reader.clone(),
            objects: Objects::new(&self.bucket.sdk_config),
            bucket: self.bucket.name.clone(),
        }
    }

    async fn run(&self) -> Refreshed {
        refresh::run(&self.refresh(), deadline()).await.unwrap()
    }

    /// Returns the tables of a function that cannot invoke `refresh`.
    fn tables(&self) -> Tables {
        let objects = Objects::new(&self.bucket.sdk_config);
        Tables::stored(objects, self.bucket.name.clone(), None)
    }
}

fn columns(catalog: &Catalog) -> Vec<&str> {
    let staff = catalog.table("staff").unwrap();
    staff.columns.iter().map(|column| column.name.as_str()).collect()
}

#[tokio::test]
async fn a_refresh_stores_the_tables_and_names_the_changes() {
    let stored = Stored::new().await;
    let first = stored.run().await;
    assert_eq!(first.tables, ["staff"]);
    assert_eq!(first.version, stored.world.catalog.version());
    assert!(first.changes.is_empty());
    let sql = "ALTER TABLE staff ADD COLUMN email text, DROP COLUMN age";
    stored.world.rows(sql).await;
    let second = stored.run().await;
    assert_eq!(second.changes, ["staff.age: removed", "staff.email: added"]);
    assert_ne!(second.version, first.version);
    assert!(stored.run().await.changes.is_empty());
}

#[tokio::test]
async fn a_catalog_that_is_known_is_not_asked_for_again_at_once() {
    let stored = Stored::new().await;
    stored.run().await;
    let tables = stored.tables();
    let first = tables.current(deadline()).await.unwrap();
    stored.world.rows("ALTER TABLE staff ADD COLUMN email text").await;
    stored.run().await;
    let same = tables.current(deadline()).await.unwrap();
    assert!(Arc::ptr_eq(&first, &same));
    let newer = tables.newer_than(&first, deadline()).await.unwrap();
    assert_eq!(columns(&newer), ["id", "name", "age", "email"]);
    assert!(tables.newer_than(&newer, deadline()).await.is_none());
}

#[tokio::test]
async fn a_catalog_that_is_due_is_asked_for() {
    let stored = Stored::new().await;
    stored.run().await;
    let pace = Pace { check_every: Duration::ZERO, ..PACE };
    let tables = stored.tables().with_pace(pace);
    assert_eq!(columns(&tables.current(deadline()).await.unwrap()).len(), 3);
    stored.world.rows("ALTER TABLE staff ADD COLUMN email text").await;
    stored.run().await;
    assert_eq!(columns(&tables.current(deadline()).await.unwrap()).len(), 4);
}

#[tokio::test]
async fn several_refreshes_at_once_all_end_with_the_newest_tables() {
    let stored = Stored::new().await;
    stored.run().await;
    stored.world.rows("ALTER TABLE staff ADD COLUMN email text").await;
    // All find the first catalog. Those that store later find it changed, and read again.
    let (one, other, third) = tokio::join!(stored.run(), stored.run(), stored.run());
    assert_eq!([&other.version, &third.version], [&one.version, &one.version]);
    assert_eq!(columns(&stored.tables().current(deadline()).await.unwrap()).len(), 4);
}

#[tokio::test]
async fn a_write_without_a_catalog_is_503_and_nothing_is_queued() {
    let stored = Stored::new().await;
    let mut api = WriteApi::open("").await;
    api.enqueue.tables = stored.tables();
    let row = json!({ "id": "0009", "name": "x" });
    let post = event("POST", "staff", &[], &row);
    let response = api.request(post.clone()).await;
    assert_eq!(response.status, 503, "{}", response.body);
    assert!(response.body.contains("The list of tables cannot be read now."), "{}", response.body);
    assert_eq!(response.header("retry-after"), "5");
    assert!(api.drain_writes().await.is_empty());
    stored.run().await;
    assert_eq!(api.request(post).await.status, 202);
}

#[tokio::test]
async fn the_last_catalog_is_used_while_s3_does_not_respond() {
    let stored = Stored::new().await;
    stored.run().await;
    let nowhere = Objects::new(&sdk_config("http://127.0.0.1:9"));
    let lost = Tables::stored(nowhere, stored.bucket.name.clone(), None);
    assert!(lost.current(Deadline::after(Duration::from_secs(5))).await.is_err());

    let pace = Pace { check_every: Duration::ZERO, ..PACE };
    let tables = stored.tables().with_pace(pace);
    tables.current(deadline()).await.unwrap();
    stored.bucket.delete(CATALOG_KEY).await;
    assert_eq!(columns(&tables.current(deadline()).await.unwrap()).len(), 3);
}

#[tokio::test]
async fn a_warm_function_accepts_a_new_column_right_after_a_refresh() {
    let stored = Stored::new().await;
    stored.run().await;
    let mut api = WriteApi::open("").await;
    api.enqueue.tables = stored.tables();
    let row = json!({ "id": "0009", "name": "x", "email": "x@example.org" });
    let post = event("POST", "staff", &[], &row);
    assert_eq!(api.request(post.clone()).await.status, 422);
    stored.world.rows("ALTER TABLE staff ADD COLUMN email text").await;
    stored.run().await;
    assert_eq!(api.request(post).await.status, 202);
}
