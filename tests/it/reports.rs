//! `report.json` and `rejected.csv`, made of the rows that the database has of an import.

use aurora_sync::aws::objects::ObjectName;
use aurora_sync::functions::import::Import;
use aurora_sync::functions::import::read::source::Source;
use aurora_sync::functions::import::report::{self, Format, ImportEnd};
use csv_stream::dialect::Dialect;
use csv_stream::encoding::{Encoding, for_label};
use csv_stream::records::LineEnd;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::events::schema_fault;
use crate::support::services::Bucket;
use crate::support::{STAFF, World, deadline};

const ID: Uuid = Uuid::from_u128(1);

const IMPORT: &str = "INSERT INTO sync.import (id, bucket, object_key, object_version, sequencer, table_name, options,
        bytes_total, rows_read, rows_written, rows_unchanged, rows_superseded, rows_rejected, rows_overwritten, rows_deleted,
        started_at, finished_at)
    VALUES ('00000000-0000-0000-0000-000000000001', 'uploads', 'imports/staff/a.csv', 'e', '01', 'staff',
        '{\"mode\": \"upsert\", \"dry-run\": true}', 1234, 2010, 4, 3, 2, 2001, 3, 1,
        '2026-11-23 00:00:00Z', '2026-11-23 00:00:20Z')";

const KINDS: &str = "INSERT INTO sync.import_reject_kind (import_id, lane, rule, sqlstate, column_name, rows, rows_kept, bytes_kept)
    SELECT id, kind.*, 0, 0 FROM sync.import, (VALUES
        (0, 'format', '', 'age', 500), (1, 'format', '', 'age', 501), (1, 'database', '23514', '', 1000)) AS kind";

const REJECTS: &str = "INSERT INTO sync.import_reject
        (import_id, lane, record, line, byte_offset, column_name, rule, reason, raw)
    SELECT id, 0, n, n + 1, n * 10, 'age', 'format', 'expected an integer', n || ',x'
    FROM sync.import, generate_series(1, 1200) n";

/// An import in the database, and the bucket of its results.
struct Telling {
    world: World,
    bucket: Bucket,
    import: Import,
}

impl Telling {
    async fn of(statements: &[&str]) -> Self {
        let (world, bucket) = (World::with(STAFF).await, Bucket::new().await);
        let import = world.import(&bucket.sdk_config, &bucket.name);
        for statement in statements {
            world.rows(statement).await;
        }
        Self { world, bucket, import }
    }

    async fn write(&self, state: &'static str, error: Option<&str>, format: Option<&Format>) {
        let source = Source {
            object: ObjectName {
                bucket: "uploads".into(),
                key: "imports/staff/a.csv".into(),
                version_id: None,
                etag: Some("e".into()),
            },
            table: "staff".into(),
            sequencer: "01".into(),
            uploader: None,
        };
        let ending = ImportEnd { state, error, format };
        report::write(&self.import, &source, ID, ending, deadline()).await.unwrap();
    }

    async fn result(&self, file: &str) -> Option<String> {
        self.bucket.get(&format!("staff/{ID}/{file}")).await
    }

    async fn report(&self) -> Value {
        serde_json::from_str(&self.result("report.json").await.unwrap()).unwrap()
    }
}

fn format() -> Format {
    Format {
        dialect: Dialect { delimiter: b';', ..Dialect::default() },
        encoding: Encoding { charset: for_label("utf-8").unwrap(), has_mark: true },
        line_end: LineEnd::CrLf,
        header: Some(b"id;age".to_vec()),
        columns: vec!["id".into(), "age".into()],
    }
}

async fn fault(report: &Value) -> Option<String> {
    schema_fault("docs/reference/report.schema.json", report).await
}

