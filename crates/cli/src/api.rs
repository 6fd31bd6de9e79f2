//! The API of aurora-sync: what became of an import.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, anyhow};
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::Request;
use hyper_rustls::HttpsConnector;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use rustls::{ClientConfig, RootCertStore};
use serde::Deserialize;

use crate::aws::Signer;

/// API Gateway responds within 30 seconds or not at all.
const RESPONSE_WITHIN: Duration = Duration::from_secs(35);

/// The characters that are not percent-encoded in a query (RFC 3986, "unreserved").
const VALUE: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// An import, as `GET /_sync/imports` tells it.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub(crate) struct Import {
    pub(crate) id: String,
    pub(crate) version: String,
    pub(crate) state: String,
    pub(crate) error: Option<String>,
    pub(crate) rows_read: u64,
    pub(crate) rows_rejected: u64,
    pub(crate) rows_per_second: Option<f64>,
    pub(crate) progress_percent: Option<f64>,
    pub(crate) estimated_end_at: Option<String>,
}

impl Import {
    pub(crate) fn is_running(&self) -> bool {
        self.state == "running"
    }
}

/// The API's description of itself, `GET /`.
#[derive(Debug, Deserialize)]
pub(crate) struct Description {
    pub(crate) info: Info,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Info {
    /// The version of aurora-sync.
    pub(crate) version: String,
}

/// The error of a request without a good response.
#[derive(Debug)]
pub(crate) enum ApiError {
    /// A later request may succeed.
    Later(anyhow::Error),
    Never(anyhow::Error),
}

/// A client of one deployment.
#[derive(Debug)]
pub(crate) struct Api {
    url: String,
    signer: Signer,
    client: Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
}

impl Api {
    pub(crate) fn new(url: String, signer: Signer) -> anyhow::Result<Self> {
        let connector = hyper_rustls::HttpsConnectorBuilder::new()
            .with_tls_config(tls_config()?)
            .https_or_http()
            .enable_http1()
            .build();
        Ok(Self { url, signer, client: Client::builder(TokioExecutor::new()).build(connector) })
    }

    /// The imports of an object, the newest first.
    pub(crate) async fn imports_of(&self, key: &str) -> Result<Vec<Import>, ApiError> {
        let key = utf8_percent_encode(key, VALUE);
        self.get(&format!("/_sync/imports?key=eq.{key}&limit=100")).await
    }

    pub(crate) async fn import(&self, id: &str) -> Result<Import, ApiError> {
        self.get(&format!("/_sync/imports/{id}")).await
    }

    pub(crate) async fn description(&self) -> Result<Description, ApiError> {
        self.get("/").await
    }

    async fn get<T: for<'de> Deserialize<'de>>(&self, path: &str) -> Result<T, ApiError> {
        let url = format!("{}{path}", self.url);
        let later = |error: anyhow::Error| ApiError::Later(error.context(format!("GET {url}")));
        let exchange = async {
            let mut request = Request::get(&url)
                .body(Full::default())
                .map_err(|error| ApiError::Never(error.into()))?;
            self.signer.sign(&mut request).await.map_err(ApiError::Never)?;
            let response = self.client.request(request).await;
            let (head, body) = response.map_err(|error| later(error.into()))?.into_parts();
            let body = body.collect().await.map_err(|error| later(error.into()))?.to_bytes();
            Ok((head.status, body))
        };
        let (status, body) =
            tokio::time::timeout(RESPONSE_WITHIN, exchange).await.map_err(|_| {
                ApiError::Later(anyhow!("GET {url}: no response within {RESPONSE_WITHIN:?}"))
            })??;
        let said = || anyhow!("GET {url} responds {status}: {}", String::from_utf8_lossy(&body));
        match status.as_u16() {
            200 => serde_json::from_slice(&body)
                .with_context(|| format!("GET {url} responds something that is not expected here"))
                .map_err(ApiError::Never),
            429 | 500.. => Err(ApiError::Later(said())),
            403 => Err(ApiError::Never(said().context(
                "the API refuses the request: your credentials need execute-api:Invoke on it",
            ))),
            _ => Err(ApiError::Never(said())),
        }
    }
}

/// Trusts whom this machine trusts.
fn tls_config() -> anyhow::Result<ClientConfig> {
    let mut roots = RootCertStore::empty();
    // Without any, plain HTTP still works, and HTTPS says what is wrong.
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder =
        ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    Ok(builder.with_root_certificates(roots).with_no_client_auth())
}
