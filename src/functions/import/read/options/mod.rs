//! The options of an import. Those in the metadata of the object have precedence over those of its
//! prefix, and these over the defaults.
//!
//! Pure. docs/reference/options.md describes the options.

mod contradictions;
mod defaults;
mod foreign;
mod numbers;
mod value;

use std::collections::BTreeMap;
use std::fmt;

use csv_stream::dialect::Dialect;
use csv_stream::encoding::Charset;
use serde_json::{Value, json};

pub use self::defaults::{Defaults, DefaultsError};
pub use self::numbers::Numbers;
use crate::domain::fault::nearest;
use crate::domain::load_mode::LoadMode;

/// A limit of rows, as a number or as a percentage.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Limit {
    Rows(u64),
    /// A percentage from 0 to 100.
    Percent(f64),
}

impl Limit {
    /// Returns `true` if this number of rows, of all these, is more than the limit allows.
    #[expect(
        clippy::cast_precision_loss,
        reason = "percentages of row counts need no more than f64"
    )]
    pub fn is_exceeded(self, rows: u64, of: u64) -> bool {
        match self {
            Self::Rows(most) => rows > most,
            Self::Percent(percent) => rows as f64 * 100.0 > percent * of as f64,
        }
    }
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rows(rows) => write!(f, "{rows}"),
            Self::Percent(percent) => write!(f, "{percent}%"),
        }
    }
}

/// All options of one import.
#[derive(Debug, Clone, PartialEq)]
#[expect(clippy::struct_excessive_bools, reason = "each is an option of its own")]
pub struct Options {
    pub mode: LoadMode,
    pub dialect: Dialect,
    /// The declared encoding. With `None`, the byte order mark decides; without one, it is UTF-8.
    pub encoding: Option<Charset>,
    pub has_header: bool,
    /// The names of the fields, which replace those of the header.
    pub columns: Option<Vec<String>>,
    pub ignores_extra_columns: bool,
    pub numbers: Numbers,
    /// The most rows that may be rejected; `None` is any number.
    pub max_rejects: Option<Limit>,
    /// The most rows of the table that mode `replace` may delete.
    pub max_deletes: Limit,
    pub is_atomic: bool,
    pub is_dry_run: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            mode: LoadMode::Upsert,
            dialect: Dialect::default(),
            encoding: None,
            has_header: true,
            columns: None,
            ignores_extra_columns: false,
            numbers: Numbers::Plain,
            max_rejects: None,
            max_deletes: Limit::Percent(10.0),
            is_atomic: false,
            is_dry_run: false,
        }
    }
}

impl Options {
    /// Returns all options by name, in the form in which a prefix can declare them.
    pub fn to_json(&self) -> Value {
        let character = |character: Option<u8>| value::character_name(character).into_owned();
        json!({
            "mode": self.mode.as_str(),
            "delimiter": character(Some(self.dialect.delimiter)),
            "quote": character(self.dialect.quote),
            "escape": character(self.dialect.escape),
            "comment": character(self.dialect.comment),
            "encoding": self.encoding.map(encoding_rs::Encoding::name),
            "null": self.dialect.null.as_deref().unwrap_or_default(),
            "header": self.has_header,
            "columns": self.columns,
            "extra-columns": if self.ignores_extra_columns { "ignore" } else { "refuse" },
            "numbers": self.numbers.as_str(),
            "max-rejects": self.max_rejects.map(limit_json),
            "max-deletes": limit_json(self.max_deletes),
            "atomic": self.is_atomic,
            "dry-run": self.is_dry_run,
        })
    }
}

fn limit_json(limit: Limit) -> Value {
    match limit {
        Limit::Rows(rows) => rows.into(),
        Limit::Percent(_) => limit.to_string().into(),
    }
}

/// The name of an option.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum OptionName {
    Mode,
    Delimiter,
    Quote,
    Escape,
    Comment,
    Encoding,
    Null,
    Header,
    Columns,
    ExtraColumns,
    Numbers,
    MaxRejects,
    MaxDeletes,
    Atomic,
    DryRun,
}

impl OptionName {
    /// All options.
    pub const ALL: [Self; 15] = [
        Self::Mode,
        Self::Delimiter,
        Self::Quote,
        Self::Escape,
        Self::Comment,
        Self::Encoding,
        Self::Null,
        Self::Header,
        Self::Columns,
        Self::ExtraColumns,
        Self::Numbers,
        Self::MaxRejects,
        Self::MaxDeletes,
        Self::Atomic,
        Self::DryRun,
    ];

