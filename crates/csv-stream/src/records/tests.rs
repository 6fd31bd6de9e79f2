use super::*;
use crate::encoding::for_label;

fn read(dialect: &Dialect, label: &str, pieces: &[&[u8]]) -> Vec<Record> {
    let encoding = Encoding { charset: for_label(label).unwrap(), has_mark: false };
    let mut reader = Records::new(dialect.clone(), encoding);
    let mut records = Vec::new();
    for piece in pieces {
        reader.push(piece, &mut records);
    }
    reader.finish(&mut records);
    records
}

fn show(content: &Content) -> String {
    match content {
        Content::Fields(fields) => fields
            .iter()
            .map(|field| field.map_or("-".to_owned(), |field| format!("{field:?}")))
            .collect::<Vec<_>>()
            .join(" "),
        other => format!("{other:?}"),
    }
}

/// Each record as `line@offset raw [fields]`.
fn check_in(dialect: &Dialect, label: &str, file: &[u8], expected: &[&str]) {
    let encoding = Encoding { charset: for_label(label).unwrap(), has_mark: false };
    let show = |record: &Record| {
        let raw = encoding.decode(&record.raw);
        format!("{}@{} {raw} [{}]", record.line, record.byte_offset, show(&record.content))
    };
    let found: Vec<_> = read(dialect, label, &[file]).iter().map(show).collect();
    assert_eq!(found, expected);
    let bytes: Vec<_> = file.iter().map(std::slice::from_ref).collect();
    assert_eq!(read(dialect, label, &bytes), read(dialect, label, &[file]));
}

fn check(file: &[u8], expected: &[&str]) {
    check_in(&Dialect::default(), "utf-8", file, expected);
}

#[test]
fn records_tell_where_they_stand() {
    check(
        b"id,name\n1,a\n2,b\n",
        &["1@0 id,name [\"id\" \"name\"]", "2@8 1,a [\"1\" \"a\"]", "3@12 2,b [\"2\" \"b\"]"],
    );
    check(b"id\r\n1\r\n\r\n2", &["1@0 id [\"id\"]", "2@4 1 [\"1\"]", "4@9 2 [\"2\"]"]);
    check(b"id\r1\r\r2\r", &["1@0 id [\"id\"]", "2@3 1 [\"1\"]", "4@6 2 [\"2\"]"]);
    check(
        b"a\n\"x\r\ny\",z\r\nb\n",
        &["1@0 a [\"a\"]", "2@2 \"x\r\ny\",z [\"x\\r\\ny\" \"z\"]", "4@12 b [\"b\"]"],
    );
    check(b"", &[]);
    check(b"\n\r\n\r", &[]);
}

#[test]
fn a_quoted_empty_field_is_not_a_bare_one() {
    check(
        b"a,,\"\",\"b\"\"c\",\"\",\n",
        &["1@0 a,,\"\",\"b\"\"c\",\"\", [\"a\" - \"\" \"b\\\"c\" \"\" -]"],
    );
    check(b"5\" pipe,,\"\"\n", &["1@0 5\" pipe,,\"\" [\"5\\\" pipe\" - \"\"]"]);
}

#[test]
fn a_null_token_counts_without_quotes_only() {
    let dialect = Dialect { null: Some("\\N".into()), ..Dialect::default() };
    check_in(
        &dialect,
        "utf-8",
        b"\\N,\"\\N\",\\n\n",
        &["1@0 \\N,\"\\N\",\\n [- \"\\\\N\" \"\\\\n\"]"],
    );
}

#[test]
fn marks_are_what_they_are_set_to() {
    let dialect = Dialect {
        delimiter: b'\t',
        quote: Some(b'\''),
        escape: Some(b'\\'),
        comment: Some(b'#'),
        null: None,
    };
    check_in(
        &dialect,
        "utf-8",
        b"# who\na\t'b\\'\tc'\t#d\n#\n'#e'\n#end",
        &["2@6 a\t'b\\'\tc'\t#d [\"a\" \"b'\\tc\" \"#d\"]", "4@21 '#e' [\"#e\"]"],
    );
    let dialect = Dialect { quote: None, ..Dialect::default() };
    check_in(&dialect, "utf-8", b"\"a,\"\n", &["1@0 \"a,\" [\"\\\"a\" \"\\\"\"]"]);
}

#[test]
fn marks_within_characters_are_none() {
    // 表 ends with 0x5C (a backslash), 噂 with 0x5C, ポ with 0x7C (a bar).
    let dialect = Dialect { delimiter: b'|', escape: Some(b'\\'), ..Dialect::default() };
    check_in(
        &dialect,
        "shift_jis",
        b"\x95\x5c|\"\x95\x5c\"|\x83\x7c\n",
        &["1@0 表|\"表\"|ポ [\"表\" \"表\" \"ポ\"]"],
    );
    check_in(
        &Dialect::default(),
        "utf-16le",
        b"a\0,\0\n\x0d\r\0\n\0b\0",
        &["1@0 a,\u{d0a} [\"a\" \"\u{d0a}\"]", "2@10 b [\"b\"]"],
    );
}

