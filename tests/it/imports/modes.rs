//! The effect of each mode on tables of every kind.

use std::fmt::Write as _;

use super::Importer;
use crate::support::MEASUREMENT;

const T: &str = "CREATE TABLE t (k integer PRIMARY KEY, v text)";

const ROWS: &str = "SELECT k, v FROM t ORDER BY k";

async fn filled() -> Importer {
    let importer = Importer::with(T).await;
    importer.world.rows("INSERT INTO t SELECT n, 'old' FROM generate_series(1, 4) n").await;
    importer
}

#[tokio::test]
async fn upsert_inserts_updates_and_leaves_equal_rows_alone() {
    let importer = filled().await;
    let versions = "SELECT k, xmin::text FROM t WHERE k IN (1, 3) ORDER BY k";
    let before = importer.world.rows(versions).await;
    let counts = importer.load("t", &[("mode", "upsert")], "k,v\n1,old\n2,new\n5,new\n").await;
    assert_eq!(counts, "completed|3|2|1|0|0|0");
    assert_eq!(importer.world.rows(ROWS).await, ["1|old", "2|new", "3|old", "4|old", "5|new"]);
    assert_eq!(importer.world.rows(versions).await, before);
}

#[tokio::test]
async fn insert_rejects_existing_keys() {
    let importer = filled().await;
    let file = "k,v\n1,new\n5,first\n6,x\n";
    assert_eq!(importer.load("t", &[("mode", "insert")], file).await, "completed|3|2|0|0|1|0");
    assert_eq!(importer.rejects().await, ["1|database|23505|-"]);
    let rows = ["1|old", "2|old", "3|old", "4|old", "5|first", "6|x"];
    assert_eq!(importer.world.rows(ROWS).await, rows);
}

#[tokio::test]
async fn ignore_leaves_existing_keys_alone() {
    let importer = filled().await;
    let file = "k,v\n1,new\n5,first\n6,x\n";
    assert_eq!(importer.load("t", &[("mode", "ignore")], file).await, "completed|3|2|1|0|0|0");
    assert!(importer.rejects().await.is_empty());
    let rows = ["1|old", "2|old", "3|old", "4|old", "5|first", "6|x"];
    assert_eq!(importer.world.rows(ROWS).await, rows);
}

#[tokio::test]
async fn replace_makes_the_table_equal_to_the_file() {
    let mut importer = filled().await;
    importer.import.limits.records = 2;
    let options = [("mode", "replace"), ("max-deletes", "2")];
    let file = "k,v\n5,new\n1,old\n2,first\n6,x\n2,second\n";
    assert_eq!(importer.load("t", &options, file).await, "completed|5|4|1|0|0|2");
    assert_eq!(importer.world.rows(ROWS).await, ["1|old", "2|second", "5|new", "6|x"]);
    // The second import has no effect.
    let before = importer.world.rows("SELECT k, xmin::text FROM t WHERE k <> 2 ORDER BY k").await;
    assert_eq!(
        importer.load("t", &options, "k,v\n5,new\n1,old\n2,second\n6,x\n").await,
        "completed|4|0|4|0|0|0"
    );
    let after = importer.world.rows("SELECT k, xmin::text FROM t WHERE k <> 2 ORDER BY k").await;
    assert_eq!(after, before);
}

/// Rows that seem to be new are inserted without a look-up, until one of them exists.
#[tokio::test]
async fn upsert_finds_existing_rows_behind_new_ones() {
    for lanes in [1, 3] {
        let mut importer = Importer::in_chunks(T, 20).await;
        importer.import.lanes = lanes;
        importer.world.rows("INSERT INTO t SELECT n, 'old' FROM generate_series(61, 99) n").await;
        let mut file = String::from("k,v\n");
        for row in 1..=120 {
            writeln!(file, "{row},{}", if row % 3 == 0 { "new" } else { "old" }).unwrap();
            // Repeated rows, before and after the first existing one.
            if row % 40 == 0 {
                writeln!(file, "{},last", row - 39).unwrap();
            }
        }
        // 26 of the 39 existing rows equal those of the file.
        assert_eq!(importer.load("t", &[], file).await, "completed|123|97|26|0|0|0", "{lanes}");
        let rows = "SELECT count(*), count(*) FILTER (WHERE v = 'last'),
            count(*) FILTER (WHERE v = CASE WHEN k % 3 = 0 THEN 'new' ELSE 'old' END) FROM t";
        assert_eq!(importer.world.rows(rows).await, ["120|3|117"]);
    }
}

