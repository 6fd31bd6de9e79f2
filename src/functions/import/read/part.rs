//! The rows of a chunk that one lane loads.
//!
//! Pure. All rows share a few strings. A row of a file is a few short texts: a string for each
//! would cost more time and memory than all other work. [`crate::functions::import::load::loader`]
//! loads a part.

use csv_stream::records::FilePosition;

use super::layout::Row;
use crate::database::parameter_set::{PackedRow, PackedRows};
use crate::domain::key::Key;
use crate::domain::rejection::Rejection;

/// The rows of a chunk that one lane loads, in the order of the file.
#[derive(Debug, Default)]
pub struct Part {
    rows: Vec<PartRecord>,
    /// The bytes of the records in the file.
    raw: Vec<u8>,
    /// The cells of the rows.
    cells: PackedRows,
    /// The keys of the rows, as texts whose order is that of the keys.
    keys: String,
    /// The records that do not fit the table.
    pub rejects: Vec<Reject>,
}

/// A record that fits the table.
#[derive(Debug)]
struct PartRecord {
    /// The number of the record, from 1, without the header.
    record: u64,
    position: FilePosition,
    /// The end of its bytes in [`Part::raw`].
    raw_end: usize,
    /// The end of its key in [`Part::keys`].
    key_end: usize,
    size_bytes: usize,
}

/// The position and the bytes of a record in the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    /// The number of the record, from 1, without the header.
    pub record: u64,
    pub position: FilePosition,
    /// The bytes of the record, without its line end.
    pub raw: Vec<u8>,
}

/// A record that is rejected.
#[derive(Debug, Clone)]
pub struct Reject {
    pub origin: Origin,
    pub rejection: Rejection,
}

/// The end of each part of a key. No value contains it, and it sorts before all other characters.
const KEY_PART_END: char = '\0';

impl Part {
    /// Returns `true` if the part has no record.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns the number of its records, rejects included.
    pub fn len(&self) -> usize {
        self.rows.len() + self.rejects.len()
    }

    /// Adds a record that fits the table.
    pub fn push(&mut self, record: u64, position: FilePosition, raw: &[u8], row: &Row) {
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

    /// Iterates over the records that fit the table.
    pub fn rows(&self) -> impl ExactSizeIterator<Item = PartRow<'_>> {
        (0..self.rows.len()).map(|number| PartRow { part: self, number })
    }
}

/// A record of a part that fits the table.
#[derive(Debug, Clone, Copy)]
pub struct PartRow<'a> {
    part: &'a Part,
    number: usize,
}

impl<'a> PartRow<'a> {
    /// Returns its key as one text, in the order of the keys, or `None` if it has none.
    pub fn key(self) -> Option<&'a str> {
        let start = self.before().map_or(0, |before| before.key_end);
        self.part.keys.get(start..self.part_record().key_end).filter(|key| !key.is_empty())
    }

    /// Returns its index in the part.
    pub fn number(self) -> usize {
        self.number
    }

    /// Returns its cells.
    pub fn cells(self) -> PackedRow<'a> {
        self.part.cells.row(self.number)
    }

    /// Returns the bytes that its cells add to a request.
    pub fn size_bytes(self) -> usize {
        self.part_record().size_bytes
    }

    /// Returns its position and its bytes in the file.
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
