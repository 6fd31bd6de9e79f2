//! Files that change or disappear while they are read.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use aurora_sync::aws::objects::RANGE_BYTES;
use aurora_sync::aws::queue::Queue;
use aurora_sync::functions::import;
use serde_json::{Value, json};

use crate::support::fake_aws::{CallFault, FakeAws};
use crate::support::{World, deadline, sqs_event};

const T: &str = "CREATE TABLE t (k integer PRIMARY KEY, v text)";

const KEY: &str = "imports/t/a.csv";

/// The records of one chunk.
const CHUNK: usize = 500;

/// Returns the notification of the file.
fn message(etag: &str) -> String {
    json!({ "Records": [{
        "eventName": "ObjectCreated:Put",
        "s3": {
            "bucket": { "name": "uploads" },
            "object": { "key": KEY, "eTag": etag, "sequencer": "01" },
        },
    }]})
    .to_string()
}

/// The end of an import whose file changed.
struct Ended {
    error: String,
    report: Value,
    /// The number of rows in the table.
    loaded: usize,
}

/// Loads a file of five ranges, with a fault at the request of the fourth.
async fn load_under(mishap: CallFault) -> Ended {
    let (world, aws) = (World::with(T).await, FakeAws::new().await);
    let mut file = String::from("k,v\n");
    let mut records = 0;
    while (file.len() as u64) < 5 * RANGE_BYTES {
        writeln!(file, "{records},{}", "x".repeat(1_000)).unwrap();
        records += 1;
    }
    let etag = aws.put("uploads", KEY, file.into_bytes(), BTreeMap::new());
    let mut import = world.import(&aws.sdk_config, "results");
    (import.lanes, import.limits.records) = (1, CHUNK);
    // The first call requests the head.
    aws.inject(5, mishap);
    let event = sqs_event(&[("m1", "", &message(&etag))]);
    let response = import::handle(&import, event, deadline()).await.unwrap();
    assert!(response.batch_item_failures.is_empty());
    // The loaded rows stay. They are the first chunks of the file.
    let found = world.rows("SELECT count(*), max(k) + 1 FROM t").await.remove(0);
    let (loaded, end) = found.split_once('|').unwrap();
    assert_eq!(loaded, end);
    let loaded: usize = loaded.parse().unwrap();
    assert!(
        loaded > 0 && loaded < records && loaded.is_multiple_of(CHUNK),
        "{loaded} of {records}"
    );
    let status = "SELECT id::text, state, rows_read, rows_written, error FROM sync.import";
    let found = world.rows(status).await.remove(0);
    let [id, state, read, written, error] =
        found.splitn(5, '|').collect::<Vec<_>>().try_into().unwrap();
    assert_eq!([state, read, written], ["failed", &loaded.to_string(), &loaded.to_string()]);
    let report = aws.get("results", &format!("t/{id}/report.json")).unwrap();
    let report = serde_json::from_slice(&report).unwrap();
    Ended { error: error.to_owned(), report, loaded }
}

#[tokio::test]
async fn a_file_overwritten_while_it_is_read_fails_with_that_reason() {
    let Ended { error, report, loaded } = load_under(CallFault::Overwrite).await;
    let expected = "the file was replaced before all of it was read; the newer file has its own import, and the rows that \
                    were loaded of this one stay";
    assert_eq!(error, expected);
    assert_eq!(report["error"], expected);
    assert_eq!(report["rows"]["written"], loaded);
}

#[tokio::test]
async fn a_file_deleted_while_it_is_read_fails_with_that_reason() {
    let Ended { error, report, loaded } = load_under(CallFault::Delete).await;
    let expected = "the file no longer exists; the rows that were loaded stay";
    assert_eq!(error, expected);
    assert_eq!(report["error"], expected);
    assert_eq!(report["rows"]["written"], loaded);
}

#[tokio::test]
async fn the_reason_for_a_delay_is_recorded_until_the_file_can_be_read() {
    let (world, aws) = (World::with(T).await, FakeAws::new().await);
    let etag = aws.put("uploads", KEY, b"k,v\n1,a\n".to_vec(), BTreeMap::new());
    let import = world.import(&aws.sdk_config, "results");
    let event = || sqs_event(&[("m1", "", &message(&etag))]);
    for call in 1..10 {
        aws.inject(call, CallFault::Fail);
    }
    let response = import::handle(&import, event(), deadline()).await.unwrap();
    assert_eq!(response.batch_item_failures.len(), 1);
    let status = "SELECT state, error FROM sync.import";
    let found = world.rows(status).await.remove(0);
    assert!(found.starts_with("running|the import cannot continue, and is retried"), "{found}");
    assert!(found.contains("HeadObject"), "{found}");
    aws.clear_faults();
    let response = import::handle(&import, event(), deadline()).await.unwrap();
    assert!(response.batch_item_failures.is_empty());
    assert_eq!(world.rows(status).await, ["completed|-"]);
}

#[tokio::test]
async fn the_message_of_a_file_stays_hidden_while_the_file_is_loaded() {
    let (world, aws) = (World::with(T).await, FakeAws::new().await);
    let etag = aws.put("uploads", KEY, b"k,v\n1,a\n".to_vec(), BTreeMap::new());
    let mut import = world.import(&aws.sdk_config, "results");
    import.queue = Queue::new(&aws.sdk_config, aws.queue_url());
    import.heartbeat_every = Duration::from_millis(10);
    world.fault("execute@3 delay=500ms");
    let event = sqs_event(&[("m1", "", &message(&etag))]);
    let response = import::handle(&import, event, deadline()).await.unwrap();
    assert!(response.batch_item_failures.is_empty());
    let hidden = aws.hidden();
    assert!(hidden.len() >= 3, "{hidden:?}");
    let for_minutes = ("handle".to_owned(), 180);
    assert!(hidden.iter().all(|hidden| *hidden == for_minutes), "{hidden:?}");
}
