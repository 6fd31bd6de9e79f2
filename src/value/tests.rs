use aurora_sync_catalog::ddl;
use proptest::prelude::*;

use super::*;

fn column(definition: &str) -> Column {
    let ddl = format!("CREATE TYPE mood AS ENUM ('sad', 'ok'); CREATE TABLE t (c {definition})");
    let schema = ddl::parse(&[("test.sql".into(), ddl)]).unwrap();
    schema.catalog.tables()[0].columns[0].clone()
}

fn json(definition: &str, raw: &str) -> Result<Option<String>, String> {
    let raw = RawValue::from_string(raw.to_owned()).unwrap();
    from_json(&column(definition), &raw).map_err(|fault| fault.rule.to_string())
}

#[track_caller]
fn check_json(definition: &str, accepted: &[(&str, &str)], refused: &[(&str, &str)]) {
    for (raw, text) in accepted {
        assert_eq!(json(definition, raw), Ok(Some((*text).to_owned())), "{definition} {raw}");
    }
    for (raw, rule) in refused {
        assert_eq!(json(definition, raw), Err((*rule).to_owned()), "{definition} {raw}");
    }
}

#[track_caller]
fn check_text(definition: &str, accepted: &[&str], refused: &[(&str, &str)]) {
    for text in accepted {
        assert_eq!(
            from_text(&column(definition), text).as_deref(),
            Ok(*text),
            "{definition} {text}"
        );
    }
    for (text, rule) in refused {
        let fault = from_text(&column(definition), text).unwrap_err();
        assert_eq!(fault.rule.to_string(), *rule, "{definition} {text}");
    }
}

#[test]
fn integers_are_exact_and_in_range() {
    check_json(
        "integer",
        &[
            ("78", "78"),
            ("-0", "0"),
            ("1.0", "1"),
            ("1e3", "1000"),
            ("\" 007\"", "7"),
            ("2147483647", "2147483647"),
        ],
        &[
            ("1.5", "format"),
            ("2147483648", "range"),
            ("true", "type"),
            ("\"x\"", "format"),
            ("[]", "type"),
            ("1e999999", "format"),
        ],
    );
    check_json(
        "bigint",
        &[("9223372036854775807", "9223372036854775807")],
        &[("9223372036854775808", "range")],
    );
    check_json("smallint", &[("-32768", "-32768")], &[("-32769", "range")]);
}

#[test]
fn decimals_are_exact_and_never_rounded() {
    check_json(
        "numeric(5,2)",
        &[("123.45", "123.45"), ("1.5e2", "150"), ("1e-2", "0.01"), ("0.5000", "0.5000")],
        &[("1234", "precision"), ("0.005", "precision"), ("\"abc\"", "format"), ("true", "type")],
    );
    check_json(
        "numeric",
        &[
            (
                "12345678901234567890.123456789012345678901",
                "12345678901234567890.123456789012345678901",
            ),
            ("\"NaN\"", "NaN"),
        ],
        &[],
    );
    check_json("numeric(3)", &[("999", "999")], &[("999.5", "precision")]);
}

#[test]
fn floats_take_what_postgresql_takes() {
    check_text(
        "double precision",
        &["1.5", "-1e-300", "NaN", "-Infinity"],
        &[("one", "format"), ("", "format"), ("0x10", "format")],
    );
}

