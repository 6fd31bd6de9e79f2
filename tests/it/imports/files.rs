//! Files of well-known programs, and broken files.

use std::fmt::Write as _;
use std::io::Write as _;
use std::time::Duration;

use aurora_sync::domain::deadline::Deadline;
use aurora_sync::functions::import;
use serde_json::json;

use super::{Importer, LAST};
use crate::support::{deadline, sqs_event};

const T: &str =
    "CREATE TABLE t (id text PRIMARY KEY, name text, amount numeric, day date, good boolean)";

const ROWS: &str = "SELECT id, name, amount::text, day::text, good FROM t ORDER BY id";

type Options = &'static [(&'static str, &'static str)];

fn utf16(text: &str) -> Vec<u8> {
    text.encode_utf16().flat_map(u16::to_le_bytes).collect()
}

fn encoded(encoding: &'static encoding_rs::Encoding, text: &str) -> Vec<u8> {
    encoding.encode(text).0.into_owned()
}

/// The same two rows, as different programs export them.
#[tokio::test]
async fn files_of_well_known_programs_hold_the_same_rows() {
    let rows = ["0001|Zoë, \"Z\"|1234.50|2026-11-23|true", "0002|-|-|-|false"];
    let files: &[(&str, Options, Vec<u8>)] = &[
        (
            "Excel, CSV UTF-8, comma as decimal mark",
            &[("delimiter", "semicolon"), ("numbers", "1.234,5")],
            "\u{feff}id;name;amount;day;good\r\n0001;\"Zoë, \"\"Z\"\"\";1.234,50;2026-11-23;TRUE\r\n0002;;;;FALSE\r\n".into(),
        ),
        (
            "Excel, Unicode Text",
            &[("delimiter", "tab")],
            utf16("\u{feff}id\tname\tamount\tday\tgood\r\n0001\t\"Zoë, \"\"Z\"\"\"\t1234.50\t2026-11-23\tTRUE\r\n0002\t\t\t\tFALSE\r\n"),
        ),
        (
            "Excel, CSV of Windows in Western Europe",
            &[("delimiter", ";"), ("encoding", "windows-1252"), ("numbers", "1.234,5")],
            encoded(encoding_rs::WINDOWS_1252, "id;name;amount;day;good\r\n0001;\"Zoë, \"\"Z\"\"\";1234,50;2026-11-23;TRUE\r\n0002;;;;FALSE\r\n"),
        ),
        (
            "a program that tells Excel the delimiter",
            &[("delimiter", ";")],
            "\u{feff}sep=;\r\nid;name;amount;day;good\r\n0001;\"Zoë, \"\"Z\"\"\";1234.50;2026-11-23;TRUE\r\n0002;;;;FALSE\r\n".into(),
        ),
        (
            "Excel for Mac, of old",
            &[("encoding", "macintosh")],
            encoded(encoding_rs::MACINTOSH, "id,name,amount,day,good\r0001,\"Zoë, \"\"Z\"\"\",1234.50,2026-11-23,TRUE\r0002,,,,FALSE"),
        ),
        (
            "LibreOffice, all texts quoted",
            &[],
            "\"id\",\"name\",\"amount\",\"day\",\"good\"\n\"0001\",\"Zoë, \"\"Z\"\"\",1234.50,2026-11-23,TRUE\n\"0002\",,,,FALSE\n".into(),
        ),
        (
            "Google Sheets, no last end of line",
            &[("numbers", "1,234.5")],
            "id,name,amount,day,good\r\n0001,\"Zoë, \"\"Z\"\"\",\"1,234.50\",2026-11-23,TRUE\r\n0002,,,,FALSE".into(),
        ),
        (
            "Numbers, with an empty row at the end",
            &[],
            "id,name,amount,day,good\n0001,\"Zoë, \"\"Z\"\"\",1234.50,2026-11-23,TRUE\n0002,,,,FALSE\n\n".into(),
        ),
        (
            "pandas, with its index",
            &[("extra-columns", "ignore")],
            ",id,name,amount,day,good\n0,0001,\"Zoë, \"\"Z\"\"\",1234.50,2026-11-23,True\n1,0002,,,,False\n".into(),
        ),
        (
            "MySQL's OUTFILE, with its escapes",
            &[("delimiter", "tab"), ("escape", "\\"), ("null", "\\N"), ("header", "false"), ("columns", "id,name,amount,day,good")],
            "\"0001\"\t\"Zoë, \\\"Z\\\"\"\t1234.50\t\"2026-11-23\"\t1\n\"0002\"\t\\N\t\\N\t\\N\t0\n".into(),
        ),
        (
            "PostgreSQL's COPY as CSV",
            &[],
            "id,name,amount,day,good\n0001,\"Zoë, \"\"Z\"\"\",1234.50,2026-11-23,t\n0002,,,,f\n".into(),
        ),
        (
            "PostgreSQL's COPY as text",
            &[("delimiter", "tab"), ("quote", "none"), ("null", "\\N"), ("header", "false"), ("columns", "id,name,amount,day,good")],
            "0001\tZoë, \"Z\"\t1234.50\t2026-11-23\tt\n0002\t\\N\t\\N\t\\N\tf\n".into(),
        ),
        (
            "a program of one's own",
            &[("delimiter", "pipe"), ("quote", "'"), ("comment", "#"), ("null", "NULL")],
            "# nightly\nGOOD|Day|amount|NAME|Id\n\ntrue|2026-11-23| 1234.50 |'Zoë, \"Z\"'|0001\n# the second\nno|NULL|NULL|NULL|0002\n".into(),
        ),
    ];
    let importer = Importer::with(T).await;
    for (program, options, file) in files {
        importer.world.rows("TRUNCATE t").await;
        let counts = importer.load("t", options, file.clone()).await;
        assert_eq!(counts, "completed|2|2|0|0|0|0", "{program}: {:?}", importer.rejects().await);
        assert_eq!(importer.world.rows(ROWS).await, rows, "{program}");
    }
}