    /// Returns the name as users write it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Mode => "mode",
            Self::Delimiter => "delimiter",
            Self::Quote => "quote",
            Self::Escape => "escape",
            Self::Comment => "comment",
            Self::Encoding => "encoding",
            Self::Null => "null",
            Self::Header => "header",
            Self::Columns => "columns",
            Self::ExtraColumns => "extra-columns",
            Self::Numbers => "numbers",
            Self::MaxRejects => "max-rejects",
            Self::MaxDeletes => "max-deletes",
            Self::Atomic => "atomic",
            Self::DryRun => "dry-run",
        }
    }

    fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|option| option.as_str() == name)
    }
}

/// An error of one option.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OptionFault {
    /// The name of the option, as the user wrote it.
    pub option: String,
    /// The value, as the user wrote it; `None` if the option is not set.
    pub value: Option<String>,
    /// The prefix that declares the option; `None` if the metadata of the object does.
    pub prefix: Option<String>,
    /// The correct form, as in "expected …".
    pub expected: String,
    /// The name or value that the user probably meant.
    pub nearest: Option<String>,
}

/// The most characters of a user's text that a fault repeats.
const REPEATED_MAX: usize = 60;

impl fmt::Display for OptionFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shortened = |text: &str| -> String {
            let mut shortened: String = text.chars().take(REPEATED_MAX).collect();
            if shortened.len() < text.len() {
                shortened.push('…');
            }
            shortened
        };
        write!(f, "{}", shortened(&self.option))?;
        if let Some(value) = &self.value {
            write!(f, "={:?}", shortened(value))?;
        }
        if let Some(prefix) = &self.prefix {
            write!(f, " (the default of {prefix})")?;
        }
        write!(f, ": expected {}", self.expected)?;
        match &self.nearest {
            Some(nearest) => write!(f, "; did you mean \"{nearest}\"?"),
            None => Ok(()),
        }
    }
}

/// All errors of the options of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OptionsError {
    pub faults: Vec<OptionFault>,
}

impl fmt::Display for OptionsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the options of the file are not valid: ")?;
        for (index, fault) in self.faults.iter().enumerate() {
            if index > 0 {
                f.write_str("; ")?;
            }
            write!(f, "{fault}")?;
        }
        Ok(())
    }
}

impl std::error::Error for OptionsError {}

/// Reads the options of the object with this key. `metadata` is its user-defined metadata as S3
/// sends it, without `x-amz-meta-`.
///
/// Fails with all errors if an option is unknown, has a value that is not valid, or contradicts
/// another.
pub fn read(
    defaults: &Defaults,
    key: &str,
    metadata: &BTreeMap<String, String>,
) -> Result<Options, OptionsError> {
    let mut settings = defaults.of(key);
    let mut faults = Vec::new();
    for (name, raw) in metadata {
        let value = decoded(raw);
        if foreign::is_foreign(name, &value) {
            continue;
        }
        match OptionName::parse(name) {
            Some(option) => faults.extend(settings.set(option, &value, None)),
            None => faults.push(unknown(name, &value, None)),
        }
    }
    // Contradictions can be found only among valid values.
    if faults.is_empty() {
        faults = contradictions::of(&settings);
    }
    if !faults.is_empty() {
        return Err(OptionsError { faults });
    }
    let mut options = settings.options;
    // A quote as the escape character means doubled quotes, which are always allowed.
    options.dialect.escape =
        options.dialect.escape.filter(|mark| Some(*mark) != options.dialect.quote);
    Ok(options)
}

/// Decodes a metadata value: S3 sends a value that is not ASCII as encoded words (RFC 2047).
fn decoded(raw: &str) -> String {
    if !raw.contains("=?") {
        return raw.to_owned();
    }
    let header = [b"value: ", raw.as_bytes()].concat();
    match mailparse::parse_header(&header) {
        Ok((header, _)) => header.get_value(),
        Err(_) => raw.to_owned(),
    }
}

/// Returns the fault of an unknown option.
fn unknown(name: &str, value: &str, prefix: Option<&str>) -> OptionFault {
    let names = || OptionName::ALL.into_iter().map(OptionName::as_str);
    let expected = if foreign::is_of_encryption(name) {
        "no encryption by the sender, as only the sender could read the file; \
         let S3 encrypt the object"
            .to_owned()
    } else {
        format!("one of {}", names().collect::<Vec<_>>().join(", "))
    };
    OptionFault {
        option: name.to_owned(),
        value: Some(value.to_owned()),
        prefix: prefix.map(str::to_owned),
        expected,
        nearest: nearest(name, names()).map(str::to_owned),
    }
}

#[cfg(test)]
mod tests;
