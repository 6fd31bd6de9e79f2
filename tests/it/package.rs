//! The folder of `cargo local package`, deployed on the emulator as a user without Rust deploys it:
//! the AWS command line uploads what is in it, and no cargo runs.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use ephemeral_postgres::{Postgres, connect};
use hyper::Method;
use local_stack::dist::{Zips, lay_out};
use local_stack::{Architecture, Options, Stack};
use serde_json::json;
use tokio::time::sleep;
use uuid::Uuid;

use crate::end_to_end::functions;

/// Set to a folder that `cargo local package` made, the test deploys it instead of the programs
/// that cargo built for the tests.
const DIST: &str = "AURORA_SYNC_DIST";

#[tokio::test(flavor = "multi_thread")]
async fn a_packaged_folder_serves_an_existing_database_after_two_grants() {
    let folder = tempfile::tempdir().unwrap();
    let dist = std::env::var_os(DIST).map_or_else(
        || {
            let programs = [(Architecture::HOST, functions())];
            lay_out(folder.path(), &programs, None, Zips::Stored).unwrap();
            folder.path().to_owned()
        },
        PathBuf::from,
    );
    let postgres = Postgres::shared().await.unwrap();
    let name = format!("test_{}", Uuid::now_v7().simple());
    let database_url = postgres.create_database(&name).await.unwrap();
    let database = connect(&database_url).await.unwrap();
    database
        .batch_execute(
            "CREATE TABLE orders (id int PRIMARY KEY, item text NOT NULL);
             INSERT INTO orders VALUES (1, 'lamp');",
        )
        .await
        .unwrap();

    let stack = Stack::start(Options::dist(&dist, &database_url)).await.unwrap();
    let request = async |method: Method, path: &str, body: &'static str| {
        let json = [("content-type", "application/json")];
        stack.request(method, path, &json, body).await.unwrap()
    };
    // A function that has just refused a table looks for it again a second later.
    let when_offered = async |method: Method, path: &str, body: &'static str| {
        let started = Instant::now();
        loop {
            match request(method.clone(), path, body).await {
                refused if refused.status == 404 => sleep(Duration::from_millis(50)).await,
                response => break response,
            }
            assert!(started.elapsed() < Duration::from_mins(5), "{path} is not offered");
        }
    };
    // Nothing is reachable before somebody grants it.
    let hidden = request(Method::GET, "/orders", "").await;
    assert_eq!(hidden.status, 404, "{}", hidden.text());

    database
        .batch_execute(
            "GRANT SELECT ON orders TO sync_reader;
             GRANT SELECT, INSERT, UPDATE, DELETE ON orders TO sync_writer;",
        )
        .await
        .unwrap();
    let accepted = when_offered(Method::POST, "/orders", r#"{"id":2,"item":"desk"}"#).await;
    assert_eq!(accepted.status, 202, "{}", accepted.text());
    let write = accepted.json().unwrap()["id"].as_str().unwrap().to_owned();
    let read = when_offered(Method::GET, &format!("/orders?after={write}&order=id"), "").await;
    assert_eq!(
        read.json().unwrap(),
        json!([{"id": 1, "item": "lamp"}, {"id": 2, "item": "desk"}]),
        "{}",
        read.text()
    );
}
