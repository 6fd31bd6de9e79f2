//! Requests: paths, members, limits.

use data_api_server::Login;
use hyper::Method;
use serde_json::{Value, json};

use crate::support::{Api, CLUSTER, SECRET};

#[tokio::test]
async fn all_five_paths_answer() {
    let api = Api::start().await;
    assert_eq!(api.field("SELECT 1").await, json!({ "longValue": 1 }));
    let sets = json!({ "sql": "SELECT 1", "parameterSets": [[]] });
    let answer = api.call("/BatchExecute", sets).await;
    assert_eq!(answer.body, json!({ "updateResults": [{ "generatedFields": [] }] }));
    let (first, second) = (api.begin().await, api.begin().await);
    assert!(first.len() <= 192 && first != second);
    let answer = api.commit(&first).await;
    assert_eq!(answer.body, json!({ "transactionStatus": "Transaction Committed" }));
    let answer = api.rollback(&second).await;
    assert_eq!(answer.body, json!({ "transactionStatus": "Rollback Complete" }));
    for (method, path) in [
        (Method::POST, "/ExecuteSql"),
        (Method::GET, "/Execute"),
        (Method::POST, "/"),
        (Method::PUT, "/../etc/passwd"),
    ] {
        let answer = api.send(method, path, "{}").await.unwrap();
        assert_eq!(answer.outcome(), "404 UnknownOperationException", "{path}");
    }
}

#[tokio::test]
async fn unknown_and_null_members_are_ignored() {
    let api = Api::start().await;
    let answer = api
        .call(
            "/Execute",
            json!({
                "sql": "SELECT :a::int",
                "parameters": [{ "name": "a", "value": { "longValue": 1, "stringValue": null }, "typeHint": null, "x": 1 }],
                "transactionId": null,
                "schema": null,
                "somethingNew": { "deep": [1] },
            }),
        )
        .await;
    assert_eq!(answer.body["records"], json!([[{ "longValue": 1 }]]));
}

#[tokio::test]
async fn what_the_model_does_not_allow_is_a_serialization_exception() {
    let api = Api::start().await;
    for members in [
        json!({ "sql": 1 }),
        json!({ "sql": "SELECT 1", "parameters": {} }),
        json!({ "sql": "SELECT 1", "includeResultMetadata": "yes" }),
        json!({ "sql": "SELECT :a", "parameters": [["a", { "longValue": 1 }]] }),
        json!({ "sql": "SELECT :a", "parameters": [{ "name": "a", "value": [true] }] }),
        json!({ "sql": "SELECT :a", "parameters": [{ "name": "a", "value": { "longValue": "1" } }] }),
        json!({ "sql": "SELECT :a", "parameters": [{ "name": "a", "value": { "longValue": 1.5 } }] }),
        json!({ "sql": "SELECT :a", "parameters": [{ "name": "a", "value": { "longValue": 9_223_372_036_854_775_808_u64 } }] }),
        json!({ "sql": "SELECT :a", "parameters": [{ "name": "a", "value": { "doubleValue": "many" } }] }),
        json!({ "sql": "SELECT :a", "parameters": [{ "name": "a", "value": { "blobValue": "%%%" } }] }),
    ] {
        let answer = api.call("/Execute", members.clone()).await;
        assert_eq!(answer.outcome(), "400 SerializationException", "{members}");
    }
    for body in ["[]", "1", "{", "\"text\"", "{\"sql\":\"\u{0}\"", "null"] {
        let answer = api.send(Method::POST, "/Execute", body).await.unwrap();
        assert_eq!(answer.outcome(), "400 SerializationException", "{body}");
    }
    let not_utf8 = api.send(Method::POST, "/Execute", &b"{\"sql\":\"\xff\"}"[..]).await.unwrap();
    assert_eq!(not_utf8.outcome(), "400 SerializationException");
}

