//! The load mode of an import.
//!
//! Pure. The option `mode` sets it.

/// The way in which an import changes the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LoadMode {
    /// Inserts new rows and updates existing ones.
    Upsert,
    /// Inserts new rows and rejects existing ones.
    Insert,
    /// Inserts new rows and leaves existing ones unchanged.
    Ignore,
    /// Upserts, and deletes at the end the rows that the file does not contain.
    Replace,
    /// Deletes rows by their keys.
    Delete,
}

impl LoadMode {
    /// All modes, in the order of the documentation.
    pub const ALL: [Self; 5] =
        [Self::Upsert, Self::Insert, Self::Ignore, Self::Replace, Self::Delete];

    /// Returns the value of the option.
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
