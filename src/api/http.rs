//! Requests and responses, independent of the events of API Gateway.
//!
//! Pure. [`crate::functions::enqueue`] and [`crate::functions::lookup`] handle the requests.

use std::collections::HashMap;

use aws_lambda_events::apigw::{ApiGatewayProxyRequest, ApiGatewayProxyResponse};
use aws_lambda_events::encodings::Body;
use aws_lambda_events::http::header::{CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER};
use aws_lambda_events::http::{HeaderMap, Method};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use percent_encoding::percent_decode_str;
use serde::Serialize;

use crate::api::problem::{Kind, Problem};

/// A request.
#[derive(Debug, Clone)]
pub struct Request {
    pub method: Method,
    pub route: Route,
    /// The query parameters, percent-decoded and sorted by name. The values of one name are in the
    /// order of the request, which is the only order that the event keeps.
    pub query: Vec<(String, String)>,
    pub headers: HeaderMap,
    pub body: Vec<u8>,
}

/// The resource of a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Route {
    Table(String),
    /// A table and a key, as in [`crate::domain::key::Key::from_path`].
    Row(String, String),
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
    /// Converts a proxy event of a REST API. Fails if the body is not Base64 as declared, or a path
    /// parameter is not UTF-8.
    pub fn from_event(event: ApiGatewayProxyRequest) -> Result<Self, Problem> {
        let query = event
            .multi_value_query_string_parameters
            .iter()
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect::<Vec<_>>();
        let mut query = if query.is_empty() {
            event
                .query_string_parameters
                .iter()
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .collect()
        } else {
            query
        };
        // These belong to the signature of a presigned request.
        query.retain(|(name, _)| !name.to_ascii_lowercase().starts_with("x-amz-"));
        query.sort_by(|(one, _), (other, _)| one.cmp(other));
        let body = match event.body {
            None => Vec::new(),
            Some(body) if event.is_base64_encoded => BASE64_STANDARD
                .decode(body)
                .map_err(|_| Problem::new(Kind::MalformedBody, "The body is not Base64."))?,
            Some(body) => body.into_bytes(),
        };
        let mut headers = event.multi_value_headers;
        for (name, value) in &event.headers {
            if !headers.contains_key(name) {
                headers.insert(name.clone(), value.clone());
            }
        }
        let parameters = event
            .path_parameters
            .iter()
            .map(|(name, value)| Ok((name.as_str(), path_parameter(value)?)))
            .collect::<Result<HashMap<_, _>, Problem>>()?;
        let parameter = |name: &str| parameters.get(name).cloned().unwrap_or_default();
        let route = match event.resource.as_deref().unwrap_or_default() {
            "/{table}" => Route::Table(parameter("table")),
            "/{table}/{key}" => Route::Row(parameter("table"), parameter("key")),
            "/_sync/writes/{id}" => Route::Write(parameter("id")),
            "/_sync/imports" => Route::Imports,
            "/_sync/imports/{id}" => Route::Import(parameter("id")),
            "/_sync/imports/{id}/rejects" => Route::Rejects(parameter("id")),
            "/" => Route::Root,
            _ => Route::Unknown,
        };
        Ok(Self { method: event.http_method, route, query, headers, body })
    }

    /// Returns a header's value, if it is text.
    pub fn header(&self, name: impl Into<HeaderName>) -> Option<&str> {
        self.headers.get(name.into()).and_then(|value| value.to_str().ok())
    }

    /// Returns a header that is a list, with all its lines joined. Returns an empty text without
    /// the header.
    pub fn header_list(&self, name: impl Into<HeaderName>) -> String {
        let lines = self.headers.get_all(name.into()).iter();
        lines.filter_map(|value| value.to_str().ok()).collect::<Vec<_>>().join(", ")
    }
}

/// Decodes a path parameter.
///
/// A REST API sends path parameters percent-encoded, as in the request, and query parameters
/// decoded (recorded from AWS in `localstack/localstack`, `test_apigateway_lambda.snapshot.json`,
/// read 2026-11-24). The emulator decodes both. A value with a character that no encoded path has
/// is decoded already. So on the emulator alone, `%41` in a key is read as `A`.
fn path_parameter(value: &str) -> Result<String, Problem> {
    let is_encoded =
        value.bytes().all(|byte| byte.is_ascii_graphic() && !b"\"<>\\^`{|}".contains(&byte))
            && value
                .split('%')
                .skip(1)
                .all(|rest| rest.bytes().take(2).filter(u8::is_ascii_hexdigit).count() == 2);
    if !is_encoded {
        return Ok(value.to_owned());
    }
    match percent_decode_str(value).decode_utf8() {
        Ok(decoded) => Ok(decoded.into_owned()),
        Err(_) => Err(Problem::new(Kind::InvalidKey, "The path, percent-decoded, is not UTF-8.")),
    }
}

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
        let response = Self::new(problem.status, "application/problem+json", body);
        match problem.retry_after {
            Some(seconds) => response.with_header(RETRY_AFTER, &seconds.to_string()),
            None => response,
        }
    }
}

impl From<Response> for ApiGatewayProxyResponse {
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
    use super::*;

    #[test]
    fn path_parameters_are_decoded_once() {
        let check = |sent: &str, expected: Option<&str>| {
            assert_eq!(path_parameter(sent).ok().as_deref(), expected, "{sent}");
        };
        check("0001", Some("0001"));
        check("test%2Balias@gmail.com", Some("test+alias@gmail.com"));
        check("a+b", Some("a+b"));
        check("a%2Cb,%22c%2C%20d%22", Some("a,b,\"c, d\""));
        check("100%25", Some("100%"));
        check("%2541", Some("%41"));
        check("%F0%9F%98%80", Some("😀"));
        check("%ff", None);
        // As the emulator sends them.
        check("100%", Some("100%"));
        check("a b%41", Some("a b%41"));
        check("é%41", Some("é%41"));
    }
}
