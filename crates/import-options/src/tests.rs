use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

fn defaults() -> Defaults {
    let json = r#"{
        "imports/": {"encoding": "utf-8", "max-rejects": 100},
        "imports/staff/": {"delimiter": ";", "max-deletes": "5%"},
        "imports/staff/old/": {"delimiter": "tab", "header": false, "columns": ["id", "a,b"]}
    }"#;
    Defaults::parse(json).unwrap()
}

fn metadata(options: &[(&str, &str)]) -> BTreeMap<String, String> {
    options.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

fn read_metadata(options: &[(&str, &str)]) -> Result<Options, OptionsError> {
    read(&Defaults::none(), "imports/staff/a.csv", &metadata(options))
}

fn check(options: &[(&str, &str)], expected: impl Fn(&mut Options)) {
    let mut options_expected = Options::default();
    expected(&mut options_expected);
    assert_eq!(read_metadata(options).unwrap(), options_expected, "{options:?}");
}

fn check_error(options: &[(&str, &str)], expected: &[&str]) {
    let error = read_metadata(options).unwrap_err();
    let found: Vec<_> = error.faults.iter().map(ToString::to_string).collect();
    assert_eq!(found, expected, "{options:?}");
}

#[test]
fn a_file_without_metadata_is_read_as_rfc_4180_says() {
    check(&[], |_| {});
}

#[test]
fn every_option_is_read() {
    check(&[("mode", "insert")], |options| options.mode = LoadMode::Insert);
    check(&[("mode", "Ignore")], |options| options.mode = LoadMode::Ignore);
    check(&[("delimiter", ";")], |options| options.dialect.delimiter = b';');
    for (name, character) in
        [("tab", b'\t'), ("\\t", b'\t'), ("semicolon", b';'), ("pipe", b'|'), ("space", b' ')]
    {
        check(&[("delimiter", name)], |options| options.dialect.delimiter = character);
    }
    check(&[("quote", "'")], |options| options.dialect.quote = Some(b'\''));
    check(&[("quote", "none")], |options| options.dialect.quote = None);
    check(&[("escape", "\\")], |options| options.dialect.escape = Some(b'\\'));
    check(&[("comment", "#")], |options| options.dialect.comment = Some(b'#'));
    check(&[("encoding", "cp932")], |options| options.encoding = Some(encoding_rs::SHIFT_JIS));
    check(&[("null", "\\N")], |options| options.dialect.null = Some("\\N".into()));
    check(&[("null", "")], |_| {});
    check(&[("header", "false"), ("columns", " id ,\"a,b\"")], |options| {
        options.has_header = false;
        options.columns = Some(vec!["id".into(), "a,b".into()]);
    });
    check(&[("extra-columns", "ignore")], |options| options.ignores_extra_columns = true);
    check(&[("numbers", "1.234,5")], |options| options.numbers = Numbers::PointGroups);
    check(&[("max-rejects", "0")], |options| options.max_rejects = Some(Limit::Rows(0)));
    check(&[("max-rejects", "0.5%")], |options| {
        options.max_rejects = Some(Limit::Percent(0.5));
    });
    check(&[("mode", "replace"), ("max-deletes", "100%")], |options| {
        options.mode = LoadMode::Replace;
        options.max_deletes = Limit::Percent(100.0);
    });
    check(&[("atomic", "true"), ("dry-run", "TRUE")], |options| {
        options.is_atomic = true;
        options.is_dry_run = true;
    });
}

#[test]
fn an_error_of_a_value_says_which_values_are_valid() {
    check_error(
        &[("mode", "upsrt")],
        &[
            "mode=\"upsrt\": expected one of upsert, insert, ignore, replace, delete; did you mean \"upsert\"?",
        ],
    );
    let character = "expected one ASCII character that is neither letter nor digit";
    check_error(
        &[("delimiter", ";;"), ("quote", "“")],
        &[
            &format!("delimiter=\";;\": {character}, or tab, comma, semicolon, pipe or space"),
            &format!("quote=\"“\": {character}, or none"),
        ],
    );
    check_error(
        &[("delimiter", "semicolons")],
        &[&format!(
            "delimiter=\"semicolons\": {character}, or tab, comma, semicolon, pipe or space; did you mean \"semicolon\"?"
        )],
    );
    check_error(
        &[("encoding", "shift-jiss")],
        &[
            "encoding=\"shift-jiss\": expected a name of the WHATWG's Encoding Standard, such as utf-8, utf-16, \
           shift_jis or windows-1252; did you mean \"shift_jis\"?",
        ],
    );
    let limit = "expected a number of rows, such as 100, or a percentage, such as 5%";
    for value in ["-1", "101%", "five", "%", "", "1e3", "1.5", "nan%"] {
        check_error(&[("max-rejects", value)], &[&format!("max-rejects={value:?}: {limit}")]);
    }
    check_error(&[("atomic", "yes")], &["atomic=\"yes\": expected one of true, false"]);
    check_error(
        &[("columns", "id,,name")],
        &[
            "columns=\"id,,name\": expected the names of the columns, separated by commas, such as id,name",
        ],
    );
    check_error(
        &[("numbers", "1,000.0")],
        &["numbers=\"1,000.0\": expected one of plain, 1,234.5, 1.234,5"],
    );
}

#[test]
fn an_unknown_option_names_the_nearest() {
    let error = read_metadata(&[("max_rejects", "1"), ("delimeter", ";")]).unwrap_err();
    let nearest: Vec<_> = error.faults.iter().map(|fault| fault.nearest.as_deref()).collect();
    assert_eq!(nearest, [Some("delimiter"), Some("max-rejects")]);
    let long = "x".repeat(2_000);
    let error = read_metadata(&[(&long, &long)]).unwrap_err().to_string();
    assert!(error.len() < 500, "{error}");
}

#[test]
fn metadata_of_other_programs_is_ignored() {
    check(
        &[
            ("mtime", "1700000000.5"),
            ("s3cmd-attrs", "atime:1/ctime:1/gid:0"),
            ("sha256", "00ff"),
            ("mode", "33188"),
            ("file-permissions", "0664"),
            ("s3b-last-modified", "20261123T000000Z"),
            ("user-agent", "AWSTransfer"),
        ],
        |_| {},
    );
    let error = read_metadata(&[("x-amz-key-v2", "…")]).unwrap_err().to_string();
    assert!(error.contains("no encryption by the sender"), "{error}");
    assert!(read_metadata(&[("filename", "a.csv")]).is_err());
}

#[test]
fn contradictions_say_what_to_change() {
    check_error(
        &[("quote", ",")],
        &["quote=\",\": expected another character than that of delimiter"],
    );
    check_error(
        &[("delimiter", "\"")],
        &["delimiter=\"\\\"\": expected another character than that of quote"],
    );
    check_error(
        &[("comment", "#"), ("escape", "#")],
        &["comment=\"#\": expected another character than that of escape"],
    );
    check_error(
        &[("quote", "none"), ("escape", "\\")],
        &[
            "escape=\"\\\\\": expected none, as an escape counts within quotes only and quote is none",
        ],
    );
    for null in ["a,b", "a\nb"] {
        check_error(
            &[("null", null)],
            &[&format!(
                "null={null:?}: expected a text without the delimiter and without line ends, as no field without quotes has them"
            )],
        );
    }
    check_error(
        &[("null", "\"\"")],
        &[
            "null=\"\\\"\\\"\": expected a text without quotes, as only a field without them can be NULL",
        ],
    );
    check_error(
        &[("null", "#N/A"), ("comment", "#")],
        &[
            "null=\"#N/A\": expected a text that does not begin with the comment character, as such lines are skipped",
        ],
    );
    check_error(
        &[("header", "false")],
        &["header=\"false\": expected true, or the names of the fields in the option columns"],
    );
    check_error(
        &[("max-deletes", "5%")],
        &[
            "max-deletes=\"5%\": expected no value in mode upsert, as only mode replace deletes rows that are not in the file",
        ],
    );
}

#[test]
fn the_quote_as_escape_character_means_doubled_quotes() {
    check(&[("escape", "\"")], |_| {});
}

#[test]
fn the_longest_prefix_wins_option_by_option_and_metadata_over_it() {
    let of =
        |key: &str, options: &[(&str, &str)]| read(&defaults(), key, &metadata(options)).unwrap();
    let options = of("imports/other/a.csv", &[]);
    assert_eq!((options.dialect.delimiter, options.max_rejects), (b',', Some(Limit::Rows(100))));
    let options = of("imports/staff/a.csv", &[("max-rejects", "1%")]);
    assert_eq!(
        (options.dialect.delimiter, options.max_rejects, options.max_deletes),
        (b';', Some(Limit::Percent(1.0)), Limit::Percent(5.0))
    );
    let options = of("imports/staff/old/a.csv", &[]);
    assert_eq!(options.dialect.delimiter, b'\t');
    assert_eq!(options.columns, Some(vec!["id".into(), "a,b".into()]));
    assert_eq!(options.encoding, Some(encoding_rs::UTF_8));
    // A contradiction is a fault of the option in the metadata.
    let error = read(&defaults(), "imports/staff/a.csv", &metadata(&[("null", "a;b")]));
    assert!(error.is_err());
    let error = read(&defaults(), "imports/staff/a.csv", &metadata(&[("quote", ";")])).unwrap_err();
    assert_eq!(
        error.faults[0].to_string(),
        "quote=\";\": expected another character than that of delimiter"
    );
}

#[test]
fn options_of_prefixes_that_are_not_valid_stop_the_deployment() {
    let check = |json: &str, expected: &str| {
        let error = Defaults::parse(json).unwrap_err().to_string();
        assert!(error.contains(expected), "{json}: {error}");
    };
    check("", "it must be a JSON object");
    check("[]", "it must be a JSON object");
    check(r#"{"imports/t/": 7}"#, "the options of imports/t/ are not an object");
    check(r#"{"staff/": {}}"#, "the prefix \"staff/\" must begin with imports/");
    check(r#"{"imports/t/": {"mdoe": "x"}}"#, "did you mean \"mode\"?");
    check(
        r#"{"imports/t/": {"mode": "x"}}"#,
        "mode=\"x\" (the default of imports/t/): expected one of",
    );
    check(r#"{"imports/t/": {"columns": [1]}}"#, "expected the names of the columns");
    check(r#"{"imports/t/": {"null": {}}}"#, "expected one value");
}

fn characters() -> impl Strategy<Value = String> {
    prop::sample::select(vec![",", ";", "tab", "|", "\"", "'", "\\", "#", "none", "space", "\u{1}"])
        .prop_map(str::to_owned)
}

fn any_options() -> impl Strategy<Value = BTreeMap<String, String>> {
    let limit = || prop_oneof!["[0-9]{1,4}", "[0-9]{1,2}(\\.[0-9])?%"];
    let one_of = |words: &[&str]| {
        prop::sample::select(words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>())
    };
    let option = prop_oneof![
        (Just("mode"), one_of(&["upsert", "insert", "ignore", "replace", "delete"])),
        (Just("delimiter"), characters()),
        (Just("quote"), characters()),
        (Just("escape"), characters()),
        (Just("comment"), characters()),
        (Just("encoding"), one_of(&["utf-8", "latin1", "cp932", "utf-16"])),
        (Just("null"), "[a-zN\\\\#\"]{0,3}|無"),
        (Just("header"), one_of(&["true", "false"])),
        (Just("columns"), "[a-z]{1,3}(,[a-z]{1,3}){0,3}"),
        (Just("extra-columns"), one_of(&["ignore", "refuse"])),
        (Just("numbers"), one_of(&["plain", "1,234.5", "1.234,5"])),
        (Just("max-rejects"), limit()),
        (Just("max-deletes"), limit()),
        (Just("atomic"), one_of(&["true", "false"])),
        (Just("dry-run"), one_of(&["true", "false"])),
    ];
    prop::collection::vec(option, 0..8).prop_map(|options| {
        options.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
    })
}

proptest! {
    /// The options in a report, declared for a prefix, make another import do the same.
    #[test]
    fn options_as_json_are_read_as_the_same_options(metadata in any_options()) {
        let Ok(options) = read(&Defaults::none(), "imports/t/a", &metadata) else { return Ok(()) };
        let json = serde_json::json!({ "imports/t/": options.to_json() });
        let defaults = Defaults::parse(&json.to_string()).unwrap();
        let found = read(&defaults, "imports/t/a", &BTreeMap::new());
        prop_assert_eq!(found, Ok(options));
    }

    /// Options are read from any text without a panic.
    #[test]
    fn any_metadata_is_read_or_refused(
        metadata in prop::collection::btree_map("[a-z-]{1,12}|mode|null|columns|quote", any::<String>(), 0..4),
        json in any::<String>(),
    ) {
        match read(&Defaults::none(), "imports/t/a", &metadata) {
            Ok(_) => {}
            Err(error) => prop_assert!(!error.faults.is_empty()),
        }
        let is_object = json.trim_start().as_bytes().first() == Some(&b'\x7b');
        prop_assert!(is_object || Defaults::parse(&json).is_err());
    }
}
