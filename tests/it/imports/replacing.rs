//! Mode `replace`: concurrent writes, tables of several stretches, interruptions.

use std::collections::BTreeMap;
use std::time::Duration;

use aurora_sync::aws::queue::Queue;
use aurora_sync::domain::deadline::Deadline;
use aurora_sync::functions::import;
use serde_json::json;
use tokio_postgres::Client;

use super::{Importer, LAST};
use crate::support::fake_aws::FakeAws;
use crate::support::{World, deadline, sqs_event};

const T: &str = "CREATE TABLE t (k integer PRIMARY KEY, v text)";

const OPTIONS: [(&str, &str); 2] = [("mode", "replace"), ("max-deletes", "100%")];

const KEY: &str = "imports/t/a.csv";

const KEYS: &str = "SELECT k FROM t ORDER BY k";

/// Each `DELETE` waits for the holder of the advisory lock 1.
const GATE: &str = "CREATE FUNCTION wait() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN PERFORM pg_advisory_xact_lock_shared(1); RETURN NULL; END $$";
const GATED: &str =
    "CREATE TRIGGER wait BEFORE DELETE ON t FOR EACH STATEMENT EXECUTE FUNCTION wait()";

/// Opens another session on the database.
async fn session(importer: &Importer) -> Client {
    ephemeral_postgres::connect(&importer.world.database_url).await.unwrap()
}

/// Waits until a statement of the database waits for a lock.
async fn waits(other: &Client) {
    let waiting = "SELECT EXISTS (SELECT FROM pg_stat_activity
        WHERE datname = current_database() AND wait_event_type = 'Lock')";
    crate::support::until(async || other.query_one(waiting, &[]).await.unwrap().get(0)).await;
}

/// Returns an importer whose table has this many rows, from 1.
async fn filled(rows: usize) -> Importer {
    let importer = Importer::with(T).await;
    let fill = format!("INSERT INTO t SELECT n, 'old' FROM generate_series(1, {rows}) n");
    importer.world.rows(&fill).await;
    importer
}

/// Begins an import without loading a row. Returns the `ETag` of its file.
async fn begin(importer: &Importer, file: &str) -> String {
    let etag = importer.bucket.put_with(KEY, file, &OPTIONS).await;
    importer.world.fault("execute@3.. fail-before=ServiceUnavailableError");
    assert_eq!(importer.notify(KEY, &etag, "01").await.batch_item_failures.len(), 1);
    importer.world.server.faults().clear();
    etag
}

#[tokio::test]
async fn replace_keeps_rows_that_others_insert_or_update_while_it_deletes() {
    let importer = filled(60_000).await;
    for sql in [GATE, GATED] {
        importer.world.rows(sql).await;
    }
    let other = session(&importer).await;
    other.batch_execute("SELECT pg_advisory_lock(1)").await.unwrap();
    let concurrent = async {
        waits(&other).await;
        other
            .batch_execute(
                "INSERT INTO t VALUES (70000, 'new'); UPDATE t SET v = 'new' WHERE k = 59000;
                SELECT pg_advisory_unlock(1)",
            )
            .await
            .unwrap();
    };
    let (counts, ()) = tokio::join!(importer.load("t", &OPTIONS, "k,v\n1,old\n"), concurrent);
    assert_eq!(importer.world.rows(KEYS).await, ["1", "59000", "70000"]);
    assert_eq!(counts, "completed|1|0|1|0|0|59998");
}

#[tokio::test]
async fn replace_keeps_a_row_whose_update_it_waits_for() {
    let importer = filled(4).await;
    let mut other = session(&importer).await;
    let watch = session(&importer).await;
    let update = other.transaction().await.unwrap();
    update.batch_execute("UPDATE t SET v = 'new' WHERE k = 3").await.unwrap();
    let concurrent = async {
        waits(&watch).await;
        update.commit().await.unwrap();
    };
    let (counts, ()) = tokio::join!(importer.load("t", &OPTIONS, "k,v\n1,old\n"), concurrent);
    assert_eq!(importer.world.rows(KEYS).await, ["1", "3"]);
    assert_eq!(counts, "completed|1|0|1|0|0|2");
}

