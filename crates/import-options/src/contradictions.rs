//! Options that are valid, and contradict each other.
//!
//! Pure.

use csv_stream::dialect::Dialect;

use crate::value::ValueFault;
use crate::{LoadMode, OptionFault, Settings};

/// Returns the contradictions, each as the fault of one of its options, with the change that ends
/// it.
pub(crate) fn of(settings: &Settings) -> Vec<OptionFault> {
    let options = &settings.options;
    let mut faults = equal_characters(settings);
    let mut add = |option: &str, expected: &str| faults.push(fault(settings, option, expected));
    if options.dialect.quote.is_none() && options.dialect.escape.is_some() {
        add("escape", "none, as an escape counts within quotes only and quote is none");
    }
    if let Some(expected) = impossible_null(&options.dialect) {
        add("null", expected);
    }
    if !options.has_header && options.columns.is_none() {
        add("header", "true, or the names of the fields in the option columns");
    }
    // A prefix may declare it, for its files in mode replace.
    let is_of_file = matches!(settings.set.get("max-deletes"), Some((_, None)));
    if is_of_file && options.mode != LoadMode::Replace {
        let mode = options.mode.as_str();
        let expected = format!(
            "no value in mode {mode}, as only mode replace deletes rows that are not in the file"
        );
        add("max-deletes", &expected);
    }
    faults
}

fn fault(settings: &Settings, option: &str, expected: &str) -> OptionFault {
    let (value, prefix) = settings.set.get(option).cloned().unzip();
    ValueFault::expected(expected).of(option, value, prefix.flatten())
}

/// Returns a fault for each character of the dialect that has two meanings.
fn equal_characters(settings: &Settings) -> Vec<OptionFault> {
    let dialect = &settings.options.dialect;
    // A quote as the escape character means doubled quotes, which are always allowed.
    let escape = dialect.escape.filter(|escape| Some(*escape) != dialect.quote);
    let characters = [
        ("delimiter", Some(dialect.delimiter)),
        ("quote", dialect.quote),
        ("escape", escape),
        ("comment", dialect.comment),
    ];
    let mut faults = Vec::new();
    for (index, (option, character)) in characters.iter().enumerate() {
        let mut earlier = characters.iter().take(index);
        let same = earlier.find(|(_, other)| character.is_some() && other == character);
        if let Some((other, _)) = same {
            // The fault is of an option that is set, not of a default.
            let (option, other) =
                if settings.set.contains_key(option) { (option, other) } else { (other, option) };
            faults.push(fault(
                settings,
                option,
                &format!("another character than that of {other}"),
            ));
        }
    }
    faults
}

/// Returns the expected form of the option `null`, if no field can have its text.
fn impossible_null(dialect: &Dialect) -> Option<&'static str> {
    let null = dialect.null.as_ref()?.as_bytes();
    let has = |character: u8| null.contains(&character);
    if has(dialect.delimiter) || has(b'\r') || has(b'\n') {
        Some(
            "a text without the delimiter and without line ends, as no field without quotes has them",
        )
    } else if dialect.quote.is_some_and(has) {
        Some("a text without quotes, as only a field without them can be NULL")
    } else if dialect.comment.is_some() && null.first().copied() == dialect.comment {
        Some("a text that does not begin with the comment character, as such lines are skipped")
    } else {
        None
    }
}
