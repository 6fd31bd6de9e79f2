//! `atomic`, `dry-run` and `max-rejects`.

use std::fmt::Write as _;

use serde_json::json;

use super::{Importer, LAST};

const T: &str = "CREATE TABLE t (k integer PRIMARY KEY, v varchar(3) NOT NULL CHECK (v <> 'no'))";

const ROWS: &str = "SELECT k, v FROM t ORDER BY k";

async fn filled(records: usize) -> Importer {
    let importer = Importer::in_chunks(T, records).await;
    importer.world.rows("INSERT INTO t VALUES (1, 'old'), (2, 'old')").await;
    importer
}

#[tokio::test]
async fn an_atomic_file_is_loaded_whole() {
    let importer = filled(2).await;
    let file = "k,v\n1,new\n2,old\n3,a\n4,b\n3,c\n";
    assert_eq!(importer.load("t", &[("atomic", "true")], file).await, "completed|5|4|1|0|0|0");
    assert_eq!(importer.world.rows(ROWS).await, ["1|new", "2|old", "3|c", "4|b"]);
    // A file without rows is loaded too.
    assert_eq!(importer.load("t", &[("atomic", "true")], "k,v\n").await, "completed|0|0|0|0|0|0");
}

#[tokio::test]
async fn a_bad_row_of_an_atomic_file_keeps_out_all_others() {
    let importer = filled(2).await;
    let before = importer.world.rows("SELECT k, v, xmin::text FROM t ORDER BY k").await;
    for (bad, reject) in [("x,a", "4|format|-|k"), ("9,no", "4|database|23514|-")] {
        let file = format!("k,v\n1,new\n3,a\n3,b\n{bad}\n2,old\n4,b\n");
        let counts = importer.load("t", &[("atomic", "true")], file).await;
        // The rows that would have been written count as unchanged.
        assert_eq!(counts, "failed|6|0|5|0|1|0");
        assert!(importer.error().await.ends_with("nothing was loaded"));
        assert_eq!(importer.rejects().await, [reject]);
    }
    assert_eq!(importer.world.rows("SELECT k, v, xmin::text FROM t ORDER BY k").await, before);
}

#[tokio::test]
async fn an_atomic_file_may_have_bad_rows_up_to_max_rejects() {
    let importer = filled(2).await;
    let options = [("atomic", "true"), ("max-rejects", "1")];
    assert_eq!(importer.load("t", &options, "k,v\n3,a\nx,a\n4,b\n").await, "completed|3|2|0|0|1|0");
    let counts = importer.load("t", &options, "k,v\n5,a\nx,a\n6,no\n7,a\n").await;
    assert!(counts.starts_with("failed|") && counts.contains("|0|"), "{counts}");
    assert_eq!(importer.world.rows("SELECT count(*) FROM t").await, ["4"]);
    let half = [("atomic", "true"), ("max-rejects", "50%")];
    assert_eq!(importer.load("t", &half, "k,v\n5,a\nx,a\n").await, "completed|2|1|0|0|1|0");
}

#[tokio::test]
async fn a_deferred_constraint_refuses_an_atomic_file() {
    let tables = "CREATE TABLE p (k integer PRIMARY KEY);
        CREATE TABLE t (k integer PRIMARY KEY, p integer REFERENCES p DEFERRABLE INITIALLY DEFERRED,
            u integer UNIQUE DEFERRABLE INITIALLY DEFERRED)";
    let importer = Importer::in_chunks(tables, 2).await;
    importer.world.rows("INSERT INTO p VALUES (1)").await;
    let file = "k,p,u\n1,1,1\n2,2,2\n3,1,3\n4,1,3\n";
    let counts = importer.load("t", &[("atomic", "true")], file).await;
    assert!(counts.starts_with("failed|4|0|"), "{counts}");
    assert_eq!(importer.world.rows("SELECT count(*) FROM t").await, ["0"]);
    let error = importer.error().await;
    assert!(
        error.contains("deferred constraint") && error.contains("nothing was loaded"),
        "{error}"
    );
    // Without `atomic`, only the bad rows are rejected.
    assert_eq!(importer.load("t", &[], file).await, "completed|4|2|0|0|2|0");
    assert_eq!(importer.rejects().await, ["2|database|23503|-", "4|database|23505|-"]);
    // Two rows exchange their unique values, which is valid at the commit.
    let file = "k,p,u\n1,1,3\n3,1,1\n";
    assert_eq!(importer.load("t", &[("atomic", "true")], file).await, "completed|2|2|0|0|0|0");
}

