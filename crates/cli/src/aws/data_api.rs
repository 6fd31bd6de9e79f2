//! The RDS Data API as its bytes: the probe looks at statuses, headers and sizes, which an SDK
//! hides.

use std::time::Duration;

use anyhow::Context;
use bytes::Bytes;
use hyper::Request;
use hyper::header::CONTENT_TYPE;

use super::{Aws, Signer};
use crate::http::{Http, HttpResponse};

/// A call takes 45 s at most, and a request of 4 MiB some time to get there.
const RESPONSE_WITHIN: Duration = Duration::from_mins(2);

/// A client of the Data API of one region.
#[derive(Debug)]
pub(crate) struct DataApi {
    url: String,
    signer: Signer,
    http: Http,
}

impl Aws {
    /// Returns a client for the region of a cluster.
    pub(crate) fn data_api(&self, cluster_arn: &str) -> anyhow::Result<DataApi> {
        let region = cluster_arn.split(':').nth(3).filter(|region| !region.is_empty());
        let region =
            region.with_context(|| format!("{cluster_arn} is not the ARN of a cluster"))?;
        let environment = std::env::var("AWS_ENDPOINT_URL_RDS_DATA").ok();
        let url =
            environment.or_else(|| self.config.endpoint_url().map(str::to_owned)).map_or_else(
                || Ok(format!("https://rds-data.{region}.{}", self.domain()?)),
                anyhow::Ok,
            )?;
        Ok(DataApi {
            url: url.trim_end_matches('/').to_owned(),
            signer: self.signer_of("rds-data", Some(region.to_owned()))?,
            http: Http::new()?,
        })
    }
}

impl DataApi {
    /// Sends a body to a path of the API. Nothing is tried again.
    pub(crate) async fn send(&self, path: &str, body: Bytes) -> anyhow::Result<HttpResponse> {
        self.http.send(self.request(path, body).await?, RESPONSE_WITHIN).await
    }

    async fn request(&self, path: &str, body: Bytes) -> anyhow::Result<Request<Bytes>> {
        let request = Request::post(format!("{}{path}", self.url));
        let mut request = request.header(CONTENT_TYPE, "application/json").body(body)?;
        self.signer.sign(&mut request).await?;
        Ok(request)
    }

    /// Sends a body that makes the whole request this long in bytes, from its first line to its
    /// end. `make` makes a body of a length.
    pub(crate) async fn send_sized(
        &self,
        path: &str,
        request_bytes: usize,
        make: impl Fn(usize) -> Bytes,
    ) -> anyhow::Result<HttpResponse> {
        // The number of digits of content-length is that of the size, and signatures have one
        // length.
        let head = head_bytes(&self.request(path, make(request_bytes / 2)).await?);
        let request = self.request(path, make(request_bytes - head)).await?;
        anyhow::ensure!(
            head_bytes(&request) + request.body().len() == request_bytes,
            "the request cannot be made {request_bytes} bytes long"
        );
        self.http.send(request, RESPONSE_WITHIN).await
    }
}

/// Returns the bytes of the request line and the headers, with those that HTTP/1.1 adds.
fn head_bytes(request: &Request<Bytes>) -> usize {
    let path = request.uri().path_and_query().map_or("/", |path| path.as_str());
    let line = format!("{} {path} HTTP/1.1\r\n", request.method()).len();
    let host = request.uri().authority().map_or(0, |authority| authority.as_str().len());
    let length = request.body().len().to_string().len();
    let added = "host: \r\n".len() + host + "content-length: \r\n".len() + length;
    let headers: usize =
        request.headers().iter().map(|(name, value)| name.as_str().len() + value.len() + 4).sum();
    line + added + headers + 2
}
