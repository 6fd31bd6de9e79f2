//! Which file a message is about, which table it is for, and which import it is.
//!
//! Pure.

use percent_encoding::percent_decode_str;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

use crate::aws::objects::ObjectName;

/// Files are dropped under `imports/<table>/`.
const PREFIX: &str = "imports/";

/// One file to import.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Source {
    pub object: ObjectName,
    /// As the key names it, whether or not there is such a table.
    pub table: String,
    /// Orders the notifications of one key; empty where S3 sends none.
    pub sequencer: String,
}

impl Source {
    /// The same for every notification of one upload, another for every other upload.
    pub fn import_id(&self) -> Uuid {
        let name = format!(
            "{}\n{}\n{}\n{}",
            self.object.bucket,
            self.object.key,
            self.version(),
            self.sequencer.to_ascii_uppercase()
        );
        Uuid::new_v5(&Uuid::NAMESPACE_URL, name.as_bytes())
    }

    /// Whether the file is under `imports/` itself.
    pub fn is_in_no_folder(&self) -> bool {
        self.object.key.strip_prefix(PREFIX) == Some(&self.table)
    }

    /// The object's version where the bucket keeps versions, else its `ETag`.
    pub fn version(&self) -> &str {
        self.object.version_id.as_deref().or(self.object.etag.as_deref()).unwrap_or_default()
    }

    /// `None` where the key is not that of a file under `imports/`. Of one that is in no table's folder, its name is taken
    /// for the table's: there is none, and the import says so.
    fn of(key: String, bucket: String, object: Versions) -> Option<Self> {
        let path = key.strip_prefix(PREFIX)?;
        let (table, file) = path.split_once('/').unwrap_or((path, path));
        // A key that ends in a slash is a folder that a console made.
        if table.is_empty() || file.is_empty() || key.ends_with('/') {
            return None;
        }
        // Objects from before a bucket kept versions have the version "null", or none, by who tells.
        let is_version = |version: &String| !version.is_empty() && version != "null";
        let etag = object.etag.map(|etag| etag.trim_matches('"').to_owned());
        Some(Self {
            table: table.to_owned(),
            object: ObjectName {
                bucket,
                version_id: object.version_id.filter(is_version),
                etag: etag.filter(|etag| !etag.is_empty()),
                key,
            },
            sequencer: object.sequencer.unwrap_or_default(),
        })
    }
}

/// One import that a message requests for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ImportRequest {
    pub source: Source,
    /// 0: a notification. Else the number of the message that the import left for itself.
    pub continuation: u32,
}

/// What the body of a message holds.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Notification {
    pub requests: Vec<ImportRequest>,
    /// Records that request for nothing: other events, other prefixes, `s3:TestEvent`.
    pub ignored: usize,
}

/// A body that tells of no object.
#[derive(Debug, thiserror::Error)]
pub enum NotificationError {
    #[error("the message is not JSON")]
    NotJson(#[source] serde_json::Error),
    #[error("the message is not an S3 event notification: {0}")]
    Malformed(#[source] serde_json::Error),
    #[error(
        "the message is neither an event of S3, nor one of EventBridge or SNS around it, nor a continuation"
    )]
    Unknown,
    #[error("the message is wrapped too often")]
    TooDeep,
}

/// The body of the message with which an import goes on.
pub fn continuation_body(source: &Source, continuation: u32) -> String {
    serde_json::json!({ "continuation": continuation, "source": source }).to_string()
}

/// Wrappers around a wrapper: an event of EventBridge that SNS delivers has one.
const DEPTH_MAX: usize = 4;

/// Reads all that a message tells of, in whatever envelope it comes.
pub fn read(body: &str) -> Result<Notification, NotificationError> {
    let mut notification = Notification::default();
    read_into(body, 0, &mut notification)?;
    Ok(notification)
}

