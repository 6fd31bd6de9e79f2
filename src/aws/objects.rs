//! S3: reads one object as a stream, writes small ones whole.

use aws_config::SdkConfig;
use aws_sdk_s3::Client;
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_s3::primitives::ByteStream;

use crate::error::{ServiceError, ServiceFault};

/// The buckets that the function may reach.
#[derive(Debug, Clone)]
pub struct Objects {
    client: Client,
}

/// Which object, as its notification names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObjectName {
    pub bucket: String,
    pub key: String,
    /// Where the bucket keeps versions.
    pub version_id: Option<String>,
    /// Without quotes; what is read must have it, where the notification names it.
    pub etag: Option<String>,
}

/// An object that is being read.
#[derive(Debug)]
pub struct Body {
    stream: ByteStream,
}

impl Objects {
    pub fn new(config: &SdkConfig) -> Self {
        Self { client: Client::new(config) }
    }

    /// Opens an object, as long as it is still the one that is named.
    pub async fn open(&self, name: &ObjectName) -> Result<Body, ServiceError> {
        let output = self
            .client
            .get_object()
            .bucket(&name.bucket)
            .key(&name.key)
            .set_version_id(name.version_id.clone())
            .set_if_match(name.etag.as_ref().map(|etag| format!("\"{etag}\"")))
            .send()
            .await
            .map_err(|error| service_error("GetObject", &error))?;
        Ok(Body { stream: output.body })
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
}

impl Body {
    /// The next bytes; `None` at the end.
    pub async fn next(&mut self) -> Result<Option<impl AsRef<[u8]> + use<>>, ServiceError> {
        self.stream.try_next().await.map_err(|error| ServiceError {
            operation: "GetObject",
            fault: ServiceFault::Unavailable,
            message: super::error_text(&error),
        })
    }
}

fn service_error<E, R>(operation: &'static str, error: &SdkError<E, R>) -> ServiceError
where
    E: ProvideErrorMetadata + std::error::Error + 'static,
    R: std::fmt::Debug + 'static,
{
    let fault = match error.as_service_error().and_then(ProvideErrorMetadata::code) {
        Some("NoSuchKey" | "NoSuchVersion" | "NotFound") => ServiceFault::NotFound,
        Some("PreconditionFailed") => ServiceFault::Changed,
        Some("AccessDenied" | "NoSuchBucket" | "AllAccessDisabled") => ServiceFault::Denied,
        _ => ServiceFault::Unavailable,
    };
    ServiceError { operation, fault, message: super::error_text(error) }
}
