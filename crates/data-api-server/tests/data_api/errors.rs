//! Exceptions and their form.

use std::time::Duration;

use hyper::Method;
use serde_json::json;

use crate::support::Api;

#[tokio::test]
async fn errors_of_postgresql_have_the_services_form() {
    let api = Api::start().await;
    api.execute("CREATE TABLE t (a int NOT NULL, CONSTRAINT positive CHECK (a > 0))").await;
    for (sql, message) in [
        (
            "SELECT * FROM no_such_table_xyz",
            "ERROR: relation \"no_such_table_xyz\" does not exist; Position: 15; SQLState: 42P01",
        ),
        (
            "SELECT 1 WHERE 1 = 'a'::text",
            "ERROR: operator does not exist: integer = text; Hint: No operator matches the given name and argument types. You might need to add explicit type casts.; Position: 18; SQLState: 42883",
        ),
        // PostgreSQL's detail would show the row: the service leaves it out.
        (
            "INSERT INTO t VALUES (NULL)",
            "ERROR: null value in column \"a\" of relation \"t\" violates not-null constraint; SQLState: 23502",
        ),
        (
            "INSERT INTO t VALUES (-1)",
            "ERROR: new row for relation \"t\" violates check constraint \"positive\"; SQLState: 23514",
        ),
        ("SELEKT", "ERROR: syntax error at or near \"SELEKT\"; Position: 1; SQLState: 42601"),
        (
            "DO $$ BEGIN RAISE EXCEPTION E'two\\nlines; SQLState: 00000'; END $$",
            "ERROR: two\nlines; SQLState: 00000; SQLState: P0001",
        ),
    ] {
        let (outcome, found) = api.failure(sql).await;
        assert_eq!(outcome, "400 DatabaseErrorException", "{sql}");
        assert_eq!(found, message);
    }
}

#[tokio::test]
async fn every_exception_has_its_status_and_its_header() {
    let api = Api::start().await;
    for (name, status) in [
        ("AccessDeniedException", 403),
        ("BadRequestException", 400),
        ("DatabaseErrorException", 400),
        ("DatabaseNotFoundException", 404),
        ("DatabaseResumingException", 400),
        ("DatabaseUnavailableException", 504),
        ("ForbiddenException", 403),
        ("HttpEndpointNotEnabledException", 400),
        ("InternalFailure", 500),
        ("InternalServerErrorException", 500),
        ("InvalidResourceStateException", 400),
        ("InvalidSecretException", 400),
        ("NotFoundException", 404),
        ("SecretsErrorException", 400),
        ("ServiceUnavailableError", 503),
        ("StatementTimeoutException", 400),
        ("ThrottlingException", 400),
        ("TransactionNotFoundException", 404),
        ("UnsupportedResultException", 400),
        ("ValidationException", 400),
    ] {
        api.fault(&format!("execute fail-before={name}"));
        let answer = api.call("/Execute", json!({ "sql": "SELECT 1" })).await;
        assert_eq!(answer.outcome(), format!("{status} {name}"));
        let is_silent =
            ["DatabaseUnavailableException", "InternalFailure", "InternalServerErrorException"]
                .contains(&name);
        assert_eq!(answer.body.get("message").is_none(), is_silent, "{name}");
    }
}

#[tokio::test]
async fn the_type_header_has_its_suffix() {
    let api = Api::start().await;
    let response = api.send(Method::GET, "/Execute", "").await.unwrap();
    assert_eq!(
        response.header("x-amzn-errortype").unwrap(),
        "UnknownOperationException:http://internal.amazon.com/coral/com.amazon.rdsdataservice/"
    );
    assert_eq!(response.header("content-type").unwrap(), "application/json");
    assert!(response.header("x-amzn-requestid").is_some());
}

#[tokio::test]
async fn a_statement_that_takes_too_long_is_cancelled() {
    let api =
        Api::start_with(|settings| settings.statement_timeout = Duration::from_millis(200)).await;
    api.execute("CREATE TABLE t (a int)").await;
    let slow = "INSERT INTO t SELECT 1 FROM pg_sleep(5)";
    let answer = api.call("/Execute", json!({ "sql": slow })).await;
    assert_eq!(answer.outcome(), "400 StatementTimeoutException");
    assert_eq!(answer.message(), "canceling statement due to statement timeout");
    assert!(answer.body["dbConnectionId"].is_i64());
    assert_eq!(api.field("SELECT count(*) FROM t").await, json!({ "longValue": 0 }));
    let transaction = api.begin().await;
    assert_eq!(api.execute_in(&transaction, slow).await.status, 400);
    let answer = api.execute_in(&transaction, "SELECT 1").await;
    assert!(answer.message().ends_with("SQLState: 25P02"), "{}", answer.message());
}

