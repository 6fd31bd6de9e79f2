//! The load mode of an import.
//!
//! Pure. The option `mode` sets it; each mode has its SQL templates in `src/database/statement/load/`.

/// What is done with the rows of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LoadMode {
    /// New rows are inserted, known ones updated.
    Upsert,
    /// A known row is a reject.
    Insert,
    /// A known row is left as it is.
    Ignore,
    /// As upsert; rows that the file does not name are deleted at the end.
    Replace,
    /// Rows are deleted by their keys.
    Delete,
}

impl LoadMode {
    /// Every mode, in the order of the documentation.
    pub const ALL: [Self; 5] =
        [Self::Upsert, Self::Insert, Self::Ignore, Self::Replace, Self::Delete];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Upsert => "upsert",
            Self::Insert => "insert",
            Self::Ignore => "ignore",
            Self::Replace => "replace",
            Self::Delete => "delete",
        }
    }
}
