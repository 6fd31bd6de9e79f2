//! `import`: every row of a file is written, unchanged, superseded or rejected, and reported.

mod modes;
mod whole;
mod repeats;
mod replacing;
mod rejects;
mod identity;
mod files;
mod changing;
mod endless;
mod cancelling;
mod withheld;
mod logs;
mod told;

use std::cell::Cell;
use std::collections::BTreeMap;
use std::fmt::Write as _;

use aurora_sync::functions::import::{self, Import};
use aws_lambda_events::sqs::SqsBatchResponse;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use serde_json::{Value, json};

use crate::support::logs::Log;
use crate::support::services::Bucket;
use crate::support::{MEASUREMENT, STAFF, World, deadline, sample, sqs_event};

const COUNTS: &str = "SELECT state, rows_read, rows_written, rows_unchanged, rows_superseded, rows_rejected FROM sync.import ORDER BY started_at";

/// The counts of the import that began last.
const LAST: &str = "SELECT state, rows_read, rows_written, rows_unchanged, rows_superseded, rows_rejected, rows_deleted
FROM sync.import ORDER BY started_at DESC LIMIT 1";

/// The same counts in a report.
const COUNTED: [&str; 5] = ["read", "written", "unchanged", "superseded", "rejected"];

/// A database, a bucket, and `import` on both.
struct Importer {
    world: World,
    bucket: Bucket,
    import: Import,
    files: Cell<usize>,
}

impl Importer {
    async fn with(tables: &str) -> Self {
        let (world, bucket) = (World::with(tables).await, Bucket::new().await);
        let import = world.import(&bucket.sdk_config, &bucket.name);
        Self { world, bucket, import, files: Cell::new(0) }
    }

    /// Creates an importer with chunks of this many records.
    async fn in_chunks(tables: &str, records: usize) -> Self {
        let mut importer = Self::with(tables).await;
        importer.import.limits.records = records;
        importer
    }

    /// Imports a new file with these options. Returns the state and the rows read, written,
    /// unchanged, superseded, rejected and deleted. Checks that the report and the rejects agree,
    /// and that no temporary rows are left.
    async fn load(
        &self,
        table: &str,
        options: &[(&str, &str)],
        content: impl Into<Vec<u8>>,
    ) -> String {
        self.files.set(self.files.get() + 1);
        let key = format!("imports/{table}/{}.csv", self.files.get());
        let etag = self.bucket.put_with(&key, content, options).await;
        let response = self.notify(&key, &etag, "01").await;
        assert!(response.batch_item_failures.is_empty(), "{:?}", self.error().await);
        let last = self.world.rows(LAST).await.remove(0);
        let report = self.report(table).await;
        let counted = COUNTED.map(|name| report["rows"][name].to_string()).join("|");
        let state = report["state"].as_str().unwrap();
        assert!(last.starts_with(&format!("{state}|{counted}|")), "{last}: {report}");
        assert_eq!(self.world.rows("SELECT count(*) FROM sync.import_key").await, ["0"]);
        let kinds = "SELECT coalesce(sum(kind.rows), 0)::bigint, import.rows_rejected FROM sync.import AS import
            LEFT JOIN sync.import_reject_kind AS kind ON kind.import_id = import.id
            GROUP BY import.id ORDER BY import.started_at DESC LIMIT 1";
        let kinds = self.world.rows(kinds).await.remove(0);
        let (kinds, rejected) = kinds.split_once('|').unwrap();
        assert_eq!(kinds, rejected, "{last}");
        last
    }

    /// Returns the error of the last import.
    async fn error(&self) -> String {
        self.world
            .rows("SELECT error FROM sync.import ORDER BY started_at DESC LIMIT 1")
            .await
            .remove(0)
    }

    /// Returns the rejects of the last file: record, rule, SQLSTATE and column.
    async fn rejects(&self) -> Vec<String> {
        self.world
            .rows(
                "SELECT record, rule, sqlstate, column_name FROM sync.import_reject
                WHERE import_id = (SELECT id FROM sync.import ORDER BY started_at DESC LIMIT 1) ORDER BY record",
            )
            .await
    }

    /// Puts a file and delivers its notification.
    async fn drop_file(&self, key: &str, content: impl Into<Vec<u8>>) -> SqsBatchResponse {
        let etag = self.bucket.put(key, content).await;
        self.notify(key, &etag, "01").await
    }

    async fn notify(&self, key: &str, etag: &str, sequencer: &str) -> SqsBatchResponse {
        self.deliver(&json!({ "Records": [self.notification(key, etag, sequencer)] })).await
    }

