//! Keys: the primary-key values of a row, in one canonical text however a client writes them.
//!
//! Pure. Two writes to one row must have equal keys. The order of writes to a row depends on it: in
//! partitions, in the levels of a batch and in the lanes of an import.

mod spelling;

use std::fmt;
use std::hash::Hasher;

use aurora_sync_catalog::{Column, Table};
use serde::{Deserialize, Serialize};

pub use self::spelling::{canonical, has_one_spelling};
use crate::domain::value::{self, Fault, Rule};

/// The values of a table's primary key, in the order of the key's columns, as canonical text.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(from = "Vec<String>", into = "Vec<String>")]
pub struct Key {
    parts: Vec<String>,
    /// `true` if keys with different texts always name different rows.
    is_comparable: bool,
}

impl From<Vec<String>> for Key {
    fn from(parts: Vec<String>) -> Self {
        Self { parts, is_comparable: true }
    }
}

impl From<Key> for Vec<String> {
    fn from(key: Key) -> Self {
        key.parts
    }
}

/// Returns `true` if keys of the table can be compared by their texts.
///
/// They cannot if a column has type `interval`, an array, `citext` or another type whose equality
/// only the database knows. All writes to such a table keep one order: they share a message group,
/// and a batch never reorders them.
pub(crate) fn are_comparable(table: &Table) -> bool {
    table.key_columns().all(is_comparable_column)
}

fn is_comparable_column(column: &Column) -> bool {
    !column.has_own_equality && has_one_spelling(&column.column_type)
}

/// An error of a URL path that should name a row.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    #[error("the table has no primary key, so none of its rows can be named")]
    NoPrimaryKey,
    #[error("the table's key has {}, separated by commas; the path has {found}", parts_of(*expected))]
    PartCount { expected: usize, found: usize },
    #[error("the key is not well-formed: a part with a comma or a quote must be in double quotes")]
    Malformed,
    #[error("the key's {column}: expected {}", fault.expected)]
    Part { column: String, fault: Fault },
}

fn parts_of(count: usize) -> String {
    if count == 1 { "1 part".to_owned() } else { format!("{count} parts") }
}

