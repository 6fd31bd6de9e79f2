//! Messages of the imports queue, in every envelope that AWS puts around them.

use aurora_sync::functions::import::read::source::{ImportRequest, Notification, Source, read};

use crate::support::sample;

fn notification(name: &str) -> Notification {
    let event = sample(name);
    read(event["Records"][0]["body"].as_str().unwrap()).unwrap()
}

#[test]
fn one_upload_has_one_import_id_in_every_envelope() {
    let direct = notification("sqs-import");
    let [ImportRequest { source, continuation: 0 }] = direct.requests.as_slice() else {
        panic!("{direct:?}")
    };
    assert_eq!(source.object.key, "imports/staff/new staff (november).csv");
    let uploader = Some("AWS:AIDAEXAMPLE7EXAMPLE17");
    assert_eq!(source.uploader.as_deref(), uploader);
    for (name, continuation, uploader) in [
        ("sqs-import-sns", 0, uploader),
        // EventBridge tells the account only.
        ("sqs-import-eventbridge", 0, Some("123456789012")),
        ("sqs-import-continuation", 2, uploader),
    ] {
        let found = notification(name);
        let uploader = uploader.map(str::to_owned);
        let request = ImportRequest { source: Source { uploader, ..source.clone() }, continuation };
        assert_eq!(found.requests, [request], "{name}");
        assert_eq!(found.requests[0].source.import_id(), source.import_id());
    }
}

#[test]
fn a_test_event_names_no_file() {
    assert_eq!(notification("sqs-s3-test-event"), Notification { requests: vec![], ignored: 1 });
}