#[tokio::test]
async fn a_statement_can_go_on_after_its_time() {
    let api =
        Api::start_with(|settings| settings.statement_timeout = Duration::from_millis(200)).await;
    api.execute("CREATE TABLE t (a int)").await;
    let slow =
        json!({ "sql": "INSERT INTO t SELECT 1 FROM pg_sleep(0.6)", "continueAfterTimeout": true });
    let answer = api.call("/Execute", slow).await;
    assert_eq!(answer.outcome(), "400 StatementTimeoutException");
    assert_eq!(api.field("SELECT count(*) FROM t").await, json!({ "longValue": 0 }));
    while api.field("SELECT count(*) FROM t").await != json!({ "longValue": 1 }) {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    // The session's own limit is back.
    assert_eq!(api.field("SHOW statement_timeout").await, json!({ "stringValue": "200ms" }));
    let quick = json!({ "sql": "SELECT 1", "continueAfterTimeout": true });
    assert_eq!(api.call("/Execute", quick).await.body["records"], json!([[{ "longValue": 1 }]]));
    let transaction = api.begin().await;
    let quick =
        json!({ "sql": "SELECT 1", "continueAfterTimeout": true, "transactionId": transaction });
    assert_eq!(api.call("/Execute", quick).await.status, 200);
    let answer = api.execute_in(&transaction, "SHOW statement_timeout").await;
    assert_eq!(answer.body["records"][0][0], json!({ "stringValue": "200ms" }));
    let slow = json!({ "sql": "INSERT INTO t SELECT 2 FROM pg_sleep(0.6)", "continueAfterTimeout": true, "transactionId": transaction });
    assert_eq!(api.call("/Execute", slow).await.outcome(), "400 StatementTimeoutException");
    let answer = api.commit(&transaction).await;
    assert_eq!(answer.message(), "Transaction is still running a query");
    while api.commit(&transaction).await.status != 200 {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(api.field("SELECT max(a) FROM t").await, json!({ "longValue": 2 }));
}

#[tokio::test]
async fn a_paused_database_fails_fast_and_takes_its_time_to_resume() {
    let api = Api::start().await;
    let transaction = api.begin().await;
    api.server.pause(Duration::from_secs(15));
    let resuming = async || {
        let answer = api.call("/Execute", json!({ "sql": "SELECT 1" })).await;
        answer.outcome() == "400 DatabaseResumingException"
    };
    // It does not resume by itself.
    api.server.pass(Duration::from_mins(1));
    assert!(resuming().await, "this call starts it");
    for path in ["/BatchExecute", "/BeginTransaction"] {
        let answer = api.call(path, json!({ "sql": "SELECT 1", "parameterSets": [[]] })).await;
        assert_eq!(answer.outcome(), "400 DatabaseResumingException", "{path}");
        assert!(answer.message().contains(
            "is resuming after being auto-paused. Please wait a few seconds and try again."
        ));
    }
    assert_eq!(api.commit(&transaction).await.status, 200, "commits are not among them");
    api.server.pass(Duration::from_secs(14));
    assert!(resuming().await);
    api.server.pass(Duration::from_secs(1));
    assert!(!resuming().await);
}

#[tokio::test]
async fn a_plan_that_a_migration_has_changed_fails_once() {
    let api = Api::start().await;
    api.execute("CREATE TABLE t (a int)").await;
    let transaction = api.begin().await;
    assert_eq!(api.execute_in(&transaction, "SELECT * FROM t").await.status, 200);
    api.execute_in(&transaction, "SAVEPOINT x").await;
    api.execute_in(&transaction, "ALTER TABLE t ADD b int").await;
    let answer = api.execute_in(&transaction, "SELECT * FROM t").await;
    assert_eq!(answer.message(), "ERROR: cached plan must not change result type; SQLState: 0A000");
}
