//! The identity of imports: notifications that come twice, late, together, in envelopes, or without
//! a file.

use aurora_sync::functions::import;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value, json};

use super::{COUNTS, Importer, LAST};
use crate::support::{STAFF, deadline, sqs_event};

const T: &str =
    "CREATE TABLE t (k integer PRIMARY KEY, v text); CREATE TABLE other (k integer PRIMARY KEY);";

const STATES: &str = "SELECT sequencer, state, rows_read FROM sync.import ORDER BY started_at";

#[tokio::test]
async fn two_concurrent_deliveries_of_one_notification_are_one_import() {
    let importer = Importer::in_chunks(T, 5).await;
    let file: String =
        std::iter::once("k,v\n".to_owned()).chain((0..100).map(|n| format!("{n},x\n"))).collect();
    let etag = importer.bucket.put("imports/t/a.csv", file).await;
    let notify = || importer.notify("imports/t/a.csv", &etag, "01");
    tokio::join!(notify(), notify());
    // Each may have lost a lane to the other and have left the rest to a later delivery.
    assert!(notify().await.batch_item_failures.is_empty());
    assert_eq!(importer.world.rows(COUNTS).await, ["completed|100|100|0|0|0"]);
    assert_eq!(importer.report("t").await["rows"]["written"], 100);
}

/// The message from S3 and the one from EventBridge have different ids.
#[tokio::test]
async fn one_of_two_concurrent_messages_of_a_file_loads_it() {
    let importer = Importer::in_chunks(T, 5).await;
    let key = "imports/t/a.csv";
    let file: String =
        std::iter::once("k,v\n".to_owned()).chain((0..100).map(|n| format!("{n},x\n"))).collect();
    for round in 0..3 {
        let etag = importer.bucket.put(key, format!("{file}{round},last\n")).await;
        let sequencer = format!("0{round}");
        let body =
            json!({ "Records": [importer.notification(key, &etag, &sequencer)] }).to_string();
        let deliver = async |id| {
            let event = sqs_event(&[(id, "", &body)]);
            import::handle(&importer.import, event, deadline()).await.unwrap()
        };
        let (one, other) = tokio::join!(deliver("m1"), deliver("m2"));
        let failures = one.batch_item_failures.len() + other.batch_item_failures.len();
        assert!(failures <= 1, "both stopped");
        let found = importer.world.rows(LAST).await;
        assert!(found[0].starts_with("completed|101|"), "{found:?}");
        // The other message finds the completed import.
        for id in ["m1", "m2"] {
            assert!(deliver(id).await.batch_item_failures.is_empty());
        }
        assert_eq!(importer.world.rows(LAST).await, found);
    }
}

#[tokio::test]
async fn a_message_delivered_twice_at_once_is_loaded_by_one_worker() {
    let importer = Importer::in_chunks(T, 5).await;
    let key = "imports/t/a.csv";
    let file: String =
        std::iter::once("k,v\n".to_owned()).chain((0..100).map(|n| format!("{n},x\n"))).collect();
    for round in 0..3 {
        let etag = importer.bucket.put(key, format!("{file}{round},last\n")).await;
        let sequencer = format!("0{round}");
        let notify = || importer.notify(key, &etag, &sequencer);
        tokio::join!(notify(), notify());
        let found = importer.world.rows(LAST).await;
        assert!(found[0].starts_with("completed|101|"), "{found:?}");
    }
}

#[tokio::test]
async fn an_import_is_taken_over_from_a_dead_worker() {
    let importer = Importer::with(T).await;
    let key = "imports/t/a.csv";
    let etag = importer.bucket.put(key, "k,v\n1,x\n").await;
    let body = json!({ "Records": [importer.notification(key, &etag, "01")] }).to_string();
    let deliver = async |id| {
        let event = sqs_event(&[(id, "", &body)]);
        import::handle(&importer.import, event, deadline()).await.unwrap()
    };
    // The first worker dies.
    importer.world.fault("execute@3 delay=1h");
    let dies = tokio::time::timeout(std::time::Duration::from_millis(500), deliver("m1")).await;
    assert!(dies.is_err());
    importer.world.server.faults().clear();
    assert_eq!(deliver("m2").await.batch_item_failures.len(), 1);
    importer.world.rows("UPDATE sync.import SET held_at = held_at - interval '3 minutes'").await;
    assert!(deliver("m2").await.batch_item_failures.is_empty());
    assert_eq!(importer.world.rows(COUNTS).await, ["completed|1|1|0|0|0"]);
}

