//! Writes of an object of any size, with one part in memory.

use std::collections::BTreeMap;

use aws_sdk_s3::Client;
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{CompletedMultipartUpload, CompletedPart};

use super::service_error;
use crate::domain::error::ServiceError;

/// The size of a part except the last, in bytes: the least that S3 allows. With at most 10,000
/// parts (Amazon S3 User Guide, "Amazon S3 multipart upload limits"), an object has up to 48.8 GiB.
pub const PART_BYTES: usize = 5 * 1024 * 1024;

/// An object under construction: a multipart upload if it has more than one part, otherwise a
/// single PUT.
#[derive(Debug)]
pub struct Upload {
    client: Client,
    target: UploadTarget,
    /// The bytes that do not fill a part yet.
    buffer: Vec<u8>,
    multipart: Option<Multipart>,
}

#[derive(Debug, Clone)]
struct UploadTarget {
    bucket: String,
    key: String,
    content_type: String,
    metadata: BTreeMap<String, String>,
}

/// A multipart upload that S3 has created.
#[derive(Debug)]
struct Multipart {
    id: String,
    parts: Vec<CompletedPart>,
}

impl Upload {
    pub(super) fn new(client: Client, bucket: &str, key: &str, content_type: &str) -> Self {
        let target = UploadTarget {
            bucket: bucket.to_owned(),
            key: key.to_owned(),
            content_type: content_type.to_owned(),
            metadata: BTreeMap::new(),
        };
        Self { client, target, buffer: Vec::new(), multipart: None }
    }

    /// Sets the metadata. Values that are not ASCII must be encoded (RFC 2047).
    #[must_use]
    pub fn with_metadata(mut self, metadata: BTreeMap<String, String>) -> Self {
        self.target.metadata = metadata;
        self
    }

    /// Appends bytes to the object. After an error, the upload is aborted.
    pub async fn push(&mut self, mut bytes: &[u8]) -> Result<(), ServiceError> {
        while self.buffer.len() + bytes.len() >= PART_BYTES {
            let (taken, rest) = bytes.split_at(PART_BYTES - self.buffer.len());
            self.buffer.extend_from_slice(taken);
            bytes = rest;
            if let Err(error) = self.send_part().await {
                self.abort().await;
                return Err(error);
            }
        }
        self.buffer.extend_from_slice(bytes);
        Ok(())
    }

    /// Makes the object visible. After an error, the upload is aborted.
    pub async fn finish(mut self) -> Result<(), ServiceError> {
        let end = self.try_finish().await;
        match end {
            Ok(()) => self.multipart = None,
            Err(_) => self.abort().await,
        }
        end
    }

    async fn try_finish(&mut self) -> Result<(), ServiceError> {
        if self.multipart.is_none() {
            return self.put().await;
        }
        if !self.buffer.is_empty() {
            self.send_part().await?;
        }
        let Some(multipart) = &self.multipart else { return Ok(()) };
        let parts = CompletedMultipartUpload::builder().set_parts(Some(multipart.parts.clone()));
        self.client
            .complete_multipart_upload()
            .bucket(&self.target.bucket)
            .key(&self.target.key)
            .upload_id(&multipart.id)
            .multipart_upload(parts.build())
            .send()
            .await
            .map_err(|error| service_error("CompleteMultipartUpload", &error))?;
        Ok(())
    }

    async fn put(&mut self) -> Result<(), ServiceError> {
        let target = &self.target;
        self.client
            .put_object()
            .bucket(&target.bucket)
            .key(&target.key)
            .content_type(&target.content_type)
            .set_metadata(Some(target.metadata.clone().into_iter().collect()))
            .body(ByteStream::from(std::mem::take(&mut self.buffer)))
            .send()
            .await
            .map_err(|error| service_error("PutObject", &error))?;
        Ok(())
    }

    /// Sends the buffer as a part.
    async fn send_part(&mut self) -> Result<(), ServiceError> {
        let target = &self.target;
        let multipart = match &mut self.multipart {
            Some(multipart) => multipart,
            none => {
                let created = self
                    .client
                    .create_multipart_upload()
                    .bucket(&target.bucket)
                    .key(&target.key)
                    .content_type(&target.content_type)
                    .set_metadata(Some(target.metadata.clone().into_iter().collect()))
                    .send()
                    .await
                    .map_err(|error| service_error("CreateMultipartUpload", &error))?;
                let id = created.upload_id.unwrap_or_default();
                none.insert(Multipart { id, parts: Vec::new() })
            }
        };
        let number = i32::try_from(multipart.parts.len() + 1).unwrap_or(i32::MAX);
        let sent = self
            .client
            .upload_part()
            .bucket(&target.bucket)
            .key(&target.key)
            .upload_id(&multipart.id)
            .part_number(number)
            .body(ByteStream::from(std::mem::take(&mut self.buffer)))
            .send()
            .await
            .map_err(|error| service_error("UploadPart", &error))?;
        multipart.parts.push(
            CompletedPart::builder()
                .part_number(number)
                .set_e_tag(sent.e_tag)
                .set_checksum_crc32(sent.checksum_crc32)
                .set_checksum_crc32_c(sent.checksum_crc32_c)
                .set_checksum_crc64_nvme(sent.checksum_crc64_nvme)
                .build(),
        );
        Ok(())
    }

    /// Aborts the multipart upload. If that fails, the bucket's lifecycle rule removes the parts.
    async fn abort(&mut self) {
        if let Some(multipart) = self.multipart.take() {
            abort(&self.client, &self.target, &multipart.id).await;
        }
    }
}

impl Drop for Upload {
    fn drop(&mut self) {
        let Some(multipart) = self.multipart.take() else { return };
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        let (client, target) = (self.client.clone(), self.target.clone());
        runtime.spawn(async move { abort(&client, &target, &multipart.id).await });
    }
}

async fn abort(client: &Client, target: &UploadTarget, upload_id: &str) {
    let abort = client.abort_multipart_upload().bucket(&target.bucket).key(&target.key);
    if let Err(error) = abort.upload_id(upload_id).send().await {
        let error = service_error("AbortMultipartUpload", &error);
        tracing::warn!(%error, "upload not aborted; its parts stay in the bucket");
    }
}