/// One row fails its check and another its unique constraint. The good ones are loaded.
#[tokio::test]
async fn only_the_bad_rows_among_new_ones_are_rejected() {
    let tables =
        "CREATE TABLE t (k integer PRIMARY KEY, v text CHECK (v <> 'no'), u integer UNIQUE)";
    let importer = Importer::in_chunks(tables, 3).await;
    let file = "k,v,u\n1,a,1\n2,no,2\n3,c,3\n4,d,1\n5,e,5\n6,f,6\n7,g,7\n";
    assert_eq!(importer.load("t", &[], file).await, "completed|7|5|0|0|2|0");
    assert_eq!(importer.rejects().await, ["2|database|23514|-", "4|database|23505|-"]);
    assert_eq!(importer.world.rows("SELECT count(*) FROM t").await, ["5"]);
}

/// The table has more rows than one statement reads.
#[tokio::test]
async fn replace_deletes_from_a_large_table() {
    let tables = "CREATE TABLE t (a varchar(9), b numeric(9, 1), v text, PRIMARY KEY (b, a));
        INSERT INTO t SELECT 'x' || n % 7, n / 2, 'old' FROM generate_series(1, 120000) n;";
    let importer = Importer::with(tables).await;
    let file = "a,b,v\nx1,0.0,old\nx0,25000,new\nx1,50001.0,old\nx6,60000,old\ny,7,new\n";
    let at_most = |limit| [("mode", "replace"), ("max-deletes", limit)];
    assert_eq!(importer.load("t", &at_most("99%"), file).await, "failed|5|2|3|0|0|0");
    let error = importer.error().await;
    assert!(error.starts_with("119996 of the table's 120001 rows are not in the file"), "{error}");
    assert_eq!(importer.load("t", &at_most("119996"), file).await, "completed|5|0|5|0|0|119996");
    assert_eq!(
        importer.world.rows("SELECT a, b, v FROM t ORDER BY b").await,
        ["x1|0.0|old", "y|7.0|new", "x0|25000.0|new", "x1|50001.0|old", "x6|60000.0|old"]
    );
}

#[tokio::test]
async fn replace_deletes_no_more_rows_than_max_deletes() {
    let importer = filled().await;
    for (limit, is_enough) in [("1", false), ("49%", false), ("0", false), ("50%", true)] {
        let options = [("mode", "replace"), ("max-deletes", limit)];
        let counts = importer.load("t", &options, "k,v\n1,old\n2,new\n").await;
        if is_enough {
            assert_eq!(counts, "completed|2|0|2|0|0|2", "{limit}");
        } else {
            assert!(counts.starts_with("failed|2|") && counts.ends_with("|0"), "{limit}: {counts}");
            let error = importer.error().await;
            assert!(error.starts_with("2 of the table's 4 rows are not in the file"), "{error}");
            assert_eq!(importer.world.rows(ROWS).await, ["1|old", "2|new", "3|old", "4|old"]);
        }
    }
    assert_eq!(importer.world.rows(ROWS).await, ["1|old", "2|new"]);
    // The default is a tenth of the table.
    assert_eq!(
        importer.load("t", &[("mode", "replace")], "k,v\n1,old\n").await,
        "failed|1|0|1|0|0|0"
    );
}

#[tokio::test]
async fn replace_deletes_nothing_if_a_row_is_rejected() {
    let importer = filled().await;
    let options = [("mode", "replace"), ("max-deletes", "100%")];
    assert_eq!(importer.load("t", &options, "k,v\n1,new\nx,bad\n").await, "failed|2|1|0|0|1|0");
    assert!(importer.error().await.starts_with("1 row was rejected, so that nothing was deleted"));
    assert_eq!(importer.world.rows(ROWS).await, ["1|new", "2|old", "3|old", "4|old"]);
    // A `replace` with rejected.csv would delete all good rows.
    let rejected = importer.result("t", "rejected.csv").await.unwrap().replace("x,", "9,");
    assert_eq!(importer.load("t", &options, rejected.clone()).await, "failed|0|0|0|0|0|0");
    assert!(importer.error().await.contains("drop it with mode upsert"));
    assert_eq!(importer.load("t", &[("mode", "upsert")], rejected).await, "completed|1|1|0|0|0|0");
    assert_eq!(importer.world.rows("SELECT count(*) FROM t").await, ["5"]);
}