#[tokio::test]
async fn a_sep_line_that_contradicts_the_delimiter_fails_the_import() {
    let importer = Importer::with(T).await;
    let file = "sep=;\nid;name\n0001;Zoë\n";
    assert_eq!(importer.load("t", &[], file).await, "failed|0|0|0|0|0|0");
    let error =
        "the first line, sep=;, declares another delimiter; set the option delimiter to ';'";
    assert_eq!(importer.error().await, error);
    assert_eq!(importer.load("t", &[("delimiter", ";")], "sep=;\n").await, "failed|0|0|0|0|0|0");
    assert!(importer.error().await.starts_with("the file is empty"));
}

#[tokio::test]
async fn a_file_of_excel_on_japanese_windows_keeps_all_its_characters() {
    let importer = Importer::with(T).await;
    // Characters whose second byte is a backslash or a bar, those of NEC and IBM, and half-width
    // ones.
    let text = "id,name\r\n表1,\"ポ,ソ\"\r\n能2,①㈱髙﨑\r\n3,ｱｲｳ\r\n";
    let file = encoded(encoding_rs::SHIFT_JIS, text);
    assert_eq!(importer.load("t", &[("encoding", "cp932")], file).await, "completed|3|3|0|0|0|0");
    assert_eq!(
        importer.world.rows("SELECT id, name FROM t ORDER BY id COLLATE \"C\"").await,
        ["3|ｱｲｳ", "能2|①㈱髙﨑", "表1|ポ,ソ"]
    );
}

#[tokio::test]
async fn a_quoted_empty_field_is_null_in_columns_without_empty_values() {
    let importer = Importer::with(T).await;
    let file = "\"id\",\"name\",\"amount\",\"day\",\"good\"\n\"1\",\"\",\"\",\"\",\"\"\n";
    assert_eq!(importer.load("t", &[], file).await, "completed|1|1|0|0|0|0");
    assert_eq!(importer.world.rows(ROWS).await, ["1||-|-|-"]);
}

#[tokio::test]
async fn a_file_of_another_format_fails_with_the_name_of_the_format() {
    let importer = Importer::with(T).await;
    let files: [(&[u8], &str); 3] = [
        (b"PK\x03\x04\x14\0\x06\0\x08\0\0\0", "a ZIP archive or an Excel workbook"),
        (b"\xfd7zXZ\0\0\x04\xe6\xd6\xb4\x46", "xz"),
        (b"%PDF-1.7\n%\xe2\xe3\xcf\xd3", "a PDF"),
    ];
    for (file, name) in files {
        assert_eq!(importer.load("t", &[], file).await, "failed|0|0|0|0|0|0");
        let error = importer.error().await;
        assert!(error.starts_with("the rest of the file cannot be read: it is "), "{error}");
        assert!(error.contains(name), "{error}");
    }
}

