//! Objects of S3: uploads in parts, copies, downloads.

use std::collections::HashMap;
use std::path::Path;

use anyhow::Context;
use aws_sdk_s3::Client;
use aws_sdk_s3::error::ProvideErrorMetadata;
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{CompletedMultipartUpload, CompletedPart, MetadataDirective};
use bytes::Bytes;
use tokio::fs::File;
use tokio::io::AsyncWriteExt as _;
use tokio::task::JoinSet;

use super::{Aws, explained};

/// Parts that are under way at a time.
const PARTS_AT_ONCE: usize = 4;

/// The most bytes that S3 copies at once (Amazon S3 API Reference, "Copy an object").
const COPIED_BYTES_MAX: i64 = 5 * 1024 * 1024 * 1024;

/// The identity of one upload of an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Uploaded {
    /// The version where the bucket keeps versions, else the `ETag`, as `sync.import` names it.
    pub(crate) version: String,
}

/// S3.
#[derive(Debug, Clone)]
pub(crate) struct Objects {
    client: Client,
}

/// An object that is to be.
#[derive(Debug, Clone)]
pub(crate) struct UploadTarget {
    pub(crate) bucket: String,
    pub(crate) key: String,
    pub(crate) metadata: Vec<(&'static str, String)>,
}

impl UploadTarget {
    fn cannot(&self) -> String {
        format!("cannot upload to s3://{}/{}", self.bucket, self.key)
    }
}

/// An upload in parts that has begun.
#[derive(Debug)]
pub(crate) struct Begun {
    id: String,
    /// The first parts, which have arrived.
    parts: Vec<CompletedPart>,
    bytes: u64,
}

impl Begun {
    pub(crate) fn id(&self) -> &str {
        &self.id
    }

    /// Returns the bytes that have arrived, from the first one on.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }
}

/// Bytes of a file, part by part.
pub(crate) trait Parts {
    /// The next part; `None` at the end. Only the last is smaller than the others.
    async fn next(&mut self) -> anyhow::Result<Option<Bytes>>;
}

/// Parts that were taken already, and the others.
struct WithHead<'a, P> {
    head: std::array::IntoIter<Bytes, 2>,
    rest: &'a mut P,
}

impl<P: Parts> Parts for WithHead<'_, P> {
    async fn next(&mut self) -> anyhow::Result<Option<Bytes>> {
        match self.head.next() {
            Some(part) => Ok(Some(part)),
            None => self.rest.next().await,
        }
    }
}

impl Aws {
    /// Makes a client of S3.
    pub(crate) fn objects(&self) -> Objects {
        Objects { client: Client::new(&self.config) }
    }
}

impl Objects {
    /// Writes an object of one part, or of several at a time; tells `sent` how many bytes have
    /// arrived. After an error nothing is left of it.
    pub(crate) async fn upload(
        &self,
        target: &UploadTarget,
        parts: &mut impl Parts,
        sent: impl Fn(u64),
    ) -> anyhow::Result<Uploaded> {
        let first = parts.next().await?.unwrap_or_default();
        let Some(second) = parts.next().await? else {
            return self.put(target, first, sent).await.with_context(|| target.cannot());
        };
        let begun = self.begin(target).await?;
        let id = begun.id.clone();
        let mut parts = WithHead { head: [first, second].into_iter(), rest: parts };
        let finished = self.finish(target, begun, &mut parts, sent).await;
        if finished.is_err() {
            // A lifecycle rule of the bucket removes the rest.
            let abort = self.client.abort_multipart_upload().bucket(&target.bucket);
            drop(abort.key(&target.key).upload_id(id).send().await);
        }
        finished
    }

    async fn put(
        &self,
        target: &UploadTarget,
        bytes: Bytes,
        sent: impl Fn(u64),
    ) -> anyhow::Result<Uploaded> {
        let len = bytes.len() as u64;
        let put = self.client.put_object().bucket(&target.bucket).key(&target.key);
        let put = put.set_metadata(Some(metadata(target))).body(ByteStream::from(bytes));
        let put = put.send().await.map_err(explained)?;
        sent(len);
        uploaded(put.version_id, put.e_tag)
    }

    /// Begins an upload in parts.
    pub(crate) async fn begin(&self, target: &UploadTarget) -> anyhow::Result<Begun> {
        let begun = async {
            let create =
                self.client.create_multipart_upload().bucket(&target.bucket).key(&target.key);
            let created = create.set_metadata(Some(metadata(target))).send().await;
            created.map_err(explained)?.upload_id.context("S3 names no upload")
        };
        let id = begun.await.with_context(|| target.cannot())?;
        Ok(Begun { id, parts: Vec::new(), bytes: 0 })
    }

