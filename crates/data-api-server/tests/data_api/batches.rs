//! `BatchExecuteStatement`.

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::{Answer, Api};

fn sets(values: &[i64]) -> Value {
    let set = |value: &i64| json!([{ "name": "a", "value": { "longValue": value } }]);
    values.iter().map(set).collect()
}

async fn insert(api: &Api, values: &[i64], transaction: Option<&str>) -> Answer {
    let members = json!({
        "sql": "INSERT INTO t VALUES (:a) RETURNING a",
        "parameterSets": sets(values),
        "transactionId": transaction,
    });
    api.call("/BatchExecute", members).await
}

async fn count(api: &Api) -> Value {
    api.field("SELECT count(*) FROM t").await["longValue"].clone()
}

#[tokio::test]
async fn each_set_is_one_execution_and_none_is_counted() {
    let api = Api::start().await;
    api.execute("CREATE TABLE t (a int PRIMARY KEY)").await;
    let answer = insert(&api, &[1, 2, 3], None).await;
    let empty = json!({ "generatedFields": [] });
    assert_eq!(answer.body, json!({ "updateResults": [empty, empty, empty] }));
    assert_eq!(count(&api).await, 3);
}

#[tokio::test]
async fn no_sets_are_a_success_that_runs_nothing() {
    let api = Api::start().await;
    for members in [json!({ "sql": "not even SQL" }), json!({ "sql": "x", "parameterSets": [] })] {
        let answer = api.call("/BatchExecute", members).await;
        assert_eq!((answer.status, answer.body), (200, json!({ "updateResults": [] })));
    }
}

#[tokio::test]
async fn outside_a_transaction_the_sets_before_a_failing_one_stand() {
    let api = Api::start().await;
    api.execute("CREATE TABLE t (a int PRIMARY KEY)").await;
    let answer = insert(&api, &[1, 2, 2, 3], None).await;
    // The error names neither the set nor its values.
    assert_eq!(
        answer.message(),
        "ERROR: duplicate key value violates unique constraint \"t_pkey\"; SQLState: 23505"
    );
    assert_eq!(count(&api).await, 2);
}

#[tokio::test]
async fn inside_a_transaction_a_failing_set_aborts_it() {
    let api = Api::start().await;
    api.execute("CREATE TABLE t (a int PRIMARY KEY)").await;
    let transaction = api.begin().await;
    assert_eq!(insert(&api, &[1, 1], Some(&transaction)).await.status, 400);
    let answer = insert(&api, &[2], Some(&transaction)).await;
    assert_eq!(
        answer.message(),
        "ERROR: current transaction is aborted, commands ignored until end of transaction block; SQLState: 25P02"
    );
    assert_eq!(api.rollback(&transaction).await.status, 200);
    assert_eq!(count(&api).await, 0);
}

#[tokio::test]
async fn nulls_change_the_types_from_set_to_set() {
    let api = Api::start().await;
    api.execute("CREATE TABLE t (a int)").await;
    let nothing = json!([{ "name": "a", "value": { "isNull": true } }]);
    let one = json!([{ "name": "a", "value": { "longValue": 1 } }]);
    let members = json!({ "sql": "INSERT INTO t VALUES (:a)", "parameterSets": [nothing, one, nothing, one] });
    assert_eq!(api.call("/BatchExecute", members).await.status, 200);
    assert_eq!(api.field("SELECT count(a) FROM t").await, json!({ "longValue": 2 }));
}

#[tokio::test]
async fn a_closing_semicolon_is_for_execute_only() {
    let api = Api::start().await;
    for sql in ["SELECT 1;", "SELECT 1 ; \n", "SELECT 1; SELECT 2"] {
        let answer = api.call("/BatchExecute", json!({ "sql": sql, "parameterSets": [[]] })).await;
        assert_eq!(answer.outcome(), "400 ValidationException", "{sql}");
        assert_eq!(answer.message(), "Multistatements aren't supported", "{sql}");
    }
}

#[tokio::test]
async fn the_time_limit_is_for_the_whole_call() {
    let limit = Duration::from_millis(400);
    let api = Api::start_with(|settings| settings.statement_timeout = limit).await;
    // Each of them is far below it.
    let naps = |transaction: Option<&str>| {
        json!({
            "sql": "SELECT pg_sleep(0.05), :a::int",
            "parameterSets": sets(&[1; 40]),
            "transactionId": transaction,
        })
    };
    let answer = api.call("/BatchExecute", naps(None)).await;
    assert_eq!(answer.outcome(), "400 StatementTimeoutException");
    api.execute("SELECT 1").await;
    let transaction = api.begin().await;
    let answer = api.call("/BatchExecute", naps(Some(&transaction))).await;
    assert_eq!(answer.outcome(), "400 StatementTimeoutException");
    let answer = api.execute_in(&transaction, "SELECT 1").await;
    assert!(answer.message().ends_with("SQLState: 25P02"), "{}", answer.message());
}

/// 64 sets of 60 KB go out at once, and PostgreSQL has 64 MB to say to them.
#[tokio::test]
async fn large_sets_and_their_large_results_do_not_wait_for_each_other() {
    let api = Api::start().await;
    let transaction = api.begin().await;
    let large = "x".repeat(60_000);
    let set = json!([{ "name": "a", "value": { "stringValue": large } }]);
    let members = json!({
        "sql": "SELECT repeat(:a, 17)",
        "parameterSets": vec![set; 64],
        "transactionId": transaction,
    });
    let answer = api.call("/BatchExecute", members).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    assert_eq!(answer.body["updateResults"].as_array().map(Vec::len), Some(64));
    assert_eq!(api.commit(&transaction).await.status, 200);
}

#[tokio::test]
async fn a_batch_that_copies_ends_its_session() {
    let api = Api::start().await;
    api.execute("CREATE TABLE t (a int)").await;
    let transaction = api.begin().await;
    let copy = json!({ "sql": "COPY t FROM STDIN", "parameterSets": [[], [], []], "transactionId": transaction });
    let answer = api.call("/BatchExecute", copy).await;
    assert_eq!(answer.message(), "execute: unexpected message: CopyInResponse");
    let answer = api.execute_in(&transaction, "SELECT 1").await;
    assert_eq!(answer.outcome(), "404 TransactionNotFoundException");
    assert_eq!(count(&api).await, 0);
}

#[tokio::test]
async fn several_hundred_sets_keep_their_order() {
    let api = Api::start().await;
    api.execute("CREATE TABLE t (n serial, a int)").await;
    let values: Vec<i64> = (0..500).collect();
    let transaction = api.begin().await;
    let members = json!({ "sql": "INSERT INTO t (a) VALUES (:a)", "parameterSets": sets(&values), "transactionId": transaction });
    assert_eq!(api.call("/BatchExecute", members).await.status, 200);
    assert_eq!(api.commit(&transaction).await.status, 200);
    assert_eq!(
        api.field("SELECT bool_and(n = a + 1) FROM t").await,
        json!({ "booleanValue": true })
    );
}
