//! The options that a person has given, as far as a preview depends on them.
//!
//! Pure.

use csv_stream::encoding::{Charset, for_label};

use super::form::Numbers;
use super::{Problem, stops};

const NAMES: [(&str, u8); 6] = [
    ("tab", b'\t'),
    ("comma", b','),
    ("semicolon", b';'),
    ("pipe", b'|'),
    ("space", b' '),
    ("\\t", b'\t'),
];

/// The options; `None` is one that is not given.
#[derive(Debug, Default)]
#[expect(clippy::option_option, reason = "a given quote can be none")]
pub(super) struct Given {
    pub(super) mode: Option<String>,
    pub(super) delimiter: Option<u8>,
    pub(super) quote: Option<Option<u8>>,
    pub(super) escape: Option<u8>,
    pub(super) comment: Option<u8>,
    pub(super) encoding: Option<Charset>,
    pub(super) null: Option<String>,
    pub(super) header: Option<bool>,
    pub(super) columns: Option<Vec<String>>,
    pub(super) ignores_extra_columns: bool,
    pub(super) numbers: Option<Numbers>,
}

impl Given {
    /// Reads options by their documented names, and the problems of their values. Those that a
    /// preview does not depend on are not read.
    pub(super) fn read(options: &[(&str, &str)]) -> (Self, Vec<Problem>) {
        let mut given = Self::default();
        let mut problems = Vec::new();
        for (name, value) in options {
            if let Err(expected) = given.set(name, value) {
                problems.push(stops(format!("{name} is {value:?}; expected {expected}")));
            }
        }
        (given, problems)
    }

    fn set(&mut self, name: &str, value: &str) -> Result<(), &'static str> {
        const MARK: &str = "one ASCII character that is neither letter nor digit, or none";
        match name {
            "mode" => self.mode = Some(value.to_owned()),
            "delimiter" => {
                let mark = mark(value).ok_or(
                    "one ASCII character that is neither letter nor digit, or tab, comma, \
                     semicolon, pipe or space",
                )?;
                self.delimiter = Some(mark);
            }
            "quote" => self.quote = Some(mark_or_none(value).ok_or(MARK)?),
            "escape" => self.escape = mark_or_none(value).ok_or(MARK)?,
            "comment" => self.comment = mark_or_none(value).ok_or(MARK)?,
            "encoding" => {
                let label = for_label(value);
                self.encoding = Some(label.ok_or("a name such as utf-8, shift_jis, windows-1252")?);
            }
            "null" => self.null = Some(value.to_owned()).filter(|text| !text.is_empty()),
            "header" => self.header = Some(flag(value).ok_or("true or false")?),
            "columns" => self.columns = Some(names(value)),
            "extra-columns" => self.ignores_extra_columns = value.eq_ignore_ascii_case("ignore"),
            "numbers" => {
                let numbers = Numbers::of_word(value).ok_or("plain, 1,234.5 or 1.234,5")?;
                self.numbers = Some(numbers);
            }
            _ => {}
        }
        Ok(())
    }

    pub(super) fn has_mode(&self, mode: &str) -> bool {
        self.mode.as_deref().is_some_and(|given| given.eq_ignore_ascii_case(mode))
    }
}

/// Returns the documented text of a character.
pub(super) fn word_of(mark: u8) -> String {
    let named = NAMES.iter().find(|(_, named)| *named == mark);
    named.map_or_else(|| char::from(mark).to_string(), |(name, _)| (*name).to_owned())
}

fn mark(text: &str) -> Option<u8> {
    let named = NAMES.iter().find(|(name, _)| name.eq_ignore_ascii_case(text));
    named.map(|(_, mark)| *mark).or(match text.as_bytes() {
        [0 | b'\r' | b'\n'] => None,
        [byte] if byte.is_ascii() && !byte.is_ascii_alphanumeric() => Some(*byte),
        _ => None,
    })
}

#[expect(clippy::option_option, reason = "a given mark can be none")]
fn mark_or_none(text: &str) -> Option<Option<u8>> {
    if text.eq_ignore_ascii_case("none") { Some(None) } else { mark(text).map(Some) }
}

fn flag(text: &str) -> Option<bool> {
    match text.to_ascii_lowercase().as_str() {
        "true" => Some(true),
        "false" => Some(false),
        _ => None,
    }
}

/// Reads the names of `columns`, which is a record of CSV.
fn names(text: &str) -> Vec<String> {
    let mut records = csv_stream::records::Records::new(
        csv_stream::dialect::Dialect::default(),
        csv_stream::encoding::Encoding { charset: encoding_rs::UTF_8, has_mark: false },
    );
    let mut found = Vec::new();
    records.push(text.as_bytes(), &mut found);
    records.finish(&mut found);
    match found.first().map(|record| &record.content) {
        Some(csv_stream::records::Content::Fields(fields)) => {
            fields.iter().map(|name| name.unwrap_or_default().trim().to_owned()).collect()
        }
        _ => Vec::new(),
    }
}