#[tokio::test]
async fn replace_with_an_empty_file_empties_the_table_only_if_max_deletes_allows_it() {
    let importer = filled().await;
    assert_eq!(importer.load("t", &[("mode", "replace")], "k,v\n").await, "failed|0|0|0|0|0|0");
    let options = [("mode", "replace"), ("max-deletes", "100%")];
    assert_eq!(importer.load("t", &options, "k,v\n").await, "completed|0|0|0|0|0|4");
    assert!(importer.world.rows(ROWS).await.is_empty());
}

#[tokio::test]
async fn delete_reads_only_the_key() {
    let importer = filled().await;
    // Only the key must be valid.
    let file = "v,k\n,1\nwhatever,9\n,3\n,1\n,\n,x\n";
    assert_eq!(importer.load("t", &[("mode", "delete")], file).await, "completed|6|2|1|1|2|0");
    assert_eq!(importer.rejects().await, ["5|not-null|-|k", "6|format|-|k"]);
    assert_eq!(importer.world.rows(ROWS).await, ["2|old", "4|old"]);
    assert_eq!(importer.load("t", &[("mode", "delete")], "v\nx\n").await, "failed|0|0|0|0|0|0");
}

#[tokio::test]
async fn delete_rejects_rows_that_other_rows_refer_to() {
    let tables = "CREATE TABLE t (k integer PRIMARY KEY);
        CREATE TABLE child (id integer PRIMARY KEY, k integer REFERENCES t);";
    let importer = Importer::with(tables).await;
    importer.world.rows("INSERT INTO t SELECT generate_series(1, 4)").await;
    importer.world.rows("INSERT INTO child VALUES (1, 2)").await;
    let counts = importer.load("t", &[("mode", "delete")], "k\n1\n2\n3\n2\n3\n9\n9\n").await;
    assert_eq!(counts, "completed|7|2|1|2|2|0");
    assert_eq!(importer.rejects().await, ["2|database|23503|-", "4|database|23503|-"]);
    assert_eq!(importer.world.rows("SELECT k FROM t ORDER BY k").await, ["2", "4"]);
}

#[tokio::test]
async fn replace_fails_with_the_reason_if_a_row_cannot_be_deleted() {
    let tables = "CREATE TABLE t (k integer PRIMARY KEY);
        CREATE TABLE child (id integer PRIMARY KEY, k integer REFERENCES t);";
    let importer = Importer::with(tables).await;
    importer.world.rows("INSERT INTO t SELECT generate_series(1, 4)").await;
    importer.world.rows("INSERT INTO child VALUES (1, 2)").await;
    let options = [("mode", "replace"), ("max-deletes", "100%")];
    assert_eq!(importer.load("t", &options, "k\n1\n5\n").await, "failed|2|1|1|0|0|0");
    let error = importer.error().await;
    assert!(error.contains("child") && error.contains("nothing was deleted"), "{error}");
    let atomic = [("mode", "replace"), ("max-deletes", "100%"), ("atomic", "true")];
    assert_eq!(importer.load("t", &atomic, "k\n1\n6\n").await, "failed|2|0|2|0|0|0");
    assert_eq!(importer.world.rows("SELECT count(*) FROM t").await, ["5"]);
}

#[tokio::test]
async fn a_table_without_a_primary_key_takes_every_row() {
    let importer = Importer::in_chunks("CREATE TABLE t (k integer, v text)", 2).await;
    for mode in ["upsert", "insert", "ignore"] {
        let counts = importer.load("t", &[("mode", mode)], "k,v\n1,a\n1,a\n,\n2,b\nx,c\n").await;
        assert_eq!(counts, "completed|5|4|0|0|1|0", "{mode}");
    }
    assert_eq!(importer.world.rows("SELECT count(*) FROM t").await, ["12"]);
    for mode in ["replace", "delete"] {
        assert_eq!(importer.load("t", &[("mode", mode)], "k,v\n1,a\n").await, "failed|0|0|0|0|0|0");
        assert!(importer.error().await.contains("needs a table with a primary key"));
    }
}

