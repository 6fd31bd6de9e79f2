//! A proxy of the emulator's SQS with faults on demand.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use aws_config::SdkConfig;
use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::{Request, Response};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use local_stack::http_server::HttpServer;
use serde_json::{Value, json};

use super::sdk_config;

/// The behavior of one `SendMessageBatch` call.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Behavior {
    /// The queue takes all messages.
    Take,
    /// The queue takes the first message and fails the others with this code.
    TakeFirst { code: &'static str, is_sender_fault: bool },
    /// The queue takes all messages, but the response is lost.
    LoseResponse,
    /// The queue takes no message. The call fails with this status and code.
    Fail { status: u16, code: &'static str },
}

/// The bodies of the calls.
type Calls = Arc<Mutex<Vec<Value>>>;

type Behaviors = Arc<Mutex<VecDeque<Behavior>>>;

/// A queue behind the proxy: the same URL at another endpoint.
#[derive(Debug)]
pub(crate) struct FlakyQueue {
    pub sdk_config: SdkConfig,
    behaviors: Behaviors,
    calls: Calls,
    _server: HttpServer,
}

impl FlakyQueue {
    /// Starts a proxy of the service at `upstream`. Calls behave in these ways, in order, and all
    /// later calls in the last way.
    pub(crate) async fn before(upstream: &str, behaviors: &[Behavior]) -> Self {
        let behaviors: Behaviors = Arc::new(Mutex::new(behaviors.iter().copied().collect()));
        let (upstream, shared) = (upstream.trim_end_matches('/').to_owned(), behaviors.clone());
        let calls = Calls::default();
        let seen = calls.clone();
        let handle =
            move |request| respond(upstream.clone(), shared.clone(), seen.clone(), request);
        let server = HttpServer::start(handle).await.unwrap();
        Self { sdk_config: sdk_config(&server.url()), behaviors, calls, _server: server }
    }

    /// Returns the bodies of the calls so far.
    pub(crate) fn calls(&self) -> Vec<Value> {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Returns the number of behaviors that no call has had.
    pub(crate) fn left(&self) -> usize {
        self.behaviors.lock().unwrap_or_else(PoisonError::into_inner).len()
    }
}

async fn respond(
    upstream: String,
    behaviors: Behaviors,
    calls: Calls,
    request: Request<Incoming>,
) -> anyhow::Result<Response<Full<Bytes>>> {
    let (mut head, body) = request.into_parts();
    let mut call: Value = serde_json::from_slice(&body.collect().await?.to_bytes())?;
    calls.lock().unwrap_or_else(PoisonError::into_inner).push(call.clone());
    let behavior = {
        let mut behaviors = behaviors.lock().unwrap_or_else(PoisonError::into_inner);
        let behavior = behaviors.front().copied().unwrap();
        if behaviors.len() > 1 {
            behaviors.pop_front();
        }
        behavior
    };
    let mut kept_back = Vec::new();
    match behavior {
        Behavior::Take | Behavior::LoseResponse => {}
        Behavior::TakeFirst { .. } => {
            kept_back = call["Entries"].as_array_mut().unwrap().split_off(1);
        }
        Behavior::Fail { status, code } => {
            let error = json!({ "__type": format!("com.amazonaws.sqs#{code}"), "message": "no" });
            return Ok(json_response(status, &error));
        }
    }
    head.uri = format!("{upstream}{}", head.uri.path()).parse()?;
    head.headers.remove("content-length");
    head.headers.remove("host");
    let body = Full::new(Bytes::from(call.to_string()));
    let client = Client::builder(TokioExecutor::new()).build_http();
    let taken = client.request(Request::from_parts(head, body)).await?;
    let mut taken: Value = serde_json::from_slice(&taken.into_body().collect().await?.to_bytes())?;
    match behavior {
        Behavior::LoseResponse => anyhow::bail!("the response is lost"),
        Behavior::TakeFirst { code, is_sender_fault } => {
            taken["Failed"] = kept_back
                .iter()
                .map(|entry| json!({ "Id": entry["Id"], "Code": code, "SenderFault": is_sender_fault }))
                .collect();
            Ok(json_response(200, &taken))
        }
        Behavior::Take | Behavior::Fail { .. } => Ok(json_response(200, &taken)),
    }
}

fn json_response(status: u16, body: &Value) -> Response<Full<Bytes>> {
    let response = Response::builder().status(status);
    let response = response.header("content-type", "application/x-amz-json-1.0");
    response.body(Full::new(Bytes::from(body.to_string()))).unwrap()
}
