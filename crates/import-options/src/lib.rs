//! The options of an import. Those in the metadata of the object have precedence over those of its
//! prefix, and these over the defaults.
//!
//! Pure. The worker and the command read them by this code, so that a file is refused before its
//! upload for the reasons for which its import would fail. docs/reference/options.md describes the
//! options.

mod contradictions;
mod defaults;
mod foreign;
mod mode;
mod numbers;
mod settings;
mod value;

use std::fmt;

use csv_stream::dialect::Dialect;
use csv_stream::encoding::Charset;
use serde_json::Value;

pub use self::defaults::{CLAIMS_BYTES_MAX, Defaults, DefaultsError};
pub use self::mode::LoadMode;
pub use self::numbers::Numbers;
pub use self::settings::{OptionFault, OptionsError, Settings, read};
use self::value::ValueFault;
pub use self::value::character_word;

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

impl From<Limit> for Value {
    fn from(limit: Limit) -> Self {
        match limit {
            Limit::Rows(rows) => rows.into(),
            Limit::Percent(_) => limit.to_string().into(),
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
        ALL.iter().map(|option| (option.name.to_owned(), (option.json)(self))).collect()
    }
}

/// An option: its name, and how its value is read and written.
#[derive(Debug)]
pub struct ImportOption {
    /// The name as users write it.
    pub name: &'static str,
    set: fn(&mut Options, &str) -> Result<(), ValueFault>,
    json: fn(&Options) -> Value,
}

/// All options.
pub const ALL: [ImportOption; 15] = [
    ImportOption {
        name: "mode",
        set: |options, text| value::mode(text).map(|mode| options.mode = mode),
        json: |options| options.mode.as_str().into(),
    },
    ImportOption {
        name: "delimiter",
        set: |options, text| value::delimiter(text).map(|mark| options.dialect.delimiter = mark),
        json: |options| value::character_name(Some(options.dialect.delimiter)).into(),
    },
    ImportOption {
        name: "quote",
        set: |options, text| value::mark(text).map(|mark| options.dialect.quote = mark),
        json: |options| value::character_name(options.dialect.quote).into(),
    },
    ImportOption {
        name: "escape",
        set: |options, text| value::mark(text).map(|mark| options.dialect.escape = mark),
        json: |options| value::character_name(options.dialect.escape).into(),
    },
    ImportOption {
        name: "comment",
        set: |options, text| value::mark(text).map(|mark| options.dialect.comment = mark),
        json: |options| value::character_name(options.dialect.comment).into(),
    },
    ImportOption {
        name: "encoding",
        set: |options, text| value::charset(text).map(|charset| options.encoding = Some(charset)),
        json: |options| options.encoding.map(encoding_rs::Encoding::name).into(),
    },
    ImportOption {
        name: "null",
        set: |options, text| {
            options.dialect.null = Some(text.to_owned()).filter(|text| !text.is_empty());
            Ok(())
        },
        json: |options| options.dialect.null.as_deref().unwrap_or_default().into(),
    },
    ImportOption {
        name: "header",
        set: |options, text| value::flag(text).map(|flag| options.has_header = flag),
        json: |options| options.has_header.into(),
    },
    ImportOption {
        name: "columns",
        set: |options, text| value::columns(text).map(|names| options.columns = Some(names)),
        json: |options| options.columns.clone().into(),
    },
    ImportOption {
        name: "extra-columns",
        set: |options, text| {
            let words = [("ignore", true), ("refuse", false)];
            value::word(text, &words).map(|ignores| options.ignores_extra_columns = ignores)
        },
        json: |options| if options.ignores_extra_columns { "ignore" } else { "refuse" }.into(),
    },
    ImportOption {
        name: "numbers",
        set: |options, text| value::numbers(text).map(|numbers| options.numbers = numbers),
        json: |options| options.numbers.as_str().into(),
    },
    ImportOption {
        name: "max-rejects",
        set: |options, text| value::limit(text).map(|limit| options.max_rejects = Some(limit)),
        json: |options| options.max_rejects.map(Value::from).into(),
    },
    ImportOption {
        name: "max-deletes",
        set: |options, text| value::limit(text).map(|limit| options.max_deletes = limit),
        json: |options| options.max_deletes.into(),
    },
    ImportOption {
        name: "atomic",
        set: |options, text| value::flag(text).map(|flag| options.is_atomic = flag),
        json: |options| options.is_atomic.into(),
    },
    ImportOption {
        name: "dry-run",
        set: |options, text| value::flag(text).map(|flag| options.is_dry_run = flag),
        json: |options| options.is_dry_run.into(),
    },
];

/// Returns `true` for an option that is about each row, and not about the whole file as limits are.
pub fn is_of_rows(name: &str) -> bool {
    ALL.iter().any(|option| option.name == name) && !name.starts_with("max-")
}

#[cfg(test)]
mod tests;
