//! Imports that an operator ends.

use serde_json::{Value, json};

use super::Importer;

const T: &str = "CREATE TABLE t (k integer PRIMARY KEY, v text)";

const STATE: &str = "SELECT state, rows_read, rows_written, error FROM sync.import";

const CANCELLED: &str = "an operator cancelled the import; the rows that were loaded before stay";

async fn id(importer: &Importer) -> String {
    importer.world.rows("SELECT id::text FROM sync.import").await.remove(0)
}

async fn cancel(importer: &Importer) {
    let response = importer.deliver(&json!({ "cancel": id(importer).await })).await;
    assert!(response.batch_item_failures.is_empty());
}

#[tokio::test]
async fn a_cancelled_import_stops_before_its_next_set_and_counts_what_it_has_loaded() {
    let mut importer = Importer::in_chunks(T, 1).await;
    importer.import.lanes = 1;
    // The third row waits until the import is cancelled.
    let session = ephemeral_postgres::connect(&importer.world.database_url).await.unwrap();
    session
        .batch_execute(
            "CREATE FUNCTION wait() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
               IF NEW.k = 3 THEN PERFORM pg_advisory_xact_lock(20261129); END IF;
               RETURN NEW;
             END $$;
             CREATE TRIGGER wait BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION wait();
             SELECT pg_advisory_lock(20261129)",
        )
        .await
        .unwrap();
    let cancelled = async {
        let waits = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND objid = 20261129 AND NOT granted";
        crate::support::until(async || importer.world.rows(waits).await != ["0"]).await;
        cancel(&importer).await;
        assert!(importer.world.rows(STATE).await[0].starts_with("running|"));
        session.batch_execute("SELECT pg_advisory_unlock(20261129)").await.unwrap();
    };
    let file = "k,v\n1,a\n2,a\nx,a\n3,a\n4,a\n5,a\n";
    let (response, ()) = tokio::join!(importer.drop_file("imports/t/a.csv", file), cancelled);
    assert!(response.batch_item_failures.is_empty());
    assert_eq!(importer.world.rows("SELECT k FROM t ORDER BY k").await, ["1", "2", "3"]);
    assert_eq!(importer.world.rows(STATE).await, [format!("failed|4|3|{CANCELLED}")]);
    let report: Value =
        serde_json::from_str(&importer.result("t", "report.json").await.unwrap()).unwrap();
    assert_eq!((&report["state"], &report["error"]), (&"failed".into(), &CANCELLED.into()));
    assert_eq!(report["rows"]["written"], 3, "{report}");
    // Its worker knows the format of the file.
    let rejected = importer.result("t", "rejected.csv").await.unwrap();
    assert!(rejected.starts_with("k,v,_error\nx,a,"), "{rejected}");
}

#[tokio::test]
async fn an_import_without_a_worker_ends_and_is_reported_at_once() {
    let mut importer = Importer::in_chunks(T, 2).await;
    importer.import.lanes = 1;
    importer.world.fault("commit@2.. fail-before=ServiceUnavailableError");
    let file = "k,v\n1,a\nx,a\n3,a\n";
    let response = importer.drop_file("imports/t/a.csv", file).await;
    assert_eq!(response.batch_item_failures.len(), 1);
    importer.world.server.faults().clear();
    cancel(&importer).await;
    let reported =
        "SELECT state, rows_read, rows_written, error, reported_at IS NOT NULL FROM sync.import";
    assert_eq!(importer.world.rows(reported).await, [format!("failed|2|1|{CANCELLED}|true")]);
    let rejected = importer.result("t", "rejected.csv").await.unwrap();
    assert!(rejected.starts_with("k,v,_error\nx,a,"), "{rejected}");
    let report: Value =
        serde_json::from_str(&importer.result("t", "report.json").await.unwrap()).unwrap();
    assert_eq!((&report["error"], &report["rows"]["read"]), (&CANCELLED.into(), &2.into()));
    // Its message comes again, and a second cancellation has no effect.
    let etag = importer.bucket.put("imports/t/a.csv", file).await;
    assert!(importer.notify("imports/t/a.csv", &etag, "01").await.batch_item_failures.is_empty());
    cancel(&importer).await;
    assert_eq!(importer.world.rows("SELECT count(*) FROM t").await, ["1"]);
    assert_eq!(importer.world.rows(reported).await, [format!("failed|2|1|{CANCELLED}|true")]);
}

#[tokio::test]
async fn a_cancelled_import_is_reported_also_if_its_file_is_gone() {
    let mut importer = Importer::in_chunks(T, 2).await;
    importer.import.lanes = 1;
    importer.world.fault("commit@2.. fail-before=ServiceUnavailableError");
    importer.drop_file("imports/t/a.csv", "k,v\n1,a\nx,a\n3,a\n").await;
    importer.world.server.faults().clear();
    importer.bucket.delete("imports/t/a.csv").await;
    cancel(&importer).await;
    let reported = "SELECT state, rows_rejected, reported_at IS NOT NULL FROM sync.import";
    assert_eq!(importer.world.rows(reported).await, ["failed|1|true"]);
    let report = importer.result("t", "report.json").await.unwrap();
    assert!(report.contains("\"rejected_file\": null"), "{report}");
    assert_eq!(importer.result("t", "rejected.csv").await, None);
}

#[tokio::test]
async fn an_import_that_has_ended_is_not_cancelled() {
    let importer = Importer::with(T).await;
    importer.drop_file("imports/t/a.csv", "k,v\n1,a\n").await;
    cancel(&importer).await;
    assert_eq!(importer.world.rows(STATE).await, ["completed|1|1|-"]);
    let unknown = json!({ "cancel": "6f9619ff-8b86-8011-b42d-00c04fc964ff" });
    assert!(importer.deliver(&unknown).await.batch_item_failures.is_empty());
}

#[tokio::test]
async fn the_import_of_a_discarded_message_fails_with_a_report_and_never_begins() {
    let importer = Importer::with(T).await;
    let key = "imports/t/a.csv";
    let etag = importer.bucket.put(key, "k,v\n1,a\n").await;
    let message = json!({ "Records": [importer.notification(key, &etag, "01")] });
    let response = importer.deliver(&json!({ "discard": message.to_string() })).await;
    assert!(response.batch_item_failures.is_empty());
    let found = importer.world.rows(STATE).await.remove(0);
    assert!(
        found.starts_with("failed|0|0|an operator discarded the file from the dead-letter queue;"),
        "{found}"
    );
    assert!(importer.result("t", "report.json").await.is_some());
    importer.deliver(&message).await;
    assert_eq!(importer.world.rows("SELECT count(*) FROM t").await, ["0"]);
    assert_eq!(importer.world.rows("SELECT count(*) FROM sync.import").await, ["1"]);
}