#[tokio::test]
async fn the_version_column_decides_between_rows() {
    let tables = "CREATE TABLE t (k integer PRIMARY KEY, v text, at bigint);
        COMMENT ON COLUMN t.at IS '@sync:version';";
    let mut importer = Importer::with(tables).await;
    let all = "SELECT k, v, at FROM t ORDER BY k";
    for limit in [10_000, 1] {
        importer.import.limits.records = limit;
        importer.world.rows("TRUNCATE t").await;
        importer
            .world
            .rows("INSERT INTO t VALUES (1, 'old', 5), (2, 'old', 5), (3, 'old', 5), (6, 'old', 5)")
            .await;
        // An older row, an equal one, a newer one, one without a version, a new one, and pairs in
        // both orders.
        let file = "k,v,at\n1,new,4\n2,old,5\n3,new,6\n4,new,\n5,a,2\n5,b,1\n6,a,4\n6,b,7\n";
        let counts = importer.load("t", &[], file).await;
        assert_eq!(counts, "completed|8|3|1|3|1|0", "{limit}");
        assert_eq!(importer.rejects().await, ["4|not-null|-|at"]);
        let rows = ["1|old|5", "2|old|5", "3|new|6", "5|a|2", "6|b|7"];
        assert_eq!(importer.world.rows(all).await, rows);
    }
    // A file without the version column fails in mode upsert. Mode insert does not compare
    // versions.
    assert_eq!(importer.load("t", &[], "k,v\n1,x\n").await, "failed|0|0|0|0|0|0");
    assert_eq!(
        importer.load("t", &[("mode", "insert")], "k,v\n7,x\n").await,
        "completed|1|1|0|0|0|0"
    );
}

#[tokio::test]
async fn an_older_row_is_superseded_every_time() {
    let tables = "CREATE TABLE t (k integer PRIMARY KEY, v text, at bigint);
        COMMENT ON COLUMN t.at IS '@sync:version';";
    let importer = Importer::in_chunks(tables, 1).await;
    importer.world.rows("INSERT INTO t VALUES (1, 'old', 5)").await;
    let file = "k,v,at\n1,a,4\n1,b,3\n1,old,5\n1,old,5\n1,c,2\n";
    for mode in ["upsert", "replace"] {
        // Two rows change nothing; the others are older than the row of the table.
        assert_eq!(
            importer.load("t", &[("mode", mode)], file).await,
            "completed|5|0|2|3|0|0",
            "{mode}"
        );
    }
}

#[tokio::test]
async fn generated_columns_get_their_values_from_the_database() {
    let mut importer = Importer::with(
        "CREATE TABLE t (k integer PRIMARY KEY, n bigint GENERATED ALWAYS AS IDENTITY,
            d integer GENERATED BY DEFAULT AS IDENTITY, double integer GENERATED ALWAYS AS (k * 2) STORED,
            v text DEFAULT 'none', s serial)",
    )
    .await;
    // Lanes may get their generated numbers in any order.
    importer.import.lanes = 1;
    assert_eq!(importer.load("t", &[], "k\n10\n20\n").await, "completed|2|2|0|0|0|0");
    let rows = "SELECT k, n, d, double, v, s FROM t ORDER BY k";
    assert_eq!(importer.world.rows(rows).await, ["10|1|1|20|none|1", "20|2|2|40|none|2"]);
    assert_eq!(importer.load("t", &[], "k,d,v\n10,7,\n30,8,x\n").await, "completed|2|2|0|0|0|0");
    let found = importer.world.rows("SELECT k, d, double, v FROM t ORDER BY k").await;
    assert_eq!(found, ["10|7|20|-", "20|2|40|none", "30|8|60|x"]);
    for column in ["n", "double"] {
        assert_eq!(
            importer.load("t", &[], format!("k,{column}\n40,1\n")).await,
            "failed|0|0|0|0|0|0"
        );
        assert!(importer.error().await.contains("whose values the database makes"));
        let ignore = [("extra-columns", "ignore")];
        let file = format!("k,{column},more\n40,x,y\n");
        assert!(importer.load("t", &ignore, file).await.starts_with("completed|1|"));
    }
}

#[tokio::test]
async fn rows_without_their_generated_key_are_always_new() {
    let importer = Importer::with(
        "CREATE TABLE t (id bigint GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY, v text)",
    )
    .await;
    for _ in 0..2 {
        assert_eq!(importer.load("t", &[], "v\na\na\n").await, "completed|2|2|0|0|0|0");
    }
    assert_eq!(importer.load("t", &[], "id,v\n1,b\n2,a\n").await, "completed|2|1|1|0|0|0");
    assert_eq!(
        importer.world.rows("SELECT id, v FROM t ORDER BY id").await,
        ["1|b", "2|a", "3|a", "4|a"]
    );
}

