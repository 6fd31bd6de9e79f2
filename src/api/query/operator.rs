//! The operators of a query, and the types that have them.
//!
//! Pure.

use aurora_sync_catalog::ColumnType;

/// An operator on one column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Operator {
    Compare(Comparison),
    In,
    Is,
    Like,
    ILike,
}

/// A comparison with one value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Comparison {
    Eq,
    Neq,
    Gt,
    Gte,
    Lt,
    Lte,
}

/// A state that `is` tests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    Null,
    NotNull,
    True,
    False,
    Unknown,
}

impl Operator {
    const ALL: [(&'static str, Self); 10] = [
        ("eq", Self::Compare(Comparison::Eq)),
        ("neq", Self::Compare(Comparison::Neq)),
        ("gt", Self::Compare(Comparison::Gt)),
        ("gte", Self::Compare(Comparison::Gte)),
        ("lt", Self::Compare(Comparison::Lt)),
        ("lte", Self::Compare(Comparison::Lte)),
        ("in", Self::In),
        ("is", Self::Is),
        ("like", Self::Like),
        ("ilike", Self::ILike),
    ];

    pub(super) fn from_word(word: &str) -> Option<Self> {
        Self::ALL.iter().find(|(known, _)| *known == word).map(|(_, operator)| *operator)
    }

    /// Returns `true` if PostgreSQL has the operator for the type, as far as the catalog knows.
    pub(super) fn supports(self, column_type: &ColumnType) -> bool {
        match self {
            Self::Is => true,
            Self::Compare(_) => is_ordered(column_type),
            // There are no arrays of arrays to compare with.
            Self::In => is_ordered(column_type) && !matches!(column_type, ColumnType::Array(_)),
            Self::Like | Self::ILike => matches!(
                column_type,
                ColumnType::Char { .. }
                    | ColumnType::VarChar { .. }
                    | ColumnType::Text
                    | ColumnType::Other { .. }
            ),
        }
    }

    /// Lists the operators of a type, for messages.
    pub(super) fn words_for(column_type: &ColumnType) -> String {
        let words = Self::ALL.iter().filter(|(_, operator)| operator.supports(column_type));
        let mut words: Vec<_> = words.map(|(word, _)| *word).collect();
        words.push("not");
        words.join(", ")
    }
}

/// Returns `true` if the type has an order. Types that the catalog does not know may have one.
pub(super) fn is_ordered(column_type: &ColumnType) -> bool {
    match column_type {
        ColumnType::Json => false,
        ColumnType::Array(element) => is_ordered(element),
        _ => true,
    }
}

impl Comparison {
    pub(super) fn sql(self) -> &'static str {
        match self {
            Self::Eq => "=",
            Self::Neq => "<>",
            Self::Gt => ">",
            Self::Gte => ">=",
            Self::Lt => "<",
            Self::Lte => "<=",
        }
    }
}

impl State {
    pub(super) fn from_word(word: &str) -> Option<Self> {
        Some(match word {
            "null" => Self::Null,
            "not_null" => Self::NotNull,
            "true" => Self::True,
            "false" => Self::False,
            "unknown" => Self::Unknown,
            _ => return None,
        })
    }

    pub(super) fn supports(self, column_type: &ColumnType) -> bool {
        match self {
            Self::Null | Self::NotNull => true,
            Self::True | Self::False | Self::Unknown => *column_type == ColumnType::Boolean,
        }
    }

    pub(super) fn words_for(column_type: &ColumnType) -> &'static str {
        match column_type {
            ColumnType::Boolean => "null, not_null, true, false or unknown",
            _ => "null or not_null",
        }
    }

    pub(super) fn sql(self) -> &'static str {
        match self {
            Self::Null => "IS NULL",
            Self::NotNull => "IS NOT NULL",
            Self::True => "IS TRUE",
            Self::False => "IS FALSE",
            Self::Unknown => "IS UNKNOWN",
        }
    }
}
