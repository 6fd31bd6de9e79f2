use aurora_sync_catalog::notation;
use proptest::prelude::*;

use super::*;

fn column(definition: &str) -> Column {
    notation::column(&format!("c {definition}"))
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
            ("\"0x7fFFffff\"", "2147483647"),
            ("\"1_000\"", "1000"),
        ],
        &[
            ("1.5", "format"),
            ("2147483648", "range"),
            ("true", "type"),
            ("\"x\"", "format"),
            ("\"1__0\"", "format"),
            ("\"0x80000000\"", "range"),
            ("\"\\u00a01\"", "format"),
            ("[]", "type"),
            ("1e999999", "range"),
            ("\"0x\"", "format"),
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
        &[
            ("123.45", "123.45"),
            ("1.5e2", "150"),
            ("1e-2", "0.01"),
            ("0.5000", "0.5000"),
            ("0e99", "0e99"),
        ],
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
            ("\"-Infinity\"", "-Infinity"),
            // The number is short to send and its digits take much memory: PostgreSQL writes it
            // out.
            ("1e131071", "1e131071"),
            ("1e-16383", "1e-16383"),
        ],
        &[("1e131072", "precision"), ("1e-16384", "precision"), ("\"1e\"", "format")],
    );
    check_json("numeric(5,2)", &[("\"NaN\"", "NaN")], &[("\"Infinity\"", "format")]);
    check_json(
        "numeric(2,-3)",
        &[("12000", "12000")],
        &[("12500", "precision"), ("1e5", "precision")],
    );
    check_json("numeric(2,4)", &[("0.0099", "0.0099")], &[("0.01", "precision")]);
    check_json("numeric(3)", &[("999", "999")], &[("999.5", "precision")]);
}

#[test]
fn floats_are_accepted_as_in_postgresql() {
    check_text(
        "double",
        &["1.5", "-1e-300", "NaN", "-Infinity", "0x1.8p3", "0e999"],
        &[("one", "format"), ("", "format"), ("1e309", "range"), ("1e-400", "range")],
    );
    check_text("real", &["3.4e38", "1e-45"], &[("3.5e38", "range"), ("1e-46", "range")]);
}

