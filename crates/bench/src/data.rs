//! The rows that are loaded: the same every time, different in every row.
//!
//! A version of a row is its state before or after a change: keys are equal, other values differ.

use std::fmt::Write as _;
use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::path::Path;

use anyhow::Context;

const DIGITS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// More keys than `char(4)` holds in letters and digits.
pub(crate) const STAFF_ROWS_MAX: u64 = 62 * 62 * 62 * 62;

/// A table of the benchmark.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Table {
    /// The tutorial's: three short columns.
    Staff,
    /// Twenty columns of the common types.
    Wide,
}

/// The state of rows before and after a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Version {
    Old,
    New,
}

impl Table {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Staff => "staff",
            Self::Wide => "wide",
        }
    }

    pub(crate) fn header(self) -> &'static str {
        match self {
            Self::Staff => "id,name,age",
            Self::Wide => {
                "id,code,name,note,category,is_active,level,quantity,total,ratio,score,price,born,\
                 opens,created,changed,token,tags,extra,address"
            }
        }
    }

    /// Writes a CSV file of these rows, with its header.
    pub(crate) fn write_csv(
        self,
        path: &Path,
        rows: impl Iterator<Item = u64>,
        version: Version,
    ) -> anyhow::Result<()> {
        let write = || -> std::io::Result<()> {
            let mut file = BufWriter::new(File::create(path)?);
            let mut line = String::new();
            writeln!(file, "{}", self.header())?;
            for n in rows {
                line.clear();
                self.push_line(&mut line, n, version);
                file.write_all(line.as_bytes())?;
            }
            file.flush()
        };
        write().with_context(|| format!("cannot write {}", path.display()))
    }

    /// One line of CSV.
    pub(crate) fn push_line(self, line: &mut String, n: u64, version: Version) {
        match self {
            Self::Staff => push_staff(line, n, version),
            Self::Wide => push_wide(line, n, version),
        }
    }
}

/// The key of the nth row of `staff`; keys rise with their rows.
pub(crate) fn staff_id(n: u64) -> String {
    let mut rest = n % STAFF_ROWS_MAX;
    let mut id = [b'0'; 4];
    for digit in id.iter_mut().rev() {
        *digit = DIGITS[usize::try_from(rest % 62).unwrap_or_default()];
        rest /= 62;
    }
    String::from_utf8_lossy(&id).into_owned()
}

pub(crate) fn staff_name(n: u64, version: Version) -> String {
    let given = ["Aurora", "Lambda", "Dynamo", "Kinesis", "Athena", "Glacier"];
    let family = ["Ito", "O'Neill", "Müller", "Silva", "Novák", "Sato", "Smith"];
    let given = given[usize::try_from(n % 6).unwrap_or_default()];
    let family = family[usize::try_from(n % 7).unwrap_or_default()];
    match version {
        Version::Old => format!("{given} {family}"),
        Version::New => format!("{given} {family} {n}"),
    }
}

/// NULL for every seventeenth.
pub(crate) fn staff_age(n: u64) -> Option<u64> {
    (!n.is_multiple_of(17)).then_some(18 + n % 50)
}

fn push_staff(line: &mut String, n: u64, version: Version) {
    let age = staff_age(n).map(|age| age.to_string()).unwrap_or_default();
    push(line, format_args!("{},{},{age}\n", staff_id(n), staff_name(n, version)));
}

fn push_wide(line: &mut String, n: u64, version: Version) {
    // Spreads consecutive numbers (Knuth's multiplicative hash), so that values look unlike each
    // other.
    let spread = n.wrapping_mul(0x9E37_79B9_7F4A_7C15);
    let changed = u64::from(version == Version::New);
    let name = staff_name(n, version);
    let category = ["tools", "garden", "kitchen", "office"][usize::try_from(n % 4).unwrap_or(0)];
    let note = match n % 5 {
        0 => String::new(),
        1 => format!("\"says \"\"no. {n}\"\", twice\""),
        _ => format!("note of row {n}"),
    };
    let quantity =
        if n.is_multiple_of(11) { String::new() } else { (spread % 1_000_000).to_string() };
    let (day, second) = (1 + n % 28, spread % 60);
    push(line, format_args!("{n},{:08x},{name},{note},{category},", spread >> 32));
    push(line, format_args!("{},{},{quantity},", n.is_multiple_of(2), n % 100));
    push(line, format_args!("{},{}.5,{}.25,", spread >> 8, spread % 10_000, n % 1_000));
    push(line, format_args!("{}.{:02},", spread % 100_000 + changed, n % 100));
    push(line, format_args!("19{:02}-{:02}-{day:02},", 50 + n % 50, 1 + n % 12));
    push(line, format_args!("{:02}:30:{second:02},", n % 24));
    push(line, format_args!("2026-{:02}-{day:02} 12:{:02}:{second:02},", 1 + n % 12, n % 60));
    push(line, format_args!("2026-11-{day:02}T08:{:02}:{second:02}.123456Z,", n % 60));
    push(line, format_args!("{:08x}-0000-4000-8000-{:012x},", spread & 0xffff_ffff, spread >> 16));
    push(line, format_args!("\"{{tag{},{category}}}\",", n % 9));
    push(line, format_args!("\"{{\"\"rank\"\": {}, \"\"of\"\": [{n}]}}\",", n % 1_000));
    push(line, format_args!("10.{}.{}.{}\n", n % 256, (n / 256) % 256, spread % 256));
}

fn push(line: &mut String, text: std::fmt::Arguments<'_>) {
    line.write_fmt(text).expect("a string takes everything");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_rise_and_are_as_long_as_their_column() {
        let ids: Vec<_> = [0, 1, 61, 62, 4_999_999].map(staff_id).into();
        assert_eq!(ids, ["0000", "0001", "000z", "0010", "Kyj9"]);
        assert!(ids.is_sorted());
    }

    #[test]
    fn every_line_has_the_columns_of_its_header() {
        for table in [Table::Staff, Table::Wide] {
            for n in 0..60 {
                let mut text = format!("{}\n", table.header());
                table.push_line(&mut text, n, Version::New);
                assert_eq!(fields(text.lines().nth(1).unwrap()), fields(table.header()), "{text}");
            }
        }
    }

    /// Commas outside quotes, and one.
    fn fields(line: &str) -> usize {
        let parts: Vec<_> = line.split('"').collect();
        1 + parts.iter().step_by(2).map(|part| part.matches(',').count()).sum::<usize>()
    }
}
