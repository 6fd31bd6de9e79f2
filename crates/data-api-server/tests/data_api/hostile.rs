//! Requests that no client sends: each is answered or cut, and the next is served.

use hyper::Method;
use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::{Api, CLUSTER, SECRET};

/// Sends bytes as they are, and gives all that comes back.
async fn exchange(api: &Api, bytes: &[u8]) -> String {
    let address = api.server.url().trim_start_matches("http://").to_owned();
    let mut stream = TcpStream::connect(&address).await.unwrap();
    // A server that refuses does not read to the end.
    stream.write_all(bytes).await.ok();
    stream.shutdown().await.ok();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.ok();
    String::from_utf8_lossy(&answer).into_owned()
}

fn select(number: u32) -> String {
    json!({ "resourceArn": CLUSTER, "secretArn": SECRET, "sql": format!("SELECT {number}") })
        .to_string()
}

#[tokio::test]
async fn bytes_that_are_no_request_are_answered_or_cut() {
    let api = Api::start().await;
    let many_headers = format!("POST /Execute HTTP/1.1\r\n{}\r\n", "a: b\r\n".repeat(10_000));
    let long_header = format!("POST /Execute HTTP/1.1\r\na: {}\r\n\r\n", "b".repeat(5_000_000));
    let long_path = format!("POST /{} HTTP/1.1\r\nhost: x\r\n\r\n", "b".repeat(1_000_000));
    let chunked = "POST /Execute HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n";
    let cut_chunk = format!("{chunked}ff\r\n{{\"sql\":");
    let no_chunk = format!("{chunked}zz\r\n");
    let endless_chunk = format!("{chunked}ffffffffffffffff\r\n{{");
    for bytes in [
        "",
        "\r\n\r\n",
        "\u{16}\u{3}\u{1}\u{2}\u{0}\u{1}\u{0}\u{1}\u{fc}",
        "POST /Execute HTTP/1.1\r\ncontent-length: -1\r\n\r\n",
        "POST /Execute HTTP/1.1\r\nhost: x\r\ncontent-length: 10\r\n\r\n{}",
        "POST /Execute HTTP/1.1\r\ncontent-length: 2\r\ntransfer-encoding: chunked\r\n\r\n{}",
        "GET / HTTP/9.9\r\n\r\n",
        &many_headers,
        &long_header,
        &long_path,
        &cut_chunk,
        &no_chunk,
        &endless_chunk,
    ] {
        let answer = exchange(&api, bytes.as_bytes()).await;
        let shown = bytes.chars().take(60).collect::<String>();
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 4"), "{shown:?}: {answer}");
    }
    api.execute("SELECT 1").await;
}

#[tokio::test]
async fn requests_that_come_at_once_are_answered_in_order() {
    let api = Api::start().await;
    let request = |number| {
        let body = select(number);
        format!("POST /Execute HTTP/1.1\r\nhost: x\r\ncontent-length: {}\r\n\r\n{body}", body.len())
    };
    let all: String = (1..=20).map(request).collect();
    let answers = exchange(&api, all.as_bytes()).await;
    assert_eq!(answers.matches("HTTP/1.1 200 OK").count(), 20);
    let indexes: Vec<_> =
        (1..=20).map(|n| answers.find(&format!("{{\"longValue\":{n}}}")).unwrap()).collect();
    assert!(indexes.is_sorted());
}

#[tokio::test]
async fn http_1_0_and_chunks_are_taken() {
    let api = Api::start().await;
    let body = select(7);
    let old = format!("POST /Execute HTTP/1.0\r\ncontent-length: {}\r\n\r\n{body}", body.len());
    let (first, second) = body.split_at(10);
    let chunked = format!(
        "POST /Execute HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\nconnection: close\r\n\r\n\
         {:x}\r\n{first}\r\n{:x}\r\n{second}\r\n0\r\n\r\n",
        first.len(),
        second.len()
    );
    for request in [old, chunked] {
        let answer = exchange(&api, request.as_bytes()).await;
        assert!(answer.contains(" 200 OK") && answer.contains("{\"longValue\":7}"), "{answer}");
    }
}

#[tokio::test]
async fn connections_that_only_hold_on_are_in_nobodys_way() {
    let api = Api::start().await;
    let address = api.server.url().trim_start_matches("http://").to_owned();
    let mut held = Vec::new();
    for n in 0..300 {
        let mut stream = TcpStream::connect(&address).await.unwrap();
        let begun =
            b"POST /Execute HTTP/1.1\r\nhost: x\r\ncontent-length: 4000000\r\n\r\n{\"sql\":";
        // Nothing yet, half a head, half a body.
        stream.write_all(&begun[..[0, 20, begun.len()][n % 3]]).await.unwrap();
        held.push(stream);
    }
    for _ in 0..10 {
        api.execute("SELECT 1").await;
    }
}

/// A client that goes away does not end what it asked for, and leaves nothing behind.
#[tokio::test]
async fn a_client_that_goes_away_leaves_its_transaction_as_it_was() {
    let api = Api::start().await;
    api.execute("CREATE TABLE t (a int)").await;
    let transaction = api.begin().await;
    let body = json!({ "resourceArn": CLUSTER, "secretArn": SECRET, "transactionId": transaction,
        "sql": "INSERT INTO t SELECT 1 FROM pg_sleep(0.2)" })
    .to_string();
    let address = api.server.url().trim_start_matches("http://").to_owned();
    let mut stream = TcpStream::connect(&address).await.unwrap();
    let head =
        format!("POST /Execute HTTP/1.1\r\nhost: x\r\ncontent-length: {}\r\n\r\n", body.len());
    stream.write_all(format!("{head}{body}").as_bytes()).await.unwrap();
    while api.server.counters().calls(data_api_server::Operation::Execute) < 2 {
        tokio::task::yield_now().await;
    }
    drop(stream);
    while api.commit(&transaction).await.message() == "Transaction is still running a query" {
        tokio::task::yield_now().await;
    }
    assert_eq!(api.field("SELECT count(*) FROM t").await, json!({ "longValue": 1 }));
}

