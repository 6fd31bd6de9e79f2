//! Which file an S3 notification is about, which table it is for, and which import it is.
//!
//! Pure.

use percent_encoding::percent_decode_str;
use serde::Deserialize;
use uuid::Uuid;

use crate::aws::objects::ObjectName;

/// Files are dropped under `imports/<table>/`.
const PREFIX: &str = "imports/";

/// One file to import.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    pub object: ObjectName,
    /// As the key names it, whether or not there is such a table.
    pub table: String,
    /// Orders the notifications of one key; empty where S3 sends none.
    pub sequencer: String,
}

impl Source {
    /// The same for every delivery of one notification, another for every other upload.
    pub fn import_id(&self) -> Uuid {
        let name = format!(
            "{}\n{}\n{}\n{}",
            self.object.bucket,
            self.object.key,
            self.version(),
            self.sequencer
        );
        Uuid::new_v5(&Uuid::NAMESPACE_URL, name.as_bytes())
    }

    /// The object's version where the bucket keeps versions, else its `ETag`.
    pub fn version(&self) -> &str {
        self.object.version_id.as_deref().or(self.object.etag.as_deref()).unwrap_or_default()
    }
}

/// What the body of a message holds.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Notification {
    pub sources: Vec<Source>,
    /// Records that ask for nothing: other events, other prefixes, `s3:TestEvent`.
    pub ignored: usize,
}

/// A body that is not an S3 event.
#[derive(Debug, thiserror::Error)]
#[error("the message is not an S3 event notification")]
pub struct NotANotification(#[source] serde_json::Error);

/// Reads all records of an event.
///
/// The form of the event: Amazon S3 User Guide, "Event message structure".
pub fn read(body: &str) -> Result<Notification, NotANotification> {
    let event: Event = serde_json::from_str(body).map_err(NotANotification)?;
    let mut notification = Notification::default();
    match event {
        Event::Test { .. } => notification.ignored += 1,
        Event::Records { records } => {
            for record in records {
                match source(record) {
                    Some(source) => notification.sources.push(source),
                    None => notification.ignored += 1,
                }
            }
        }
    }
    Ok(notification)
}

fn source(record: Record) -> Option<Source> {
    // "ObjectCreated:Put"; some senders put "s3:" in front.
    let event = record.event_name.strip_prefix("s3:").unwrap_or(&record.event_name);
    if !event.starts_with("ObjectCreated:") {
        return None;
    }
    let key = decode_key(&record.s3.object.key);
    let (table, file) = key.strip_prefix(PREFIX)?.split_once('/')?;
    // A key that ends in a slash is a folder that a console made.
    if table.is_empty() || file.is_empty() || key.ends_with('/') {
        return None;
    }
    Some(Source {
        table: table.to_owned(),
        object: ObjectName {
            bucket: record.s3.bucket.name,
            version_id: record.s3.object.version_id.filter(|version| version != "null"),
            etag: record.s3.object.e_tag.map(|etag| etag.trim_matches('"').to_owned()),
            key,
        },
        sequencer: record.s3.object.sequencer.unwrap_or_default(),
    })
}

/// Keys come form-encoded: a space as `+`, a plus as `%2B`.
fn decode_key(key: &str) -> String {
    percent_decode_str(&key.replace('+', " ")).decode_utf8_lossy().into_owned()
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Event {
    Records {
        #[serde(rename = "Records")]
        records: Vec<Record>,
    },
    /// `{"Service":"Amazon S3","Event":"s3:TestEvent",…}`.
    Test {
        #[serde(rename = "Event")]
        _event: TestEvent,
    },
}

#[derive(Debug, Deserialize)]
enum TestEvent {
    #[serde(rename = "s3:TestEvent")]
    TestEvent,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Record {
    event_name: String,
    s3: S3,
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

#[cfg(test)]
mod tests {
    use super::*;

    fn event(name: &str, key: &str) -> String {
        serde_json::json!({ "Records": [{
            "eventName": name,
            "s3": { "bucket": { "name": "uploads" }, "object": { "key": key, "eTag": "e", "sequencer": "01" } }
        }]})
        .to_string()
    }

    fn check(name: &str, key: &str, expected: Option<(&str, &str)>) {
        let notification = read(&event(name, key)).unwrap();
        let found = notification.sources.first();
        let found = found.map(|source| (source.table.as_str(), source.object.key.as_str()));
        assert_eq!(found, expected, "{name} {key}");
        assert_eq!(notification.ignored, usize::from(expected.is_none()));
    }

    #[test]
    fn keys_are_decoded_as_s3_encodes_them() {
        let put = "ObjectCreated:Put";
        check(put, "imports/staff/a.csv", Some(("staff", "imports/staff/a.csv")));
        check(put, "imports/staff/my+file.csv", Some(("staff", "imports/staff/my file.csv")));
        check(put, "imports/staff/1%2B1.csv", Some(("staff", "imports/staff/1+1.csv")));
        check(put, "imports/staff/%E8%A1%A8.csv", Some(("staff", "imports/staff/表.csv")));
        check(put, "imports/staff/2026/11/a.csv", Some(("staff", "imports/staff/2026/11/a.csv")));
    }

    #[test]
    fn what_asks_for_nothing_is_ignored() {
        check("ObjectRemoved:Delete", "imports/staff/a.csv", None);
        check("ObjectCreated:Put", "other/staff/a.csv", None);
        check("ObjectCreated:Put", "imports/a.csv", None);
        check("ObjectCreated:Put", "imports/staff/", None);
        let test = r#"{"Service":"Amazon S3","Event":"s3:TestEvent","Bucket":"uploads"}"#;
        assert_eq!(read(test).unwrap(), Notification { sources: vec![], ignored: 1 });
        assert_eq!(read(r#"{"Records":[]}"#).unwrap(), Notification::default());
    }

    #[test]
    fn a_body_of_another_kind_is_an_error() {
        for body in ["", "{}", "[]", "{\"Event\":\"other\"}", "{\"Records\":[{}]}"] {
            assert!(read(body).is_err(), "{body}");
        }
    }

    #[test]
    fn another_upload_is_another_import() {
        let source = |key: &str| read(&event("ObjectCreated:Put", key)).unwrap().sources.remove(0);
        let first = source("imports/staff/a.csv");
        let mut second = first.clone();
        assert_eq!(first.import_id(), source("imports/staff/a.csv").import_id());
        second.sequencer = "02".into();
        assert_ne!(first.import_id(), second.import_id());
    }
}
