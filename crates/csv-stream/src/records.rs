//! Makes records of lines.
//!
//! Pure. Built on `csv-core`, the parser inside the `csv` crate; what that one does not keep is
//! kept here: where a record stands, how it stood there, and which of its empty fields were in
//! quotes. Holds one record at a time, and cuts what is too long to be one.

use csv_core::ReadRecordResult;

use crate::dialect::Dialect;
use crate::encoding::Encoding;
use crate::fields::{are_quotes_sound, open_quote, spans};
use crate::lines::{Line, Lines};

/// Most bytes of one record, its line end included. A longer one is rejected; only its beginning is
/// kept.
pub const RECORD_BYTES_MAX: usize = 512 * 1024;

/// The most bytes of a record with an open quote: a quote that is not closed by then is reported as
/// never closed.
pub const OPEN_BYTES_MAX: usize = 4 * 1024 * 1024;

/// One record of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// The line on which it begins, from 1.
    pub line: u64,
    /// The offset of its first byte, from 0.
    pub byte_offset: u64,
    /// The bytes of the file, without the line end.
    pub raw: Vec<u8>,
    pub content: Content,
}

impl Record {
    pub fn position(&self) -> FilePosition {
        FilePosition { byte_offset: self.byte_offset, line: self.line }
    }
}

/// A position in a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FilePosition {
    /// Counted from 0.
    pub byte_offset: u64,
    /// Counted from 1.
    pub line: u64,
}

/// The content of a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Content {
    Fields(Fields),
    /// More than [`RECORD_BYTES_MAX`].
    TooLong {
        /// The line of a quote that is open where they end.
        quote_line: Option<u64>,
    },
    /// Bytes that are no character of the file's encoding, the first of them here.
    Malformed {
        byte_offset: u64,
    },
    /// A quote was opened, and the file ended.
    Unclosed,
    /// In this field, counted from 0, bytes follow the closing quote: its value is ambiguous.
    Misquoted {
        field: usize,
    },
}

/// The fields of a record, one text after the other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fields {
    text: String,
    ends: Vec<FieldEnd>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct FieldEnd {
    end: usize,
    is_null: bool,
}

impl Fields {
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// The number of bytes of all fields.
    pub fn text_bytes(&self) -> usize {
        self.text.len()
    }

    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// The fields; `None` is NULL.
    pub fn iter(&self) -> impl Iterator<Item = Option<&str>> {
        let mut start = 0;
        self.ends.iter().map(move |field| {
            let text = self.text.get(start..field.end).unwrap_or_default();
            start = field.end;
            (!field.is_null).then_some(text)
        })
    }
}

/// The line end of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LineEnd {
    Cr,
    Lf,
    CrLf,
}

impl LineEnd {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Cr => "\r",
            Self::Lf => "\n",
            Self::CrLf => "\r\n",
        }
    }
}

/// Cuts a file into records, however its bytes arrive.
#[derive(Debug)]
pub struct Records {
    encoding: Encoding,
    lines: Lines,
    assembly: Assembly,
}

impl Records {
    pub fn new(dialect: Dialect, encoding: Encoding) -> Self {
        Self { encoding, lines: Lines::new(encoding), assembly: Assembly::new(dialect, encoding) }
    }

    /// Goes on at the beginning of a record.
    pub fn at(dialect: Dialect, encoding: Encoding, position: FilePosition) -> Self {
        let mut assembly = Assembly::new(dialect, encoding);
        assembly.line = position.line;
        Self { encoding, lines: Lines::at(encoding, position.byte_offset), assembly }
    }

    pub fn encoding(&self) -> Encoding {
        self.encoding
    }

    /// The position of the next byte.
    pub fn position(&self) -> FilePosition {
        FilePosition { byte_offset: self.lines.byte_offset(), line: self.assembly.line }
    }

    /// The line of a quote that was not closed within [`OPEN_BYTES_MAX`].
    pub fn unclosed(&self) -> Option<u64> {
        self.assembly.unclosed
    }

    /// The end of the first record's line, once a second one began.
    pub fn line_end(&self) -> Option<LineEnd> {
        self.assembly.line_end
    }

    /// Takes the next bytes of the file (its byte order mark is before them), and adds the records
    /// that end in them, or become too long.
    pub fn push(&mut self, block: &[u8], records: &mut Vec<Record>) {
        let mut at = self.lines.byte_offset();
        self.lines.push(block, |line| {
            let bytes = line.bytes.len() as u64;
            self.assembly.line(&line, at, records);
            at += bytes;
        });
    }

    /// Adds the last record, where the file does not end with a line end.
    pub fn finish(&mut self, records: &mut Vec<Record>) {
        let at = self.lines.byte_offset();
        self.lines.finish(|line| self.assembly.line(&line, at, records));
        self.assembly.finish(records);
    }
}

