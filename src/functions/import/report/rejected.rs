//! `rejected.csv`: the rejected records as they were in their file, each with its reason.
//!
//! Pure. Read with the options of its file, it has exactly the records that were rejected, with the
//! further field `_error`, so that a user can fix it and drop it again. If a reason cannot be added
//! without a change of the record, the record has none; the report has all reasons.

use csv_stream::dialect::Dialect;
use csv_stream::encoding::Encoding;
use csv_stream::fields::spans;
use csv_stream::records::LineEnd;

use crate::functions::import::read::layout::ERROR_COLUMN;

/// The format of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Format {
    pub dialect: Dialect,
    pub encoding: Encoding,
    pub line_end: LineEnd,
    /// The bytes of the header, without its line end; `None` if the file has none.
    pub header: Option<Vec<u8>>,
    /// The names of the fields in the option `columns`; empty without that option.
    pub columns: Vec<String>,
}

/// The writer of a `rejected.csv`.
#[derive(Debug)]
pub(super) struct RejectedFile<'a> {
    format: &'a Format,
    error: ErrorField,
}

/// The field of a record's reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ErrorField {
    /// A further field at the end.
    Added,
    /// The field of the old reason, in a record of this number of fields.
    Replaced { index: usize, fields: usize },
    /// No field: without a header, the option `columns` names all fields of a record.
    None,
}

impl<'a> RejectedFile<'a> {
    /// Makes a writer for the rejected records of a file.
    pub(super) fn new(format: &'a Format) -> Self {
        let index = |names: &[String]| {
            names.iter().position(|name| name.trim().eq_ignore_ascii_case(ERROR_COLUMN))
        };
        let names = format.header.as_ref().map(|header| names(header, format));
        let fields = names.as_ref().map_or(format.columns.len(), Vec::len);
        let declared = || index(&format.columns).filter(|_| format.columns.len() == fields);
        let error = match names.as_deref().and_then(index).or_else(declared) {
            Some(index) => ErrorField::Replaced { index, fields },
            None if names.is_none() => ErrorField::None,
            None => ErrorField::Added,
        };
        Self { format, error }
    }

    /// Returns the encoding of the file.
    pub(super) fn encoding(&self) -> Encoding {
        self.format.encoding
    }

    /// Returns the bytes before the records: the byte order mark and the header.
    pub(super) fn head(&self) -> Vec<u8> {
        let Format { encoding, header, .. } = self.format;
        let mut bytes = encoding.mark();
        if let Some(header) = header {
            bytes.extend_from_slice(header);
            if self.error == ErrorField::Added {
                bytes.extend(encoding.encode(&self.tail(ERROR_COLUMN)));
            }
            bytes.extend(self.line_end());
        }
        bytes
    }

    /// Adds a record and its reason.
    pub(super) fn record(&self, raw: &[u8], reason: &str, bytes: &mut Vec<u8>) {
        let Format { dialect, encoding, .. } = self.format;
        let (text, is_malformed) = encoding.charset.decode_without_bom_handling(raw);
        let spans =
            if encoding.is_utf_8() { spans(raw, dialect) } else { spans(text.as_bytes(), dialect) };
        let is_cut = !raw.len().is_multiple_of(encoding.unit_bytes());
        if spans.is_unclosed || is_cut {
            // Such a record extends to the end of its file, so that it is the last one here too.
            bytes.extend_from_slice(raw);
            return;
        }
        match self.error {
            ErrorField::Added => {
                let start = bytes.len();
                let tail = self.tail(reason);
                bytes.extend_from_slice(raw);
                bytes.extend(encoding.encode(&tail));
                // Half a character at the end of a record would take the delimiter as its other
                // half.
                let with_tail = bytes.get(start..).unwrap_or_default();
                if is_malformed && !encoding.decode(with_tail).starts_with(text.as_ref()) {
                    bytes.truncate(start + raw.len());
                }
            }
            // A record with another number of fields than the header is not changed: it is not
            // certain which field is the reason. Neither is a record whose bytes cannot be made of
            // its text again (private characters of Shift_JIS).
            ErrorField::Replaced { index, fields }
                if spans.fields.len() == fields && encoding.encode(&text) == raw =>
            {
                let old = spans.fields.get(index).map(|field| field.range.clone());
                let old = old.unwrap_or(text.len()..text.len());
                let text_of = |range| text.get(range).unwrap_or_default();
                bytes.extend(encoding.encode(text_of(0..old.start)));
                bytes.extend(encoding.encode(&self.field(reason)));
                bytes.extend(encoding.encode(text_of(old.end..text.len())));
            }
            ErrorField::Replaced { .. } | ErrorField::None => bytes.extend_from_slice(raw),
        }
        bytes.extend(self.line_end());
    }

    fn line_end(&self) -> Vec<u8> {
        self.format.encoding.encode(self.format.line_end.as_str())
    }

    /// Returns a further field at the end of a record, with the delimiter.
    fn tail(&self, text: &str) -> String {
        format!("{}{}", char::from(self.format.dialect.delimiter), self.field(text))
    }

    /// Returns a text as a field on one line.
    fn field(&self, text: &str) -> String {
        let dialect = &self.format.dialect;
        if dialect.quote.is_some() {
            return dialect.field(&text.replace(['\r', '\n'], " ")).into_owned();
        }
        // Without quotes the text must not contain special characters, and neither must their
        // replacement.
        let blank = if dialect.delimiter == b' ' { "_" } else { " " };
        let special = [Some(dialect.delimiter), dialect.comment, Some(b'\r'), Some(b'\n')];
        let special: Vec<_> = special.into_iter().flatten().map(char::from).collect();
        text.replace(special.as_slice(), blank)
    }
}

/// Returns the names in a header.
fn names(header: &[u8], format: &Format) -> Vec<String> {
    let text = format.encoding.decode(header);
    let quote = format.dialect.quote.map(char::from);
    let fields = spans(text.as_bytes(), &format.dialect).fields.into_iter();
    let texts = fields.map(|field| text.get(field.range).unwrap_or_default());
    texts.map(|name| name.trim_matches(|mark| Some(mark) == quote).to_owned()).collect()
}

#[cfg(test)]
mod tests;
