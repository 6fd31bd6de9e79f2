//! Rows and writes by the API.

use anyhow::{Context as _, bail};
use bytes::Bytes;
use hyper::Method;
use serde::Deserialize;

use super::filters::{View, cursor};
use super::row_key::Row;
use super::site::Site;
use crate::api::{ApiError, encoded, refusal};

/// The rows of a page.
const PAGE_ROWS: usize = 50;

/// A page of rows.
#[derive(Debug)]
pub(super) struct Rows {
    pub(super) rows: Vec<Row>,
    /// The cursor of the next page.
    pub(super) next: Option<String>,
}

/// Reads a page of rows.
pub(super) async fn rows(site: &Site, table: &str, view: &View) -> anyhow::Result<Rows> {
    let path = format!("/{}?{}", encoded(table), view.to_api(PAGE_ROWS));
    let page = site.deployed.api.page(&path).await.map_err(ApiError::into_error)?;
    Ok(Rows { rows: page.items, next: page.next.as_deref().and_then(cursor) })
}

/// Reads a row and its `ETag`; `None` if it is not there.
pub(super) async fn row(
    site: &Site,
    table: &str,
    key: &str,
) -> anyhow::Result<Option<(Row, String)>> {
    let path = format!("/{}/{}", encoded(table), encoded(key));
    let response = site.deployed.api.request(Method::GET, &path, &[], Bytes::new()).await;
    let response = response.map_err(ApiError::into_error)?;
    match response.status {
        200 => {
            let row = serde_json::from_slice(&response.body).context("the row is no object")?;
            Ok(Some((row, response.header("etag").to_owned())))
        }
        404 => Ok(None),
        status => bail!("GET {path} responds {status}: {}", refusal(&response)),
    }
}

/// A write of one row.
#[derive(Debug)]
pub(super) struct Write {
    pub(super) method: Method,
    pub(super) path: String,
    pub(super) body: String,
    /// The `ETag` that the row must still have.
    pub(super) etag: Option<String>,
    /// The name of the request: the same request under the same name has one effect.
    pub(super) once: String,
}

/// The response of the API to a write.
#[derive(Debug)]
pub(super) enum Sent {
    /// The id of the write, with its fingerprint if it has one.
    Accepted(String),
    Refused(Refusal),
}

/// The problems of a write that was not accepted.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Refusal {
    /// The columns, each with its problem.
    pub(super) fields: Vec<(String, String)>,
    /// The problem of the whole row.
    pub(super) whole: Option<String>,
}

/// Sends a write.
pub(super) async fn send(site: &Site, write: Write) -> anyhow::Result<Sent> {
    #[derive(Deserialize)]
    struct Accepted {
        status: String,
    }
    let once = format!("\"{}\"", write.once);
    let mut headers =
        vec![("content-type", "application/json"), ("idempotency-key", once.as_str())];
    headers.extend(write.etag.as_deref().map(|etag| ("if-match", etag)));
    let body = Bytes::from(write.body);
    let response = site.deployed.api.request(write.method, &write.path, &headers, body).await;
    let response = response.map_err(ApiError::into_error)?;
    if response.status == 202 {
        let accepted: Accepted = serde_json::from_slice(&response.body)
            .context("the API accepts the write with a response of another form")?;
        let id = accepted.status.rsplit('/').next().unwrap_or_default().to_owned();
        return Ok(Sent::Accepted(id));
    }
    if matches!(response.status, 429 | 500..) {
        bail!("the API responds {}: {}", response.status, refusal(&response));
    }
    Ok(Sent::Refused(
        faults(&response.body)
            .unwrap_or_else(|| Refusal { fields: Vec::new(), whole: Some(refusal(&response)) }),
    ))
}

/// Reads the faults of a body from problem details. `None` if there are none.
fn faults(body: &[u8]) -> Option<Refusal> {
    #[derive(Deserialize)]
    struct Problem {
        errors: Vec<Fault>,
    }
    #[derive(Deserialize)]
    struct Fault {
        pointer: String,
        detail: String,
    }
    let problem: Problem = serde_json::from_slice(body).ok()?;
    let mut refusal = Refusal::default();
    for fault in problem.errors {
        let mut names = fault.pointer.split('/').skip(1);
        match (names.next(), names.next()) {
            (Some(name), None) if !name.is_empty() => {
                let name = name.replace("~1", "/").replace("~0", "~");
                refusal.fields.push((name, fault.detail));
            }
            _ => refusal.whole = Some(fault.detail),
        }
    }
    Some(refusal)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_faults_of_a_body_are_those_of_its_columns() {
        let body =
            br#"{"title":"t","errors":[{"pointer":"/a~1b","rule":"type","detail":"expected x"},
            {"pointer":"","rule":"empty","detail":"expected a column"}]}"#;
        let expected = Refusal {
            fields: vec![("a/b".to_owned(), "expected x".to_owned())],
            whole: Some("expected a column".to_owned()),
        };
        assert_eq!(faults(body), Some(expected));
        assert_eq!(faults(b"{\"message\":\"Forbidden\"}"), None);
    }
}