#[tokio::test]
async fn a_header_of_one_field_fails_with_a_hint() {
    let importer = Importer::with(T).await;
    for (file, hint) in [
        ("id;name\n1;a\n", "set delimiter to semicolon"),
        ("id\tname\n1\ta\n", "set delimiter to tab"),
        ("i\0d\0,\0n\0\n\0", "set encoding, such as utf-16le"),
    ] {
        let options: &[_] = if hint.contains("encoding") { &[("delimiter", ";")] } else { &[] };
        assert_eq!(importer.load("t", options, file).await, "failed|0|0|0|0|0|0");
        assert!(importer.error().await.ends_with(hint), "{}", importer.error().await);
    }
}

/// The cases of `csv-spectrum` and similar test suites.
#[tokio::test]
async fn corner_cases_of_csv_follow_rfc_4180() {
    let importer = Importer::with("CREATE TABLE t (a text, b text, c text)").await;
    let rows = "SELECT a, b, c FROM t ORDER BY a NULLS LAST";
    let cases: &[(&str, &str, &[&str])] = &[
        ("comma in quotes", "a,b,c\n\"x,y\",2,3\n", &["x,y|2|3"]),
        ("empty fields", "a,b,c\n1,\"\",\n,,\n", &["1||-", "-|-|-"]),
        ("empty fields, CRLF", "a,b,c\r\n1,\"\",\"\"\r\n2,3,4\r\n", &["1||", "2|3|4"]),
        ("doubled quotes", "a,b,c\n1,\"ha \"\"ha\"\" ha\",\"\"\"\"\n", &["1|ha \"ha\" ha|\""]),
        (
            "JSON",
            "a,b,c\n1,\"{\"\"type\"\": \"\"Point\"\", \"\"c\"\": [1,2]}\",\n",
            &["1|{\"type\": \"Point\", \"c\": [1,2]}|-"],
        ),
        ("newlines", "a,b,c\n1,\"x\ny\",\"\n\"\n", &["1|x\ny|\n"]),
        ("newlines, CRLF", "a,b,c\r\n1,\"x\r\ny\",2\r\n", &["1|x\r\ny|2"]),
        ("newlines, CR", "a,b,c\r1,\"x\ry\",2\r", &["1|x\ry|2"]),
        ("quotes and newlines", "a,b,c\n1,\"ha\n\"\"ha\"\"\nha\",3\n", &["1|ha\n\"ha\"\nha|3"]),
        ("UTF-8", "a,b,c\n1,ʤ,😀\n", &["1|ʤ|😀"]),
        ("blanks", "a,b,c\n 1 ,\" 2 \",\t\n", &[" 1 | 2 |\t"]),
        ("a quote in the middle", "a,b,c\n1\"2,5\",x\"y\"\n", &["1\"2|5\"|x\"y\""]),
        ("names in quotes with blanks", "\"a\" , b ,C\n1,2,3\n", &["1|2|3"]),
        ("header twice as long", "c,a\n3,1\n", &["1|-|3"]),
        ("empty lines", "\n\na,b,c\n\n\r\n1,2,3\n\n", &["1|2|3"]),
    ];
    for (name, file, expected) in cases {
        importer.world.rows("TRUNCATE t").await;
        let counts = importer.load("t", &[], *file).await;
        let read = expected.len();
        assert_eq!(
            counts,
            format!("completed|{read}|{read}|0|0|0|0"),
            "{name}: {:?}",
            importer.rejects().await
        );
        assert_eq!(importer.world.rows(rows).await, *expected, "{name}");
    }
}

