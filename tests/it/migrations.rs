//! `migrate`: each file of `sql/` is applied once.

use std::time::Duration;

use aurora_sync::aws::cloudformation::CloudFormation;
use aurora_sync::aws::objects::Objects;
use aurora_sync::aws::secrets::Secrets;
use aurora_sync::database::roles::{WRITER, user_with_password};
use aurora_sync::domain::deadline::Deadline;
use aurora_sync::domain::error::chain;
use aurora_sync::functions::migrate::{self, Deployment, Users};
use aurora_sync::functions::refresh::Refresh;
use bytes::Bytes;
use data_api_server::Operation;
use ephemeral_postgres::connect;
use http_body_util::{BodyExt, Empty, Full};
use hyper::body::Incoming;
use hyper::{Method, Request, Response};
use local_stack::http_server::HttpServer;
use serde_json::Value;
use tokio::sync::mpsc;

use crate::support::fake_aws::{CATALOG, FakeAws};
use crate::support::writes::write;
use crate::support::{STAFF, World, deadline, sample, sdk_config, until};

/// The number of the worker's own files.
const OWN: usize = 4;

const APPLIED: &str = "SELECT name FROM sync.migration ORDER BY name";

#[tokio::test]
async fn each_file_is_applied_once() {
    let world = World::with(STAFF).await;
    assert_eq!(
        world.rows(APPLIED).await,
        [
            "0001_tables.sql",
            "sync/0001_ledger.sql",
            "sync/0002_settle.sql",
            "sync/0003_imports.sql",
            "sync/0004_events.sql"
        ]
    );
    let again = world.migrated(None).await.unwrap();
    assert!(again.is_empty());
    assert_eq!(world.rows("SELECT count(*) FROM staff").await, ["3"]);
}

#[tokio::test]
async fn two_concurrent_migrations_apply_each_file_once() {
    let world = World::unmigrated(STAFF).await;
    let (one, other) = tokio::join!(world.migrated(None), world.migrated(None));
    assert_eq!(one.unwrap().len() + other.unwrap().len(), OWN + 1);
    assert_eq!(world.rows("SELECT count(*) FROM staff").await, ["3"]);
}

#[tokio::test]
async fn a_file_that_changed_after_it_was_applied_is_an_error() {
    let world = World::with(STAFF).await;
    world.file("0001_tables.sql", &format!("{STAFF}\n-- changed"));
    let error = world.migrated(None).await.unwrap_err();
    assert!(
        error.to_string().contains("0001_tables.sql was applied with other content"),
        "{error}"
    );
}

#[tokio::test]
async fn a_file_that_fails_leaves_nothing_and_names_its_line() {
    let world =
        World::unmigrated("CREATE TABLE a (id int PRIMARY KEY);\n\nINSERT INTO a VALUES ('x');")
            .await;
    let text = failure(&world, None).await;
    assert!(text.starts_with("0001_tables.sql, line 3: "), "{text}");
    assert_eq!(world.rows("SELECT to_regclass('a')::text").await, ["-"]);
    assert_eq!(world.rows(APPLIED).await.len(), OWN);
}

#[tokio::test]
async fn the_workers_own_files_are_applied_again_when_they_change() {
    let world = World::with(STAFF).await;
    let write = write(&world.catalog, "insert staff id=0009 name=Nine");
    world.apply_writes(vec![write]).await;
    // As an earlier version left it.
    world.rows("UPDATE sync.migration SET checksum = 'old' WHERE name LIKE 'sync/%'").await;
    world.rows("CREATE OR REPLACE FUNCTION sync.reason(rule text) RETURNS text LANGUAGE sql AS 'SELECT NULL'").await;
    world.rows("DROP FUNCTION sync.row_tag").await;
    let done = world.migrated(None).await.unwrap();
    assert_eq!(done.len(), OWN);
    assert_eq!(
        world.rows("SELECT sync.reason('row-missing') IS NOT NULL, count(*) FROM sync.write").await,
        ["true|1"]
    );
    assert!(world.migrated(None).await.unwrap().is_empty());
    let usable = "SELECT has_function_privilege('sync_reader', 'sync.row_tag(record)', 'EXECUTE')";
    assert_eq!(world.rows(usable).await, ["true"]);
}

