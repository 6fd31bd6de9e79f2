//! Reads the value of an option from its text.
//!
//! Pure.

use std::borrow::Cow;
use std::collections::BTreeMap;

use csv_stream::encoding::for_label;

use super::{Limit, LoadMode, Numbers, OptionFault, OptionName, Options};
use crate::domain::fault::nearest;

/// The names of characters, some of which are hard to write into metadata.
const CHARACTER_NAMES: [(&str, u8); 6] = [
    ("tab", b'\t'),
    ("comma", b','),
    ("semicolon", b';'),
    ("pipe", b'|'),
    ("space", b' '),
    ("\\t", b'\t'),
];

const NONE: &str = "none";

/// Options, and the source of each that is set.
#[derive(Debug, Clone, Default)]
pub(in crate::functions::import) struct Settings {
    pub(in crate::functions::import) options: Options,
    /// The text of each option that is set, and the prefix that declares it, if one does.
    pub(in crate::functions::import) set: BTreeMap<OptionName, (String, Option<String>)>,
}

impl Settings {
    /// Sets one option, or returns the fault of its value.
    pub(in crate::functions::import) fn set(
        &mut self,
        option: OptionName,
        text: &str,
        prefix: Option<&str>,
    ) -> Option<OptionFault> {
        let prefix = prefix.map(str::to_owned);
        self.set.insert(option, (text.to_owned(), prefix.clone()));
        let fault = self.options.set(option, text).err()?;
        Some(OptionFault {
            option: option.as_str().to_owned(),
            value: Some(text.to_owned()),
            prefix,
            expected: fault.expected,
            nearest: fault.nearest,
        })
    }
}

/// The correct form of a value.
#[derive(Debug)]
struct ValueFault {
    expected: String,
    nearest: Option<String>,
}

impl ValueFault {
    fn expected(expected: impl Into<String>) -> Self {
        Self { expected: expected.into(), nearest: None }
    }
}

impl Options {
    /// Sets one option.
    fn set(&mut self, option: OptionName, text: &str) -> Result<(), ValueFault> {
        let dialect = &mut self.dialect;
        match option {
            OptionName::Mode => {
                let modes = LoadMode::ALL.map(|mode| (mode.as_str(), mode));
                self.mode = word(text, &modes)?;
            }
            OptionName::Delimiter => {
                dialect.delimiter = character(text).ok_or_else(|| {
                    let expected =
                        "one ASCII character that is neither letter nor digit, or tab, comma, \
                         semicolon, pipe or space";
                    let names = CHARACTER_NAMES.iter().map(|(name, _)| *name);
                    let nearest = nearest(text, names).map(str::to_owned);
                    ValueFault { expected: expected.to_owned(), nearest }
                })?;
            }
            OptionName::Quote => dialect.quote = character_or_none(text)?,
            OptionName::Escape => dialect.escape = character_or_none(text)?,
            OptionName::Comment => dialect.comment = character_or_none(text)?,
            OptionName::Encoding => {
                self.encoding = Some(for_label(text).ok_or_else(|| {
                    const COMMON: [&str; 7] = [
                        "utf-8",
                        "utf-16",
                        "shift_jis",
                        "windows-1252",
                        "iso-8859-1",
                        "euc-jp",
                        "gb18030",
                    ];
                    let expected = "a name of the WHATWG's Encoding Standard, such as utf-8, \
                                    utf-16, shift_jis or windows-1252";
                    let nearest = nearest(text, COMMON.into_iter()).map(str::to_owned);
                    ValueFault { expected: expected.to_owned(), nearest }
                })?);
            }
            OptionName::Null => {
                dialect.null = Some(text.to_owned()).filter(|text| !text.is_empty());
            }
            OptionName::Header => self.has_header = flag(text)?,
            OptionName::Columns => self.columns = Some(columns(text)?),
            OptionName::ExtraColumns => {
                let words = [("ignore", true), ("refuse", false)];
                self.ignores_extra_columns = word(text, &words)?;
            }
            OptionName::Numbers => {
                let words = Numbers::ALL.map(|numbers| (numbers.as_str(), numbers));
                self.numbers = word(text, &words)?;
            }
            OptionName::MaxRejects => self.max_rejects = Some(limit(text)?),
            OptionName::MaxDeletes => self.max_deletes = limit(text)?,
            OptionName::Atomic => self.is_atomic = flag(text)?,
            OptionName::DryRun => self.is_dry_run = flag(text)?,
        }
        Ok(())
    }
}