/// Makes records of lines.
#[derive(Debug)]
struct Assembly {
    dialect: Dialect,
    encoding: Encoding,
    parser: csv_core::Reader,
    fields: Vec<u8>,
    fields_len: usize,
    ends: Vec<usize>,
    ends_len: usize,
    /// `None` between records.
    current: Option<Span>,
    is_in_comment: bool,
    /// The next line's number.
    line: u64,
    is_after_cr: bool,
    /// The number of records so far.
    records: u64,
    line_end: Option<LineEnd>,
    unclosed: Option<u64>,
}

/// The record that is being read.
#[derive(Debug, Default)]
struct Span {
    line: u64,
    byte_offset: u64,
    bytes: u64,
    /// Its bytes, as far as they are kept.
    raw: Vec<u8>,
    /// The same in UTF-8, where the file is not.
    text: Vec<u8>,
    malformed_at: Option<u64>,
    /// It was reported as too long: its other bytes are passed over.
    is_reported: bool,
    /// The line of a quote that was open when it was reported.
    quote_line: Option<u64>,
}

impl Span {
    fn is_too_long(&self) -> bool {
        self.bytes > RECORD_BYTES_MAX as u64
    }

    /// The record as far as it is kept.
    fn report(&mut self, encoding: Encoding, dialect: &Dialect) -> Record {
        let text = if encoding.is_utf_8() { &self.raw } else { &self.text };
        self.quote_line =
            open_quote(text, dialect).map(|index| self.line + line_ends(&text[..index]));
        self.is_reported = true;
        self.text = Vec::new();
        Record {
            line: self.line,
            byte_offset: self.byte_offset,
            raw: std::mem::take(&mut self.raw),
            content: Content::TooLong { quote_line: self.quote_line },
        }
    }
}

/// Returns whether a line, or a part of one, ends with its end.
fn is_ended(text: &[u8]) -> bool {
    matches!(text, [.., b'\r' | b'\n'])
}

/// The ends of lines in a text. CRLF is one.
fn line_ends(text: &[u8]) -> u64 {
    let is_end = |index: usize, byte: u8| {
        byte == b'\r' || byte == b'\n' && (index == 0 || text[index - 1] != b'\r')
    };
    text.iter().enumerate().filter(|(index, byte)| is_end(*index, **byte)).count() as u64
}

impl Assembly {
    fn new(dialect: Dialect, encoding: Encoding) -> Self {
        let mut parser = csv_core::ReaderBuilder::new()
            .delimiter(dialect.delimiter)
            .quoting(dialect.quote.is_some())
            .quote(dialect.quote.unwrap_or(b'"'))
            .escape(dialect.escape)
            .build();
        // It drops a byte order mark before the first byte that it reads. Ours is gone already, and
        // another one is content.
        parser.read_record(b"\n", &mut [0], &mut [0]);
        Self {
            dialect,
            encoding,
            parser,
            fields: vec![0; 4 * 1024],
            fields_len: 0,
            ends: vec![0; 64],
            ends_len: 0,
            current: None,
            is_in_comment: false,
            line: 1,
            is_after_cr: false,
            records: 0,
            line_end: None,
            unclosed: None,
        }
    }

    /// Takes a line, or a part of one, that begins at this offset of the file.
    fn line(&mut self, line: &Line<'_>, byte_offset: u64, records: &mut Vec<Record>) {
        let number = self.count(line.text);
        if self.current.is_none() {
            if self.is_skipped(line.text) {
                return;
            }
            self.current = Some(Span { line: number, byte_offset, ..Span::default() });
        }
        if let Some(span) = &mut self.current {
            span.bytes += line.bytes.len() as u64;
            if !span.is_reported {
                span.malformed_at = span.malformed_at.or(line.malformed_at);
                let room = RECORD_BYTES_MAX.saturating_sub(span.raw.len());
                span.raw.extend_from_slice(line.bytes.get(..room).unwrap_or(line.bytes));
                if !self.encoding.is_utf_8() && !span.is_too_long() {
                    span.text.extend_from_slice(line.text);
                }
                if span.is_too_long() {
                    // It may have no end: who waits for it must know before.
                    records.push(span.report(self.encoding, &self.dialect));
                    self.records += 1;
                }
            }
        }
        let mut rest = line.text;
        while !rest.is_empty() {
            let (_, taken) = self.step(rest, records);
            rest = rest.get(taken..).unwrap_or_default();
        }
        // An end of line that does not end its record stands in quotes.
        if let Some(span) = self.current.as_ref().filter(|span| span.bytes > OPEN_BYTES_MAX as u64)
            && is_ended(line.text)
        {
            self.unclosed.get_or_insert(span.quote_line.unwrap_or(span.line));
        }
    }

    fn finish(&mut self, records: &mut Vec<Record>) {
        // An empty input tells the parser that there is no more.
        while self.step(&[], records).0 != ReadRecordResult::End {}
    }

