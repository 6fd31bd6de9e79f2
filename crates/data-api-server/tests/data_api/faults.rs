//! Faults on demand: each does what it says, to the calls that it names.

use hyper::Method;
use serde_json::{Value, json};

use crate::support::Api;

async fn table(api: &Api) -> Value {
    api.field("SELECT count(*) FROM t").await["longValue"].clone()
}

async fn insert(api: &Api) -> Option<crate::support::Answer> {
    api.try_call("/Execute", json!({ "sql": "INSERT INTO t VALUES (1)" })).await
}

#[tokio::test]
async fn a_fault_is_before_the_work_or_after_it() {
    let api = Api::start().await;
    api.execute("CREATE TABLE t (a int)").await;
    let mut rows = 0;
    for (fault, outcome, is_done) in [
        (
            "fail-before=InternalServerErrorException",
            Some("500 InternalServerErrorException"),
            false,
        ),
        ("fail-after=ServiceUnavailableError", Some("503 ServiceUnavailableError"), true),
        ("timeout", Some("400 StatementTimeoutException"), false),
        ("timeout-after", Some("400 StatementTimeoutException"), true),
        ("drop-request", None, false),
        ("drop-answer", None, true),
        ("cut-answer", None, true),
        ("delay=50ms", Some("200"), true),
        ("sql=40P01", Some("400 DatabaseErrorException"), false),
    ] {
        api.fault(&format!("execute {fault}"));
        let answer = insert(&api).await;
        assert_eq!(answer.map(|answer| answer.outcome()).as_deref(), outcome, "{fault}");
        rows += i64::from(is_done);
        assert_eq!(table(&api).await, rows, "{fault}");
    }
}

#[tokio::test]
async fn a_commit_can_be_done_or_not_with_its_answer_lost() {
    let api = Api::start().await;
    api.execute("CREATE TABLE t (a int)").await;
    for (fault, rows, second) in [
        ("commit drop-answer", 1, "404 TransactionNotFoundException"),
        ("commit drop-request", 1, "200"),
        ("commit sql=40001", 2, "404 TransactionNotFoundException"),
    ] {
        let transaction = api.begin().await;
        api.execute_in(&transaction, "INSERT INTO t VALUES (1)").await;
        api.fault(fault);
        let commit = json!({ "transactionId": transaction });
        let answer = api.try_call("/CommitTransaction", commit).await;
        assert!(answer.is_none_or(|answer| answer.message().ends_with("SQLState: 40001")));
        assert_eq!(table(&api).await, rows, "{fault}");
        assert_eq!(api.commit(&transaction).await.outcome(), second, "{fault}");
    }
}

#[tokio::test]
async fn an_error_of_postgresql_really_aborts_the_transaction() {
    let api = Api::start().await;
    let transaction = api.begin().await;
    api.fault("execute@2 sql=40P01");
    assert_eq!(api.execute_in(&transaction, "SELECT 1").await.status, 200);
    let answer = api.execute_in(&transaction, "SELECT 1").await;
    assert_eq!(answer.message(), "ERROR: deadlock detected; SQLState: 40P01");
    let answer = api.execute_in(&transaction, "SELECT 1").await;
    assert!(answer.message().ends_with("SQLState: 25P02"));
    api.fault("begin sql=53300");
    let answer = api.call("/BeginTransaction", json!({})).await;
    assert!(answer.message().ends_with("SQLState: 53300"));
}

/// As when PostgreSQL's own limit comes, which is why the next call finds an aborted transaction.
#[tokio::test]
async fn a_timeout_aborts_the_transaction_of_its_statement() {
    let api = Api::start().await;
    let transaction = api.begin().await;
    api.fault("execute timeout");
    let answer = api.execute_in(&transaction, "SELECT 1").await;
    assert_eq!(answer.outcome(), "400 StatementTimeoutException");
    let answer = api.execute_in(&transaction, "SELECT 1").await;
    assert!(answer.message().ends_with("SQLState: 25P02"));
    let transaction = api.begin().await;
    api.fault("execute timeout-after");
    let answer = api.execute_in(&transaction, "SELECT 1").await;
    assert_eq!(answer.outcome(), "400 StatementTimeoutException");
    assert_eq!(api.execute_in(&transaction, "SELECT 1").await.status, 200);
}

#[tokio::test]
async fn a_call_can_find_the_database_paused() {
    let api = Api::start().await;
    api.fault("execute@2 resume=15s");
    api.execute("SELECT 1").await;
    for _ in 0..2 {
        assert_eq!(api.failure("SELECT 1").await.0, "400 DatabaseResumingException");
    }
    api.server.pass(std::time::Duration::from_secs(15));
    api.execute("SELECT 1").await;
    api.server.faults().resume_for(2);
    for outcome in ["400 DatabaseResumingException", "400 DatabaseResumingException", "200"] {
        let answer = api.call("/Execute", json!({ "sql": "SELECT 1" })).await;
        assert_eq!(answer.outcome(), outcome);
    }
}

#[tokio::test]
async fn a_transaction_can_be_lost_between_calls() {
    let api = Api::start().await;
    api.execute("CREATE TABLE t (a int)").await;
    let transaction = api.begin().await;
    api.execute_in(&transaction, "INSERT INTO t VALUES (1)").await;
    api.fault("any lose-transaction");
    let answer = api.execute_in(&transaction, "INSERT INTO t VALUES (2)").await;
    assert_eq!(answer.outcome(), "404 TransactionNotFoundException");
    assert_eq!(table(&api).await, 0);
}