#[tokio::test]
async fn empty_files_fail_and_files_of_a_header_alone_complete() {
    let importer = Importer::with("CREATE TABLE t (a text PRIMARY KEY)").await;
    for file in ["", "\n\n\n", "\u{feff}"] {
        assert_eq!(importer.load("t", &[], file).await, "failed|0|0|0|0|0|0");
        assert!(importer.error().await.starts_with("the file is empty"), "{file:?}");
    }
    for file in ["a", "a\n", "\"a\"\r\n", "\u{feff}a\n\n"] {
        assert_eq!(importer.load("t", &[], file).await, "completed|0|0|0|0|0|0", "{file:?}");
    }
    // Without a header, an empty file has no rows.
    let options = [("header", "false"), ("columns", "a")];
    assert_eq!(importer.load("t", &options, "").await, "completed|0|0|0|0|0|0");
    assert_eq!(importer.load("t", &options, "a\n\"b\"\n\"\"\n").await, "completed|3|3|0|0|0|0");
    assert_eq!(importer.world.rows("SELECT a FROM t ORDER BY a").await, ["", "a", "b"]);
}

#[tokio::test]
async fn wide_tables_and_long_fields_are_loaded() {
    let names: Vec<_> = (0..200).map(|n| format!("c{n}")).collect();
    let columns: Vec<_> = names.iter().map(|name| format!("{name} text")).collect();
    let tables = format!(
        "CREATE TABLE wide (id integer PRIMARY KEY, {}); CREATE TABLE t (k integer PRIMARY KEY, v text);",
        columns.join(", ")
    );
    let importer = Importer::with(&tables).await;
    let mut file = format!("id,{}\n", names.join(","));
    for row in 0..1_000 {
        let fields: Vec<_> = (0..200).map(|n| format!("{row}-{n}")).collect();
        writeln!(file, "{row},{}", fields.join(",")).unwrap();
    }
    assert_eq!(importer.load("wide", &[], file.clone()).await, "completed|1000|1000|0|0|0|0");
    assert_eq!(
        importer.load("wide", &[("mode", "replace")], file).await,
        "completed|1000|0|1000|0|0|0"
    );
    assert_eq!(importer.world.rows("SELECT c0, c199 FROM wide WHERE id = 7").await, ["7-0|7-199"]);

    let long = |bytes: usize| "\\\"\u{e9}".repeat(bytes / 4);
    let field = |bytes| format!("\"{}\"", long(bytes).replace('"', "\"\""));
    let file = format!(
        "k,v\n1,{}\n2,{}\n3,{}\n4,{}\nx,{}\n5,\n",
        field(390_000),
        field(390_000),
        field(1_000_000),
        field(300_000),
        field(200_000)
    );
    assert_eq!(importer.load("t", &[], file).await, "completed|6|4|0|0|2|0");
    assert_eq!(importer.rejects().await, ["3|too-long|-|-", "5|format|-|k"]);
    let lens = importer.world.rows("SELECT k, octet_length(v) FROM t ORDER BY k").await;
    assert_eq!(lens, ["1|390000", "2|390000", "4|300000", "5|-"]);
}

fn gzip(content: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(content).unwrap();
    encoder.finish().unwrap()
}

fn bzip2(content: &[u8]) -> Vec<u8> {
    let mut encoder = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::default());
    encoder.write_all(content).unwrap();
    encoder.finish().unwrap()
}

#[tokio::test]
async fn compressed_files_are_recognised_by_their_content() {
    let importer = Importer::in_chunks("CREATE TABLE t (k integer PRIMARY KEY, v text)", 100).await;
    let mut file = String::from("k,v\n");
    for row in 0..1_000 {
        writeln!(file, "{row},row {row}").unwrap();
    }
    let bytes = file.as_bytes();
    let members: Vec<u8> = bytes.chunks(777).flat_map(gzip).collect();
    let compressed = [
        ("gzip", gzip(bytes)),
        ("gzip of several members", members),
        ("zstd", zstd::encode_all(bytes, 3).unwrap()),
        ("bzip2", bzip2(bytes)),
    ];
    for (name, compressed) in compressed {
        importer.world.rows("TRUNCATE t").await;
        assert_eq!(
            importer.load("t", &[], compressed.clone()).await,
            "completed|1000|1000|0|0|0|0",
            "{name}"
        );
        assert_eq!(importer.world.rows("SELECT v FROM t WHERE k = 999").await, ["row 999"]);
        // A truncated file: the rows before the end are loaded, and the import fails with that
        // reason.
        importer.world.rows("TRUNCATE t").await;
        let counts = importer.load("t", &[], &compressed[..compressed.len() - 9]).await;
        assert!(counts.starts_with("failed|"), "{name}: {counts}");
        let error = importer.error().await;
        let written: Vec<_> = counts.split('|').collect();
        // A truncated block of zstd cannot be read at all.
        let is_begun = name != "zstd";
        assert_eq!(written[2] != "0", is_begun, "{name}: {counts}");
        let is_reported = error.contains("the rest of the file cannot be read")
            && error.contains("stay") == is_begun;
        assert!(is_reported, "{name}: {error}");
        assert_eq!(importer.world.rows("SELECT count(*) FROM t").await, [written[2]]);
        let atomic =
            importer.load("t", &[("atomic", "true")], &compressed[..compressed.len() - 9]).await;
        assert!(atomic.starts_with("failed|") && atomic.split('|').nth(2) == Some("0"), "{atomic}");
    }
}

