//! The write API: `enqueue` before its own queue.

use std::time::Duration;

use aurora_sync::api::caller::RowSecurity;
use aurora_sync::aws::queue::Queue;
use aurora_sync::domain::deadline::Deadline;
use aurora_sync::functions::enqueue::{self, Enqueue};
use aurora_sync::functions::runtime::Invocation;
use aurora_sync::functions::tables::Tables;
use aws_lambda_events::apigw::ApiGatewayV2httpResponse;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;

use super::flaky_queue::{Behavior, FlakyQueue};
use super::services::FifoQueue;
use super::{HttpResponse, catalog_of, http_api};

/// A queue and `enqueue` before it.
pub(crate) struct WriteApi {
    pub queue: FifoQueue,
    pub enqueue: Enqueue,
    /// The time that a request waits for the queue.
    pub within: Duration,
}

impl WriteApi {
    pub(crate) async fn open(tables: &str) -> Self {
        let queue = FifoQueue::new().await;
        let enqueue = Enqueue {
            tables: Tables::fixed(catalog_of(tables).await),
            queue: Queue::new(&queue.sdk_config, queue.url.clone()),
            partitions: 8,
            row_security: RowSecurity::Off,
        };
        Self { queue, enqueue, within: Duration::from_mins(1) }
    }

    /// Opens the write API before a queue whose calls behave in these ways.
    pub(crate) async fn open_flaky(tables: &str, behaviors: &[Behavior]) -> (Self, FlakyQueue) {
        let mut api = Self::open(tables).await;
        let upstream = api.queue.sdk_config.endpoint_url().unwrap();
        let flaky = FlakyQueue::before(upstream, behaviors).await;
        api.enqueue.queue = Queue::new(&flaky.sdk_config, api.queue.url.clone());
        (api, flaky)
    }

    pub(crate) async fn request(&self, event: Value) -> HttpResponse {
        self.respond(event).await.into()
    }

    pub(crate) async fn respond(&self, event: Value) -> ApiGatewayV2httpResponse {
        let deadline = Deadline::after(self.within);
        enqueue::handle(
            &self.enqueue,
            serde_json::from_value(event).unwrap(),
            Invocation::until(deadline),
        )
        .await
    }

    /// Takes all writes out of the queue, message by message.
    pub(crate) async fn drain_writes(&self) -> Vec<Vec<Value>> {
        let records = self.queue.drain().await.records;
        records
            .iter()
            .map(|record| {
                let body: Value = serde_json::from_str(record.body.as_ref().unwrap()).unwrap();
                body["writes"].as_array().unwrap().clone()
            })
            .collect()
    }
}

/// Returns a write request for one row. A body of `null` is none.
pub(crate) fn row_event(
    method: &str,
    table: &str,
    key: &str,
    headers: &[(&str, &str)],
    body: &Value,
) -> Value {
    let mut event = event(method, &format!("{table}/{key}"), headers, body);
    if body.is_null() {
        event["body"] = Value::Null;
    }
    event
}

/// Returns the event that API Gateway makes of a write to a table, or to a row (`staff/0001`). The
/// body is JSON unless a header says otherwise.
pub(crate) fn event(method: &str, path: &str, headers: &[(&str, &str)], body: &Value) -> Value {
    let mut headers = headers.to_vec();
    if !headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("content-type")) {
        headers.push(("content-type", "application/json"));
    }
    let path: Vec<_> = path.split('/').map(encoded).collect();
    http_api::event(method, &format!("/{}", path.join("/")), &headers, body.to_string().as_bytes())
}

/// Returns a text as a segment of a path.
pub(crate) fn encoded(text: &str) -> String {
    utf8_percent_encode(text, NON_ALPHANUMERIC).to_string()
}
