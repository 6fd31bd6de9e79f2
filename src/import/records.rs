//! CSV: bytes in, records out.
//!
//! Pure. Built on `csv-core`, the parser inside the `csv` crate, since it tells how many bytes each
//! record took: a rejected row comes back exactly as it stood in the file, and an empty field in
//! quotes can be told from one without. Holds one record at a time, and cuts what is too long to be
//! one.

use csv_core::ReadRecordResult;

/// Most bytes of one record. A longer one is rejected; only its beginning is kept.
pub const RECORD_BYTES_MAX: usize = 512 * 1024;

const UTF8_BOM: &[u8] = b"\xef\xbb\xbf";

/// One record of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// The line on which it begins, from 1.
    pub line: u64,
    /// The place of its first byte, from 0.
    pub byte_offset: u64,
    /// As it stands in the file, without its line end.
    pub raw: Vec<u8>,
    pub content: Content,
}

/// What a record holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Content {
    /// `None` is an empty field without quotes.
    Fields(Vec<Option<Vec<u8>>>),
    /// More than [`RECORD_BYTES_MAX`].
    TooLong,
}

/// Cuts a file into records, however its bytes arrive.
#[derive(Debug)]
pub struct Records {
    parser: csv_core::Reader,
    /// The first bytes, until there are enough to see a byte order mark in them.
    head: Option<Vec<u8>>,
    fields: Vec<u8>,
    fields_len: usize,
    ends: Vec<usize>,
    ends_len: usize,
    current: Span,
}

/// The bytes of the record that is being read, line ends before it included.
#[derive(Debug, Default)]
struct Span {
    /// Of its first byte.
    byte_offset: u64,
    line: u64,
    /// All of its bytes, as far as they are kept.
    raw: Vec<u8>,
    bytes: u64,
    line_ends: u64,
}

impl Span {
    fn extend(&mut self, bytes: &[u8]) {
        self.bytes += bytes.len() as u64;
        self.line_ends += count_line_ends(bytes);
        // One byte more than allowed, to see that there are more.
        let room = (RECORD_BYTES_MAX + 1).saturating_sub(self.raw.len());
        self.raw.extend_from_slice(bytes.get(..room).unwrap_or(bytes));
    }

    fn is_too_long(&self) -> bool {
        self.raw.len() > RECORD_BYTES_MAX
    }
}

impl Records {
    pub fn new() -> Self {
        Self {
            parser: csv_core::Reader::new(),
            head: Some(Vec::new()),
            fields: vec![0; 4 * 1024],
            fields_len: 0,
            ends: vec![0; 64],
            ends_len: 0,
            current: Span { line: 1, ..Span::default() },
        }
    }

    /// Takes the next bytes of the file, and adds the records that end in them.
    pub fn push(&mut self, input: &[u8], records: &mut Vec<Record>) {
        match self.head.take() {
            None => self.parse(input, records),
            Some(mut head) => {
                head.extend_from_slice(input);
                if head.len() < UTF8_BOM.len() {
                    self.head = Some(head);
                } else {
                    self.parse(&head, records);
                }
            }
        }
    }

    /// Adds the last record, where the file does not end with a line end.
    pub fn finish(&mut self, records: &mut Vec<Record>) {
        if let Some(head) = self.head.take() {
            self.parse(&head, records);
        }
        // An empty input tells the parser that there is no more.
        while self.step(&[], records).0 != ReadRecordResult::End {}
    }

    fn parse(&mut self, mut input: &[u8], records: &mut Vec<Record>) {
        while !input.is_empty() {
            let (_, taken) = self.step(input, records);
            input = input.get(taken..).unwrap_or_default();
        }
    }

