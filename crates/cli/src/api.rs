//! The API of aurora-sync: what became of an import.

use std::time::Duration;

use anyhow::{Context, anyhow};
use bytes::Bytes;
use hyper::{Method, Request};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::{Deserialize, Serialize};

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

impl ApiError {
    /// Returns the error, whether or not a later request may succeed.
    pub(crate) fn into_error(self) -> anyhow::Error {
        match self {
            Self::Later(error) | Self::Never(error) => error,
        }
    }
}

/// A page of a list of the API.
#[derive(Debug, Serialize)]
pub(crate) struct Page<T> {
    pub(crate) items: Vec<T>,
    /// The path of the next page, if there is one.
    pub(crate) next: Option<String>,
}

/// Returns the path of the next page: the link holds its query.
fn next_page(path: &str, link: &str) -> Option<String> {
    let (reference, rest) = link.strip_prefix('<')?.split_once('>')?;
    let path = path.split_once('?').map_or(path, |(path, _)| path);
    (rest.contains("rel=\"next\"") && reference.starts_with('?'))
        .then(|| format!("{path}{reference}"))
}

/// Percent-encodes a value of a query, or a segment of a path.
pub(crate) fn encoded(text: &str) -> String {
    utf8_percent_encode(text, VALUE).to_string()
}

/// Explains a refusal by its problem details, or else by its body.
pub(crate) fn refusal(response: &HttpResponse) -> String {
    #[derive(Deserialize)]
    struct Problem {
        title: String,
        detail: String,
        #[serde(default)]
        errors: Vec<Fault>,
    }
    #[derive(Deserialize)]
    struct Fault {
        pointer: String,
        detail: String,
    }
    match serde_json::from_slice::<Problem>(&response.body) {
        Ok(problem) => {
            let faults = problem.errors.iter();
            let faults = faults.map(|fault| format!("; {}: {}", fault.pointer, fault.detail));
            format!("{}: {}{}", problem.title, problem.detail, faults.collect::<String>())
        }
        Err(_) => String::from_utf8_lossy(&response.body).into_owned(),
    }
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

    /// Returns the address of the API, without a slash at its end.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// The imports of an object, the newest first.
    pub(crate) async fn imports_of(&self, key: &str) -> Result<Vec<Import>, ApiError> {
        let key = utf8_percent_encode(key, VALUE);
        self.get(&format!("/_sync/imports?key=eq.{key}&limit=100")).await
    }

    pub(crate) async fn import(&self, id: &str) -> Result<Import, ApiError> {
        self.get(&format!("/_sync/imports/{id}")).await
    }

    /// Reads a path of the API, which begins with a slash.
    pub(crate) async fn get<T: for<'de> Deserialize<'de>>(
        &self,
        path: &str,
    ) -> Result<T, ApiError> {
        let response = self.request(Method::GET, path, &[], Bytes::new()).await?;
        self.read(path, &response)
    }

    /// Reads a page of a list.
    pub(crate) async fn page<T: for<'de> Deserialize<'de>>(
        &self,
        path: &str,
    ) -> Result<Page<T>, ApiError> {
        let response = self.request(Method::GET, path, &[], Bytes::new()).await?;
        let next = next_page(path, response.header("link"));
        Ok(Page { items: self.read(path, &response)?, next })
    }

    /// Sends a signed request to a path of the API, and returns its response of whatever status.
    pub(crate) async fn request(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: Bytes,
    ) -> Result<HttpResponse, ApiError> {
        let mut request = Request::builder().method(method).uri(format!("{}{path}", self.url));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(body).map_err(|error| ApiError::Never(error.into()))?;
        self.send(request, true).await
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
        let said = || anyhow!("GET {url} responds {status}: {}", refusal(response));
        match status {
            200 => serde_json::from_slice(body)
                .with_context(|| format!("GET {url} responds something that is not expected here"))
                .map_err(ApiError::Never),
            // The database resumes from a pause, which is worth waiting for.
            503 => Err(ApiError::Later(anyhow!("{}", refusal(response)))),
            429 | 500.. => Err(ApiError::Later(said())),
            403 => Err(ApiError::Never(said().context(
                "the API refuses the request: your credentials need execute-api:Invoke on it",
            ))),
            _ => Err(ApiError::Never(said())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_page_is_the_same_path_with_the_query_of_the_link() {
        let next = |link| next_page("/_sync/writes?limit=2", link);
        let link = "<?limit=2&cursor=ab>; rel=\"next\"";
        assert_eq!(next(link).as_deref(), Some("/_sync/writes?limit=2&cursor=ab"));
        assert_eq!(next(""), None);
    }

    #[test]
    fn a_refusal_names_the_faults_of_its_problem() {
        let response = |body: &'static str| HttpResponse {
            status: 422,
            headers: hyper::HeaderMap::new(),
            body: Bytes::from_static(body.as_bytes()),
        };
        let problem = r#"{"title":"Invalid","detail":"One fault.","errors":[{"pointer":"/age","detail":"a number"}]}"#;
        assert_eq!(refusal(&response(problem)), "Invalid: One fault.; /age: a number");
        assert_eq!(refusal(&response("gone")), "gone");
    }
}
