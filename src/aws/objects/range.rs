//! Reads of an object in ranges that are fetched ahead.
//!
//! Each range is fetched by its own task, while the reader uses the range before it. A range that
//! breaks continues at the byte where it broke.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use aws_sdk_s3::Client;
use aws_sdk_s3::operation::get_object::GetObjectOutput;
use backon::{BackoffBuilder, ExponentialBuilder};
use tokio::task::JoinHandle;

use super::{ObjectName, service_error};
use crate::domain::error::{ServiceError, ServiceFault};

/// The size of a range, in bytes.
pub const RANGE_BYTES: u64 = 2 * 1024 * 1024;

/// The number of ranges that are fetched ahead.
const AHEAD_MAX: usize = 2;

/// The most attempts in a row that bring no byte. After them, the caller must wait for the end of
/// the outage. The SDK makes up to three requests for each attempt.
const ATTEMPTS_MAX: usize = 5;

/// A reader of one object. Its tasks end when it is dropped.
#[derive(Debug)]
pub struct RangeReader {
    client: Client,
    object: Arc<Object>,
    /// The first byte that no task fetches yet.
    next_byte: u64,
    /// The tasks, in the order of the object's bytes.
    ahead: VecDeque<JoinHandle<Result<Vec<u8>, ServiceError>>>,
}

/// The object to which all ranges belong.
#[derive(Debug)]
struct Object {
    name: ObjectName,
    size_bytes: u64,
    /// The `ETag` of the first response.
    etag: OnceLock<String>,
}

impl RangeReader {
    pub(super) fn new(client: Client, name: ObjectName, size_bytes: u64, from_byte: u64) -> Self {
        let object = Arc::new(Object { name, size_bytes, etag: OnceLock::new() });
        let mut reader = Self {
            client,
            object,
            next_byte: from_byte,
            ahead: VecDeque::with_capacity(AHEAD_MAX),
        };
        reader.fetch_ahead();
        reader
    }

    /// Returns the next bytes, or `None` at the end. After an error it returns `None`.
    pub async fn next(&mut self) -> Result<Option<Vec<u8>>, ServiceError> {
        let Some(range) = self.ahead.front_mut() else { return Ok(None) };
        // The task stays in the queue while it is awaited, so that a cancelled caller loses no
        // bytes.
        let bytes = range.await;
        self.ahead.pop_front();
        let bytes =
            bytes.map_err(|error| unavailable(format!("the task of a range failed: {error}")));
        match bytes.flatten() {
            Ok(bytes) => {
                self.fetch_ahead();
                Ok(Some(bytes))
            }
            Err(error) => {
                self.end();
                Err(error)
            }
        }
    }

    fn fetch_ahead(&mut self) {
        while self.ahead.len() < AHEAD_MAX && self.next_byte < self.object.size_bytes {
            let end = self.object.size_bytes.min(self.next_byte.saturating_add(RANGE_BYTES));
            let range = self.next_byte..end;
            self.next_byte = end;
            self.ahead.push_back(tokio::spawn(fetch(
                self.client.clone(),
                self.object.clone(),
                range,
            )));
        }
    }

    fn end(&mut self) {
        self.next_byte = self.object.size_bytes;
        for range in self.ahead.drain(..) {
            range.abort();
        }
    }
}

impl Drop for RangeReader {
    fn drop(&mut self) {
        self.end();
    }
}

/// Fetches one range. Continues after each interruption, as long as attempts bring bytes.
async fn fetch(
    client: Client,
    object: Arc<Object>,
    range: Range<u64>,
) -> Result<Vec<u8>, ServiceError> {
    let backoff = ExponentialBuilder::new()
        .with_min_delay(Duration::from_millis(100))
        .with_max_delay(Duration::from_secs(5))
        .with_max_times(ATTEMPTS_MAX - 1)
        .with_jitter();
    let size = usize::try_from(range.end - range.start).unwrap_or_default();
    let mut bytes = Vec::with_capacity(size);
    let mut delays = backoff.build();
    loop {
        let len_before = bytes.len();
        let Err(error) = attempt(&client, &object, &range, size, &mut bytes).await else {
            return Ok(bytes);
        };
        if error.fault != ServiceFault::Unavailable {
            return Err(error);
        }
        if bytes.len() > len_before {
            delays = backoff.build();
        }
        let Some(delay) = delays.next() else { return Err(error) };
        tracing::info!(%error, at_byte = range.start + bytes.len() as u64, "range continues after an interruption");
        tokio::time::sleep(delay).await;
    }
}