    fn step(&mut self, input: &[u8], records: &mut Vec<Record>) -> (ReadRecordResult, usize) {
        let (result, taken, written, ended) = self.parser.read_record(
            input,
            &mut self.fields[self.fields_len..],
            &mut self.ends[self.ends_len..],
        );
        self.fields_len += written;
        self.ends_len += ended;
        self.current.extend(input.get(..taken).unwrap_or_default());
        match result {
            ReadRecordResult::InputEmpty | ReadRecordResult::End => {}
            // What is too long is not kept: the buffers are filled anew.
            ReadRecordResult::OutputFull if self.current.is_too_long() => self.fields_len = 0,
            ReadRecordResult::OutputEndsFull if self.current.is_too_long() => self.ends_len = 0,
            ReadRecordResult::OutputFull => self.fields.resize(self.fields.len() * 2, 0),
            ReadRecordResult::OutputEndsFull => self.ends.resize(self.ends.len() * 2, 0),
            ReadRecordResult::Record => {
                let record = self.take_record();
                records.push(record);
            }
        }
        (result, taken)
    }

    fn take_record(&mut self) -> Record {
        let next = Span {
            byte_offset: self.current.byte_offset + self.current.bytes,
            line: self.current.line + self.current.line_ends,
            ..Span::default()
        };
        let mut span = std::mem::replace(&mut self.current, next);
        let is_too_long = span.is_too_long();
        span.raw.truncate(RECORD_BYTES_MAX);
        // Before it: the mark at the start of the file, the "\n" of the last "\r\n", blank lines.
        let bom = if span.byte_offset == 0 && span.raw.starts_with(UTF8_BOM) {
            UTF8_BOM.len()
        } else {
            0
        };
        let is_line_end = |byte: &&u8| matches!(byte, b'\r' | b'\n');
        let start = bom + span.raw[bom..].iter().take_while(is_line_end).count();
        let end = span.raw.len() - span.raw[start..].iter().rev().take_while(is_line_end).count();
        let line = span.line + count_line_ends(&span.raw[..start]);
        let raw = span.raw[start..end].to_vec();
        let content =
            if is_too_long { Content::TooLong } else { Content::Fields(self.take_fields(&raw)) };
        (self.fields_len, self.ends_len) = (0, 0);
        Record { line, byte_offset: span.byte_offset + start as u64, raw, content }
    }

    fn take_fields(&self, raw: &[u8]) -> Vec<Option<Vec<u8>>> {
        let mut start = 0;
        let mut fields: Vec<Option<Vec<u8>>> = Vec::with_capacity(self.ends_len);
        for &end in &self.ends[..self.ends_len] {
            let field = self.fields.get(start..end).unwrap_or_default();
            fields.push((!field.is_empty()).then(|| field.to_vec()));
            start = end;
        }
        if fields.contains(&None) && raw.contains(&b'"') {
            for (field, is_quoted) in fields.iter_mut().zip(quoted_fields(raw)) {
                if field.is_none() && is_quoted {
                    *field = Some(Vec::new());
                }
            }
        }
        fields
    }
}

impl Default for Records {
    fn default() -> Self {
        Self::new()
    }
}

fn count_line_ends(bytes: &[u8]) -> u64 {
    memchr::memchr_iter(b'\n', bytes).count() as u64
}