#[tokio::test]
async fn spellings_of_a_composite_key_are_one_key() {
    let importer = Importer::in_chunks(MEASUREMENT, 1).await;
    let id = "0190C0DE-0000-7000-8000-00000000000A";
    let lower = id.to_lowercase();
    let file = format!(
        "sensor,taken at,note\n{id},2026-01-01T00:00:00Z,a\n{lower},2026-01-01 01:00:00+01:00,b\n\
         {lower},2026-01-01T00:00:00.000001Z,c\n{{{id}}},2025-12-31T19:00:00-05:00,d\n"
    );
    assert_eq!(importer.load("Measurement", &[], file).await, "completed|4|4|0|0|0|0");
    let rows = "SELECT note FROM \"Measurement\" ORDER BY note";
    assert_eq!(importer.world.rows(rows).await, ["c", "d"]);
    let again = format!("taken at,sensor,note\n2026-01-01T00:00:00Z,{id},d\n");
    let replace = [("mode", "replace"), ("max-deletes", "50%")];
    assert_eq!(importer.load("Measurement", &replace, again).await, "completed|1|0|1|0|0|1");
    let delete = format!("sensor,taken at\n{lower},2026-01-01T09:00:00+09:00\n");
    assert_eq!(
        importer.load("Measurement", &[("mode", "delete")], delete).await,
        "completed|1|1|0|0|0|0"
    );
    assert_eq!(importer.world.rows(rows).await, Vec::<String>::new());
}

#[tokio::test]
async fn columns_of_every_type_arrive_unchanged() {
    let tables = "CREATE TYPE mood AS ENUM ('sad', 'happy');
        CREATE DOMAIN plus AS integer CHECK (VALUE > 0);
        CREATE TABLE t (k integer PRIMARY KEY, a text[], j jsonb, js json, b bytea, e mood, p plus, n numeric(6,2),
            c char(3), f double precision, d date, i interval, x xml);";
    let importer = Importer::with(tables).await;
    let file = "k,a,j,js,b,e,p,n,c,f,d,i,x\n\
        1,\"{a,\"\"b,c\"\",NULL}\",\"{\"\"x\"\": [1, 2]}\",\"{\"\"y\"\" : 1}\",\\x00ff,happy,5,12.34,ab,1e308,2026-02-28,1 day,<a/>\n\
        2,,,,,,,,,,,,\n\
        3,,,,,angry,,,,,,,\n\
        4,,,,,,0,,,,,,\n\
        5,,{,,,,,,,,,,\n\
        6,{a,,,,,,,,,,,\n\
        7,,,,\\x0,,,,,,,,\n\
        8,,,,,,,12345.6,,,,,\n\
        9,,,,,,,,abcd,,,,\n\
        10,,,,,,,,,,2026-02-30,,\n\
        11,,,,,,,,,,,soon,\n\
        12,,,,,,,,,,,,<a\n";
    assert_eq!(importer.load("t", &[], file).await, "completed|12|2|0|0|10|0");
    let columns = "SELECT k, a::text, j::text, js::text, b::text, e::text, p, n::text, c, f::text, d::text, i::text, x::text FROM t ORDER BY k";
    assert_eq!(
        importer.world.rows(columns).await,
        [
            "1|{a,\"b,c\",NULL}|{\"x\": [1, 2]}|{\"y\" : 1}|\\x00ff|happy|5|12.34|ab |1e+308|2026-02-28|1 day|<a/>",
            "2|-|-|-|-|-|-|-|-|-|-|-|-"
        ]
    );
    let records = importer.rejects().await;
    let records: Vec<_> = records.iter().map(|reject| reject.split('|').next().unwrap()).collect();
    assert_eq!(records, ["3", "4", "5", "6", "7", "8", "9", "10", "11", "12"]);
    // The same file again changes no value of any type.
    assert_eq!(importer.load("t", &[], file).await, "completed|12|0|2|0|10|0");
}

