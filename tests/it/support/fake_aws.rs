//! S3, SQS and EventBridge in memory behind HTTP, fast enough for thousands of histories, with
//! faults on demand.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use aws_config::SdkConfig;
use aws_lambda_events::sqs::SqsEvent;
use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::header::HeaderMap;
use hyper::{Method, Request, Response};
use local_stack::http_server::HttpServer;
use serde_json::{Value, json};

use super::{sdk_config, sqs_event};

/// The bucket of the catalog.
pub(crate) const CATALOG: &str = "catalog";

/// A fault of one call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CallFault {
    /// The call does nothing. The response is 503.
    Fail,
    /// The call succeeds, but the connection closes without a response.
    LoseResponse,
    /// The call does nothing, and no response comes.
    Hang,
    /// Before the call, the requested object becomes another one of the same size.
    Overwrite,
    /// Before the call, the requested object is deleted.
    Delete,
}

#[derive(Debug)]
struct Object {
    content: Bytes,
    metadata: BTreeMap<String, String>,
}

#[derive(Debug, Default)]
struct State {
    /// Objects by `bucket/key`, as in the path.
    objects: HashMap<String, Object>,
    /// The bodies of the messages that were sent and not taken.
    sent: Vec<String>,
    /// The groups and bodies of the messages of batches that were sent and not taken.
    grouped: Vec<(String, String)>,
    /// The receipt handles of the hidden messages, with their seconds.
    hidden: Vec<(String, u64)>,
    /// The entries that the event bus has taken.
    events: Vec<Value>,
    /// The number of entries that the bus refuses from now on.
    refused_events: usize,
    calls: u64,
    /// Faults by the number of the call.
    mishaps: HashMap<u64, CallFault>,
}

/// S3 and SQS of one test.
#[derive(Debug)]
pub(crate) struct FakeAws {
    pub url: String,
    pub sdk_config: SdkConfig,
    state: Arc<Mutex<State>>,
    _server: HttpServer,
}

impl FakeAws {
    pub(crate) async fn new() -> Self {
        let state = Arc::new(Mutex::new(State::default()));
        let shared = state.clone();
        let server =
            HttpServer::start(move |request| respond(shared.clone(), request)).await.unwrap();
        let url = server.url();
        Self { sdk_config: sdk_config(&url), url, state, _server: server }
    }

    pub(crate) fn queue_url(&self) -> String {
        format!("{}/queue", self.url)
    }

    /// Puts an object. Returns its `ETag`.
    pub(crate) fn put(
        &self,
        bucket: &str,
        key: &str,
        content: Vec<u8>,
        metadata: BTreeMap<String, String>,
    ) -> String {
        let object = Object { content: content.into(), metadata };
        let etag = etag(&object.content);
        self.locked(|state| state.objects.insert(format!("{bucket}/{key}"), object));
        etag
    }

    pub(crate) fn get(&self, bucket: &str, key: &str) -> Option<Vec<u8>> {
        let path = format!("{bucket}/{key}");
        self.locked(|state| state.objects.get(&path).map(|object| object.content.to_vec()))
    }

    /// Deletes all objects but the catalog.
    pub(crate) fn forget_objects(&self) {
        let is_catalog = |path: &str| path.starts_with(&format!("{CATALOG}/"));
        self.locked(|state| state.objects.retain(|path, _| is_catalog(path)));
    }

    /// Returns the bodies of the messages that were sent since the last call.
    pub(crate) fn take_sent(&self) -> Vec<String> {
        self.locked(|state| std::mem::take(&mut state.sent))
    }

    /// Returns the messages of batches that were sent since the last call, as SQS delivers them.
    pub(crate) fn take_writes(&self) -> SqsEvent {
        let sent = self.locked(|state| std::mem::take(&mut state.grouped));
        let ids: Vec<_> = (0..sent.len()).map(|n| format!("m{n}")).collect();
        let messages: Vec<_> = sent
            .iter()
            .zip(&ids)
            .map(|((group, body), id)| (id.as_str(), group.as_str(), body.as_str()))
            .collect();
        sqs_event(&messages)
    }

    /// Returns the receipt handles of the hidden messages with their seconds, in order.
    pub(crate) fn hidden(&self) -> Vec<(String, u64)> {
        self.locked(|state| state.hidden.clone())
    }

    /// Returns the entries that the event bus has taken since the last call.
    pub(crate) fn take_events(&self) -> Vec<Value> {
        self.locked(|state| std::mem::take(&mut state.events))
    }

    /// Lets the event bus refuse the next entries, whatever the rest of their call.
    pub(crate) fn refuse_events(&self, count: usize) {
        self.locked(|state| state.refused_events = count);
    }

