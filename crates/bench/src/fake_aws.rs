//! A fake of S3 and SQS, for functions and peers that are measured.
//!
//! The S3 of the emulator is Python, and would limit the figures. This one serves files of this
//! machine as S3 does (ranges, conditions, metadata, multipart uploads), stores uploads, responds
//! to the clients of queues, and counts calls. It keeps no message and checks no permission.

use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use anyhow::Context as _;
use bytes::{Bytes, BytesMut};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::{Body, Frame, Incoming, SizeHint};
use hyper::header::{CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, ETAG, IF_MATCH, RANGE};
use hyper::http::response::Builder;
use hyper::{HeaderMap, Method, Request, Response, StatusCode};
use local_stack::http_server::HttpServer;
use percent_encoding::percent_decode_str;
use serde_json::{Value, json};

/// The bytes of a file that a response body holds at a time.
const BLOCK_BYTES: u64 = 256 * 1024;

type Reply = Response<BoxBody<Bytes, io::Error>>;

/// A running fake; stops when it is dropped.
#[derive(Debug)]
pub(crate) struct FakeAws {
    url: String,
    shared: Arc<Shared>,
    _server: HttpServer,
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// The objects by path: `/bucket/key`.
    objects: HashMap<String, Object>,
    /// Uploads in parts, by their ids.
    uploads: BTreeMap<String, BTreeMap<u32, Bytes>>,
    uploads_begun: u64,
    /// Bodies of messages that were sent and not taken.
    sent: Vec<String>,
    counts: Counts,
}

#[derive(Debug, Clone)]
struct Object {
    content: Content,
    etag: String,
    metadata: BTreeMap<String, String>,
}

#[derive(Debug, Clone)]
enum Content {
    File { file: Arc<File>, size_bytes: u64 },
    Memory(Bytes),
}

/// The calls so far.
#[derive(Debug, Clone, Default)]
pub(crate) struct Counts {
    /// The number of calls by the operation's name.
    pub calls: BTreeMap<String, u64>,
    /// Bytes of objects, sent and received.
    pub bytes_out: u64,
    pub bytes_in: u64,
    /// The number of messages.
    pub messages_sent: u64,
}

