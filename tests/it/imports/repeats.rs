//! Keys that come more than once, in a file and from file to file.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::Importer;

const T: &str = "CREATE TABLE t (k integer PRIMARY KEY, v text)";

#[tokio::test]
async fn the_last_row_of_a_key_wins_however_the_file_is_cut() {
    let mut file = String::from("k,v\n");
    let mut last = BTreeMap::new();
    for row in 0..60 {
        let key = row * 7 % 20;
        writeln!(file, "{key},{row}").unwrap();
        last.insert(key, row);
    }
    let rows: Vec<_> = last.iter().map(|(key, row)| format!("{key}|{row}")).collect();
    for (records, lanes) in [(1, 1), (1, 3), (7, 2), (25, 4), (10_000, 3)] {
        for mode in ["upsert", "replace"] {
            let mut importer = Importer::in_chunks(T, records).await;
            importer.import.lanes = lanes;
            let counts = importer.load("t", &[("mode", mode)], file.clone()).await;
            assert_eq!(counts, "completed|60|20|0|40|0|0", "{records} {lanes} {mode}");
            assert_eq!(importer.world.rows("SELECT k, v FROM t ORDER BY k").await, rows);
        }
    }
}

/// The file's own rows take each other's place; rows that were there before it do as the mode says.
#[tokio::test]
async fn the_last_row_of_a_key_wins_also_where_rows_are_only_added() {
    let tables = "CREATE TABLE t (k integer PRIMARY KEY, v text CHECK (v <> 'no'));
        INSERT INTO t VALUES (1, 'old')";
    let file = "k,v\n1,new\n5,first\n6,x\n5,second\n1,newer\n5,no\n5,third\n7,no\n7,y\n";
    for (records, sure_records) in [(1, 0), (1, 100), (2, 0), (2, 3), (4, 100), (10_000, 100)] {
        for (mode, counts) in [("insert", "9|3|0|2|4|0"), ("ignore", "9|3|1|3|2|0")] {
            let mut importer = Importer::in_chunks(tables, records).await;
            importer.import.limits.sure_records = sure_records;
            let found = importer.load("t", &[("mode", mode)], file).await;
            assert_eq!(found, format!("completed|{counts}"), "{records} {sure_records} {mode}");
            let rows = importer.world.rows("SELECT k, v FROM t ORDER BY k").await;
            assert_eq!(rows, ["1|old", "5|third", "6|x", "7|y"]);
        }
    }
}

#[tokio::test]
async fn of_the_spellings_of_a_key_the_last_one_wins_also_where_rows_are_only_added() {
    let tables = "CREATE EXTENSION citext; CREATE TABLE t (k citext PRIMARY KEY, v text);
        INSERT INTO t VALUES ('Old', '0')";
    for records in [1, 3, 10_000] {
        let importer = Importer::in_chunks(tables, records).await;
        let file = "k,v\na,1\nB,2\nA,3\nold,4\nb,5\na,6\nOLD,7\n";
        assert_eq!(importer.load("t", &[("mode", "ignore")], file).await, "completed|7|2|1|4|0|0");
        let rows = importer.world.rows("SELECT lower(k::text), v FROM t ORDER BY v").await;
        assert_eq!(rows, ["old|0", "b|5", "a|6"], "{records}");
    }
}

#[tokio::test]
async fn the_same_file_again_leaves_the_table_as_it_is() {
    for records in [1, 3, 10_000] {
        let importer = Importer::in_chunks(T, records).await;
        let file = "k,v\n1,a\n2,b\n1,a\n3,c\n2,b\n1,a\n4,\n5,\"\"\n";
        assert_eq!(importer.load("t", &[], file).await, "completed|8|5|0|3|0|0", "{records}");
        // Not even a lock (`xmax`) touches them.
        let rows = "SELECT k, v, xmin::text, xmax::text, ctid::text FROM t ORDER BY k";
        let before = importer.world.rows(rows).await;
        for mode in ["upsert", "replace"] {
            let counts = importer.load("t", &[("mode", mode)], file).await;
            assert_eq!(counts, "completed|8|0|5|3|0|0", "{records} {mode}");
            assert_eq!(importer.world.rows(rows).await, before);
        }
    }
}

#[tokio::test]
async fn a_row_that_ends_as_it_began_was_written_on_the_way() {
    let importer = Importer::in_chunks(T, 1).await;
    importer.world.rows("INSERT INTO t VALUES (1, 'old')").await;
    let file = "k,v\n1,new\n1,old\n1,old\n";
    assert_eq!(importer.load("t", &[], file).await, "completed|3|1|0|2|0|0");
}

#[tokio::test]
async fn a_bad_row_does_not_supersede_a_good_one() {
    let tables = "CREATE TABLE t (k integer PRIMARY KEY, v text CHECK (v <> 'no'))";
    for records in [1, 2, 10_000] {
        let importer = Importer::in_chunks(tables, records).await;
        let file = "k,v\n1,a\n1,no\n2,no\n2,b\n1,c\n1,no\n";
        assert_eq!(importer.load("t", &[], file).await, "completed|6|2|0|1|3|0", "{records}");
        assert_eq!(importer.world.rows("SELECT k, v FROM t ORDER BY k").await, ["1|c", "2|b"]);
        assert_eq!(
            importer.rejects().await,
            ["2|database|23514|-", "3|database|23514|-", "6|database|23514|-"]
        );
    }
}

/// Its first row was refused, so whether its key came before in a row that stands is for the database to say; the
/// two that follow stand in one part.
#[tokio::test]
async fn of_two_rows_behind_a_bad_one_the_first_is_superseded() {
    let tables = "CREATE TABLE t (k integer PRIMARY KEY, v text CHECK (v <> 'no'));
        INSERT INTO t VALUES (1, 'a')";
    let importer = Importer::in_chunks(tables, 2).await;
    let file = "k,v\n1,no\n2,b\n1,a\n1,a\n";
    assert_eq!(importer.load("t", &[], file).await, "completed|4|1|1|1|1|0");
}

/// Lanes may not decide which of two rows is the bad one.
#[tokio::test]
async fn of_two_rows_that_exclude_each_other_the_same_one_is_rejected_through_any_number_of_lanes()
{
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