#[tokio::test]
async fn a_late_notification_of_an_older_version_is_not_imported() {
    let importer = Importer::with(T).await;
    let key = "imports/t/a.csv";
    // Sequencers are compared as AWS defines: the shorter one is padded on the right.
    for (older, newer) in [("00A1", "00A2"), ("0A", "0A01"), ("0055AED6DCD90281E5", "0056")] {
        importer.world.rows("DELETE FROM sync.import").await;
        importer.bucket.put(key, "k,v\n1,older\n").await;
        let etag = importer.bucket.put(key, "k,v\n1,newer\n").await;
        importer.notify(key, &etag, newer).await;
        importer.notify(key, "0123456789abcdef0123456789abcdef", older).await;
        let states = [format!("{newer}|completed|1"), format!("{older}|failed|0")];
        assert_eq!(importer.world.rows(STATES).await, states);
        assert!(importer.error().await.starts_with("a newer version of this file was dropped"));
        assert_eq!(importer.report("t").await["state"], "failed");
        assert_eq!(importer.world.rows("SELECT v FROM t").await, ["newer"]);
    }
}

#[tokio::test]
async fn a_newer_file_ends_the_import_of_an_older_one() {
    let mut importer = Importer::in_chunks(T, 2).await;
    importer.import.lanes = 1;
    let key = "imports/t/a.csv";
    let older =
        importer.bucket.put(key, "k,v\n1,older\n2,older\n3,older\n4,older\n5,older\n").await;
    // The first chunk is loaded.
    importer.world.fault("batch@2.. fail-before=ServiceUnavailableError");
    assert_eq!(importer.notify(key, &older, "0A").await.batch_item_failures.len(), 1);
    importer.world.server.faults().clear();
    assert!(importer.world.rows(STATES).await[0].starts_with("0A|running"));
    assert_eq!(importer.world.rows("SELECT k FROM t ORDER BY k").await, ["1", "2"]);
    let newer = importer.bucket.put(key, "k,v\n1,newer\n").await;
    importer.notify(key, &newer, "0A00").await;
    importer.notify(key, &newer, "0B").await;
    let response = importer.notify(key, &older, "0A").await;
    assert!(response.batch_item_failures.is_empty());
    let reported =
        "SELECT sequencer, state, reported_at IS NOT NULL, rows_read, rows_written FROM sync.import
        ORDER BY sequencer";
    let found = importer.world.rows(reported).await;
    assert_eq!(found[0], "0A|failed|true|2|2");
    // The rows that the older import has loaded stay; the rest is not loaded.
    assert_eq!(importer.world.rows("SELECT k FROM t ORDER BY k").await, ["1", "2"]);
    assert_eq!(found.last().unwrap(), "0B|completed|true|1|0");
    assert_eq!(importer.world.rows("SELECT v FROM t WHERE k = 1").await, ["newer"]);
}

#[tokio::test]
async fn the_report_and_the_state_agree_when_a_newer_file_comes_before_the_end() {
    let mut importer = Importer::with(T).await;
    importer.import.lanes = 1;
    let key = "imports/t/a.csv";
    let older = importer.bucket.put(key, "k,v\n1,older\n").await;
    // The end of the older import waits, before it reads the row, until the newer file has come.
    let session = ephemeral_postgres::connect(&importer.world.database_url).await.unwrap();
    session
        .batch_execute(
            "CREATE FUNCTION wait_at_end() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
               IF current_query() LIKE '%sync.end_import(%'
                 AND NOT EXISTS (SELECT FROM sync.import WHERE state = 'failed') THEN
                 PERFORM pg_advisory_xact_lock(20261128);
               END IF;
               RETURN NULL;
             END $$;
             CREATE TRIGGER wait_at_end BEFORE UPDATE ON sync.import EXECUTE FUNCTION wait_at_end();
             SELECT pg_advisory_lock(20261128)",
        )
        .await
        .unwrap();
    let newer = async {
        let waits = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND objid = 20261128 AND NOT granted";
        crate::support::until(async || importer.world.rows(waits).await != ["0"]).await;
        importer.notify(key, "0123456789abcdef0123456789abcdef", "0B").await;
        session.batch_execute("SELECT pg_advisory_unlock(20261128)").await.unwrap();
    };
    tokio::join!(importer.notify(key, &older, "0A"), newer);
    let status = "SELECT sequencer, state, reported_at IS NOT NULL, rows_written FROM sync.import ORDER BY sequencer";
    assert_eq!(importer.world.rows(status).await, ["0A|failed|true|1", "0B|failed|true|0"]);
    let id = importer.world.rows("SELECT id::text FROM sync.import WHERE sequencer = '0A'").await;
    let report = importer.bucket.get(&format!("t/{}/report.json", id[0])).await.unwrap();
    let report: Value = serde_json::from_str(&report).unwrap();
    assert_eq!(report["state"], "failed", "{report}");
}

