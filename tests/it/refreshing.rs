//! The stored catalog: `refresh` writes it, and the other functions find it.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use aurora_sync::aws::functions::Function;
use aurora_sync::aws::objects::Objects;
use aurora_sync::database::condition::Condition;
use aurora_sync::domain::deadline::Deadline;
use aurora_sync::functions::refresh::{self, Refresh, Refreshed};
use aurora_sync::functions::tables::{CATALOG_KEY, PACE, Pace, Tables};
use aurora_sync_catalog::Catalog;
use aws_smithy_types::DateTime;
use aws_smithy_types::date_time::Format;
use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::{Method, Request, Response};
use local_stack::http_server::HttpServer;
use serde_json::json;

use crate::support::logs::Log;
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
async fn a_change_that_breaks_callers_is_counted_and_another_is_not() {
    let stored = Stored::new().await;
    stored.run().await;
    let counted = async |sql: &str| {
        stored.world.rows(sql).await;
        let log = Log::from_level("error");
        stored.run().await;
        log.lines("tables changed under the API").len()
    };
    assert_eq!(counted("ALTER TABLE staff ADD COLUMN email text").await, 0);
    assert_eq!(counted("ALTER TABLE staff DROP COLUMN age, DROP COLUMN email").await, 2);
}

#[tokio::test]
async fn a_check_names_the_changes_and_stores_nothing() {
    let stored = Stored::new().await;
    let check = async || refresh::check(&stored.refresh(), deadline()).await.unwrap();
    assert_eq!(check().await.stored_before, None);
    let first = stored.run().await;
    assert_eq!(check().await.stored_before, Some(first.version.clone()));
    stored.world.rows("ALTER TABLE staff DROP COLUMN age").await;
    for _ in 0..2 {
        let checked = check().await;
        assert_eq!(checked.changes, ["staff.age: removed"]);
        assert_eq!(checked.stored_before.as_ref(), Some(&first.version));
        assert_ne!(checked.version, first.version);
    }
    assert_eq!(stored.run().await.changes, ["staff.age: removed"]);
    assert!(check().await.changes.is_empty());
}

