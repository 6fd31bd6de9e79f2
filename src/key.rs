//! Keys: which row a write is about, in one spelling however a client spells it.
//!
//! Pure. Two writes to one row must compare equal here, since everything that keeps writes to a
//! row in order rests on it: the partition, the levels of a batch, the lanes of an import.

use std::fmt;
use std::hash::Hasher;

use aurora_sync_catalog::{ColumnType, Table};
use serde::{Deserialize, Serialize};

use crate::value::{self, Fault, canonical_moment};

/// The values of a table's primary key, in the key's order, each in its one spelling.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Key(Vec<String>);

/// Why a path does not name a row.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    #[error("the table has no primary key, so none of its rows can be named")]
    NoPrimaryKey,
    #[error("the key has {expected} part(s), separated by commas, not {found}")]
    PartCount { expected: usize, found: usize },
    #[error(
        "the key is not well-formed: a part that holds a comma or a quote stands in double quotes"
    )]
    Malformed,
    #[error("{column}: expected {}", fault.expected)]
    Part { column: String, fault: Fault },
}

impl Key {
    /// The key of a row, where all of its columns have a value.
    pub fn of_row<'a>(table: &Table, value: impl Fn(&str) -> Option<&'a str>) -> Option<Self> {
        if table.primary_key.is_empty() {
            return None;
        }
        table
            .key_columns()
            .map(|column| value(&column.name).map(|text| canonical(&column.column_type, text)))
            .collect::<Option<Vec<_>>>()
            .map(Self)
    }

    /// The key in a URL path, percent-decoded: its parts separated by commas, written as in CSV.
    pub fn from_path(table: &Table, path: &str) -> Result<Self, KeyError> {
        let expected = table.primary_key.len();
        if expected == 0 {
            return Err(KeyError::NoPrimaryKey);
        }
        let parts = if expected == 1 { vec![path.to_owned()] } else { split_path(path)? };
        if parts.len() != expected {
            return Err(KeyError::PartCount { expected, found: parts.len() });
        }
        table
            .key_columns()
            .zip(&parts)
            .map(|(column, part)| {
                value::from_text(column, part)
                    .map(|text| canonical(&column.column_type, &text))
                    .map_err(|fault| KeyError::Part { column: column.name.clone(), fault })
            })
            .collect::<Result<Vec<_>, _>>()
            .map(Self)
    }

    pub fn parts(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(String::as_str)
    }

    /// Which of `partitions` the row belongs to: the same for ever, as it names the message group.
    pub fn partition(&self, table: &str, partitions: u32) -> u32 {
        // FNV, as the standard library's hasher may change between releases: a key that moved to
        // another message group while writes to it wait would lose its order.
        let mut hasher = fnv::FnvHasher::default();
        for part in std::iter::once(table).chain(self.parts()) {
            hasher.write(part.as_bytes());
            // An end mark, so that ("ab", "c") and ("a", "bc") differ.
            hasher.write(&[0xff]);
        }
        let partition = hasher.finish() % u64::from(partitions.max(1));
        u32::try_from(partition).expect("a remainder is under its divisor")
    }
}

/// As in a URL path: [`Key::from_path`] reads it back.
impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let [part] = self.0.as_slice() {
            return f.write_str(part);
        }
        for (n, part) in self.0.iter().enumerate() {
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

/// One spelling for all spellings of a value that PostgreSQL holds equal.
///
/// Types not named here are compared as they are written. That is safe, if slower: writes that
/// spell one key in two ways may then meet in one statement or run beside each other, where the
/// database puts them in some order.
pub fn canonical(column_type: &ColumnType, text: &str) -> String {
    match column_type {
        ColumnType::SmallInt | ColumnType::Integer | ColumnType::BigInt => {
            text.trim().parse::<i64>().map_or_else(|_| text.to_owned(), |number| number.to_string())
        }
        ColumnType::Numeric { .. } => canonical_decimal(text),
        ColumnType::Uuid => uuid::Uuid::try_parse(text.trim())
            .map_or_else(|_| text.to_owned(), |uuid| uuid.hyphenated().to_string()),
        // Trailing blanks mean nothing in char(n) ("Character Types").
        ColumnType::Char { .. } => text.trim_end_matches(' ').to_owned(),
        ColumnType::Boolean => match text.trim().to_ascii_lowercase().as_str() {
            "t" | "tr" | "tru" | "true" | "y" | "ye" | "yes" | "on" | "1" => "true".to_owned(),
            _ => "false".to_owned(),
        },
        ColumnType::Date | ColumnType::Timestamp | ColumnType::TimestampTz => {
            canonical_moment(text).unwrap_or_else(|| text.to_owned())
        }
        _ => text.to_owned(),
    }
}

/// A decimal without sign of plus, leading zeros, or trailing zeros of its fraction.
fn canonical_decimal(text: &str) -> String {
    let text = text.trim();
    let (sign, digits) = match text.strip_prefix('-') {
        Some(digits) => ("-", digits),
        None => ("", text.strip_prefix('+').unwrap_or(text)),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    if whole.is_empty() && fraction.is_empty()
        || !whole.bytes().chain(fraction.bytes()).all(|byte| byte.is_ascii_digit())
    {
        return text.to_owned();
    }
    let whole = match whole.trim_start_matches('0') {
        "" => "0",
        whole => whole,
    };
    match fraction.trim_end_matches('0') {
        "" if whole == "0" => "0".to_owned(),
        "" => format!("{sign}{whole}"),
        fraction => format!("{sign}{whole}.{fraction}"),
    }
}

#[cfg(test)]
mod tests {
    use aurora_sync_catalog::ddl;

    use super::*;

    fn table(ddl: &str) -> Table {
        let schema = ddl::parse(&[("test.sql".into(), ddl.into())]).unwrap();
        schema.catalog.tables()[0].clone()
    }

    #[test]
    fn one_row_has_one_key_however_it_is_spelt() {
        let check = |column_type: &str, path: &str, expected: &str| {
            let table = table(&format!("CREATE TABLE t (k {column_type} PRIMARY KEY)"));
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
        check("timestamptz", "2026-11-23T09:30:00.50+05:30", "2026-11-23T04:00:00.5Z");
        check("timestamptz", "2026-11-23T00:30+0100", "2026-11-22T23:30:00Z");
        check("timestamptz", "2026-11-23 04:00:00Z", "2026-11-23T04:00:00Z");
        // Without an offset, the database's own time zone decides.
        check("timestamptz", "2026-11-23 04:00:00", "2026-11-23T04:00:00");
        check("timestamptz", "infinity", "infinity");
    }

    #[test]
    fn composite_keys_read_back_what_they_print() {
        let table = table("CREATE TABLE t (a text, b integer, c text, PRIMARY KEY (c, a))");
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

    #[test]
    fn a_partition_never_changes() {
        let table = table("CREATE TABLE t (k text PRIMARY KEY)");
        let partition = |path: &str| Key::from_path(&table, path).unwrap().partition("t", 32);
        assert_eq!([partition("0001"), partition("0002"), partition("")], [8, 31, 17]);
    }
}