impl Key {
    /// Returns the key of a row, or `None` if one of the key's columns has no value.
    pub fn of_row<'a>(table: &Table, value: impl Fn(&str) -> Option<&'a str>) -> Option<Self> {
        Self::of_columns(table, &table.primary_key, value)
    }

    /// Returns the key that the values of these columns make, or `None` if one of them has no
    /// value.
    pub(crate) fn of_columns<'a>(
        table: &Table,
        names: &[String],
        value: impl Fn(&str) -> Option<&'a str>,
    ) -> Option<Self> {
        let columns: Vec<_> = names.iter().filter_map(|name| table.column(name)).collect();
        if columns.is_empty() {
            return None;
        }
        let part = |column: &Column| {
            let text = value(&column.name)?;
            Some(canonical(&column.column_type, text).unwrap_or_else(|| text.to_owned()))
        };
        let parts = columns.iter().map(|column| part(column)).collect::<Option<Vec<_>>>()?;
        let is_comparable = columns.into_iter().all(is_comparable_column);
        Some(Self { parts, is_comparable })
    }

    /// Makes a key of canonical texts. `is_comparable` is the result of [`are_comparable`] for its
    /// table.
    pub(crate) fn of_canonical(parts: Vec<String>, is_comparable: bool) -> Self {
        Self { parts, is_comparable }
    }

    /// Returns the first key column whose value has no canonical text although its type has one for
    /// each value, with the expected format. Such a value may name the row of another key.
    pub fn non_canonical<'a, 't>(
        table: &'t Table,
        value: impl Fn(&str) -> Option<&'a str>,
    ) -> Option<(&'t str, Fault)> {
        if !are_comparable(table) {
            return None;
        }
        table.key_columns().find_map(|column| {
            let is_non_canonical = canonical(&column.column_type, value(&column.name)?).is_none();
            is_non_canonical.then(|| {
                let expected =
                    format!("{}, as it is part of the key", value::expected(&column.column_type));
                (
                    column.name.as_str(),
                    Fault { rule: Rule::Format, expected, pointer: String::new() },
                )
            })
        })
    }

    /// Reads a key from a percent-decoded URL path: its parts, separated by commas and quoted as in
    /// CSV.
    ///
    /// A key of one column is the whole path, without quoting.
    pub fn from_path(table: &Table, path: &str) -> Result<Self, KeyError> {
        let expected = table.primary_key.len();
        if expected == 0 {
            return Err(KeyError::NoPrimaryKey);
        }
        let parts = if expected == 1 { vec![path.to_owned()] } else { split_path(path)? };
        if parts.len() != expected {
            return Err(KeyError::PartCount { expected, found: parts.len() });
        }
        let mut texts = Vec::with_capacity(expected);
        for (column, part) in table.key_columns().zip(&parts) {
            let text = value::from_text(column, part)
                .map_err(|fault| KeyError::Part { column: column.name.clone(), fault })?;
            texts.push((column.name.as_str(), text));
        }
        let value =
            |name: &str| texts.iter().find(|(column, _)| *column == name).map(|(_, text)| &**text);
        if let Some((column, fault)) = Self::non_canonical(table, value) {
            return Err(KeyError::Part { column: column.to_owned(), fault });
        }
        Self::of_row(table, value).ok_or(KeyError::NoPrimaryKey)
    }

    /// Iterates over the canonical texts, in the order of the key's columns.
    pub fn parts(&self) -> impl Iterator<Item = &str> {
        self.parts.iter().map(String::as_str)
    }

    /// Returns `true` if keys with different texts always name different rows.
    pub fn is_comparable(&self) -> bool {
        self.is_comparable
    }

    /// Returns the partition of the row, from 0 to `partitions` - 1. The result must never change,
    /// because it is part of the name of a message group.
    pub fn partition(&self, table: &str, partitions: u32) -> u32 {
        let partition = self.hash(table) % u64::from(partitions.max(1));
        u32::try_from(partition).expect("a remainder is under its divisor")
    }

    /// Returns a hash of the table and the key that must never change. All rows of a table whose
    /// keys are not comparable have the same hash.
    pub fn hash(&self, table: &str) -> u64 {
        // FNV, since the hash of the standard library may change between releases. A key that moves
        // to another message group loses its order with its waiting writes.
        let mut hasher = fnv::FnvHasher::default();
        let parts = self.parts().filter(|_| self.is_comparable);
        for part in std::iter::once(table).chain(parts) {
            hasher.write(part.as_bytes());
            // A separator, so that ("ab", "c") and ("a", "bc") differ.
            hasher.write(&[0xff]);
        }
        hasher.finish()
    }
}

/// Formats the key as in a URL path, so that [`Key::from_path`] reads it back.
impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let [part] = self.parts.as_slice() {
            return f.write_str(part);
        }
        for (n, part) in self.parts.iter().enumerate() {
            if n > 0 {
                f.write_str(",")?;
            }
            if part.is_empty() || part.contains([',', '"', '\n', '\r']) {
                write!(f, "\"{}\"", part.replace('"', "\"\""))?;
            } else {
                f.write_str(part)?;
            }
        }
        Ok(())
    }
}

fn split_path(path: &str) -> Result<Vec<String>, KeyError> {
    let mut records =
        csv::ReaderBuilder::new().has_headers(false).from_reader(path.as_bytes()).into_records();
    let record = records.next().ok_or(KeyError::Malformed)?.map_err(|_| KeyError::Malformed)?;
    match records.next() {
        None => Ok(record.iter().map(str::to_owned).collect()),
        Some(_) => Err(KeyError::Malformed),
    }
}

#[cfg(test)]
mod tests {
    use aurora_sync_catalog::notation::table;

    use super::*;