#[tokio::test]
async fn an_interrupted_compressed_file_is_loaded_to_its_end() {
    let mut importer =
        Importer::in_chunks("CREATE TABLE t (k integer PRIMARY KEY, v text)", 100).await;
    importer.import.lanes = 1;
    let mut file = String::from("k,v\n");
    for row in 0..1_000 {
        // Each chunk has a bad row, and its last key comes again in the next chunk.
        match (row, row % 100) {
            (_, 7) => writeln!(file, "x,row {row}").unwrap(),
            (100.., 0) => writeln!(file, "{},row {row}", row - 1).unwrap(),
            _ => writeln!(file, "{row},row {row}").unwrap(),
        }
    }
    let bytes = file.as_bytes();
    let compressed = [
        ("gzip", gzip(bytes)),
        ("zstd", zstd::encode_all(bytes, 3).unwrap()),
        ("bzip2", bzip2(bytes)),
    ];
    for (name, compressed) in compressed {
        importer.world.rows("TRUNCATE t").await;
        let key = format!("imports/t/{name}");
        let etag = importer.bucket.put(&key, compressed).await;
        // Some chunks are loaded.
        importer.world.fault("batch@9.. fail-before=ServiceUnavailableError");
        let response = importer.notify(&key, &etag, "01").await;
        assert_eq!(response.batch_item_failures.len(), 1, "{name}");
        importer.world.server.faults().clear();
        let loaded = importer.world.rows("SELECT count(*) FROM t").await;
        let loaded: usize = loaded[0].parse().unwrap();
        assert!((1..900).contains(&loaded), "{name}: {loaded}");
        crate::support::until(async || {
            importer.notify(&key, &etag, "01").await.batch_item_failures.is_empty()
        })
        .await;
        let last = importer.world.rows(LAST).await;
        assert_eq!(last, ["completed|1000|990|0|0|10|0"], "{name}");
        let rows = "SELECT count(*), count(*) FILTER (WHERE v = 'row ' || k) FROM t";
        assert_eq!(importer.world.rows(rows).await, ["981|972"], "{name}");
    }
}

#[tokio::test]
async fn a_decompression_bomb_is_refused() {
    let importer = Importer::with("CREATE TABLE t (k integer PRIMARY KEY, v text)").await;
    let mut bomb = b"k,v\n1,".to_vec();
    bomb.resize(300_000_000, b'a');
    // Decompressed to its end, the file would be one record that is too long.
    assert_eq!(importer.load("t", &[], gzip(&bomb)).await, "failed|0|0|0|0|0|0");
    let error = "the rest of the file cannot be read: the gzip data grows more than 500-fold";
    assert!(importer.error().await.starts_with(error), "{}", importer.error().await);
    assert_eq!(importer.world.rows("SELECT count(*) FROM t").await, ["0"]);
}

#[tokio::test]
async fn bytes_that_are_no_text_reject_only_their_row() {
    let importer = Importer::with("CREATE TABLE t (k integer PRIMARY KEY, v text)").await;
    let file =
        b"k,v\n1,a\xff\n2,b\0c\n3,\xed\xa0\x80\n4,\xc3\xa9\n5,\xc3\n6,\xf0\x9f\x98\x80\n".to_vec();
    assert_eq!(importer.load("t", &[], file.clone()).await, "completed|6|2|0|0|4|0");
    assert_eq!(
        importer.rejects().await,
        ["1|encoding|-|-", "2|unsupported-character|-|v", "3|encoding|-|-", "5|encoding|-|-"]
    );
    assert_eq!(importer.world.rows("SELECT k, v FROM t ORDER BY k").await, ["4|é", "6|😀"]);
    // `rejected.csv` has their bytes.
    let rejected = importer.rejected_bytes("t").await;
    let holds = |bytes: &[u8]| rejected.windows(bytes.len()).any(|window| window == bytes);
    assert!(
        holds(b"\n1,a\xff,")
            && holds(b"\n2,b\0c,")
            && holds(b"\n3,\xed\xa0\x80,")
            && holds(b"\n5,\xc3,")
    );
    let latin = importer.load("t", &[("encoding", "latin-1")], file).await;
    assert_eq!(latin, "completed|6|5|0|0|1|0");
}

