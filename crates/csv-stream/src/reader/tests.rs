use proptest::prelude::*;

use super::*;
use crate::compressed;
use crate::encoding::for_label;
use crate::records::{Content, RECORD_BYTES_MAX};

/// Reads a file that comes in pieces of these sizes, one after the other and again.
fn read(
    dialect: &Dialect,
    declared: Option<Charset>,
    file: &[u8],
    pieces: &[usize],
) -> Result<(Vec<Record>, Option<Encoding>), ReadError> {
    let mut reader = Reader::new(dialect.clone(), declared);
    let mut records = Vec::new();
    let (mut rest, mut pieces) = (file, pieces.iter().cycle());
    // Each turn takes a byte or gives some: without an end, this count would end it.
    for _ in 0..10 * file.len() + 100_000 {
        match reader.read(&mut records)? {
            Next::Again => {}
            Next::Input if rest.is_empty() => reader.end(),
            Next::Input => {
                let piece = (*pieces.next().unwrap()).clamp(1, rest.len());
                reader.push(&rest[..piece]);
                rest = &rest[piece..];
            }
            Next::End => return Ok((records, reader.encoding())),
        }
    }
    panic!("the reader does not end");
}

#[test]
fn short_files_are_files() {
    let check = |file: &[u8], expected: usize| {
        let (records, _) = read(&Dialect::default(), None, file, &[1]).unwrap();
        assert_eq!(records.len(), expected, "{}", file.escape_ascii());
    };
    check(b"", 0);
    check(b"a", 1);
    check(b"\xef\xbb\xbf", 0);
    check(b"\xef\xbb\xbfa", 1);
    check(b"\xff\xfe", 0);
    check(b"\xff\xfea\0", 1);
    check(&compressed(Some(Compression::Gzip), b""), 0);
    check(&compressed(Some(Compression::Zstd), b"a\nb"), 2);
}

#[test]
fn places_count_the_byte_order_mark() {
    let (records, encoding) =
        read(&Dialect::default(), None, b"\xef\xbb\xbfid\n1\n", &[100]).unwrap();
    let offsets: Vec<_> = records.iter().map(|record| record.byte_offset).collect();
    assert_eq!(offsets, [3, 6]);
    assert!(encoding.unwrap().has_mark);
}

#[test]
fn the_records_of_a_block_are_bounded() {
    let file = b"a\n".repeat(4 * 1024 * 1024);
    let mut reader = Reader::new(Dialect::default(), None);
    reader.push(&file);
    let mut records = Vec::new();
    let mut total = 0;
    while reader.read(&mut records).unwrap() == Next::Again {
        assert!(records.len() <= BLOCK_BYTES / 2);
        total += records.len();
        records.clear();
    }
    assert_eq!(total, 4 * 1024 * 1024);
}

#[test]
fn a_quote_that_stays_open_ends_the_file_whatever_its_lines_are() {
    let check = |label: &str, line_end: &str| {
        let rows = format!("1,a{line_end}").repeat(2 * 1024 * 1024);
        let file = format!("id,name{line_end}1,\"a{line_end}b\"{line_end}2,\"{rows}");
        let charset = for_label(label);
        let file = Encoding { charset: charset.unwrap(), has_mark: false }.encode(&file);
        let error = read(&Dialect::default(), charset, &file, &[1_000_001]);
        assert_eq!(error, Err(ReadError::Unclosed { line: 4 }), "{label} {line_end:?}");
    };
    check("utf-8", "\n");
    check("utf-8", "\r");
    check("utf-8", "\r\n");
    check("utf-16le", "\n");
    check("shift_jis", "\r\n");
}

/// Any dialect whose marks differ.
fn dialects() -> impl Strategy<Value = Dialect> {
    (
        prop::sample::select(b",;\t|".to_vec()),
        prop::sample::select(b"\"'".to_vec()),
        prop::option::of(Just(b'\\')),
        prop::option::of(Just(b'#')),
        prop::option::of(prop::sample::select(vec!["\\N", "NA", "表"])),
    )
        .prop_map(|(delimiter, quote, escape, comment, null)| Dialect {
            delimiter,
            quote: Some(quote),
            escape,
            comment,
            null: null.map(str::to_owned),
        })
}

/// Encodings, whether they need a declaration, and whether they have a mark.
fn encodings() -> impl Strategy<Value = (Option<Charset>, Encoding)> {
    let encoding =
        |label: &str, has_mark| Encoding { charset: for_label(label).unwrap(), has_mark };
    prop::sample::select(vec![
        (None, encoding("utf-8", false)),
        (None, encoding("utf-8", true)),
        (None, encoding("utf-16le", true)),
        (None, encoding("utf-16be", true)),
        (for_label("utf-16le"), encoding("utf-16le", false)),
        (for_label("cp932"), encoding("shift_jis", false)),
        (for_label("gb18030"), encoding("gb18030", false)),
        (for_label("iso-2022-jp"), encoding("iso-2022-jp", false)),
        (for_label("big5"), encoding("big5", false)),
    ])
}