/// Appends the missing bytes of a range until they end or the response breaks.
async fn attempt(
    client: &Client,
    object: &Object,
    range: &Range<u64>,
    size: usize,
    bytes: &mut Vec<u8>,
) -> Result<(), ServiceError> {
    let name = &object.name;
    let from = range.start + bytes.len() as u64;
    let mut response = client
        .get_object()
        .bucket(&name.bucket)
        .key(&name.key)
        .set_version_id(name.version_id.clone())
        .set_if_match(name.if_match())
        .range(format!("bytes={from}-{}", range.end - 1))
        .send()
        .await
        .map_err(|error| service_error("GetObject", &error))?;
    // The bytes of the response before the wanted ones.
    let mut surplus = from.saturating_sub(check(object, from, &response)?);
    while bytes.len() < size {
        let piece = response.body.try_next().await;
        let piece = piece.map_err(|error| unavailable(crate::domain::error::chain(&error)))?;
        let Some(piece) = piece else {
            return Err(unavailable("the response ended before the range".to_owned()));
        };
        let skipped = usize::try_from(surplus).unwrap_or(usize::MAX).min(piece.len());
        surplus -= skipped as u64;
        let piece = piece.get(skipped..).unwrap_or_default();
        let room = size - bytes.len();
        bytes.extend_from_slice(piece.get(..room).unwrap_or(piece));
    }
    Ok(())
}

/// Returns the byte at which the response begins. Fails if it is of another object, or begins after
/// `from`.
fn check(object: &Object, from: u64, response: &GetObjectOutput) -> Result<u64, ServiceError> {
    let (start, size_bytes) = match response.content_range() {
        Some(range) => parse_content_range(range)
            .ok_or_else(|| unavailable(format!("the response is of an unknown range: {range}")))?,
        // S3 returns the range. Some emulators return the whole object.
        None => (0, response.content_length().and_then(|size| u64::try_from(size).ok())),
    };
    if start > from {
        return Err(unavailable(format!("the response begins at byte {start}, not at {from}")));
    }
    let changed = |message: &str| ServiceError {
        operation: "GetObject",
        fault: ServiceFault::Changed,
        message: message.to_owned(),
    };
    if size_bytes.is_some_and(|size_bytes| size_bytes != object.size_bytes) {
        return Err(changed("the object has another size than before"));
    }
    match response.e_tag() {
        Some(etag) if object.etag.get_or_init(|| etag.to_owned()) != etag => {
            Err(changed("the object has another ETag than before"))
        }
        _ => Ok(start),
    }
}

/// Parses the first byte and the whole size, which may be `*`, of `bytes 0-99/1234`.
fn parse_content_range(text: &str) -> Option<(u64, Option<u64>)> {
    let (range, size) = text.strip_prefix("bytes ")?.split_once('/')?;
    let (start, _) = range.split_once('-')?;
    Some((start.parse().ok()?, size.parse().ok()))
}

fn unavailable(message: String) -> ServiceError {
    ServiceError { operation: "GetObject", fault: ServiceFault::Unavailable, message }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_range_of_a_response_is_parsed() {
        let check =
            |text: &str, expected| assert_eq!(parse_content_range(text), expected, "{text}");
        check("bytes 0-99/1234", Some((0, Some(1234))));
        check("bytes 100-199/*", Some((100, None)));
        for text in ["", "bytes */1234", "items 0-1/2", "bytes 0", "bytes -5-6/7"] {
            check(text, None);
        }
    }
}