#[tokio::test]
async fn invalid_options_fail_the_import_before_it_touches_a_row() {
    let importer = Importer::with("CREATE TABLE t (k integer PRIMARY KEY, v text)").await;
    let cases: &[(Options, &str)] = &[
        (&[("delimter", ";")], "delimiter"),
        (&[("mode", "merge")], "upsert"),
        (&[("delimiter", "\"")], "quote"),
        (&[("encoding", "ebcdic")], "encoding"),
        (&[("max-rejects", "-1")], "max-rejects"),
        (&[("max-rejects", "101%")], "max-rejects"),
        (&[("header", "false")], "columns"),
        (&[("max-deletes", "5")], "replace"),
        (&[("atomic", "maybe")], "atomic"),
    ];
    for (options, word) in cases {
        let counts = importer.load("t", options, "k,v\n1,a\n").await;
        assert_eq!(counts, "failed|0|0|0|0|0|0", "{options:?}");
        let error = importer.error().await;
        assert!(error.contains(word), "{options:?}: {error}");
    }
    assert_eq!(importer.world.rows("SELECT count(*) FROM t").await, ["0"]);
    // All faults are reported together.
    importer.load("t", &[("mode", "x"), ("quote", "long"), ("nul", "y")], "k,v\n1,a\n").await;
    let error = importer.error().await;
    assert!(error.contains("mode") && error.contains("quote") && error.contains("nul"), "{error}");
}

#[tokio::test]
async fn headers_that_do_not_match_the_table_fail_with_a_hint() {
    let importer =
        Importer::with("CREATE TABLE t (k integer PRIMARY KEY, v text NOT NULL, w text)").await;
    let cases = [
        ("k;v\n1;a\n", "set delimiter to semicolon"),
        ("k,v,k\n1,a,1\n", "twice"),
        ("K,k,v\n1,1,a\n", "twice"),
        ("k,w\n1,a\n", "the header does not name the column v"),
        ("k,v,\n1,a,\n", "field 3 of the header has no name"),
        ("k,vv\n1,a\n", "did you mean"),
        ("\"k,v\n1,a\n", "never closed"),
        ("k,v\u{0}\n1,a\n", "is not a column"),
    ];
    for (file, word) in cases {
        assert_eq!(importer.load("t", &[], file).await, "failed|0|0|0|0|0|0", "{file:?}");
        let error = importer.error().await;
        assert!(error.contains(word), "{file:?}: {error}");
    }
}

#[tokio::test]
async fn a_compressed_file_too_long_for_an_invocation_fails() {
    let mut importer = Importer::in_chunks(T, 2).await;
    importer.import.lanes = 1;
    importer.import.full_invocation = Duration::ZERO;
    let file = gzip(b"id,name\n1,a\n2,b\n3,c\n4,d\n");
    let etag = importer.bucket.put("imports/t/a.csv", file).await;
    let event = json!({ "Records": [importer.notification("imports/t/a.csv", &etag, "01")] });
    let event = || sqs_event(&[("m1", "", &event.to_string())]);
    // The second chunk meets an outage.
    importer.world.fault("batch@2.. fail-before=ServiceUnavailableError");
    import::handle(&importer.import, event(), deadline()).await.unwrap();
    importer.world.server.faults().clear();
    // The next attempt takes all of its time.
    importer.world.fault("batch@1 delay=1500ms");
    let soon = Deadline::after(Duration::from_secs(1));
    let done = import::handle(&importer.import, event(), soon).await;
    importer.world.server.faults().clear();
    assert!(done.is_ok_and(|response| response.batch_item_failures.is_empty()));
    assert!(
        importer.error().await.starts_with("a compressed file is read from its beginning again")
    );
}
