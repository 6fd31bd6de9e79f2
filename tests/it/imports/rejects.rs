//! Rejected rows: one list of those that the worker and the database refuse.

use std::fmt::Write as _;

use serde_json::json;

use super::Importer;
use crate::support::STAFF;
use crate::support::histories::seeds;

const TABLES: &str = "CREATE TABLE parent (k integer PRIMARY KEY);
    CREATE TABLE t (
        k integer PRIMARY KEY,
        u integer UNIQUE,
        p integer REFERENCES parent,
        c integer CONSTRAINT positive CHECK (c > 0),
        during int4range,
        x text,
        EXCLUDE USING gist (during WITH &&)
    );
    CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        IF NEW.x = 'trigger' THEN RAISE EXCEPTION 'x may not be %', NEW.x; END IF;
        IF NEW.x = 'null' THEN NEW.x := NULL; NEW.k := NULL; END IF;
        RETURN NEW;
    END $$;
    CREATE TRIGGER refuse BEFORE INSERT OR UPDATE ON t FOR EACH ROW EXECUTE FUNCTION refuse();";

#[tokio::test]
async fn all_rejects_are_one_list_in_the_order_of_the_file() {
    let file = "k,u,p,c,during,x\n\
        1,1,1,1,\"[1,5)\",good\n\
        2,1,,,,unique\n\
        3,,9,,,foreign key\n\
        4,,,0,,check\n\
        ,,,,,key is null\n\
        6,,,,\"[4,9)\",exclusion\n\
        7,,,,,trigger\n\
        8,,,,,null\n\
        9,x,,,,type\n\
        10,1\n\
        11,,,,\"[5,1)\",range\n\
        12,,,,,\"a\u{0}b\"\n\
        13,2,1,3,,good\n\
        14,,,,,\"never closed\n";
    for records in [10_000, 4, 1] {
        let importer = Importer::in_chunks(TABLES, records).await;
        importer.world.rows("INSERT INTO parent VALUES (1)").await;
        assert_eq!(
            importer.load("t", &[], file).await,
            "completed|14|2|0|0|12|0",
            "{:?}",
            importer.rejects().await
        );
        assert_eq!(
            importer.rejects().await,
            [
                "2|database|23505|-",
                "3|database|23503|-",
                "4|database|23514|-",
                "5|not-null|-|k",
                "6|database|23P01|-",
                "7|database|P0001|-",
                "8|database|23502|k",
                "9|format|-|u",
                "10|column-count|-|-",
                "11|database|22000|during",
                "12|unsupported-character|-|x",
                "14|unclosed-quote|-|-",
            ]
        );
        let report = importer.report("t").await;
        let kinds = report["rejected_by_rule"].as_array().unwrap();
        assert_eq!(kinds.len(), 12);
        let list = report["rejects"]
            .as_array()
            .unwrap()
            .iter()
            .map(|reject| reject["record"].as_u64().unwrap());
        assert_eq!(list.collect::<Vec<_>>(), [2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 14]);
        let rejected = importer.result("t", "rejected.csv").await.unwrap();
        let lines: Vec<_> = rejected.lines().collect();
        assert_eq!(lines.len(), 13);
        assert!(
            lines[6].starts_with("7,,,,,trigger,") && lines[6].contains("x may not be trigger"),
            "{}",
            lines[6]
        );
    }
}

#[tokio::test]
async fn a_row_that_the_database_refuses_holds_back_no_other() {
    let importer = Importer::with(
        "CREATE TABLE t (k text PRIMARY KEY, v text, m macaddr);
         CREATE FUNCTION picky() RETURNS trigger LANGUAGE plpgsql AS $$
         DECLARE one text;
         BEGIN
             IF NEW.v = 'own code' THEN RAISE EXCEPTION 'no' USING ERRCODE = 'AB001'; END IF;
             IF NEW.v = 'nothing found' THEN SELECT k INTO STRICT one FROM t WHERE k = 'nobody'; END IF;
             ASSERT NEW.v IS DISTINCT FROM 'assertion';
             RETURN NEW;
         END $$;
         CREATE TRIGGER picky BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION picky();",
    )
    .await;
    // A key that is too long for an index, even compressed.
    let mut seed = 1_u64;
    let long: String = std::iter::repeat_with(|| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        format!("{seed:016x}")
    })
    .take(600)
    .collect();
    let file = format!(
        "k,v,m\n1,good,\n{long},,\n3,own code,\n4,nothing found,\n5,assertion,\n6,,zz\n7,good,08:00:2b:01:02:03\n"
    );
    assert_eq!(importer.load("t", &[], file).await, "completed|7|2|0|0|5|0");
    assert_eq!(
        importer.rejects().await,
        [
            "2|database|54000|-",
            "3|database|AB001|-",
            "4|database|P0002|-",
            "5|database|P0004|-",
            "6|database|22P02|m",
        ]
    );
}

