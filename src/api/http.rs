//! Requests and responses, independent of the events of API Gateway.
//!
//! Pure. [`crate::functions::enqueue`] and [`crate::functions::lookup`] handle the requests.

use aws_lambda_events::apigw::{ApiGatewayV2httpRequest, ApiGatewayV2httpResponse};
use aws_lambda_events::encodings::Body;
use aws_lambda_events::http::header::{
    CONTENT_ENCODING, CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER,
};
use aws_lambda_events::http::{HeaderMap, Method};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use percent_encoding::percent_decode_str;
use serde::Serialize;
use uuid::Uuid;

use crate::api::caller::{self, RowSecurity};
use crate::api::problem::{Kind, Problem};
use crate::domain::caller::Caller;

/// A request.
#[derive(Debug, Clone)]
pub struct Request {
    pub method: Method,
    pub route: Route,
    /// The query parameters, percent-decoded, in the order of the request.
    pub query: Vec<(String, String)>,
    /// The headers. API Gateway joins the lines of one name by commas.
    pub headers: HeaderMap,
    pub body: Vec<u8>,
    pub caller: Caller,
    /// `true` if API Gateway passed the body on as text, which damages one that is compressed.
    pub is_text: bool,
}

/// The resource of a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Route {
    Table(String),
    /// A table and a key, as in [`crate::domain::key::Key::from_path`].
    Row(String, String),
    /// The settled writes.
    Writes,
    Write(String),
    Imports,
    Import(String),
    /// The rejected rows of an import.
    Rejects(String),
    /// The description of the API.
    Root,
    Unknown,
}

impl Request {
    /// Converts an event of an HTTP API, in payload format 2.0. Fails if the path, the query string
    /// or the body cannot be understood without doubt, or the claims of the caller cannot be used.
    pub fn from_event(
        event: ApiGatewayV2httpRequest,
        row_security: RowSecurity,
    ) -> Result<Self, Problem> {
        let caller = caller::of(&event.request_context, &event.headers, row_security)?;
        let route = Route::of_path(&path(&event)?);
        let query = query(event.raw_query_string.as_deref().unwrap_or_default())?;
        let is_text = !event.is_base64_encoded;
        let body = body(event.body, is_text, event.headers.contains_key(CONTENT_ENCODING))?;
        let method = event.request_context.http.method;
        Ok(Self { method, route, query, headers: event.headers, body, caller, is_text })
    }

    /// Returns a header's value, if it is text.
    pub fn header(&self, name: impl Into<HeaderName>) -> Option<&str> {
        self.headers.get(name.into()).and_then(|value| value.to_str().ok())
    }

    /// Returns a header that is a list. Returns an empty text without the header.
    pub fn header_list(&self, name: impl Into<HeaderName>) -> &str {
        self.header(name).unwrap_or_default()
    }
}

impl Route {
    /// Returns `true` for a table or a row, which depend on the catalog.
    pub fn is_of_table(&self) -> bool {
        matches!(self, Self::Table(_) | Self::Row(..))
    }

    /// Returns the resource of a decoded path, relative to the root of the API and without the
    /// slash at its beginning. All that follows a table is the key, slashes included.
    fn of_path(path: &str) -> Self {
        let Some((table, rest)) = path.split_once('/') else {
            return match path {
                "" => Self::Root,
                "_sync" => Self::Unknown,
                table => Self::Table(table.to_owned()),
            };
        };
        if table != "_sync" {
            return Self::Row(table.to_owned(), rest.to_owned());
        }
        match rest.split('/').collect::<Vec<_>>().as_slice() {
            ["writes"] => Self::Writes,
            ["writes", id] => Self::Write((*id).to_owned()),
            ["imports"] => Self::Imports,
            ["imports", id] => Self::Import((*id).to_owned()),
            ["imports", id, "rejects"] => Self::Rejects((*id).to_owned()),
            _ => Self::Unknown,
        }
    }
}