#[tokio::test]
async fn postgresql_can_be_restarted_under_it() {
    let api = Api::start().await;
    api.execute("CREATE TABLE t (a int)").await;
    let transaction = api.begin().await;
    api.execute_in(&transaction, "INSERT INTO t VALUES (1)").await;
    api.fault("execute restart");
    let answer = api.execute_in(&transaction, "INSERT INTO t VALUES (2)").await;
    assert_ne!(answer.status, 200, "{}", answer.body);
    assert_eq!(api.commit(&transaction).await.outcome(), "404 TransactionNotFoundException");
    assert_eq!(table(&api).await, 0, "and the pool has new sessions");
}

#[tokio::test]
async fn the_control_endpoint_arms_shows_and_disarms() {
    let api = Api::start().await;
    let control = async |method, name: &str, body: &'static str| {
        api.send(method, &format!("/_control/{name}"), body).await.unwrap()
    };
    let answer =
        control(Method::POST, "faults", "# two\nexecute@2 timeout\n\nany@50% restart\n").await;
    assert_eq!(answer.body["armed"], json!(["execute@2 timeout", "any@50% restart"]));
    control(Method::DELETE, "faults", "").await;
    control(Method::POST, "faults", "execute timeout").await;
    assert_eq!(api.failure("SELECT 1").await.0, "400 StatementTimeoutException");
    let answer = control(Method::GET, "faults", "").await;
    assert_eq!(answer.body["armed"], json!([]));
    assert_eq!(answer.body["injected"], json!(["execute@1 timeout"]));
    let answer = control(Method::POST, "faults", "execute@2 explode").await;
    assert_eq!((answer.status, answer.message()), (400, "line 1: \"explode\": no such fault"));
    control(Method::POST, "pause", "10s").await;
    assert_eq!(api.failure("SELECT 1").await.0, "400 DatabaseResumingException");
    control(Method::POST, "clock", "10s").await;
    api.execute("SELECT 1").await;
    assert_eq!(control(Method::GET, "elsewhere", "").await.status, 404);
}

/// Returns the outcome of each of a hundred calls; the second half under one more rule.
async fn hundred_calls(api: &Api, later_rule: Option<&str>) -> Vec<String> {
    let mut outcomes = Vec::new();
    for n in 0..100 {
        if n == 50
            && let Some(rule) = later_rule
        {
            api.fault(rule);
        }
        let answer = match n % 3 {
            0 => api.try_call("/BeginTransaction", json!({})).await,
            _ => api.try_call("/Execute", json!({ "sql": "SELECT 1" })).await,
        };
        outcomes.push(answer.map_or_else(|| "cut".to_owned(), |answer| answer.outcome()));
    }
    outcomes
}

#[tokio::test]
async fn a_seeded_run_is_repeated_by_its_seed_and_by_what_it_injected() {
    let random = "any@20% fail-before=ThrottlingException";
    let later = "execute@30% drop-answer";
    let run = async |seed: u64, rules: &str, later: Option<&str>| {
        let api = Api::start_with(|settings| settings.seed = seed).await;
        api.send(Method::POST, "/_control/faults", rules.to_owned()).await.unwrap();
        let outcomes = hundred_calls(&api, later).await;
        let report = api.send(Method::GET, "/_control/faults", "").await.unwrap().body;
        let injected: Vec<_> = report["injected"].as_array().unwrap().clone();
        let lines: Vec<_> = injected.iter().map(|line| line.as_str().unwrap().to_owned()).collect();
        (outcomes, lines.join("\n"))
    };
    let first = run(7, random, Some(later)).await;
    assert_eq!(run(7, random, Some(later)).await, first, "by its seed");
    assert_eq!(run(0, &first.1, None).await, first, "by what it injected");
    assert_ne!(run(8, random, Some(later)).await, first, "another seed is another run");
    assert!(first.0.contains(&"cut".to_owned()) && first.0.contains(&"200".to_owned()));
}

#[tokio::test]
async fn calls_sets_rows_and_bytes_are_counted_by_operation_and_transaction() {
    let api = Api::start().await;
    api.execute("CREATE TABLE t (a int)").await;
    api.server.counters().reset();
    let transaction = api.begin().await;
    let sets: Vec<_> =
        (0..3).map(|n| json!([{ "name": "a", "value": { "longValue": n } }])).collect();
    let batch = json!({ "sql": "INSERT INTO t VALUES (:a)", "parameterSets": sets, "transactionId": transaction });
    api.call("/BatchExecute", batch).await;
    api.execute_in(&transaction, "SELECT a FROM t WHERE a > 0").await;
    api.commit(&transaction).await;
    api.failure("SELEKT").await;
    let counts = api.send(Method::GET, "/_control/counters", "").await.unwrap().body;
    assert_eq!(
        counts["calls"],
        json!({ "BatchExecuteStatement": 1, "BeginTransaction": 1, "CommitTransaction": 1, "ExecuteStatement": 2 })
    );
    assert_eq!((&counts["parameter_sets"], &counts["rows"]), (&json!(3), &json!(5)));
    assert_eq!(counts["exceptions"], json!({ "DatabaseErrorException": 1 }));
    let of_transaction = &counts["transactions"][&transaction];
    assert_eq!(of_transaction["calls"], 3);
    assert_eq!(of_transaction["rows"], 5);
    assert!(counts["bytes_in"].as_u64().unwrap() > of_transaction["bytes_in"].as_u64().unwrap());
    assert!(counts["bytes_out"].as_u64().unwrap() > 0);
}