impl FakeAws {
    pub(crate) async fn start() -> anyhow::Result<Self> {
        let shared = Arc::new(Shared::default());
        let handler = Arc::clone(&shared);
        let server = HttpServer::start(move |request| {
            let handler = Arc::clone(&handler);
            async move { handler.respond(request).await }
        })
        .await?;
        Ok(Self { url: server.url(), shared, _server: server })
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// Serves a file as an object. The names of its metadata lack `x-amz-meta-`.
    pub(crate) fn serve_file(
        &self,
        bucket: &str,
        key: &str,
        path: &Path,
        metadata: &[(&str, &str)],
    ) -> anyhow::Result<()> {
        let file = File::open(path).with_context(|| format!("cannot read {}", path.display()))?;
        let size_bytes = file.metadata()?.len();
        let object = Object {
            content: Content::File { file: Arc::new(file), size_bytes },
            etag: etag(&(path, size_bytes)),
            metadata: metadata
                .iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                .collect(),
        };
        self.shared.lock().objects.insert(format!("/{bucket}/{key}"), object);
        Ok(())
    }

    /// Serves bytes as an object.
    pub(crate) fn serve(&self, bucket: &str, key: &str, bytes: Vec<u8>) {
        let content = Bytes::from(bytes);
        let tag = etag(&content);
        self.shared.store(format!("/{bucket}/{key}"), content, tag);
    }

    /// The entity tag of an object, without quotes.
    pub(crate) fn etag(&self, bucket: &str, key: &str) -> Option<String> {
        let state = self.shared.lock();
        state.objects.get(&format!("/{bucket}/{key}")).map(|object| object.etag.clone())
    }

    /// Returns the bodies of the messages that were sent since the last call.
    pub(crate) fn take_sent(&self) -> Vec<String> {
        std::mem::take(&mut self.shared.lock().sent)
    }

    pub(crate) fn counts(&self) -> Counts {
        self.shared.lock().counts.clone()
    }

    pub(crate) fn reset_counts(&self) {
        self.shared.lock().counts = Counts::default();
    }
}

impl Counts {
    pub(crate) fn of(&self, operation: &str) -> u64 {
        self.calls.get(operation).copied().unwrap_or_default()
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn count(&self, operation: &str) {
        *self.lock().counts.calls.entry(operation.to_owned()).or_default() += 1;
    }

    async fn respond(&self, request: Request<Incoming>) -> anyhow::Result<Reply> {
        let (head, body) = request.into_parts();
        let body = body.collect().await?.to_bytes();
        if let Some(target) = head.headers.get("x-amz-target") {
            let operation = target.to_str()?.rsplit('.').next().unwrap_or_default().to_owned();
            return self.queue(&operation, &body);
        }
        let path = percent_decode_str(head.uri.path()).decode_utf8_lossy().into_owned();
        let query: BTreeMap<_, _> = head
            .uri
            .query()
            .unwrap_or_default()
            .split('&')
            .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
            .collect();
        let upload = query.get("uploadId").copied();
        match head.method {
            Method::HEAD => {
                self.count("HeadObject");
                self.object(&path, &head.headers, false)
            }
            Method::GET => {
                self.count("GetObject");
                self.object(&path, &head.headers, true)
            }
            Method::PUT => {
                let content = content(&head.headers, body);
                self.lock().counts.bytes_in += content.len() as u64;
                let tag = etag(&content);
                match (upload, query.get("partNumber").and_then(|number| number.parse().ok())) {
                    (Some(upload), Some(number)) => {
                        self.count("UploadPart");
                        let mut state = self.lock();
                        let parts = state.uploads.get_mut(upload).context("no such upload")?;
                        parts.insert(number, content);
                    }
                    _ => {
                        self.count("PutObject");
                        self.store(path, content, tag.clone());
                    }
                }
                Ok(ok().header(ETAG, format!("\"{tag}\"")).body(empty())?)
            }
            Method::POST => match upload {
                Some(upload) => {
                    self.count("CompleteMultipartUpload");
                    let parts = self.lock().uploads.remove(upload).context("no such upload")?;
                    let mut content = BytesMut::new();
                    for part in parts.values() {
                        content.extend_from_slice(part);
                    }
                    let content = content.freeze();
                    let tag = etag(&content);
                    self.store(path, content, tag.clone());
                    xml(&format!(
                        "<CompleteMultipartUploadResult><ETag>\"{tag}\"</ETag></CompleteMultipartUploadResult>"
                    ))
                }
                None => {
                    self.count("CreateMultipartUpload");
                    let mut state = self.lock();
                    state.uploads_begun += 1;
                    let id = format!("upload-{}", state.uploads_begun);
                    state.uploads.insert(id.clone(), BTreeMap::new());
                    xml(&format!(
                        "<InitiateMultipartUploadResult><UploadId>{id}</UploadId></InitiateMultipartUploadResult>"
                    ))
                }
            },
            Method::DELETE => {
                self.count("AbortMultipartUpload");
                if let Some(upload) = upload {
                    self.lock().uploads.remove(upload);
                }
                Ok(Response::builder().status(StatusCode::NO_CONTENT).body(empty())?)
            }
            _ => Ok(Response::builder().status(StatusCode::METHOD_NOT_ALLOWED).body(empty())?),
        }
    }

    fn store(&self, path: String, content: Bytes, etag: String) {
        let object = Object { content: Content::Memory(content), etag, metadata: BTreeMap::new() };
        self.lock().objects.insert(path, object);
    }

    fn object(&self, path: &str, headers: &HeaderMap, with_body: bool) -> anyhow::Result<Reply> {
        let Some(object) = self.lock().objects.get(path).cloned() else {
            return refusal(StatusCode::NOT_FOUND, "NoSuchKey", with_body);
        };
        let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
        if text(IF_MATCH).is_some_and(|wanted| wanted.trim_matches('"') != object.etag) {
            return refusal(StatusCode::PRECONDITION_FAILED, "PreconditionFailed", with_body);
        }
        let size = object.size_bytes();
        let range = match text(RANGE).map(|range| read_range(range, size)) {
            None => None,
            Some(Some(range)) => Some(range),
            Some(None) => {
                return refusal(StatusCode::RANGE_NOT_SATISFIABLE, "InvalidRange", with_body);
            }
        };
        let (first, end) = range.unwrap_or((0, size));
        let mut response = ok()
            .header(ETAG, format!("\"{}\"", object.etag))
            .header(CONTENT_TYPE, "text/csv")
            .header("accept-ranges", "bytes")
            .header("last-modified", http_date())
            .header(CONTENT_LENGTH, end - first);
        if range.is_some() {
            response = response
                .status(StatusCode::PARTIAL_CONTENT)
                .header(CONTENT_RANGE, format!("bytes {first}-{}/{size}", end - 1));
        }
        for (name, value) in &object.metadata {
            response = response.header(format!("x-amz-meta-{name}"), value);
        }
        if !with_body {
            return Ok(response.body(empty())?);
        }
        self.lock().counts.bytes_out += end - first;
        Ok(response.body(object.body(first, end))?)
    }

    /// Returns the response of SQS in its JSON protocol, for the calls that the functions make.
    fn queue(&self, operation: &str, body: &[u8]) -> anyhow::Result<Reply> {
        self.count(operation);
        let request: Value = serde_json::from_slice(body)?;
        let id = || uuid::Uuid::now_v7().to_string();
        let entries = request["Entries"].as_array().map_or(&[][..], Vec::as_slice);
        let body = match operation {
            "SendMessage" => {
                let mut state = self.lock();
                state.counts.messages_sent += 1;
                state.sent.push(request["MessageBody"].as_str().unwrap_or_default().to_owned());
                json!({ "MessageId": id(), "MD5OfMessageBody": "00" })
            }
            "SendMessageBatch" => {
                let mut state = self.lock();
                state.counts.messages_sent += entries.len() as u64;
                let bodies = entries.iter().filter_map(|entry| entry["MessageBody"].as_str());
                state.sent.extend(bodies.map(str::to_owned));
                let taken = entries.iter().map(|entry| {
                    json!({ "Id": entry["Id"], "MessageId": id(), "MD5OfMessageBody": "00" })
                });
                json!({ "Successful": taken.collect::<Vec<_>>(), "Failed": [] })
            }
            _ => {
                let done = entries.iter().map(|entry| json!({ "Id": entry["Id"] }));
                json!({ "Successful": done.collect::<Vec<_>>(), "Failed": [] })
            }
        };
        let response = ok().header(CONTENT_TYPE, "application/x-amz-json-1.0");
        Ok(response.body(full(body.to_string()))?)
    }
}

impl Object {
    fn size_bytes(&self) -> u64 {
        match &self.content {
            Content::File { size_bytes, .. } => *size_bytes,
            Content::Memory(bytes) => bytes.len() as u64,
        }
    }