/// The functions that run during a deployment use the schema `sync` as it is now.
#[tokio::test]
async fn the_roles_may_use_the_workers_own_schema_also_if_a_later_file_fails() {
    let world = World::with(STAFF).await;
    world.rows("UPDATE sync.migration SET checksum = 'old' WHERE name LIKE 'sync/%'").await;
    world.rows("DROP FUNCTION sync.row_tag").await;
    world.rows("DROP TABLE sync.blocked").await;
    world.file("0002_bad.sql", "SELECT 1/0;");
    assert_starts_with(&failure(&world, None).await, "0002_bad.sql, line 1: ");
    let usable = "SELECT has_function_privilege('sync_reader', 'sync.row_tag(record)', 'EXECUTE'),
        has_table_privilege('sync_writer', 'sync.blocked', 'INSERT')";
    assert_eq!(world.rows(usable).await, ["true|true"]);
}

/// Lists what functions use: the columns of tables, views and types, and the functions.
const SCHEMA: &str = "SELECT format('column %s.%s %s', relation.relname, col.attname,
    format_type(col.atttypid, col.atttypmod))
  FROM pg_class AS relation JOIN pg_attribute AS col ON col.attrelid = relation.oid
  WHERE relation.relnamespace = 'sync'::regnamespace AND relation.relkind IN ('r', 'v', 'c')
    AND col.attnum > 0 AND NOT col.attisdropped
  UNION
  SELECT format('function %s(%s): %s', proname, pg_get_function_arguments(oid), pg_get_function_result(oid))
  FROM pg_proc WHERE pronamespace = 'sync'::regnamespace ORDER BY 1";

/// The schema of the last release. There is no release yet, so it may be taken anew at any time.
const RELEASED: &str = "tests/it/released_schema.txt";

/// The functions of the release before run during a deployment, and after one that is rolled back.
#[tokio::test]
async fn the_functions_of_the_last_release_find_their_schema() {
    let schema = World::with(STAFF).await.rows(SCHEMA).await;
    if std::env::var_os("UPDATE_EXPECT").is_some() {
        std::fs::write(RELEASED, schema.join("\n") + "\n").unwrap();
    }
    let released = std::fs::read_to_string(RELEASED).unwrap();
    assert!(released.lines().count() > 50);
    for line in released.lines() {
        assert!(
            schema.iter().any(|found| found == line),
            "the schema sync has lost this, which the last release uses: {line}\n\
             Keep it for one release. After a release, run this test with UPDATE_EXPECT=1."
        );
    }
}

#[tokio::test]
async fn the_workers_own_files_are_applied_together_or_not_at_all() {
    let world = World::unmigrated(STAFF).await;
    // A statement of the second file.
    world.fault("execute@40 sql=42501");
    let text = failure(&world, None).await;
    assert_starts_with(&text, "sync/0002_settle.sql, line ");
    assert_eq!(world.rows("SELECT to_regclass('sync.write')::text").await, ["-"]);
    assert!(world.rows(APPLIED).await.is_empty());
    world.server.faults().clear();
    assert_eq!(world.migrated(None).await.unwrap().len(), OWN + 1);
}

#[tokio::test]
async fn a_dump_is_applied_and_leaves_the_session_unchanged() {
    let dump = "SELECT pg_catalog.set_config('search_path', '', false);
        CREATE TABLE public.t (id integer NOT NULL, body text);
        ALTER TABLE ONLY public.t ADD CONSTRAINT t_pkey PRIMARY KEY (id);
        CREATE FUNCTION public.f() RETURNS text LANGUAGE sql AS $$ SELECT 'a :b [1:2]' $$;";
    let world = World::with(dump).await;
    assert_eq!(world.rows("SELECT f()").await, ["a :b [1:2]"]);
    assert_eq!(world.catalog.tables()[0].primary_key, ["id"]);
}