/// Returns the path of a request, relative to the root of the API.
///
/// The routes of the template are `/` and `/{proxy+}`, so the parameter `proxy` is the path without
/// a stage and without the base path of a custom domain, which `rawPath` can have. API Gateway
/// decodes it ("Create routes for HTTP APIs in API Gateway", read 2026-11-29), some characters even
/// twice: requests to a real HTTP API showed `%252F` as `/`, and the path cut off at `%3F`
/// (`hotsock/voker`, `ingress-paths.json`, read 2026-11-29). The emulator leaves `%25` as it is. So
/// nobody knows the meaning of a percent sign that is left, and a guess could name another row.
fn path(event: &ApiGatewayV2httpRequest) -> Result<String, Problem> {
    let Some(path) = event.path_parameters.get("proxy") else { return Ok(String::new()) };
    if path.contains('%') {
        return Err(Problem::new(
            Kind::InvalidKey,
            "A path cannot hold a percent sign, because API Gateway decodes paths. Name the row in another way: \
             GET /{table} has conditions in its query, and PUT, PATCH and DELETE of /{table} have keys in the body.",
        ));
    }
    Ok(path.clone())
}

/// Returns the parameters of a query string.
fn query(raw: &str) -> Result<Vec<(String, String)>, Problem> {
    let decode = |text: &str| {
        let text = text.replace('+', " ");
        let decoded = percent_decode_str(&text).decode_utf8();
        decoded.map(std::borrow::Cow::into_owned).map_err(|_| {
            Problem::new(Kind::InvalidQuery, "The query string, percent-decoded, is not UTF-8.")
        })
    };
    raw.split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
        // These belong to the signature of a presigned request.
        .filter(|(name, _)| !name.to_ascii_lowercase().starts_with("x-amz-"))
        .map(|(name, value)| Ok((decode(name)?, decode(value)?)))
        .collect()
}

/// Returns the bytes of a body.
///
/// API Gateway puts a body of `application/json` and `text/…` into the event as text, and others in
/// Base64 (tried on AWS by `ministackorg/ministack` #766, read 2026-11-29). In a text, U+FFFD may
/// stand for bytes that are not UTF-8, as the emulator has it. The character of a client and the
/// damage of a body look the same there, so both are refused. A text that has a coding is left to
/// those who know the coding.
fn body(body: Option<String>, is_text: bool, has_coding: bool) -> Result<Vec<u8>, Problem> {
    let malformed = |detail: String| Problem::new(Kind::MalformedBody, detail);
    match body {
        None => Ok(Vec::new()),
        Some(body) if !is_text => {
            BASE64_STANDARD.decode(body).map_err(|_| malformed("The body is not Base64.".into()))
        }
        Some(body) => match body.find('\u{fffd}') {
            Some(byte) if !has_coding => Err(malformed(format!(
                "The body is not UTF-8: see byte {byte}. If you mean the character U+FFFD, write \\ufffd."
            ))),
            _ => Ok(body.into_bytes()),
        },
    }
}

/// The media type of problems.
const PROBLEM: &str = "application/problem+json";

/// A response.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Response {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: String,
    /// `true` if `body` is the Base64 encoding of the body.
    pub is_base64: bool,
}

impl Response {
    /// Makes a response with a content type and a text body.
    pub fn new(status: u16, content_type: &'static str, body: String) -> Self {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
        Self { status, headers, body, is_base64: false }
    }

    /// Makes a response whose body is `body` as JSON.
    pub fn json(status: u16, body: &impl Serialize) -> Self {
        let body = serde_json::to_string(body).expect("a response is plain data");
        Self::new(status, "application/json", body)
    }

