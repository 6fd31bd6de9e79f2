//! Transactions and the sessions behind them.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;

use crate::support::Api;

#[tokio::test]
async fn a_transaction_is_a_session_of_its_own() {
    let api = Api::start().await;
    let transaction = api.begin().await;
    for sql in [
        "CREATE TEMP TABLE mine (a int)",
        "SET LOCAL work_mem = '5MB'",
        "PREPARE mine_too AS SELECT 1",
        "DECLARE c CURSOR FOR SELECT generate_series(1, 3)",
        "INSERT INTO mine VALUES (1)",
    ] {
        assert_eq!(api.execute_in(&transaction, sql).await.status, 200, "{sql}");
    }
    for (sql, expected) in [
        ("SELECT a FROM mine", json!({ "longValue": 1 })),
        ("SHOW work_mem", json!({ "stringValue": "5MB" })),
        ("EXECUTE mine_too", json!({ "longValue": 1 })),
        ("FETCH 1 FROM c", json!({ "longValue": 1 })),
    ] {
        assert_eq!(
            api.execute_in(&transaction, sql).await.body["records"][0][0],
            expected,
            "{sql}"
        );
    }
    assert_eq!(api.commit(&transaction).await.status, 200);
}

#[tokio::test]
async fn nothing_of_a_call_is_left_for_the_next() {
    let api = Api::start().await;
    for sql in [
        "SET work_mem = '5MB'",
        "PREPARE mine AS SELECT 1",
        "CREATE TEMP TABLE mine (a int)",
        "SELECT pg_advisory_lock(1)::text",
        "CREATE SEQUENCE s",
        "SELECT nextval('s')",
        "SET ROLE pg_monitor",
        "SET SESSION AUTHORIZATION pg_monitor",
        "SET my.setting = 'mine'",
        "DECLARE c CURSOR WITH HOLD FOR SELECT 1",
        "LISTEN mine",
        "DEALLOCATE ALL",
        "BEGIN",
        "DISCARD ALL",
    ] {
        api.execute(sql).await;
    }
    for _ in 0..5 {
        assert_ne!(api.field("SHOW work_mem").await, json!({ "stringValue": "5MB" }));
        assert_eq!(api.field("SELECT current_user").await, json!({ "stringValue": "postgres" }));
        assert_eq!(api.field("SELECT session_user").await, json!({ "stringValue": "postgres" }));
        for sql in ["EXECUTE mine", "SELECT a FROM mine", "SELECT lastval()", "FETCH 1 FROM c"] {
            assert_eq!(api.failure(sql).await.0, "400 DatabaseErrorException", "{sql}");
        }
    }
    let locks = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND database = (SELECT oid FROM pg_database WHERE datname = current_database())";
    assert_eq!(api.field(locks).await, json!({ "longValue": 0 }));
    assert_eq!(api.field("SHOW statement_timeout").await, json!({ "stringValue": "45s" }));
    assert_eq!(api.field("SHOW TimeZone").await, json!({ "stringValue": "UTC" }));
}

#[tokio::test]
async fn two_calls_at_once_on_one_transaction_are_one_too_many() {
    let api = Api::start().await;
    let transaction = api.begin().await;
    let (slow, quick) =
        tokio::join!(api.execute_in(&transaction, "SELECT pg_sleep(0.5)::text"), async {
            tokio::time::sleep(Duration::from_millis(100)).await;
            [api.execute_in(&transaction, "SELECT 1").await, api.commit(&transaction).await]
        });
    assert_eq!(slow.status, 200);
    for answer in quick {
        assert_eq!(answer.outcome(), "400 DatabaseErrorException");
        assert_eq!(answer.message(), "Transaction is still running a query");
    }
    assert_eq!(api.commit(&transaction).await.status, 200, "it is as it was");
}

/// Others look for transactions that have expired meanwhile.
#[tokio::test(flavor = "multi_thread")]
async fn calls_on_different_transactions_never_meet() {
    let api = Arc::new(Api::start().await);
    let mut clients = tokio::task::JoinSet::new();
    for n in 0..8 {
        let api = Arc::clone(&api);
        clients.spawn(async move {
            let transaction = api.begin().await;
            for _ in 0..50 {
                let answer = api.execute_in(&transaction, &format!("SELECT {n}")).await;
                assert_eq!(answer.body["records"][0][0], json!({ "longValue": n }));
            }
            assert_eq!(api.commit(&transaction).await.status, 200);
        });
    }
    clients.join_all().await;
}

