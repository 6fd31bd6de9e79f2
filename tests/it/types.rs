//! Every type that the catalog knows. Request validation accepts exactly the texts that the column
//! stores unchanged, and the look-up returns them.

use std::collections::BTreeMap;

use aurora_sync::domain::key::{canonical, has_one_spelling};
use aurora_sync::domain::value::{from_text, is_certain};
use aurora_sync_catalog::Column;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use ephemeral_postgres::connect;
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use crate::support::write_api::{WriteApi, event};
use crate::support::{World, get};

/// Values of each type: as JSON of a request, and as JSON of a response.
const VALUES: &[(&str, &[(&str, &str)])] = &[
    ("smallint", &[("-32768", "-32768"), ("32767", "32767"), ("\"7\"", "7")]),
    ("integer", &[("-2147483648", "-2147483648"), ("2147483647", "2147483647"), ("1e3", "1000")]),
    (
        "bigint",
        &[
            ("9223372036854775807", "9223372036854775807"),
            ("-9223372036854775808", "-9223372036854775808"),
        ],
    ),
    (
        "numeric",
        &[
            (
                "12345678901234567890.1234567890123456789",
                "12345678901234567890.1234567890123456789",
            ),
            (
                "0.1000000000000000000000000000000000000001",
                "0.1000000000000000000000000000000000000001",
            ),
            ("-0", "0"),
            ("1e40", "10000000000000000000000000000000000000000"),
            ("\"NaN\"", "\"NaN\""),
        ],
    ),
    (
        "numeric(40,20)",
        &[(
            "-99999999999999999999.99999999999999999999",
            "-99999999999999999999.99999999999999999999",
        )],
    ),
    (
        "real",
        &[
            ("-3.4028235e38", "-3.4028235e+38"),
            ("1e-45", "1e-45"),
            ("\"-Infinity\"", "\"-Infinity\""),
        ],
    ),
    (
        "double precision",
        &[
            ("1.7976931348623157e308", "1.7976931348623157e+308"),
            ("5e-324", "5e-324"),
            ("-0.0", "-0"),
            ("0.1", "0.1"),
            ("\"NaN\"", "\"NaN\""),
        ],
    ),
    ("boolean", &[("true", "true"), ("false", "false"), ("\"no\"", "false")]),
    (
        "char(4)",
        &[
            ("\"ab\"", "\"ab  \""),
            ("\"ab  \"", "\"ab  \""),
            ("\"\"", "\"    \""),
            ("\"日本語😀\"", "\"日本語😀\""),
        ],
    ),
    ("varchar(4)", &[("\"ab  \"", "\"ab  \""), ("\"\"", "\"\""), ("\"😀😀😀😀\"", "\"😀😀😀😀\"")]),
    (
        "text",
        &[
            ("\"\"", "\"\""),
            ("\"  a  \"", "\"  a  \""),
            ("\"👩‍👩‍👧 שלום مرحبا\"", "\"👩‍👩‍👧 שלום مرحبا\""),
            (
                "\"\\u007f\\u0001\\t\\n\\r\\\\\\\"'{},%:x\"",
                "\"\u{7f}\\u0001\\t\\n\\r\\\\\\\"'{},%:x\"",
            ),
            ("\"\\ufffe\\uffff\\ufffd\"", "\"\u{fffe}\u{ffff}\u{fffd}\""),
            ("\"NULL\"", "\"NULL\""),
        ],
    ),
    (
        "uuid",
        &[("\"6F9619FF8B86D011B42D00C04FC964FF\"", "\"6f9619ff-8b86-d011-b42d-00c04fc964ff\"")],
    ),
    (
        "json",
        &[
            (r#"{ "b": [1, {"a": null}], "b": 1.10 }"#, r#"{ "b": [1, {"a": null}], "b": 1.10 }"#),
            ("\"text\"", "\"text\""),
            ("false", "false"),
            ("12345678901234567890.10", "12345678901234567890.10"),
        ],
    ),
    (
        "jsonb",
        &[
            (r#"{"b":[1,{"a":null}],"😀":1.10}"#, r#"{"b": [1, {"a": null}], "😀": 1.10}"#),
            ("12345678901234567890.10", "12345678901234567890.10"),
            ("[[[[[[[[[[1]]]]]]]]]]", "[[[[[[[[[[1]]]]]]]]]]"),
        ],
    ),
    (
        "bytea",
        &[
            (r#""\\x00ff7f""#, r#""\\x00ff7f""#),
            (r#""\\x""#, r#""\\x""#),
            (r#""a\\000b""#, r#""\\x610062""#),
        ],
    ),
    (
        "date",
        &[
            ("\"0001-01-01\"", "\"0001-01-01\""),
            ("\"9999-12-31\"", "\"9999-12-31\""),
            ("\"infinity\"", "\"infinity\""),
        ],
    ),
    (
        "time",
        &[
            ("\"00:00\"", "\"00:00:00\""),
            ("\"24:00:00\"", "\"24:00:00\""),
            ("\"23:59:59.999999\"", "\"23:59:59.999999\""),
        ],
    ),
    ("timetz", &[("\"23:59:59.999999+15:59\"", "\"23:59:59.999999+15:59\"")]),
    (
        "timestamp",
        &[
            ("\"2026-11-23T09:30:00.000001\"", "\"2026-11-23T09:30:00.000001\""),
            ("\"-infinity\"", "\"-infinity\""),
        ],
    ),
    (
        "timestamptz",
        &[
            ("\"2026-11-23T09:30:00.5+05:30\"", "\"2026-11-23T04:00:00.5+00:00\""),
            ("\"infinity\"", "\"infinity\""),
        ],
    ),
    (
        "interval",
        &[
            ("\"P1Y2M3DT4H5M6.000001S\"", "\"1 year 2 mons 3 days 04:05:06.000001\""),
            ("\"-1 day\"", "\"-1 days\""),
        ],
    ),
    ("inet", &[("\"192.0.2.1/24\"", "\"192.0.2.1/24\""), ("\"2001:db8::1\"", "\"2001:db8::1\"")]),
    ("cidr", &[("\"192.0.2.0/24\"", "\"192.0.2.0/24\"")]),
    ("mood", &[("\"très \\\"bien\\\"\"", "\"très \\\"bien\\\"\"")]),
    ("positive", &[("1", "1")]),
    (
        "integer[]",
        &[
            ("[1,null,-2147483648]", "[1,null,-2147483648]"),
            ("[]", "[]"),
            ("[[1,2],[3,null]]", "[[1,2],[3,null]]"),
        ],
    ),
    (
        "text[]",
        &[(
            r#"["","NULL",null,"a \"b\", {c}\\ d","😀"]"#,
            r#"["","NULL",null,"a \"b\", {c}\\ d","😀"]"#,
        )],
    ),
    ("numeric(5,2)[]", &[("[1.5]", "[1.50]")]),
    ("jsonb[]", &[(r#"[[1],{"a":"b,c"},null]"#, r#"[[1],{"a": "b,c"},null]"#)]),
    ("timestamptz[]", &[("[\"2026-11-23T09:30:00Z\"]", "[\"2026-11-23T09:30:00+00:00\"]")]),
    ("macaddr", &[("\"08:00:2b:01:02:03\"", "\"08:00:2b:01:02:03\"")]),
];

const TYPES: &str = "CREATE TYPE mood AS ENUM ('sad', 'ok', 'très \"bien\"');
    CREATE DOMAIN positive AS integer CHECK (VALUE > 0);";

fn everything() -> String {
    let columns =
        VALUES.iter().enumerate().map(|(n, (definition, _))| format!(", c{n} {definition}"));
    format!(
        "{TYPES} CREATE TABLE everything (id integer PRIMARY KEY{})",
        columns.collect::<String>()
    )
}

/// Returns rows: row `n` holds the value `n` of each type that has that many.
fn rows() -> Vec<String> {
    let most = VALUES.iter().map(|(_, values)| values.len()).max().unwrap();
    let row = |n: usize| {
        let members = VALUES.iter().enumerate().filter_map(|(column, (_, values))| {
            values.get(n).map(|(sent, _)| format!(",\"c{column}\":{sent}"))
        });
        format!("{{\"id\":{n}{}}}", members.collect::<String>())
    };
    (0..most).map(row).collect()
}

#[tokio::test]
async fn every_type_passes_through_write_and_look_up_unchanged() {
    let tables = everything();
    let (world, api) = (World::with(&tables).await, WriteApi::open(&tables).await);
    let mut post = event("POST", "everything", &[], &Value::Null);
    post["body"] = format!("[{}]", rows().join(",")).into();
    let response = api.request(post).await;
    assert_eq!(response.status, 202, "{}", response.body);
    let delivery = world.apply(api.queue.drain().await).await.unwrap();
    assert!(delivery.batch_item_failures.is_empty());
    let rejected = "SELECT key, sqlstate, reason FROM sync.write WHERE outcome <> 'applied'";
    assert_eq!(world.rows(rejected).await, Vec::<String>::new());
    for n in 0..rows().len() {
        let by_key = |accept| {
            let parameters = json!({"table": "everything", "key": n.to_string()});
            get("/{table}/{key}", &parameters, &Value::Null, accept)
        };
        let response = world.lookup(by_key("application/json")).await;
        let row: BTreeMap<String, &RawValue> = serde_json::from_str(&response.body).unwrap();
        for (column, (definition, values)) in VALUES.iter().enumerate() {
            let expected = values.get(n).map_or("null", |(_, back)| back);
            assert_eq!(row[&format!("c{column}")].get(), expected, "{definition} of row {n}");
        }
        let response = world.lookup(by_key("application/vnd.amazon.rds-data+json")).await;
        // The Data API cannot return an array of two dimensions.
        let has_form = VALUES.iter().all(|(definition, values)| {
            let value = values.get(n).map_or("", |(sent, _)| sent);
            *definition != "integer[]" || !value.starts_with("[[")
        });
        if !has_form {
            assert_eq!(response.status, 400);
            continue;
        }
        // Texts are compared, because serde_json does not read every float to its last bit.
        let records: Vec<Vec<BTreeMap<&str, &RawValue>>> =
            serde_json::from_str(&response.body).unwrap_or_else(|_| panic!("{}", response.body));
        for (column, (definition, values)) in VALUES.iter().enumerate() {
            let expected = values.get(n).map_or("null", |(_, back)| back);
            let field = &records[0][column + 1];
            let text = format!("SELECT c{column}::text FROM everything WHERE id = {n}");
            check_field(field, expected, &world.rows(&text).await[0], definition);
        }
    }
}

/// Checks that the field of a record has the same value: in its own type if the Data API has one,
/// else as text.
#[track_caller]
fn check_field(field: &BTreeMap<&str, &RawValue>, expected: &str, text: &str, definition: &str) {
    let (kind, value) = field.iter().next().unwrap();
    match *kind {
        "isNull" => assert_eq!(expected, "null", "{definition}"),
        "stringValue" => {
            let value: String = serde_json::from_str(value.get()).unwrap();
            // A cast of char(n) to text drops trailing blanks.
            let value = if definition == "char(4)" { value.trim_end_matches(' ') } else { &value };
            // A cast of an address to text adds the length of its prefix.
            let text = text.strip_suffix("/128").unwrap_or(text);
            assert_eq!(value, text, "{definition}");
        }
        "longValue" | "booleanValue" => assert_eq!(value.get(), text, "{definition}"),
        "doubleValue" => {
            // JSON has no number for NaN and the infinities, so that the Data API writes their
            // names.
            let found = value.get().trim_matches('"');
            let found: f64 =
                found.parse().unwrap_or_else(|_| panic!("{definition}: {found} {text}"));
            let stored = match definition {
                "real" => f64::from(text.parse::<f32>().unwrap()),
                _ => text.parse().unwrap(),
            };
            assert_eq!(found.to_bits(), stored.to_bits(), "{definition}");
        }
        "blobValue" => {
            let value: String = serde_json::from_str(value.get()).unwrap();
            let bytes = BASE64_STANDARD.decode(value).unwrap();
            assert_eq!(format!("\\x{}", hex::encode(bytes)), text, "{definition}");
        }
        // An array's elements are compared in the JSON form.
        "arrayValue" => assert!(definition.ends_with("[]"), "{definition}"),
        other => panic!("{definition}: {other}"),
    }
}

/// Valid texts of each type, and the letters for small changes of them.
const EDGES: &[(&str, &[&str], &str)] = &[
    ("smallint", &["32767", "-32768", "0", "+7", " 1 ", "1.0"], "0123456789+-. e\t\u{b}\u{a0}x_"),
    ("integer", &["2147483647", "-2147483648", "007", "1e3"], "0123456789+-. e"),
    ("bigint", &["9223372036854775807", "-9223372036854775808"], "0123456789+-. "),
    (
        "numeric",
        &["1.5", "-.5", "5.", "1e10", "NaN", "-Infinity", "inf", "1e131071", "0e-16383"],
        "0123456789+-.eE naif",
    ),
    ("numeric(5,2)", &["999.99", "-999.99", "0.005", "1e2", "NaN", "0.0100"], "0123456789+-.e"),
    ("real", &["3.4028235e38", "1e-45", "7e-46", "NaN", "-inf", "1.5"], "0123456789+-.eE naif"),
    (
        "double precision",
        &["1.7976931348623157e308", "5e-324", "2e-324", "Infinity"],
        "0123456789+-.eE naif",
    ),
    ("boolean", &["true", "f", "yes", "of", "on", "1", " no ", "T"], "truefalsyno10 "),
    ("char(4)", &["abcd", "ab  ", "日本語!", "", "abcd   "], "aé😀 "),
    ("varchar(4)", &["abcd", "ab  ", "日本語!", "", "abcd   "], "aé😀 "),
    ("text", &["", "\u{fffe}", "\u{1}\u{7f}"], "a\"\\{}'"),
    (
        "uuid",
        &[
            "6f9619ff-8b86-d011-b42d-00c04fc964ff",
            "{6F9619FF8B86D011B42D00C04FC964FF}",
            "6f96-19ff-8b86-d011-b42d-00c0-4fc9-64ff",
        ],
        "0fF-{} g",
    ),
    (
        "json",
        &[r#"{"a":[1,-0.5e3,"\ud800\u0000",null,true]}"#, "1", " [] "],
        "[]{}\",:\\u0d8c1e-+. tn",
    ),
    (
        "jsonb",
        &[r#"{"a":[1,-0.5e3,"\ud83d\ude00",null,true]}"#, r#"["\u0041\\u0000"]"#],
        "[]{}\",:\\u0d8c1e-+. tn",
    ),
    ("bytea", &["\\x00ff", "\\x de ad ", "a\\000b\\\\", "é"], "0123789afxg\\ \t"),
    (
        "date",
        &["2026-11-23", "2024-02-29", "0001-01-01", "infinity", "2026-11-23T00:00:00Z"],
        "0123456789-T:Z. ",
    ),
    ("time", &["09:30", "24:00:00", "23:59:60", "09:30:15.123456", "09:30Z"], "0123456789:.+-Z "),
    ("timetz", &["09:30+01", "23:59:59.999999-15:59", "09:30:00+01:30:15"], "0123456789:.+-Z "),
    (
        "timestamp",
        &["2026-11-23T09:30:00.123456", "2026-11-23 09:30", "2026-11-23T24:00:00Z", "-infinity"],
        "0123456789:.+-TZ ",
    ),
    (
        "timestamptz",
        &["2026-11-23T09:30:00.123456+05:30", "2026-11-23 09:30-0800", "2026-11-23T09:30Z"],
        "0123456789:.+-TZ ",
    ),
    (
        "interval",
        &["P1Y2M3DT4H5M6.5S", "1 day 2 hours ago", "3 4:05:06", "1-2", "PT", "@ 1 mon"],
        "0123456789PTYMDHS:-. daysmonhu",
    ),
    (
        "inet",
        &["192.0.2.1", "192.0.2.1/24", "2001:db8::1/64", "10.1/16", "::ffff:192.0.2.1"],
        "0123456789abcdf.:/",
    ),
    ("cidr", &["192.0.2.0/24", "10.1", "2001:db8::/32", "10"], "0123456789abcdf.:/"),
    ("mood", &["sad", "très \"bien\""], "sadok "),
    (
        "integer[]",
        &["{1,NULL,-2}", "{{1,2},{3,4}}", "{ 1 , \"2\" }", "[2:3]={1,2}", "{}"],
        "0123456789{},\"\\ NULl-",
    ),
    (
        "text[]",
        &["{a,\"b c\",null}", "{\\\"a\\\",\"\\\\\"}", "{{a},{b}}", "{\"\"}"],
        "ab{},\"\\ nul",
    ),
    ("numeric(5,2)[]", &["{999.99,NaN}", "{0.005}"], "0123456789{},.-"),
    ("varchar(3)[]", &["{abc,\"a  \"}", "{abcd}"], "abc{},\" "),
    (
        "timestamptz[]",
        &["{2026-11-23T09:30:00Z}", "{\"2026-11-23 09:30\",NULL}"],
        "0123456789-:TZ{},\" ",
    ),
];

/// Tells if PostgreSQL rounds the time when it reads the text.
fn is_rounded(definition: &str, text: &str) -> bool {
    let fraction = text.split_once('.').map_or("", |(_, fraction)| fraction);
    let fraction = fraction.bytes().take_while(u8::is_ascii_digit).count();
    definition.starts_with("time") && fraction > 6
}

/// Returns the SQL condition that the stored value equals the text before the column's length or
/// scale applies.
fn is_unchanged(definition: &str, cast: &str) -> String {
    match definition {
        "json" => "c::text = $1".to_owned(),
        "date" => "c::timestamp = $1::timestamp".to_owned(),
        "timestamp" => "c = ($1::timestamptz AT TIME ZONE 'UTC')".to_owned(),
        _ => format!("c = $1::{cast}"),
    }
}

/// Returns valid texts with up to three letters inserted, removed or replaced.
fn near_the_edges(seeds: &'static [&'static str], letters: &'static str) -> Vec<String> {
    let letters: Vec<char> = letters.chars().collect();
    let edit = (any::<prop::sample::Index>(), 0..3_u8, prop::sample::select(letters));
    let near = (prop::sample::select(seeds), prop::collection::vec(edit, 0..4));
    let near = near.prop_map(|(seed, edits)| {
        let mut text: Vec<char> = seed.chars().collect();
        for (index, kind, letter) in edits {
            let index = index.index(text.len() + 1);
            match kind {
                0 => text.insert(index, letter),
                1 if index < text.len() => drop(text.remove(index)),
                _ if index < text.len() => text[index] = letter,
                _ => {}
            }
        }
        text.into_iter().collect::<String>()
    });
    // `PROPTEST_CASES` sets the number; the order of the texts is fixed.
    let cases = ProptestConfig::default().cases;
    let mut runner = TestRunner::deterministic();
    (0..cases).map(|_| near.new_tree(&mut runner).unwrap().current()).collect()
}

const TRY: &str = "CREATE FUNCTION try_texts(statement text, texts text[])
RETURNS TABLE (index bigint, is_unchanged boolean) LANGUAGE plpgsql AS $$
DECLARE candidate text;
BEGIN
  FOR index, candidate IN SELECT t.n, t.text FROM unnest(texts) WITH ORDINALITY AS t(text, n) LOOP
    BEGIN
      EXECUTE statement INTO is_unchanged USING candidate;
    EXCEPTION WHEN OTHERS THEN
      is_unchanged := NULL;
    END;
    RETURN NEXT;
  END LOOP;
END $$";

#[tokio::test]
async fn request_validation_accepts_the_texts_that_the_column_stores_unchanged() {
    let columns = EDGES.iter().enumerate().map(|(n, (definition, ..))| {
        format!("CREATE TABLE edge_{n} (id integer PRIMARY KEY, c {definition});")
    });
    let tables = format!("{TYPES} {}", columns.collect::<String>());
    let world = World::with(&tables).await;
    let client = connect(&world.database_url).await.unwrap();
    client.batch_execute("SET TIME ZONE 'UTC'").await.unwrap();
    client.batch_execute(TRY).await.unwrap();
    let catalog = &world.catalog;
    let mut disagreements = Vec::new();
    for (n, (definition, seeds, letters)) in EDGES.iter().enumerate() {
        let column: &Column = &catalog.table(&format!("edge_{n}")).unwrap().columns[1];
        let cast = column.column_type.cast_name();
        let statement = format!(
            "INSERT INTO edge_{n} AS t (id, c) VALUES ((SELECT count(*) FROM edge_{n}), $1::{cast})
             RETURNING {}",
            is_unchanged(definition, &cast)
        );
        let texts = near_the_edges(seeds, letters);
        let accepted: Vec<_> = texts.iter().map(|text| from_text(column, text).ok()).collect();
        let taken = async |texts: Vec<&str>| -> Vec<Option<bool>> {
            let query = "SELECT * FROM try_texts($1, $2) ORDER BY index";
            let rows = client.query(query, &[&statement, &texts]).await.unwrap();
            rows.iter().map(|row| row.get(1)).collect()
        };
        let raw = taken(texts.iter().map(String::as_str).collect()).await;
        let normal =
            taken(accepted.iter().map(|text| text.as_deref().unwrap_or("")).collect()).await;
        let mut certain = 0;
        for (index, text) in texts.iter().enumerate() {
            // Request validation checks the elements of a literal without bounds.
            let is_plain_array = definition.ends_with("[]") && *definition != "timestamptz[]";
            let is_certain = accepted[index].as_deref().is_some_and(|sent| {
                is_certain(column, sent) || (is_plain_array && !sent.starts_with('['))
            });
            certain += usize::from(is_certain);
            let wrong = match (&accepted[index], raw[index], normal[index]) {
                (Some(_), _, Some(false)) if is_certain => "is changed by the column",
                (Some(_), _, None) if is_certain => "is accepted, and refused by the column",
                (None, Some(true), _) if !is_rounded(definition, text) => {
                    "is refused, although the column takes it unchanged"
                }
                _ => continue,
            };
            disagreements.push(format!("{definition}: {text:?} {wrong}"));
        }
        let is_left_to_the_database = matches!(*definition, "interval" | "timestamptz[]");
        assert!(certain > texts.len() / 10 || is_left_to_the_database, "{definition}: {certain}");
    }
    assert_eq!(disagreements, Vec::<String>::new());
}

/// More spellings of values that can be part of a key. Many of them have the same value.
const SPELLINGS: &[(&str, &[&str])] = &[
    (
        "numeric",
        &[
            "1E2",
            "100",
            "1.0e+2",
            "0x64",
            "1_00",
            "0e60",
            "-0e5",
            "0",
            "1e41",
            "10e40",
            "12e49",
            "1.20e50",
            "1e-45",
            "10e-46",
            "0.001e-42",
            "1e50",
            "100000000000000000000000000000000000000000000000000",
            "+1e50",
            "inf",
            "+inf",
            "Infinity",
            "-INF",
            "nan",
            "1e2000",
            "10e1999",
        ],
    ),
    (
        "real",
        &[
            "1e1",
            "10",
            "0x1p3",
            "8",
            ".5",
            "5e-1",
            "+Infinity",
            "INF",
            "-nan",
            "1e400",
            "16777217",
            "16777216",
        ],
    ),
    (
        "double precision",
        &["1e1", "10", "0xA", "-0", "0e9", "+inf", "9007199254740993", "9007199254740992"],
    ),
    ("bytea", &["\\x6162", "ab", "\\x61 62", "\\x6A", "\\x6a", "j"]),
    (
        "inet",
        &[
            "10.0.0.1/32",
            "10.0.0.1",
            "::1/128",
            "::1",
            "0:0::1",
            "::ffff:10.0.0.1",
            "::ffff:a00:1",
            "10.0.0.1/8",
        ],
    ),
    (
        "cidr",
        &[
            "10",
            "10.0.0.0/8",
            "224",
            "224.0.0.0",
            "224.0.0.0/4",
            "192.168.1",
            "192.168.1.0/24",
            "10.0.0.0",
        ],
    ),
    (
        "date",
        &[
            "0044-03-15 BC",
            "10000-01-01",
            "20260101",
            "2026-1-1",
            "2026-01-01",
            "2026-01-01 00:00+05",
            "epoch",
        ],
    ),
    ("bpchar", &["a", "a ", "b"]),
    ("name", &["a", "a "]),
];

/// Returns times of day with separators and offsets, with dates or without.
fn moments(has_date: bool) -> Vec<String> {
    let dates: &[&str] = if has_date {
        &["2026-01-01", "2026-01-02", "2025-12-31", "0001-01-01", "9999-12-31"]
    } else {
        &[""]
    };
    let separators: &[&str] = if has_date { &["T", " ", "t", "  "] } else { &["", "T"] };
    let clocks = [
        "00:00",
        "00:00:00",
        "00:00:00.0",
        "23:59:60",
        "23:59:60.5",
        "24:00",
        "24:00:00",
        "24:00:00.0",
        "12:30:60",
        "12:31",
        "12:31:00.5",
        "12:30:60.500",
        "00:00:00.000001",
        "23:59:59.999999",
    ];
    let offsets =
        ["", "Z", "z", " Z", "+00", "+00:00", "-00:00", "+0000", "+05:30", "-0800", "+24", " BC"];
    let mut moments = Vec::new();
    for date in dates {
        moments.push((*date).to_owned());
        for separator in separators {
            for clock in clocks {
                moments.extend(offsets.map(|offset| format!("{date}{separator}{clock}{offset}")));
            }
        }
    }
    moments
}

#[tokio::test]
async fn equal_values_have_one_key() {
    let bare = SPELLINGS.iter().map(|(definition, _)| *definition);
    let definitions: std::collections::BTreeSet<_> =
        EDGES.iter().map(|(definition, ..)| *definition).chain(bare).collect();
    let columns = definitions.iter().enumerate().map(|(n, definition)| {
        format!("CREATE TABLE key_{n} (id text PRIMARY KEY, c {definition});")
    });
    let tables = format!("{TYPES} {}", columns.collect::<String>());
    let world = World::with(&tables).await;
    let client = connect(&world.database_url).await.unwrap();
    client.batch_execute("SET TIME ZONE 'UTC'").await.unwrap();
    client.batch_execute(TRY).await.unwrap();
    let catalog = &world.catalog;
    let mut disagreements = Vec::new();
    for (n, definition) in definitions.iter().enumerate() {
        let column: &Column = &catalog.table(&format!("key_{n}")).unwrap().columns[1];
        if !has_one_spelling(&column.column_type) || column.has_own_equality {
            continue;
        }
        let mut texts: Vec<String> = Vec::new();
        for (_, seeds, letters) in EDGES.iter().filter(|(edge, ..)| edge == definition) {
            texts.extend(near_the_edges(seeds, letters));
            texts.extend(seeds.iter().map(|seed| (*seed).to_owned()));
        }
        for (_, spellings) in SPELLINGS.iter().filter(|(known, _)| known == definition) {
            texts.extend(spellings.iter().map(|text| (*text).to_owned()));
        }
        match *definition {
            "time" => texts.extend(moments(false)),
            "timestamp" | "timestamptz" => texts.extend(moments(true)),
            _ => {}
        }
        let mut texts: Vec<String> = texts
            .iter()
            .filter_map(|text| from_text(column, text).ok())
            .map(std::borrow::Cow::into_owned)
            .collect();
        texts.sort_unstable();
        texts.dedup();
        let cast = column.column_type.cast_name();
        let statement = format!("INSERT INTO key_{n} VALUES ($1, $1::{cast}) RETURNING true");
        client.query("SELECT FROM try_texts($1, $2)", &[&statement, &texts]).await.unwrap();
        let query = format!("SELECT id, dense_rank() OVER (ORDER BY c) FROM key_{n}");
        let (mut value_of, mut key_of) = (BTreeMap::new(), BTreeMap::new());
        for row in client.query(&query, &[]).await.unwrap() {
            let (text, value): (String, i64) = (row.get(0), row.get(1));
            let Some(key) = canonical(&column.column_type, &text) else { continue };
            let (other, _) = value_of.entry(key.clone()).or_insert((value, text.clone()));
            if *other != value {
                disagreements.push(format!("{definition}: {text:?} and others are {key:?}"));
            }
            let (other, first) = key_of.entry(value).or_insert((key.clone(), text.clone()));
            if *other != key {
                let both = format!("{first:?} is {other:?}, {text:?} is {key:?}");
                disagreements.push(format!("{definition}: {both}"));
            }
        }
        assert!(key_of.len() > 1, "{definition}: {key_of:?}");
    }
    assert_eq!(disagreements, Vec::<String>::new());
}