#[tokio::test]
async fn rows_that_refer_to_each_other_are_loaded_in_the_order_of_the_file() {
    let tables = "CREATE TABLE t (k integer PRIMARY KEY, boss integer REFERENCES t)";
    let importer = Importer::in_chunks(tables, 2).await;
    let file = "k,boss\n9,\n8,9\n7,8\n6,7\n5,6\n4,5\n1,2\n2,3\n";
    // Row 1 refers to row 2 of its chunk; row 2 refers to row 3, which does not exist.
    assert_eq!(importer.load("t", &[], file).await, "completed|8|6|0|0|2|0");
    assert_eq!(importer.rejects().await, ["7|database|23503|-", "8|database|23503|-"]);
    assert_eq!(importer.load("t", &[], "k,boss\n1,2\n2,9\n").await, "completed|2|2|0|0|0|0");
}

#[tokio::test]
async fn a_parent_comes_before_its_children_in_a_file_of_several_sets() {
    let tables = "CREATE TABLE t (k integer PRIMARY KEY, boss integer REFERENCES t)";
    let importer = Importer::with(tables).await;
    let mut file = String::from("k,boss\n9999,\n");
    for child in 1..6_000 {
        writeln!(file, "{child},9999").unwrap();
    }
    let counts = importer.load("t", &[], file).await;
    assert_eq!(counts, "completed|6000|6000|0|0|0|0");
}

#[tokio::test]
async fn a_row_that_other_rows_of_the_file_refer_to_is_not_folded() {
    let tables = "CREATE TABLE t (k integer PRIMARY KEY, boss integer REFERENCES t)";
    let importer = Importer::in_chunks(tables, 1).await;
    importer.world.rows("INSERT INTO t VALUES (1, NULL)").await;
    for mode in ["replace", "upsert"] {
        importer.world.rows("DELETE FROM t WHERE k = 2").await;
        assert_eq!(
            importer.load("t", &[("mode", mode)], "k,boss\n2,1\n1,\n").await,
            "completed|2|1|1|0|0|0",
            "{mode}"
        );
    }
}

#[tokio::test]
async fn values_that_a_column_would_round_are_rejected() {
    let importer = Importer::with("CREATE TABLE t (k timestamp(0) PRIMARY KEY, at time(3))").await;
    let file = "k,at\n2026-01-01 00:00:00.1,\n2026-01-01 00:00:01.0,10:00:00.125\n2026-01-01T00:00:02,10:00:00.1255\n";
    assert_eq!(importer.load("t", &[], file).await, "completed|3|1|0|0|2|0");
    assert_eq!(importer.rejects().await, ["1|precision|-|k", "3|precision|-|at"]);
}

#[tokio::test]
async fn a_table_of_many_columns_with_long_names_is_updated() {
    let names: Vec<_> = (0..300).map(|n| format!("measurement_value_number_{n:04}")).collect();
    let columns: Vec<_> = names.iter().map(|name| format!("{name} text")).collect();
    let tables = format!("CREATE TABLE t (id integer PRIMARY KEY, {})", columns.join(", "));
    let importer = Importer::with(&tables).await;
    let file = |value: &str| {
        let row = |id: usize| format!("{id}{}", format!(",{value}").repeat(names.len()));
        let rows: Vec<_> = (0..5).map(row).collect();
        format!("id,{}\n{}", names.join(","), rows.join("\n"))
    };
    assert_eq!(importer.load("t", &[], file("a")).await, "completed|5|5|0|0|0|0");
    assert_eq!(importer.load("t", &[], file("a")).await, "completed|5|0|5|0|0|0");
    assert_eq!(importer.load("t", &[], file("b")).await, "completed|5|5|0|0|0|0");
    let replace = [("mode", "replace")];
    assert_eq!(importer.load("t", &replace, file("c")).await, "completed|5|5|0|0|0|0");
    let written = "SELECT DISTINCT measurement_value_number_0299 FROM t";
    assert_eq!(importer.world.rows(written).await, ["c"]);
}

#[tokio::test]
async fn all_rows_of_a_file_may_have_one_key() {
    let names: Vec<_> = (0..40).map(|n| format!("c{n}")).collect();
    let tables = format!("CREATE TABLE t (k integer PRIMARY KEY, {} text)", names.join(" text, "));
    let importer = Importer::with(&tables).await;
    let rows: Vec<_> = (0..2_000).map(|n| format!("1,{n}{}", ",".repeat(39))).collect();
    let file = format!("k,{}\n{}", names.join(","), rows.join("\n"));
    assert_eq!(importer.load("t", &[], file).await, "completed|2000|1|0|1999|0|0");
    assert_eq!(importer.world.rows("SELECT c0 FROM t").await, ["1999"]);
}

