//! Results, type by type.

use serde_json::{Value, json};

use crate::support::Api;

async fn check(api: &Api, expression: &str, expected: Value) {
    assert_eq!(api.field(&format!("SELECT {expression}")).await, expected, "{expression}");
}

fn string(text: &str) -> Value {
    json!({ "stringValue": text })
}

#[tokio::test]
async fn numbers_and_booleans() {
    let api = Api::start().await;
    check(&api, "1::int2", json!({ "longValue": 1 })).await;
    check(&api, "(-2147483648)::int4", json!({ "longValue": -2_147_483_648_i64 })).await;
    check(&api, "9223372036854775807::int8", json!({ "longValue": i64::MAX })).await;
    check(&api, "1.5::float8", json!({ "doubleValue": 1.5 })).await;
    check(&api, "0.1::float4", json!({ "doubleValue": 0.100_000_001_490_116_12 })).await;
    check(&api, "'NaN'::float8", json!({ "doubleValue": "NaN" })).await;
    check(&api, "'-Infinity'::float8", json!({ "doubleValue": "-Infinity" })).await;
    check(&api, "123456.7890::numeric(12,4)", string("123456.7890")).await;
    check(&api, "'NaN'::numeric", string("NaN")).await;
    check(&api, "true", json!({ "booleanValue": true })).await;
    check(&api, "NULL::int", json!({ "isNull": true })).await;
}

#[tokio::test]
async fn texts_and_bytes() {
    let api = Api::start().await;
    api.execute("CREATE TYPE mood AS ENUM ('good')").await;
    api.execute("CREATE DOMAIN short AS varchar(3)").await;
    check(&api, "'é'::text", string("é")).await;
    check(&api, "'a'::char(3)", string("a  ")).await;
    check(&api, "'abc'::varchar", string("abc")).await;
    check(&api, "'abc'::name", string("abc")).await;
    check(&api, "'good'::mood", string("good")).await;
    check(&api, "'abc'::short", string("abc")).await;
    check(
        &api,
        "'6F9619FF8B86D011B42D00C04FC964FF'::uuid",
        string("6f9619ff-8b86-d011-b42d-00c04fc964ff"),
    )
    .await;
    check(&api, "'10.0.0.1'::inet", string("10.0.0.1")).await;
    check(&api, "'10.0.0.0/8'::cidr", string("10.0.0.0/8")).await;
    check(&api, "int4range(1, 5)", string("[1,5)")).await;
    check(&api, r"'\x00ff'::bytea", json!({ "blobValue": "AP8=" })).await;
    check(&api, "''::bytea", json!({ "blobValue": "" })).await;
    let transaction = api.begin().await;
    api.execute_in(&transaction, "SET LOCAL bytea_output = 'escape'").await;
    let answer = api.execute_in(&transaction, r"SELECT '\x00ff'::bytea").await;
    assert_eq!(answer.body["records"][0][0], json!({ "blobValue": "AP8=" }));
}

#[tokio::test]
async fn times_have_no_three_or_six_digits_and_no_offset() {
    let api = Api::start().await;
    check(&api, "'2026-11-23'::date", string("2026-11-23")).await;
    check(&api, "'09:30:00'::time", string("09:30:00")).await;
    check(&api, "'09:30:00.5'::time", string("09:30:00.500")).await;
    check(&api, "'2026-11-23 09:30'::timestamp", string("2026-11-23 09:30:00")).await;
    check(&api, "'2026-11-23 09:30:00.8'::timestamp", string("2026-11-23 09:30:00.800")).await;
    check(&api, "'2026-11-23 09:30:00.8551'::timestamp", string("2026-11-23 09:30:00.855100"))
        .await;
    check(&api, "'2026-11-23 09:30:00.8551+09'::timestamptz", string("2026-11-23 00:30:00.855100"))
        .await;
    let transaction = api.begin().await;
    api.execute_in(&transaction, "SET LOCAL TIME ZONE 'Asia/Tokyo'").await;
    let answer = api.execute_in(&transaction, "SELECT '2026-11-23 09:30+09'::timestamptz").await;
    assert_eq!(answer.body["records"][0][0], string("2026-11-23 00:30:00"));
}

#[tokio::test]
async fn infinite_times_end_in_a_failure_without_a_message() {
    let api = Api::start().await;
    for expression in ["'infinity'::date", "'-infinity'::timestamp", "'infinity'::timestamptz"] {
        let (outcome, message) = api.failure(&format!("SELECT {expression}")).await;
        assert_eq!(
            (outcome.as_str(), message.as_str()),
            ("500 InternalFailure", ""),
            "{expression}"
        );
    }
}

