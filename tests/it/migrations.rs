//! `migrate`: each file of `sql/` is applied once.

use aurora_sync::aws::cloudformation::CloudFormation;
use aurora_sync::functions::migrate;
use aurora_sync_catalog::ddl;
use bytes::Bytes;
use http_body_util::{BodyExt, Empty};
use hyper::body::Incoming;
use hyper::{Method, Request, Response};
use local_stack::http_server::HttpServer;
use serde_json::Value;
use tokio::sync::mpsc;

use crate::support::{STAFF, World, deadline, sample, schema_of};

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
            "sync/0003_imports.sql"
        ]
    );
    let again = migrate::run(&world.migrate(), deadline()).await.unwrap();
    assert!(again.is_empty());
    assert_eq!(world.rows("SELECT count(*) FROM staff").await, ["3"]);
}

#[tokio::test]
async fn two_concurrent_migrations_apply_each_file_once() {
    let world = World::unmigrated(STAFF).await;
    let migrate = world.migrate();
    let (one, other) =
        tokio::join!(migrate::run(&migrate, deadline()), migrate::run(&migrate, deadline()));
    assert_eq!(one.unwrap().len() + other.unwrap().len(), 4);
    assert_eq!(world.rows("SELECT count(*) FROM staff").await, ["3"]);
}

#[tokio::test]
async fn a_file_that_changed_after_it_was_applied_is_an_error() {
    let world = World::with(STAFF).await;
    let mut changed = world.migrate();
    changed.migrations = schema_of(&format!("{STAFF}\n-- changed")).migrations;
    let error = migrate::run(&changed, deadline()).await.unwrap_err();
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
    let error = migrate::run(&world.migrate(), deadline()).await.unwrap_err();
    let text = aurora_sync::domain::error::chain(&error);
    assert!(text.starts_with("0001_tables.sql, line 3: "), "{text}");
    assert_eq!(world.rows("SELECT to_regclass('a')::text").await, ["-"]);
    assert_eq!(world.rows(APPLIED).await.len(), 3);
}

#[tokio::test]
async fn a_dump_is_applied_and_leaves_the_session_unchanged() {
    let dump = "SELECT pg_catalog.set_config('search_path', '', false);
        CREATE TABLE public.t (id integer NOT NULL, body text);
        ALTER TABLE ONLY public.t ADD CONSTRAINT t_pkey PRIMARY KEY (id);
        CREATE FUNCTION public.f() RETURNS text LANGUAGE sql AS $$ SELECT 'a :b [1:2]' $$;";
    let world = World::with(dump).await;
    assert_eq!(world.rows("SELECT f()").await, ["a :b [1:2]"]);
    assert_eq!(world.schema.catalog.tables()[0].primary_key, ["id"]);
}

#[tokio::test]
async fn the_built_catalog_has_the_tables_of_the_sql_folder() {
    let schema = ddl::read_dir(std::path::Path::new("sql")).unwrap();
    assert_eq!(schema.catalog, aurora_sync::domain::tables::catalog());
    assert_eq!(schema.migrations, aurora_sync::domain::tables::migrations());
}

/// Sends a request of a custom resource to `migrate`. Returns its response to CloudFormation.
async fn custom_resource(world: &World, event: &str) -> Value {
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
    let mut event = sample(event);
    event["ResponseURL"] = format!("{}/answer?x=1", server.url()).into();
    let (migrate, cloudformation) = (world.migrate(), CloudFormation::new());
    let handled = migrate::handle(&migrate, &cloudformation, event, deadline());
    handled.await.unwrap();
    responses.try_recv().unwrap()
}

#[tokio::test]
async fn cloudformation_gets_a_response_on_success_and_failure() {
    let world = World::unmigrated(STAFF).await;
    for event in ["cfn-create", "cfn-update", "cfn-delete"] {
        let response = custom_resource(&world, event).await;
        let request = sample(event);
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
    let response = custom_resource(&world, "cfn-create").await;
    assert_eq!(response["Status"], "FAILED");
    let reason = response["Reason"].as_str().unwrap();
    assert!(reason.starts_with("0001_tables.sql, line 1: "), "{reason}");
}
