//! The place of the experiments: a schema of its own in the database, and the ways to it.

use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use bytes::Bytes;
use serde_json::{Value, json};

use crate::api::Api;
use crate::aws::Aws;
use crate::aws::data_api::DataApi;
use crate::http::HttpResponse;

/// The longest time that a paused database may take to resume.
const RESUMED_WITHIN: Duration = Duration::from_mins(3);

/// The pause between two calls while the database resumes.
const ASK_EVERY: Duration = Duration::from_secs(2);

/// The places of a deployment that the probe uses.
#[derive(Debug)]
pub(crate) struct Places {
    pub(crate) cluster_arn: String,
    /// The secret of the owner.
    pub(crate) secret_arn: String,
    pub(crate) database: String,
    /// The secret of another user.
    pub(crate) other_secret_arn: Option<String>,
    pub(crate) api_url: Option<String>,
    pub(crate) results_bucket: Option<String>,
    /// The stack is known, and so the account and region in which queues may be made.
    pub(crate) has_stack: bool,
    /// The API has routes for preflight requests.
    pub(crate) has_preflight: bool,
}

/// The place of the experiments.
#[derive(Debug)]
pub(crate) struct Lab {
    pub(crate) aws: Aws,
    pub(crate) places: Places,
    data_api: DataApi,
    pub(crate) schema: String,
    /// The first response, and the time that the database took to resume after it.
    pub(crate) resumed: Option<(Reply, Duration)>,
}

/// A response of the Data API.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    /// The name of the exception, without the suffix that it has in its header.
    pub(crate) exception: Option<String>,
    pub(crate) message: Option<String>,
    pub(crate) body: Value,
}

impl Reply {
    fn new(response: &HttpResponse) -> Self {
        let body: Value = serde_json::from_slice(&response.body).unwrap_or_default();
        let name = Some(response.header("x-amzn-errortype")).filter(|name| !name.is_empty());
        let name = name.or_else(|| body["__type"].as_str());
        let name = name.map(|name| {
            let name = name.split(':').next().unwrap_or_default();
            name.rsplit('#').next().unwrap_or_default().to_owned()
        });
        let message = body["message"].as_str().or_else(|| body["Message"].as_str());
        Self {
            status: response.status,
            exception: name.filter(|_| response.status != 200),
            message: message.filter(|message| !message.is_empty()).map(str::to_owned),
            body,
        }
    }

    /// Returns whether the call was refused with this exception and status.
    pub(crate) fn is(&self, status: u16, exception: &str) -> bool {
        self.status == status && self.exception.as_deref() == Some(exception)
    }

    /// Returns whether the call failed with an error of PostgreSQL of this SQLSTATE.
    pub(crate) fn is_sql(&self, state: &str) -> bool {
        let end = format!("SQLState: {state}");
        self.is(400, "DatabaseErrorException")
            && self.message.as_ref().is_some_and(|message| message.ends_with(&end))
    }

    pub(crate) fn is_good(&self) -> bool {
        self.status == 200
    }

    /// Returns the first field of the first record, without its type.
    pub(crate) fn value(&self) -> &Value {
        let field = self.body["records"][0][0].as_object();
        field.and_then(|field| field.values().next()).unwrap_or(&Value::Null)
    }

    /// Describes the outcome in a few words.
    pub(crate) fn told(&self) -> String {
        match (self.status, &self.exception, &self.message) {
            (200, ..) => "success".to_owned(),
            (status, Some(name), Some(message)) => format!("{status} {name}: {message}"),
            (status, Some(name), None) => format!("{status} {name}, no message"),
            (status, None, _) => format!("{status} without the name of an exception"),
        }
    }
}

impl Lab {
    /// Wakes the database up, and makes the schema.
    pub(crate) async fn open(aws: Aws, places: Places) -> anyhow::Result<Self> {
        let data_api = aws.data_api(&places.cluster_arn)?;
        let id = jiff::Timestamp::now().as_millisecond();
        let schema = format!("aurora_sync_probe_{id}");
        let mut lab = Self { aws, places, data_api, schema, resumed: None };
        lab.wake_up().await?;
        lab.good("/Execute", json!({ "sql": format!("CREATE SCHEMA {}", lab.schema) }))
            .await
            .context("cannot make a schema for the experiments")?;
        Ok(lab)
    }

    async fn wake_up(&mut self) -> anyhow::Result<()> {
        let started = Instant::now();
        let first = self.call("/Execute", json!({ "sql": "SELECT 1" })).await?;
        let is_resuming =
            |reply: &Reply| reply.exception.as_deref() == Some("DatabaseResumingException");
        if !is_resuming(&first) {
            return Ok(());
        }
        while started.elapsed() < RESUMED_WITHIN {
            tokio::time::sleep(ASK_EVERY).await;
            if !is_resuming(&self.call("/Execute", json!({ "sql": "SELECT 1" })).await?) {
                self.resumed = Some((first, started.elapsed()));
                return Ok(());
            }
        }
        bail!("the database does not resume within {RESUMED_WITHIN:?}: {}", first.told())
    }