    fn notification(&self, key: &str, etag: &str, sequencer: &str) -> Value {
        json!({
            "eventName": "ObjectCreated:Put",
            "s3": {
                "bucket": { "name": self.bucket.name },
                "object": { "key": key, "eTag": etag, "sequencer": sequencer },
            },
        })
    }

    /// Delivers a message.
    async fn deliver(&self, body: &Value) -> SqsBatchResponse {
        let event = sqs_event(&[("m1", "", &body.to_string())]);
        import::handle(&self.import, event, deadline()).await.unwrap()
    }

    async fn result(&self, table: &str, file: &str) -> Option<String> {
        let id = self
            .world
            .rows("SELECT id::text FROM sync.import ORDER BY started_at DESC LIMIT 1")
            .await;
        self.bucket.get(&format!("{table}/{}/{file}", id[0])).await
    }

    /// Returns the `rejected.csv` of the last file.
    async fn rejected_bytes(&self, table: &str) -> Vec<u8> {
        let id = "SELECT id::text FROM sync.import ORDER BY started_at DESC LIMIT 1";
        let id = self.world.rows(id).await.remove(0);
        self.bucket.get_bytes(&format!("{table}/{id}/rejected.csv")).await.unwrap()
    }

    async fn report(&self, table: &str) -> Value {
        serde_json::from_str(&self.result(table, "report.json").await.unwrap()).unwrap()
    }
}

#[tokio::test]
async fn a_file_is_loaded_and_reported() {
    let importer = Importer::with(STAFF).await;
    let file = "id,name,age\n0001,Aurora,12\n0004,Ada,\n0002,Changed,34\n00005,Long,1\n0006,,1\n0007,Bad,x\n0008,Few\n0009,\"a,\"\"b\"\"\nc\",5\n";
    importer.drop_file("imports/staff/a.csv", file).await;
    assert_eq!(importer.world.rows(COUNTS).await, ["completed|8|3|1|0|4"]);
    assert_eq!(
        importer.world.rows("SELECT id, name, age FROM staff ORDER BY id").await,
        ["0001|Aurora|12", "0002|Changed|34", "0003|Dynamo|56", "0004|Ada|-", "0009|a,\"b\"\nc|5"]
    );
    assert_eq!(
        importer.world.rows("SELECT record, line, byte_offset, column_name, rule, raw FROM sync.import_reject ORDER BY record").await,
        [
            "4|5|53|id|length|00005,Long,1",
            "5|6|66|name|not-null|0006,,1",
            "6|7|74|age|format|0007,Bad,x",
            "7|8|85|-|column-count|0008,Few",
        ]
    );
    let report = importer.report("staff").await;
    assert_eq!(report["state"], "completed");
    assert_eq!(
        report["rows"],
        json!({"read": 8, "written": 3, "unchanged": 1, "superseded": 0, "rejected": 4})
    );
    assert_eq!(report["rejects"].as_array().unwrap().len(), 4);
    assert_eq!(
        importer.result("staff", "rejected.csv").await.unwrap(),
        "id,name,age,_error\n00005,Long,1,\"id: expected at most 4 characters, not 5\"\n\
         0006,,1,\"name: expected a value, not an empty field: the column is NOT NULL\"\n\
         0007,Bad,x,age: expected an integer from -2147483648 to 2147483647\n\
         0008,Few,\"expected 3 fields, found 2\"\n"
    );
}

#[tokio::test]
async fn fixed_rejected_rows_are_loaded() {
    let importer = Importer::with(STAFF).await;
    importer.drop_file("imports/staff/a.csv", "id,name,age\n0007,Bad,x\n0008,Good,1\n").await;
    let rejected = importer.result("staff", "rejected.csv").await.unwrap();
    importer.drop_file("imports/staff/fixed.csv", rejected.replace(",x,", ",7,")).await;
    assert_eq!(importer.world.rows(COUNTS).await, ["completed|2|1|0|0|1", "completed|1|1|0|0|0"]);
    assert_eq!(
        importer.world.rows("SELECT name, age FROM staff WHERE id = '0007'").await,
        ["Bad|7"]
    );
}