#[tokio::test]
async fn a_row_whose_every_character_is_escaped_is_sent_whole() {
    let mut importer = Importer::with("CREATE TABLE t (k integer PRIMARY KEY, v text)").await;
    importer.import.lanes = 1;
    let long = "\\".repeat(520_000);
    let file = format!("k,v\n1,x\n2,{long}\n3,y\nx,z\n");
    // A dry run bisects at once.
    for dry_run in ["true", "false"] {
        let counts = importer.load("t", &[("dry-run", dry_run)], file.as_str()).await;
        assert_eq!(counts, "completed|4|3|0|0|1|0", "dry run: {dry_run}");
    }
    importer.world.rows("TRUNCATE t").await;
    importer.world.rows("ALTER TABLE t ADD CHECK (v <> 'x'), ADD CHECK (length(v) < 9)").await;
    assert_eq!(importer.load("t", &[], file).await, "completed|4|1|0|0|3|0");
    assert_eq!(
        importer.rejects().await,
        ["1|database|23514|-", "2|database|23514|-", "4|format|-|k"]
    );
}

#[tokio::test]
async fn rejects_are_counted_by_kind_and_the_largest_count_is_first() {
    let importer = Importer::in_chunks(STAFF, 5).await;
    let mut file = String::from("id,name,age\n");
    for row in 0..30 {
        match row % 6 {
            0 => writeln!(file, "{row:04},n,x"),
            1 | 2 => writeln!(file, "{row:05},n,1"),
            3..=4 => writeln!(file, "{row:04}"),
            _ => writeln!(file, "{row:04},n,1"),
        }
        .unwrap();
    }
    assert_eq!(importer.load("staff", &[], file).await, "completed|30|5|0|0|25|0");
    assert_eq!(
        importer.report("staff").await["rejected_by_rule"],
        json!([
            {"rule": "column-count", "sqlstate": null, "column": null, "count": 10},
            {"rule": "length", "sqlstate": null, "column": "id", "count": 10},
            {"rule": "format", "sqlstate": null, "column": "age", "count": 5},
        ])
    );
}

#[tokio::test]
async fn rejects_beyond_the_kept_ones_are_counted() {
    // Each of the three lanes keeps its own rejects.
    let importer = Importer::with(STAFF).await;
    let file = format!("id,name\n{}0001,good\n", "x\n".repeat(100_010));
    assert_eq!(importer.load("staff", &[], file).await, "completed|100011|1|0|0|100010|0");
    let report = importer.report("staff").await;
    assert_eq!(report["rejected_by_rule"][0]["count"], 100_010);
    assert_eq!(report["rejects_kept"], 100_000);
    assert_eq!(report["rejects_complete"], false);
    let rejected = importer.result("staff", "rejected.csv").await.unwrap();
    assert_eq!(rejected.lines().count(), 100_001);
}

#[tokio::test]
async fn a_thousand_bad_rows_among_good_ones_are_found() {
    let importer =
        Importer::with("CREATE TABLE t (k integer PRIMARY KEY, v integer CHECK (v > 0))").await;
    let mut file = String::from("k,v\n");
    for row in 0..5_000 {
        writeln!(file, "{row},{}", row % 5).unwrap();
    }
    assert_eq!(importer.load("t", &[], file).await, "completed|5000|4000|0|0|1000|0");
    assert_eq!(importer.world.rows("SELECT count(*), min(v) FROM t").await, ["4000|1"]);
}

#[tokio::test]
async fn a_dry_run_of_fixed_rows_shows_the_keys_that_exist() {
    let importer = Importer::with("CREATE TABLE t (k integer PRIMARY KEY, v integer)").await;
    assert_eq!(importer.load("t", &[], "k,v\n1,x\n2,y\n").await, "completed|2|0|0|0|2|0");
    // Another session inserts a newer row.
    importer.world.rows("INSERT INTO t VALUES (1, 100)").await;
    let rejected = importer.rejected_bytes("t").await;
    let fixed = String::from_utf8(rejected).unwrap().replace(",x,", ",1,").replace(",y,", ",2,");
    let options = [("mode", "insert"), ("dry-run", "true")];
    assert_eq!(importer.load("t", &options, fixed.clone()).await, "completed|2|1|0|0|1|0");
    assert_eq!(importer.rejects().await, ["1|database|23505|-"]);
    assert_eq!(importer.load("t", &[("mode", "ignore")], fixed).await, "completed|2|1|1|0|0|0");
    assert_eq!(importer.world.rows("SELECT k, v FROM t ORDER BY k").await, ["1|100", "2|2"]);
}