#[tokio::test]
async fn three_idle_minutes_end_a_transaction() {
    let api = Api::start().await;
    api.execute("CREATE TABLE t (a int)").await;
    let transaction = api.begin().await;
    api.execute_in(&transaction, "INSERT INTO t VALUES (1)").await;
    api.server.pass(Duration::from_secs(179));
    assert_eq!(api.execute_in(&transaction, "SELECT 1").await.status, 200, "this call counts");
    api.server.pass(Duration::from_secs(179));
    assert_eq!(api.execute_in(&transaction, "SELECT 1").await.status, 200);
    api.server.pass(Duration::from_mins(3));
    let answer = api.commit(&transaction).await;
    assert_eq!(answer.outcome(), "404 TransactionNotFoundException");
    assert_eq!(answer.message(), format!("Transaction {transaction} is not found"));
    assert_eq!(api.field("SELECT count(*) FROM t").await, json!({ "longValue": 0 }));
}

#[tokio::test]
async fn a_day_ends_a_transaction() {
    let api = Api::start().await;
    let transaction = api.begin().await;
    for _ in 0..(24 * 60 / 2 - 1) {
        api.server.pass(Duration::from_mins(2));
        assert_eq!(api.execute_in(&transaction, "SELECT 1").await.status, 200);
    }
    api.server.pass(Duration::from_mins(2));
    let answer = api.execute_in(&transaction, "SELECT 1").await;
    assert_eq!(answer.outcome(), "404 TransactionNotFoundException");
}

#[tokio::test]
async fn ids_that_are_unknown_or_ended_are_not_found() {
    let api = Api::start().await;
    let ended = api.begin().await;
    api.commit(&ended).await;
    for id in [ended.as_str(), "unknown"] {
        for answer in [
            api.execute_in(id, "SELECT 1").await,
            api.call(
                "/BatchExecute",
                json!({ "sql": "SELECT 1", "parameterSets": [[]], "transactionId": id }),
            )
            .await,
            api.commit(id).await,
            api.rollback(id).await,
        ] {
            assert_eq!(answer.outcome(), "404 TransactionNotFoundException");
        }
    }
}

#[tokio::test]
async fn the_commit_of_an_aborted_transaction_rolls_back_and_does_not_tell() {
    let api = Api::start().await;
    api.execute("CREATE TABLE t (a int)").await;
    let transaction = api.begin().await;
    api.execute_in(&transaction, "INSERT INTO t VALUES (1)").await;
    assert_eq!(api.execute_in(&transaction, "SELECT 1 / 0").await.status, 400);
    let answer = api.commit(&transaction).await;
    assert_eq!(answer.body, json!({ "transactionStatus": "Transaction Committed" }));
    assert_eq!(api.field("SELECT count(*) FROM t").await, json!({ "longValue": 0 }));
}

#[tokio::test]
async fn savepoints_are_plain_sql() {
    let api = Api::start().await;
    api.execute("CREATE TABLE t (a int)").await;
    let transaction = api.begin().await;
    for (sql, status) in [
        ("INSERT INTO t VALUES (1)", 200),
        ("SAVEPOINT x", 200),
        ("SELECT 1 / 0", 400),
        ("SELECT 1", 400),
        ("ROLLBACK TO SAVEPOINT x", 200),
        ("INSERT INTO t VALUES (2)", 200),
    ] {
        assert_eq!(api.execute_in(&transaction, sql).await.status, status, "{sql}");
    }
    api.commit(&transaction).await;
    assert_eq!(api.field("SELECT count(*) FROM t").await, json!({ "longValue": 2 }));
}

#[tokio::test]
async fn ddl_is_part_of_its_transaction() {
    let api = Api::start().await;
    let transaction = api.begin().await;
    api.execute_in(&transaction, "CREATE TABLE t (a int)").await;
    api.rollback(&transaction).await;
    assert!(api.failure("SELECT a FROM t").await.1.ends_with("SQLState: 42P01"));
}

#[tokio::test]
async fn copy_is_not_supported() {
    let api = Api::start().await;
    api.execute("CREATE TABLE t (a int)").await;
    for (sql, message) in
        [("COPY t FROM STDIN", "CopyInResponse"), ("COPY t TO STDOUT", "CopyOutResponse")]
    {
        let (outcome, found) = api.failure(sql).await;
        assert_eq!(outcome, "400 DatabaseErrorException", "{sql}");
        assert_eq!(found, format!("execute: unexpected message: {message}"));
    }
    assert_eq!(api.field("SELECT 1").await, json!({ "longValue": 1 }));
}

#[tokio::test]
async fn statements_that_a_transaction_deallocates_are_prepared_again() {
    let api = Api::start().await;
    let transaction = api.begin().await;
    for sql in ["SELECT 1", "DEALLOCATE ALL", "SELECT 1"] {
        let answer = api.execute_in(&transaction, sql).await;
        assert_eq!(answer.status, 200, "{sql}: {}", answer.body);
    }
}