/// Reads one of these words, in any case.
fn word<T: Copy>(text: &str, words: &[(&'static str, T)]) -> Result<T, ValueFault> {
    let found = words.iter().find(|(word, _)| word.eq_ignore_ascii_case(text));
    found.map(|(_, value)| *value).ok_or_else(|| {
        let names: Vec<_> = words.iter().map(|(word, _)| *word).collect();
        ValueFault {
            nearest: nearest(&text.to_ascii_lowercase(), names.iter().copied()).map(str::to_owned),
            expected: format!("one of {}", names.join(", ")),
        }
    })
}

/// Reads `true` or `false`.
fn flag(text: &str) -> Result<bool, ValueFault> {
    word(text, &[("true", true), ("false", false)])
}

/// Reads a character or its name: an ASCII character that is no letter, digit, NUL or line end.
fn character(text: &str) -> Option<u8> {
    let named = CHARACTER_NAMES.iter().find(|(name, _)| name.eq_ignore_ascii_case(text));
    if let Some((_, character)) = named {
        return Some(*character);
    }
    match text.as_bytes() {
        [byte] if byte.is_ascii() && !byte.is_ascii_alphanumeric() => {
            Some(*byte).filter(|byte| !matches!(byte, 0 | b'\r' | b'\n'))
        }
        _ => None,
    }
}

/// Reads a character, or `none`.
fn character_or_none(text: &str) -> Result<Option<u8>, ValueFault> {
    if text.eq_ignore_ascii_case(NONE) {
        return Ok(None);
    }
    let expected = "one ASCII character that is neither letter nor digit, or none";
    character(text).map(Some).ok_or_else(|| ValueFault::expected(expected))
}

/// Returns the text of a character, as [`Settings::set`] reads it.
pub(in crate::functions::import) fn character_name(character: Option<u8>) -> Cow<'static, str> {
    match character {
        None => NONE.into(),
        Some(b'\t') => "tab".into(),
        Some(b' ') => "space".into(),
        Some(character) => char::from(character).to_string().into(),
    }
}

/// Reads names that are separated by commas. A name with a comma or a quote is in quotes.
fn columns(text: &str) -> Result<Vec<String>, ValueFault> {
    let fault =
        || ValueFault::expected("the names of the columns, separated by commas, such as id,name");
    let mut reader = csv::ReaderBuilder::new();
    let reader = reader.has_headers(false).flexible(true).trim(csv::Trim::All);
    let mut records = reader.from_reader(text.as_bytes()).into_records();
    let record = records.next().ok_or_else(fault)?.map_err(|_| fault())?;
    let is_whole = records.next().is_none() && record.iter().all(|name| !name.is_empty());
    if is_whole { Ok(record.iter().map(str::to_owned).collect()) } else { Err(fault()) }
}

/// Returns the text of names, as [`columns`] reads it.
pub(in crate::functions::import) fn columns_text<'a>(
    names: impl Iterator<Item = &'a str>,
) -> String {
    let names: Vec<_> = names
        .map(|name| {
            let is_plain = !name.contains([',', '"', '\n', '\r']);
            if is_plain { name.to_owned() } else { format!("\"{}\"", name.replace('"', "\"\"")) }
        })
        .collect();
    names.join(",")
}

/// Reads a number of rows, such as `100`, or a percentage, such as `5%`.
fn limit(text: &str) -> Result<Limit, ValueFault> {
    let is_digits =
        |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit() || b == b'.');
    let limit = match text.strip_suffix('%').map(str::trim_end) {
        Some(percent) if is_digits(percent) => {
            percent.parse().ok().filter(|n| (0.0..=100.0).contains(n)).map(Limit::Percent)
        }
        Some(_) => None,
        None if is_digits(text) => text.parse().ok().map(Limit::Rows),
        None => None,
    };
    limit.ok_or_else(|| {
        ValueFault::expected("a number of rows, such as 100, or a percentage, such as 5%")
    })
}
