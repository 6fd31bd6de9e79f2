//! The forms in which numbers are written, and the kinds of columns.
//!
//! Pure.

use serde_json::Value;

use crate::operations::tables::Column;

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
        matches!(kind(column), Some("integer" | "number"))
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

/// Returns the kind of a column's values in JSON; `None` is any.
pub(super) fn kind(column: &Column) -> Option<&str> {
    match &column.schema["type"] {
        Value::Array(kinds) => kinds.iter().filter_map(Value::as_str).find(|kind| *kind != "null"),
        kind => kind.as_str(),
    }
}