#[tokio::test]
async fn what_is_missing_or_too_long_is_a_validation_exception() {
    let api = Api::start().await;
    let long = "x".repeat(65);
    for (path, members) in [
        ("/Execute", json!({ "sql": "" })),
        ("/Execute", json!({})),
        ("/BatchExecute", json!({ "parameterSets": [[]] })),
        ("/CommitTransaction", json!({})),
        ("/RollbackTransaction", json!({ "transactionId": "" })),
        ("/Execute", json!({ "sql": "SELECT 1", "resourceArn": "short" })),
        ("/Execute", json!({ "sql": "SELECT 1", "secretArn": "x".repeat(101) })),
        ("/Execute", json!({ "sql": "SELECT 1", "database": long })),
    ] {
        let answer = api.call(path, members.clone()).await;
        assert_eq!(answer.outcome(), "400 ValidationException", "{members}");
    }
    let answer = api.send(Method::POST, "/Execute", "").await.unwrap();
    assert_eq!(answer.outcome(), "400 ValidationException");
}

#[tokio::test]
async fn values_that_the_model_does_not_list_are_a_validation_exception() {
    let api = Api::start().await;
    for members in [
        json!({ "formatRecordsAs": "XML" }),
        json!({ "formatRecordsAs": "json" }),
        json!({ "resultSetOptions": { "decimalReturnType": "DOUBLE" } }),
        json!({ "resultSetOptions": { "longReturnType": "INT" } }),
        json!({ "transactionId": "x".repeat(193) }),
        json!({ "database": "a\u{0}b" }),
        json!({ "sql": "SELECT 1 --\u{0}" }),
    ] {
        let mut request = json!({ "sql": "SELECT 1" });
        request.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
        let answer = api.call("/Execute", request).await;
        assert_eq!(answer.outcome(), "400 ValidationException", "{members}");
    }
    let answer = api
        .call(
            "/Execute",
            json!({ "sql": "SELECT 1", "formatRecordsAs": "NONE", "resultSetOptions": { "decimalReturnType": "STRING", "longReturnType": "LONG" } }),
        )
        .await;
    assert_eq!(answer.body["records"], json!([[{ "longValue": 1 }]]));
}

#[tokio::test]
async fn schema_is_refused() {
    let api = Api::start().await;
    let answer = api.call("/Execute", json!({ "sql": "SELECT 1", "schema": "public" })).await;
    assert_eq!(answer.outcome(), "400 ValidationException");
    assert_eq!(answer.message(), "The schema parameter isn't supported");
}

#[tokio::test]
async fn several_statements_are_refused_and_one_closing_semicolon_is_taken() {
    let api = Api::start().await;
    let (outcome, message) = api.failure("SELECT 1; SELECT 2").await;
    assert_eq!(outcome, "400 ValidationException");
    assert_eq!(message, "Multistatements aren't supported");
    assert_eq!(api.field("SELECT 1;").await, json!({ "longValue": 1 }));
    assert_eq!(api.field("SELECT 1 ; \n").await, json!({ "longValue": 1 }));
}

#[tokio::test]
async fn the_cluster_and_the_secret_are_checked() {
    let api = Api::start_with(|settings| {
        settings.cluster_arn = Some(CLUSTER.to_owned());
        settings.secrets = vec![(SECRET.to_owned(), Login::default())];
    })
    .await;
    api.execute("SELECT 1").await;
    let with = async |name: &str, arn: String| {
        let mut members = json!({ "sql": "SELECT 1" });
        members[name] = Value::from(arn);
        api.call("/Execute", members).await
    };
    // A letter in the other case is another cluster.
    let answer = with("resourceArn", CLUSTER.replace("test", "Test")).await;
    assert_eq!(answer.outcome(), "400 HttpEndpointNotEnabledException");
    assert!(answer.message().starts_with("HttpEndpoint is not enabled for resource arn:aws:rds"));
    let answer = with("secretArn", format!("{SECRET}2")).await;
    assert_eq!(answer.outcome(), "400 SecretsErrorException");
}

#[tokio::test]
async fn a_database_that_is_not_there_is_an_error_of_the_database() {
    let api = Api::start().await;
    let answer = api.call("/Execute", json!({ "sql": "SELECT 1", "database": "nowhere" })).await;
    assert_eq!(answer.outcome(), "400 DatabaseErrorException");
    assert!(answer.message().ends_with("SQLState: 3D000"), "{}", answer.message());
}
