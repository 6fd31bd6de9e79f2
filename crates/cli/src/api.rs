//! The API of aurora-sync: what became of an import.

use std::time::Duration;

use anyhow::{Context, anyhow};
use bytes::Bytes;
use hyper::Request;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;

use crate::aws::Signer;
use crate::http::{Http, HttpResponse};

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
    http: Http,
}

impl Api {
    pub(crate) fn new(url: String, signer: Signer) -> anyhow::Result<Self> {
        Ok(Self { url, signer, http: Http::new()? })
    }

    /// The imports of an object, the newest first.
    pub(crate) async fn imports_of(&self, key: &str) -> Result<Vec<Import>, ApiError> {
        let key = utf8_percent_encode(key, VALUE);
        self.get(&format!("/_sync/imports?key=eq.{key}&limit=100")).await
    }

    pub(crate) async fn import(&self, id: &str) -> Result<Import, ApiError> {
        self.get(&format!("/_sync/imports/{id}")).await
    }

    async fn get<T: for<'de> Deserialize<'de>>(&self, path: &str) -> Result<T, ApiError> {
        let request = Request::get(format!("{}{path}", self.url)).body(Bytes::new());
        let request = request.map_err(|error| ApiError::Never(error.into()))?;
        let response = self.send(request, true).await?;
        self.read(path, &response)
    }

    /// Sends a request, signed or not, and returns its response of whatever status.
    pub(crate) async fn send(
        &self,
        mut request: Request<Bytes>,
        is_signed: bool,
    ) -> Result<HttpResponse, ApiError> {
        if is_signed {
            self.signer.sign(&mut request).await.map_err(ApiError::Never)?;
        }
        let what = format!("{} {}", request.method(), request.uri());
        let response = self.http.send(request, RESPONSE_WITHIN).await;
        response.map_err(|error| ApiError::Later(error.context(what)))
    }

    /// Reads the response to a `GET` of this path.
    pub(crate) fn read<T: for<'de> Deserialize<'de>>(
        &self,
        path: &str,
        response: &HttpResponse,
    ) -> Result<T, ApiError> {
        let url = format!("{}{path}", self.url);
        let HttpResponse { status, body, .. } = response;
        let said = || anyhow!("GET {url} responds {status}: {}", String::from_utf8_lossy(body));
        match status {
            200 => serde_json::from_slice(body)
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
