//! S3: reads objects of any size in ranges, and writes objects of any size in parts.
//!
//! Takes memory for three ranges of [`range::RANGE_BYTES`] while reading, and for one part of
//! [`upload::PART_BYTES`] while writing.

mod range;
mod upload;

use std::collections::BTreeMap;

use aws_config::SdkConfig;
use aws_sdk_s3::Client;
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_s3::primitives::{ByteStream, DateTime, DateTimeFormat as Format};
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use serde::{Deserialize, Serialize};

pub use self::range::{RANGE_BYTES, RangeReader};
pub use self::upload::{PART_BYTES, Upload};
use crate::domain::error::{ServiceError, ServiceFault};

/// A client of the buckets that the function may reach.
#[derive(Debug, Clone)]
pub struct Objects {
    client: Client,
}

/// The name of one version of an object, as in its notification.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ObjectName {
    pub bucket: String,
    pub key: String,
    /// The version, if the bucket keeps versions.
    pub version_id: Option<String>,
    /// The `ETag` without quotes, if the notification has it. Reads of another `ETag` fail with
    /// [`ServiceFault::Changed`].
    pub etag: Option<String>,
}

/// A small object, or the news that it is still the known one.
#[derive(Debug)]
pub struct Fetched {
    /// The `ETag` as S3 sends it, and the content; `None` if the object has the known `ETag`.
    pub changed: Option<(Option<String>, Vec<u8>)>,
    /// The time at which the object was written last, in seconds since 1970.
    pub written_at: Option<i64>,
}

impl ObjectName {
    /// Returns the value of the header `If-Match`.
    fn if_match(&self) -> Option<String> {
        self.etag.as_ref().map(|etag| format!("\"{etag}\""))
    }
}

/// The size and metadata of an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObjectHead {
    pub size_bytes: u64,
    /// The `ETag` without quotes.
    pub etag: Option<String>,
    /// The values of `x-amz-meta-…`, by the rest of the name in lower case, as S3 sends them.
    /// Values that are not ASCII are encoded (RFC 2047).
    pub metadata: BTreeMap<String, String>,
}

impl ObjectHead {
    /// Returns the metadata with its values decoded.
    pub fn decoded_metadata(&self) -> BTreeMap<String, String> {
        self.metadata.iter().map(|(name, value)| (name.clone(), decoded(value))).collect()
    }
}

impl Objects {
    /// Makes a client.
    pub fn new(config: &SdkConfig) -> Self {
        Self { client: Client::new(config) }
    }