fn read_into(
    body: &str,
    depth: usize,
    notification: &mut Notification,
) -> Result<(), NotificationError> {
    if depth > DEPTH_MAX {
        return Err(NotificationError::TooDeep);
    }
    let value: Value = serde_json::from_str(body).map_err(NotificationError::NotJson)?;
    let text = |name: &str| value.get(name).and_then(Value::as_str);
    let mut add = |source: Option<Source>| match source {
        Some(source) => notification.requests.push(ImportRequest { source, continuation: 0 }),
        None => notification.ignored += 1,
    };
    if value.get("Records").is_some() {
        let event: S3Event = parse(value)?;
        event.records.into_iter().for_each(|record| add(record.source()));
        return Ok(());
    }
    if text("Event") == Some("s3:TestEvent") {
        add(None);
        return Ok(());
    }
    match (text("Type"), text("Message")) {
        (Some("Notification"), Some(message)) => {
            let message = message.to_owned();
            return read_into(&message, depth + 1, notification);
        }
        // What SNS tells of itself.
        (Some("SubscriptionConfirmation" | "UnsubscribeConfirmation"), Some(_)) => {
            add(None);
            return Ok(());
        }
        _ => {}
    }
    if text("detail-type").is_some() && text("source").is_some() {
        let is_created =
            text("source") == Some("aws.s3") && text("detail-type") == Some("Object Created");
        add(if is_created { parse::<BridgeEvent>(value)?.detail.source() } else { None });
        return Ok(());
    }
    if value.get("continuation").is_some() {
        notification.requests.push(parse(value)?);
        return Ok(());
    }
    Err(NotificationError::Unknown)
}

fn parse<T: DeserializeOwned>(value: Value) -> Result<T, NotificationError> {
    serde_json::from_value(value).map_err(NotificationError::Malformed)
}

/// Keys of S3's own events come form-encoded: a space as `+`, a plus as `%2B`.
fn decode_key(key: &str) -> String {
    percent_decode_str(&key.replace('+', " ")).decode_utf8_lossy().into_owned()
}

/// What tells one upload from another.
#[derive(Debug)]
struct Versions {
    version_id: Option<String>,
    etag: Option<String>,
    sequencer: Option<String>,
}

/// Amazon S3 User Guide, "Event message structure".
#[derive(Debug, Deserialize)]
struct S3Event {
    #[serde(rename = "Records")]
    records: Vec<Record>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Record {
    event_name: String,
    s3: S3,
}

impl Record {
    fn source(self) -> Option<Source> {
        // "ObjectCreated:Put"; some senders put "s3:" in front.
        let event = self.event_name.strip_prefix("s3:").unwrap_or(&self.event_name);
        if !event.starts_with("ObjectCreated:") {
            return None;
        }
        let Object { key, e_tag, version_id, sequencer } = self.s3.object;
        let versions = Versions { version_id, etag: e_tag, sequencer };
        Source::of(decode_key(&key), self.s3.bucket.name, versions)
    }
}

#[derive(Debug, Deserialize)]
struct S3 {
    bucket: Bucket,
    object: Object,
}

#[derive(Debug, Deserialize)]
struct Bucket {
    name: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Object {
    key: String,
    e_tag: Option<String>,
    version_id: Option<String>,
    sequencer: Option<String>,
}

/// Amazon S3 User Guide, "EventBridge event message structure".
#[derive(Debug, Deserialize)]
struct BridgeEvent {
    detail: Detail,
}

#[derive(Debug, Deserialize)]
struct Detail {
    bucket: Bucket,
    object: BridgeObject,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct BridgeObject {
    /// As it is: EventBridge's keys are not encoded.
    key: String,
    etag: Option<String>,
    version_id: Option<String>,
    sequencer: Option<String>,
}

impl Detail {
    fn source(self) -> Option<Source> {
        let BridgeObject { key, etag, version_id, sequencer } = self.object;
        Source::of(key, self.bucket.name, Versions { version_id, etag, sequencer })
    }
}

#[cfg(test)]
mod tests;