    fn body(&self, first: u64, end: u64) -> BoxBody<Bytes, io::Error> {
        match &self.content {
            Content::File { file, .. } => {
                FileBody { file: Arc::clone(file), at: first, end }.boxed()
            }
            Content::Memory(bytes) => {
                let part = usize::try_from(first).ok().zip(usize::try_from(end).ok());
                full(part.map(|(first, end)| bytes.slice(first..end)).unwrap_or_default())
            }
        }
    }
}

/// A part of a file, block by block. The files are in the system's cache, so a read does not wait.
#[derive(Debug)]
struct FileBody {
    file: Arc<File>,
    at: u64,
    end: u64,
}

impl Body for FileBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        let size = BLOCK_BYTES.min(self.end - self.at);
        if size == 0 {
            return Poll::Ready(None);
        }
        let mut block = BytesMut::zeroed(usize::try_from(size).unwrap_or_default());
        let read = self.file.read_exact_at(&mut block, self.at);
        self.at += size;
        Poll::Ready(Some(read.map(|()| Frame::data(block.freeze()))))
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.end - self.at)
    }
}

fn ok() -> Builder {
    Response::builder().header("x-amz-request-id", "0000000000000000")
}

fn full(bytes: impl Into<Bytes>) -> BoxBody<Bytes, io::Error> {
    Full::new(bytes.into()).map_err(|never| match never {}).boxed()
}