#[tokio::test]
async fn a_report_counts_rejects_by_rule_and_lists_them_row_by_row() {
    let telling = Telling::of(&[IMPORT, KINDS, REJECTS]).await;
    telling.write("completed", None, Some(&format())).await;
    let mut report = telling.report().await;
    assert_eq!(fault(&report).await, None);
    let rejects = report["rejects"].take();
    let key = format!("staff/{ID}/rejected.csv");
    assert_eq!(
        report,
        json!({
            "schema": 1,
            "id": ID,
            "table": "staff",
            "source": {"bucket": "uploads", "key": "imports/staff/a.csv", "version": "e"},
            "state": "completed",
            "error": null,
            "dry_run": true,
            "options": {"mode": "upsert", "dry-run": true},
            "rows": {"read": 2010, "written": 4, "unchanged": 3, "superseded": 2, "rejected": 2001},
            "rows_overwritten": 3,
            "rows_deleted": 1,
            "bytes": 1234,
            "started_at": "2026-11-23T00:00:00+00:00",
            "finished_at": "2026-11-23T00:00:20+00:00",
            "duration_seconds": 20.0,
            "rows_per_second": 100.5,
            "continuations": 0,
            "rejected_by_rule": [
                {"rule": "format", "sqlstate": null, "column": "age", "count": 1001},
                {"rule": "database", "sqlstate": "23514", "column": null, "count": 1000},
            ],
            "rejects": null,
            "rejects_kept": 1200,
            "rejects_complete": false,
            "rejected_file": key,
            "rejected_file_rows": 1200,
        })
    );
    assert_eq!(rejects.as_array().unwrap().len(), 100);
    assert_eq!(
        rejects[99],
        json!({"record": 100, "line": 101, "byte_offset": 1000, "column": "age", "rule": "format",
            "sqlstate": null, "reason": "expected an integer"})
    );
    let rejected = telling.result("rejected.csv").await.unwrap();
    let lines: Vec<_> = rejected.split("\r\n").collect();
    assert_eq!(lines.len(), 1202);
    assert_eq!(lines[0], "\u{feff}id;age;_error");
    assert_eq!(lines[1200], "1200,x;age: expected an integer");
}

#[tokio::test]
async fn a_file_that_was_never_read_has_a_report_and_no_rejected_rows() {
    let import = "INSERT INTO sync.import (id, bucket, object_key, object_version, sequencer, table_name)
        VALUES ('00000000-0000-0000-0000-000000000001', 'uploads', 'imports/staff/a.csv', 'e', '01', 'staff')";
    let telling = Telling::of(&[import]).await;
    telling.write("failed", Some("the file no longer exists"), None).await;
    let mut report = telling.report().await;
    assert_eq!(fault(&report).await, None);
    assert_eq!(report["state"], "failed");
    assert_eq!(report["error"], "the file no longer exists");
    assert_eq!(report["bytes"], Value::Null);
    assert_eq!(report["rejects_complete"], true);
    assert_eq!(report["rejected_file"], Value::Null);
    assert_eq!(telling.result("rejected.csv").await, None);
    // The schema finds faults.
    report["rows"]["read"] = json!(-1);
    let fault = fault(&report).await.unwrap();
    assert!(fault.contains("-1 is less than the minimum of 0"), "{fault}");
}

#[tokio::test]
async fn rejected_records_of_any_size_and_bytes_come_back_unchanged() {
    // Pages over 1 MiB, records that alone exceed 1 MiB in a response, and bytes that are no text
    // for PostgreSQL. A record that is too long is reported and is not in the file.
    let fill = "INSERT INTO sync.import_reject (import_id, lane, record, line, byte_offset, rule, reason, raw, raw_bytes)
        SELECT id, 0, n, n, n, CASE n WHEN 6 THEN 'too-long' ELSE 'format' END, 'bad', raw, bytes
        FROM sync.import, (VALUES
            (1, repeat('a', 400000), NULL::bytea), (2, repeat('b', 400000), NULL), (3, repeat('c', 400000), NULL),
            (4, repeat(chr(1), 450000) || 'é', NULL), (5, '', convert_to('x', 'UTF8') || '\\x00'::bytea),
            (6, repeat('d', 524288), NULL), (7, '', convert_to(repeat('e', 500000), 'UTF8') || '\\x00'::bytea),
            (8, '8;y', NULL)) AS reject (n, raw, bytes)";
    let telling = Telling::of(&[IMPORT, fill]).await;
    let calls = telling.world.server.counters().all_calls();
    telling.write("completed", None, Some(&format())).await;
    let letters = |letter: &str, times| letter.repeat(times);
    let expected = format!(
        "\u{feff}id;age;_error\r\n{};bad\r\n{};bad\r\n{};bad\r\n{}é;bad\r\nx\0;bad\r\n{}\0;bad\r\n8;y;bad\r\n",
        letters("a", 400_000),
        letters("b", 400_000),
        letters("c", 400_000),
        letters("\u{1}", 450_000),
        letters("e", 500_000),
    );
    assert!(telling.result("rejected.csv").await.unwrap() == expected);
    let report = telling.report().await;
    assert_eq!((&report["rejects_kept"], &report["rejected_file_rows"]), (&json!(8), &json!(7)));
    let calls = telling.world.server.counters().all_calls() - calls;
    assert!(calls < 50, "{calls} calls");
}