    /// Returns the size and metadata of an object. Fails with [`ServiceFault::Changed`] if the
    /// object has another `ETag`.
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
                // The response to HEAD has no body that shows if the object or the bucket is
                // missing.
                return Err(match error.fault {
                    ServiceFault::NotFound => self.get_error(name).await.unwrap_or(error),
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
                message: "the response has no size of the object".to_owned(),
            })?,
            etag: head.e_tag.map(|etag| etag.trim_matches('"').to_owned()),
            metadata: metadata
                .into_iter()
                .map(|(name, value)| (name.to_ascii_lowercase(), value))
                .collect(),
        })
    }

    /// Returns the error of a GET request, whose response has a body.
    async fn get_error(&self, name: &ObjectName) -> Option<ServiceError> {
        let get = self.client.get_object().bucket(&name.bucket).key(&name.key).range("bytes=0-0");
        let get = get.set_version_id(name.version_id.clone()).send().await;
        get.err().map(|error| service_error("GetObject", &error))
    }

    /// Reads an object from a byte on, in ranges that are fetched ahead.
    ///
    /// `size_bytes` is from [`Objects::head`]. All ranges are of one object: if `name` has no
    /// `ETag`, they must have the `ETag` of the first range that arrives. Must be called within a
    /// Tokio runtime.
    pub fn read(&self, name: &ObjectName, size_bytes: u64, from_byte: u64) -> RangeReader {
        RangeReader::new(self.client.clone(), name.clone(), size_bytes, from_byte)
    }

    /// Writes an object from memory.
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

    /// Reads a small object into memory, unless it has this `ETag`.
    pub async fn get_if_changed(
        &self,
        bucket: &str,
        key: &str,
        etag: Option<&str>,
    ) -> Result<Fetched, ServiceError> {
        let get = self.client.get_object().bucket(bucket).key(key);
        let object = match get.set_if_none_match(etag.map(str::to_owned)).send().await {
            Ok(object) => object,
            Err(error) => {
                let unchanged =
                    error.raw_response().filter(|response| response.status().as_u16() == 304);
                let Some(response) = unchanged else {
                    return Err(service_error("GetObject", &error));
                };
                let written = response.headers().get("last-modified");
                let written =
                    written.and_then(|date| DateTime::from_str(date, Format::HttpDate).ok());
                return Ok(Fetched { changed: None, written_at: written.map(|time| time.secs()) });
            }
        };
        let (etag, written) = (object.e_tag, object.last_modified);
        let bytes = object.body.collect().await.map_err(|error| ServiceError {
            operation: "GetObject",
            fault: ServiceFault::Unavailable,
            message: super::error_text(&error),
        })?;
        Ok(Fetched {
            changed: Some((etag, bytes.to_vec())),
            written_at: written.map(|time| time.secs()),
        })
    }

    /// Writes a small JSON object. Fails with [`ServiceFault::Changed`] if the object no longer has
    /// this `ETag` or, without one, if there is an object.
    pub async fn replace(
        &self,
        bucket: &str,
        key: &str,
        json: Vec<u8>,
        etag: Option<&str>,
    ) -> Result<(), ServiceError> {
        let put = self.client.put_object().bucket(bucket).key(key).content_type("application/json");
        let put = match etag {
            Some(etag) => put.if_match(etag),
            None => put.if_none_match("*"),
        };
        put.body(ByteStream::from(json))
            .send()
            .await
            .map_err(|error| service_error("PutObject", &error))?;
        Ok(())
    }

    /// Begins to write an object of unknown size. Sends nothing before there is a full part. The
    /// object becomes visible with [`Upload::finish`].
    #[expect(
        clippy::unused_async,
        reason = "callers need not know when an upload sends its first request"
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

/// Decodes a metadata value: S3 sends a value that is not ASCII as encoded words (RFC 2047).
fn decoded(raw: &str) -> String {
    if !raw.contains("=?") {
        return raw.to_owned();
    }
    let header = [b"value: ", raw.as_bytes()].concat();
    mailparse::parse_header(&header)
        .map_or_else(|_| raw.to_owned(), |(header, _)| header.get_value())
}

fn service_error<E>(operation: &'static str, error: &SdkError<E, HttpResponse>) -> ServiceError
where
    E: ProvideErrorMetadata + std::error::Error + 'static,
{
    let code = error.as_service_error().and_then(ProvideErrorMetadata::code);
    let status = error.raw_response().map(|response| response.status().as_u16());
    ServiceError { operation, fault: fault(code, status), message: super::error_text(error) }
}

/// Classifies an error by the code in the response's body or, without a body, by its status.
///
/// Source: Amazon S3 API Reference, "Error responses". The response to HEAD has no body.
fn fault(code: Option<&str>, status: Option<u16>) -> ServiceFault {
    match (code, status) {
        (Some("NoSuchKey" | "NoSuchVersion" | "NotFound"), _) => ServiceFault::NotFound,
        // The object is shorter than it was, and has no such range.
        (Some("PreconditionFailed" | "ConditionalRequestConflict" | "InvalidRange"), _) => {
            ServiceFault::Changed
        }
        (
            Some(
                "AccessDenied" | "NoSuchBucket" | "AllAccessDisabled" | "InvalidObjectState"
                | "PermanentRedirect",
            ),
            _,
        ) => ServiceFault::Denied,
        // The version is a delete marker.
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
    fn each_error_has_a_fault() {
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

    #[test]
    fn metadata_that_is_not_ascii_comes_as_encoded_words() {
        assert_eq!(decoded("=?UTF-8?B?54Sh44GX?="), "無し");
        assert_eq!(decoded("=?UTF-8?Q?=E7=84=A1=E3=81=97?="), "無し");
        assert_eq!(decoded("=?x"), "=?x");
        assert_eq!(decoded("plain"), "plain");
    }
}