#[test]
fn texts_are_measured_in_characters() {
    check_json(
        "char(4)",
        &[("\"0001\"", "0001"), ("\"été \"", "été "), ("\"日本語!  \"", "日本語!  ")],
        &[("\"00001\"", "length"), ("1", "type")],
    );
    check_json(
        "varchar(4)",
        &[("\"été \"", "été ")],
        // PostgreSQL would silently cut the last blank.
        &[("\"été  \"", "length")],
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
    check_json("text not-null", &[("\"x\"", "x")], &[("null", "not-null")]);
}

#[test]
fn booleans_are_read_as_in_postgresql() {
    check_json(
        "boolean",
        &[("true", "true"), ("\"Yes\"", "true"), ("\"of\"", "false"), ("\"0\"", "false")],
        &[("1", "type"), ("\"o\"", "format"), ("\"\"", "format")],
    );
}

#[test]
fn ambiguous_fields_of_a_file_are_refused() {
    let check = |definition, text: &str, is_certain: bool| {
        let doubt = doubt(&column(definition).column_type, text);
        assert_eq!(doubt.is_none(), is_certain, "{definition} {text}: {doubt:?}");
    };
    let days = [
        "11/12/2026",
        "23.11.2026",
        "1-2-26",
        "26-11-23",
        "11/12/2026 10:00",
        "Mon 11/12/26",
        "10:00 1.2.2026",
    ];
    for text in days.into_iter().chain(["today", "Tomorrow 10:00", "now"]) {
        check("date", text, false);
        check("timestamptz", text, false);
        check("text", text, true);
    }
    for text in [
        "2026-11-23",
        "2026/11/23 10:00",
        "20261123",
        "23 Nov 2026",
        "Nov 23, 2026",
        "23-Nov-26",
        "infinity",
        "2026-11-23 10:00:00.12-05",
        "10:00:00.12-05",
        "1999.008",
        "Nov 23 10:00:00 2026",
        "",
    ] {
        check("date", text, true);
        check("timestamp", text, true);
    }
    check("date[]", "{2026-11-23,2026-11-24}", true);
    check("date[]", "{2026-11-23,\"11/12/2026\"}", false);
    check("time", "now", false);
    check("integer", "1_000", false);
    check("numeric", "1_000.5", false);
    check("integer", "-1000", true);
    check("text", "1_000", true);
}

#[test]
fn dates_and_times_are_valid() {
    check_text(
        "date",
        &["2026-11-23", "2024-02-29", "infinity", "2026-11-23T00:00:00.000Z", "44-03-15 BC"],
        &[
            ("2026-02-29", "format"),
            ("2026-11-23T09:30:00", "format"),
            ("0000-01-01", "format"),
            ("", "format"),
            ("soon", "format"),
            ("２０２６-11-23", "format"),
        ],
    );
    check_text(
        "time",
        &["09:30", "09:30:15.123456", "24:00:00", "09:30:15.1234560", "9:30 PM", "09:30:00Z"],
        &[
            ("25:00", "format"),
            ("09:60", "format"),
            ("24:00:01", "format"),
            ("09:30:15.1234567", "precision"),
            ("09:30:00+01:00", "format"),
            ("2026-11-23T09:30:00", "format"),
        ],
    );
    check_text("timetz", &["09:30:00+01:00", "09:30-0800"], &[("09:30+16", "format")]);
    check_text(
        "timestamp",
        &["2026-11-23T09:30:00", "2026-11-23T09:30:00Z", "2026-11-23"],
        // PostgreSQL would silently drop the offset.
        &[("2026-11-23T09:30:00+01:00", "format"), ("09:30:00", "format")],
    );
    check_text(
        "timestamptz",
        &[
            "2026-11-23T09:30:00Z",
            "2026-11-23 09:30:00.5+05:30",
            "2026-11-23",
            "2026-11-23T09:30-0800",
            "2026-11-23 09:30:00 Europe/Berlin",
            "now",
        ],
        &[
            ("2026-11-31T00:00:00Z", "format"),
            ("2026-11-23T09:30:00+16:00", "format"),
            ("2026-11-23T09:30:00.1234567Z", "precision"),
        ],
    );
}

#[test]
fn intervals_have_numbers_and_known_words() {
    check_text(
        "interval",
        &[
            "PT1H",
            "P0001-02-03T04:05:06",
            "1 day",
            "1-2",
            "3 4:05:06",
            "@ 1 minute ago",
            "-5microseconds",
        ],
        &[(" ", "format"), ("1 fortnight", "format"), ("day", "format"), ("PX", "format")],
    );
}

#[test]
fn other_types_have_their_forms() {
    let uuid = "6f9619ff-8b86-d011-b42d-00c04fc964ff";
    for spelling in [
        "6F9619FF8B86D011B42D00C04FC964FF",
        "{6f9619ff-8b86-d011-b42d-00c04fc964ff}",
        "6f96-19ff-8b86-d011-b42d-00c0-4fc9-64ff",
    ] {
        assert_eq!(from_text(&column("uuid"), spelling).as_deref(), Ok(uuid), "{spelling}");
    }
    check_text(
        "uuid",
        &[uuid],
        &[
            ("6f9619ff", "format"),
            ("urn:uuid:6f9619ff-8b86-d011-b42d-00c04fc964ff", "format"),
            ("{6f9619ff-8b86-d011-b42d-00c04fc964ff", "format"),
        ],
    );
    check_text(
        "bytea",
        &["\\x", "\\x00FF", "\\xde ad", "00ff", "a\\000\\\\", "é"],
        &[("\\x0", "format"), ("\\xgg", "format"), ("a\\", "format"), ("\\400", "format")],
    );
    check_text(
        "inet",
        &["192.0.2.1", "2001:db8::/32", "10.1/16", "192.0.2.1/24", "010.0.0.1"],
        &[
            ("192.0.2", "format"),
            ("192.0.2.0/33", "format"),
            ("192.0.2.256", "format"),
            ("example.com", "format"),
            ("192.0.2.1/x", "format"),
        ],
    );
    check_text(
        "cidr",
        &["192.0.2.0/24", "10", "2001:db8::/32"],
        &[("192.0.2.1/24", "format"), ("2001:db8::1/32", "format")],
    );
    check_text("enum(sad|ok)", &["sad"], &[("happy", "enum"), ("Sad", "enum"), (" sad", "enum")]);
    check_text("citext", &["anything"], &[("a\0", "unsupported-character")]);
}

#[test]
fn json_is_unchanged() {
    let exact = r#"{ "n": 12345678901234567890.10, "a": [1, "é"] }"#;
    check_json("json", &[(exact, exact), ("\"text\"", "\"text\""), ("1", "1")], &[]);
    check_json(
        "jsonb",
        &[(exact, exact)],
        &[
            (r#"{"a":"\u0000"}"#, "unsupported-character"),
            (r#"["\udc00"]"#, "unsupported-character"),
            (r#"["\ud800x\udc00"]"#, "unsupported-character"),
            (r#"{"\ud83d":1}"#, "unsupported-character"),
            ("1e131072", "range"),
        ],
    );
    check_json("jsonb", &[(r#"["\ud83d\ude00\\u0000"]"#, r#"["\ud83d\ude00\\u0000"]"#)], &[]);
    // A json column keeps the text and checks its syntax only.
    check_json("json", &[(r#"["\udc00\u0000",1e999999]"#, r#"["\udc00\u0000",1e999999]"#)], &[]);
    check_text("jsonb", &["{}", "1"], &[("{", "format"), ("", "format")]);
}

#[test]
fn the_depth_of_json_is_limited() {
    let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    for definition in ["json", "jsonb"] {
        assert_eq!(json(definition, &nested(json::DEPTH_MAX)), Ok(Some(nested(json::DEPTH_MAX))));
        assert_eq!(json(definition, &nested(json::DEPTH_MAX + 1)), Err("depth".to_owned()));
        assert_eq!(json(definition, &nested(1_000_000)), Err("depth".to_owned()));
    }
    assert_eq!(json("integer[]", &nested(1_000_000)), Err("depth".to_owned()));
    assert_eq!(json("text", &nested(1_000_000)), Err("type".to_owned()));
    let literal = format!("{}1{}", "{".repeat(1_000_000), "}".repeat(1_000_000));
    check_text("integer[]", &["{{{{{{1}}}}}}"], &[(&literal, "depth")]);
}

#[test]
fn arrays_become_literals() {
    check_json(
        "integer[]",
        &[
            ("[[1,null],[3,4]]", "{{1,NULL},{3,4}}"),
            ("\"{1.0, 2 ,null}\"", "{1,2,NULL}"),
            ("[1,null,-2]", "{1,NULL,-2}"),
            ("[]", "{}"),
            ("\"{1,2}\"", "{1,2}"),
        ],
        &[("[1.5]", "format"), ("1", "type"), ("\"1,2\"", "format")],
    );
    check_json(
        "text[]",
        &[(r#"["a b","","NULL","\"\\"]"#, r#"{"a b","","NULL","\"\\"}"#)],
        &[("[1]", "type")],
    );
    check_text(
        "text[]",
        &["{}", r#"{"}",a}"#, "{{1,2},{3,4}}", "[2:3]={1,2}"],
        &[
            ("{", "format"),
            ("{}x", "format"),
            ("{\"}", "format"),
            ("{a,}", "format"),
            ("{,a}", "format"),
            ("{{a},{b,c}}", "format"),
            ("{{a},b}", "format"),
            ("{a\"b\"}", "format"),
        ],
    );
    check_json(
        "integer[]",
        &[],
        &[("[[1],2]", "format"), ("[[],[]]", "format"), ("[[1],[2,3]]", "format")],
    );
    check_json("jsonb[]", &[("[[1],{}]", r#"{"[1]","{}"}"#)], &[]);
    let raw = RawValue::from_string("[[1],[\"x\"]]".to_owned()).unwrap();
    assert_eq!(from_json(&column("integer[]"), &raw).unwrap_err().pointer, "/1/0");
}

proptest! {
    #[test]
    fn integers_survive_a_round_trip(number: i64) {
        prop_assert_eq!(json("bigint", &number.to_string()), Ok(Some(number.to_string())));
    }

    #[test]
    fn no_text_causes_a_panic(text in ".{0,40}") {
        for definition in ["integer", "numeric(5,2)", "date", "timestamptz", "time", "text[]", "integer[]", "inet", "cidr", "jsonb", "real", "uuid", "bytea", "interval", "timetz", "boolean"] {
            match from_text(&column(definition), &text) {
                Ok(accepted) => prop_assert!(!accepted.contains('\0')),
                Err(fault) => prop_assert!(!fault.expected.is_empty()),
            }
        }
    }
}

#[test]
fn the_fraction_of_a_second_is_kept_in_arrays_too() {
    check_json(
        "timestamp(0)[]",
        &[(r#"["2026-11-23T09:30:00.000", null]"#, "{2026-11-23T09:30:00.000,NULL}")],
        &[
            (r#"["2026-11-23T09:30:00.5"]"#, "precision"),
            (r#"[["2026-11-23T09:30:00"], ["2026-11-23T09:30:00.5"]]"#, "precision"),
            (r#""{2026-11-23T09:30:00.5}""#, "precision"),
        ],
    );
    check_text(
        "time(2)[]",
        &["{09:30:00.25}"],
        &[
            ("{09:30:00.125}", "precision"),
            ("{{09:30:00},{09:30:00.125}}", "precision"),
            ("[2:2]={09:30:00.125}", "precision"),
        ],
    );
    check_text("timestamptz(1)[]", &[], &[("{2026-11-23T09:30:00.25Z}", "precision")]);
}
