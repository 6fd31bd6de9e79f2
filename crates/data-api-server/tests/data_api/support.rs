//! A server over a database of its own, and raw requests to it.

use bytes::Bytes;
use data_api_server::{Server, Settings};
use ephemeral_postgres::Postgres;
use http_body_util::{BodyExt, Full};
use hyper::{HeaderMap, Method, Request};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::{Value, json};
use uuid::Uuid;

pub(crate) const CLUSTER: &str = "arn:aws:rds:us-east-1:000000000000:cluster:test";
pub(crate) const SECRET: &str = "arn:aws:secretsmanager:us-east-1:000000000000:secret:test";

pub(crate) struct Api {
    pub server: Server,
    client: HttpClient,
}

pub(crate) type HttpClient = Client<HttpConnector, Full<Bytes>>;

pub(crate) fn http_client() -> HttpClient {
    Client::builder(TokioExecutor::new()).build_http()
}

/// Sends a request; `None` where the connection was cut.
pub(crate) async fn send(
    client: &HttpClient,
    method: Method,
    url: &str,
    body: Bytes,
) -> Option<Answer> {
    let request = Request::builder().method(method).uri(url).body(Full::new(body)).unwrap();
    let (head, body) = client.request(request).await.ok()?.into_parts();
    let body = body.collect().await.ok()?.to_bytes();
    let error = head.headers.get("x-amzn-errortype").map(|value| value.to_str().unwrap());
    let error = error.map(|name| name.split(':').next().unwrap().to_owned());
    Some(Answer {
        status: head.status.as_u16(),
        error: error.unwrap_or_default(),
        headers: head.headers,
        body: serde_json::from_slice(&body).unwrap(),
    })
}

/// A response: status, exception, body.
#[derive(Debug)]
pub(crate) struct Answer {
    pub status: u16,
    /// The exception's name, as AWS SDKs read it.
    pub error: String,
    pub headers: HeaderMap,
    pub body: Value,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    pub(crate) fn message(&self) -> &str {
        self.body["message"].as_str().unwrap_or_default()
    }

    /// `404 TransactionNotFoundException`, or `200`.
    pub(crate) fn outcome(&self) -> String {
        format!("{} {}", self.status, self.error).trim_end().to_owned()
    }
}

impl Api {
    pub(crate) async fn start() -> Self {
        Self::start_with(|_| ()).await
    }

    pub(crate) async fn start_with(change: impl FnOnce(&mut Settings)) -> Self {
        let postgres = Postgres::shared().await.unwrap();
        let name = format!("data_api_{}", Uuid::now_v7().simple());
        let database_url = postgres.create_database(&name).await.unwrap();
        let mut settings = Settings::new(&database_url);
        change(&mut settings);
        let server = Server::start(settings).await.unwrap();
        Self { server, client: http_client() }
    }

    pub(crate) async fn send(
        &self,
        method: Method,
        path: &str,
        body: impl Into<Bytes>,
    ) -> Option<Answer> {
        let url = format!("{}{path}", self.server.url());
        send(&self.client, method, &url, body.into()).await
    }

    /// A call with the two ARNs that every call has; `None` where the connection was cut.
    pub(crate) async fn try_call(&self, path: &str, mut members: Value) -> Option<Answer> {
        for (name, arn) in [("resourceArn", CLUSTER), ("secretArn", SECRET)] {
            let members = members.as_object_mut().unwrap();
            members.entry(name).or_insert_with(|| json!(arn));
        }
        self.send(Method::POST, path, members.to_string()).await
    }

    pub(crate) async fn call(&self, path: &str, members: Value) -> Answer {
        self.try_call(path, members).await.unwrap()
    }

    /// A statement that succeeds; its answer.
    pub(crate) async fn execute(&self, sql: &str) -> Value {
        let answer = self.call("/Execute", json!({ "sql": sql })).await;
        assert_eq!(answer.status, 200, "{sql}: {}", answer.body);
        answer.body
    }

    /// The only field of a query's only record.
    pub(crate) async fn field(&self, sql: &str) -> Value {
        self.execute(sql).await["records"][0][0].clone()
    }

    /// A statement that fails; the outcome and the message.
    pub(crate) async fn failure(&self, sql: &str) -> (String, String) {
        let answer = self.call("/Execute", json!({ "sql": sql })).await;
        (answer.outcome(), answer.message().to_owned())
    }

    pub(crate) async fn begin(&self) -> String {
        let answer = self.call("/BeginTransaction", json!({})).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        answer.body["transactionId"].as_str().unwrap().to_owned()
    }

    pub(crate) async fn execute_in(&self, transaction: &str, sql: &str) -> Answer {
        self.call("/Execute", json!({ "sql": sql, "transactionId": transaction })).await
    }

    pub(crate) async fn commit(&self, transaction: &str) -> Answer {
        self.call("/CommitTransaction", json!({ "transactionId": transaction })).await
    }

    pub(crate) async fn rollback(&self, transaction: &str) -> Answer {
        self.call("/RollbackTransaction", json!({ "transactionId": transaction })).await
    }

    pub(crate) fn fault(&self, rule: &str) {
        self.server.faults().add(rule.parse().unwrap());
    }
}
