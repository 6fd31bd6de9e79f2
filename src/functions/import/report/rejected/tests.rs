use csv_stream::encoding::{Charset, for_label};
use csv_stream::reader::{Next, Reader};
use csv_stream::records::{Content, Record};
use proptest::prelude::*;

use super::*;

fn format(header: &str) -> Format {
    Format {
        dialect: Dialect::default(),
        encoding: Encoding { charset: encoding_rs::UTF_8, has_mark: false },
        line_end: LineEnd::Lf,
        header: Some(header.as_bytes().to_vec()),
        columns: Vec::new(),
    }
}

fn written(format: &Format, records: &[(&[u8], &str)]) -> Vec<u8> {
    let file = RejectedFile::new(format);
    let mut bytes = file.head();
    for (raw, reason) in records {
        file.record(raw, reason, &mut bytes);
    }
    bytes
}

fn check(format: &Format, records: &[(&str, &str)], expected: &str) {
    let records: Vec<_> =
        records.iter().map(|(raw, reason)| (format.encoding.encode(raw), *reason)).collect();
    let records: Vec<_> = records.iter().map(|(raw, reason)| (raw.as_slice(), *reason)).collect();
    let found = written(format, &records);
    assert_eq!(format.encoding.decode(&found), expected);
}

#[test]
fn a_reason_is_added_at_the_end_of_a_record() {
    check(
        &format("id,name"),
        &[("1,x", "name: expected \"y\", found more"), ("\"2\n\",", "expected\r\na value")],
        "id,name,_error\n1,x,\"name: expected \"\"y\"\", found more\"\n\"2\n\",,expected  a value\n",
    );
}

#[test]
fn the_dialect_and_the_encoding_are_those_of_the_source() {
    let excel = Format {
        dialect: Dialect { delimiter: b';', ..Dialect::default() },
        encoding: Encoding { charset: encoding_rs::UTF_16LE, has_mark: true },
        line_end: LineEnd::CrLf,
        header: Some(Encoding { charset: encoding_rs::UTF_16LE, has_mark: true }.encode("id;名前")),
        ..format("")
    };
    check(&excel, &[("1;é", "x;y")], "\u{feff}id;名前;_error\r\n1;é;\"x;y\"\r\n");
    let blanks = Dialect { delimiter: b' ', quote: None, ..Dialect::default() };
    check(
        &Format { dialect: blanks, ..format("a b") },
        &[("1 2", "a b\nc")],
        "a b _error\n1 2 a_b_c\n",
    );
}

#[test]
fn an_old_reason_is_replaced() {
    check(
        &format("id,\"_error\",name"),
        &[("1,old,x", "new, and more"), ("2,\"o,l\"\"d\",", "new")],
        "id,\"_error\",name\n1,\"new, and more\",x\n2,new,\n",
    );
    // With another number of fields than the header, it is not certain which field is the reason.
    check(
        &format("id,name,_error"),
        &[("1,\"expected 2 fields, found 1\"", "expected 3 fields, found 2"), ("1,2,3,4", "x")],
        "id,name,_error\n1,\"expected 2 fields, found 1\"\n1,2,3,4\n",
    );
}

#[test]
fn no_field_is_added_without_a_header() {
    let declared = |header: Option<&str>, columns: &[&str]| Format {
        header: header.map(|header| header.as_bytes().to_vec()),
        columns: columns.iter().map(|name| (*name).to_owned()).collect(),
        ..format("")
    };
    check(&declared(None, &["id", "name"]), &[("1,x", "why"), ("2", "why")], "1,x\n2\n");
    check(&declared(None, &["id", "_error"]), &[("1,", "why")], "1,why\n");
    // With a header, the layout allows one further field.
    check(
        &declared(Some("Nr,Name"), &["id", "name"]),
        &[("1,x", "why")],
        "Nr,Name,_error\n1,x,why\n",
    );
    check(&declared(Some("Nr,Why"), &["id", "_error"]), &[("1,old", "new")], "Nr,Why\n1,new\n");
}

#[test]
fn an_unclosed_quote_extends_to_the_end_of_the_file_again() {
    check(
        &format("id,name"),
        &[("1,x", "why"), ("2,\"x\n3,y\n", "open")],
        "id,name,_error\n1,x,why\n2,\"x\n3,y\n",
    );
}

#[test]
fn half_a_character_does_not_consume_the_delimiter() {
    let shift_jis = Format {
        dialect: Dialect { delimiter: b'|', ..Dialect::default() },
        encoding: Encoding { charset: encoding_rs::SHIFT_JIS, has_mark: false },
        ..format("id|name")
    };
    let found = written(&shift_jis, &[(b"1|\x95", "bad"), (b"2|\xff", "bad")]);
    assert_eq!(found, b"id|name|_error\n1|\x95\n2|\xff|bad\n");
}

#[test]
fn characters_that_cannot_be_encoded_again_keep_their_bytes() {
    let shift_jis = Format {
        encoding: Encoding { charset: encoding_rs::SHIFT_JIS, has_mark: false },
        ..format("id,_error")
    };
    let found = written(&shift_jis, &[(b"\xf0\x5d,old", "new"), (b"2,old", "new")]);
    assert_eq!(found, b"id,_error\n\xf0\x5d,old\n2,new\n");
}

