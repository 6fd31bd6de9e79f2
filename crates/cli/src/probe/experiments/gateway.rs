//! API Gateway in front of the API. No request names a table, so none reads or changes rows.

use bytes::Bytes;
use hyper::{Method, Request};
use serde_json::Value;

use crate::api::ApiError;
use crate::http::HttpResponse;
use crate::probe::lab::Lab;
use crate::probe::seen::Seen;

/// A name that no table has.
const NOWHERE: &str = "aurora_sync_probe";

const NO_API: &str = "the API is not known; give --stack NAME or --api URL";
const NO_TOKEN: &str = "the API wants a token, which this command does not have";
const NO_GATEWAY: &str = "the API is not at an address of API Gateway";

/// A request to the API.
struct Call<'c> {
    method: Method,
    path: &'c str,
    headers: &'c [(&'c str, &'c str)],
    body: Bytes,
    is_signed: bool,
}

impl<'c> Call<'c> {
    fn new(method: Method, path: &'c str) -> Self {
        Self { method, path, headers: &[], body: Bytes::new(), is_signed: true }
    }
}

/// Sends a call. Without an API, or one that takes these credentials, nothing can be tried.
async fn send(lab: &Lab, call: Call<'_>) -> anyhow::Result<Result<HttpResponse, Seen>> {
    let Some((api, url)) = lab.api()? else { return Ok(Err(Seen::NotTried(NO_API.to_owned()))) };
    let needs_caller = call.method != Method::OPTIONS;
    let mut request = Request::builder().method(call.method).uri(format!("{url}{}", call.path));
    for (name, value) in call.headers {
        request = request.header(*name, *value);
    }
    match api.send(request.body(call.body)?, call.is_signed).await {
        Ok(response) if response.status == 401 && needs_caller => {
            Ok(Err(Seen::NotTried(NO_TOKEN.to_owned())))
        }
        Ok(response) => Ok(Ok(response)),
        Err(ApiError::Later(error) | ApiError::Never(error)) => Err(error),
    }
}

fn told(response: &HttpResponse) -> String {
    format!("{}: {}", response.status, String::from_utf8_lossy(&response.body))
}

/// Returns a member of a problem.
fn member(response: &HttpResponse, name: &str) -> String {
    let body: Value = serde_json::from_slice(&response.body).unwrap_or_default();
    body[name].as_str().unwrap_or_default().to_owned()
}

pub(crate) async fn body_not_utf8(lab: &Lab) -> anyhow::Result<Seen> {
    let path = format!("/{NOWHERE}");
    let call = Call {
        headers: &[("content-type", "application/json")],
        body: Bytes::from_static(b"{\"id\":\"\xff\"}"),
        ..Call::new(Method::POST, &path)
    };
    let response = match send(lab, call).await? {
        Ok(response) => response,
        Err(seen) => return Ok(seen),
    };
    let is_refused =
        response.status == 400 && member(&response, "type").ends_with(":malformed-body");
    Ok(Seen::new(is_refused, told(&response)))
}

pub(crate) async fn unsigned(lab: &Lab) -> anyhow::Result<Seen> {
    let call = Call { is_signed: false, ..Call::new(Method::GET, "/_sync/nothing") };
    let response = match send(lab, call).await? {
        Ok(response) => response,
        Err(seen) => return Ok(seen),
    };
    if response.status == 404 {
        return Ok(Seen::NotTried("Authorization is NONE".to_owned()));
    }
    let holds = response.status == 403 && member(&response, "message") == "Forbidden";
    Ok(Seen::new(holds, told(&response)))
}

/// Returns the response to a path whose spelling only API Gateway decodes in its way.
async fn look(lab: &Lab, path: &str) -> anyhow::Result<Result<HttpResponse, Seen>> {
    if !lab.has_gateway() {
        return Ok(Err(Seen::NotTried(NO_GATEWAY.to_owned())));
    }
    send(lab, Call::new(Method::GET, path)).await
}

/// The path `/_sync` is an unknown one, and a table of another name is an unknown table.
pub(crate) async fn question_mark(lab: &Lab) -> anyhow::Result<Seen> {
    Ok(match look(lab, "/_sync%3Fx").await? {
        Ok(response) => {
            let is_cut = member(&response, "type").ends_with(":unknown-route");
            Seen::new(is_cut, told(&response))
        }
        Err(seen) => seen,
    })
}

/// A percent sign that is left is refused, as 400.
pub(crate) async fn percent_twice(lab: &Lab) -> anyhow::Result<Seen> {
    Ok(match look(lab, "/%255Fsync").await? {
        Ok(response) => {
            let is_twice = member(&response, "type").ends_with(":unknown-route");
            Seen::new(is_twice, told(&response))
        }
        Err(seen) => seen,
    })
}

pub(crate) async fn slash(lab: &Lab) -> anyhow::Result<Seen> {
    Ok(match look(lab, &format!("/{NOWHERE}/a%2Fb")).await? {
        Ok(response) => {
            let is_there = member(&response, "type").ends_with(":unknown-table");
            Seen::new(is_there, told(&response))
        }
        Err(seen) => seen,
    })
}

pub(crate) async fn large_body(lab: &Lab) -> anyhow::Result<Seen> {
    if !lab.has_gateway() {
        return Ok(Seen::NotTried(NO_GATEWAY.to_owned()));
    }
    let path = format!("/{NOWHERE}");
    let of = |bytes: usize| Call {
        headers: &[("content-type", "application/json")],
        body: Bytes::from(format!("\"{}\"", "x".repeat(bytes - 2))),
        ..Call::new(Method::POST, &path)
    };
    let mut responses = Vec::new();
    for bytes in [7_000_000, 10_485_761] {
        match send(lab, of(bytes)).await? {
            Ok(response) => responses.push(response),
            Err(seen) => return Ok(seen),
        }
    }
    let holds = responses.iter().all(|response| {
        response.status == 413 && member(response, "message") == "Request Entity Too Large"
    });
    let seen = responses.iter().map(told).collect::<Vec<_>>().join("; ");
    Ok(Seen::new(holds, format!("7 MB, then 10 MiB and a byte: {seen}")))
}

pub(crate) async fn preflight(lab: &Lab) -> anyhow::Result<Seen> {
    if !lab.has_gateway() {
        return Ok(Seen::NotTried(NO_GATEWAY.to_owned()));
    }
    if !lab.places.has_preflight {
        return Ok(Seen::NotTried("the stack has no AllowedOrigins".to_owned()));
    }
    let path = format!("/{NOWHERE}");
    let headers = [
        ("origin", "https://aurora-sync-probe.invalid"),
        ("access-control-request-method", "POST"),
    ];
    let call = Call { headers: &headers, is_signed: false, ..Call::new(Method::OPTIONS, &path) };
    let response = match send(lab, call).await? {
        Ok(response) => response,
        Err(seen) => return Ok(seen),
    };
    Ok(Seen::new((200..300).contains(&response.status), told(&response)))
}

/// Bytes that are not UTF-8 would be refused as such if they came as text.
pub(crate) async fn bytes(lab: &Lab) -> anyhow::Result<Seen> {
    let path = format!("/{NOWHERE}");
    let call = Call {
        headers: &[("content-type", "application/x-ndjson")],
        body: Bytes::from_static(b"\x1f\x8b\xff\x00"),
        ..Call::new(Method::POST, &path)
    };
    let response = match send(lab, call).await? {
        Ok(response) => response,
        Err(seen) => return Ok(seen),
    };
    let is_passed = member(&response, "type").ends_with(":unknown-table");
    Ok(Seen::new(is_passed, told(&response)))
}