#[test]
fn bytes_that_are_no_character_spoil_their_record_only() {
    check(
        b"a\nb\xffc\nd\n",
        &["1@0 a [\"a\"]", "2@2 b\u{fffd}c [Malformed { byte_offset: 3 }]", "3@6 d [\"d\"]"],
    );
    check_in(
        &Dialect::default(),
        "shift_jis",
        b"a\n\"\x95\",b\nc\n",
        &["1@0 a [\"a\"]", "2@2 \"\u{fffd}\",b [Malformed { byte_offset: 3 }]", "3@8 c [\"c\"]"],
    );
    check_in(
        &Dialect::default(),
        "utf-16be",
        b"\0a\0\n\0",
        &["1@0 a [\"a\"]", "2@4 \u{fffd} [Malformed { byte_offset: 4 }]"],
    );
}

#[test]
fn a_quote_that_is_never_closed_is_reported() {
    check(b"a\n\"b\nc\n", &["1@0 a [\"a\"]", "2@2 \"b\nc\n [Unclosed]"]);
    check(b"a\n\"b\"", &["1@0 a [\"a\"]", "2@2 \"b\" [\"b\"]"]);
}

#[test]
fn what_is_quoted_in_part_is_not_guessed() {
    check(
        b"1,\"a \"b\" c\"\n\"d\" ,2\n3,e \"f\"\n",
        &[
            "1@0 1,\"a \"b\" c\" [Misquoted { field: 1 }]",
            "2@12 \"d\" ,2 [\"d \" \"2\"]",
            "3@19 3,e \"f\" [\"3\" \"e \\\"f\\\"\"]",
        ],
    );
}

#[test]
fn a_record_that_is_too_long_spoils_no_other() {
    for (begin, long, content) in [
        ("", "x", Content::TooLong { quote_line: None }),
        ("", ",", Content::TooLong { quote_line: None }),
        ("", "\"\"", Content::TooLong { quote_line: None }),
        ("1,\"a\nb\",\"", "x\n", Content::TooLong { quote_line: Some(3) }),
    ] {
        let long = long.repeat(3 * RECORD_BYTES_MAX / long.len());
        let file = format!("a,b\n{begin}{long}\n1,2\n");
        let records = read(&Dialect::default(), "utf-8", &[file.as_bytes()]);
        assert_eq!(records[1].content, content);
        assert_eq!(records[1].raw.len(), RECORD_BYTES_MAX);
        let next = records.get(2).map(|record| show(&record.content));
        assert_eq!(next.as_deref(), begin.is_empty().then_some("\"1\" \"2\""));
    }
}

#[test]
fn a_record_that_is_too_long_is_reported_before_its_end() {
    let encoding = Encoding { charset: for_label("utf-8").unwrap(), has_mark: false };
    let mut reader = Records::new(Dialect::default(), encoding);
    let mut records = Vec::new();
    reader.push(&vec![b'x'; RECORD_BYTES_MAX + 1], &mut records);
    assert_eq!(records.len(), 1);
    assert_eq!(records[0].content, Content::TooLong { quote_line: None });
    // Once only, however long it is.
    reader.push(&vec![b'x'; 2 * RECORD_BYTES_MAX], &mut records);
    reader.push(b"\n1\n", &mut records);
    let contents: Vec<_> = records.iter().skip(1).map(|record| show(&record.content)).collect();
    assert_eq!(contents, ["\"1\""]);
}

#[test]
fn a_line_is_no_open_quote_however_long_it_is() {
    // In quotes or not, it ends some time.
    for long in ["x".repeat(2 * OPEN_BYTES_MAX), format!("\"{}\"", "x".repeat(2 * OPEN_BYTES_MAX))]
    {
        let encoding = Encoding { charset: for_label("utf-8").unwrap(), has_mark: false };
        let mut reader = Records::new(Dialect::default(), encoding);
        let mut records = Vec::new();
        reader.push(format!("{long}\n1\n").as_bytes(), &mut records);
        assert_eq!((records.len(), reader.unclosed()), (2, None));
    }
}

#[test]
fn the_first_end_of_a_line_is_known() {
    let check = |file: &[u8], expected: Option<LineEnd>| {
        for piece in [1, file.len()] {
            let encoding = Encoding { charset: for_label("utf-8").unwrap(), has_mark: false };
            let mut reader = Records::new(Dialect::default(), encoding);
            file.chunks(piece).for_each(|piece| reader.push(piece, &mut Vec::new()));
            reader.finish(&mut Vec::new());
            assert_eq!(reader.line_end(), expected, "{}", file.escape_ascii());
        }
    };
    check(b"id\n1\r\n", Some(LineEnd::Lf));
    check(b"id\r\n1\n", Some(LineEnd::CrLf));
    check(b"id\r1\r\n2\r\n", Some(LineEnd::Cr));
    check(b"\"a\r\nb\"\n1", Some(LineEnd::Lf));
    check(b"id", None);
}