fn read(
    dialect: &Dialect,
    declared: Option<Charset>,
    file: &[u8],
) -> Option<(Vec<Record>, Encoding, LineEnd)> {
    let mut reader = Reader::new(dialect.clone(), declared);
    let mut records = Vec::new();
    reader.push(file);
    reader.end();
    while reader.read(&mut records).ok()? != Next::End {}
    Some((records, reader.encoding()?, reader.line_end().unwrap_or(LineEnd::Lf)))
}

/// Returns the texts of a record's fields; `None` if it has none.
fn fields(record: &Record) -> Option<Vec<Option<String>>> {
    match &record.content {
        Content::Fields(fields) => {
            Some(fields.iter().map(|field| field.map(str::to_owned)).collect())
        }
        Content::TooLong { .. }
        | Content::Malformed { .. }
        | Content::Misquoted { .. }
        | Content::Unclosed => None,
    }
}

fn dialects() -> impl Strategy<Value = Dialect> {
    let quote = prop_oneof![Just(Some(b'"')), Just(Some(b'\'')), Just(None)];
    let escape = prop_oneof![3 => Just(None), 1 => Just(Some(b'\\'))];
    let comment = prop_oneof![Just(None), Just(Some(b'#'))];
    let null = prop_oneof![Just(None), Just(Some("NA".to_owned()))];
    (prop::sample::select(&b",;\t| "[..]), quote, escape, comment, null).prop_map(
        |(delimiter, quote, escape, comment, null)| Dialect {
            delimiter,
            quote,
            escape: escape.filter(|_| quote.is_some()),
            comment,
            null,
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    /// The rejected records of any file, read with its options, are the same records.
    #[test]
    fn rejected_records_are_read_as_the_same_records(
        dialect in dialects(),
        encoding in prop::sample::select(&["utf-8", "shift_jis", "utf-16le", "windows-1252", "gb18030"][..]),
        has_mark in any::<bool>(),
        header in prop::sample::select(&["a,b", "a,_error", "_error,b", "a"][..]),
        tokens in prop::collection::vec(
            prop::sample::select(&[
                "a", "NA", "é", "名", "#", "\\", "\"", "'", ",", ",", ";", "|", " ", "\t", "\n", "\n", "\r\n", "\r",
            ][..]),
            0..40,
        ),
        noise in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..2),
        reason in "[a ,;|\"'#é\\\\\n]{1,8}",
    ) {
        let charset = for_label(encoding).unwrap();
        let can_be_marked = charset == encoding_rs::UTF_8 || charset == encoding_rs::UTF_16LE;
        let encoding = Encoding { charset, has_mark: has_mark && can_be_marked };
        let delimiter = char::from(dialect.delimiter).to_string();
        let mut file = encoding.mark();
        let start = file.len() + encoding.encode(&format!("{header}\n")).len();
        file.extend(encoding.encode(&format!("{}\n", header.replace(',', &delimiter))));
        file.extend(encoding.encode(&tokens.concat()));
        for (index, byte) in noise {
            let index = start + index.index(file.len() - start + 1);
            file.insert(index, byte);
        }
        let declared = Some(charset);
        let Some((records, found, line_end)) = read(&dialect, declared, &file) else { return Ok(()) };
        let Some((first, rejected)) = records.split_first() else { return Ok(()) };
        let names = fields(first).unwrap();
        let format = Format {
            dialect: dialect.clone(),
            encoding: found,
            line_end,
            header: Some(first.raw.clone()),
            columns: Vec::new(),
        };
        let reason = if reason.trim().is_empty() { "why" } else { reason.as_str() };
        let raws: Vec<_> = rejected.iter().map(|record| (record.raw.as_slice(), reason)).collect();
        let back = written(&format, &raws);
        let (back, found_again, _) = read(&dialect, declared, &back).unwrap();
        prop_assert_eq!(found, found_again);
        prop_assert_eq!(back.len(), records.len());
        let index = names.iter().position(|name| name.as_deref() == Some("_error"));
        for (before, after) in rejected.iter().zip(&back[1..]) {
            let (text, _) = charset.decode_without_bom_handling(&before.raw);
            let is_reversible = found.encode(&text) == before.raw;
            match (fields(before), fields(after)) {
                (Some(before), Some(mut after)) => match index {
                    None => {
                        prop_assert!(after.pop().flatten().is_some());
                        prop_assert_eq!(before, after);
                    }
                    Some(index) if before.len() == names.len() && is_reversible => {
                        let mut before = before;
                        prop_assert!(after.get(index).cloned().flatten().is_some());
                        before[index].clone_from(&after[index]);
                        prop_assert_eq!(before, after);
                    }
                    Some(_) => prop_assert_eq!(before, after),
                },
                // The text after the quote may have been in the old reason, which is gone.
                (None, _) if index.is_some() && matches!(before.content, Content::Misquoted { .. }) => {}
                (None, None) => prop_assert!(after.raw.starts_with(&before.raw)),
                (before, after) => prop_assert_eq!(before, after),
            }
        }
    }
}