    /// Adds the member `request_id` to a problem, so that its request is found in the logs.
    #[must_use]
    pub fn of_request(mut self, request_id: Option<Uuid>) -> Self {
        let is_problem = self.headers.get(CONTENT_TYPE).is_some_and(|value| value == PROBLEM);
        if let Some(id) = request_id.filter(|_| is_problem)
            && self.body.ends_with('}')
        {
            self.body.truncate(self.body.len() - 1);
            self.body.push_str(&format!(r#","request_id":"{id}"}}"#));
        }
        self
    }

    /// Adds a header, unless its value is not text.
    #[must_use]
    pub fn with_header(mut self, name: HeaderName, value: &str) -> Self {
        if let Ok(value) = HeaderValue::from_str(value) {
            self.headers.insert(name, value);
        }
        self
    }
}

impl From<Problem> for Response {
    fn from(problem: Problem) -> Self {
        let body = serde_json::to_string(&problem).expect("a problem is plain data");
        let response = Self::new(problem.status, PROBLEM, body);
        match problem.retry_after {
            Some(seconds) => response.with_header(RETRY_AFTER, &seconds.to_string()),
            None => response,
        }
    }
}

impl From<Response> for ApiGatewayV2httpResponse {
    fn from(response: Response) -> Self {
        let mut event = Self::default();
        event.status_code = i64::from(response.status);
        event.headers = response.headers;
        event.body = Some(Body::Text(response.body));
        event.is_base64_encoded = response.is_base64;
        event
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn a_path_names_a_resource() {
        let check =
            |path: &str, expected: Route| assert_eq!(Route::of_path(path), expected, "{path}");
        let row = |table: &str, key: &str| Route::Row(table.into(), key.into());
        check("", Route::Root);
        check("staff", Route::Table("staff".into()));
        check("Shop item", Route::Table("Shop item".into()));
        check("staff/0001", row("staff", "0001"));
        check("staff/a/b", row("staff", "a/b"));
        check("staff/", row("staff", ""));
        check("staff//", row("staff", "/"));
        check("_sync", Route::Unknown);
        check("_sync/", Route::Unknown);
        check("_sync/writes", Route::Writes);
        check("_sync/writes/1", Route::Write("1".into()));
        check("_sync/writes/1/2", Route::Unknown);
        check("_sync/imports", Route::Imports);
        check("_sync/imports/1", Route::Import("1".into()));
        check("_sync/imports/1/rejects", Route::Rejects("1".into()));
        check("_sync/imports/1/others", Route::Unknown);
    }

    fn request(fields: &Value) -> Result<Request, Problem> {
        let mut event = json!({ "requestContext": { "http": { "method": "POST" } } });
        for (name, value) in fields.as_object().unwrap() {
            event[name] = value.clone();
        }
        Request::from_event(serde_json::from_value(event).unwrap(), RowSecurity::Off)
    }

    #[test]
    fn a_path_is_relative_to_the_root_of_the_api() {
        let route = |path: Value| {
            let event = json!({ "rawPath": "/base/path", "pathParameters": path });
            request(&event).map(|request| request.route).map_err(|problem| problem.status)
        };
        assert_eq!(route(Value::Null), Ok(Route::Root));
        assert_eq!(route(json!({ "proxy": "staff" })), Ok(Route::Table("staff".into())));
        let row = Route::Row("staff".into(), "é+, b".into());
        assert_eq!(route(json!({ "proxy": "staff/é+, b" })), Ok(row));
        assert_eq!(route(json!({ "proxy": "staff/%41" })), Err(400));
        assert_eq!(route(json!({ "proxy": "staff/100%" })), Err(400));
    }

    #[test]
    fn a_query_string_keeps_its_order_and_is_decoded_once() {
        let check = |raw: &str, expected: &[(&str, &str)]| {
            let found = request(&json!({ "rawQueryString": raw })).unwrap().query;
            let found: Vec<_> =
                found.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
            assert_eq!(found, expected, "{raw}");
        };
        check("", &[]);
        check("b=2&a=1&b=1", &[("b", "2"), ("a", "1"), ("b", "1")]);
        check("a%20b=c+d%2Be&&f", &[("a b", "c d+e"), ("f", "")]);
        check("a=b=c%2541", &[("a", "b=c%41")]);
        check("a=1&X-Amz-Date=2&x-amz-signature=3", &[("a", "1")]);
        assert_eq!(request(&json!({ "rawQueryString": "a=%ff" })).unwrap_err().status, 400);
    }

    #[test]
    fn a_body_keeps_its_bytes_or_is_refused() {
        let body = |body: &str, is_base64: bool| {
            let event = json!({ "body": body, "isBase64Encoded": is_base64 });
            request(&event).map(|request| request.body).map_err(|problem| problem.status)
        };
        assert_eq!(request(&json!({})).unwrap().body, b"");
        assert_eq!(body("é", false), Ok("é".into()));
        assert_eq!(body("/w==", true), Ok(vec![0xff]));
        assert_eq!(body("77+9", true), Ok("\u{fffd}".into()));
        assert_eq!(body("\u{fffd}", false), Err(400));
        assert_eq!(body("é", true), Err(400));
    }
}