    #[test]
    fn one_row_has_one_key_in_any_format() {
        let check = |column_type: &str, path: &str, expected: &str| {
            let table = table("t", &format!("k {column_type} key"));
            let key = Key::from_path(&table, path).unwrap();
            assert_eq!(key.to_string(), expected, "{column_type} {path}");
        };
        check("char(4)", "0001", "0001");
        check("char(4)", "ab  ", "ab");
        check("text", "ab  ", "ab  ");
        check("text", "a,\"b", "a,\"b");
        check("integer", "007", "7");
        check("bigint", "-0", "0");
        check("numeric", "+01.50", "1.5");
        check("numeric(6,2)", "-0.00", "0");
        check("uuid", "6F9619FF8B86D011B42D00C04FC964FF", "6f9619ff-8b86-d011-b42d-00c04fc964ff");
        check("boolean", "Yes", "true");
        check("date", "2026-11-23", "2026-11-23");
        check("timestamp", "2026-11-23 09:30", "2026-11-23T09:30:00");
        check("timestamp", "2026-11-23T09:30:00Z", "2026-11-23T09:30:00");
        check("timestamp", "2026-11-23T09:30:00+00", "2026-11-23T09:30:00");
        check("timestamp", "2026-11-23T23:59:60", "2026-11-24T00:00:00");
        check("timestamp", "2026-11-23T24:00:00", "2026-11-24T00:00:00");
        check("timestamptz", "2026-11-23T23:59:60.5Z", "2026-11-24T00:00:00.5Z");
        check("timestamptz", "2026-11-23T09:30:00.50+05:30", "2026-11-23T04:00:00.5Z");
        check("timestamptz", "2026-11-23T00:30+0100", "2026-11-22T23:30:00Z");
        check("timestamptz", "2026-11-23 04:00:00Z", "2026-11-23T04:00:00Z");
        // A text without an offset is in UTC, as in the sessions of the Data API.
        check("timestamptz", "2026-11-23 04:00:00", "2026-11-23T04:00:00Z");
        check("timestamptz", "2026-11-23", "2026-11-23T00:00:00Z");
        check("timestamptz", "Infinity", "infinity");
        check("time", "09:30", "09:30:00");
        check("time", "23:59:60", "24:00:00");
        check("time", "09:29:60Z", "09:30:00");
        check("numeric", "1E2", "100");
        check("numeric", "0e9", "0");
        check("numeric", "12e49", "12e49");
        check("numeric", "1.20E50", "12e49");
        check("numeric", &format!("12{}", "0".repeat(49)), "12e49");
        check("numeric", "-Inf", "-infinity");
        check("double", "1e2", "100");
        check("double", "-0.0", "0");
        check("real", "0.10", "0.1");
        check("inet", "192.0.2.1/32", "192.0.2.1");
        check("inet", "2001:DB8::0001", "2001:db8::1");
        check("bytea", "\\xAB", "\\xab");
    }

    #[test]
    fn a_key_must_have_a_canonical_text() {
        let table = table("t", "k date key");
        let error = Key::from_path(&table, "November 23, 2026").unwrap_err();
        assert!(error.to_string().contains("as it is part of the key"), "{error}");
    }

    #[test]
    fn keys_that_are_not_comparable_share_a_message_group() {
        let table = table("t", "k citext key, n integer key");
        let key = |path| Key::from_path(&table, path).unwrap();
        assert!(!key("a,1").is_comparable());
        let groups: Vec<_> =
            ["a,1", "A,1", "b,2"].iter().map(|path| key(path).partition("t", 32)).collect();
        assert_eq!(groups, [groups[0]; 3]);
    }

    #[test]
    fn composite_keys_survive_a_round_trip() {
        let table = table("t", "a text key=2, b integer, c text key=1");
        for (path, parts) in [
            ("x,y", ["x", "y"]),
            ("\"a,b\",\"say \"\"hi\"\"\"", ["a,b", "say \"hi\""]),
            ("\"\",0", ["", "0"]),
        ] {
            let key = Key::from_path(&table, path).unwrap();
            assert_eq!(key.parts().collect::<Vec<_>>(), parts);
            assert_eq!(Key::from_path(&table, &key.to_string()).unwrap(), key);
        }
        assert_eq!(Key::from_path(&table, "x"), Err(KeyError::PartCount { expected: 2, found: 1 }));
    }

    proptest::proptest! {
        #[test]
        fn the_path_of_a_key_names_no_other_key(one in "\\PC{0,8}", other in "\\PC{0,8}") {
            let table = table("t", "a text key=1, b text key=2");
            let key = Key::of_row(&table, |name| Some(if name == "a" { &one } else { &other }));
            let read = Key::from_path(&table, &key.clone().unwrap().to_string());
            proptest::prop_assert_eq!(read.ok(), key);
        }
    }

    #[test]
    fn a_partition_never_changes() {
        let table = table("t", "k text key");
        let partition = |path: &str| Key::from_path(&table, path).unwrap().partition("t", 32);
        assert_eq!([partition("0001"), partition("0002"), partition("")], [8, 31, 17]);
    }
}
