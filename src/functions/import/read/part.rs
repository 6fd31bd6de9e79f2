//! The rows of a chunk that one lane loads.
//!
//! Pure. Rows lie packed, one behind the other: a row of a file is a few short texts, and each in memory of its own
//! would take more time and memory than all that is done with them. Next: [`crate::functions::import::load::loader`].

use super::layout::Row;
use crate::database::parameter_set::{PackedRow, PackedRows};
use crate::domain::key::Key;
use crate::domain::outcome::Rejection;
use csv_stream::records::Place;

/// The rows of a chunk that one lane loads, in the order of the file.
#[derive(Debug, Default)]
pub struct Part {
    rows: Vec<PartRecord>,
    /// The records as they stand in the file.
    raw: Vec<u8>,
    /// Their cells.
    cells: PackedRows,
    /// Their keys, in order as the keys themselves are.
    keys: String,
    /// Records that do not fit the table.
    pub rejects: Vec<Reject>,
}

/// A record that fits the table.
#[derive(Debug)]
struct PartRecord {
    /// From 1, the header not counted.
    record: u64,
    position: Place,
    /// Where its bytes and its key end.
    raw_end: usize,
    key_end: usize,
    size_bytes: usize,
}

/// Where a record stands, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    /// From 1, the header not counted.
    pub record: u64,
    pub position: Place,
    /// Without its line end.
    pub raw: Vec<u8>,
}

/// A record that is not loaded.
#[derive(Debug, Clone)]
pub struct Reject {
    pub origin: Origin,
    pub rejection: Rejection,
}

/// Ends each part of a packed key. No value holds it, and it comes before all other characters.
const KEY_PART_END: char = '\0';

impl Part {
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The number of its records.
    pub fn len(&self) -> usize {
        self.rows.len() + self.rejects.len()
    }

    pub fn push(&mut self, record: u64, position: Place, raw: &[u8], row: &Row) {
        self.raw.extend_from_slice(raw);
        for part in row.key.iter().flat_map(Key::parts) {
            self.keys.push_str(part);
            self.keys.push(KEY_PART_END);
        }
        self.rows.push(PartRecord {
            record,
            position,
            raw_end: self.raw.len(),
            key_end: self.keys.len(),
            size_bytes: self.cells.push(&row.cells),
        });
    }

    /// The records that fit the table.
    pub fn rows(&self) -> impl ExactSizeIterator<Item = PartRow<'_>> {
        (0..self.rows.len()).map(|number| PartRow { part: self, number })
    }

    /// Rows of nothing but these keys.
    #[cfg(test)]
    pub fn of_keys(keys: impl IntoIterator<Item = u64>) -> Self {
        let sql = "CREATE TABLE t (k bigint PRIMARY KEY);".to_owned();
        let schema = aurora_sync_catalog::ddl::parse(&[("0001_t.sql".to_owned(), sql)]).unwrap();
        let table = &schema.catalog.tables()[0];
        let mut part = Self::default();
        for key in keys {
            let key = Key::from_path(table, &key.to_string()).ok();
            let row = Row { key, cells: crate::database::parameter_set::PackedCells::default() };
            part.push(1, Place { byte_offset: 0, line: 1 }, b"", &row);
        }
        part
    }
}

/// A record that fits the table, of its part.
#[derive(Debug, Clone, Copy)]
pub struct PartRow<'a> {
    part: &'a Part,
    number: usize,
}

impl<'a> PartRow<'a> {
    /// Its key as one text, which orders rows as their keys do; `None` where it has none.
    pub fn key(self) -> Option<&'a str> {
        let start = self.before().map_or(0, |before| before.key_end);
        self.part.keys.get(start..self.part_record().key_end).filter(|key| !key.is_empty())
    }

    /// Its position in the part, from 0.
    pub fn number(self) -> usize {
        self.number
    }

    pub fn cells(self) -> PackedRow<'a> {
        self.part.cells.row(self.number)
    }

    /// The bytes that its cells add to a request.
    pub fn size_bytes(self) -> usize {
        self.part_record().size_bytes
    }

    pub fn origin(self) -> Origin {
        let PartRecord { record, position, raw_end, .. } = *self.part_record();
        let start = self.before().map_or(0, |before| before.raw_end);
        let raw = self.part.raw.get(start..raw_end).unwrap_or_default();
        Origin { record, position, raw: raw.to_vec() }
    }

    fn part_record(self) -> &'a PartRecord {
        &self.part.rows[self.number]
    }

    fn before(self) -> Option<&'a PartRecord> {
        self.part.rows.get(self.number.checked_sub(1)?)
    }
}