/// Whether each field of a record begins with a quote.
fn quoted_fields(raw: &[u8]) -> Vec<bool> {
    let mut quoted = vec![raw.first() == Some(&b'"')];
    let mut is_inside = false;
    for (place, byte) in raw.iter().enumerate() {
        match byte {
            // A doubled quote goes out and in again.
            b'"' => is_inside = !is_inside,
            b',' if !is_inside => quoted.push(raw.get(place + 1) == Some(&b'"')),
            _ => {}
        }
    }
    quoted
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(pieces: &[&[u8]]) -> Vec<Record> {
        let mut reader = Records::new();
        let mut records = Vec::new();
        for piece in pieces {
            reader.push(piece, &mut records);
        }
        reader.finish(&mut records);
        records
    }

    /// Each record as `line@offset raw [fields]`.
    fn check(file: &[u8], expected: &[&str]) {
        let shown: Vec<_> = read(&[file])
            .iter()
            .map(|record| {
                let fields = match &record.content {
                    Content::TooLong => "too long".to_owned(),
                    Content::Fields(fields) => fields
                        .iter()
                        .map(|field| match field {
                            None => "-".to_owned(),
                            Some(field) => format!("{:?}", String::from_utf8_lossy(field)),
                        })
                        .collect::<Vec<_>>()
                        .join(" "),
                };
                let raw = String::from_utf8_lossy(&record.raw);
                format!("{}@{} {raw} [{fields}]", record.line, record.byte_offset)
            })
            .collect();
        assert_eq!(shown, expected);
    }

    #[test]
    fn records_tell_where_they_stand() {
        check(
            b"id,name\n1,a\n2,b\n",
            &["1@0 id,name [\"id\" \"name\"]", "2@8 1,a [\"1\" \"a\"]", "3@12 2,b [\"2\" \"b\"]"],
        );
        check(b"id\r\n1\r\n\r\n2", &["1@0 id [\"id\"]", "2@4 1 [\"1\"]", "4@9 2 [\"2\"]"]);
        check(
            b"a\n\"x\ny\",z\nb\n",
            &["1@0 a [\"a\"]", "2@2 \"x\ny\",z [\"x\\ny\" \"z\"]", "4@10 b [\"b\"]"],
        );
        check(b"\xef\xbb\xbfid\n1\n", &["1@3 id [\"id\"]", "2@6 1 [\"1\"]"]);
        check(b"", &[]);
        check(b"\n\n", &[]);
    }

    #[test]
    fn a_quoted_empty_field_is_not_a_bare_one() {
        check(
            b"a,,\"\",\"b\"\"c\",\"\",\n",
            &["1@0 a,,\"\",\"b\"\"c\",\"\", [\"a\" - \"\" \"b\\\"c\" \"\" -]"],
        );
    }

    #[test]
    fn a_record_that_is_too_long_spoils_no_other() {
        let mut file = b"a,b\n".to_vec();
        file.extend(std::iter::repeat_n(b'x', 3 * RECORD_BYTES_MAX));
        file.extend(std::iter::repeat_n(b',', RECORD_BYTES_MAX));
        file.extend(b"\n1,2\n");
        let records = read(&[&file]);
        assert_eq!(records[1].content, Content::TooLong);
        assert_eq!(records[1].raw.len(), RECORD_BYTES_MAX);
        assert_eq!(records[2].line, 3);
        assert_eq!(records[2].content, Content::Fields(vec![Some(b"1".into()), Some(b"2".into())]));
    }

    proptest! {
        /// Any bytes, cut anywhere: the same records, and never a panic.
        #[test]
        fn the_cuts_between_pieces_do_not_matter(
            file in prop::collection::vec(prop::sample::select(b"ab,\"\n\r\xef\xbb\xbf".to_vec()), 0..200),
            cut in 0_usize..200,
        ) {
            let (left, right) = file.split_at(cut.min(file.len()));
            prop_assert_eq!(read(&[left, right]), read(&[&file]));
            let bytes: Vec<_> = file.iter().map(std::slice::from_ref).collect();
            prop_assert_eq!(read(&bytes), read(&[&file]));
        }

        /// What the `csv` crate reads is what is read here.
        #[test]
        fn fields_are_those_of_the_csv_crate(
            rows in prop::collection::vec(prop::collection::vec("[a-c,\" \n\r]{0,4}", 2), 0..20)
        ) {
            let mut writer = csv::Writer::from_writer(Vec::new());
            for row in &rows {
                writer.write_record(row).unwrap();
            }
            let file = writer.into_inner().unwrap();
            let found: Vec<Vec<String>> = read(&[&file])
                .into_iter()
                .map(|record| match record.content {
                    Content::Fields(fields) => fields
                        .into_iter()
                        .map(|field| String::from_utf8(field.unwrap_or_default()).unwrap())
                        .collect(),
                    Content::TooLong => unreachable!("rows are short"),
                })
                .collect();
            prop_assert_eq!(found, rows);
        }
    }
}