#[tokio::test]
async fn a_file_overwritten_before_it_is_read_fails_with_that_reason() {
    let importer = Importer::with(T).await;
    let key = "imports/t/a.csv";
    let older = importer.bucket.put(key, "k,v\n1,older\n").await;
    let newer = importer.bucket.put(key, "k,v\n1,newer\n").await;
    importer.notify(key, &older, "0A").await;
    assert!(importer.error().await.starts_with("the file was replaced before all of it was read"));
    assert_eq!(importer.world.rows("SELECT count(*) FROM t").await, ["0"]);
    importer.notify(key, &newer, "0B").await;
    assert_eq!(importer.world.rows("SELECT v FROM t").await, ["newer"]);
}

#[tokio::test]
async fn all_files_of_one_message_are_imported() {
    let importer = Importer::with(T).await;
    let mut records = Vec::new();
    for (key, content) in [
        ("imports/t/a.csv", "k,v\n1,a\n"),
        ("imports/nope/a.csv", "k,v\n1,a\n"),
        ("elsewhere/t/a.csv", "k,v\n9,a\n"),
        ("imports/other/a.csv", "k\n1\n2\n"),
        ("imports/t/b.csv", "k,v\nx,a\n2,b\n"),
    ] {
        let etag = importer.bucket.put(key, content).await;
        records.push(importer.notification(key, &etag, "01"));
    }
    let mut removed = importer.notification("imports/t/gone.csv", "", "01");
    removed["eventName"] = json!("ObjectRemoved:Delete");
    records.push(removed);
    let response = importer.deliver(&json!({ "Records": records })).await;
    assert!(response.batch_item_failures.is_empty());
    let found = importer
        .world
        .rows("SELECT table_name, state, rows_written FROM sync.import ORDER BY started_at")
        .await;
    assert_eq!(found, ["t|completed|1", "nope|failed|0", "other|completed|2", "t|completed|1"]);
    assert_eq!(importer.world.rows("SELECT k FROM t ORDER BY k").await, ["1", "2"]);
}

#[tokio::test]
async fn one_upload_is_one_import_in_every_envelope() {
    let importer = Importer::with(T).await;
    let key = "imports/t/a.csv";
    let etag = importer.bucket.put(key, "k,v\n1,a\n").await;
    let direct = json!({ "Records": [importer.notification(key, &etag, "01")] });
    let sns = json!({ "Type": "Notification", "MessageId": "m", "TopicArn": "arn:aws:sns:us-east-1:1:t",
        "Message": direct.to_string() });
    let bridge = json!({ "version": "0", "id": "e", "detail-type": "Object Created", "source": "aws.s3", "detail": {
        "version": "0", "bucket": { "name": importer.bucket.name },
        "object": { "key": key, "size": 8, "etag": etag, "sequencer": "01" }, "reason": "PutObject" } });
    let bridge_by_sns = json!({ "Type": "Notification", "Message": bridge.to_string() });
    for body in [&sns, &direct, &bridge, &bridge_by_sns] {
        assert!(importer.deliver(body).await.batch_item_failures.is_empty());
    }
    assert_eq!(importer.world.rows(COUNTS).await, ["completed|1|1|0|0|0"]);
}

