//! S3: reads objects of any size in ranges, writes objects of any size in parts.
//!
//! Memory holds three ranges of [`range::RANGE_BYTES`] while reading, and one part of [`upload::PART_BYTES`] while writing.

mod range;
mod upload;

use std::collections::BTreeMap;

use aws_config::SdkConfig;
use aws_sdk_s3::Client;
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_s3::primitives::ByteStream;
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use serde::{Deserialize, Serialize};

pub use self::range::{RANGE_BYTES, RangeReader};
pub use self::upload::{PART_BYTES, Upload};
use crate::domain::error::{ServiceError, ServiceFault};

/// The buckets that the function may reach.
#[derive(Debug, Clone)]
pub struct Objects {
    client: Client,
}

/// Which object, as its notification names it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ObjectName {
    pub bucket: String,
    pub key: String,
    /// Where the bucket keeps versions.
    pub version_id: Option<String>,
    /// Without quotes; what is read must have it, where the notification names it.
    pub etag: Option<String>,
}

impl ObjectName {
    /// What the object must match.
    fn if_match(&self) -> Option<String> {
        self.etag.as_ref().map(|etag| format!("\"{etag}\""))
    }
}

/// What S3 says of an object without its content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObjectHead {
    pub size_bytes: u64,
    /// Without quotes.
    pub etag: Option<String>,
    /// `x-amz-meta-…`, by the rest of the name in lower case. Values are as S3 sends them: those that
    /// are not ASCII are encoded (RFC 2047).
    pub metadata: BTreeMap<String, String>,
}

impl Objects {
    pub fn new(config: &SdkConfig) -> Self {
        Self { client: Client::new(config) }
    }

    /// Size and metadata of an object, as long as it is still the one that is named.
    pub async fn head(&self, name: &ObjectName) -> Result<ObjectHead, ServiceError> {
        let head = self
            .client
            .head_object()
            .bucket(&name.bucket)
            .key(&name.key)
            .set_version_id(name.version_id.clone())
            .set_if_match(name.if_match())
            .send()
            .await;
        let head = match head {
            Ok(head) => head,
            Err(error) => {
                let error = service_error("HeadObject", &error);
                // The response to HEAD has no body that says whether the object or the bucket is missing.
                return Err(match error.fault {
                    ServiceFault::NotFound => self.why_not(name).await.unwrap_or(error),
                    _ => error,
                });
            }
        };
        let size_bytes = head.content_length().and_then(|size| u64::try_from(size).ok());
        let metadata = head.metadata.unwrap_or_default();
        Ok(ObjectHead {
            size_bytes: size_bytes.ok_or_else(|| ServiceError {
                operation: "HeadObject",
                fault: ServiceFault::Unavailable,
                message: "the response does not say how large the object is".to_owned(),
            })?,
            etag: head.e_tag.map(|etag| etag.trim_matches('"').to_owned()),
            metadata: metadata
                .into_iter()
                .map(|(name, value)| (name.to_ascii_lowercase(), value))
                .collect(),
        })
    }

    /// Why an object cannot be read, from a response that has a body.
    async fn why_not(&self, name: &ObjectName) -> Option<ServiceError> {
        let get = self.client.get_object().bucket(&name.bucket).key(&name.key).range("bytes=0-0");
        let get = get.set_version_id(name.version_id.clone()).send().await;
        get.err().map(|error| service_error("GetObject", &error))
    }

    /// Reads an object from this byte on, in ranges fetched ahead.
    ///
    /// `size_bytes` is what [`Objects::head`] says. All ranges are of one object: where `name` has no
    /// `ETag`, they must have that of the first range to arrive. Must be called within a runtime.
    pub fn read(&self, name: &ObjectName, size_bytes: u64, from_byte: u64) -> RangeReader {
        RangeReader::new(self.client.clone(), name.clone(), size_bytes, from_byte)
    }

    pub async fn put(
        &self,
        bucket: &str,
        key: &str,
        content_type: &str,
        bytes: Vec<u8>,
    ) -> Result<(), ServiceError> {
        self.client
            .put_object()
            .bucket(bucket)
            .key(key)
            .content_type(content_type)
            .body(ByteStream::from(bytes))
            .send()
            .await
            .map_err(|error| service_error("PutObject", &error))?;
        Ok(())
    }

    /// Begins to write an object whose size is not yet known. Nothing is sent before there is a part
    /// of it, and nobody sees it before [`Upload::finish`].
    #[expect(
        clippy::unused_async,
        reason = "whoever begins an upload need not know when it is sent"
    )]
    pub async fn upload(
        &self,
        bucket: &str,
        key: &str,
        content_type: &str,
    ) -> Result<Upload, ServiceError> {
        Ok(Upload::new(self.client.clone(), bucket, key, content_type))
    }
}

fn service_error<E>(operation: &'static str, error: &SdkError<E, HttpResponse>) -> ServiceError
where
    E: ProvideErrorMetadata + std::error::Error + 'static,
{
    let code = error.as_service_error().and_then(ProvideErrorMetadata::code);
    let status = error.raw_response().map(|response| response.status().as_u16());
    ServiceError { operation, fault: fault(code, status), message: super::error_text(error) }
}

/// What callers tell apart, by the code of the response's body, or else by its status.
///
/// Amazon S3 API Reference, "Error responses". The response to HEAD has no body.
fn fault(code: Option<&str>, status: Option<u16>) -> ServiceFault {
    match (code, status) {
        (Some("NoSuchKey" | "NoSuchVersion" | "NotFound"), _) => ServiceFault::NotFound,
        // Shorter than it was: there is no such range in it.
        (Some("PreconditionFailed" | "InvalidRange"), _) => ServiceFault::Changed,
        (
            Some(
                "AccessDenied" | "NoSuchBucket" | "AllAccessDisabled" | "InvalidObjectState"
                | "PermanentRedirect",
            ),
            _,
        ) => ServiceFault::Denied,
        // The version is a mark that says that the object was deleted.
        (_, Some(404 | 405)) => ServiceFault::NotFound,
        (_, Some(412 | 416)) => ServiceFault::Changed,
        (None, Some(403)) => ServiceFault::Denied,
        _ => ServiceFault::Unavailable,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_call_says_whose_fault_it_is() {
        use ServiceFault::{Changed, Denied, NotFound, Unavailable};
        for (code, status, expected) in [
            (Some("NoSuchKey"), Some(404), NotFound),
            (Some("NoSuchBucket"), Some(404), Denied),
            (Some("MethodNotAllowed"), Some(405), NotFound),
            (Some("PreconditionFailed"), Some(412), Changed),
            (Some("InvalidRange"), Some(416), Changed),
            (Some("AccessDenied"), Some(403), Denied),
            (Some("RequestTimeTooSkewed"), Some(403), Unavailable),
            (Some("SlowDown"), Some(503), Unavailable),
            (Some("ExpiredToken"), Some(400), Unavailable),
            (None, Some(404), NotFound),
            (None, Some(412), Changed),
            (None, Some(403), Denied),
            (None, Some(500), Unavailable),
            (None, None, Unavailable),
        ] {
            assert_eq!(fault(code, status), expected, "{code:?} {status:?}");
        }
    }
}
