//! HTTP to the stack, signed as its API asks for.

use std::time::{Duration, SystemTime};

use anyhow::{Context, anyhow};
use aws_sdk_cloudformation::config::Credentials;
use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
use aws_sigv4::sign::v4::SigningParams;
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::{HeaderMap, Method, Request};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;

use crate::account::{ACCESS_KEY_ID, REGION, SECRET_ACCESS_KEY};

/// API Gateway answers within 30 seconds or not at all.
const ANSWER_WITHIN: Duration = Duration::from_secs(35);

/// A client; clones share their connections.
#[derive(Debug, Clone)]
pub struct Http {
    client: Client<HttpConnector, Full<Bytes>>,
}

#[derive(Debug, Clone)]
pub struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Answer {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub fn json(&self) -> anyhow::Result<serde_json::Value> {
        serde_json::from_slice(&self.body)
            .with_context(|| format!("the answer is not JSON: {}", self.text()))
    }
}

impl Default for Http {
    fn default() -> Self {
        Self { client: Client::builder(TokioExecutor::new()).build_http() }
    }
}

impl Http {
    /// A plain GET, unsigned.
    pub async fn get(&self, url: &str) -> anyhow::Result<Answer> {
        self.send(Request::get(url).body(Full::default())?).await
    }

    /// A request that is not signed.
    pub async fn unsigned(
        &self,
        method: Method,
        url: &str,
        headers: &[(&str, &str)],
        body: Bytes,
    ) -> anyhow::Result<Answer> {
        let mut request = Request::builder().method(method).uri(url);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        self.send(request.body(Full::new(body))?).await
    }

    /// A request signed with the test credentials for a service (`execute-api`, `logs`).
    pub async fn signed(
        &self,
        service: &str,
        method: Method,
        url: &str,
        headers: &[(&str, &str)],
        body: Bytes,
    ) -> anyhow::Result<Answer> {
        let identity =
            Credentials::new(ACCESS_KEY_ID, SECRET_ACCESS_KEY, None, None, "local").into();
        let parameters = SigningParams::builder()
            .identity(&identity)
            .region(REGION)
            .name(service)
            .time(now())
            .settings(SigningSettings::default())
            .build()?
            .into();
        let signable = SignableRequest::new(
            method.as_str(),
            url,
            headers.iter().copied(),
            SignableBody::Bytes(&body),
        )?;
        let (signature, _) = sign(signable, &parameters)?.into_parts();
        let mut request = Request::builder().method(method).uri(url);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let mut request = request.body(Full::new(body))?;
        signature.apply_to_request_http1x(&mut request);
        self.send(request).await
    }

    async fn send(&self, request: Request<Full<Bytes>>) -> anyhow::Result<Answer> {
        let request_line = format!("{} {}", request.method(), request.uri());
        let exchange = async {
            let (head, body) = self.client.request(request).await?.into_parts();
            let body = body.collect().await?.to_bytes();
            Ok(Answer { status: head.status.as_u16(), headers: head.headers, body })
        };
        tokio::time::timeout(ANSWER_WITHIN, exchange)
            .await
            .map_err(|_| anyhow!("no answer within {ANSWER_WITHIN:?}"))
            .and_then(|answer: anyhow::Result<Answer>| answer)
            .with_context(|| request_line)
    }
}

fn now() -> SystemTime {
    SystemTime::now()
}