/// Clients use either name of a column while both are there.
#[tokio::test]
async fn the_example_of_expand_and_contract_works() {
    let guide = include_str!("../../docs/guide/operate.md");
    let file = |name: &str| {
        let blocks = guide.split("```sql\n").skip(1).filter_map(|rest| rest.split("```").next());
        blocks.filter(|block| block.contains(name)).collect::<String>()
    };
    let mut world = World::with(STAFF).await;
    world.file("0002_years.sql", &file("0002_years.sql"));
    assert_eq!(world.migrated(None).await.unwrap(), ["0002_years.sql"]);
    world.read_catalog().await;
    for change in ["insert staff id=0008 name=Old age=8", "insert staff id=0009 name=New years=9"] {
        world.apply_writes(vec![write(&world.catalog, change)]).await;
    }
    for change in ["update staff id=0001 age=1", "update staff id=0002 years=2"] {
        world.apply_writes(vec![write(&world.catalog, change)]).await;
    }
    let both = "SELECT id, age, years FROM staff ORDER BY id";
    assert_eq!(
        world.rows(both).await,
        ["0001|1|1", "0002|2|2", "0003|56|56", "0008|8|8", "0009|9|9"]
    );
    world.file("0003_no_age.sql", &file("0003_no_age.sql"));
    assert_eq!(world.migrated(None).await.unwrap(), ["0003_no_age.sql"]);
    assert_eq!(world.rows("SELECT sum(years) FROM staff").await, ["76"]);
}

/// Migrates, and returns the error with its causes.
async fn failure(world: &World, baseline: Option<&str>) -> String {
    chain(&world.migrated(baseline).await.unwrap_err())
}

#[track_caller]
fn assert_starts_with(text: &str, beginning: &str) {
    assert!(text.starts_with(beginning), "{text}");
}

#[tokio::test]
async fn a_database_without_files_of_the_user_gets_the_workers_own_schema() {
    let world = World::unmigrated("").await;
    let mut migrate = world.migrate();
    migrate.sql_folder.push("missing");
    let done = migrate::run(&migrate, None, deadline()).await.unwrap();
    assert_eq!(
        done,
        [
            "sync/0001_ledger.sql",
            "sync/0002_settle.sql",
            "sync/0003_imports.sql",
            "sync/0004_events.sql"
        ]
    );
}

#[tokio::test]
async fn an_update_with_a_bad_file_leaves_the_database_as_it_was() {
    let world = World::with(STAFF).await;
    world.file("0002_bad.sql", "ALTER TABLE staff ADD COLUMN salary int; SELECT salry FROM staff;");
    assert_starts_with(&failure(&world, None).await, "0002_bad.sql, line 1: ");
    assert_eq!(
        world
            .rows("SELECT count(*) FROM information_schema.columns WHERE table_name = 'staff'")
            .await,
        ["3"]
    );
    assert_eq!(world.rows(APPLIED).await.len(), OWN + 1);

    world.file("0002_bad.sql", "ALTER TABLE staff ADD COLUMN salary int;");
    assert_eq!(world.migrated(None).await.unwrap(), ["0002_bad.sql"]);
}

#[tokio::test]
async fn nothing_runs_if_a_file_is_refused() {
    let world = World::unmigrated(STAFF).await;
    world.file("0002_own.sql", "CREATE TABLE a (id int);\nCOMMIT;");
    let text = failure(&world, None).await;
    assert_starts_with(&text, "0002_own.sql, line 2: leave COMMIT out");
    assert_eq!(world.rows("SELECT to_regclass('staff')::text").await, ["-"]);
    assert_eq!(world.rows("SELECT to_regnamespace('sync')::text").await, ["-"]);
}

#[tokio::test]
async fn a_table_that_exists_names_the_way_out() {
    let world = World::unmigrated(STAFF).await;
    world.rows("CREATE TABLE staff (id int)").await;
    let text = failure(&world, None).await;
    assert_starts_with(&text, "0001_tables.sql, line 3: it exists already.");
    assert!(text.contains("set the parameter Baseline to 0001_tables.sql"), "{text}");
    assert!(text.contains("relation \"staff\" already exists"), "{text}");
}