/// Cells that try every mark, and characters that all these encodings have; `None` is NULL.
fn cells() -> impl Strategy<Value = Option<String>> {
    let parts = vec![
        "a", "0", "表", "日", "N", "\\N", "NA", ",", ";", "\t", "|", "\"", "'", "\\", "#", "\n",
        "\r", "\r\n", " ",
    ];
    prop::option::of(
        prop::collection::vec(prop::sample::select(parts), 0..6).prop_map(|p| p.concat()),
    )
}

fn compressions() -> impl Strategy<Value = Option<Compression>> {
    prop::sample::select(vec![
        None,
        Some(Compression::Gzip),
        Some(Compression::Zstd),
        Some(Compression::Bzip2),
    ])
}

fn write(dialect: &Dialect, line_ends: &[&str], rows: &[Vec<Option<String>>]) -> String {
    let mut file = String::new();
    for (row, line_end) in rows.iter().zip(line_ends.iter().cycle()) {
        let fields: Vec<_> = row
            .iter()
            .map(|cell| match cell {
                None => dialect.null.clone().unwrap_or_default(),
                // Every text may be in quotes, and some must be.
                Some(text) if text.len() % 3 == 0 => {
                    let quote = char::from(dialect.quote.unwrap());
                    let field = dialect.field(text);
                    if field.starts_with(quote) {
                        field.into_owned()
                    } else {
                        let escape = dialect.escape.map(|escape| char::from(escape).to_string());
                        let text = match &escape {
                            Some(escape) => text.replace(escape, &escape.repeat(2)),
                            None => text.clone(),
                        };
                        format!("{quote}{text}{quote}")
                    }
                }
                Some(text) => dialect.field(text).into_owned(),
            })
            .collect();
        file.push_str(&fields.join(&char::from(dialect.delimiter).to_string()));
        file.push_str(line_end);
    }
    file
}

/// Returns whether the bytes between two records of a file, or before and after them, are ends of
/// lines, empty lines and comments, and nothing else.
fn is_skippable(dialect: &Dialect, encoding: Encoding, gap: &[u8]) -> bool {
    let text = encoding.decode(gap);
    text.split(['\r', '\n']).all(|line| {
        line.is_empty()
            || dialect.comment.is_some_and(|mark| line.as_bytes().first() == Some(&mark))
    })
}