#[tokio::test]
async fn a_check_tells_the_users_their_tables_and_the_blocked_groups() {
    let stored = Stored::new().await;
    let check = async || {
        let checked = refresh::check(&stored.refresh(), deadline()).await.unwrap().checked;
        checked.unwrap().condition
    };
    let find = |condition: &Condition, name: &str| {
        condition.users.iter().find(|user| user.name == name).unwrap().clone()
    };
    let well = check().await;
    assert!(well.missing_rights.is_empty() && well.blocked.is_empty(), "{well:?}");
    let (reader, writer) = (find(&well, "test_reader"), find(&well, "test_writer"));
    assert_eq!(
        (&reader.roles[..], &writer.roles[..]),
        (&["sync_reader".to_owned()][..], &["sync_writer".to_owned()][..])
    );
    assert!(!writer.is_superuser && !writer.bypasses_row_security && writer.owns.is_empty());

    let world = &stored.world;
    world.rows("ALTER TABLE staff OWNER TO test_writer").await;
    world.rows("INSERT INTO sync.write (id, operation, outcome, accepted_at) VALUES ('00000000-0000-4000-8000-000000000001', 'insert', 'applied', now())").await;
    let blocked = "INSERT INTO sync.blocked (message_group, write_ids, cause) VALUES
        ('staff:1', '{00000000-0000-4000-8000-000000000001,00000000-0000-4000-8000-000000000002}', '42501'),
        ('staff:2', '{00000000-0000-4000-8000-000000000001}', '42501')";
    world.rows(blocked).await;
    let bad = check().await;
    assert_eq!(find(&bad, "test_writer").owns, ["staff"]);
    let [group] = bad.blocked.try_into().unwrap();
    assert_eq!((group.group.as_str(), group.writes, group.cause.as_str()), ("staff:1", 1, "42501"));

    world.rows("REVOKE SELECT ON sync.blocked FROM sync_reader").await;
    assert_eq!(check().await.missing_rights, ["SELECT ON sync.blocked to sync_reader"]);
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

/// S3 with one catalog, and Lambda with `refresh`, for tests of how they are asked.
struct Services {
    state: Arc<State>,
    server: HttpServer,
}

#[derive(Default)]
struct State {
    catalog: Vec<u8>,
    /// The age of the catalog in seconds.
    age: u64,
    hangs: AtomicBool,
    fails: bool,
    gets: AtomicU32,
    /// The types of the invocations.
    invocations: Mutex<Vec<String>>,
}

impl Services {
    async fn new(age: u64, fails: bool) -> Self {
        let world = World::with(STAFF).await;
        let catalog = serde_json::to_vec(&world.catalog).unwrap();
        let state = Arc::new(State { catalog, age, fails, ..State::default() });
        let served = Arc::clone(&state);
        let server = HttpServer::start(move |request| {
            let state = Arc::clone(&served);
            async move { state.respond(request).await }
        });
        Self { state, server: server.await.unwrap() }
    }

    fn tables(&self) -> Tables {
        let config = sdk_config(&self.server.url());
        let refresh = Function::new(&config, "refresh".to_owned());
        Tables::stored(Objects::new(&config), "catalog".to_owned(), Some(refresh))
    }

    fn invocations(&self) -> Vec<String> {
        self.state.invocations.lock().unwrap().clone()
    }
}

impl State {
    async fn respond(&self, request: Request<Incoming>) -> anyhow::Result<Response<Full<Bytes>>> {
        if request.method() == Method::POST {
            let kind = request.headers()["x-amz-invocation-type"].to_str()?.to_owned();
            self.invocations.lock().unwrap().push(kind);
            let response = Response::builder().status(200);
            let response = if self.fails {
                response.header("x-amz-function-error", "Unhandled")
            } else {
                response
            };
            return Ok(response.body(Full::new("{}".into()))?);
        }
        self.gets.fetch_add(1, Ordering::Relaxed);
        if self.hangs.load(Ordering::Relaxed) {
            std::future::pending::<()>().await;
        }
        let written = DateTime::from(SystemTime::now() - Duration::from_secs(self.age));
        let response = Response::builder().header("etag", "\"1\"");
        let response = response.header("last-modified", written.fmt(Format::HttpDate)?);
        Ok(response.body(Full::new(self.catalog.clone().into()))?)
    }
}

#[tokio::test]
async fn a_catalog_that_was_read_long_ago_is_read_again_without_waiting() {
    for (age, expected) in [(0, &[][..]), (3_600, &["Event"])] {
        let services = Services::new(age, false).await;
        let tables = services.tables();
        tables.current(deadline()).await.unwrap();
        tables.current(deadline()).await.unwrap();
        assert_eq!(services.invocations(), expected, "{age}");
    }
}

#[tokio::test]
async fn refusals_have_the_tables_read_once_in_a_while() {
    let services = Services::new(0, false).await;
    let mut api = WriteApi::open("").await;
    api.enqueue.tables = services.tables();
    let post = event("POST", "staff", &[], &json!({ "id": "0009", "nmae": "x" }));
    for _ in 0..3 {
        assert_eq!(api.request(post.clone()).await.status, 422);
    }
    assert_eq!(services.invocations(), ["RequestResponse"]);
}

#[tokio::test]
async fn a_refresh_that_fails_changes_no_response() {
    let services = Services::new(3_600, true).await;
    let mut api = WriteApi::open("").await;
    api.enqueue.tables = services.tables().with_pace(Pace { read_every: Duration::ZERO, ..PACE });
    let post = |name: &str| event("POST", "staff", &[], &json!({ "id": "0009", name: "x" }));
    assert_eq!(api.request(post("nmae")).await.status, 422);
    assert_eq!(api.request(post("name")).await.status, 202);
    assert_eq!(services.invocations()[..2], ["Event", "RequestResponse"]);
}

#[tokio::test]
async fn a_write_is_accepted_while_s3_hangs() {
    let services = Services::new(0, false).await;
    let mut api = WriteApi::open("").await;
    api.enqueue.tables = services.tables().with_pace(Pace { check_every: Duration::ZERO, ..PACE });
    let post = |id: &str| event("POST", "staff", &[], &json!({ "id": id, "name": "x" }));
    assert_eq!(api.request(post("0009")).await.status, 202);
    services.state.hangs.store(true, Ordering::Relaxed);
    assert_eq!(api.request(post("0010")).await.status, 202);
}

#[tokio::test]
async fn only_one_event_waits_while_s3_hangs() {
    // After an old catalog, the next event asks S3.
    let services = Services::new(3_600, false).await;
    let tables = services.tables();
    let known = tables.current(deadline()).await.unwrap();
    services.state.hangs.store(true, Ordering::Relaxed);
    for _ in 0..3 {
        let within = Deadline::after(Duration::from_secs(10));
        assert!(Arc::ptr_eq(&tables.current(within).await.unwrap(), &known));
    }
    assert_eq!(services.state.gets.load(Ordering::Relaxed), 2);
}
