//! The files that a message names: for each, its object, its table and the id of its import.
//!
//! Pure.

use percent_encoding::percent_decode_str;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

use crate::aws::objects::ObjectName;

/// The prefix of files: a file for a table is dropped under `imports/<table>/`.
const PREFIX: &str = "imports/";

/// One file to import.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Source {
    pub object: ObjectName,
    /// The table that the key names. It may not exist.
    pub table: String,
    /// The text by which S3 orders the notifications of one key; empty if S3 sends none.
    pub sequencer: String,
    /// The principal who uploaded the file, by its unique id (`AWS:AROA…`), or the account, which
    /// is all that EventBridge tells.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uploader: Option<String>,
}

impl Source {
    /// Returns the id of the import: the same for all notifications of one upload, and another for
    /// each other upload.
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

    /// Returns `true` if the file is directly under `imports/`.
    pub fn is_in_no_folder(&self) -> bool {
        self.object.key.strip_prefix(PREFIX) == Some(&self.table)
    }

    /// Returns the version id of the object or, if the bucket keeps no versions, its `ETag`.
    pub fn version(&self) -> &str {
        self.object.version_id.as_deref().or(self.object.etag.as_deref()).unwrap_or_default()
    }

    /// Makes a source of an object, or returns `None` if its key is not that of a file under
    /// `imports/`.
    ///
    /// If the file is in no table's folder, its name counts as the table. There is no such table,
    /// and the import fails with an error that explains it.
    fn of(Upload { bucket, object, requester }: Upload) -> Option<Self> {
        let key = object.key;
        let path = key.strip_prefix(PREFIX)?;
        let (table, file) = path.split_once('/').unwrap_or((path, path));
        // A key that ends in a slash is a folder that the S3 console made.
        if table.is_empty() || file.is_empty() || key.ends_with('/') {
            return None;
        }
        // An object from before the bucket kept versions has the version "null" in some
        // notifications, and none in others.
        let is_version = |version: &String| !version.is_empty() && version != "null";
        let etag = object.etag.map(|etag| etag.trim_matches('"').to_owned());
        Some(Self {
            table: table.to_owned(),
            object: ObjectName {
                bucket: bucket.name,
                version_id: object.version_id.filter(is_version),
                etag: etag.filter(|etag| !etag.is_empty()),
                key,
            },
            sequencer: object.sequencer.unwrap_or_default(),
            uploader: requester,
        })
    }
}

/// One import that a message requests.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ImportRequest {
    pub source: Source,
    /// 0 for a notification. Otherwise the number of the message that the import sent to itself.
    pub continuation: u32,
}

/// The contents of a message's body.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Notification {
    pub requests: Vec<ImportRequest>,
    /// The number of records that request nothing: other events, other prefixes, `s3:TestEvent`.
    pub ignored: usize,
}

/// An error of a body that is no notification.
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

/// Returns the body of the message that continues an import.
pub fn continuation_body(source: &Source, continuation: u32) -> String {
    serde_json::json!({ "continuation": continuation, "source": source }).to_string()
}

/// The most envelopes around a notification. An event that EventBridge sends through SNS has one.
const DEPTH_MAX: usize = 4;

/// Reads the body of a message: events of S3 or EventBridge, also in envelopes of SNS, or the
/// message with which an import continues.
///
/// Fails if it is none of these.
pub fn read(body: &str) -> Result<Notification, NotificationError> {
    let records = records(body, 0)?;
    let ignored = records.iter().filter(|record| record.is_none()).count();
    Ok(Notification { requests: records.into_iter().flatten().collect(), ignored })
}

/// Returns the import that each record requests; `None` for a record that requests none.
fn records(body: &str, depth: usize) -> Result<Vec<Option<ImportRequest>>, NotificationError> {
    if depth > DEPTH_MAX {
        return Err(NotificationError::TooDeep);
    }
    let value: Value = serde_json::from_str(body).map_err(NotificationError::NotJson)?;
    let text = |name: &str| value.get(name).and_then(Value::as_str);
    if let (Some("Notification"), Some(message)) = (text("Type"), text("Message")) {
        return records(message, depth + 1);
    }
    if value.get("continuation").is_some() {
        return Ok(vec![Some(parse(&value)?)]);
    }
    let sources = if let Some(records) = value.get("Records") {
        parse::<Vec<Record>>(records)?.into_iter().map(Record::source).collect()
    } else {
        match (text("source"), text("detail-type"), text("Type"), text("Event")) {
            (Some("aws.s3"), Some("Object Created"), ..) => vec![Source::of(parse(&value["detail"])?)],
            (Some(_), Some(_), ..)
            // Messages of SNS about the subscription.
            | (_, _, Some("SubscriptionConfirmation" | "UnsubscribeConfirmation"), _)
            | (_, _, _, Some("s3:TestEvent")) => vec![None],
            _ => return Err(NotificationError::Unknown),
        }
    };
    let request = |source| ImportRequest { source, continuation: 0 };
    Ok(sources.into_iter().map(|source| source.map(request)).collect())
}

fn parse<'a, T: Deserialize<'a>>(value: &'a Value) -> Result<T, NotificationError> {
    T::deserialize(value).map_err(NotificationError::Malformed)
}

/// Decodes the key of an event of S3, which is form-encoded: a space is `+`, a plus is `%2B`
/// (Amazon S3 User Guide, "Event message structure").
fn decode_key(key: &str) -> String {
    percent_decode_str(&key.replace('+', " ")).decode_utf8_lossy().into_owned()
}

/// A record of an event of S3 (Amazon S3 User Guide, "Event message structure").
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Record {
    event_name: String,
    user_identity: Option<UserIdentity>,
    s3: Upload,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct UserIdentity {
    principal_id: Option<String>,
}

impl Record {
    fn source(mut self) -> Option<Source> {
        // "ObjectCreated:Put"; some senders put "s3:" in front.
        let event = self.event_name.strip_prefix("s3:").unwrap_or(&self.event_name);
        if !event.starts_with("ObjectCreated:") {
            return None;
        }
        self.s3.object.key = decode_key(&self.s3.object.key);
        self.s3.requester = self.user_identity.and_then(|user| user.principal_id).map(|id| {
            // An assumed role is followed by the name of the session.
            let mut parts = id.splitn(3, ':');
            match (parts.next(), parts.next()) {
                (Some("AWS"), Some(id)) => format!("AWS:{id}"),
                _ => id,
            }
        });
        Source::of(self.s3)
    }
}

/// The object of an event, in S3's own form or in that of EventBridge, whose key is not encoded
/// (Amazon S3 User Guide, "EventBridge event message structure").
#[derive(Debug, Deserialize)]
struct Upload {
    bucket: Bucket,
    object: Object,
    requester: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Bucket {
    name: String,
}

#[derive(Debug, Deserialize)]
struct Object {
    key: String,
    #[serde(alias = "eTag")]
    etag: Option<String>,
    #[serde(alias = "versionId", alias = "version-id")]
    version_id: Option<String>,
    sequencer: Option<String>,
}

#[cfg(test)]
mod tests;