#[tokio::test]
async fn replace_deletes_a_row_whose_update_is_rolled_back() {
    let importer = filled(4).await;
    let mut other = session(&importer).await;
    let watch = session(&importer).await;
    let update = other.transaction().await.unwrap();
    update.batch_execute("UPDATE t SET v = 'new' WHERE k = 3").await.unwrap();
    let concurrent = async {
        waits(&watch).await;
        update.rollback().await.unwrap();
    };
    let (counts, ()) = tokio::join!(importer.load("t", &OPTIONS, "k,v\n1,old\n"), concurrent);
    assert_eq!(importer.world.rows(KEYS).await, ["1"]);
    assert_eq!(counts, "completed|1|0|1|0|0|3");
}

#[tokio::test]
async fn replace_keeps_rows_of_a_transaction_that_was_open_when_it_began() {
    let importer = filled(4).await;
    let other = session(&importer).await;
    other
        .batch_execute(
            "BEGIN; UPDATE t SET v = 'new' WHERE k = 2; INSERT INTO t VALUES (5, 'new');
            SAVEPOINT deeper; INSERT INTO t VALUES (6, 'new'); UPDATE t SET v = 'new' WHERE k = 3; RELEASE deeper",
        )
        .await
        .unwrap();
    let etag = begin(&importer, "k,v\n1,old\n").await;
    other.batch_execute("COMMIT").await.unwrap();
    assert!(importer.notify(KEY, &etag, "01").await.batch_item_failures.is_empty());
    assert_eq!(importer.world.rows(KEYS).await, ["1", "2", "3", "5", "6"]);
    assert_eq!(importer.world.rows(LAST).await, ["completed|1|0|1|0|0|1"]);
}

/// The other transaction has written the row and not committed it when the row is loaded.
#[tokio::test]
async fn replace_keeps_a_row_of_its_file_that_another_transaction_wrote() {
    for (insert, expected) in [
        ("INSERT INTO t VALUES (5, 'same')", "completed|2|0|2|0|0|3"),
        ("INSERT INTO t VALUES (5, 'other')", "completed|2|1|1|0|0|3"),
    ] {
        let importer = filled(4).await;
        let mut other = session(&importer).await;
        let watch = session(&importer).await;
        let open = other.transaction().await.unwrap();
        open.batch_execute(insert).await.unwrap();
        let concurrent = async {
            waits(&watch).await;
            open.commit().await.unwrap();
        };
        let file = "k,v\n1,old\n5,same\n";
        let (counts, ()) = tokio::join!(importer.load("t", &OPTIONS, file), concurrent);
        assert_eq!(counts, expected, "{insert}");
        assert_eq!(importer.world.rows(KEYS).await, ["1", "5"], "{insert}");
        assert_eq!(importer.world.rows("SELECT v FROM t WHERE k = 5").await, ["same"]);
    }
}

/// The delete of the row 60000 fails while there is a row in "outage".
const OUTAGE: [&str; 4] = [
    "CREATE TABLE outage (k integer)",
    "GRANT SELECT ON outage TO sync_writer",
    "CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        IF EXISTS (SELECT FROM outage) THEN RAISE EXCEPTION 'no' USING ERRCODE = '53300'; END IF;
        RETURN OLD;
    END $$",
    "CREATE TRIGGER fail BEFORE DELETE ON t FOR EACH ROW WHEN (OLD.k = 60000) EXECUTE FUNCTION fail()",
];

const PROGRESS: &str =
    "SELECT state, rows_looked_at, rows_missing, rows_deleted, replace_phase FROM sync.import";