#[tokio::test]
async fn a_date_with_a_time_is_the_same_key_as_the_date() {
    let importer = Importer::with("CREATE TABLE t (k date PRIMARY KEY, v text)").await;
    let file = "k,v\n2026-01-02,first\n2026-01-02 00:00:00,last\n";
    assert_eq!(importer.load("t", &[], file).await, "completed|2|1|0|1|0|0");
    assert_eq!(importer.world.rows("SELECT v FROM t").await, ["last"]);
}

#[tokio::test]
async fn bits_are_neither_cut_nor_padded() {
    let tables = "CREATE TABLE t (k integer PRIMARY KEY, b bit(4), v bit varying(5))";
    let importer = Importer::with(tables).await;
    let file = "k,b,v\n1,0101,01\n2,010,\n3,01011,\n4,,010101\n5,,01010\n";
    assert_eq!(importer.load("t", &[], file).await, "completed|5|2|0|0|3|0");
    assert_eq!(
        importer.rejects().await,
        ["2|database|22026|-", "3|database|22026|-", "4|database|22001|-"]
    );
    let rows = "SELECT b::text, v::text FROM t ORDER BY k";
    assert_eq!(importer.world.rows(rows).await, ["0101|01", "-|01010"]);
}

#[tokio::test]
async fn the_last_spelling_of_a_key_wins_each_time_the_file_is_loaded() {
    let tables = "CREATE COLLATION anycase (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
        CREATE TABLE t (k text COLLATE anycase PRIMARY KEY, v text);";
    let file = "k,v\nkey,first\nf0,v\nf1,v\nKEY,last\n";
    for mode in ["upsert", "replace"] {
        let importer = Importer::with(tables).await;
        for time in 0..3 {
            let counts = importer.load("t", &[("mode", mode)], file).await;
            assert!(counts.starts_with("completed|4|"), "{mode} {time}: {counts}");
            let last = importer.world.rows("SELECT v FROM t WHERE k = 'key'").await;
            assert_eq!(last, ["last"], "{mode} {time}: {counts}");
        }
    }
}

#[tokio::test]
async fn keys_equal_by_their_collation_are_one_row() {
    let tables = "CREATE COLLATION anycase (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
        CREATE TABLE t (k text COLLATE anycase PRIMARY KEY, v text);";
    let importer = Importer::with(tables).await;
    let file = "k,v\nAda,first\nADA,second\n";
    assert_eq!(importer.load("t", &[], file).await, "completed|2|2|0|0|0|0");
    assert_eq!(importer.world.rows("SELECT v FROM t").await, ["second"]);
}

#[tokio::test]
async fn keys_that_only_the_database_can_compare_have_one_row() {
    let tables = "CREATE EXTENSION citext; CREATE TABLE t (k citext PRIMARY KEY, v text)";
    let importer = Importer::in_chunks(tables, 3).await;
    let file = "k,v\nada,1\nADA,2\nbob,3\nAda,4\nBOB,5\neve,6\n";
    // In one chunk and in several, the last row of the file wins.
    assert_eq!(importer.load("t", &[], "k,v\nzoe,1\nZOE,2\n").await, "completed|2|2|0|0|0|0");
    assert_eq!(importer.world.rows("DELETE FROM t RETURNING k::text, v").await, ["zoe|2"]);
    assert_eq!(importer.load("t", &[], file).await, "completed|6|6|0|0|0|0");
    assert_eq!(
        importer.world.rows("SELECT k::text, v FROM t ORDER BY k").await,
        ["ada|4", "bob|5", "eve|6"]
    );
    let replace = [("mode", "replace"), ("max-deletes", "1")];
    assert_eq!(importer.load("t", &replace, "k,v\nADA,4\nBoB,5\n").await, "completed|2|0|2|0|0|1");
    assert_eq!(
        importer.load("t", &[("mode", "delete")], "k\naDa\n").await,
        "completed|1|1|0|0|0|0"
    );
    assert_eq!(importer.world.rows("SELECT k::text, v FROM t").await, ["bob|5"]);
}