    /// The number of the line that this text is on; the next one's is kept.
    fn count(&mut self, text: &[u8]) -> u64 {
        let number = self.line;
        match text {
            // The second half of an end of line.
            b"\n" if self.is_after_cr => self.see_second_half(),
            _ if is_ended(text) => self.line += 1,
            _ => {}
        }
        if let Some(last) = text.last() {
            self.is_after_cr = *last == b'\r';
        }
        number
    }

    /// The first record's line ends with both characters.
    fn see_second_half(&mut self) {
        if self.records == 1 && self.current.is_none() && self.line_end == Some(LineEnd::Cr) {
            self.line_end = Some(LineEnd::CrLf);
        }
    }

    /// Returns whether what comes between two records is none: an empty line, or a comment.
    fn is_skipped(&mut self, text: &[u8]) -> bool {
        if self.is_in_comment || (!text.is_empty() && text.first() == self.dialect.comment.as_ref())
        {
            self.is_in_comment = !is_ended(text);
            return true;
        }
        matches!(text, b"\r" | b"\n")
    }

    fn step(&mut self, input: &[u8], records: &mut Vec<Record>) -> (ReadRecordResult, usize) {
        let (result, taken, written, ended) = self.parser.read_record(
            input,
            &mut self.fields[self.fields_len..],
            &mut self.ends[self.ends_len..],
        );
        self.fields_len += written;
        self.ends_len += ended;
        let is_too_long = self.current.as_ref().is_some_and(Span::is_too_long);
        match result {
            ReadRecordResult::InputEmpty | ReadRecordResult::End => {}
            // The bytes of a record that is too long are not kept: the buffers are filled anew.
            ReadRecordResult::OutputFull if is_too_long => self.fields_len = 0,
            ReadRecordResult::OutputEndsFull if is_too_long => self.ends_len = 0,
            ReadRecordResult::OutputFull => self.fields.resize(self.fields.len() * 2, 0),
            ReadRecordResult::OutputEndsFull => self.ends.resize(self.ends.len() * 2, 0),
            ReadRecordResult::Record => {
                if let Some(span) = self.current.take().filter(|span| !span.is_reported) {
                    let record = self.record(span, input.get(..taken));
                    records.push(record);
                }
                (self.fields_len, self.ends_len) = (0, 0);
            }
        }
        (result, taken)
    }

    /// Ends a record with the last of its text.
    fn record(&mut self, mut span: Span, text: Option<&[u8]>) -> Record {
        let line_end = match text.and_then(<[u8]>::last) {
            Some(b'\n') => Some(LineEnd::Lf),
            Some(b'\r') => Some(LineEnd::Cr),
            _ => None,
        };
        self.records += 1;
        if self.records == 1 {
            self.line_end = line_end;
        }
        if line_end.is_some() {
            span.raw.truncate(span.raw.len().saturating_sub(self.encoding.unit_bytes()));
            span.text.truncate(span.text.len().saturating_sub(1));
        }
        let content = self.content(&span);
        Record { line: span.line, byte_offset: span.byte_offset, raw: span.raw, content }
    }

    fn content(&self, span: &Span) -> Content {
        let text = if self.encoding.is_utf_8() { &span.raw } else { &span.text };
        let malformed_at = span.malformed_at.or_else(|| {
            let error = std::str::from_utf8(text).err()?;
            Some(span.byte_offset + error.valid_up_to() as u64)
        });
        if let Some(byte_offset) = malformed_at {
            return Content::Malformed { byte_offset };
        }
        let fields = self.fields.get(..self.fields_len).unwrap_or_default();
        let Ok(fields) = std::str::from_utf8(fields) else {
            return Content::Malformed { byte_offset: span.byte_offset };
        };
        let ends = self.ends.get(..self.ends_len).unwrap_or_default();
        let mut start = 0;
        let mut ends: Vec<FieldEnd> = ends
            .iter()
            .map(|&end| {
                let is_null = self.dialect.is_null(fields.get(start..end).unwrap_or_default());
                start = end;
                FieldEnd { end, is_null }
            })
            .collect();
        let has_quote =
            self.dialect.quote.is_some_and(|quote| memchr::memchr(quote, text).is_some());
        let is_sound = !has_quote || are_quotes_sound(text, &self.dialect);
        if !is_sound || has_quote && ends.iter().any(|field| field.is_null) {
            let spans = spans(text, &self.dialect);
            if spans.is_unclosed {
                return Content::Unclosed;
            }
            if let Some(field) = spans.fields.iter().position(|field| field.is_loose) {
                return Content::Misquoted { field };
            }
            for (field, span) in ends.iter_mut().zip(spans.fields) {
                field.is_null &= !span.is_quoted;
            }
        }
        Content::Fields(Fields { text: fields.to_owned(), ends })
    }
}

#[cfg(test)]
mod tests;