#[tokio::test]
async fn a_rejected_file_can_be_fixed_several_times() {
    let importer = Importer::with(STAFF).await;
    let options = [("delimiter", "semicolon"), ("encoding", "shift_jis")];
    let (file, _, _) =
        encoding_rs::SHIFT_JIS.encode("id;name;age\r\n0011;表;x\r\n0012;ポ;y\r\n0013;能;3\r\n");
    assert_eq!(importer.load("staff", &options, file.into_owned()).await, "completed|3|1|0|0|2|0");
    let rejected = importer.rejected_bytes("staff").await;
    let (text, _, _) = encoding_rs::SHIFT_JIS.decode(&rejected);
    let fixed = text.replace(";x;", ";1;");
    let (fixed, _, _) = encoding_rs::SHIFT_JIS.encode(&fixed);
    assert_eq!(importer.load("staff", &options, fixed.into_owned()).await, "completed|2|1|0|0|1|0");
    let rejected = importer.rejected_bytes("staff").await;
    let (text, _, _) = encoding_rs::SHIFT_JIS.decode(&rejected);
    assert_eq!(text.lines().collect::<Vec<_>>().len(), 2);
    assert_eq!(text.lines().next(), Some("id;name;age;_error"));
    let fixed = text.replace(";y;", ";2;");
    let (fixed, _, _) = encoding_rs::SHIFT_JIS.encode(&fixed);
    assert_eq!(importer.load("staff", &options, fixed.into_owned()).await, "completed|1|1|0|0|0|0");
    assert_eq!(
        importer.world.rows("SELECT id, name, age FROM staff WHERE id > '0010' ORDER BY id").await,
        ["0011|表|1", "0012|ポ|2", "0013|能|3"]
    );
}

#[tokio::test]
async fn a_cell_that_names_a_constraint_of_the_worker_rejects_only_its_row() {
    for name in ["import_chunk_conserves_rows", "sync_chunk_loaded_once", "sync_import_is_running"]
    {
        let importer = Importer::with("CREATE TABLE t (k integer PRIMARY KEY, d date)").await;
        let file = format!("k,d\n1,\"1 constraint \"\"{name}\"\"\"\n2,2026-11-23\n");
        assert_eq!(importer.load("t", &[], file).await, "completed|2|1|0|0|1|0", "{name}");
        assert_eq!(importer.rejects().await, ["1|database|22007|-"], "{name}");
    }
}

#[tokio::test]
async fn rows_that_refer_to_each_other_are_loaded_beside_a_rejected_row() {
    let tables = "CREATE TABLE t (id integer PRIMARY KEY, mate integer NOT NULL
        REFERENCES t DEFERRABLE INITIALLY DEFERRED)";
    let importer = Importer::with(tables).await;
    let file = "id,mate\n1,2\n2,1\n3,99\n4,5\n5,6\n6,4\n7,3\n";
    assert_eq!(importer.load("t", &[], file).await, "completed|7|5|0|0|2|0");
    assert_eq!(importer.rejects().await, ["3|database|23503|-", "7|database|23503|-"]);
    assert_eq!(
        importer.world.rows("SELECT id FROM t ORDER BY id").await,
        ["1", "2", "4", "5", "6"]
    );
}

#[tokio::test]
async fn a_pair_far_apart_in_a_file_is_loaded_beside_a_bad_row() {
    let importer = Importer::with(
        "CREATE TABLE t (id integer PRIMARY KEY, mate integer NOT NULL REFERENCES t DEFERRABLE INITIALLY DEFERRED)",
    )
    .await;
    let mut file = "id,mate\n1,1200\n9999,77777\n".to_owned();
    (2..1200).for_each(|id| file.push_str(&format!("{id},{id}\n")));
    file.push_str("1200,1\n");
    assert_eq!(importer.load("t", &[], file).await, "completed|1201|1200|0|0|1|0");
    assert_eq!(importer.rejects().await, ["2|database|23503|-"]);
}