#[tokio::test]
async fn rows_that_the_database_refuses_are_rejected_one_by_one() {
    let importer = Importer::with(MEASUREMENT).await;
    let mut file = String::from("sensor,taken at,note,amount\n");
    for row in 0..20 {
        let note = if row % 5 == 0 { "never" } else { "ok" };
        writeln!(file, "00000000-0000-0000-0000-0000000000{row:02},2026-01-01,{note},{row}.5")
            .unwrap();
    }
    importer.drop_file("imports/Measurement/a.csv", file).await;
    assert_eq!(importer.world.rows(COUNTS).await, ["completed|20|16|0|0|4"]);
    assert_eq!(
        importer
            .world
            .rows("SELECT record, rule, sqlstate FROM sync.import_reject ORDER BY record")
            .await,
        ["1|database|23514", "6|database|23514", "11|database|23514", "16|database|23514"]
    );
    assert_eq!(importer.world.rows("SELECT count(*) FROM \"Measurement\"").await, ["16"]);
}

#[tokio::test]
async fn the_last_row_of_a_repeated_key_wins() {
    let importer = Importer::with(STAFF).await;
    importer
        .drop_file("imports/staff/a.csv", "id,name\n0004,first\n0004,second\n0005,x\n0004,last\n")
        .await;
    assert_eq!(importer.world.rows("SELECT name FROM staff WHERE id = '0004'").await, ["last"]);
    assert_eq!(importer.world.rows(COUNTS).await, ["completed|4|2|0|2|0"]);
}

#[tokio::test]
async fn a_repeated_notification_has_no_effect() {
    let importer = Importer::with(STAFF).await;
    let etag = importer.bucket.put("imports/staff/a.csv", "id,name\n0001,imported\n").await;
    importer.notify("imports/staff/a.csv", &etag, "01").await;
    importer.world.rows("UPDATE staff SET name = 'since then' WHERE id = '0001'").await;
    importer.notify("imports/staff/a.csv", &etag, "01").await;
    assert_eq!(
        importer.world.rows("SELECT name FROM staff WHERE id = '0001'").await,
        ["since then"]
    );
    assert_eq!(importer.world.rows(COUNTS).await.len(), 1);
}