#[tokio::test]
async fn a_web_page_of_somewhere_else_needs_a_signature() {
    let api = Api::start().await;
    let body = select(1);
    let length = body.len();
    let ask = async |headers: &str| {
        let head = format!("POST /Execute HTTP/1.1\r\nhost: x\r\nconnection: close\r\n{headers}");
        exchange(&api, format!("{head}content-length: {length}\r\n\r\n{body}").as_bytes()).await
    };
    let refused = ask("origin: https://example.com\r\n").await;
    assert!(refused.starts_with("HTTP/1.1 403"), "{refused}");
    let signed = "origin: https://example.com\r\nauthorization: AWS4-HMAC-SHA256 …\r\n";
    assert!(ask(signed).await.starts_with("HTTP/1.1 200"));
}

/// JSON that has the members of a request, with anything in them.
fn near_requests() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        ".{0,20}".prop_map(Value::from),
        r"[ -~\n]{0,60}".prop_map(Value::from),
        Just(json!("SELECT :a::text")),
        Just(json!(CLUSTER)),
    ];
    let name = prop_oneof![
        Just("resourceArn"),
        Just("secretArn"),
        Just("database"),
        Just("sql"),
        Just("parameters"),
        Just("parameterSets"),
        Just("transactionId"),
        Just("includeResultMetadata"),
        Just("formatRecordsAs"),
        Just("resultSetOptions"),
        Just("name"),
        Just("value"),
        Just("typeHint"),
        Just("isNull"),
        Just("longValue"),
        Just("doubleValue"),
        Just("stringValue"),
        Just("blobValue"),
        Just("arrayValue"),
        Just("other"),
    ];
    leaf.prop_recursive(4, 40, 6, move |inner| {
        let members = prop::collection::vec((name.clone(), inner.clone()), 0..6);
        prop_oneof![
            prop::collection::vec(inner, 0..4).prop_map(Value::from),
            members.prop_map(|members| members
                .into_iter()
                .map(|(name, value)| (name.to_owned(), value))
                .collect::<serde_json::Map<_, _>>()
                .into()),
        ]
    })
}

/// Statements that look like SQL to a scanner for quotes and placeholders.
fn near_sql() -> impl Strategy<Value = String> {
    r#"(SELECT|'|"|:a|:|::|--|/\*|\*/|\$\$|\$1|\\|;| |1|,|é|\(|\)|\n|E'){0,12}"#
}

/// Checks that any body gets a response that the model allows, and that the server goes on.
fn check_answer(answer: &crate::support::Answer, request: &Value) {
    let is_good = answer.status == 200 && answer.error.is_empty();
    let is_modelled = (400..=504).contains(&answer.status)
        && (answer.error.ends_with("Exception") || answer.error.ends_with("Error"));
    assert!(is_good || is_modelled, "{request}: {answer:?}");
    // These would be our own mistakes.
    assert_ne!(answer.status, 500, "{request}: {answer:?}");
    assert_ne!(answer.status, 504, "{request}: {answer:?}");
}

fn fuzz<S: Strategy>(cases: u32, strategy: &S, send: &impl AsyncFn(&Api, S::Value)) {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let api = runtime.block_on(Api::start());
    let config = ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() };
    TestRunner::new(config)
        .run(strategy, |value| {
            runtime.block_on(send(&api, value));
            Ok(())
        })
        .unwrap();
    runtime.block_on(api.execute("SELECT 1"));
}

#[test]
fn any_body_has_a_modelled_answer() {
    let paths = prop::sample::select(vec![
        "/Execute",
        "/BatchExecute",
        "/BeginTransaction",
        "/CommitTransaction",
        "/RollbackTransaction",
    ]);
    let bodies = prop_oneof![
        near_requests().prop_map(|value| value.to_string().into_bytes()),
        // The same, cut or with a byte changed.
        (near_requests(), any::<prop::sample::Index>(), any::<u8>()).prop_map(
            |(value, index, byte)| {
                let mut bytes = value.to_string().into_bytes();
                let index = index.index(bytes.len());
                bytes[index] = byte;
                bytes
            }
        ),
        prop::collection::vec(any::<u8>(), 0..200),
    ];
    fuzz(400, &(paths, bodies), &async |api, (path, body)| {
        let shown = json!([path, String::from_utf8_lossy(&body)]);
        let answer = api.send(Method::POST, path, body).await.unwrap();
        check_answer(&answer, &shown);
    });
}

#[test]
fn any_statement_and_any_parameter_have_a_modelled_answer() {
    let request =
        (near_sql(), near_requests(), prop::sample::select(vec!["/Execute", "/BatchExecute"]));
    fuzz(400, &request, &async |api, (sql, value, path)| {
        let set = json!([{ "name": "a", "value": value }]);
        let text = json!([{ "name": "a", "value": { "stringValue": value.to_string() } }]);
        for parameters in [set, text] {
            let request = json!({ "sql": sql, "parameters": parameters, "parameterSets": [parameters, parameters] });
            let answer = api.call(path, request.clone()).await;
            check_answer(&answer, &request);
        }
    });
}
