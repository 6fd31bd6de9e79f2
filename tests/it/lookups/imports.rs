//! The state and the rejected rows of imports.

use serde_json::{Value, json};

use crate::support::{STAFF, World};

const FILL: &str = "INSERT INTO sync.import (id, bucket, object_key, object_version, sequencer, table_name, state,
        rows_read, rows_written, rows_rejected, started_at)
    SELECT ('00000000-0000-0000-0000-00000000000' || n)::uuid, 'uploads', 'imports/staff/' || n || '.csv', '', '',
        'staff', CASE n WHEN 3 THEN 'failed' ELSE 'completed' END, 3, 0, 3, timestamptz '2026-11-23' + n * interval '1 day'
    FROM generate_series(1, 4) n";

const REJECTS: &str = "INSERT INTO sync.import_reject (import_id, lane, record, line, byte_offset, column_name, rule, reason, raw)
    SELECT import.id, 0, n, n + 1, n * 10, 'age', 'format', 'expected an integer', 'x,' || n
    FROM sync.import, generate_series(1, 3) n WHERE state = 'completed'";

#[tokio::test]
async fn imports_are_listed_like_a_table_newest_first() {
    let world = World::with(STAFF).await;
    world.rows(FILL).await;
    let keys = |rows: &[Value]| {
        rows.iter().map(|row| row["key"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let (rows, sizes) = world.walk("/_sync/imports?limit=3").await;
    assert_eq!(sizes, [3, 1]);
    assert_eq!(
        keys(&rows),
        [
            "imports/staff/4.csv",
            "imports/staff/3.csv",
            "imports/staff/2.csv",
            "imports/staff/1.csv"
        ]
    );
    let (rows, _) = world.walk("/_sync/imports?state=failed&table=eq.staff").await;
    assert_eq!(keys(&rows), ["imports/staff/3.csv"]);
    let one = world.read("/_sync/imports/00000000-0000-0000-0000-000000000003", &[]).await.json();
    assert_eq!(one, rows[0]);
    assert_eq!(one["started_at"], "2026-11-26T00:00:00+00:00");
    let missing = world.read("/_sync/imports/00000000-0000-0000-0000-000000000009", &[]).await;
    assert_eq!(
        (missing.status, &missing.json()["title"]),
        (404, &json!("There is no such import"))
    );
}

/// An import that has read a quarter of its file in 30 s, a completed one, and one that did not
/// begin.
const UNDER_WAY: &str = "INSERT INTO sync.import (id, bucket, object_key, object_version, sequencer, table_name, state,
        options, bytes_total, bytes_read, rows_read, rows_written, rows_superseded, rows_deleted, continuation,
        started_at, progressed_at, finished_at)
    VALUES
    ('00000000-0000-0000-0000-000000000001', 'uploads', 'imports/staff/1.csv', 'v1', '', 'staff', 'running',
        '{\"mode\": \"insert\"}', 4000, 1000, 150, 140, 10, 0, 2,
        '2026-11-23 00:00:00Z', '2026-11-23 00:00:30Z', NULL),
    ('00000000-0000-0000-0000-000000000002', 'uploads', 'imports/staff/2.csv', 'v1', '', 'staff', 'completed',
        '{}', 0, 0, 100, 100, 0, 7, 0,
        '2026-11-23 00:00:00Z', '2026-11-23 00:00:30Z', '2026-11-23 00:00:40Z'),
    ('00000000-0000-0000-0000-000000000003', 'uploads', 'imports/staff/3.csv', 'v1', '', 'staff', 'running',
        '{}', NULL, 0, 0, 0, 0, 0, 0,
        '2026-11-23 00:00:00Z', NULL, NULL)";

#[tokio::test]
async fn an_import_shows_its_progress_and_its_estimated_end() {
    let world = World::with(STAFF).await;
    world.rows(UNDER_WAY).await;
    let one = async |n: u8| {
        world
            .read(&format!("/_sync/imports/00000000-0000-0000-0000-00000000000{n}"), &[])
            .await
            .json()
    };
    assert_eq!(
        one(1).await,
        json!({"id": "00000000-0000-0000-0000-000000000001", "table": "staff", "caller": null,
            "caller": null, "bucket": "uploads",
            "key": "imports/staff/1.csv", "version": "v1", "state": "running", "error": null,
            "options": {"mode": "insert"}, "bytes_total": 4000, "bytes_read": 1000, "progress_percent": 25.0,
            "rows_read": 150, "rows_written": 140, "rows_unchanged": 0, "rows_superseded": 10, "rows_rejected": 0,
            "rows_overwritten": null, "rows_deleted": 0, "rows_per_second": 5.0, "continuations": 2,
            "started_at": "2026-11-23T00:00:00+00:00", "progressed_at": "2026-11-23T00:00:30+00:00",
            "estimated_end_at": "2026-11-23T00:02:00+00:00", "finished_at": null, "reported_at": null})
    );
    let ended = one(2).await;
    assert_eq!(ended["progress_percent"], 100);
    assert_eq!(ended["rows_per_second"], 2.5);
    assert_eq!(ended["estimated_end_at"], Value::Null);
    let begun = one(3).await;
    assert_eq!(begun["progress_percent"], Value::Null);
    assert_eq!(begun["rows_per_second"], Value::Null);
    // Computed columns can be filtered and sorted by.
    let (rows, _) = world.walk("/_sync/imports?progress_percent=lt.50&order=rows_per_second").await;
    assert_eq!(rows.len(), 1);
}

#[tokio::test]
async fn rejected_rows_of_an_import_are_listed_in_the_order_of_the_file() {
    let world = World::with(STAFF).await;
    world.rows(FILL).await;
    world.rows(REJECTS).await;
    let rejects = |n: u8| format!("/_sync/imports/00000000-0000-0000-0000-00000000000{n}/rejects");
    let (rows, sizes) = world.walk(&format!("{}?limit=2", rejects(1))).await;
    assert_eq!(sizes, [2, 1]);
    assert_eq!(rows.iter().map(|row| &row["record"]).collect::<Vec<_>>(), [1, 2, 3]);
    assert_eq!(
        rows[2],
        json!({"import_id": "00000000-0000-0000-0000-000000000001", "record": 3, "line": 4, "byte_offset": 30,
            "column": "age", "rule": "format", "sqlstate": null, "reason": "expected an integer", "raw": "x,3"})
    );
    let (rows, _) = world.walk(&format!("{}?record=gt.2&select=raw", rejects(1))).await;
    assert_eq!(rows, [json!({"raw": "x,3"})]);
    // An import without rejects, and an unknown one.
    assert_eq!(world.read(&rejects(3), &[]).await.body, "[]");
    assert_eq!(world.read(&rejects(9), &[]).await.status, 404);
}
