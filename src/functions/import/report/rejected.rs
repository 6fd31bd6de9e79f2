//! `rejected.csv`: the rejected records as they stood in their file, each with its reason.
//!
//! Pure. Read with the options of the file that it comes from, it gives the very records that were
//! rejected, plus `_error`, so that it can be fixed and dropped again. Where a reason cannot stand beside a
//! record without changing it, the record stands alone; the report has all reasons.

use crate::functions::import::read::layout::ERROR_COLUMN;
use csv_stream::dialect::Dialect;
use csv_stream::encoding::Encoding;
use csv_stream::fields::spans;
use csv_stream::records::LineEnd;

/// How a file is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Format {
    pub dialect: Dialect,
    pub encoding: Encoding,
    pub line_end: LineEnd,
    /// The header as it stands in the file, without its line end; `None` where it has none.
    pub header: Option<Vec<u8>>,
    /// The names of its fields, by the header or by the option `columns`.
    pub columns: Vec<String>,
    /// Whether one of them is `_error`: it is a `rejected.csv` itself.
    pub has_error_column: bool,
}

/// Writes the records.
#[derive(Debug)]
pub(super) struct RejectedFile<'a> {
    format: &'a Format,
    error: ErrorField,
}

/// Where a record's reason goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ErrorField {
    /// A last field more.
    Added,
    /// In index of the old reason.
    Replaced { index: usize, fields: usize },
    /// Nowhere: without a header, the option `columns` names every field there is.
    Left,
}

impl<'a> RejectedFile<'a> {
    pub(super) fn new(format: &'a Format) -> Self {
        let index = |names: &[String]| {
            names.iter().position(|name| name.trim().eq_ignore_ascii_case(ERROR_COLUMN))
        };
        let names = format.header.as_ref().map(|header| names(header, format));
        let fields = names.as_ref().map_or(format.columns.len(), Vec::len);
        let declared = || index(&format.columns).filter(|_| format.columns.len() == fields);
        let error = match names.as_deref().and_then(index).or_else(declared) {
            Some(index) => ErrorField::Replaced { index, fields },
            None if names.is_none() => ErrorField::Left,
            None => ErrorField::Added,
        };
        Self { format, error }
    }

    pub(super) fn encoding(&self) -> Encoding {
        self.format.encoding
    }

    /// What comes before the records.
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
            // It goes on to the end of its file, and so it does here: it comes last.
            bytes.extend_from_slice(raw);
            return;
        }
        match self.error {
            ErrorField::Added => {
                let start = bytes.len();
                let tail = self.tail(reason);
                bytes.extend_from_slice(raw);
                bytes.extend(encoding.encode(&tail));
                // Half a character at the end of a record would take the delimiter for its other half.
                let with_tail = bytes.get(start..).unwrap_or_default();
                if is_malformed && !encoding.decode(with_tail).starts_with(text.as_ref()) {
                    bytes.truncate(start + raw.len());
                }
            }
            // A record with other fields than the header keeps them: which of them would be the reason? And one with
            // characters that have no way back to their bytes (those that users of Shift_JIS define) keeps these.
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
            ErrorField::Replaced { .. } | ErrorField::Left => bytes.extend_from_slice(raw),
        }
        bytes.extend(self.line_end());
    }

    fn line_end(&self) -> Vec<u8> {
        self.format.encoding.encode(self.format.line_end.as_str())
    }

    /// One more field at the end of a record.
    fn tail(&self, text: &str) -> String {
        format!("{}{}", char::from(self.format.dialect.delimiter), self.field(text))
    }

    /// A text as a field, on one line.
    fn field(&self, text: &str) -> String {
        let dialect = &self.format.dialect;
        if dialect.quote.is_some() {
            return dialect.field(&text.replace(['\r', '\n'], " ")).into_owned();
        }
        // Without quotes no mark may be in it, and what stands for one must not be one itself.
        let blank = if dialect.delimiter == b' ' { '_' } else { ' ' };
        let marks = [Some(dialect.delimiter), dialect.comment, Some(b'\r'), Some(b'\n')];
        let is_mark = |character| marks.iter().flatten().any(|mark| char::from(*mark) == character);
        text.chars().map(|character| if is_mark(character) { blank } else { character }).collect()
    }
}

fn names(header: &[u8], format: &Format) -> Vec<String> {
    let text = format.encoding.decode(header);
    let quote = format.dialect.quote.map(char::from);
    let name = |range| {
        let text: &str = text.get(range).unwrap_or_default();
        text.trim_matches(|character| Some(character) == quote).to_owned()
    };
    let spans = spans(text.as_bytes(), &format.dialect);
    spans.fields.into_iter().map(|field| name(field.range)).collect()
}

#[cfg(test)]
mod tests;
