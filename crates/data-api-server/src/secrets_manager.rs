//! A client of Secrets Manager, for an emulator nearby: plain HTTP, and no signature.

use std::time::Duration;

use anyhow::{Context, bail};
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::header::{AUTHORIZATION, CONTENT_TYPE};
use hyper::http::uri::Scheme;
use hyper::{Request, Uri};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde::Deserialize;
use serde_json::json;

use crate::error::ApiError;
use crate::login::Login;

/// The time limit of a look-up.
const FOUND_WITHIN: Duration = Duration::from_secs(10);

#[derive(Debug)]
pub(crate) struct SecretsManager {
    url: Uri,
    client: Client<HttpConnector, Full<Bytes>>,
}

/// A secret's value; a binary one has no string.
#[derive(Deserialize)]
struct SecretValue {
    #[serde(rename = "SecretString")]
    string: Option<String>,
}

/// The members of the string that count, of all that the form of RDS has.
#[derive(Deserialize)]
struct DatabaseSecret {
    username: String,
    password: String,
}

/// An error of Secrets Manager.
#[derive(Deserialize)]
struct Refusal {
    #[serde(rename = "__type")]
    name: String,
}

impl SecretsManager {
    pub(crate) fn new(url: &str) -> anyhow::Result<Self> {
        let expected = "the URL of Secrets Manager cannot be used; expected http://host:port";
        let url: Uri = url.parse().context(expected)?;
        if url.scheme() != Some(&Scheme::HTTP) {
            bail!(expected);
        }
        Ok(Self { url, client: Client::builder(TokioExecutor::new()).build_http() })
    }

    /// Returns the login in a secret.
    pub(crate) async fn get_secret_value(&self, arn: &str) -> Result<Login, ApiError> {
        let found = tokio::time::timeout(FOUND_WITHIN, self.send(arn)).await;
        let response = found.with_context(|| format!("no response within {FOUND_WITHIN:?}"));
        let (is_success, body) = response.flatten().map_err(|error| {
            tracing::warn!(url = %self.url, ?arn, "Secrets Manager does not respond: {error:#}");
            ApiError::secrets_error("The secret cannot be retrieved")
        })?;
        if is_success {
            return login(&body).ok_or_else(ApiError::invalid_secret);
        }
        let refusal: Option<Refusal> = serde_json::from_slice(&body).ok();
        let name = refusal.map_or_else(|| "an error without a name".to_owned(), |r| r.name);
        // Some services write `com.amazonaws…#Name`.
        let name = name.rsplit('#').next().unwrap_or_default();
        if name == "ResourceNotFoundException" {
            return Err(ApiError::secret_not_found());
        }
        tracing::warn!(url = %self.url, ?arn, "Secrets Manager does not give the secret: {name}");
        Err(ApiError::secrets_error("The secret cannot be retrieved"))
    }

    async fn send(&self, arn: &str) -> anyhow::Result<(bool, Bytes)> {
        let request = Request::post(self.url.clone())
            .header(CONTENT_TYPE, "application/x-amz-json-1.1")
            .header("x-amz-target", "secretsmanager.GetSecretValue")
            .header(AUTHORIZATION, authorization(arn))
            .body(Full::new(json!({ "SecretId": arn }).to_string().into()))?;
        let (head, body) = self.client.request(request).await?.into_parts();
        Ok((head.status.is_success(), body.collect().await?.to_bytes()))
    }
}

/// Returns a header without a signature. Emulators do not check one, but some read the account and
/// the region of a request from it, and find only secrets of the same two.
fn authorization(arn: &str) -> String {
    let is_word =
        |word: &&str| word.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    let part = |n: usize| arn.split(':').nth(n).filter(is_word).filter(|word| !word.is_empty());
    let (region, account) = (part(3).unwrap_or("us-east-1"), part(4).unwrap_or("000000000000"));
    let scope = format!("20260101/{region}/secretsmanager/aws4_request");
    format!("AWS4-HMAC-SHA256 Credential={account}/{scope}, SignedHeaders=host, Signature=0")
}

fn login(body: &[u8]) -> Option<Login> {
    let value: SecretValue = serde_json::from_slice(body).ok()?;
    let secret: DatabaseSecret = serde_json::from_str(&value.string?).ok()?;
    Some(Login { user: Some(secret.username), password: Some(secret.password) })
}
