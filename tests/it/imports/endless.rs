//! Files with an endless part: a header, a quote, a comment, a stalled download.

use std::collections::BTreeMap;
use std::time::Duration;

use aurora_sync::aws::objects::RANGE_BYTES;
use aurora_sync::aws::queue::Queue;
use aurora_sync::domain::deadline::Deadline;
use aurora_sync::functions::import::read::source;
use aurora_sync::functions::import::{self, CONTINUATIONS_MAX, Import};
use aws_lambda_events::sqs::SqsBatchResponse;
use serde_json::json;

use crate::support::fake_aws::{CallFault, FakeAws};
use crate::support::logs::{Log, metrics};
use crate::support::{World, deadline, sqs_event};

const T: &str = "CREATE TABLE t (k integer PRIMARY KEY, v text)";

const KEY: &str = "imports/t/a.csv";

/// A file in its bucket, and `import` with it.
struct Dropped {
    world: World,
    aws: FakeAws,
    import: Import,
    message: String,
}

impl Dropped {
    async fn of(content: Vec<u8>, options: &[(&str, &str)]) -> Self {
        let (world, aws) = (World::with(T).await, FakeAws::new().await);
        let options = options.iter().map(|(name, value)| ((*name).into(), (*value).into()));
        let etag = aws.put("uploads", KEY, content, options.collect::<BTreeMap<_, _>>());
        let mut import = world.import(&aws.sdk_config, "results");
        import.queue = Queue::new(&aws.sdk_config, aws.queue_url());
        let message = json!({ "Records": [{
            "eventName": "ObjectCreated:Put",
            "s3": {
                "bucket": { "name": "uploads" },
                "object": { "key": KEY, "eTag": etag, "sequencer": "01" },
            },
        }]});
        Self { world, aws, import, message: message.to_string() }
    }

    async fn deliver(&self, message: &str, deadline: Deadline) -> SqsBatchResponse {
        let event = sqs_event(&[("m1", "", message)]);
        import::handle(&self.import, event, deadline).await.unwrap()
    }

    /// Returns the state and the error of the import.
    async fn state(&self) -> String {
        self.world.rows("SELECT state, error FROM sync.import").await.remove(0)
    }
}

/// Returns a file of this many ranges of comments, with a table behind them.
fn comments(ranges: u64) -> Vec<u8> {
    let mut file = b"#comment\n".repeat(usize::try_from(ranges * RANGE_BYTES / 9).unwrap());
    file.extend_from_slice(b"k,v\n1,a\n");
    file
}

#[tokio::test]
async fn a_header_without_an_end_fails_the_import_after_a_few_ranges() {
    let dropped = Dropped::of(vec![b'x'; 8 * 1024 * 1024], &[]).await;
    dropped.deliver(&dropped.message, deadline()).await;
    let state = dropped.state().await;
    assert!(state.starts_with("failed|the header (line 1) cannot be read"), "{state}");
    assert!(state.contains("over 524288 bytes"), "{state}");
    // The head, at most three of the five ranges, and the report.
    assert!(dropped.aws.calls() <= 5, "{}", dropped.aws.calls());
}

#[tokio::test]
async fn an_unclosed_quote_fails_the_import_and_its_line_is_reported() {
    let rows = "2,row\n".repeat(1024 * 1024);
    let file = format!("k,v\n1,a\n2,\"b\nb\"\n3,\"{rows}");
    let dropped = Dropped::of(file.into_bytes(), &[]).await;
    dropped.deliver(&dropped.message, deadline()).await;
    let state = dropped.state().await;
    assert!(state.starts_with("failed|"), "{state}");
    assert!(state.contains("the quote that opens on line 5 is not closed"), "{state}");
    assert!(state.contains("quote=none"), "{state}");
}