    /// Finds an upload that was begun before, with the first parts of this size that have arrived.
    /// Returns `None` if S3 does not know it any more, or if the caller may not list its parts.
    pub(crate) async fn resume(
        &self,
        target: &UploadTarget,
        id: &str,
        part_bytes: u64,
    ) -> anyhow::Result<Option<Begun>> {
        let list = self.client.list_parts().bucket(&target.bucket).key(&target.key).upload_id(id);
        let mut pages = list.into_paginator().send();
        let mut begun = Begun { id: id.to_owned(), parts: Vec::new(), bytes: 0 };
        while let Some(page) = pages.next().await {
            let page = match page {
                Ok(page) => page,
                Err(error)
                    if matches!(
                        error.as_service_error().and_then(ProvideErrorMetadata::code),
                        Some("NoSuchUpload" | "AccessDenied")
                    ) =>
                {
                    return Ok(None);
                }
                Err(error) => return Err(explained(error)).with_context(|| target.cannot()),
            };
            for part in page.parts.unwrap_or_default() {
                let number = i32::try_from(begun.parts.len() + 1).ok();
                let len = part.size.and_then(|size| u64::try_from(size).ok());
                if part.part_number != number || len != Some(part_bytes) {
                    return Ok(Some(begun));
                }
                begun.bytes += part_bytes;
                let part = CompletedPart::builder()
                    .set_part_number(number)
                    .set_e_tag(part.e_tag)
                    .set_checksum_crc32(part.checksum_crc32)
                    .set_checksum_crc32_c(part.checksum_crc32_c)
                    .set_checksum_crc64_nvme(part.checksum_crc64_nvme);
                begun.parts.push(part.build());
            }
        }
        Ok(Some(begun))
    }

    /// Sends the parts after those that have arrived, and completes the object. After an error the
    /// upload can be resumed.
    pub(crate) async fn finish(
        &self,
        target: &UploadTarget,
        begun: Begun,
        parts: &mut impl Parts,
        sent: impl Fn(u64),
    ) -> anyhow::Result<Uploaded> {
        let id = begun.id.clone();
        let finished = async {
            let parts = self.send_parts(target, begun, parts, sent).await?;
            self.complete(target, &id, parts).await
        };
        finished.await.with_context(|| target.cannot())
    }

    async fn send_parts(
        &self,
        target: &UploadTarget,
        begun: Begun,
        parts: &mut impl Parts,
        sent: impl Fn(u64),
    ) -> anyhow::Result<Vec<CompletedPart>> {
        let mut under_way = JoinSet::new();
        let mut done = begun.parts;
        let mut number = i32::try_from(done.len())?;
        loop {
            let next = parts.next().await?;
            if next.is_none() || under_way.len() == PARTS_AT_ONCE {
                match under_way.join_next().await {
                    Some(part) => {
                        let (part, len) = part.context("a part was not sent")??;
                        done.push(part);
                        sent(len);
                    }
                    None => break,
                }
            }
            let Some(bytes) = next else { continue };
            number += 1;
            under_way.spawn(send_part(
                self.client.clone(),
                target.clone(),
                begun.id.clone(),
                number,
                bytes,
            ));
        }
        done.sort_by_key(|part| part.part_number);
        Ok(done)
    }

    async fn complete(
        &self,
        target: &UploadTarget,
        id: &str,
        parts: Vec<CompletedPart>,
    ) -> anyhow::Result<Uploaded> {
        let parts = CompletedMultipartUpload::builder().set_parts(Some(parts)).build();
        let complete =
            self.client.complete_multipart_upload().bucket(&target.bucket).key(&target.key);
        let completed = complete.upload_id(id).multipart_upload(parts).send().await;
        let completed = completed.map_err(explained)?;
        uploaded(completed.version_id, completed.e_tag)
    }

    /// Copies an object onto itself with its metadata, so that S3 notifies of it again. Fails if
    /// another version than this one, or another `ETag`, is there now.
    pub(crate) async fn upload_again(
        &self,
        bucket: &str,
        key: &str,
        version: &str,
        options: &[(&str, &str)],
    ) -> anyhow::Result<Uploaded> {
        let cannot = || format!("cannot upload s3://{bucket}/{key} again");
        let head = self.client.head_object().bucket(bucket).key(key).send().await;
        let head = head.map_err(explained).with_context(cannot)?;
        let current = uploaded(head.version_id, head.e_tag.clone())?;
        if current.version != version {
            anyhow::bail!("{}: a newer file is in its place, which has its own import", cannot());
        }
        if head.content_length.unwrap_or_default() > COPIED_BYTES_MAX {
            anyhow::bail!("{}: S3 copies 5 GiB at most. Upload the file itself", cannot());
        }
        let source = format!(
            "{bucket}/{}",
            percent_encoding::utf8_percent_encode(key, percent_encoding::NON_ALPHANUMERIC)
        );
        let mut metadata = head.metadata.unwrap_or_default();
        metadata.extend(options.iter().map(|(name, value)| ((*name).into(), (*value).into())));
        let copy = self.client.copy_object().bucket(bucket).key(key).copy_source(source);
        let copy = copy
            .metadata_directive(MetadataDirective::Replace)
            .set_metadata(Some(metadata))
            .set_content_type(head.content_type)
            .set_content_encoding(head.content_encoding)
            .set_copy_source_if_match(head.e_tag);
        let copied = copy.send().await.map_err(explained).with_context(cannot)?;
        uploaded(copied.version_id, copied.copy_object_result.and_then(|copied| copied.e_tag))
    }

