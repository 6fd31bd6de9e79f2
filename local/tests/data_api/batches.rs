//! `BatchExecuteStatement`.

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
async fn each_set_is_one_execution_and_nothing_is_told_of_it() {
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
    // Neither the place of the set nor its values are told.
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
    let answer = api
        .call("/BatchExecute", json!({ "sql": "SELECT 1; SELECT 2", "parameterSets": [[]] }))
        .await;
    assert_eq!(answer.message(), "Multistatements aren't supported");
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