#[tokio::test]
async fn messages_without_a_file_begin_no_import() {
    let importer = Importer::with(T).await;
    let test_event = json!({ "Service": "Amazon S3", "Event": "s3:TestEvent", "Time": "2026-01-01T00:00:00.000Z",
        "Bucket": "b", "RequestId": "r", "HostId": "h" });
    let folder = json!({ "Records": [importer.notification("imports/t/", "d41d8cd98f00b204e9800998ecf8427e", "01")] });
    let none = json!({ "Records": [] });
    let foreign = json!({ "Records": [importer.notification("results/t/a.csv", "e", "01")] });
    for body in [&test_event, &folder, &none, &foreign] {
        assert!(importer.deliver(body).await.batch_item_failures.is_empty(), "{body}");
    }
    // An unreadable message stays in the queue.
    for body in [
        json!("hello"),
        json!({}),
        json!([]),
        json!({ "Records": [{}] }),
        json!({ "Records": "x" }),
        Value::Null,
    ] {
        assert_eq!(importer.deliver(&body).await.batch_item_failures.len(), 1, "{body}");
    }
    assert_eq!(importer.world.rows("SELECT count(*) FROM sync.import").await, ["0"]);
}

#[tokio::test]
async fn object_keys_may_hold_any_characters() {
    let importer = Importer::with(T).await;
    let mut expected = Vec::new();
    for (n, name) in [
        "a b+c%20d.csv",
        "社員 名簿.csv",
        "é/ü/ß.csv",
        "100%.csv",
        "&=?#'\"<>|.csv",
        "..csv",
        "\u{1f600}.csv",
    ]
    .iter()
    .enumerate()
    {
        let key = format!("imports/t/{name}");
        let etag = importer
            .bucket
            .put(&key, format!("k,v\n{n},\"{}\"\n", name.replace('"', "\"\"")))
            .await;
        // The key as S3 encodes it.
        let encoded = utf8_percent_encode(&key, NON_ALPHANUMERIC).to_string().replace("%20", "+");
        let response = importer.notify(&encoded, &etag, "01").await;
        assert!(response.batch_item_failures.is_empty(), "{key}");
        expected.push(format!("{key}|completed|{name}"));
    }
    let found = "SELECT import.object_key, import.state, t.v FROM sync.import AS import
        JOIN t ON 'imports/t/' || t.v = import.object_key ORDER BY t.k";
    assert_eq!(importer.world.rows(found).await, expected);
}

/// Puts two files of 200 rows that share a hundred keys. Returns their `ETag`s.
async fn two_files(importer: &Importer) -> [String; 2] {
    let file = |value: &str, from: usize| -> String {
        let rows = (from..from + 200).map(|n| format!("{n},{value}\n"));
        std::iter::once("k,v\n".to_owned()).chain(rows).collect()
    };
    [
        importer.bucket.put("imports/t/one.csv", file("one", 0)).await,
        importer.bucket.put("imports/t/two.csv", file("two", 100)).await,
    ]
}

#[tokio::test]
async fn two_concurrent_files_for_one_table_each_count_their_rows() {
    let importer = Importer::in_chunks(T, 20).await;
    let [one, two] = two_files(&importer).await;
    for _ in 0..10 {
        let (one, two) = tokio::join!(
            importer.notify("imports/t/one.csv", &one, "01"),
            importer.notify("imports/t/two.csv", &two, "01"),
        );
        if one.batch_item_failures.is_empty() && two.batch_item_failures.is_empty() {
            break;
        }
    }
    let found = importer.world.rows("SELECT state, rows_read, rows_written + rows_unchanged, rows_superseded, rows_rejected FROM sync.import").await;
    assert_eq!(found, ["completed|200|200|0|0", "completed|200|200|0|0"]);
    let found = "SELECT count(*), count(*) FILTER (WHERE k < 100 AND v = 'one'), count(*) FILTER (WHERE k >= 200 AND v = 'two') FROM t";
    assert_eq!(importer.world.rows(found).await, ["300|100|100"]);
}

