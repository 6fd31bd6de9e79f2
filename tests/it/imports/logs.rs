//! The log lines of imports, and the metrics in them.

use std::time::Duration;

use aurora_sync::domain::deadline::{Deadline, now_ms};
use aurora_sync::functions::import;
use serde_json::json;

use super::Importer;
use crate::support::logs::{Log, metrics};
use crate::support::{STAFF, sqs_event};

#[tokio::test]
async fn a_completed_import_logs_its_rows() {
    let importer = Importer::with(STAFF).await;
    let log = Log::from_level("error");
    importer.load("staff", &[], "id,name\n0001,a\n0010,b\n0011\n").await;
    let line = log.line("import completed");
    assert_eq!(line["level"], "INFO");
    for (name, value) in [("read_rows", 3), ("written_rows", 2), ("rejected_rows", 1)] {
        assert_eq!(line[name], value, "{line}");
        assert!(metrics(&line).contains(&name.to_owned()), "{line}");
    }
    assert!(!metrics(&line).contains(&"failed_imports".to_owned()));
    assert!(line["data_api_calls"].as_u64().unwrap() > 3);
}

#[tokio::test]
async fn a_failed_import_is_an_error_in_the_log_and_counts_as_failed() {
    let importer = Importer::with(STAFF).await;
    let log = Log::from_level("error");
    importer.load("staff", &[], "id,nam\n0001,a\n").await;
    let line = log.line("import failed");
    assert_eq!(line["level"], "ERROR");
    assert!(metrics(&line).contains(&"failed_imports".to_owned()), "{line}");
}

#[tokio::test]
async fn an_import_whose_rows_are_all_rejected_warns_and_counts_as_failed() {
    let importer = Importer::with(STAFF).await;
    let log = Log::from_level("error");
    importer.load("staff", &[], "id,name\n00001,a\n00002,b\n").await;
    let line = log.line("import rejected all rows");
    assert_eq!((&line["level"], &line["rejected_rows"]), (&json!("WARN"), &json!(2)));
    assert!(metrics(&line).contains(&"failed_imports".to_owned()), "{line}");
}

#[tokio::test]
async fn an_import_that_a_person_must_unblock_is_counted_with_the_time_that_its_file_waits() {
    let importer = Importer::with(STAFF).await;
    importer.world.run("REVOKE USAGE ON SCHEMA sync FROM sync_writer").await;
    let etag = importer.bucket.put("imports/staff/a.csv", "id,name\n0010,a\n").await;
    let body = json!({ "Records": [importer.notification("imports/staff/a.csv", &etag, "01")] });
    let mut event = sqs_event(&[("m1", "", &body.to_string())]);
    let sent = now_ms() - 3_600_000;
    event.records[0].attributes.insert("SentTimestamp".into(), sent.to_string());
    let log = Log::from_level("error");
    import::handle(&importer.import, event, Deadline::after(Duration::from_secs(30)))
        .await
        .unwrap_err();
    let line = log.line("import blocked");
    assert_eq!(line["level"], "ERROR");
    for name in ["blocked_imports", "import_wait_seconds"] {
        assert!(metrics(&line).contains(&name.to_owned()), "{line}");
    }
    assert!(line["import_wait_seconds"].as_u64().unwrap() >= 3_600, "{line}");
}