#[tokio::test]
async fn the_search_for_a_header_ends_at_the_deadline() {
    let dropped = Dropped::of(comments(5), &[("comment", "#")]).await;
    let response = dropped.deliver(&dropped.message, Deadline::after(Duration::ZERO)).await;
    assert_eq!(response.batch_item_failures.len(), 1);
    let state = dropped.state().await;
    assert!(state.contains("the time of the invocation is over"), "{state}");
    // The head and two of the five ranges.
    assert!(dropped.aws.calls() <= 3, "{}", dropped.aws.calls());
    dropped.deliver(&dropped.message, deadline()).await;
    assert_eq!(dropped.state().await, "completed|-");
}

#[tokio::test]
async fn an_import_whose_download_stalls_continues_in_another_invocation() {
    let mut file = "k,v\n".to_owned();
    let row = "x".repeat(1000);
    for key in 0..5_000 {
        file.push_str(&format!("{key},{row}\n"));
    }
    let mut dropped = Dropped::of(file.into_bytes(), &[]).await;
    dropped.import.limits.records = 500;
    // The first call requests the head.
    dropped.aws.inject(4, CallFault::Hang);
    let soon = Deadline::after(Duration::from_secs(8));
    let log = Log::from_level("error");
    let response = dropped.deliver(&dropped.message, soon).await;
    assert!(response.batch_item_failures.is_empty());
    let line = log.line("import continues in another invocation");
    assert!(metrics(&line).contains(&"continued_imports".to_owned()), "{line}");
    assert_eq!(dropped.state().await, "running|-");
    let sent = dropped.aws.take_sent();
    assert_eq!(sent.len(), 1);
    dropped.deliver(&sent[0], deadline()).await;
    assert_eq!(dropped.state().await, "completed|-");
    let counts = "SELECT rows_read, rows_written, (SELECT count(*) FROM t) FROM sync.import";
    assert_eq!(dropped.world.rows(counts).await, ["5000|5000|5000"]);
}

/// Lambda lets the function send itself messages without an end.
#[tokio::test]
async fn an_import_that_was_continued_too_often_fails_and_keeps_its_rows() {
    let mut file = "k,v\n".to_owned();
    let row = "x".repeat(1000);
    for key in 0..5_000 {
        file.push_str(&format!("{key},{row}\n"));
    }
    let mut dropped = Dropped::of(file.into_bytes(), &[]).await;
    dropped.import.limits.records = 500;
    let notification = source::read(&dropped.message).unwrap();
    let last = source::continuation_body(&notification.requests[0].source, CONTINUATIONS_MAX);
    let mut state = String::new();
    // The first invocation that loads a chunk is the last one.
    for seconds in [8, 16, 32, 64] {
        // The first call requests the head.
        dropped.aws.inject(4, CallFault::Hang);
        dropped.deliver(&last, Deadline::after(Duration::from_secs(seconds))).await;
        state = dropped.state().await;
        if state.starts_with("failed") {
            break;
        }
    }
    assert!(state.starts_with("failed|the file is not loaded after 1000 continuations"), "{state}");
    assert!(dropped.aws.take_sent().is_empty());
    let kept =
        "SELECT continuation, rows_read = (SELECT count(*) FROM t), rows_read BETWEEN 1 AND 4999
        FROM sync.import";
    assert_eq!(dropped.world.rows(kept).await, ["1000|true|true"]);
}

#[tokio::test]
async fn a_file_without_the_end_of_a_row_in_an_invocation_fails() {
    let mut dropped = Dropped::of(comments(5), &[("comment", "#")]).await;
    dropped.import.limits.bytes = 1024;
    dropped.import.full_invocation = Duration::ZERO;
    dropped.aws.inject(4, CallFault::Hang);
    let soon = Deadline::after(Duration::from_secs(8));
    let response = dropped.deliver(&dropped.message, soon).await;
    assert!(response.batch_item_failures.is_empty());
    let state = dropped.state().await;
    assert!(
        state.starts_with("failed|the rest of the file cannot be read: from line 1 on"),
        "{state}"
    );
}