#[tokio::test]
async fn a_table_of_key_columns_alone_is_loaded_in_upsert_ignore_and_replace() {
    let importer =
        Importer::in_chunks("CREATE TABLE t (a text, b integer, PRIMARY KEY (a, b))", 2).await;
    let file = "a,b\nx,1\nx,2\ny,1\nx,1\n";
    assert_eq!(importer.load("t", &[], file).await, "completed|4|3|1|0|0|0");
    assert_eq!(importer.load("t", &[], "a,b\nx,1\nx,2\ny,1\n").await, "completed|3|0|3|0|0|0");
    assert_eq!(importer.load("t", &[("mode", "ignore")], file).await, "completed|4|0|4|0|0|0");
    let replace = [("mode", "replace"), ("max-deletes", "99%")];
    assert_eq!(importer.load("t", &replace, "a,b\nx,2\n\"\",3\n").await, "completed|2|1|1|0|0|2");
    assert_eq!(importer.world.rows("SELECT a, b FROM t ORDER BY b").await, ["x|2", "|3"]);
}

#[tokio::test]
async fn names_of_tables_and_columns_may_be_anything() {
    let tables = "CREATE SCHEMA \"my app\"; CREATE TABLE \"my app\".\"Order \"\"x\"\" :y\" (
        \"select\" integer PRIMARY KEY, \"a b\" text, \":p\" text, \"ü\" text, c1 text, is_repeat boolean, k1 integer, input text)";
    let importer = Importer::in_chunks(tables, 2).await;
    let file = "SELECT,A b,:P,Ü,c1,is_repeat,k1,input\n1,a,b,c,d,t,5,e\n2,a,b,c,d,f,5,e\n1,z,b,c,d,t,5,e\n";
    let table = "my app.Order \"x\" :y";
    assert_eq!(importer.load(table, &[], file).await, "completed|3|3|0|0|0|0");
    let replace = [("mode", "replace"), ("max-deletes", "50%")];
    assert_eq!(importer.load(table, &replace, "select,a b\n1,z\n").await, "completed|1|0|1|0|0|1");
}

/// Values that are equal for PostgreSQL can have different texts.
#[tokio::test]
async fn a_value_equal_but_not_identical_replaces_the_old_one() {
    let tables = "CREATE COLLATION any_case (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
        CREATE TABLE t (k integer PRIMARY KEY, n numeric, i interval, f float8, j jsonb, a numeric[],
            name text COLLATE any_case, price numeric(8,2), code char(4))";
    let row = "1.0,1 mon,0,\"{\"\"a\"\": 1.0}\",{1.0},abc,1.5,ab";
    for mode in ["upsert", "replace"] {
        for (changed, written) in [
            ("1.00,1 mon,0,\"{\"\"a\"\": 1.0}\",{1.0},abc,1.5,ab", true),
            ("1.0,30 days,0,\"{\"\"a\"\": 1.0}\",{1.0},abc,1.5,ab", true),
            ("1.0,1 mon,-0,\"{\"\"a\"\": 1.0}\",{1.0},abc,1.5,ab", true),
            ("1.0,1 mon,0,\"{\"\"a\"\": 1.00}\",{1.0},abc,1.5,ab", true),
            ("1.0,1 mon,0,\"{\"\"a\"\": 1.0}\",{1.00},abc,1.5,ab", true),
            ("1.0,1 mon,0,\"{\"\"a\"\": 1.0}\",{1.0},ABC,1.5,ab", true),
            ("1.0,1 mon,0,\"{\"\"a\"\": 1.0}\",{1.0},abc,1.500,ab  ", false),
        ] {
            let importer = Importer::with(tables).await;
            let options = [("mode", mode)];
            let header = "k,n,i,f,j,a,name,price,code";
            let file = |row: &str| format!("{header}\n1,{row}\n");
            importer.load("t", &options, file(row)).await;
            let counts = importer.load("t", &options, file(changed)).await;
            let expected = if written { "completed|1|1|0|0|0|0" } else { "completed|1|0|1|0|0|0" };
            assert_eq!(counts, expected, "{mode} {changed}");
            let stored =
                "SELECT concat_ws(',', n::text, i::text, f::text, j::text, a::text, name) FROM t";
            let text = changed.replace("\"\"", "~").replace('"', "").replace('~', "\"");
            let text = text.rsplitn(3, ',').nth(2).unwrap();
            assert_eq!(importer.world.rows(stored).await, [text], "{mode} {changed}");
        }
    }
}