    pub(crate) fn calls(&self) -> u64 {
        self.locked(|state| state.calls)
    }

    /// Adds a fault to a later call; the next call is number 1.
    pub(crate) fn inject(&self, call: u64, mishap: CallFault) {
        self.locked(|state| {
            let number = state.calls + call;
            state.mishaps.insert(number, mishap);
        });
    }

    pub(crate) fn clear_faults(&self) {
        self.locked(|state| state.mishaps.clear());
    }

    fn locked<T>(&self, ask: impl FnOnce(&mut State) -> T) -> T {
        ask(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

fn etag(content: &[u8]) -> String {
    use sha2::{Digest, Sha256};
    hex::encode(&Sha256::digest(content)[..16])
}

async fn respond(
    state: Arc<Mutex<State>>,
    request: Request<Incoming>,
) -> anyhow::Result<Response<Full<Bytes>>> {
    let (head, body) = request.into_parts();
    let body = body.collect().await?.to_bytes();
    let path = head.uri.path().trim_start_matches('/').to_owned();
    let path = percent_encoding::percent_decode_str(&path).decode_utf8_lossy().into_owned();
    let mishap = {
        let mut state = state.lock().unwrap_or_else(PoisonError::into_inner);
        // Heartbeats depend on the clock and are not counted.
        if target(&head.headers).ends_with("ChangeMessageVisibilityBatch") {
            None
        } else if head.method == Method::GET && path.starts_with(&format!("{CATALOG}/")) {
            // The catalog is asked for by the clock too.
            return read_catalog(&state, &path);
        } else {
            state.calls += 1;
            let number = state.calls;
            state.mishaps.remove(&number)
        }
    };
    match mishap {
        Some(CallFault::Fail) => return Ok(failure(503, "SlowDown")),
        Some(CallFault::Hang) => std::future::pending().await,
        Some(CallFault::LoseResponse | CallFault::Overwrite | CallFault::Delete) | None => {}
    }
    let response = {
        let mut state = state.lock().unwrap_or_else(PoisonError::into_inner);
        match mishap {
            Some(CallFault::Overwrite) => overwrite(&mut state, &path),
            Some(CallFault::Delete) => drop(state.objects.remove(&path)),
            _ => {}
        }
        match head.method {
            Method::POST => sqs(&mut state, target(&head.headers), &body)?,
            Method::PUT => {
                let object = Object {
                    content: unchunked(&head.headers, body),
                    metadata: metadata(&head.headers),
                };
                let etag = etag(&object.content);
                state.objects.insert(path, object);
                Response::builder().header("etag", format!("\"{etag}\"")).body(Full::default())?
            }
            Method::HEAD | Method::GET => read(&state, &head.method, &path, &head.headers)?,
            _ => Response::builder().status(204).body(Full::default())?,
        }
    };
    anyhow::ensure!(mishap != Some(CallFault::LoseResponse), "the response is lost");
    Ok(response)
}

/// Changes the last byte of an object.
fn overwrite(state: &mut State, path: &str) {
    let object = state.objects.get_mut(path).unwrap();
    let mut content = object.content.to_vec();
    *content.last_mut().unwrap() ^= 1;
    object.content = content.into();
}

/// Returns the catalog as S3 does just after `refresh` has stored it.
fn read_catalog(state: &State, path: &str) -> anyhow::Result<Response<Full<Bytes>>> {
    let Some(object) = state.objects.get(path) else { return Ok(failure(404, "NoSuchKey")) };
    let now = aws_smithy_types::DateTime::from(std::time::SystemTime::now());
    let now = now.fmt(aws_smithy_types::date_time::Format::HttpDate)?;
    let response = Response::builder().header("last-modified", now);
    Ok(response.header("etag", "\"1\"").body(Full::new(object.content.clone()))?)
}

fn target(headers: &HeaderMap) -> &str {
    headers.get("x-amz-target").and_then(|value| value.to_str().ok()).unwrap_or_default()
}

fn metadata(headers: &HeaderMap) -> BTreeMap<String, String> {
    let own = headers.iter().filter_map(|(name, value)| {
        Some((name.as_str().strip_prefix("x-amz-meta-")?, value.to_str().ok()?))
    });
    own.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

fn failure(status: u16, code: &str) -> Response<Full<Bytes>> {
    let body = format!("<Error><Code>{code}</Code><Message>no</Message></Error>");
    Response::builder().status(status).body(Full::new(body.into())).unwrap()
}

fn sqs(state: &mut State, target: &str, body: &[u8]) -> anyhow::Result<Response<Full<Bytes>>> {
    let call: Value = serde_json::from_slice(body)?;
    let result = match target {
        "AmazonSQS.SendMessage" => {
            state.sent.push(call["MessageBody"].as_str().unwrap_or_default().to_owned());
            json!({ "MessageId": uuid::Uuid::now_v7(), "MD5OfMessageBody": "" })
        }
        "AmazonSQS.SendMessageBatch" => {
            let entries = call["Entries"].as_array().into_iter().flatten();
            let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
            state.grouped.extend(
                entries.clone().map(|e| (text(&e["MessageGroupId"]), text(&e["MessageBody"]))),
            );
            let done: Vec<_> = entries
                .map(|e| json!({ "Id": e["Id"], "MessageId": uuid::Uuid::now_v7(), "MD5OfMessageBody": "" }))
                .collect();
            json!({ "Successful": done, "Failed": [] })
        }
        "AmazonSQS.ChangeMessageVisibilityBatch" => {
            let entries = call["Entries"].as_array().into_iter().flatten();
            state.hidden.extend(entries.clone().map(|entry| {
                let handle = entry["ReceiptHandle"].as_str().unwrap_or_default();
                (handle.to_owned(), entry["VisibilityTimeout"].as_u64().unwrap_or_default())
            }));
            let done: Vec<_> = entries.map(|entry| json!({ "Id": entry["Id"] })).collect();
            json!({ "Successful": done, "Failed": [] })
        }
        "AWSEvents.PutEvents" => put_events(state, &call),
        other => anyhow::bail!("{other} is not of this queue"),
    };
    let response = Response::builder().header("content-type", "application/x-amz-json-1.0");
    Ok(response.body(Full::new(result.to_string().into()))?)
}

/// Takes entries within the limits of EventBridge.
fn put_events(state: &mut State, call: &Value) -> Value {
    let entries = call["Entries"].as_array().unwrap();
    let bytes = entries.iter().map(|entry| entry["Detail"].as_str().unwrap().len() + 14);
    assert!(entries.len() <= 10 && bytes.sum::<usize>() <= 256 * 1024, "{}", entries.len());
    let mut results = Vec::new();
    for entry in entries {
        if state.refused_events > 0 {
            state.refused_events -= 1;
            results.push(json!({ "ErrorCode": "InternalFailure", "ErrorMessage": "no" }));
        } else {
            state.events.push(entry.clone());
            results.push(json!({ "EventId": uuid::Uuid::now_v7() }));
        }
    }
    let failed = results.iter().filter(|result| result.get("ErrorCode").is_some()).count();
    json!({ "FailedEntryCount": failed, "Entries": results })
}

fn read(
    state: &State,
    method: &Method,
    path: &str,
    headers: &HeaderMap,
) -> anyhow::Result<Response<Full<Bytes>>> {
    let Some(object) = state.objects.get(path) else { return Ok(failure(404, "NoSuchKey")) };
    let etag = format!("\"{}\"", etag(&object.content));
    if headers.get("if-match").is_some_and(|wanted| wanted != etag.as_str()) {
        return Ok(failure(412, "PreconditionFailed"));
    }
    let mut response = Response::builder().header("etag", etag);
    for (name, value) in &object.metadata {
        response = response.header(format!("x-amz-meta-{name}"), value);
    }
    if method == Method::HEAD {
        let response = response.header("content-length", object.content.len());
        return Ok(response.body(Full::default())?);
    }
    let size = object.content.len();
    let range = headers.get("range").and_then(|range| range.to_str().ok()?.strip_prefix("bytes="));
    let Some((first, last)) = range.and_then(|range| range.split_once('-')) else {
        return Ok(response.body(Full::new(object.content.clone()))?);
    };
    let (first, last): (usize, usize) = (first.parse()?, last.parse::<usize>()?.min(size - 1));
    let response = response
        .status(206)
        .header("content-range", format!("bytes {first}-{last}/{size}"))
        .body(Full::new(object.content.slice(first..=last)))?;
    Ok(response)
}

/// Returns the content of a body, which the SDK may send in chunks with a checksum at the end.
fn unchunked(headers: &HeaderMap, body: Bytes) -> Bytes {
    if !headers.contains_key("x-amz-decoded-content-length") {
        return body;
    }
    let mut content = Vec::new();
    let mut rest: &[u8] = &body;
    while let Some(end) = rest.windows(2).position(|pair| pair == b"\r\n") {
        let line = String::from_utf8_lossy(&rest[..end]).into_owned();
        let size = line.split(';').next().unwrap_or_default();
        let Ok(size @ 1..) = usize::from_str_radix(size, 16) else { break };
        content.extend_from_slice(&rest[end + 2..end + 2 + size]);
        rest = &rest[end + 2 + size + 2..];
    }
    content.into()
}