#[tokio::test]
async fn a_dry_run_reports_the_result_of_the_real_run_and_changes_nothing() {
    let file = "k,v\n1,new\n2,old\n3,a\nx,a\n4,no\n5,long\n3,b\n6,\n";
    for mode in ["upsert", "insert", "ignore", "delete", "replace"] {
        let file = if mode == "replace" { "k,v\n1,new\n3,a\n3,b\n" } else { file };
        let importer = filled(2).await;
        let before = importer.world.rows("SELECT k, v, xmin::text FROM t ORDER BY k").await;
        let mut options = vec![("mode", mode)];
        if mode == "replace" {
            options.push(("max-deletes", "1"));
        }
        let dry: Vec<_> = options.iter().copied().chain([("dry-run", "true")]).collect();
        let predicted = importer.load("t", &dry, file).await;
        let (report, rejects) = (importer.report("t").await, importer.rejects().await);
        assert_eq!(report["dry_run"], true);
        assert_eq!(importer.world.rows("SELECT k, v, xmin::text FROM t ORDER BY k").await, before);
        assert_eq!(importer.load("t", &options, file).await, predicted, "{mode}");
        assert_eq!(importer.rejects().await, rejects, "{mode}");
        let real = importer.report("t").await;
        for name in ["rows", "rejected_by_rule", "rejects", "state"] {
            assert_eq!(real[name], report[name], "{mode} {name}");
        }
        assert_eq!(real["dry_run"], false);
    }
}

#[tokio::test]
async fn a_dry_run_counts_the_rows_that_it_would_overwrite() {
    let importer = filled(2).await;
    importer.world.rows("INSERT INTO t VALUES (3, 'old')").await;
    // Row 2 is refused, row 3 stays as it is, 4 and 5 are new. Rows 1 and 5 come in several chunks.
    let file = "k,v\n1,new\n2,no\n3,old\n4,a\n5,a\n5,b\n1,b\n5,c\n";
    for (mode, expected) in [("upsert", json!(1)), ("insert", json!(null)), ("ignore", json!(null))]
    {
        let dry_run = [("mode", mode), ("dry-run", "true")];
        importer.load("t", &dry_run, file).await;
        assert_eq!(importer.report("t").await["rows_overwritten"], expected, "{mode}");
    }
    // Without the refused row, the file can replace the table.
    let file = "k,v\n1,new\n2,b\n3,old\n";
    let replace = [("mode", "replace"), ("max-deletes", "5"), ("dry-run", "true")];
    importer.load("t", &replace, file).await;
    assert_eq!(importer.report("t").await["rows_overwritten"], 2);
    importer.load("t", &[], file).await;
    assert_eq!(importer.report("t").await["rows_overwritten"], json!(null));
}

#[tokio::test]
async fn a_dry_run_counts_no_row_with_a_newer_version_as_overwritten() {
    let tables = "CREATE TABLE t (k integer PRIMARY KEY, v text, at integer); COMMENT ON COLUMN t.at IS '@sync:version'";
    let importer = Importer::with(tables).await;
    importer.world.rows("INSERT INTO t VALUES (1, 'old', 5), (2, 'old', 5), (3, 'old', 5)").await;
    let file = "k,v,at\n1,new,4\n2,new,6\n3,old,5\n4,new,1\n";
    let counts = importer.load("t", &[("dry-run", "true")], file).await;
    assert_eq!(counts, "completed|4|2|1|1|0|0");
    assert_eq!(importer.report("t").await["rows_overwritten"], 1);
}

#[tokio::test]
async fn a_dry_run_counts_the_rows_of_a_partitioned_table_that_it_would_overwrite() {
    let tables = "CREATE TABLE t (k integer PRIMARY KEY, v text) PARTITION BY RANGE (k);
        CREATE TABLE t_low PARTITION OF t FOR VALUES FROM (0) TO (10);
        CREATE TABLE t_high PARTITION OF t FOR VALUES FROM (10) TO (20)";
    let importer = Importer::with(tables).await;
    importer.world.rows("INSERT INTO t VALUES (1, 'old'), (11, 'old')").await;
    importer.load("t", &[("dry-run", "true")], "k,v\n1,new\n2,new\n11,new\n12,new\n").await;
    assert_eq!(importer.report("t").await["rows_overwritten"], 2);
}

/// The second worker waits, and then reads the result of the first.
#[tokio::test]
async fn only_one_of_two_workers_on_a_dry_run_tries_the_rows() {
    let tables = "CREATE SEQUENCE tries; CREATE TABLE t (k integer PRIMARY KEY,
        v varchar(3) NOT NULL CHECK (v <> 'no'), try bigint DEFAULT nextval('tries'))";
    let importer = Importer::in_chunks(tables, 2).await;
    let mut file = String::from("k,v\n");
    for row in 0..20 {
        writeln!(file, "{row},{}", ["a", "no", "long"][row % 3]).unwrap();
    }
    let dry_run = [("dry-run", "true")];
    let tries = "SELECT last_value FROM tries";
    assert_eq!(importer.load("t", &dry_run, file.clone()).await, "completed|20|7|0|0|13|0");
    let alone: usize = importer.world.rows(tries).await.remove(0).parse().unwrap();
    let key = "imports/t/a.csv";
    let etag = importer.bucket.put_with(key, file, &dry_run).await;
    tokio::join!(importer.notify(key, &etag, "01"), importer.notify(key, &etag, "01"));
    assert_eq!(importer.world.rows(LAST).await, ["completed|20|7|0|0|13|0"]);
    assert_eq!(importer.rejects().await.len(), 13);
    assert_eq!(importer.report("t").await["rejects"].as_array().unwrap().len(), 13);
    assert_eq!(importer.world.rows(tries).await, [(2 * alone).to_string()]);
}