#[tokio::test]
async fn files_up_to_the_baseline_are_recorded_and_not_run() {
    let world = World::unmigrated(STAFF).await;
    world.rows("CREATE TABLE staff (id char(4) PRIMARY KEY, name text NOT NULL, age int)").await;
    // A dump that the Data API cannot take is recorded all the same.
    world.file("0002_dump.sql", "\\connect app\nCOPY staff FROM stdin;\n\\.\n");
    world.file("0003_new.sql", "ALTER TABLE staff ADD COLUMN email text;");
    let done = world.migrated(Some("0002_dump.sql")).await.unwrap();
    assert_eq!(done.last().map(String::as_str), Some("0003_new.sql"));
    assert_eq!(world.rows("SELECT count(*) FROM staff").await, ["0"]);
    assert_eq!(world.rows(APPLIED).await.len(), OWN + 3);

    // The parameter may stay.
    assert!(world.migrated(Some("0002_dump.sql")).await.unwrap().is_empty());
    assert!(world.migrated(None).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_baseline_that_is_no_file_is_an_error_that_lists_the_files() {
    let world = World::unmigrated(STAFF).await;
    world.file("0002_more.sql", "SELECT 1");
    let text = failure(&world, Some("0001_staff.sql")).await;
    assert_starts_with(&text, "the parameter Baseline is 0001_staff.sql, which is not a file");
    assert!(text.ends_with("0001_tables.sql, 0002_more.sql"), "{text}");
}

#[tokio::test]
async fn a_statement_in_a_transaction_may_take_longer_than_a_call() {
    let world = World::with_statement_timeout(Duration::from_secs(1)).await;
    world.file(
        "0001_long.sql",
        "CREATE TABLE a (id int);\nSELECT pg_sleep(2);\nCREATE TABLE b (id int);",
    );
    world.migrated(None).await.unwrap();
    assert!(timeouts(&world) > 0);
    assert_eq!(world.rows("SELECT to_regclass('b')::text").await, ["b"]);
}

#[tokio::test]
async fn a_long_statement_that_fails_in_the_end_leaves_nothing() {
    let world = World::with_statement_timeout(Duration::from_secs(1)).await;
    let sql = "CREATE TABLE a (id int);\nDO $$ BEGIN PERFORM pg_sleep(2); RAISE 'no'; END $$;";
    world.file("0001_long.sql", sql);
    let text = failure(&world, None).await;
    assert_starts_with(&text, "0001_long.sql, line 2: it took longer than the 45 s");
    assert_eq!(world.rows("SELECT to_regclass('a')::text").await, ["-"]);
}

#[tokio::test]
async fn a_statement_that_the_service_ends_is_an_error_with_the_way_out() {
    let world = World::with(STAFF).await;
    world.file("0002_slow.sql", "SELECT 1;\nSELECT 2;");
    // The locks, the records and the rights before them.
    world.fault("execute@17 lose-transaction");
    world.fault("execute@16 timeout-after");
    let text = failure(&world, None).await;
    assert!(text.contains("set the parameter Baseline to 0002_slow.sql"), "{text}");
}

const INDEX: &str = "-- aurora-sync: no transaction
CREATE INDEX CONCURRENTLY IF NOT EXISTS staff_name ON staff (name);
VACUUM staff;";

const IS_VALID: &str = "SELECT indisvalid FROM pg_index WHERE indexrelid = 'staff_name'::regclass";

#[tokio::test]
async fn a_file_can_run_outside_a_transaction() {
    let world = World::with(STAFF).await;
    world.file("0002_index.sql", INDEX);
    let (one, other) = tokio::join!(world.migrated(None), world.migrated(None));
    assert_eq!(one.unwrap().len() + other.unwrap().len(), 1);
    assert_eq!(world.rows(IS_VALID).await, ["true"]);
    assert_eq!(world.rows(APPLIED).await.len(), OWN + 2);
}

/// Begins a transaction for which `CREATE INDEX CONCURRENTLY` waits.
async fn old_snapshot(world: &World) -> tokio_postgres::Client {
    let client = connect(&world.database_url).await.unwrap();
    let begin = "BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT 1";
    client.batch_execute(begin).await.unwrap();
    client
}

/// Returns the number of calls that took too long.
fn timeouts(world: &World) -> u64 {
    world.server.counters().exceptions("StatementTimeoutException")
}

#[tokio::test]
async fn an_index_may_take_longer_than_a_call_while_others_wait_for_the_lock() {
    let world = World::with_statement_timeout(Duration::from_secs(1)).await;
    world.file("0001_tables.sql", STAFF);
    world.migrated(None).await.unwrap();
    world.file("0002_index.sql", INDEX);
    let reader = old_snapshot(&world).await;
    let release = async {
        until(async || timeouts(&world) > 0).await;
        reader.batch_execute("COMMIT").await.unwrap();
    };
    let (one, other, ()) = tokio::join!(world.migrated(None), world.migrated(None), release);
    assert_eq!(one.unwrap().len() + other.unwrap().len(), 1);
    assert_eq!(world.rows(IS_VALID).await, ["true"]);
}

#[tokio::test]
async fn a_run_waits_for_the_statement_of_one_that_has_ended() {
    let world = World::with(STAFF).await;
    world.file("0002_index.sql", INDEX);
    let reader = old_snapshot(&world).await;
    let running = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()
        AND state = 'active' AND query LIKE '/* aurora-sync migrate */%'";
    let is_running = async || world.rows(running).await == ["1"];
    // Dropped, as a function that is killed.
    tokio::select! {
        ended = world.migrated(None) => panic!("{ended:?}"),
        () = until(is_running) => {}
    }
    // As the service does after three minutes.
    world.server.pass(Duration::from_mins(4));
    let release = async {
        until(async || world.server.counters().calls(Operation::Execute) > 12).await;
        assert!(is_running().await);
        reader.batch_execute("COMMIT").await.unwrap();
    };
    world.server.counters().reset();
    let (done, ()) = tokio::join!(world.migrated(None), release);
    assert_eq!(done.unwrap(), ["0002_index.sql"]);
    assert_eq!(world.rows(IS_VALID).await, ["true"]);
}

#[tokio::test]
async fn an_invalid_index_is_not_recorded_as_applied() {
    let world = World::with(STAFF).await;
    world.rows("INSERT INTO staff VALUES ('0009', 'Aurora', 1)").await;
    let sql = "-- aurora-sync: no transaction\nSELECT 1;\nCREATE UNIQUE INDEX CONCURRENTLY IF NOT EXISTS staff_name ON staff (name);";
    world.file("0002_index.sql", sql);
    assert_starts_with(&failure(&world, None).await, "0002_index.sql, line 3: ExecuteStatement");
    let text = failure(&world, None).await;
    assert_starts_with(&text, "0002_index.sql, line 3: the index staff_name is invalid");
    assert_eq!(world.rows(APPLIED).await.len(), OWN + 1);

    world.rows("DROP INDEX CONCURRENTLY staff_name").await;
    world.rows("DELETE FROM staff WHERE id = '0009'").await;
    assert_eq!(world.migrated(None).await.unwrap(), ["0002_index.sql"]);
}

#[tokio::test]
async fn an_outage_is_repeated() {
    for fault in [
        "begin@1 fail-before=ThrottlingException",
        "begin@1 resume=10ms",
        "begin@3 drop-request",
        "execute@2 fail-before=ServiceUnavailableError",
        "execute@12 resume=10ms",
        "execute@12 drop-answer",
        "execute@12 restart",
        "execute@12 sql=55P03",
        "execute@12 sql=40001",
        "execute@12 sql=57P01",
        "execute@12 lose-transaction",
        "commit@2 fail-before=InternalServerErrorException",
        "commit@1 drop-request",
    ] {
        let world = World::unmigrated(STAFF).await;
        world.fault(fault);
        let done = world.migrated(None).await;
        assert_eq!(done.unwrap().len(), OWN + 1, "{fault}");
        assert_eq!(world.server.faults().injected().len(), 1, "{fault}");
        assert_eq!(world.rows("SELECT count(*) FROM staff").await, ["3"], "{fault}");
    }
}

#[tokio::test]
async fn a_commit_without_a_response_is_looked_up() {
    for n in 1..=5 {
        let world = World::unmigrated(STAFF).await;
        world.fault(&format!("commit@{n} drop-answer"));
        assert_eq!(world.migrated(None).await.unwrap().len(), OWN + 1, "{n}");
        assert_eq!(world.rows("SELECT count(*) FROM staff").await, ["3"], "{n}");
    }
}

#[tokio::test]
async fn an_outage_that_lasts_is_reported_at_the_deadline() {
    let world = World::with(STAFF).await;
    world.file("0002_more.sql", "SELECT 1;");
    world.fault("execute@15.. fail-before=ServiceUnavailableError");
    let deadline = Deadline::after(Duration::from_secs(6));
    let error = migrate::run(&world.migrate(), None, deadline).await.unwrap_err();
    let text = chain(&error);
    assert_starts_with(&text, "0002_more.sql is not applied; it got to line ");
    assert!(text.contains("ServiceUnavailable"), "{text}");
}

#[tokio::test]
async fn a_file_outside_a_transaction_is_run_again_after_an_outage() {
    let world = World::with(STAFF).await;
    world.file("0002_index.sql", INDEX);
    // The second statement of the file.
    world.fault("execute@15 fail-before=ServiceUnavailableError");
    assert_eq!(world.migrated(None).await.unwrap(), ["0002_index.sql"]);
    assert_eq!(world.server.faults().injected().len(), 1);
    assert_eq!(world.rows(IS_VALID).await, ["true"]);
}

/// Returns the sample of a request of a custom resource, with the database of this world.
fn request(world: &World, event: &str, baseline: &str) -> Value {
    let mut event = sample(event);
    event["ResourceProperties"]["Baseline"] = baseline.into();
    if let Some(id) = event.get_mut("PhysicalResourceId") {
        let target = world.data_api.target();
        *id = format!("{}/{}", target.cluster_arn, target.database).into();
    }
    event
}

/// Sends a sample of a request of a custom resource to `migrate`. Returns its response to
/// CloudFormation.
async fn custom_resource(world: &World, event: &str, baseline: &str) -> Value {
    send(world, request(world, event, baseline)).await
}

/// Sends a request of a custom resource to `migrate`. Returns its response to CloudFormation.
async fn send(world: &World, request: Value) -> Value {
    let nowhere = Secrets::new(&sdk_config("http://127.0.0.1:9"));
    send_with_users(world, request, Users { secrets: nowhere, roles: Vec::new() }).await
}

async fn send_with_users(world: &World, mut event: Value, users: Users) -> Value {
    let (sender, mut responses) = mpsc::unbounded_channel();
    let receive = move |request: Request<Incoming>| {
        let sender = sender.clone();
        async move {
            assert_eq!(
                (request.method(), request.uri().to_string()),
                (&Method::PUT, "/answer?x=1".to_owned())
            );
            let body = request.into_body().collect().await?.to_bytes();
            sender.send(serde_json::from_slice(&body)?)?;
            Ok(Response::new(Empty::<Bytes>::new()))
        }
    };
    let server = HttpServer::start(receive).await.unwrap();
    event["ResponseURL"] = format!("{}/answer?x=1", server.url()).into();
    let aws = FakeAws::new().await;
    let deployment = Deployment {
        migrate: world.migrate(),
        users,
        refresh: Refresh {
            data_api: world.data_api.clone(),
            objects: Objects::new(&aws.sdk_config),
            bucket: CATALOG.to_owned(),
        },
    };
    let cloudformation = CloudFormation::new();
    let handled = migrate::handle(&deployment, &cloudformation, event, deadline());
    handled.await.unwrap();
    responses.try_recv().unwrap()
}

#[tokio::test]
async fn cloudformation_gets_a_response_on_success_and_failure() {
    let world = World::unmigrated(STAFF).await;
    for event in ["cfn-create", "cfn-update", "cfn-delete"] {
        let request = request(&world, event, "");
        let response = send(&world, request.clone()).await;
        assert_eq!(response["Status"], "SUCCESS", "{event}");
        for member in ["StackId", "RequestId", "LogicalResourceId"] {
            assert_eq!(response[member], request[member], "{event} {member}");
        }
        if let Some(id) = request.get("PhysicalResourceId") {
            assert_eq!(response["PhysicalResourceId"], *id);
        }
    }
    assert_eq!(world.rows("SELECT count(*) FROM staff").await, ["3"]);

    let world = World::unmigrated("CREATE TABLE a (id int PRIMARY KEY); SELECT 1/0;").await;
    let response = custom_resource(&world, "cfn-create", "").await;
    assert_eq!(response["Status"], "FAILED");
    let reason = response["Reason"].as_str().unwrap();
    assert!(reason.starts_with("0001_tables.sql, line 1: "), "{reason}");
}

/// Returns the reason of a failure.
fn refused(response: &Value) -> &str {
    assert_eq!(response["Status"], "FAILED", "{response}");
    response["Reason"].as_str().unwrap()
}

#[tokio::test]
async fn an_update_that_names_another_database_is_refused_unless_it_is_allowed() {
    let world = World::unmigrated(STAFF).await;
    let mut update = request(&world, "cfn-update", "");
    let served = "arn:aws:rds:us-east-1:123456789012:cluster:other/sync";
    update["PhysicalResourceId"] = served.into();
    let response = send(&world, update.clone()).await;
    let reason = refused(&response);
    assert!(reason.starts_with(&format!("the stack serves {served}, and")), "{reason}");
    assert_eq!(response["PhysicalResourceId"], served);
    assert_eq!(world.rows("SELECT to_regclass('sync.migration')::text").await, ["-"]);

    update["ResourceProperties"]["AllowOtherDatabase"] = "true".into();
    let response = send(&world, update).await;
    assert_eq!(response["Status"], "SUCCESS", "{response}");
    assert_eq!(
        response["PhysicalResourceId"],
        request(&world, "cfn-update", "")["PhysicalResourceId"]
    );
}

#[tokio::test]
async fn a_database_that_another_stack_serves_is_refused_until_that_stack_is_deleted() {
    let world = World::unmigrated(STAFF).await;
    assert_eq!(custom_resource(&world, "cfn-create", "").await["Status"], "SUCCESS");
    let mut create = request(&world, "cfn-create", "");
    create["StackId"] = "arn:aws:cloudformation:us-east-1:123456789012:stack/other/1".into();
    let response = send(&world, create.clone()).await;
    let reason = refused(&response);
    let holder = request(&world, "cfn-create", "")["StackId"].as_str().unwrap().to_owned();
    assert!(
        reason.starts_with(&format!("another stack serves the database: {holder}.")),
        "{reason}"
    );

    // CloudFormation deletes the resource of the stack that could not be created.
    let mut delete = request(&world, "cfn-delete", "");
    delete["StackId"] = create["StackId"].clone();
    assert_eq!(send(&world, delete).await["Status"], "SUCCESS");
    refused(&send(&world, create.clone()).await);

    assert_eq!(custom_resource(&world, "cfn-delete", "").await["Status"], "SUCCESS");
    assert_eq!(send(&world, create).await["Status"], "SUCCESS");
}

/// CloudFormation deletes the resource of the database that a stack has left after the update.
#[tokio::test]
async fn a_stack_that_leaves_one_database_keeps_the_other() {
    let world = World::unmigrated(STAFF).await;
    assert_eq!(custom_resource(&world, "cfn-create", "").await["Status"], "SUCCESS");
    let mut delete = request(&world, "cfn-delete", "");
    delete["PhysicalResourceId"] = "arn:aws:rds:us-east-1:123456789012:cluster:other/sync".into();
    assert_eq!(send(&world, delete).await["Status"], "SUCCESS");
    assert_eq!(world.rows("SELECT count(*) FROM sync.deployment").await, ["1"]);
}

#[tokio::test]
async fn a_stack_can_be_deleted_while_its_database_is_away() {
    let world = World::unmigrated(STAFF).await;
    assert_eq!(custom_resource(&world, "cfn-create", "").await["Status"], "SUCCESS");
    world.fault("begin fail-before=AccessDeniedException");
    assert_eq!(custom_resource(&world, "cfn-delete", "").await["Status"], "SUCCESS");
}

/// A rotation changes the password in the database before it changes the secret.
#[tokio::test]
async fn a_wrong_password_is_tried_again_for_a_while() {
    let world = World::unmigrated(STAFF).await;
    world.fault("execute@1 sql=28P01");
    assert_eq!(world.migrated(None).await.unwrap().len(), OWN + 1);
    assert_eq!(world.server.faults().injected().len(), 1);
}

/// A rollback that fails leaves a stack that takes no update.
#[tokio::test]
async fn cloudformation_can_always_roll_back() {
    let world = World::unmigrated("SELECT 1/0;").await;
    let response = custom_resource(&world, "cfn-rollback", "").await;
    assert_eq!(response["Status"], "SUCCESS", "{response}");
    let response = custom_resource(&world, "cfn-update", "").await;
    assert_eq!(response["Status"], "FAILED", "{response}");
}

#[tokio::test]
async fn cloudformation_hands_over_the_baseline() {
    let world = World::unmigrated("CREATE TABLE a (id int PRIMARY KEY);").await;
    world.rows("CREATE TABLE a (id int PRIMARY KEY)").await;
    let response = custom_resource(&world, "cfn-create", "0001_tables.sql").await;
    assert_eq!(response["Status"], "SUCCESS", "{response}");
    assert_eq!(world.rows(APPLIED).await.len(), OWN + 1);
}

#[tokio::test]
async fn the_users_of_the_stack_are_made_once_and_get_the_passwords_of_their_secrets() {
    let world = World::unmigrated(STAFF).await;
    let name = format!("writer_{}", uuid::Uuid::now_v7().simple());
    let secret = serde_json::json!({ "username": name, "password": "p'w" }).to_string();
    let server = HttpServer::start(move |_: Request<Incoming>| {
        let secret = serde_json::json!({ "SecretString": secret }).to_string();
        async move { Ok(Response::new(Full::<Bytes>::new(secret.into()))) }
    });
    let server = server.await.unwrap();
    let users = || Users {
        secrets: Secrets::new(&sdk_config(&server.url())),
        roles: vec![("arn".to_owned(), WRITER)],
    };
    let password =
        format!("SELECT rolcanlogin, rolpassword FROM pg_authid WHERE rolname = '{name}'");
    let mut passwords = Vec::new();
    for event in ["cfn-create", "cfn-update"] {
        let response = send_with_users(&world, request(&world, event, ""), users()).await;
        assert_eq!(response["Status"], "SUCCESS", "{response}");
        passwords.extend(world.rows(&password).await);
    }
    assert!(
        passwords.iter().all(|found| found.starts_with("true|SCRAM-SHA-256$")),
        "{passwords:?}"
    );
    assert_ne!(passwords[0], passwords[1], "the password is set again");
    let is_member = format!("SELECT pg_has_role('{name}', 'sync_writer', 'USAGE')");
    assert_eq!(world.rows(&is_member).await, ["true"]);
}

#[tokio::test]
async fn postgresql_takes_the_verifier_of_a_password_as_it_is() {
    let world = World::with(STAFF).await;
    let name = format!("user_{}", uuid::Uuid::now_v7().simple());
    let [create, grant] = user_with_password(WRITER, &name, "secret", false);
    world.rows(&create).await;
    world.rows(&grant).await;
    let verifier = create.split('\'').nth(1).unwrap();
    let stored = format!("SELECT rolpassword FROM pg_authid WHERE rolname = '{name}'");
    assert_eq!(world.rows(&stored).await, [verifier]);
}

#[tokio::test]
async fn the_schema_of_the_worker_is_for_its_two_roles_only() {
    let world = World::with(STAFF).await;
    let stranger = format!("stranger_{}", uuid::Uuid::now_v7().simple());
    world.rows(&format!("CREATE ROLE {stranger}")).await;
    let rights = async |role: &str, tables: &str| {
        let sql = format!(
            "SELECT has_schema_privilege('{role}', 'sync', 'USAGE'),
               (SELECT count(*) FROM pg_class WHERE relnamespace = 'sync'::regnamespace
                  AND relkind = 'r' AND has_table_privilege('{role}', oid, '{tables}')) > 0,
               (SELECT string_agg(proname, ',' ORDER BY proname) FROM pg_proc
                WHERE pronamespace = 'sync'::regnamespace AND has_function_privilege('{role}', oid, 'EXECUTE'))"
        );
        world.rows(&sql).await.remove(0)
    };
    let all = "SELECT, INSERT, UPDATE, DELETE, TRUNCATE";
    assert_eq!(rights(&stranger, all).await, "false|false|-");
    assert_eq!(
        rights("sync_reader", "INSERT, UPDATE, DELETE, TRUNCATE").await,
        "true|false|readable,reused_id,row_tag"
    );
    let of_writer = rights("sync_writer", "TRUNCATE").await;
    assert!(of_writer.starts_with("true|false|") && of_writer.contains(",settle,"), "{of_writer}");
    let of_migrations = "SELECT has_table_privilege('sync_writer', 'sync.migration', 'SELECT')";
    assert_eq!(world.rows(of_migrations).await, ["false"]);
}
