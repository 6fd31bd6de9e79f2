//! Proposes how the numbers of a file are written, and which text is NULL.
//!
//! Pure.

use csv_stream::records::{Content, Record};

use super::given::Given;
use super::{Proposal, cells};
use crate::operations::tables::Column;

/// Texts that programs write for NULL.
const NULLS: [&str; 8] = ["\\N", "NULL", "null", "NA", "N/A", "#N/A", "-", "None"];

/// The form of the numbers, by the words of the option `numbers`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Numbers {
    Plain,
    CommaGroups,
    PointGroups,
}

impl Numbers {
    pub(super) fn of_word(word: &str) -> Option<Self> {
        [Self::Plain, Self::CommaGroups, Self::PointGroups]
            .into_iter()
            .find(|numbers| numbers.word().eq_ignore_ascii_case(word))
    }

    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Plain => "plain",
            Self::CommaGroups => "1,234.5",
            Self::PointGroups => "1.234,5",
        }
    }

    /// Returns whether the values of a column are written in this form.
    pub(super) fn are_of(column: &Column) -> bool {
        matches!(cells::kind(column), Some("integer" | "number"))
    }

    /// Returns the number as PostgreSQL reads it, or `None` if its text has another form.
    pub(super) fn plain(self, text: &str) -> Option<String> {
        let text = text.trim();
        let (group, point) = match self {
            Self::Plain => return is_plain(text).then(|| text.to_owned()),
            Self::CommaGroups => (',', '.'),
            Self::PointGroups => ('.', ','),
        };
        let (whole, fraction) = text.split_once(point).unwrap_or((text, ""));
        let digits = whole.strip_prefix(['-', '+']).unwrap_or(whole);
        let mut groups = digits.split(group);
        let first = groups.next().unwrap_or_default();
        let rest: Vec<_> = groups.collect();
        let is_grouped = rest.is_empty()
            || (1..=3).contains(&first.len()) && rest.iter().all(|part| part.len() == 3);
        let fraction_is_sound = !fraction.contains([group, point]);
        if !is_grouped || !fraction_is_sound {
            return None;
        }
        let whole = whole.replace(group, "");
        let plain = if text.contains(point) { format!("{whole}.{fraction}") } else { whole };
        is_plain(&plain).then_some(plain)
    }
}

fn is_plain(text: &str) -> bool {
    // Hexadecimal numbers and infinities are PostgreSQL's to judge.
    let is_word =
        text.chars().all(|character| character.is_ascii_alphanumeric() || character == '-');
    text.parse::<f64>().is_ok() || is_word && text.starts_with(['0', 'N', 'n', 'i', 'I', '-'])
}

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