#[tokio::test]
async fn json_is_parsed_and_written_again() {
    let api = Api::start().await;
    check(&api, r#"'{"x": 0}'::jsonb"#, string(r#"{"x":0}"#)).await;
    check(&api, r#"'{ "b" : [1, 2] , "a" : "x y" }'::json"#, string(r#"{"a":"x y","b":[1,2]}"#))
        .await;
    // 128 to the 128th comes back as a float, 512 to the 512th not at all.
    check(&api, "to_json(128::numeric ^ 128)", string("5.282945311356653e+269")).await;
    let (outcome, _) = api.failure("SELECT to_json(512::numeric ^ 512)").await;
    assert_eq!(outcome, "500 InternalFailure");
    check(&api, r#"('{"x": 1.50}'::json)::text"#, string(r#"{"x": 1.50}"#)).await;
}

#[tokio::test]
async fn arrays_come_by_their_elements_type() {
    let api = Api::start().await;
    let array = |member: &str, values: Value| json!({ "arrayValue": { member: values } });
    check(&api, "'{1,NULL,3}'::int[]", array("longValues", json!([1, null, 3]))).await;
    check(&api, "'{1}'::int8[]", array("longValues", json!([1]))).await;
    check(&api, "'{1.1,2.7}'::real[]", array("doubleValues", json!([1.1, 2.7]))).await;
    check(&api, "'{1.5,NaN}'::float8[]", array("doubleValues", json!([1.5, "NaN"]))).await;
    check(&api, "'{t,f}'::bool[]", array("booleanValues", json!([true, false]))).await;
    check(&api, "'{1.50}'::numeric[]", array("stringValues", json!(["1.50"]))).await;
    check(
        &api,
        r#"'{"a,b",NULL,"NULL"}'::text[]"#,
        array("stringValues", json!(["a,b", null, "NULL"])),
    )
    .await;
    check(
        &api,
        "'{6f9619ff-8b86-d011-b42d-00c04fc964ff}'::uuid[]",
        array("stringValues", json!(["6f9619ff-8b86-d011-b42d-00c04fc964ff"])),
    )
    .await;
    check(&api, "'{2026-11-23}'::date[]", array("stringValues", json!(["2026-11-23"]))).await;
    check(&api, r#"ARRAY['{"a": 1}']::jsonb[]"#, array("stringValues", json!([r#"{"a":1}"#])))
        .await;
    check(&api, "'{}'::text[]", array("stringValues", json!([]))).await;
    check(&api, "'[2:3]={1,2}'::int[]", array("longValues", json!([1, 2]))).await;
    let (outcome, message) = api.failure("SELECT '{{1},{2}}'::int[]").await;
    assert_eq!(outcome, "400 UnsupportedResultException");
    assert_eq!(message, "The result contains a multidimensional array");
}

#[tokio::test]
async fn types_that_the_service_cannot_return_fail_the_call() {
    let api = Api::start().await;
    api.execute("CREATE TYPE pair AS (a int, b int)").await;
    for (expression, name) in [
        ("'1 day'::interval", "INTERVAL"),
        ("'09:30+00'::timetz", "TIMETZ"),
        ("'1'::money", "MONEY"),
        ("NULL::xml", "XML"),
        ("'a'::\"char\"", "\"CHAR\""),
        ("'pg_class'::regclass", "regclass"),
        ("'08:00:2b:01:02:03'::macaddr", "MACADDR"),
        ("point(1, 2)", "POINT"),
        ("'[2026-01-01,2026-02-01)'::daterange", "DATERANGE"),
        ("tsrange(NULL, NULL)", "TSRANGE"),
        ("ROW(1, 2)::pair", "pair"),
        ("'{1 day}'::interval[]", "INTERVAL"),
        ("'1 2'::int2vector", "INT2VECTOR"),
    ] {
        let (outcome, message) = api.failure(&format!("SELECT 1, {expression}")).await;
        assert_eq!(outcome, "400 UnsupportedResultException", "{expression}");
        assert_eq!(message, format!("The result contains the unsupported data type {name}."));
    }
}

#[tokio::test]
async fn records_are_there_for_queries_and_counts_for_changes() {
    let api = Api::start().await;
    api.execute("CREATE TABLE t (a int)").await;
    assert_eq!(
        api.execute("SELECT a FROM t").await,
        json!({ "records": [], "numberOfRecordsUpdated": 0 })
    );
    for (sql, count) in [
        ("INSERT INTO t VALUES (1), (2)", 2),
        ("UPDATE t SET a = 3 WHERE a = 1", 1),
        ("DELETE FROM t WHERE a = 9", 0),
        ("CREATE TABLE u (a int)", 0),
    ] {
        let expected = json!({ "numberOfRecordsUpdated": count, "generatedFields": [] });
        assert_eq!(api.execute(sql).await, expected, "{sql}");
    }
    // Of two readings of what is not known, the one that nobody can rely on.
    assert_eq!(
        api.execute("INSERT INTO t VALUES (7) RETURNING a").await,
        json!({ "records": [[{ "longValue": 7 }]], "numberOfRecordsUpdated": 0 })
    );
    // Two columns of one name are fine.
    let answer = api.execute("SELECT 1 AS a, 2 AS a").await;
    assert_eq!(answer["records"], json!([[{ "longValue": 1 }, { "longValue": 2 }]]));
}

#[tokio::test]
async fn metadata_come_for_queries_where_they_are_asked_for() {
    let api = Api::start().await;
    api.execute("CREATE TABLE t (id serial PRIMARY KEY, name varchar(9), price numeric(12,4) NOT NULL, tags text[])")
        .await;
    let with = async |sql: &str| {
        api.call("/Execute", json!({ "sql": sql, "includeResultMetadata": true })).await.body
    };
    let answer = with("SELECT id, name AS label, price, tags, 1 AS one FROM t").await;
    assert_eq!(answer["records"], json!([]), "no rows, and metadata all the same");
    let columns = answer["columnMetadata"].as_array().unwrap();
    let shown: Vec<_> = columns
        .iter()
        .map(|column| {
            let parts = [
                "label",
                "typeName",
                "tableName",
                "nullable",
                "precision",
                "scale",
                "isAutoIncrement",
                "arrayBaseColumnType",
            ];
            parts.map(|part| column[part].to_string().replace('"', "")).join(" ")
        })
        .collect();
    assert_eq!(
        shown,
        [
            "id serial t 0 10 0 true 0",
            "label varchar t 1 9 0 false 0",
            "price numeric t 0 12 4 false 0",
            "tags _text t 1 2147483647 0 false 12",
            "one int4  2 10 0 false 0",
        ]
    );
    assert_eq!(columns[0].as_object().unwrap().len(), 14, "all members of the model");
    assert!(with("DELETE FROM t").await.get("columnMetadata").is_none());
    assert!(api.execute("SELECT 1").await.get("columnMetadata").is_none());
}

#[tokio::test]
async fn result_set_options_choose_the_form_of_numbers() {
    let api = Api::start().await;
    let answer = api
        .call(
            "/Execute",
            json!({
                "sql": "SELECT 1::int8, 5::numeric, 1.5::numeric",
                "resultSetOptions": { "longReturnType": "STRING", "decimalReturnType": "DOUBLE_OR_LONG" },
            }),
        )
        .await;
    assert_eq!(
        answer.body["records"][0],
        json!([{ "stringValue": "1" }, { "longValue": 5 }, { "doubleValue": 1.5 }])
    );
}

#[tokio::test]
async fn records_can_be_formatted_as_json() {
    let api = Api::start().await;
    let json = async |sql: &str| {
        api.call(
            "/Execute",
            json!({ "sql": sql, "formatRecordsAs": "JSON", "includeResultMetadata": true }),
        )
        .await
    };
    let answer = json(r"SELECT 1 AS b, 1.50::numeric AS a, NULL AS n, '\xff'::bytea AS y, ARRAY[1,2] AS r, true AS t").await;
    assert_eq!(
        answer.body["formattedRecords"],
        r#"[{"b":1,"a":"1.50","n":null,"y":"/w==","r":[1,2],"t":true}]"#
    );
    assert!(answer.body.get("records").is_none() && answer.body.get("columnMetadata").is_none());
    assert_eq!(json("SELECT 1 WHERE false").await.body["formattedRecords"], "[]");
    assert_eq!(json("SELECT 1 AS a, 2 AS a").await.status, 400, "labels must differ");
    api.execute("CREATE TABLE t (a int)").await;
    let answer = json("INSERT INTO t VALUES (1)").await;
    assert_eq!(answer.body, json!({ "numberOfRecordsUpdated": 1, "generatedFields": [] }));
    let answer = json("INSERT INTO t VALUES (1) RETURNING a").await;
    assert_eq!(answer.body["records"], json!([[{ "longValue": 1 }]]), "it is for SELECT only");
    let both = json!({ "sql": "SELECT 5::numeric AS a, 1.5::numeric AS b, 1::int8 AS c", "formatRecordsAs": "JSON", "resultSetOptions": { "decimalReturnType": "DOUBLE_OR_LONG", "longReturnType": "STRING" } });
    let answer = api.call("/Execute", both).await;
    assert_eq!(answer.body["formattedRecords"], r#"[{"a":5,"b":1.5,"c":"1"}]"#);
}
