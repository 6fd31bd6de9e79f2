//! Keys that are repeated in a file and across files.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use super::Importer;

const T: &str = "CREATE TABLE t (k integer PRIMARY KEY, v text)";

/// Returns the number of rows that have a later row of their key in their chunk.
fn folded(keys: &[i32], records: usize) -> usize {
    let of_chunk = |chunk: &[i32]| chunk.len() - chunk.iter().collect::<BTreeSet<_>>().len();
    keys.chunks(records).map(of_chunk).sum()
}

#[tokio::test]
async fn the_last_row_of_a_key_wins_for_every_chunk_size() {
    let keys: Vec<i32> = (0..60).map(|row| row * 7 % 20).collect();
    let mut file = String::from("k,v\n");
    let mut last = BTreeMap::new();
    for (row, key) in keys.iter().enumerate() {
        writeln!(file, "{key},{row}").unwrap();
        last.insert(*key, row);
    }
    let rows: Vec<_> = last.iter().map(|(key, row)| format!("{key}|{row}")).collect();
    for (records, lanes) in [(1, 1), (1, 3), (7, 2), (25, 4), (10_000, 3)] {
        for mode in ["upsert", "replace"] {
            let mut importer = Importer::in_chunks(T, records).await;
            importer.import.lanes = lanes;
            let counts = importer.load("t", &[("mode", mode)], file.clone()).await;
            let folded = folded(&keys, records);
            let expected = format!("completed|60|{}|0|{folded}|0|0", 60 - folded);
            assert_eq!(counts, expected, "{records} {lanes} {mode}");
            assert_eq!(importer.world.rows("SELECT k, v FROM t ORDER BY k").await, rows);
        }
    }
}

#[tokio::test]
async fn insert_takes_the_first_row_of_a_key_and_rejects_the_later_ones() {
    let tables = "CREATE TABLE t (k integer PRIMARY KEY, v text CHECK (v <> 'no'));
        INSERT INTO t VALUES (1, 'old')";
    let file = "k,v\n1,new\n5,first\n6,x\n5,second\n1,newer\n5,no\n5,third\n7,no\n7,y\n";
    for records in [1, 2, 4, 10_000] {
        let importer = Importer::in_chunks(tables, records).await;
        let found = importer.load("t", &[("mode", "insert")], file).await;
        assert_eq!(found, "completed|9|3|0|0|6|0", "{records}");
        let rows = importer.world.rows("SELECT k, v FROM t ORDER BY k").await;
        assert_eq!(rows, ["1|old", "5|first", "6|x", "7|y"]);
    }
}

#[tokio::test]
async fn ignore_takes_the_first_row_of_a_key_and_ignores_the_later_ones() {
    let tables = "CREATE TABLE t (k integer PRIMARY KEY, v text CHECK (v <> 'no'));
        INSERT INTO t VALUES (1, 'old')";
    let file = "k,v\n1,new\n5,first\n6,x\n5,second\n1,newer\n5,no\n5,third\n7,no\n7,y\n";
    for records in [1, 2, 4, 10_000] {
        let importer = Importer::in_chunks(tables, records).await;
        let found = importer.load("t", &[("mode", "ignore")], file).await;
        assert_eq!(found, "completed|9|3|4|0|2|0", "{records}");
        let rows = importer.world.rows("SELECT k, v FROM t ORDER BY k").await;
        assert_eq!(rows, ["1|old", "5|first", "6|x", "7|y"]);
    }
}

#[tokio::test]
async fn the_first_spelling_of_a_key_stays_in_mode_ignore() {
    let tables = "CREATE EXTENSION citext; CREATE TABLE t (k citext PRIMARY KEY, v text);
        INSERT INTO t VALUES ('Old', '0')";
    for records in [1, 3, 10_000] {
        let importer = Importer::in_chunks(tables, records).await;
        let file = "k,v\na,1\nB,2\nA,3\nold,4\nb,5\na,6\nOLD,7\n";
        assert_eq!(importer.load("t", &[("mode", "ignore")], file).await, "completed|7|2|5|0|0|0");
        let rows = importer.world.rows("SELECT k::text, v FROM t ORDER BY v").await;
        assert_eq!(rows, ["Old|0", "a|1", "B|2"], "{records}");
    }
}

