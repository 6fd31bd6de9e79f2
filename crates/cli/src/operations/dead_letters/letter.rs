//! Decodes dead letters.
//!
//! Pure.

use std::collections::BTreeMap;

use jiff::Timestamp;
use percent_encoding::percent_decode_str;
use serde::{Deserialize, Serialize};
use serde_json::value::{RawValue, to_raw_value};
use serde_json::{Map, Value};

use super::Queue;
use crate::aws::messages::Message;

/// The version of a message that is to be discarded (`src/domain/write.rs` of the worker). A worker
/// that does not know it does not apply the message.
const DISCARDED_VERSION: &str = "4";

/// The version of the messages of other producers, as JSON.
const PRODUCER_VERSION: &str = "\"public-1\"";

/// A message of a dead-letter queue, decoded.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct DeadLetter {
    pub(crate) queue: Queue,
    /// The id of the message.
    pub(crate) id: String,
    /// The message group, of writes.
    pub(crate) group: Option<String>,
    /// The time at which it was sent, of RFC 3339.
    pub(crate) sent_at: String,
    /// The rule or, of an error of PostgreSQL, the SQLSTATE that blocked its message group; of an
    /// import the error on record. Without one on record, what the message itself shows.
    pub(crate) cause: String,
    /// The table. `None` if the message cannot be read.
    pub(crate) table: Option<String>,
    /// The writes or files of the message. None if it cannot be read.
    pub(crate) items: Vec<Item>,
    /// The body, if it cannot be read.
    pub(crate) unreadable: Option<String>,
}

/// A write or a file.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Item {
    /// The id of the write. Empty for a file.
    pub(crate) id: String,
    pub(crate) table: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) write: Option<Write>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) file: Option<File>,
}

/// A write, with its values as PostgreSQL's text.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Write {
    pub(crate) operation: String,
    pub(crate) row: Map<String, Value>,
    /// The time of its acceptance, of RFC 3339.
    pub(crate) accepted_at: String,
}

/// An object.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct File {
    pub(crate) bucket: String,
    pub(crate) key: String,
    /// The version id or, in a bucket without versions, the `ETag`.
    pub(crate) version: String,
}

impl DeadLetter {
    /// Decodes a message. Its cause is empty, since it is not known yet.
    pub(super) fn of(queue: Queue, message: &Message) -> Self {
        let items = match queue {
            Queue::Writes => writes(&message.body),
            Queue::Imports => files(&message.body),
        };
        let items = items.unwrap_or_default();
        Self {
            queue,
            id: message.id.clone(),
            group: message.group.clone(),
            sent_at: time(message.sent_at_ms),
            cause: String::new(),
            table: items.first().map(|item| item.table.clone()),
            unreadable: items.is_empty().then(|| message.body.clone()),
            items,
        }
    }
}

fn time(ms: i64) -> String {
    Timestamp::from_millisecond(ms).map(|time| time.to_string()).unwrap_or_default()
}

/// Reads the writes of a message: of the worker, of any version that has these members, or of
/// another producer (`docs/reference/writes.schema.json`).
fn writes(body: &str) -> Option<Vec<Item>> {
    #[derive(Deserialize)]
    struct Body {
        writes: Vec<Encoded>,
    }
    #[derive(Deserialize)]
    struct Encoded {
        id: String,
        table: String,
        operation: String,
        row: Row,
        #[serde(default)]
        accepted_at_ms: i64,
    }
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Row {
        Pairs(Vec<(String, Value)>),
        /// That of another producer.
        Members(serde_json::Map<String, Value>),
    }
    let body: Body = serde_json::from_str(body).ok()?;
    let item = |write: Encoded| Item {
        id: write.id,
        table: write.table,
        write: Some(Write {
            operation: write.operation,
            row: match write.row {
                Row::Pairs(pairs) => pairs.into_iter().collect(),
                Row::Members(members) => members.into_iter().collect(),
            },
            accepted_at: time(write.accepted_at_ms),
        }),
        file: None,
    };
    Some(body.writes.into_iter().map(item).collect())
}