/// Bytes that have a meaning somewhere, or any.
fn files() -> impl Strategy<Value = Vec<u8>> {
    let marks = b"ab,;\"'\\#\n\r\0\xef\xbb\xbf\xff\xfe\x95\x5c\x1b$B(J";
    prop_oneof![
        prop::collection::vec(prop::sample::select(marks.to_vec()), 0..300),
        prop::collection::vec(any::<u8>(), 0..300),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    /// Any bytes: each is in one record, or in a comment, an empty line or an end of line.
    #[test]
    fn no_byte_of_a_file_is_lost(
        dialect in dialects(),
        has_quotes in any::<bool>(),
        (declared, _) in encodings(),
        file in files(),
        pieces in prop::collection::vec(1_usize..40, 1..8),
    ) {
        let dialect = Dialect { quote: dialect.quote.filter(|_| has_quotes), ..dialect };
        prop_assume!(Compression::of(&file).is_none());
        let Ok((records, Some(encoding))) = read(&dialect, declared, &file, &pieces) else {
            return Ok(());
        };
        let mut end = encoding.mark().len();
        for record in &records {
            let offset = usize::try_from(record.byte_offset).unwrap();
            prop_assert!(offset >= end, "records do not overlap");
            let gap = &file[end..offset];
            prop_assert!(is_skippable(&dialect, encoding, gap), "{:?} is lost", gap);
            end = offset + record.raw.len();
            prop_assert_eq!(&file[offset..end], &record.raw[..]);
        }
        let gap = &file[end..];
        prop_assert!(is_skippable(&dialect, encoding, gap), "{:?} is lost", gap);
    }

    /// Any bytes, gone on with at any record: the same records from there on.
    #[test]
    fn reading_goes_on_at_any_record(
        dialect in dialects(),
        (declared, _) in encodings(),
        file in files(),
        at in any::<prop::sample::Index>(),
        piece in 1_usize..40,
    ) {
        prop_assume!(Compression::of(&file).is_none());
        let Ok((records, Some(encoding))) = read(&dialect, declared, &file, &[file.len()]) else {
            return Ok(());
        };
        prop_assume!(!records.is_empty());
        let at = at.index(records.len());
        let position = records[at].position();
        let mut reader = Reader::at(dialect, encoding, position);
        let mut rest = file[usize::try_from(position.byte_offset).unwrap()..].chunks(piece);
        let mut found = Vec::new();
        loop {
            match reader.read(&mut found).unwrap() {
                Next::Again => {}
                Next::Input => match rest.next() {
                    Some(piece) => reader.push(piece),
                    None => reader.end(),
                },
                Next::End => break,
            }
        }
        prop_assert_eq!(reader.encoding(), Some(encoding));
        prop_assert_eq!(&found, &records[at..]);
    }

    /// Any table, written in any dialect and encoding, compressed or not, and cut anywhere: the
    /// same cells.
    #[test]
    fn what_was_written_is_read(
        dialect in dialects(),
        (declared, encoding) in encodings(),
        compression in compressions(),
        rows in prop::collection::vec(prop::collection::vec(cells(), 2..5), 0..12),
        line_ends in prop::collection::vec(prop::sample::select(vec!["\n", "\r\n", "\r"]), 1..4),
        pieces in prop::collection::vec(1_usize..300, 1..8),
    ) {
        let text = write(&dialect, &line_ends, &rows);
        let content = [encoding.mark(), encoding.encode(&text)].concat();
        let file = compressed(compression, &content);
        let (records, found) = read(&dialect, declared, &file, &pieces).unwrap();
        if !content.is_empty() {
            prop_assert_eq!(found, Some(encoding));
        }
        let cells = |record: &Record| match &record.content {
            Content::Fields(fields) => {
                Ok(fields.iter().map(|field| field.map(str::to_owned)).collect::<Vec<_>>())
            }
            other => Err(other.clone()),
        };
        let found: Vec<_> = records.iter().map(cells).collect();
        let expected: Vec<_> = rows.iter().cloned().map(Ok).collect();
        prop_assert_eq!(found, expected);
        // Each record stands in the file where it says.
        for record in &records {
            let offset = usize::try_from(record.byte_offset).unwrap();
            prop_assert_eq!(&content[offset..offset + record.raw.len()], &record.raw[..]);
        }
    }

    /// Any bytes, cut anywhere: the same records, in order and apart, and never a panic or a hang.
    #[test]
    fn any_bytes_are_read_the_same_however_they_are_cut(
        dialect in dialects(),
        (declared, _) in encodings(),
        file in prop_oneof![
            prop::collection::vec(prop::sample::select(b"ab,;\"'\\#\n\r\0\xef\xbb\xbf\xff\xfe\x95\x5c".to_vec()), 0..300),
            prop::collection::vec(any::<u8>(), 0..300),
        ],
        pieces in prop::collection::vec(1_usize..40, 1..8),
    ) {
        let whole = read(&dialect, declared, &file, &[file.len()]);
        let cut = read(&dialect, declared, &file, &pieces);
        prop_assert_eq!(&cut, &whole);
        if let Ok((records, _)) = whole {
            let mut end = 0;
            for record in &records {
                let offset = usize::try_from(record.byte_offset).unwrap();
                prop_assert!(offset >= end, "records do not overlap");
                end = offset + record.raw.len();
                prop_assert!(end <= file.len() && record.raw.len() <= RECORD_BYTES_MAX);
                prop_assert_eq!(&file[offset..end], &record.raw[..]);
            }
        }
    }

    /// Bytes that begin like a compressed file.
    #[test]
    fn any_damage_ends_in_an_error_or_in_records(
        compression in compressions(),
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
        cut in any::<prop::sample::Index>(),
        pieces in prop::collection::vec(1_usize..40, 1..8),
    ) {
        let mut file = compressed(compression, &b"id,name\n1,\"a\"\n".repeat(20));
        for (offset, byte) in &damage {
            let offset = offset.index(file.len());
            file[offset] = *byte;
        }
        file.truncate(cut.index(file.len()) + 1);
        let whole = read(&Dialect::default(), None, &file, &[file.len()]);
        let cut = read(&Dialect::default(), None, &file, &pieces);
        prop_assert_eq!(whole.is_ok(), cut.is_ok());
    }

    /// The reader and the `csv` crate read the same fields, except where the quotes are ambiguous.
    #[test]
    fn fields_are_those_of_the_csv_crate(
        file in prop::collection::vec(prop::sample::select(b"ab,\" \n\r".to_vec()), 0..60),
    ) {
        let reader = csv::ReaderBuilder::new().has_headers(false).flexible(true).from_reader(&file[..]);
        let expected: Vec<Vec<String>> = reader
            .into_records()
            .map(|record| record.unwrap().iter().map(str::to_owned).collect())
            .collect();
        let (records, _) = read(&Dialect::default(), None, &file, &[7]).unwrap();
        prop_assert_eq!(records.len(), expected.len());
        let last = records.len().saturating_sub(1);
        for (number, (record, expected)) in records.iter().zip(expected).enumerate() {
            match &record.content {
                Content::Fields(fields) => {
                    let found: Vec<_> = fields.iter().map(Option::unwrap_or_default).collect();
                    prop_assert_eq!(found, expected);
                }
                Content::Misquoted { field } => prop_assert!(*field < expected.len()),
                other => {
                    prop_assert_eq!(other, &Content::Unclosed);
                    prop_assert_eq!(number, last);
                }
            }
        }
    }
}
