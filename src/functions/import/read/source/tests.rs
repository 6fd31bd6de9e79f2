use proptest::prelude::*;
use serde_json::json;

use super::*;

fn record(name: &str, key: &str) -> Value {
    json!({
        "eventName": name,
        "s3": {
            "bucket": { "name": "uploads" },
            "object": { "key": key, "eTag": "e", "sequencer": "01" },
        },
    })
}

fn event(name: &str, key: &str) -> String {
    json!({ "Records": [record(name, key)] }).to_string()
}

fn check(name: &str, key: &str, expected: Option<(&str, &str)>) {
    let notification = read(&event(name, key)).unwrap();
    let found = notification.requests.first();
    let found =
        found.map(|request| (request.source.table.as_str(), request.source.object.key.as_str()));
    assert_eq!(found, expected, "{name} {key}");
    assert_eq!(notification.ignored, usize::from(expected.is_none()));
}

#[test]
fn keys_are_decoded_as_s3_encodes_them() {
    let put = "ObjectCreated:Put";
    check(put, "imports/staff/a.csv", Some(("staff", "imports/staff/a.csv")));
    check(put, "imports/staff/my+file.csv", Some(("staff", "imports/staff/my file.csv")));
    check(put, "imports/staff/1%2B1.csv", Some(("staff", "imports/staff/1+1.csv")));
    check(put, "imports/staff/100%25.csv", Some(("staff", "imports/staff/100%.csv")));
    check(put, "imports/staff/%E8%A1%A8.csv", Some(("staff", "imports/staff/表.csv")));
    check(put, "imports/staff/2026/11/a.csv", Some(("staff", "imports/staff/2026/11/a.csv")));
    check("s3:ObjectCreated:Copy", "imports/t/a", Some(("t", "imports/t/a")));
    check(put, "imports/a.csv", Some(("a.csv", "imports/a.csv")));
}

#[test]
fn a_message_that_requests_no_import_is_ignored() {
    check("ObjectRemoved:Delete", "imports/staff/a.csv", None);
    check("ObjectCreated:Put", "other/staff/a.csv", None);
    check("ObjectCreated:Put", "imports/", None);
    check("ObjectCreated:Put", "imports/staff/", None);
    let check = |body: &Value, ignored| {
        let expected = Notification { requests: vec![], ignored };
        assert_eq!(read(&body.to_string()).unwrap(), expected, "{body}");
    };
    let test = json!({ "Service": "Amazon S3", "Event": "s3:TestEvent", "Bucket": "uploads" });
    check(&test, 1);
    check(&json!({ "Type": "Notification", "Message": test.to_string() }), 1);
    check(&json!({ "Type": "UnsubscribeConfirmation", "Message": "You have chosen …" }), 1);
    check(&json!({ "Records": [] }), 0);
    let detail = json!({ "bucket": { "name": "b" }, "object": { "key": "imports/t/a" } });
    check(&json!({ "source": "aws.s3", "detail-type": "Object Deleted", "detail": detail }), 1);
    check(&json!({ "source": "aws.ec2", "detail-type": "Object Created", "detail": {} }), 1);
}

#[test]
fn every_record_of_an_event_counts() {
    let records = [
        record("ObjectCreated:Put", "imports/a/1"),
        record("ObjectRemoved:Delete", "imports/a/1"),
        record("ObjectCreated:Put", "imports/b/2"),
    ];
    let notification = read(&json!({ "Records": records }).to_string()).unwrap();
    let keys: Vec<_> =
        notification.requests.iter().map(|request| &request.source.object.key).collect();
    assert_eq!(keys, ["imports/a/1", "imports/b/2"]);
    assert_eq!(notification.ignored, 1);
}

#[test]
fn a_body_of_another_kind_is_an_error() {
    for body in [
        "",
        "{}",
        "[]",
        "7",
        r#"{"Event":"other"}"#,
        r#"{"Records":[{}]}"#,
        r#"{"Type":"Notification","Message":"hello"}"#,
        r#"{"source":"aws.s3","detail-type":"Object Created","detail":{}}"#,
        r#"{"continuation":1}"#,
    ] {
        assert!(read(body).is_err(), "{body}");
    }
    let mut body = event("ObjectCreated:Put", "imports/t/a");
    for _ in 0..=DEPTH_MAX {
        body = json!({ "Type": "Notification", "Message": body }).to_string();
    }
    assert!(matches!(read(&body), Err(NotificationError::TooDeep)));
}

#[test]
fn another_upload_is_another_import() {
    let first = read(&event("ObjectCreated:Put", "imports/t/a")).unwrap().requests.remove(0).source;
    for change in [
        |source: &mut Source| source.sequencer = "02".into(),
        |source: &mut Source| source.object.etag = Some("f".into()),
        |source: &mut Source| source.object.version_id = Some("v".into()),
        |source: &mut Source| source.object.key.push('b'),
        |source: &mut Source| source.object.bucket.push('b'),
    ] {
        let mut second = first.clone();
        change(&mut second);
        assert_ne!(first.import_id(), second.import_id());
    }
}

proptest! {
    /// One upload, in each envelope in which its notification can come.
    #[test]
    fn every_envelope_names_the_same_import(
        file in "[a-z+% /é表😀=&\"]{1,12}[a-z]",
        version in prop::sample::select(vec![None, Some("null"), Some("3HL4kqtJ")]),
        sequencer in prop::option::of("[0-9A-F]{1,18}"),
    ) {
        let key = format!("imports/t/{file}");
        let encoded: String = percent_encoding::utf8_percent_encode(&key, percent_encoding::NON_ALPHANUMERIC)
            .to_string()
            .replace("%20", "+");
        let mut direct = record("ObjectCreated:Put", &encoded);
        let object = &mut direct["s3"]["object"];
        object["eTag"] = "d41d8".into();
        let mut bridged = json!({ "key": key, "etag": "\"d41d8\"", "size": 0 });
        if let Some(version) = version {
            object["versionId"] = version.into();
            // EventBridge leaves out the version "null".
            if version != "null" {
                bridged["version-id"] = version.into();
            }
        }
        object["sequencer"] = json!(sequencer);
        bridged["sequencer"] = json!(sequencer);
        let direct = json!({ "Records": [direct] }).to_string();
        let bridged = json!({
            "source": "aws.s3",
            "detail-type": "Object Created",
            "detail": { "bucket": { "name": "uploads" }, "object": bridged },
        })
        .to_string();
        let in_sns = |body: &str| json!({ "Type": "Notification", "Message": body }).to_string();
        let source = read(&direct).unwrap().requests.remove(0).source;
        prop_assert_eq!(&source.object.key, &key);
        for body in [in_sns(&direct), bridged.clone(), in_sns(&bridged)] {
            let other = read(&body).unwrap().requests.remove(0);
            prop_assert_eq!(other.continuation, 0);
            prop_assert_eq!(&other.source, &source);
            prop_assert_eq!(other.source.import_id(), source.import_id());
        }
        let continued = read(&continuation_body(&source, 3)).unwrap();
        prop_assert_eq!(continued.requests, vec![ImportRequest { source, continuation: 3 }]);
    }
}