/// Reads the files of a notification of S3, of `EventBridge`, of either in an envelope of SNS, or
/// of the message with which an import continues.
fn files(body: &str) -> Option<Vec<Item>> {
    let value: Value = serde_json::from_str(body).ok()?;
    if let Some(message) = value["Message"].as_str() {
        return files(message);
    }
    let decoded = |key: &Value| -> Option<String> {
        let key = key.as_str()?.replace('+', " ");
        Some(percent_decode_str(&key).decode_utf8_lossy().into_owned())
    };
    let plain = |key: &Value| key.as_str().map(str::to_owned);
    let found = if let Some(records) = value["Records"].as_array() {
        let records = records.iter().map(|record| &record["s3"]);
        let file = |s3: &Value| file(&s3["bucket"]["name"], &s3["object"], decoded);
        records.filter_map(file).collect()
    } else if value.get("continuation").is_some() {
        let object = &value["source"]["object"];
        file(&object["bucket"], object, plain).into_iter().collect()
    } else {
        let detail = &value["detail"];
        file(&detail["bucket"]["name"], &detail["object"], plain).into_iter().collect()
    };
    Some(found)
}

fn file(bucket: &Value, object: &Value, key: impl Fn(&Value) -> Option<String>) -> Option<Item> {
    let key = key(&object["key"])?;
    let table = key.strip_prefix("imports/")?.split('/').next()?.to_owned();
    let text = |names: &[&str]| {
        let mut texts = names.iter().filter_map(|name| object[name].as_str());
        texts.find(|text| !text.is_empty() && *text != "null").map(str::to_owned)
    };
    let version = text(&["versionId", "version-id", "version_id"]);
    let version = version.or_else(|| text(&["eTag", "etag"])).unwrap_or_default();
    let version = version.trim_matches('"').to_owned();
    let file = File { bucket: bucket.as_str()?.to_owned(), key, version };
    Some(Item { id: String::new(), table, write: None, file: Some(file) })
}

/// The members of a JSON object, each as it was sent: a value may be too deep for a tree.
type Members = BTreeMap<String, Box<RawValue>>;

fn is_of_producer(members: &Members) -> bool {
    members.get("version").is_some_and(|version| version.get() == PRODUCER_VERSION)
}

/// Marks the body of a message of writes, so that they are settled as discarded. Returns `None` for
/// a body that is no JSON object, which the worker rejects in any case.
pub(super) fn discarded(body: &str) -> Option<String> {
    let mut members: Members = serde_json::from_str(body).ok()?;
    if !is_of_producer(&members) {
        members.insert("version".to_owned(), to_raw_value(DISCARDED_VERSION).ok()?);
    }
    members.insert("discarded".to_owned(), to_raw_value(&true).ok()?);
    serde_json::to_string(&members).ok()
}

/// The longest time that a message waits in its queue, in milliseconds (`MessageRetentionPeriod` in
/// `template.yaml`). A FIFO dead-letter queue knows the time of the move only (SQS Developer Guide,
/// "Setting-up dead-letter queue retention").
const WAITED_MS_MAX: i64 = 14 * 24 * 60 * 60 * 1_000;