    /// Drops the schema.
    pub(crate) async fn close(&self) -> anyhow::Result<()> {
        let sql = format!("DROP SCHEMA {} CASCADE", self.schema);
        self.good("/Execute", json!({ "sql": sql }))
            .await
            .with_context(|| format!("drop the schema {} by hand", self.schema))?;
        Ok(())
    }

    /// Makes a call. Members that are not given are those of the owner.
    pub(crate) async fn call(&self, path: &str, members: Value) -> anyhow::Result<Reply> {
        let mut body = json!({
            "resourceArn": self.places.cluster_arn,
            "secretArn": self.places.secret_arn,
        });
        if !path.ends_with("Transaction") || path == "/BeginTransaction" {
            body["database"] = self.places.database.as_str().into();
        }
        if let (Value::Object(body), Value::Object(members)) = (&mut body, members) {
            body.extend(members);
        }
        self.send(path, body.to_string().into()).await
    }

    pub(crate) async fn send(&self, path: &str, body: Bytes) -> anyhow::Result<Reply> {
        let response = self.data_api.send(path, body).await;
        Ok(Reply::new(&response.with_context(|| format!("POST {path}"))?))
    }

    /// Executes `SELECT 1` in a request of this many bytes.
    pub(crate) async fn send_sized(&self, request_bytes: usize) -> anyhow::Result<Reply> {
        let body = |bytes: usize| {
            let text = |padding: &str| {
                json!({
                    "resourceArn": self.places.cluster_arn,
                    "secretArn": self.places.secret_arn,
                    "database": self.places.database,
                    "sql": "SELECT length(:padding)",
                    "parameters": [{ "name": "padding", "value": { "stringValue": padding } }],
                })
                .to_string()
            };
            let rest = bytes.saturating_sub(text("").len());
            Bytes::from(text(&"x".repeat(rest)))
        };
        let response = self.data_api.send_sized("/Execute", request_bytes, body).await?;
        Ok(Reply::new(&response))
    }

    /// Makes a call that must succeed.
    pub(crate) async fn good(&self, path: &str, members: Value) -> anyhow::Result<Reply> {
        let reply = self.call(path, members).await?;
        if !reply.is_good() {
            bail!("{path} failed with {}", reply.told());
        }
        Ok(reply)
    }

    /// Executes a statement outside of transactions, which must succeed.
    pub(crate) async fn run(&self, sql: &str) -> anyhow::Result<Reply> {
        self.good("/Execute", json!({ "sql": sql })).await
    }

    /// Executes a statement outside of transactions.
    pub(crate) async fn execute(&self, sql: &str) -> anyhow::Result<Reply> {
        self.call("/Execute", json!({ "sql": sql })).await
    }

    /// Executes a statement with parameters outside of transactions.
    pub(crate) async fn with(&self, sql: &str, parameters: Value) -> anyhow::Result<Reply> {
        self.call("/Execute", json!({ "sql": sql, "parameters": parameters })).await
    }

    pub(crate) async fn begin(&self) -> anyhow::Result<String> {
        let begun = self.good("/BeginTransaction", json!({})).await?;
        Ok(begun.body["transactionId"].as_str().unwrap_or_default().to_owned())
    }

    pub(crate) async fn execute_in(&self, id: &str, sql: &str) -> anyhow::Result<Reply> {
        self.call("/Execute", json!({ "sql": sql, "transactionId": id })).await
    }

    pub(crate) async fn commit(&self, id: &str) -> anyhow::Result<Reply> {
        self.call("/CommitTransaction", json!({ "transactionId": id })).await
    }

    /// Ends a transaction that may have ended already.
    pub(crate) async fn roll_back(&self, id: &str) -> anyhow::Result<()> {
        self.call("/RollbackTransaction", json!({ "transactionId": id })).await?;
        Ok(())
    }

    /// Makes a table, and returns its name with the schema.
    pub(crate) async fn table(&self, name: &str, columns: &str) -> anyhow::Result<String> {
        let table = format!("{}.{name}", self.schema);
        self.run(&format!("CREATE TABLE {table} ({columns})")).await?;
        Ok(table)
    }

    pub(crate) async fn count(&self, table: &str) -> anyhow::Result<u64> {
        let reply = self.run(&format!("SELECT count(*) FROM {table}")).await?;
        reply.value().as_u64().context("a count is no number")
    }

    /// Returns the API, if it is known.
    pub(crate) fn api(&self) -> anyhow::Result<Option<(Api, &str)>> {
        let Some(url) = &self.places.api_url else { return Ok(None) };
        Ok(Some((Api::new(url.clone(), self.aws.signer(url)?)?, url)))
    }

    /// Returns whether the API is behind API Gateway itself.
    pub(crate) fn has_gateway(&self) -> bool {
        self.places.api_url.as_ref().is_some_and(|url| url.contains(".execute-api."))
    }
}