#[tokio::test]
async fn the_last_spelling_of_a_key_wins_in_mode_upsert() {
    let tables = "CREATE EXTENSION citext; CREATE TABLE t (k citext PRIMARY KEY, v text);
        INSERT INTO t VALUES ('Old', '0')";
    for records in [1, 3, 10_000] {
        let importer = Importer::in_chunks(tables, records).await;
        let file = "k,v\na,1\nB,2\nA,3\nold,4\nb,5\na,6\nOLD,7\n";
        assert_eq!(importer.load("t", &[], file).await, "completed|7|7|0|0|0|0");
        let rows = importer.world.rows("SELECT lower(k::text), v FROM t ORDER BY v").await;
        assert_eq!(rows, ["b|5", "a|6", "old|7"], "{records}");
    }
}

#[tokio::test]
async fn a_repeated_file_leaves_the_table_unchanged() {
    for records in [1, 3, 10_000] {
        let importer = Importer::in_chunks(T, records).await;
        let folded = folded(&[1, 2, 1, 3, 2, 1, 4, 5], records);
        let file = "k,v\n1,a\n2,b\n1,a\n3,c\n2,b\n1,a\n4,\n5,\"\"\n";
        let counts = format!("completed|8|5|{}|{folded}|0|0", 3 - folded);
        assert_eq!(importer.load("t", &[], file).await, counts, "{records}");
        // The rows are not even locked (`xmax`).
        let rows = "SELECT k, v, xmin::text, xmax::text, ctid::text FROM t ORDER BY k";
        let before = importer.world.rows(rows).await;
        for mode in ["upsert", "replace"] {
            let counts = format!("completed|8|0|{}|{folded}|0|0", 8 - folded);
            let found = importer.load("t", &[("mode", mode)], file).await;
            assert_eq!(found, counts, "{records} {mode}");
            assert_eq!(importer.world.rows(rows).await, before);
        }
    }
}

#[tokio::test]
async fn each_row_counts_for_its_own_effect_across_chunks() {
    let importer = Importer::in_chunks(T, 1).await;
    importer.world.rows("INSERT INTO t VALUES (1, 'old')").await;
    let file = "k,v\n1,new\n1,old\n1,old\n";
    assert_eq!(importer.load("t", &[], file).await, "completed|3|2|1|0|0|0");
}

#[tokio::test]
async fn a_bad_row_does_not_supersede_a_good_one() {
    let tables = "CREATE TABLE t (k integer PRIMARY KEY, v text CHECK (v <> 'no'))";
    // A good last row decides alone: earlier rows of its key in the chunk are not checked.
    for (records, counts, rejects) in [
        (1, "completed|6|3|0|0|3|0", ["2", "3", "6"].as_slice()),
        (2, "completed|6|3|0|1|2|0", ["2", "6"].as_slice()),
        (10_000, "completed|6|2|0|3|1|0", ["6"].as_slice()),
    ] {
        let importer = Importer::in_chunks(tables, records).await;
        let file = "k,v\n1,a\n1,no\n2,no\n2,b\n1,c\n1,no\n";
        assert_eq!(importer.load("t", &[], file).await, counts, "{records}");
        assert_eq!(importer.world.rows("SELECT k, v FROM t ORDER BY k").await, ["1|c", "2|b"]);
        let rejects: Vec<_> =
            rejects.iter().map(|record| format!("{record}|database|23514|-")).collect();
        assert_eq!(importer.rejects().await, rejects);
    }
}

/// The rejected one of two rows does not depend on the lanes.
#[tokio::test]
async fn the_number_of_lanes_does_not_decide_between_two_rows_that_exclude_each_other() {
    let tables = "CREATE TABLE t (k integer PRIMARY KEY, v text UNIQUE)";
    let mut file = String::from("k,v\n");
    for row in 0..200 {
        writeln!(file, "{row},{}", row % 50).unwrap();
    }
    let mut found = Vec::new();
    for lanes in [1, 2, 5] {
        let mut importer = Importer::in_chunks(tables, 20).await;
        importer.import.lanes = lanes;
        assert_eq!(importer.load("t", &[], file.clone()).await, "completed|200|50|0|0|150|0");
        found.push(importer.world.rows("SELECT k FROM t ORDER BY k").await);
    }
    assert_eq!(found[1], found[0]);
    assert_eq!(found[2], found[0]);
}