#[tokio::test]
async fn an_interrupted_replace_continues_after_its_last_committed_stretch() {
    let importer = filled(120_000).await;
    for sql in OUTAGE {
        importer.world.rows(sql).await;
    }
    importer.world.rows("INSERT INTO outage VALUES (1)").await;
    let etag = importer.bucket.put_with(KEY, "k,v\n1,old\n", &OPTIONS).await;
    assert_eq!(importer.notify(KEY, &etag, "01").await.batch_item_failures.len(), 1);
    assert_eq!(importer.world.rows(PROGRESS).await, ["running|120000|119999|49999|delete"]);
    assert_eq!(importer.world.rows("SELECT count(*) FROM t").await, ["70001"]);
    importer.world.rows("DELETE FROM outage").await;
    // The file is loaded and is not read again.
    let loaded = importer.world.rows("SELECT count(*) FROM sync.import_chunk").await;
    assert!(importer.notify(KEY, &etag, "01").await.batch_item_failures.is_empty());
    assert_eq!(importer.world.rows("SELECT count(*) FROM sync.import_chunk").await, loaded);
    assert_eq!(importer.world.rows(PROGRESS).await, ["completed|120000|119999|119999|done"]);
    assert_eq!(importer.world.rows(KEYS).await, ["1"]);
}

#[tokio::test]
async fn stretches_of_a_replace_are_counted_once_under_faults() {
    for fault in [
        "commit drop-answer",
        "commit@2.. fail-after=InternalServerErrorException",
        "commit@2 fail-before=InternalServerErrorException",
        "batch@2 sql=40P01",
        "batch@1 timeout",
        "batch@2 drop-answer",
    ] {
        let importer = filled(60_000).await;
        let etag = importer.bucket.put_with(KEY, "k,v\n1,old\n", &OPTIONS).await;
        importer.world.fault(fault);
        for _ in 0..10 {
            if importer.notify(KEY, &etag, "01").await.batch_item_failures.is_empty() {
                break;
            }
            importer.world.server.faults().clear();
        }
        let found = importer.world.rows(LAST).await;
        assert_eq!(found, ["completed|1|0|1|0|0|59999"], "{fault}");
        assert_eq!(importer.world.rows(KEYS).await, ["1"], "{fault}");
    }
}

#[tokio::test]
async fn a_replace_that_fails_reports_the_number_of_deleted_rows() {
    let tables = format!("{T}; CREATE TABLE child (k integer PRIMARY KEY REFERENCES t)");
    let importer = Importer::with(&tables).await;
    importer.world.rows("INSERT INTO t SELECT n, 'old' FROM generate_series(1, 60000) n").await;
    importer.world.rows("INSERT INTO child VALUES (55000)").await;
    assert_eq!(importer.load("t", &OPTIONS, "k,v\n1,old\n").await, "failed|1|0|1|0|0|49999");
    let error = importer.error().await;
    assert!(error.contains("child"), "{error}");
    assert!(error.contains("49999 other rows were deleted before, and stay deleted"), "{error}");
    assert_eq!(importer.world.rows("SELECT count(*) FROM t").await, ["10001"]);
}

#[tokio::test]
async fn a_replace_longer_than_an_invocation_continues_in_another() {
    let (world, aws) = (World::with(T).await, FakeAws::new().await);
    world.rows("INSERT INTO t SELECT n, 'old' FROM generate_series(1, 160000) n").await;
    let slow = "CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN PERFORM pg_sleep(1); RETURN NULL; END $$";
    world.rows(slow).await;
    let trigger =
        "CREATE TRIGGER slow AFTER DELETE ON t FOR EACH STATEMENT EXECUTE FUNCTION slow()";
    world.rows(trigger).await;
    let options: BTreeMap<_, _> =
        OPTIONS.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
    let etag = aws.put("uploads", KEY, b"k,v\n1,old\n".to_vec(), options);
    let mut import = world.import(&aws.sdk_config, "results");
    import.queue = Queue::new(&aws.sdk_config, aws.queue_url());
    let mut body = json!({ "Records": [{
        "eventName": "ObjectCreated:Put",
        "s3": {
            "bucket": { "name": "uploads" },
            "object": { "key": KEY, "eTag": etag, "sequencer": "01" },
        },
    }]})
    .to_string();
    // The four stretches take four seconds at least, and the first invocation has less.
    for seconds in 3.. {
        let event = sqs_event(&[(&format!("m{seconds}"), "", &body)]);
        let response =
            import::handle(&import, event, Deadline::after(Duration::from_secs(seconds))).await;
        match aws.take_sent().pop() {
            Some(message) => body = message,
            None if response.unwrap().batch_item_failures.is_empty() => break,
            None => {}
        }
    }
    let status = "SELECT state, rows_deleted, continuation > 0 FROM sync.import";
    assert_eq!(world.rows(status).await, ["completed|159999|true"]);
    assert_eq!(world.rows(KEYS).await, ["1"]);
}

