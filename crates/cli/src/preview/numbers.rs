//! Proposes how the numbers of a file are written, and which text is NULL.
//!
//! Pure.

use csv_stream::records::{Content, Record};

use super::Proposal;
use super::form::Numbers;
use super::given::Given;
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
pub(super) fn of(records: &[Record], columns: &[Option<&Column>], given: &Given) -> Forms {
    let values: Vec<String> = numbers_in(records, columns);
    let mut proposed = Vec::new();
    let null = propose_null(&values).filter(|_| given.null.is_none());
    if let Some(null) = &null {
        proposed.push(Proposal {
            option: "null",
            value: null.clone(),
            why: format!("{null} stands in columns of numbers"),
        });
    }
    let values: Vec<_> = values.iter().filter(|text| Some(*text) != null.as_ref()).collect();
    let fits =
        |numbers: Numbers| values.iter().filter(|text| numbers.plain(text).is_some()).count();
    let numbers = given.numbers.unwrap_or_else(|| {
        let forms = [Numbers::Plain, Numbers::CommaGroups, Numbers::PointGroups];
        // Of forms that fit as many values, the first.
        forms.into_iter().rev().max_by_key(|numbers| fits(*numbers)).unwrap_or(Numbers::Plain)
    });
    if given.numbers.is_none() && numbers != Numbers::Plain {
        proposed.push(Proposal {
            option: "numbers",
            value: numbers.word().to_owned(),
            why: "columns of numbers hold groups of digits or decimal commas".to_owned(),
        });
    }
    Forms { numbers, null, proposed }
}

/// Returns the texts in the columns of numbers.
fn numbers_in(records: &[Record], columns: &[Option<&Column>]) -> Vec<String> {
    let mut values = Vec::new();
    for record in records {
        let Content::Fields(fields) = &record.content else { continue };
        for (column, text) in columns.iter().zip(fields.iter()) {
            if let (Some(column), Some(text)) = (column, text)
                && Numbers::are_of(column)
                && !text.is_empty()
            {
                values.push(text.trim().to_owned());
            }
        }
    }
    values
}

fn propose_null(values: &[String]) -> Option<String> {
    let found = NULLS.iter().find(|null| values.iter().any(|value| value == **null))?;
    Some((*found).to_owned())
}