#[tokio::test]
async fn two_concurrent_files_for_one_table_both_survive_an_outage() {
    let importer = Importer::in_chunks(T, 20).await;
    let [one, two] = two_files(&importer).await;
    let notify = async || {
        let (one, two) = tokio::join!(
            importer.notify("imports/t/one.csv", &one, "01"),
            importer.notify("imports/t/two.csv", &two, "01"),
        );
        one.batch_item_failures.len() + two.batch_item_failures.len()
    };
    // Each file has 30 batches: ten chunks in three lanes.
    importer.world.fault("batch@30.. fail-before=ServiceUnavailableError");
    assert_eq!(notify().await, 2);
    importer.world.server.faults().clear();
    let begun = "SELECT count(*) FROM sync.import WHERE state = 'running' AND EXISTS (
        SELECT FROM sync.import_chunk WHERE import_id = import.id)";
    assert_eq!(importer.world.rows(begun).await, ["2"]);
    crate::support::until(async || notify().await == 0).await;
    let counts = "SELECT state, rows_read, rows_written + rows_unchanged, rows_superseded, rows_rejected FROM sync.import";
    assert_eq!(importer.world.rows(counts).await, ["completed|200|200|0|0"; 2]);
    let rows = "SELECT count(*), count(*) FILTER (WHERE k < 100 AND v = 'one'),
        count(*) FILTER (WHERE k BETWEEN 100 AND 199 AND v IN ('one', 'two')),
        count(*) FILTER (WHERE k >= 200 AND v = 'two') FROM t";
    assert_eq!(importer.world.rows(rows).await, ["300|100|100|100"]);
}

#[tokio::test]
async fn replace_keeps_rows_that_others_insert_after_the_import_began() {
    let importer = Importer::in_chunks(T, 2).await;
    importer.world.rows("INSERT INTO t VALUES (1, 'a'), (2, 'b'), (3, 'c')").await;
    let key = "imports/t/a.csv";
    let options = [("mode", "replace"), ("max-deletes", "100%")];
    let etag = importer.bucket.put_with(key, "k,v\n1,a\n2,b\n", &options).await;
    // The first delivery only begins the import.
    importer.world.fault("execute@3.. fail-before=ServiceUnavailableError");
    let response = importer.notify(key, &etag, "01").await;
    assert_eq!(response.batch_item_failures.len(), 1);
    importer.world.server.faults().clear();
    importer.world.rows("INSERT INTO t VALUES (7, 'written meanwhile')").await;
    let is_over = async || importer.notify(key, &etag, "01").await.batch_item_failures.is_empty();
    crate::support::until(is_over).await;
    assert_eq!(importer.world.rows("SELECT k FROM t ORDER BY k").await, ["1", "2", "7"]);
    assert_eq!(
        importer.world.rows("SELECT state, rows_deleted FROM sync.import").await,
        ["completed|1"]
    );
}

#[tokio::test]
async fn a_message_that_fails_does_not_hold_back_another() {
    let importer = Importer::with(STAFF).await;
    let etag = importer.bucket.put("imports/staff/a.csv", "id,name\n0007,x\n").await;
    let body = json!({ "Records": [importer.notification("imports/staff/a.csv", &etag, "01")] })
        .to_string();
    let event = sqs_event(&[("m1", "", "{not json"), ("m2", "", &body)]);
    let response = import::handle(&importer.import, event, deadline()).await.unwrap();
    let failed: Vec<_> = response
        .batch_item_failures
        .iter()
        .map(|failure| failure.item_identifier.as_str())
        .collect();
    assert_eq!(failed, ["m1"]);
    assert_eq!(importer.world.rows(COUNTS).await, ["completed|1|1|0|0|0"]);
}

#[tokio::test]
async fn sequencers_are_compared_as_s3_defines() {
    let importer = Importer::with(STAFF).await;
    for (a, b, expected) in [
        ("0055AED6DCD90281E5", "0055AED6DCD90281E6", true),
        ("0055AED6DCD90281E6", "0055AED6DCD90281E5", false),
        ("01", "01", false),
        // Padded on the right, 1 is 1000.
        ("1", "0FFF", false),
        ("0FFF", "1", true),
        ("01", "0100", false),
        ("01", "0101", true),
        ("0a", "0B", true),
        ("0A", "0a", false),
        ("", "01", false),
        ("01", "", false),
        ("zz", "01", false),
    ] {
        let found = importer.world.rows(&format!("SELECT sync.is_older('{a}', '{b}')")).await;
        assert_eq!(found, [expected.to_string()], "{a} {b}");
    }
}