    /// Reads a whole object; `None` where it is not there.
    pub(crate) async fn read(&self, bucket: &str, key: &str) -> anyhow::Result<Option<Vec<u8>>> {
        let Some(mut body) = self.get(bucket, key).await? else { return Ok(None) };
        let mut bytes = Vec::new();
        while let Some(part) = body.next().await? {
            bytes.extend_from_slice(&part);
        }
        Ok(Some(bytes))
    }

    /// Saves an object as it is, byte by byte. Fails if it is not there.
    pub(crate) async fn save(&self, bucket: &str, key: &str, path: &Path) -> anyhow::Result<()> {
        let cannot = || format!("cannot write {}", path.display());
        let body = self.get(bucket, key).await?;
        let mut body = body.with_context(|| format!("s3://{bucket}/{key} is not there"))?;
        let mut file = File::create(path).await.with_context(cannot)?;
        while let Some(bytes) = body.next().await? {
            file.write_all(&bytes).await.with_context(cannot)?;
        }
        file.flush().await.with_context(cannot)
    }

    /// Reads an object; `None` where it is not there.
    pub(crate) async fn get(&self, bucket: &str, key: &str) -> anyhow::Result<Option<Body>> {
        match self.client.get_object().bucket(bucket).key(key).send().await {
            Ok(object) => Ok(Some(Body(object.body))),
            Err(error)
                if error.as_service_error().is_some_and(
                    aws_sdk_s3::operation::get_object::GetObjectError::is_no_such_key,
                ) =>
            {
                Ok(None)
            }
            Err(error) => {
                Err(explained(error)).with_context(|| format!("cannot read s3://{bucket}/{key}"))
            }
        }
    }
}

/// The bytes of an object.
#[derive(Debug)]
pub(crate) struct Body(ByteStream);

impl Body {
    pub(crate) async fn next(&mut self) -> anyhow::Result<Option<Bytes>> {
        self.0.try_next().await.context("the object cannot be read to its end")
    }
}

async fn send_part(
    client: Client,
    target: UploadTarget,
    id: String,
    number: i32,
    bytes: Bytes,
) -> anyhow::Result<(CompletedPart, u64)> {
    let len = bytes.len() as u64;
    let part = client.upload_part().bucket(target.bucket).key(target.key).upload_id(id);
    let sent = part.part_number(number).body(ByteStream::from(bytes)).send().await;
    let sent = sent.map_err(explained)?;
    let part = CompletedPart::builder()
        .part_number(number)
        .set_e_tag(sent.e_tag)
        .set_checksum_crc32(sent.checksum_crc32)
        .set_checksum_crc32_c(sent.checksum_crc32_c)
        .set_checksum_crc64_nvme(sent.checksum_crc64_nvme);
    Ok((part.build(), len))
}

fn uploaded(version_id: Option<String>, etag: Option<String>) -> anyhow::Result<Uploaded> {
    let version = version_id.filter(|version| version != "null");
    let version = version.or_else(|| etag.map(|etag| etag.trim_matches('"').to_owned()));
    version.map(|version| Uploaded { version }).context("S3 does not say what it has stored")
}

fn metadata(target: &UploadTarget) -> HashMap<String, String> {
    let header = |(name, value): &(&str, String)| ((*name).to_owned(), header_value(value));
    target.metadata.iter().map(header).collect()
}

/// A text as the value of a header: as it is where it is plain ASCII, else in encoded words (RFC
/// 2047).
fn header_value(text: &str) -> String {
    let is_plain = text.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic())
        && text.trim_matches(' ') == text
        && !text.contains("=?");
    if is_plain {
        return text.to_owned();
    }
    // 75 characters are the longest word: "=?UTF-8?B?", 60 of Base64, "?=".
    let mut words = vec![String::new()];
    for character in text.chars() {
        match words.last_mut() {
            Some(word) if word.len() + character.len_utf8() <= 45 => word.push(character),
            _ => words.push(character.to_string()),
        }
    }
    let encode = |word: &String| format!("=?UTF-8?B?{}?=", aws_smithy_types::base64::encode(word));
    words.iter().map(encode).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_that_a_header_cannot_hold_are_encoded() {
        assert_eq!(header_value("id,full name;5%"), "id,full name;5%");
        assert_eq!(header_value("名"), "=?UTF-8?B?5ZCN?=");
        assert_eq!(header_value(" "), "=?UTF-8?B?IA==?=");
        let long = header_value(&"é".repeat(50));
        assert_eq!(long.split(' ').count(), 3);
        assert!(long.split(' ').all(|word| word.len() <= 75));
    }
}