/// Loads rows with random references. A row is loaded if the row to which it refers is loaded.
#[tokio::test]
async fn exactly_the_rows_with_valid_references_are_loaded() {
    let importer = Importer::with(
        "CREATE TABLE t (id integer PRIMARY KEY, mate integer NOT NULL REFERENCES t DEFERRABLE INITIALLY DEFERRED)",
    )
    .await;
    for seed in seeds(10) {
        let mut random = fastrand::Rng::with_seed(seed);
        let ids = random.u32(2..30);
        let mate = |id| if random.bool() { id } else { random.u32(1..=ids + 1) };
        let mut rows: Vec<(u32, u32)> = (1..=ids).zip((1..=ids).map(mate)).collect();
        random.shuffle(&mut rows);
        let lines = rows.iter().map(|(id, mate)| format!("{id},{mate}\n"));
        let file = format!("id,mate\n{}", lines.collect::<String>());
        importer.load("t", &[], file.clone()).await;
        loop {
            let ids: Vec<_> = rows.iter().map(|(id, _)| *id).collect();
            rows.retain(|(_, mate)| ids.contains(mate));
            if rows.len() == ids.len() {
                break;
            }
        }
        rows.sort_unstable();
        let expected: Vec<_> = rows.iter().map(|(id, mate)| format!("{id}|{mate}")).collect();
        let found = importer.world.rows("SELECT id, mate FROM t ORDER BY id").await;
        assert_eq!(found, expected, "seed {seed}: {file}");
        importer.world.rows("TRUNCATE t").await;
    }
}

/// If a constraint of the table refuses one row, one query finds all others that it refuses.
#[tokio::test]
async fn rows_refused_together_have_the_errors_that_each_has_alone() {
    let tables = "CREATE TABLE parent (k integer PRIMARY KEY);
        CREATE TABLE t (k integer PRIMARY KEY, u numeric(4, 1) UNIQUE, p integer REFERENCES parent,
            c char(3) CHECK (length(c) < 3), n integer DEFAULT 1 CHECK (n > 0));
        INSERT INTO parent VALUES (1); INSERT INTO t VALUES (1, 9.9), (2, 8.8)";
    let file = "k,u,p,c\n1,,,\n2,,,\n3,9.90,,\n4,8.8,,\n5,,2,\n6,,3,\n7,,,abc\n8,,,def\n9,,1,ab\n10,7.7,,\n11,7.7,,\n1,,5,ghi\n";
    for (mode, counts) in [("insert", "12|2|0|0|10|0"), ("upsert", "12|6|0|0|6|0")] {
        let importer = Importer::with(tables).await;
        let found = importer.load("t", &[("mode", mode)], file).await;
        assert_eq!(found, format!("completed|{counts}"), "{mode} {:?}", importer.rejects().await);
        let reasons = "SELECT record, sqlstate, reason FROM sync.import_reject ORDER BY record";
        let found = importer.world.rows(reasons).await;
        // The same file, one row a chunk.
        let alone = Importer::in_chunks(tables, 1).await;
        alone.load("t", &[("mode", mode)], file).await;
        assert_eq!(found, alone.world.rows(reasons).await, "{mode}");
        let rows = "SELECT * FROM t ORDER BY k";
        assert_eq!(importer.world.rows(rows).await, alone.world.rows(rows).await, "{mode}");
    }
}

#[tokio::test]
async fn a_trigger_that_imitates_a_constraint_of_the_worker_rejects_only_its_row() {
    let importer = Importer::with(
        "CREATE TABLE t (k integer PRIMARY KEY, a text);
         CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$
         BEGIN
             IF NEW.a = 'bad' THEN
                 RAISE check_violation USING MESSAGE = 'new row for relation \"import_chunk\" violates check constraint '
                     || '\"import_chunk_conserves_rows\"';
             END IF;
             RETURN NEW;
         END $$;
         CREATE TRIGGER refuse BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION refuse()",
    )
    .await;
    let file = "k,a\n1,bad\n2,good\n";
    assert_eq!(importer.load("t", &[], file).await, "completed|2|1|0|0|1|0");
    assert_eq!(importer.rejects().await, ["1|database|23514|-"]);
}

#[tokio::test]
async fn a_check_that_raises_an_error_rejects_only_its_row() {
    let tables = "CREATE FUNCTION picky(v text) RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS $$
        BEGIN
            IF v = 'bad' THEN RAISE EXCEPTION 'bad indeed'; END IF;
            RETURN v <> 'no';
        END $$;
        CREATE TABLE t (k integer PRIMARY KEY, v text CHECK (picky(v)))";
    let importer = Importer::with(tables).await;
    let file = "k,v\n1,bad\n2,no\n3,good\n4,no\n";
    assert_eq!(importer.load("t", &[("mode", "insert")], file).await, "completed|4|1|0|0|3|0");
    assert_eq!(
        importer.rejects().await,
        ["1|database|P0001|-", "2|database|23514|-", "4|database|23514|-"]
    );
}
