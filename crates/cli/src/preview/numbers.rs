//! Proposes how the numbers of a file are written, and which text is NULL.
//!
//! Pure.

use csv_stream::records::{Content, Record};
use import_options::{Numbers, Settings};

use super::Proposal;
use super::form::{is_number, plain};
use crate::operations::tables::Column;

/// Texts that programs write for NULL.
const NULLS: [&str; 8] = ["\\N", "NULL", "null", "NA", "N/A", "#N/A", "-", "None"];

/// The forms of a file's values.
#[derive(Debug)]
pub(super) struct Forms {
    pub(super) numbers: Numbers,
    /// The proposed text of NULL: a given one is part of the dialect.
    pub(super) null: Option<String>,
    pub(super) proposed: Vec<Proposal>,
}

/// Returns the forms that are given or, where they are not, proposed.
pub(super) fn of(records: &[Record], columns: &[Option<&Column>], given: &Settings) -> Forms {
    let values: Vec<String> = numbers_in(records, columns);
    let mut proposed = Vec::new();
    let null = propose_null(&values).filter(|_| !given.is_set("null"));
    if let Some(null) = &null {
        proposed.push(Proposal {
            option: "null",
            value: null.clone(),
            why: format!("{null} stands in columns of numbers"),
        });
    }
    let values: Vec<_> = values.iter().filter(|text| Some(*text) != null.as_ref()).collect();
    let fits =
        |numbers: Numbers| values.iter().filter(|text| plain(numbers, text).is_some()).count();
    let numbers = if given.is_set("numbers") {
        given.options.numbers
    } else {
        // Of forms that fit as many values, the first.
        let forms = Numbers::ALL.into_iter().rev();
        let best = forms.max_by_key(|numbers| fits(*numbers)).unwrap_or(Numbers::Plain);
        if are_many(fits(best) - fits(Numbers::Plain), values.len()) {
            best
        } else {
            Numbers::Plain
        }
    };
    if !given.is_set("numbers") && numbers != Numbers::Plain {
        proposed.push(Proposal {
            option: "numbers",
            value: numbers.as_str().to_owned(),
            why: "columns of numbers hold groups of digits or decimal commas".to_owned(),
        });
    }
    Forms { numbers, null, proposed }
}

/// Returns true if so many values ask for an option. A few of many are rather mistakes, which the
/// import rejects row by row.
fn are_many(values: usize, of: usize) -> bool {
    values > 0 && values * 100 >= of
}

/// Returns the texts in the columns of numbers.
fn numbers_in(records: &[Record], columns: &[Option<&Column>]) -> Vec<String> {
    let mut values = Vec::new();
    for record in records {
        let Content::Fields(fields) = &record.content else { continue };
        for (column, text) in columns.iter().zip(fields.iter()) {
            if let (Some(column), Some(text)) = (column, text)
                && is_number(column)
                && !text.is_empty()
            {
                values.push(text.trim().to_owned());
            }
        }
    }
    values
}

fn propose_null(values: &[String]) -> Option<String> {
    let count = |null: &str| values.iter().filter(|value| *value == null).count();
    let found = NULLS.iter().find(|null| are_many(count(null), values.len()))?;
    Some((*found).to_owned())
}