fn empty() -> BoxBody<Bytes, io::Error> {
    full(Bytes::new())
}

fn xml(text: &str) -> anyhow::Result<Reply> {
    let text = format!("<?xml version=\"1.0\" encoding=\"UTF-8\"?>{text}");
    Ok(ok().header(CONTENT_TYPE, "application/xml").body(full(text))?)
}

fn refusal(status: StatusCode, code: &str, with_body: bool) -> anyhow::Result<Reply> {
    let mut response = xml(&format!("<Error><Code>{code}</Code></Error>"))?;
    *response.status_mut() = status;
    if !with_body {
        *response.body_mut() = empty();
    }
    Ok(response)
}

fn etag(content: &impl Hash) -> String {
    let mut hasher = DefaultHasher::new();
    content.hash(&mut hasher);
    format!("{:032x}", hasher.finish())
}

/// Returns the first byte and the end of `bytes=first-last`, `bytes=first-` or `bytes=-count`, or
/// `None` if the range is outside the object.
fn read_range(range: &str, size: u64) -> Option<(u64, u64)> {
    let (first, last) = range.strip_prefix("bytes=")?.split_once('-')?;
    let (first, end) = match (first.parse::<u64>(), last.parse::<u64>()) {
        (Ok(first), Ok(last)) => (first, size.min(last.checked_add(1)?)),
        (Ok(first), Err(_)) => (first, size),
        (Err(_), Ok(count)) => (size.saturating_sub(count), size),
        (Err(_), Err(_)) => return None,
    };
    (first < end).then_some((first, end))
}

/// Decodes a body: clients send large ones in signed chunks with a checksum after them
/// (Amazon S3, "Signature calculations: chunked upload").
fn content(headers: &HeaderMap, body: Bytes) -> Bytes {
    let is_chunked = headers
        .get("x-amz-content-sha256")
        .is_some_and(|value| value.as_bytes().starts_with(b"STREAMING-"));
    if !is_chunked {
        return body;
    }
    let mut content = BytesMut::with_capacity(body.len());
    let mut rest = &body[..];
    while let Some(line) = rest.windows(2).position(|pair| pair == b"\r\n") {
        let head = String::from_utf8_lossy(&rest[..line]).into_owned();
        let size = head.split(';').next().and_then(|size| usize::from_str_radix(size, 16).ok());
        let (Some(size), begin) = (size, line + 2) else { break };
        if size == 0 || begin + size > rest.len() {
            break;
        }
        content.extend_from_slice(&rest[begin..begin + size]);
        rest = rest.get(begin + size + 2..).unwrap_or_default();
    }
    content.freeze()
}

/// The time of every object: now, so that no function has the catalog made anew.
fn http_date() -> String {
    jiff::Timestamp::now().strftime("%a, %d %b %Y %H:%M:%S GMT").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_read_as_s3_reads_them() {
        for (range, expected) in [
            ("bytes=0-9", Some((0, 10))),
            ("bytes=90-200", Some((90, 100))),
            ("bytes=90-", Some((90, 100))),
            ("bytes=-5", Some((95, 100))),
            ("bytes=100-", None),
            ("lines=1-2", None),
        ] {
            assert_eq!(read_range(range, 100), expected, "{range}");
        }
    }

    #[test]
    fn a_chunked_body_is_read_without_its_chunks() {
        let mut headers = HeaderMap::new();
        let plain = Bytes::from_static(b"a,b\r\n");
        assert_eq!(content(&headers, plain.clone()), plain);
        let value = "STREAMING-UNSIGNED-PAYLOAD-TRAILER".parse().unwrap();
        headers.insert("x-amz-content-sha256", value);
        let body =
            Bytes::from_static(b"5\r\na,b\r\n\r\n2;x=y\r\ncd\r\n0\r\nx-amz-checksum:1\r\n\r\n");
        assert_eq!(content(&headers, body), Bytes::from_static(b"a,b\r\ncd"));
    }
}
