//! Secrets: the users in them, and the Secrets Manager that holds them.

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use data_api_server::Login;
use ephemeral_postgres::Postgres;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::{JoinHandle, JoinSet};
use uuid::Uuid;

use crate::support::{Answer, Api, SECRET};

const READER: &str = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:reader-AbCdEf";
const WRITER: &str = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:writer-AbCdEf";

/// The roles with this one are asked for their passwords; the others are trusted.
const WITH_PASSWORD: &str = "data_api_with_password";

/// Makes a role that the server's other tests do not have.
async fn create_role(options: &str) -> String {
    let role = format!("role_{}", Uuid::now_v7().simple());
    run(&format!("CREATE ROLE {role} LOGIN {options}")).await;
    role
}

async fn run(sql: &str) {
    let url = Postgres::shared().await.unwrap().database_url("postgres");
    let client = ephemeral_postgres::connect(&url).await.unwrap();
    client.batch_execute(sql).await.unwrap();
}

fn login(user: &str) -> Login {
    Login { user: Some(user.to_owned()), password: None }
}

fn login_with(user: &str, password: &str) -> Login {
    Login { password: Some(password.to_owned()), ..login(user) }
}

/// Makes a role with a password, and PostgreSQL ask for it.
async fn create_role_with_password(password: &str) -> String {
    let url = Postgres::shared().await.unwrap().database_url("postgres");
    let client = ephemeral_postgres::connect(&url).await.unwrap();
    let role = format!("role_{}", Uuid::now_v7().simple());
    // One test at a time: the rule is for all of them.
    let sql = format!(
        "SELECT pg_advisory_lock(8123);
         SET password_encryption = 'scram-sha-256';
         DO $$ BEGIN
             IF to_regrole('{WITH_PASSWORD}') IS NULL THEN CREATE ROLE {WITH_PASSWORD}; END IF;
         END $$;
         CREATE ROLE {role} LOGIN PASSWORD '{password}' IN ROLE {WITH_PASSWORD};
         DO $$
         DECLARE
             rule text := 'host all +{WITH_PASSWORD} all scram-sha-256';
             file text := current_setting('hba_file');
             rules text := pg_read_file(file);
         BEGIN
             IF NOT starts_with(rules, rule) THEN
                 EXECUTE format(
                     'COPY (SELECT line FROM unnest(string_to_array(%L, %L)) line
                            WHERE line <> '''' AND NOT starts_with(line, ''#'')) TO %L',
                     rule || chr(10) || rules, chr(10), file);
                 PERFORM pg_reload_conf();
             END IF;
         END $$;
         SELECT pg_advisory_unlock(8123)"
    );
    client.batch_execute(&sql).await.unwrap();
    // PostgreSQL reads its rules when it comes to it.
    for _ in 0..1_000 {
        if ephemeral_postgres::connect(&format!("{url}?user={role}")).await.is_err() {
            return role;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("PostgreSQL does not ask for passwords");
}

impl Api {
    async fn call_as(&self, secret: &str, path: &str, mut members: Value) -> Answer {
        members["secretArn"] = secret.into();
        self.call(path, members).await
    }

    async fn execute_as(&self, secret: &str, sql: &str) -> Answer {
        self.call_as(secret, "/Execute", json!({ "sql": sql })).await
    }

    /// The users of a session: the one that it was opened as, and the one that it acts as.
    async fn users_of(&self, secret: &str) -> Value {
        let answer = self.execute_as(secret, "SELECT session_user, current_user").await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        answer.body["records"][0].clone()
    }

    async fn begin_as(&self, secret: &str) -> String {
        let answer = self.call_as(secret, "/BeginTransaction", json!({})).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        answer.body["transactionId"].as_str().unwrap().to_owned()
    }
}

fn users(role: &str) -> Value {
    json!([{ "stringValue": role }, { "stringValue": role }])
}

async fn start_with(secrets: Vec<(&str, Login)>) -> Api {
    let secrets = secrets.into_iter().map(|(arn, login)| (arn.to_owned(), login)).collect();
    Api::start_with(|settings| settings.secrets = secrets).await
}

#[tokio::test]
async fn each_secret_has_its_user() {
    let (reader, writer) = (create_role("").await, create_role("").await);
    let secrets = vec![
        (READER, login(&reader)),
        (WRITER, login_with(&writer, "not asked for")),
        (SECRET, Login::default()),
    ];
    let api = start_with(secrets).await;
    assert_eq!(api.users_of(READER).await, users(&reader));
    assert_eq!(api.users_of(WRITER).await, users(&writer));
    assert_eq!(api.users_of(SECRET).await, users("postgres"));
    assert_eq!(api.users_of(READER).await, users(&reader), "from the pool");
}

#[tokio::test]
async fn a_user_can_do_what_it_was_granted_only() {
    let reader = create_role("").await;
    let api = start_with(vec![(READER, login(&reader)), (SECRET, Login::default())]).await;
    api.execute("CREATE TABLE t (a int)").await;
    api.execute(&format!("GRANT SELECT ON t TO {reader}")).await;
    let is_forbidden = |answer: &Answer| {
        assert_eq!(answer.outcome(), "400 DatabaseErrorException");
        assert_eq!(answer.message(), "ERROR: permission denied for table t; SQLState: 42501");
    };
    let insert = "INSERT INTO t VALUES (1)";
    assert_eq!(api.execute_as(READER, "SELECT a FROM t").await.status, 200);
    is_forbidden(&api.execute_as(READER, insert).await);
    let batch = json!({ "sql": insert, "parameterSets": [[]] });
    is_forbidden(&api.call_as(READER, "/BatchExecute", batch).await);
    let transaction = api.begin_as(READER).await;
    let in_transaction = |sql: &str| json!({ "sql": sql, "transactionId": transaction });
    is_forbidden(&api.call_as(READER, "/Execute", in_transaction(insert)).await);
    let answer = api.call_as(READER, "/Execute", in_transaction("SELECT a FROM t")).await;
    assert!(answer.message().ends_with("SQLState: 25P02"), "{}", answer.message());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_is_lent_to_its_own_user_only() {
    let (reader, writer) = (create_role("").await, create_role("").await);
    let api = start_with(vec![(READER, login(&reader)), (WRITER, login(&writer))]).await;
    let api = Arc::new(api);
    let mut clients = JoinSet::new();
    for n in 0..8 {
        let (secret, role) = if n % 2 == 0 { (READER, &reader) } else { (WRITER, &writer) };
        let (api, expected) = (Arc::clone(&api), users(role));
        clients.spawn(async move {
            for _ in 0..25 {
                assert_eq!(api.users_of(secret).await, expected);
                let transaction = api.begin_as(secret).await;
                let members = json!({ "sql": "SELECT session_user, current_user", "transactionId": transaction });
                let answer = api.call_as(secret, "/Execute", members).await;
                assert_eq!(answer.body["records"][0], expected);
                let end = json!({ "transactionId": transaction });
                let answer = api.call_as(secret, "/CommitTransaction", end).await;
                assert_eq!(answer.status, 200, "{}", answer.body);
            }
        });
    }
    clients.join_all().await;
}

#[tokio::test]
async fn a_transaction_is_found_by_its_own_user_only() {
    let (reader, writer) = (create_role("").await, create_role("").await);
    let secrets =
        vec![(READER, login(&reader)), (WRITER, login(&writer)), (SECRET, login(&writer))];
    let api = start_with(secrets).await;
    let transaction = api.begin_as(WRITER).await;
    for (path, members) in [
        ("/Execute", json!({ "sql": "SELECT 1" })),
        ("/BatchExecute", json!({ "sql": "SELECT 1", "parameterSets": [[]] })),
        ("/CommitTransaction", json!({})),
        ("/RollbackTransaction", json!({})),
    ] {
        let mut members = members;
        members["transactionId"] = transaction.as_str().into();
        let answer = api.call_as(READER, path, members).await;
        assert_eq!(answer.outcome(), "404 TransactionNotFoundException", "{path}");
        assert_eq!(answer.message(), format!("Transaction {transaction} is not found"));
    }
    let members = json!({ "transactionId": transaction });
    let answer = api.call_as(SECRET, "/CommitTransaction", members).await;
    assert_eq!(answer.status, 200, "another secret of the same user: {}", answer.body);
}

/// The user of the database's URL may not cancel the sessions of other users.
#[tokio::test]
async fn a_batch_that_takes_too_long_is_cancelled_by_its_own_user() {
    let (owner, reader) = (create_role("").await, create_role("").await);
    let api = Api::start_with(|settings| {
        settings.database_url.push_str(&format!("?user={owner}"));
        settings.secrets = vec![(READER.to_owned(), login(&reader))];
        settings.statement_timeout = Duration::from_millis(400);
    })
    .await;
    let batch = json!({ "sql": "SELECT pg_sleep(0.05)", "parameterSets": vec![json!([]); 40] });
    let answer = api.call_as(READER, "/BatchExecute", batch).await;
    assert_eq!(answer.outcome(), "400 StatementTimeoutException");
}

#[tokio::test]
async fn a_wrong_password_is_an_error_of_the_database() {
    let role = create_role_with_password("right").await;
    let secrets = vec![(READER, login_with(&role, "wrong")), (WRITER, login_with(&role, "right"))];
    let api = start_with(secrets).await;
    assert_eq!(api.users_of(WRITER).await, users(&role));
    // A session that the right password has opened is in the pool.
    for (path, members) in
        [("/Execute", json!({ "sql": "SELECT 1" })), ("/BeginTransaction", json!({}))]
    {
        let answer = api.call_as(READER, path, members).await;
        assert_eq!(answer.outcome(), "400 DatabaseErrorException", "{path}");
        let expected =
            format!("ERROR: password authentication failed for user \"{role}\"; SQLState: 28P01");
        assert_eq!(answer.message(), expected);
    }
}

/// Answers `GetSecretValue` as Secrets Manager does.
struct SecretsManager {
    url: String,
    state: Arc<Mutex<State>>,
    task: JoinHandle<()>,
}

#[derive(Default)]
struct State {
    /// The response to a request for an ARN: its status and its body.
    values: HashMap<String, (u16, Value)>,
    /// The requests: target, type and authorization.
    requests: Vec<[String; 3]>,
}

impl SecretsManager {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let state = Arc::new(Mutex::new(State::default()));
        let task = tokio::spawn({
            let state = Arc::clone(&state);
            async move {
                let mut connections = JoinSet::new();
                loop {
                    let (stream, _) = listener.accept().await.unwrap();
                    let state = Arc::clone(&state);
                    let respond = service_fn(move |request| respond(request, Arc::clone(&state)));
                    let http = hyper::server::conn::http1::Builder::new();
                    connections.spawn(http.serve_connection(TokioIo::new(stream), respond));
                }
            }
        });
        Self { url, state, task }
    }

    /// Sets the response to requests for a secret.
    fn put_response(&self, arn: &str, status: u16, body: Value) {
        self.state.lock().unwrap().values.insert(arn.to_owned(), (status, body));
    }

    fn put(&self, arn: &str, secret: &Value) {
        let body = json!({ "ARN": arn, "SecretString": secret.to_string() });
        self.put_response(arn, 200, body);
    }

    fn put_login(&self, arn: &str, user: &str, password: &str) {
        let secret = json!({
            "engine": "postgres", "host": "ignored", "port": 1, "dbname": "ignored",
            "username": user, "password": password,
        });
        self.put(arn, &secret);
    }

    fn requests(&self) -> Vec<[String; 3]> {
        self.state.lock().unwrap().requests.clone()
    }
}

impl Drop for SecretsManager {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn respond(
    request: Request<Incoming>,
    state: Arc<Mutex<State>>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let (head, body) = request.into_parts();
    let body: Value = serde_json::from_slice(&body.collect().await.unwrap().to_bytes()).unwrap();
    let header = |name: &str| head.headers[name].to_str().unwrap().to_owned();
    let mut state = state.lock().unwrap();
    state.requests.push(["x-amz-target", "content-type", "authorization"].map(header));
    let not_found = (400, json!({ "__type": "ResourceNotFoundException", "Message": "…" }));
    let found = state.values.get(body["SecretId"].as_str().unwrap());
    let (status, body) = found.cloned().unwrap_or(not_found);
    Ok(Response::builder().status(status).body(Full::new(body.to_string().into())).unwrap())
}

async fn start_over(manager: &SecretsManager) -> Api {
    Api::start_with(|settings| settings.secrets_manager = Some(manager.url.clone())).await
}

#[tokio::test]
async fn other_secrets_are_looked_up_once_in_secrets_manager() {
    let (reader, writer) = (create_role("").await, create_role("").await);
    let manager = SecretsManager::start().await;
    manager.put_login(READER, &reader, "not asked for");
    let api = Api::start_with(|settings| {
        settings.secrets = vec![(WRITER.to_owned(), login(&writer))];
        settings.secrets_manager = Some(manager.url.clone());
    })
    .await;
    assert_eq!(api.users_of(WRITER).await, users(&writer));
    assert_eq!(manager.requests(), Vec::<[String; 3]>::new(), "that one is known");
    assert_eq!(api.users_of(READER).await, users(&reader));
    api.begin_as(READER).await;
    let credential = "123456789012/20260101/eu-west-1/secretsmanager/aws4_request";
    assert_eq!(
        manager.requests(),
        [[
            "secretsmanager.GetSecretValue".to_owned(),
            "application/x-amz-json-1.1".to_owned(),
            format!("AWS4-HMAC-SHA256 Credential={credential}, SignedHeaders=host, Signature=0"),
        ]]
    );
}

#[tokio::test]
async fn a_rotated_secret_is_looked_up_once_more() {
    let role = create_role_with_password("first").await;
    let manager = SecretsManager::start().await;
    manager.put_login(READER, &role, "first");
    let api = start_over(&manager).await;
    assert_eq!(api.users_of(READER).await, users(&role));
    run(&format!("ALTER ROLE {role} PASSWORD 'second'")).await;
    // No session of before is left.
    api.server.pass(Duration::from_mins(1));
    let answer = api.execute_as(READER, "SELECT 1").await;
    assert!(answer.message().ends_with("SQLState: 28P01"), "not rotated yet: {}", answer.body);
    manager.put_login(READER, &role, "second");
    assert_eq!(api.users_of(READER).await, users(&role));
    api.server.pass(Duration::from_mins(1));
    let requests = manager.requests().len();
    api.begin_as(READER).await;
    assert_eq!(manager.requests().len(), requests, "it is cached again");
}

#[tokio::test]
async fn a_secret_that_cannot_be_retrieved_is_a_secrets_error() {
    let manager = SecretsManager::start().await;
    let api = start_over(&manager).await;
    let answer = api.execute_as(READER, "SELECT 1").await;
    assert_eq!(answer.outcome(), "400 SecretsErrorException");
    assert_eq!(answer.message(), "The secret cannot be found");
    manager.put_response(READER, 400, json!({ "__type": "com.amazonaws#DecryptionFailure" }));
    manager.put_response(WRITER, 500, json!("no error of Secrets Manager"));
    for secret in [READER, WRITER] {
        let answer = api.execute_as(secret, "SELECT 1").await;
        assert_eq!(answer.outcome(), "400 SecretsErrorException");
        assert_eq!(answer.message(), "The secret cannot be retrieved");
    }
    let nobody = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let url = format!("http://{nobody}");
    let api = Api::start_with(|settings| settings.secrets_manager = Some(url)).await;
    let answer = api.execute_as(READER, "SELECT 1").await;
    assert_eq!(answer.outcome(), "400 SecretsErrorException");
}

#[tokio::test]
async fn a_secret_without_a_login_is_invalid() {
    let manager = SecretsManager::start().await;
    let api = start_over(&manager).await;
    let without_string = json!({ "ARN": READER, "SecretBinary": "e30=" });
    manager.put_response(READER, 200, without_string);
    assert_eq!(api.execute_as(READER, "SELECT 1").await.outcome(), "400 InvalidSecretException");
    for secret in [
        json!("text"),
        json!({ "username": "postgres" }),
        json!({ "password": "x" }),
        json!({ "username": "postgres", "password": 1 }),
    ] {
        manager.put(READER, &secret);
        let answer = api.execute_as(READER, "SELECT 1").await;
        assert_eq!(answer.outcome(), "400 InvalidSecretException", "{secret}");
    }
    manager.put(READER, &json!({ "username": "postgres", "password": "" }));
    assert_eq!(api.users_of(READER).await, users("postgres"), "a bad one is not cached");
}

#[test]
fn a_login_does_not_show_its_password() {
    let shown = format!("{:?}", login_with("reader", "hidden"));
    assert!(shown.contains("reader") && !shown.contains("hidden"), "{shown}");
}
