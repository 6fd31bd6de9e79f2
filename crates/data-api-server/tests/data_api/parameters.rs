//! Parameters, and their types in PostgreSQL.

use serde_json::{Value, json};

use crate::support::{Answer, Api};

async fn with(api: &Api, sql: &str, parameters: Value) -> Answer {
    api.call("/Execute", json!({ "sql": sql, "parameters": parameters })).await
}

fn one(value: &Value) -> Value {
    json!([{ "name": "v", "value": value }])
}

fn hinted(text: &str, hint: &str) -> Value {
    json!([{ "name": "v", "value": { "stringValue": text }, "typeHint": hint }])
}

#[tokio::test]
async fn each_member_has_its_declared_type() {
    let api = Api::start().await;
    for (value, expected) in [
        (json!({ "longValue": 1 }), "bigint"),
        (json!({ "stringValue": "x" }), "text"),
        (json!({ "doubleValue": 1.5 }), "double precision"),
        (json!({ "doubleValue": "-Infinity" }), "double precision"),
        (json!({ "booleanValue": true }), "boolean"),
        (json!({ "blobValue": "AP8=" }), "bytea"),
    ] {
        let answer = with(&api, "SELECT pg_typeof(:v)::text", one(&value)).await;
        assert_eq!(answer.body["records"][0][0]["stringValue"], expected, "{value}");
    }
    for (hint, text, expected) in [
        ("DATE", "2026-11-23", "date"),
        ("TIME", "09:30:00.123", "time without time zone"),
        ("TIMESTAMP", "2026-11-23 09:30:00", "timestamp without time zone"),
        ("DECIMAL", "1.50", "numeric"),
        ("UUID", "6f9619ff-8b86-d011-b42d-00c04fc964ff", "uuid"),
        ("JSON", r#"{"a": 1}"#, "jsonb"),
    ] {
        let answer = with(&api, "SELECT pg_typeof(:v)::text", hinted(text, hint)).await;
        assert_eq!(answer.body["records"][0][0]["stringValue"], expected, "{hint}");
    }
}

#[tokio::test]
async fn a_string_is_text_and_nothing_is_coerced() {
    let api = Api::start().await;
    api.execute("CREATE TYPE mood AS ENUM ('good')").await;
    api.execute("CREATE TABLE t (i int, n numeric, b bool, u uuid, d date, z timestamptz, j jsonb, m mood, v varchar(9), c char(3), x text)")
        .await;
    for (column, text) in [
        ("i", "1"),
        ("n", "1.5"),
        ("b", "true"),
        ("u", "6f9619ff-8b86-d011-b42d-00c04fc964ff"),
        ("d", "2026-11-23"),
        ("z", "2026-11-23 00:00:00"),
        ("j", "{}"),
        ("m", "good"),
    ] {
        let sql = format!("INSERT INTO t ({column}) VALUES (:v)");
        let answer = with(&api, &sql, one(&json!({ "stringValue": text }))).await;
        assert_eq!(answer.outcome(), "400 DatabaseErrorException", "{column}");
        assert!(answer.message().ends_with("SQLState: 42804"), "{}", answer.message());
        assert!(
            answer.message().contains("; Hint: You will need to rewrite or cast the expression.")
        );
    }
    for column in ["v", "c", "x"] {
        let sql = format!("INSERT INTO t ({column}) VALUES (:v)");
        let answer = with(&api, &sql, one(&json!({ "stringValue": "abc" }))).await;
        assert_eq!(answer.status, 200, "{column}");
    }
    let answer =
        with(&api, "SELECT 1 FROM t WHERE i = :v", one(&json!({ "stringValue": "1" }))).await;
    assert!(answer.message().ends_with("SQLState: 42883"), "{}", answer.message());
}

#[tokio::test]
async fn longs_are_assigned_to_integers_and_floats_are_rounded() {
    let api = Api::start().await;
    api.execute("CREATE TABLE t (s smallint, b bool)").await;
    let insert = "INSERT INTO t (s) VALUES (:v) RETURNING s";
    let answer = with(&api, insert, one(&json!({ "longValue": 7 }))).await;
    assert_eq!(answer.body["records"][0][0], json!({ "longValue": 7 }));
    let answer = with(&api, insert, one(&json!({ "longValue": 70_000 }))).await;
    assert_eq!(answer.message(), "ERROR: smallint out of range; SQLState: 22003");
    let answer = with(&api, insert, one(&json!({ "doubleValue": 2.5 }))).await;
    assert_eq!(answer.body["records"][0][0], json!({ "longValue": 2 }));
    let answer = with(&api, "INSERT INTO t (b) VALUES (:v)", one(&json!({ "longValue": 1 }))).await;
    assert!(answer.message().ends_with("SQLState: 42804"));
}

#[tokio::test]
async fn null_has_no_type() {
    let api = Api::start().await;
    api.execute("CREATE TABLE t (i int, n numeric, a int[])").await;
    let null = || one(&json!({ "isNull": true }));
    for column in ["i", "n", "a"] {
        let sql = format!("INSERT INTO t ({column}) VALUES (:v)");
        assert_eq!(with(&api, &sql, null()).await.status, 200, "{column}");
    }
    let sql = "SELECT 1 FROM t WHERE :v IS NULL OR i = :v";
    let answer = with(&api, sql, null()).await;
    assert!(answer.message().ends_with("SQLState: 42P18"), "{}", answer.message());
}

#[tokio::test]
async fn arrays_are_refused() {
    let api = Api::start().await;
    for value in [json!({ "arrayValue": { "longValues": [1] } }), json!({ "arrayValue": {} })] {
        let answer = with(&api, "SELECT :v", one(&value)).await;
        assert_eq!(answer.outcome(), "400 ValidationException");
        assert_eq!(answer.message(), "Array parameters are not supported");
    }
    let literal = one(&json!({ "stringValue": "{1,NULL,3}" }));
    let answer = with(&api, "SELECT :v::int[]", literal).await;
    assert_eq!(
        answer.body["records"][0][0],
        json!({ "arrayValue": { "longValues": [1, null, 3] } })
    );
}

#[tokio::test]
async fn hints_take_their_documented_formats_only() {
    let api = Api::start().await;
    for (hint, text) in [
        ("DATE", "23.11.2026"),
        ("TIME", "9:30"),
        ("TIMESTAMP", "2026-11-23T09:30:00Z"),
        ("TIMESTAMP", "2026-11-23"),
    ] {
        let answer = with(&api, "SELECT :v", hinted(text, hint)).await;
        assert_eq!(answer.outcome(), "400 BadRequestException", "{hint}");
        assert_eq!(answer.message(), format!("Cannot parse date or time \"{text}\""));
    }
    for (hint, text, state) in [
        ("UUID", "x", "22P02"),
        ("DECIMAL", "x", "22P02"),
        ("JSON", "{", "22P02"),
        ("DATE", "2026-13-01", "22008"),
    ] {
        let answer = with(&api, "SELECT :v", hinted(text, hint)).await;
        assert!(answer.message().ends_with(&format!("SQLState: {state}")), "{}", answer.message());
    }
    let answer = with(&api, "SELECT :v", hinted("1", "INTEGER")).await;
    assert_eq!(answer.outcome(), "400 ValidationException");
}

#[tokio::test]
async fn names_must_be_those_of_the_statement() {
    let api = Api::start().await;
    let answer = with(&api, "SELECT :v, :w", one(&json!({ "longValue": 1 }))).await;
    assert_eq!(answer.outcome(), "400 DatabaseErrorException");
    assert!(
        answer.message().contains("bind message supplies 1 parameters"),
        "{}",
        answer.message()
    );
    let answer = with(&api, "SELECT 1", one(&json!({ "longValue": 1 }))).await;
    assert_eq!(answer.message(), "Parameter v is not in the statement");
    let twice = json!([{ "name": "v", "value": { "longValue": 1 } }, { "name": "v", "value": { "longValue": 2 } }]);
    assert_eq!(with(&api, "SELECT :v", twice).await.message(), "Parameter v is given twice");
    for value in [json!({}), json!({ "longValue": 1, "stringValue": "x" })] {
        let answer = with(&api, "SELECT :v", one(&value)).await;
        assert_eq!(answer.outcome(), "400 ValidationException");
    }
}

/// 5,000 names in one statement: what looks through all of them for each of them takes seconds.
#[tokio::test]
async fn a_statement_can_have_thousands_of_parameters() {
    let api = Api::start().await;
    let names: Vec<_> = (0..5_000).map(|n| format!(":p{n}")).collect();
    let parameters: Vec<_> = (0..5_000)
        .map(|n| json!({ "name": format!("p{n}"), "value": { "longValue": n } }))
        .collect();
    let sql = format!("SELECT sum(v)::bigint FROM unnest(ARRAY[{}]) AS v", names.join(","));
    let answer = with(&api, &sql, parameters.into()).await;
    assert_eq!(answer.body["records"][0][0], json!({ "longValue": 12_497_500 }));
}

#[tokio::test]
async fn placeholders_are_scanned_as_the_service_does() {
    let api = Api::start().await;
    let answer = with(
        &api,
        "SELECT ':x'::text AS \":y\", :v::int -- :z\n /* :q */ + 0, '{\"a\":1}'::jsonb",
        one(&json!({ "longValue": 7 })),
    )
    .await;
    assert_eq!(
        answer.body["records"][0],
        json!([{ "stringValue": ":x" }, { "longValue": 7 }, { "stringValue": "{\"a\":1}" }])
    );
    let answer = with(
        &api,
        "SELECT :1::int + :1::int",
        json!([{ "name": "1", "value": { "longValue": 2 } }]),
    )
    .await;
    assert_eq!(answer.body["records"][0][0], json!({ "longValue": 4 }));
    // Dollar quotes are not respected, and a slice looks like a placeholder.
    assert_eq!(api.field("SELECT $$a :v c$$").await, json!({ "stringValue": "a $1 c" }));
    let (_, message) = api.failure("SELECT (ARRAY[1,2])[1:2]").await;
    assert!(message.contains("syntax error at or near \"$1\""), "{message}");
    // One bind an occurrence: to PostgreSQL these are two expressions.
    let grouped = "SELECT left(relname, :v::int) FROM pg_class GROUP BY left(relname, :v::int)";
    let answer = with(&api, grouped, one(&json!({ "longValue": 1 }))).await;
    assert!(answer.message().ends_with("SQLState: 42803"), "{}", answer.message());
    let (_, message) = api.failure("SELECT $1").await;
    assert!(message.contains("bind message supplies 0 parameters"), "{message}");
    assert!(message.ends_with("SQLState: 08P01"), "{message}");
}

#[tokio::test]
async fn a_nul_is_refused_by_postgresql() {
    let api = Api::start().await;
    let answer = with(&api, "SELECT :v", one(&json!({ "stringValue": "a\u{0}b" }))).await;
    assert!(answer.message().ends_with("SQLState: 22021"), "{}", answer.message());
}