/// Adds the earliest time at which it can have been sent to a message of another producer that has
/// no time of its own. Otherwise its writes would count as sent now, and overwrite later ones.
/// Returns `None` for any other message.
pub(super) fn with_time(body: &str, sent_at_ms: i64) -> Option<String> {
    let mut members: Members = serde_json::from_str(body).ok()?;
    let has_time = members.get("accepted_at").is_some_and(|time| time.get() != "null");
    if has_time || !is_of_producer(&members) {
        return None;
    }
    members.insert("accepted_at".to_owned(), to_raw_value(&time(sent_at_ms - WAITED_MS_MAX)).ok()?);
    serde_json::to_string(&members).ok()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_discarded_body_keeps_its_writes_and_claims_to_the_last_digit() {
        let body = r#"{"version":"3","claims":{"n":12345678901234567890.10},"writes":[{"id":"a","table":"t",
            "operation":"insert","key":null,"row":[["x","\uffff"]],"accepted_at_ms":1}]}"#;
        let marked = discarded(body).unwrap();
        assert!(marked.contains(r#""discarded":true"#) && marked.contains(r#""version":"4""#));
        assert!(
            marked.contains("12345678901234567890.10") && marked.contains(r"\uffff"),
            "{marked}"
        );
    }

    #[test]
    fn each_json_object_is_discarded_whatever_its_rows_are() {
        let deep = format!("{}1{}", "[".repeat(1_000), "]".repeat(1_000));
        for row in ["7", r#""x""#, "null", deep.as_str()] {
            let body = format!(r#"{{"version":"public-1","writes":[{{"id":"a","row":{row}}}]}}"#);
            let marked = discarded(&body).unwrap();
            assert!(marked.starts_with(r#"{"discarded":true,"version":"public-1","#), "{marked}");
            assert!(marked.contains(&format!(r#""row":{row}"#)), "{marked}");
        }
        assert!(discarded(r#"{"version":"3"}"#).is_some());
        for body in ["no JSON", "[]", "7", ""] {
            assert_eq!(discarded(body), None, "{body}");
        }
    }

    #[test]
    fn a_redriven_message_of_another_producer_keeps_the_time_at_which_it_was_sent() {
        let redriven = |more: &str| {
            let body =
                format!(r#"{{"version":"public-1",{more}"writes":[{{"row":{{"x":1.0}}}}]}}"#);
            with_time(&body, 1_763_856_000_123)
        };
        let expected = r#"{"accepted_at":"2025-11-09T00:00:00.123Z","version":"public-1","writes":[{"row":{"x":1.0}}]}"#;
        assert_eq!(redriven("").as_deref(), Some(expected));
        assert_eq!(redriven(r#""accepted_at":null,"#).as_deref(), Some(expected));
        assert_eq!(redriven(r#""accepted_at":"2025-11-22T00:00:00Z","#), None);
        assert_eq!(with_time(r#"{"version":"3","writes":[]}"#, 0), None);
        assert_eq!(with_time("no JSON", 0), None);
    }

    #[test]
    fn the_writes_of_another_producer_are_read_and_discarded_in_their_own_format() {
        let body = r#"{"version":"public-1","writes":[{"id":"a","table":"t","operation":"insert","row":{"x":1}}]}"#;
        let items = writes(body).unwrap();
        let write = items[0].write.as_ref().unwrap();
        assert_eq!((items[0].table.as_str(), json!(write.row)), ("t", json!({ "x": 1 })));
        let marked = discarded(body).unwrap();
        assert!(
            marked.contains(r#""discarded":true"#) && marked.contains(r#""public-1""#),
            "{marked}"
        );
    }

    #[test]
    fn the_files_of_all_kinds_of_notifications_are_read() {
        let s3 = json!({ "Records": [{ "s3": {
            "bucket": { "name": "b" },
            "object": { "key": "imports/t/a+b%2B.csv", "eTag": "e", "versionId": "null" },
        } }] });
        let event_bridge = json!({ "source": "aws.s3", "detail": {
            "bucket": { "name": "b" },
            "object": { "key": "imports/t/a b+.csv", "etag": "e" },
        } });
        let continuation = json!({ "continuation": 1, "source": { "object": {
            "bucket": "b", "key": "imports/t/a b+.csv", "version_id": null, "etag": "e",
        } } });
        let sns = json!({ "Type": "Notification", "Message": s3.to_string() });
        let file =
            File { bucket: "b".into(), key: "imports/t/a b+.csv".into(), version: "e".into() };
        for body in [s3, event_bridge, continuation, sns] {
            let items = files(&body.to_string()).unwrap();
            assert_eq!(items.len(), 1, "{body}");
            assert_eq!((items[0].table.as_str(), items[0].file.as_ref()), ("t", Some(&file)));
        }
        assert!(files("{}").unwrap().is_empty() && files("no JSON").is_none());
    }
}
