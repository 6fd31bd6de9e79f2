//! Reads the options of a file: those of its prefixes, and those that are set for it alone.
//!
//! Pure.

use std::collections::BTreeMap;
use std::fmt;

use csv_stream::dialect::Dialect;
use wording::shortened;

use crate::defaults::Defaults;
use crate::value::ValueFault;
use crate::{ALL, Options, contradictions, foreign};

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
        f.write_str(&shortened(&self.option, REPEATED_MAX))?;
        if let Some(value) = &self.value {
            write!(f, "={:?}", shortened(value, REPEATED_MAX))?;
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
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the options of the file are not valid: {}", listed(.faults))]
pub struct OptionsError {
    pub faults: Vec<OptionFault>,
}

fn listed(faults: &[OptionFault]) -> String {
    faults.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}

/// Options, and the source of each that is set.
#[derive(Debug, Default)]
pub struct Settings {
    pub options: Options,
    /// The text of each option that is set, and the prefix that declares it, if one does.
    pub(crate) set: BTreeMap<&'static str, (String, Option<String>)>,
}

impl Settings {
    /// Reads these options of the object with this key, and returns all errors with them. Options
    /// with errors keep their defaults.
    pub fn read<'o>(
        defaults: &Defaults,
        key: &str,
        options: impl Iterator<Item = (&'o str, &'o str)>,
    ) -> (Self, Vec<OptionFault>) {
        let mut settings = defaults.of(key);
        let mut faults: Vec<_> =
            options.filter_map(|(name, text)| settings.set(name, text, None).err()).collect();
        // Contradictions can be found only among valid values.
        if faults.is_empty() {
            faults = contradictions::of(&settings);
        }
        // A quote as the escape character means doubled quotes, which are always allowed.
        let Dialect { quote, escape, .. } = &mut settings.options.dialect;
        *escape = escape.filter(|mark| Some(*mark) != *quote);
        (settings, faults)
    }

    /// Returns `true` if the option of this name is set, be it by the default of a prefix.
    pub fn is_set(&self, name: &str) -> bool {
        self.set.contains_key(name)
    }

    /// Sets one option. Fails if there is none of this name, or if its value is not valid.
    pub(crate) fn set(
        &mut self,
        name: &str,
        text: &str,
        prefix: Option<&str>,
    ) -> Result<(), OptionFault> {
        let prefix = prefix.map(str::to_owned);
        let set = match ALL.into_iter().find(|option| option.name == name) {
            Some(option) => {
                self.set.insert(option.name, (text.to_owned(), prefix.clone()));
                (option.set)(&mut self.options, text)
            }
            None => Err(unknown(name)),
        };
        set.map_err(|fault| fault.of(name, Some(text.to_owned()), prefix))
    }
}

/// Returns the fault of an unknown name.
fn unknown(name: &str) -> ValueFault {
    if foreign::is_of_encryption(name) {
        return ValueFault::expected(
            "no encryption by the sender, as only the sender could read the file; let S3 encrypt the object",
        );
    }
    ValueFault::one_of(name, &ALL.map(|option| option.name))
}

/// Reads the options of the object with this key. `metadata` is its user-defined metadata, without
/// `x-amz-meta-`.
///
/// Fails with all errors if an option is unknown, has a value that is not valid, or contradicts
/// another.
pub fn read(
    defaults: &Defaults,
    key: &str,
    metadata: &BTreeMap<String, String>,
) -> Result<Options, OptionsError> {
    let options = metadata.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    let own = options.filter(|(name, value)| !foreign::is_foreign(name, value));
    let (settings, faults) = Settings::read(defaults, key, own);
    if faults.is_empty() { Ok(settings.options) } else { Err(OptionsError { faults }) }
}