#[tokio::test]
async fn a_dry_run_finds_violations_of_deferred_constraints() {
    let tables = "CREATE TABLE p (k integer PRIMARY KEY);
        CREATE TABLE t (k integer PRIMARY KEY, p integer REFERENCES p DEFERRABLE INITIALLY DEFERRED)";
    let importer = Importer::with(tables).await;
    let dry = [("dry-run", "true")];
    let predicted = importer.load("t", &dry, "k,p\n1,1\n2,\n").await;
    let rejects = importer.rejects().await;
    assert_eq!(importer.world.rows("SELECT count(*) FROM t").await, ["0"]);
    assert_eq!(importer.load("t", &[], "k,p\n1,1\n2,\n").await, predicted);
    assert_eq!(importer.rejects().await, rejects);
}

#[tokio::test]
async fn a_dry_run_of_replace_fails_on_too_many_deletes() {
    let importer = filled(10).await;
    let options = [("mode", "replace"), ("dry-run", "true")];
    assert_eq!(importer.load("t", &options, "k,v\n1,old\n").await, "failed|1|0|1|0|0|0");
    assert!(importer.error().await.contains("max-deletes"));
    assert_eq!(
        importer.load("t", &options, "k,v\n1,old\nx,y\n").await.split('|').next(),
        Some("failed")
    );
    assert_eq!(importer.world.rows("SELECT count(*) FROM t").await, ["2"]);
}

#[tokio::test]
async fn more_rejects_than_allowed_fail_the_import() {
    let importer = filled(10_000).await;
    let file = "k,v\n3,a\nx,a\ny,b\n4,b\n";
    for (limit, is_enough) in
        [("2", true), ("1", false), ("0", false), ("50%", true), ("49.9%", false), ("0%", false)]
    {
        let counts = importer.load("t", &[("max-rejects", limit)], file).await;
        let expected = if is_enough { "completed" } else { "failed" };
        assert!(
            counts.starts_with(&format!("{expected}|4|")) && counts.ends_with("|2|0"),
            "{limit}: {counts}"
        );
        if !is_enough {
            let error = importer.error().await;
            assert!(
                error.starts_with(&format!(
                    "2 of the 4 rows read were rejected, more than max-rejects allows ({limit})"
                )),
                "{error}"
            );
        }
    }
}

#[tokio::test]
async fn a_file_over_max_rejects_is_not_read_to_its_end() {
    let mut file = String::from("k,v\n");
    for row in 0..30_000 {
        let key = if row % 10 == 0 { "bad".to_owned() } else { (row + 10).to_string() };
        writeln!(file, "{key},a").unwrap();
    }
    let importer = filled(1_000).await;
    for limit in ["100", "5%"] {
        let counts = importer.load("t", &[("max-rejects", limit)], file.clone()).await;
        let mut numbers = counts.split('|');
        assert_eq!(numbers.next(), Some("failed"));
        let read: u64 = numbers.next().unwrap().parse().unwrap();
        assert!(read < 20_000, "{limit}: {counts}");
        let error = importer.error().await;
        assert!(
            error.contains("max-rejects")
                && error.contains("the rows that were loaded before stay"),
            "{error}"
        );
        let kept = format!("SELECT count(*) >= {read} * 8 / 10 FROM t");
        assert_eq!(importer.world.rows(&kept).await, ["true"]);
    }
    // A tenth of the rows is bad, which 11% allow.
    let counts = importer.load("t", &[("max-rejects", "11%")], file).await;
    assert!(counts.starts_with("completed|30000|"), "{counts}");
}

#[tokio::test]
async fn a_dry_run_of_several_chunks_checks_deferred_constraints_chunk_by_chunk() {
    let tables = "CREATE TABLE t (k integer PRIMARY KEY, boss integer REFERENCES t DEFERRABLE INITIALLY DEFERRED)";
    // The boss of row 1 comes in a later chunk, the boss of row 3 in the same one.
    let file = "k,boss\n1,4\n2,\n3,5\n5,\n4,\n";
    for dry_run in ["true", "false"] {
        let importer = Importer::in_chunks(tables, 2).await;
        let counts = importer.load("t", &[("dry-run", dry_run)], file).await;
        assert_eq!(counts, "completed|5|4|0|0|1|0", "dry run: {dry_run}");
        assert_eq!(importer.rejects().await, ["1|database|23503|-"], "dry run: {dry_run}");
    }
}