#[test]
fn texts_are_measured_in_characters() {
    check_json(
        "char(4)",
        &[("\"0001\"", "0001"), ("\"été \"", "été "), ("\"日本語!  \"", "日本語!  ")],
        &[("\"00001\"", "length"), ("1", "type")],
    );
    check_json(
        "text",
        &[("\"\"", ""), ("\"a\\nb\"", "a\nb"), (r#""😀""#, "😀")],
        &[
            ("1", "type"),
            (r#""a\u0000b""#, "unsupported-character"),
            (r#""\ud800""#, "unsupported-character"),
        ],
    );
}

#[test]
fn null_needs_a_nullable_column() {
    assert_eq!(json("text", "null"), Ok(None));
    assert_eq!(json("jsonb", "null"), Ok(None));
    check_json("text not null", &[("\"x\"", "x")], &[("null", "not-null")]);
}

#[test]
fn booleans_are_what_postgresql_reads() {
    check_json(
        "boolean",
        &[("true", "true"), ("\"Yes\"", "true"), ("\"of\"", "false"), ("\"0\"", "false")],
        &[("1", "type"), ("\"o\"", "format"), ("\"\"", "format")],
    );
}

#[test]
fn dates_and_times_are_iso_and_on_the_calendar() {
    check_text(
        "date",
        &["2026-11-23", "2024-02-29", "infinity"],
        &[
            ("2026-02-29", "format"),
            ("23.11.2026", "format"),
            ("26-11-23", "format"),
            ("0000-01-01", "format"),
            ("", "format"),
        ],
    );
    check_text(
        "time",
        &["09:30", "09:30:15.123456", "24:00:00", "09:30:00+01:00"],
        &[("25:00", "format"), ("09:60", "format"), ("09:30:15.1234567", "format")],
    );
    check_text(
        "timestamptz",
        &[
            "2026-11-23T09:30:00Z",
            "2026-11-23 09:30:00.5+05:30",
            "2026-11-23",
            "2026-11-23T09:30-0800",
        ],
        &[
            ("2026-11-23T", "format"),
            ("2026-11-31T00:00:00Z", "format"),
            ("2026-11-23T09:30:00+16:00", "format"),
            ("now", "format"),
            ("1700000000", "format"),
        ],
    );
}

#[test]
fn other_types_have_their_forms() {
    check_text(
        "uuid",
        &[
            "6f9619ff-8b86-d011-b42d-00c04fc964ff",
            "6F9619FF8B86D011B42D00C04FC964FF",
            "{6f9619ff-8b86-d011-b42d-00c04fc964ff}",
        ],
        &[("6f9619ff", "format")],
    );
    check_text(
        "bytea",
        &["\\x", "\\x00FF"],
        &[("00ff", "format"), ("\\x0", "format"), ("\\xgg", "format")],
    );
    check_text(
        "inet",
        &["192.0.2.1", "2001:db8::/32"],
        &[("192.0.2", "format"), ("192.0.2.0/33", "format")],
    );
    check_text("mood", &["sad"], &[("happy", "enum")]);
    check_text("interval", &["PT1H", "1 day"], &[(" ", "format")]);
    check_text("citext", &["anything"], &[("a\0", "unsupported-character")]);
}

#[test]
fn json_stays_as_it_was_sent() {
    let exact = r#"{ "n": 12345678901234567890.10, "a": [1, "é"] }"#;
    check_json("json", &[(exact, exact), ("\"text\"", "\"text\""), ("1", "1")], &[]);
    check_json(
        "jsonb",
        &[(exact, exact)],
        &[(r#"{"a":"\u0000"}"#, "unsupported-character"), (r#"["\udc00"]"#, "format")],
    );
    check_text("jsonb", &["{}", "1"], &[("{", "format"), ("", "format")]);
}

#[test]
fn arrays_become_literals() {
    check_json(
        "integer[]",
        &[("[1,null,-2]", "{1,NULL,-2}"), ("[]", "{}"), ("\"{1,2}\"", "{1,2}")],
        &[("[1.5]", "format"), ("1", "type"), ("\"1,2\"", "format"), ("[[1]]", "type")],
    );
    check_json(
        "text[]",
        &[(r#"["a b","","NULL","\"\\"]"#, r#"{"a b","","NULL","\"\\"}"#)],
        &[("[1]", "type")],
    );
    check_text(
        "text[]",
        &["{}", r#"{"}",a}"#, "{{1,2},{3,4}}"],
        &[("{", "format"), ("{}x", "format"), ("{\"}", "format")],
    );
}

proptest! {
    #[test]
    fn integers_read_back_as_they_were(number: i64) {
        prop_assert_eq!(json("bigint", &number.to_string()), Ok(Some(number.to_string())));
    }

    #[test]
    fn no_text_makes_a_check_panic(text in ".{0,40}") {
        for definition in ["integer", "numeric(5,2)", "date", "timestamptz", "time", "text[]", "inet", "jsonb", "real"] {
            // Accepted or refused, but answered.
            let _ = from_text(&column(definition), &text).is_ok();
        }
    }
}
