//! Options that are good each, and cannot hold together.
//!
//! Pure.

use super::value::Settings;
use super::{LoadMode, OptionFault, OptionName};

/// Every contradiction, each told at one of its options, with what to change.
pub(in crate::functions::import) fn of(settings: &Settings) -> Vec<OptionFault> {
    let mut faults = Vec::new();
    let mut fault = |option: OptionName, expected: String| {
        let (value, prefix) = match settings.set.get(&option) {
            Some((value, prefix)) => (Some(value.clone()), prefix.clone()),
            None => (None, None),
        };
        let option = option.as_str().to_owned();
        faults.push(OptionFault { option, value, prefix, expected, nearest: None });
    };
    let options = &settings.options;
    let dialect = &options.dialect;

    // An escape that is the quote means that quotes are doubled, which they may always be.
    let escape = dialect.escape.filter(|escape| Some(*escape) != dialect.quote);
    let marks = [
        (OptionName::Delimiter, Some(dialect.delimiter)),
        (OptionName::Quote, dialect.quote),
        (OptionName::Escape, escape),
        (OptionName::Comment, dialect.comment),
    ];
    for (index, (option, mark)) in marks.iter().enumerate() {
        let same = marks.iter().take(index).find(|(_, other)| mark.is_some() && other == mark);
        if let Some((other, _)) = same {
            // Whichever was not set is not to be blamed.
            let (blamed, other) = if settings.set.contains_key(option) {
                (*option, *other)
            } else {
                (*other, *option)
            };
            fault(blamed, format!("another character than that of {}", other.as_str()));
        }
    }
    if dialect.quote.is_none() && dialect.escape.is_some() {
        let expected = "none, as an escape counts within quotes only and quote is none";
        fault(OptionName::Escape, expected.to_owned());
    }
    if let Some(null) = &dialect.null {
        let has = |mark: u8| null.as_bytes().contains(&mark);
        if has(dialect.delimiter) || has(b'\r') || has(b'\n') {
            let expected =
                "a text without the delimiter and without line ends, as no field is such";
            fault(OptionName::Null, expected.to_owned());
        } else if dialect.quote.is_some_and(has) {
            let expected = "a text without quotes, as only a field without them can be NULL";
            fault(OptionName::Null, expected.to_owned());
        } else if dialect.comment.is_some() && null.as_bytes().first().copied() == dialect.comment {
            let expected =
                "a text that does not begin with the comment character, as such lines are skipped";
            fault(OptionName::Null, expected.to_owned());
        }
    }
    if !options.has_header && options.columns.is_none() {
        let expected = "true, or the names of the fields in the option columns".to_owned();
        fault(OptionName::Header, expected);
    }
    // As a default of a prefix it waits for files in that mode.
    let deletes = settings.set.get(&OptionName::MaxDeletes);
    let says_deletes = deletes.is_some_and(|(_, prefix)| prefix.is_none());
    if says_deletes && options.mode != LoadMode::Replace {
        let expected = format!(
            "no such option in mode {}; only mode replace deletes what is not in the file",
            options.mode.as_str()
        );
        fault(OptionName::MaxDeletes, expected);
    }
    faults
}
