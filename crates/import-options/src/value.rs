//! Reads the value of an option from its text.
//!
//! Pure.

use csv_stream::encoding::{Charset, for_label};

use wording::nearest;

use crate::{Limit, LoadMode, Numbers, OptionFault};

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

/// The correct form of a value, and the value that the user probably meant.
#[derive(Debug)]
pub(crate) struct ValueFault {
    pub(crate) expected: String,
    pub(crate) nearest: Option<String>,
}

impl ValueFault {
    pub(crate) fn expected(expected: impl Into<String>) -> Self {
        Self { expected: expected.into(), nearest: None }
    }

    /// Makes the fault of a text that is none of these words.
    pub(crate) fn one_of(text: &str, words: &[&str]) -> Self {
        Self::expected(format!("one of {}", words.join(", "))).near(text, words)
    }

    /// Makes it the fault of an option, with the value and the prefix that declares it, if there
    /// are any.
    pub(crate) fn of(
        self,
        option: &str,
        value: Option<String>,
        prefix: Option<String>,
    ) -> OptionFault {
        let Self { expected, nearest } = self;
        OptionFault { option: option.to_owned(), value, prefix, expected, nearest }
    }

    /// Adds the word that is nearest to a text.
    fn near(self, text: &str, words: &[&str]) -> Self {
        Self { nearest: nearest(text, words.iter().copied()).map(str::to_owned), ..self }
    }
}

/// Reads one of these words, in any case.
pub(crate) fn word<T: Copy>(text: &str, words: &[(&str, T)]) -> Result<T, ValueFault> {
    let found = words.iter().find(|(word, _)| word.eq_ignore_ascii_case(text));
    found.map(|(_, value)| *value).ok_or_else(|| {
        let names: Vec<_> = words.iter().map(|(word, _)| *word).collect();
        ValueFault::one_of(text, &names)
    })
}

/// Reads `true` or `false`.
pub(crate) fn flag(text: &str) -> Result<bool, ValueFault> {
    word(text, &[("true", true), ("false", false)])
}

pub(crate) fn mode(text: &str) -> Result<LoadMode, ValueFault> {
    word(text, &LoadMode::ALL.map(|mode| (mode.as_str(), mode)))
}

pub(crate) fn numbers(text: &str) -> Result<Numbers, ValueFault> {
    word(text, &Numbers::ALL.map(|numbers| (numbers.as_str(), numbers)))
}

pub(crate) fn charset(text: &str) -> Result<Charset, ValueFault> {
    const COMMON: [&str; 7] =
        ["utf-8", "utf-16", "shift_jis", "windows-1252", "iso-8859-1", "euc-jp", "gb18030"];
    for_label(text).ok_or_else(|| {
        ValueFault::expected(
            "a name of the WHATWG's Encoding Standard, such as utf-8, utf-16, shift_jis or windows-1252",
        )
        .near(text, &COMMON)
    })
}

/// Reads a character or its name: an ASCII character that is no letter, digit, NUL or line end.
fn character(text: &str) -> Option<u8> {
    let named = CHARACTER_NAMES.iter().find(|(name, _)| name.eq_ignore_ascii_case(text));
    named.map(|(_, character)| *character).or(match text.as_bytes() {
        [0 | b'\r' | b'\n'] => None,
        [byte] if byte.is_ascii() && !byte.is_ascii_alphanumeric() => Some(*byte),
        _ => None,
    })
}

pub(crate) fn delimiter(text: &str) -> Result<u8, ValueFault> {
    character(text).ok_or_else(|| {
        ValueFault::expected(
            "one ASCII character that is neither letter nor digit, or tab, comma, semicolon, pipe or space",
        )
        .near(text, &CHARACTER_NAMES.map(|(name, _)| name))
    })
}

/// Reads a character, or `none`.
pub(crate) fn mark(text: &str) -> Result<Option<u8>, ValueFault> {
    if text.eq_ignore_ascii_case(NONE) {
        return Ok(None);
    }
    let expected = "one ASCII character that is neither letter nor digit, or none";
    character(text).map(Some).ok_or_else(|| ValueFault::expected(expected))
}

/// Returns the text of a character, as [`mark`] reads it.
pub(crate) fn character_name(character: Option<u8>) -> String {
    match character {
        None => NONE.to_owned(),
        Some(b'\t') => "tab".to_owned(),
        Some(b' ') => "space".to_owned(),
        Some(character) => char::from(character).to_string(),
    }
}

/// Returns the name of a character or, if it has none, its text: a shell takes it without quotes
/// more often.
pub fn character_word(character: u8) -> String {
    let named = CHARACTER_NAMES.iter().find(|(_, named)| *named == character);
    named.map_or_else(|| char::from(character).to_string(), |(name, _)| (*name).to_owned())
}

/// Reads names that are separated by commas. A name with a comma or a quote is in quotes.
pub(crate) fn columns(text: &str) -> Result<Vec<String>, ValueFault> {
    let fault =
        || ValueFault::expected("the names of the columns, separated by commas, such as id,name");
    let mut reader = csv::ReaderBuilder::new();
    let reader = reader.has_headers(false).flexible(true).trim(csv::Trim::All);
    let mut records = reader.from_reader(text.as_bytes()).into_records();
    let record = records.next().ok_or_else(fault)?.map_err(|_| fault())?;
    let is_whole = records.next().is_none() && record.iter().all(|name| !name.is_empty());
    if is_whole { Ok(record.iter().map(str::to_owned).collect()) } else { Err(fault()) }
}

/// Reads a number of rows, such as `100`, or a percentage, such as `5%`.
pub(crate) fn limit(text: &str) -> Result<Limit, ValueFault> {
    let percent = text.strip_suffix('%').map(str::trim_end);
    let number = percent.unwrap_or(text);
    // A number may have neither a sign nor an exponent.
    let is_plain = number.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    let limit = match percent {
        _ if !is_plain => None,
        Some(_) => number.parse().ok().filter(|n| (0.0..=100.0).contains(n)).map(Limit::Percent),
        None => number.parse().ok().map(Limit::Rows),
    };
    limit.ok_or_else(|| {
        ValueFault::expected("a number of rows, such as 100, or a percentage, such as 5%")
    })
}