#[tokio::test]
async fn a_file_that_cannot_be_imported_fails_with_a_reason() {
    let importer = Importer::with(STAFF).await;
    for (key, content, expected) in [
        (
            "imports/a.csv",
            "id,name\n",
            "the file is in no table's folder; drop it under imports/<table>/; the tables are: staff",
        ),
        (
            "imports/stuff/a.csv",
            "id,name\n",
            "there is no table \"stuff\"; did you mean imports/staff/?",
        ),
        ("imports/staff/b.csv", "", "the file is empty; its first line must name the columns"),
        (
            "imports/staff/c.csv",
            "id,nmae\n",
            "the header names \"nmae\", which is not a column of the table; did you mean \"name\"?",
        ),
        ("imports/staff/d.csv", "\u{0}\u{1}binary\n", r#"the header names "\0\u{1}binary", which"#),
    ] {
        let response = importer.drop_file(key, content).await;
        assert!(response.batch_item_failures.is_empty());
        let table = key.split('/').nth(1).unwrap();
        let report = importer.report(table).await;
        assert_eq!(report["state"], "failed");
        let error = report["error"].as_str().unwrap();
        assert!(error.starts_with(expected), "{error}");
    }
    let etag = importer.bucket.put("imports/staff/e.csv", "id,name\n0004,x\n").await;
    importer.bucket.delete("imports/staff/e.csv").await;
    importer.notify("imports/staff/e.csv", &etag, "01").await;
    let error = "the file no longer exists; the rows that were loaded stay";
    assert_eq!(importer.report("staff").await["error"], error);
}

#[tokio::test]
async fn a_file_is_retried_later_after_an_outage_and_continues_at_its_checkpoint() {
    let importer = Importer::with(STAFF).await;
    let mut file = String::from("id,name,age\n");
    for row in 0..10_000 {
        let age = if row % 2_500 == 0 { "old".to_owned() } else { row.to_string() };
        writeln!(file, "{row:04},n,{age}").unwrap();
    }
    let etag = importer.bucket.put("imports/staff/a.csv", file).await;
    importer.world.fault("batch drop-answer");
    let response = importer.notify("imports/staff/a.csv", &etag, "01").await;
    assert_eq!(response.batch_item_failures.len(), 1);
    importer.world.fault("commit drop-answer");
    crate::support::until(async || {
        importer.notify("imports/staff/a.csv", &etag, "01").await.batch_item_failures.is_empty()
    })
    .await;
    assert_eq!(importer.world.rows(COUNTS).await, ["completed|10000|9996|0|0|4"]);
    assert_eq!(
        importer.world.rows("SELECT count(*) FROM staff WHERE age IS NOT NULL").await,
        ["9996"]
    );
}

#[tokio::test]
async fn the_reason_for_a_blocked_import_is_recorded_until_it_continues() {
    let importer = Importer::with(STAFF).await;
    let etag = importer.bucket.put("imports/staff/a.csv", "id,name\n0004,x\n").await;
    importer.world.rows("ALTER TABLE staff RENAME TO elsewhere").await;
    let event = json!({ "Records": [importer.notification("imports/staff/a.csv", &etag, "01")] });
    let event = || sqs_event(&[("m1", "", &event.to_string())]);
    assert!(import::handle(&importer.import, event(), deadline()).await.is_err());
    let error = importer.error().await;
    assert!(error.starts_with("the import cannot continue, and is retried"), "{error}");
    assert!(error.contains("42P01"), "{error}");
    assert!(importer.world.rows(COUNTS).await[0].starts_with("running|"));
    importer.world.rows("ALTER TABLE elsewhere RENAME TO staff").await;
    let response = import::handle(&importer.import, event(), deadline()).await.unwrap();
    assert!(response.batch_item_failures.is_empty());
    assert_eq!(importer.error().await, "-");
    assert_eq!(importer.world.rows(COUNTS).await, ["completed|1|1|0|0|0"]);
}

/// Returns an importer with a trigger that miscounts, as a defect of the worker would.
async fn miscounting(change: &str) -> Importer {
    let importer = Importer::in_chunks(STAFF, 2).await;
    let function = format!(
        "CREATE FUNCTION sync.miscount() RETURNS trigger LANGUAGE plpgsql AS $$
         BEGIN IF NEW.chunk = 1 THEN {change}; END IF; RETURN NEW; END $$"
    );
    importer.world.rows(&function).await;
    let trigger = "CREATE TRIGGER miscount BEFORE INSERT ON sync.import_chunk FOR EACH ROW EXECUTE FUNCTION sync.miscount()";
    importer.world.rows(trigger).await;
    importer
}

#[tokio::test]
async fn a_chunk_with_unaccounted_rows_fails_the_import() {
    let mut importer = miscounting("NEW.rows_written := NEW.rows_written - 1").await;
    importer.import.lanes = 1;
    let file = "id,name\n0004,a\n0005,b\n0006,c\n0007,d\n";
    let log = Log::from_level("error");
    assert_eq!(importer.load("staff", &[], file).await, "failed|2|2|0|0|0|0");
    assert!(!log.lines("rows of the file are not conserved").is_empty());
    assert!(importer.error().await.starts_with("not all rows of a chunk are accounted for"));
    assert_eq!(importer.world.rows("SELECT count(*) FROM staff").await, ["5"]);
}

#[tokio::test]
async fn a_file_with_unaccounted_rows_fails_the_import() {
    let change = "NEW.rows_read := NEW.rows_read - 1; NEW.rows_written := NEW.rows_written - 1";
    let mut importer = miscounting(change).await;
    importer.import.lanes = 1;
    let file = "id,name\n0004,a\n0005,b\n0006,c\n0007,d\n";
    let log = Log::from_level("error");
    assert_eq!(importer.load("staff", &[], file).await, "failed|3|3|0|0|0|0");
    assert!(!log.lines("rows of the file are not conserved").is_empty());
    let error = importer.error().await;
    assert!(error.starts_with("the file has 4 records, but 3 are accounted for"), "{error}");
}

#[tokio::test]
async fn a_chunk_whose_commit_has_no_response_is_looked_up_before_it_is_repeated() {
    let mut without_a_fault = 0;
    for (fault, more) in [
        ("", 0),
        // The commit is looked up after an attempt to roll back.
        ("commit@1 drop-answer", 2),
        ("commit@1 fail-after=InternalServerErrorException", 2),
        // The commit failed: the chunk is repeated after the look-up.
        ("commit@1 fail-before=DatabaseUnavailableException", 5),
        // A deadlock: a rollback, and the transaction again.
        ("batch@1 sql=40P01", 3),
    ] {
        let mut importer = Importer::with(STAFF).await;
        importer.import.lanes = 1;
        if !fault.is_empty() {
            importer.world.fault(fault);
        }
        importer.world.server.counters().reset();
        let counts = importer.load("staff", &[], "id,name\n0004,x\n0005,y\n").await;
        let calls = importer.world.server.counters().all_calls();
        assert_eq!(counts, "completed|2|2|0|0|0|0", "{fault}");
        assert_eq!(importer.world.rows("SELECT count(*) FROM staff").await, ["5"]);
        if fault.is_empty() {
            without_a_fault = calls;
        }
        assert_eq!(calls - without_a_fault, more, "{fault}");
    }
}

#[tokio::test]
async fn the_sample_events_of_the_bucket_are_handled() {
    let importer = Importer::with(STAFF).await;
    let event = serde_json::from_value(sample("sqs-s3-test-event")).unwrap();
    let response = import::handle(&importer.import, event, deadline()).await.unwrap();
    assert!(response.batch_item_failures.is_empty());
    // The bucket is missing, which is a fault of the deployment, so that the message stays.
    let event = serde_json::from_value(sample("sqs-import")).unwrap();
    assert!(import::handle(&importer.import, event, deadline()).await.is_err());
    let unreadable = sqs_event(&[("m1", "", "{not json")]);
    let response = import::handle(&importer.import, unreadable, deadline()).await.unwrap();
    assert_eq!(response.batch_item_failures.len(), 1);
}

/// For every file, read = written + unchanged + superseded + rejected, and the table is as if the
/// rows were written one after another.
#[test]
fn every_file_conserves_its_rows() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let importer = runtime.block_on(Importer::with(
        "CREATE TABLE t (k integer PRIMARY KEY, v varchar(2) CHECK (v <> 'no'))",
    ));
    let field =
        prop_oneof!["[0-3]", Just("no".to_owned()), Just("abc".to_owned()), Just(String::new())];
    let rows = prop::collection::vec(("[0-4]|x||-1", field), 0..30);
    let mut runner =
        TestRunner::new(Config { cases: 12, failure_persistence: None, ..Config::default() });
    let number = std::cell::Cell::new(0);
    runner
        .run(&rows, |rows| {
            number.set(number.get() + 1);
            let mut model: BTreeMap<i32, Option<String>> = BTreeMap::new();
            // Bad rows of a key after its last good one. Those before it are superseded.
            let mut refused: BTreeMap<i32, usize> = BTreeMap::new();
            let mut file = String::from("k,v\n");
            let mut unfit = 0;
            for (key, value) in &rows {
                writeln!(file, "{key},{value}").unwrap();
                let Some(key) = key.parse::<i32>().ok().filter(|_| value.len() <= 2) else {
                    unfit += 1;
                    continue;
                };
                if value == "no" {
                    *refused.entry(key).or_default() += 1;
                } else {
                    refused.remove(&key);
                    model.insert(key, Some(value.clone()).filter(|value| !value.is_empty()));
                }
            }
            let bad = unfit + refused.values().sum::<usize>();
            runtime.block_on(async {
                importer.world.rows("TRUNCATE t").await;
                importer.world.rows("DELETE FROM sync.import").await;
                importer.drop_file(&format!("imports/t/{}.csv", number.get()), file).await;
                let counts = importer.world.rows("SELECT rows_read, rows_written + rows_unchanged + rows_superseded, rows_rejected FROM sync.import").await;
                let total = rows.len();
                prop_assert_eq!(&counts[0], &format!("{total}|{}|{bad}", total - bad));
                let found = importer.world.rows("SELECT k, v FROM t ORDER BY k").await;
                let expected: Vec<_> = model
                    .iter()
                    .map(|(key, value)| format!("{key}|{}", value.as_deref().unwrap_or("-")))
                    .collect();
                prop_assert_eq!(found, expected);
                Ok(())
            })
        })
        .unwrap();
}

/// A call of the real Data API takes about 17 ms, so that the number of calls matters.
#[tokio::test]
async fn a_file_of_100_000_narrow_rows_costs_at_most_60_calls() {
    let importer = Importer::with(STAFF).await;
    let rows = (0..100_000).map(|n| format!("{},n,{}\n", base36(n), n % 90));
    let file: String = std::iter::once("id,name,age\n".to_owned()).chain(rows).collect();
    importer.world.server.counters().reset();
    let counts = importer.load("staff", &[], file).await;
    let calls = importer.world.server.counters().all_calls();
    assert!(counts.starts_with("completed|100000|"), "{counts}");
    assert!(calls <= 60, "{calls} calls");
}

/// Returns a number in four digits of base 36.
fn base36(mut number: u32) -> String {
    let mut digits = Vec::new();
    for _ in 0..4 {
        digits.push(char::from_digit(number % 36, 36).unwrap());
        number /= 36;
    }
    digits.iter().rev().collect()
}
