//! One option's value, from its text.
//!
//! Pure.

use std::borrow::Cow;
use std::collections::BTreeMap;

use super::{Limit, LoadMode, Numbers, OptionFault, OptionName, Options};
use crate::domain::fault::nearest;
use csv_stream::encoding::for_label;

/// Marks that have names, as they are hard to write into metadata.
const MARK_NAMES: [(&str, u8); 6] = [
    ("tab", b'\t'),
    ("comma", b','),
    ("semicolon", b';'),
    ("pipe", b'|'),
    ("space", b' '),
    ("\\t", b'\t'),
];

const NONE: &str = "none";

/// Options, and where each that was set was set.
#[derive(Debug, Clone, Default)]
pub(in crate::functions::import) struct Settings {
    pub(in crate::functions::import) options: Options,
    /// As it was written, and the prefix whose default it is.
    pub(in crate::functions::import) set: BTreeMap<OptionName, (String, Option<String>)>,
}

impl Settings {
    /// Sets one option, or says what is fault with its value.
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

/// What would have been right.
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
    fn set(&mut self, option: OptionName, text: &str) -> Result<(), ValueFault> {
        let dialect = &mut self.dialect;
        match option {
            OptionName::Mode => {
                let modes = LoadMode::ALL.map(|mode| (mode.as_str(), mode));
                self.mode = word(text, &modes)?;
            }
            OptionName::Delimiter => {
                dialect.delimiter = mark(text).ok_or_else(|| {
                    let expected =
                        "one ASCII character that is neither letter nor digit, or tab, comma, \
                         semicolon, pipe or space";
                    let names = MARK_NAMES.iter().map(|(name, _)| *name);
                    let nearest = nearest(text, names).map(str::to_owned);
                    ValueFault { expected: expected.to_owned(), nearest }
                })?;
            }
            OptionName::Quote => dialect.quote = mark_or_none(text)?,
            OptionName::Escape => dialect.escape = mark_or_none(text)?,
            OptionName::Comment => dialect.comment = mark_or_none(text)?,
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

fn flag(text: &str) -> Result<bool, ValueFault> {
    word(text, &[("true", true), ("false", false)])
}

/// A character that can be told from the content around it.
fn mark(text: &str) -> Option<u8> {
    let named = MARK_NAMES.iter().find(|(name, _)| name.eq_ignore_ascii_case(text));
    if let Some((_, mark)) = named {
        return Some(*mark);
    }
    match text.as_bytes() {
        [mark] if mark.is_ascii() && !mark.is_ascii_alphanumeric() => {
            Some(*mark).filter(|mark| !matches!(mark, 0 | b'\r' | b'\n'))
        }
        _ => None,
    }
}

fn mark_or_none(text: &str) -> Result<Option<u8>, ValueFault> {
    if text.eq_ignore_ascii_case(NONE) {
        return Ok(None);
    }
    let expected = "one ASCII character that is neither letter nor digit, or none";
    mark(text).map(Some).ok_or_else(|| ValueFault::expected(expected))
}

/// A mark as it can be read back.
pub(in crate::functions::import) fn mark_name(mark: Option<u8>) -> Cow<'static, str> {
    match mark {
        None => NONE.into(),
        Some(b'\t') => "tab".into(),
        Some(b' ') => "space".into(),
        Some(mark) => char::from(mark).to_string().into(),
    }
}

/// Names separated by commas, those that hold a comma or a quote in quotes.
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

/// Names as [`columns`] reads them.
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

/// `100`, or `5%`.
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
    limit
        .ok_or_else(|| ValueFault::expected("a number of rows, such as 100, or a part, such as 5%"))
}
