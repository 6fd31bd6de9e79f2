//! Sizes, at the limit and one over it.

use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::{Api, CLUSTER, SECRET};

const REQUEST_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Sends a request of exactly this many bytes, head and body, and gives the status line.
async fn request_of(api: &Api, bytes: usize) -> String {
    let address = api.server.url().trim_start_matches("http://").to_owned();
    let body = |text: &str| {
        json!({ "resourceArn": CLUSTER, "secretArn": SECRET, "sql": "SELECT length(:a)::text", "parameters": [{ "name": "a", "value": { "stringValue": text } }] })
            .to_string()
    };
    let head = |length: usize| {
        format!(
            "POST /Execute HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n"
        )
    };
    let rest = bytes - head(REQUEST_BYTES_MAX).len() - body("").len();
    let body = body(&"x".repeat(rest));
    let request = head(body.len()) + &body;
    assert_eq!(request.len(), bytes);
    let mut stream = TcpStream::connect(&address).await.unwrap();
    // A server that refuses does not read to the end.
    stream.write_all(request.as_bytes()).await.ok();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.ok();
    String::from_utf8_lossy(&answer).lines().next().unwrap_or_default().to_owned()
}

#[tokio::test]
async fn a_request_holds_four_mebibytes_with_its_headers() {
    let api = Api::start().await;
    assert_eq!(request_of(&api, REQUEST_BYTES_MAX).await, "HTTP/1.1 200 OK");
    assert_eq!(request_of(&api, REQUEST_BYTES_MAX + 1).await, "HTTP/1.1 400 Bad Request");
}

/// Most clients read the answer only when they have sent everything.
#[tokio::test]
async fn a_request_that_is_far_too_large_is_answered_all_the_same() {
    let api = Api::start().await;
    let answer = api.send(hyper::Method::POST, "/Execute", vec![b'x'; 20_000_000]).await.unwrap();
    assert_eq!(answer.outcome(), "400 BadRequestException");
    assert_eq!(answer.message(), "The request exceeds the size limit 4 MB.");
}

#[tokio::test]
async fn an_sql_text_holds_65_536_characters() {
    let api = Api::start().await;
    let sql = |length: usize| {
        let head = "SELECT 1 AS é --";
        format!("{head}{}", "é".repeat(length - head.chars().count()))
    };
    assert_eq!(api.call("/Execute", json!({ "sql": sql(65_536) })).await.status, 200);
    for (path, members) in [
        ("/Execute", json!({ "sql": sql(65_537) })),
        ("/BatchExecute", json!({ "sql": sql(65_537), "parameterSets": [[]] })),
    ] {
        let answer = api.call(path, members).await;
        assert_eq!(answer.outcome(), "400 ValidationException", "{path}");
    }
}

/// The published cases: each row counts 2 bytes, each column 4 and its text.
#[tokio::test]
async fn a_result_holds_one_mebibyte() {
    let api = Api::start().await;
    for (sql, is_good) in [
        (
            "SELECT '6f9619ff-8b86-d011-b42d-00c04fc964ff'::uuid FROM generate_series(1, 24800)",
            true,
        ),
        (
            "SELECT '6f9619ff-8b86-d011-b42d-00c04fc964ff'::uuid FROM generate_series(1, 25000)",
            false,
        ),
        ("SELECT repeat('é', 1000) FROM generate_series(1, 522)", true),
        ("SELECT repeat('é', 1000) FROM generate_series(1, 523)", false),
        // 2 + 4 + 1,048,570 is the limit itself.
        ("SELECT repeat('x', 1048570)", true),
        ("SELECT repeat('x', 1048571)", false),
    ] {
        let answer = api.call("/Execute", json!({ "sql": sql })).await;
        let expected = if is_good { "200" } else { "400 UnsupportedResultException" };
        assert_eq!(answer.outcome(), expected, "{sql}");
        if !is_good {
            assert_eq!(answer.message(), "The result exceeds the size limit 1 MB.");
        }
    }
    // A row of any size below that is fine, whatever is documented (64 KB).
    api.execute("SELECT repeat('x', 512000)").await;
}

/// Rows that no answer holds are passed over as they come, one alone and many together.
#[tokio::test]
async fn a_result_of_any_size_is_refused_and_its_session_goes_on() {
    let api = Api::start().await;
    for sql in [
        "SELECT repeat('x', 100000000)",
        "SELECT 1, repeat('x', 2000000) FROM generate_series(1, 50)",
        "SELECT n FROM generate_series(1, 1000000) AS n",
    ] {
        let (outcome, message) = api.failure(sql).await;
        assert_eq!(outcome, "400 UnsupportedResultException", "{sql}");
        assert_eq!(message, "The result exceeds the size limit 1 MB.");
        assert_eq!(api.field("SELECT 1").await, json!({ "longValue": 1 }));
    }
}

#[tokio::test]
async fn formatted_records_hold_ten_megabytes() {
    let api = Api::start().await;
    // Short values under long names: the result is small, its formatted form is not.
    let columns: Vec<_> = (0..9).map(|n| format!("1 AS {}{n}", "x".repeat(62))).collect();
    for (rows, outcome) in [(15_000, "200"), (18_000, "400 BadRequestException")] {
        let sql = format!("SELECT {} FROM generate_series(1, {rows})", columns.join(", "));
        let answer = api.call("/Execute", json!({ "sql": sql, "formatRecordsAs": "JSON" })).await;
        assert_eq!(answer.outcome(), outcome, "{rows}");
    }
}

#[tokio::test]
async fn a_result_that_is_too_large_ends_its_transaction() {
    let api = Api::start().await;
    let transaction = api.begin().await;
    let answer = api.execute_in(&transaction, "SELECT repeat('x', 1048571)").await;
    assert_eq!(answer.outcome(), "400 UnsupportedResultException");
    assert_eq!(api.commit(&transaction).await.outcome(), "404 TransactionNotFoundException");
}

#[tokio::test]
async fn a_session_keeps_a_bounded_number_of_statements() {
    let api = Api::start().await;
    let transaction = api.begin().await;
    for n in 0..250 {
        let answer = api.execute_in(&transaction, &format!("SELECT {n}")).await;
        assert_eq!(answer.body["records"][0][0], json!({ "longValue": n }));
    }
    let count = "SELECT count(*) FROM pg_prepared_statements";
    let answer = api.execute_in(&transaction, count).await;
    assert_eq!(answer.body["records"][0][0], json!({ "longValue": 100 }));
}