/// Each `DELETE` times out.
const LATE: [&str; 2] = [
    "CREATE FUNCTION late() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN RAISE EXCEPTION 'canceling statement due to statement timeout' USING ERRCODE = '57014'; END $$",
    "CREATE TRIGGER late BEFORE DELETE ON t FOR EACH STATEMENT EXECUTE FUNCTION late()",
];

#[tokio::test]
async fn a_replace_of_a_table_that_refers_to_itself_reports_a_timeout() {
    let importer =
        Importer::with("CREATE TABLE t (k integer PRIMARY KEY, v integer REFERENCES t)").await;
    importer.world.rows("INSERT INTO t VALUES (1, 1), (2, 3), (3, 2)").await;
    for sql in LATE {
        importer.world.rows(sql).await;
    }
    assert_eq!(importer.load("t", &OPTIONS, "k,v\n1,1\n").await, "failed|1|0|1|0|0|0");
    let error = importer.error().await;
    assert!(error.contains("refers to itself") && error.contains("45 s"), "{error}");
    assert_eq!(importer.world.rows("SELECT count(*) FROM t").await, ["3"]);
}

#[tokio::test]
async fn an_atomic_replace_reports_a_timeout() {
    let importer = filled(4).await;
    for sql in LATE {
        importer.world.rows(sql).await;
    }
    let options = [("mode", "replace"), ("max-deletes", "100%"), ("atomic", "true")];
    assert_eq!(importer.load("t", &options, "k,v\n1,new\n").await, "failed|1|0|1|0|0|0");
    let error = importer.error().await;
    assert!(error.contains("45 s") && error.contains("nothing was loaded"), "{error}");
    assert_eq!(importer.world.rows("SELECT v FROM t").await, ["old"; 4]);
}

#[tokio::test]
async fn visibility_is_known_across_the_wraparound_of_transaction_ids() {
    let importer = Importer::with(T).await;
    // The snapshot is 100 transactions after the first 4294967296, the wraparound.
    for (written_by, expected) in [
        ("50", true),
        ("99", true),
        ("100", true),
        ("101", false),
        ("104", true),
        ("105", false),
        ("200", false),
        // Before the wraparound.
        ("4294967200", true),
        ("4000000000", true),
        // Frozen by initdb.
        ("1", true),
        ("2", true),
    ] {
        let found = importer
            .world
            .rows(&format!(
                "SELECT sync.is_visible_in('{written_by}', 4294967296 + 300, '4294967397:4294967401:4294967397')"
            ))
            .await;
        assert_eq!(found, [expected.to_string()], "{written_by}");
    }
}

#[tokio::test]
async fn the_reason_for_a_delayed_import_is_recorded_until_it_continues() {
    let importer = Importer::with(T).await;
    let etag = importer.bucket.put(KEY, "k,v\n1,a\n").await;
    let event = json!({ "Records": [importer.notification(KEY, &etag, "01")] }).to_string();
    importer.world.fault("execute@3 fail-before=DatabaseUnavailableException");
    let response =
        import::handle(&importer.import, sqs_event(&[("m1", "", &event)]), deadline()).await;
    assert_eq!(response.unwrap().batch_item_failures.len(), 1);
    let error = importer.error().await;
    assert!(error.starts_with("the import cannot continue, and is retried"), "{error}");
    assert!(error.contains("Unavailable"), "{error}");
    assert!(importer.notify(KEY, &etag, "01").await.batch_item_failures.is_empty());
    assert_eq!(importer.error().await, "-");
}
