//! Look-ups that fail: their problems, and their numbers of calls.

use std::time::Duration;

use aurora_sync::domain::deadline::Deadline;
use data_api_server::Operation;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use crate::support::{STAFF, World};

#[tokio::test]
async fn a_refused_look_up_costs_no_call() {
    let world = World::with(STAFF).await;
    let calls = world.server.counters().all_calls();
    for (address, status, word) in [
        ("/stuff", 404, "unknown-table"),
        ("/sync.write", 404, "unknown-table"),
        ("/staff/00001", 400, "invalid-key"),
        ("/staff/0001?age=12", 400, "invalid-query"),
        ("/staff?nope=1", 400, "invalid-query"),
        ("/staff?age=old", 400, "invalid-query"),
        ("/staff?age=between.1", 400, "invalid-query"),
        ("/staff?name=%00", 400, "invalid-query"),
        ("/staff?limit=many", 400, "invalid-query"),
        ("/staff?or=(age.gt.1", 400, "invalid-query"),
        ("/staff?cursor=abc", 400, "invalid-cursor"),
        ("/staff?after=abc", 400, "invalid-query"),
        ("/_sync/writes/abc", 404, "write-not-found"),
        ("/_sync/imports/abc", 404, "import-not-found"),
        ("/_sync/imports/abc/rejects", 404, "import-not-found"),
        ("/_sync/imports?nope=1", 400, "invalid-query"),
    ] {
        let response = world.read(address, &[]).await;
        assert_eq!(
            (response.status, response.content_type.as_str()),
            (status, "application/problem+json"),
            "{address}"
        );
        assert_eq!(
            response.json()["type"],
            format!("urn:problem-type:aurora-sync:{word}"),
            "{address}"
        );
    }
    assert_eq!(world.server.counters().all_calls(), calls);
}

#[tokio::test]
async fn a_look_up_waits_for_a_resuming_database_until_its_deadline() {
    let world = World::with(STAFF).await;
    world.fault("execute fail-before=DatabaseResumingException");
    assert_eq!(world.read("/staff/0001", &[]).await.status, 200);
    world.fault("execute@1.. fail-before=DatabaseResumingException");
    let soon = Deadline::after(Duration::from_secs(1));
    let response = world.request("GET", "/staff", &[], soon).await;
    assert_eq!((response.status, response.header("retry-after")), (503, "5"));
    assert_eq!(response.json()["type"], "urn:problem-type:aurora-sync:unavailable");
}

#[tokio::test]
async fn a_query_that_takes_too_long_is_504() {
    let world = World::with(STAFF).await;
    world.fault("execute timeout");
    let response = world.read("/staff", &[]).await;
    assert_eq!(
        (response.status, &response.json()["type"]),
        (504, &"urn:problem-type:aurora-sync:query-timeout".into())
    );
    world.fault("execute delay=30s");
    let soon = Deadline::after(Duration::from_millis(200));
    assert_eq!(world.request("GET", "/staff", &[], soon).await.status, 504);
}

/// Every query string gets rows or a problem with the status 400.
#[test]
fn hostile_query_strings_never_fail() {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let world = runtime.block_on(World::with(
        "CREATE TABLE t (
            id integer PRIMARY KEY, a text, n numeric(6,2), b boolean, at timestamptz, j jsonb, w text[],
            o macaddr, d date, u uuid, bytes bytea, span interval, x json, f double precision)",
    ));
    let piece = prop_oneof![
        6 => prop::sample::select(vec![
            "eq.", "neq.", "gt.", "in.(", "is.", "like.", "ilike.", "not.", "and(", "or(", "(", ")", ",", ".", "\"",
            "\\", "{", "}", "id", "a", "n", "null", "true", "1", "-1", "9e999", "1e5", "infinity", "NaN", "*", "%", "'",
            ";--", "$1", ":p1", "::text", "\0", "\u{1f600}", "\u{202e}", "2026-11-23", "25:00", "{}", "{1", "[1,2]",
            "0x7f", "\\x0", "1 day", "P1D", "08:00:2b:01:02:03", "99999999999999999999",
        ]).prop_map(ToOwned::to_owned),
        1 => ".{0,6}",
    ];
    let text = prop::collection::vec(piece, 0..7).prop_map(|pieces| pieces.concat());
    let name = prop_oneof![
        8 => prop::sample::select(vec![
            "id", "a", "n", "b", "at", "j", "w", "o", "d", "u", "bytes", "span", "x", "f", "and", "or", "not.or",
            "select", "order", "limit", "cursor",
        ]).prop_map(ToOwned::to_owned),
        1 => ".{0,6}",
    ];
    let plain = prop_oneof![
        2 => text.clone(),
        1 => (prop::sample::select(vec!["eq.", "gt.", "neq.", "like.", "", "in.("]), text.clone())
            .prop_map(|(operator, text)| {
                format!("{operator}{text}{}", if operator == "in.(" { ")" } else { "" })
            }),
    ];
    let query = prop::collection::vec((name, plain), 1..4);
    let config = Config { cases: 1_500, failure_persistence: None, ..Config::default() };
    let (answered, refused) = (std::cell::Cell::new(0), std::cell::Cell::new(0));
    TestRunner::new(config)
        .run(&query, |query| {
            let encode = |text: &str| {
                percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC)
                    .to_string()
            };
            let pairs: Vec<_> = query
                .iter()
                .map(|(name, text)| format!("{}={}", encode(name), encode(text)))
                .collect();
            let address = format!("/t?{}", pairs.join("&"));
            let response = runtime.block_on(world.read(&address, &[]));
            let count = if response.status == 200 { &answered } else { &refused };
            count.set(count.get() + 1);
            prop_assert!(matches!(response.status, 200 | 400), "{query:?}: {}", response.body);
            Ok(())
        })
        .unwrap();
    assert!(answered.get() > 20, "{} of the queries are answered", answered.get());
    assert!(refused.get() > 20, "{} of the queries are refused", refused.get());
    assert!(world.server.counters().calls(Operation::Execute) > 0);
}
