//! Cuts a file into chunks, and each chunk into the parts of its lanes.
//!
//! Pure. The end of a chunk depends only on the file and on the limits of the import, so that the
//! file is cut in the same way each time. A key is always in the same lane, and its rows keep their
//! order.

use csv_stream::records::{FilePosition, Record};
use serde::Deserialize;

use super::layout::Layout;
use super::part::{Origin, Part, Reject};

/// The limits of a chunk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub struct Limits {
    pub records: usize,
    /// The bytes of the records in the file. The record that passes this limit is the last one.
    pub bytes: usize,
}

/// The default limits: large enough that the time of a call hardly counts, small enough that memory
/// holds a few chunks at once.
pub const LIMITS: Limits = Limits { records: 40_000, bytes: 2 * 1024 * 1024 };

/// A section of the file.
#[derive(Debug)]
pub struct Chunk {
    /// The number of the chunk, from 0.
    pub number: u32,
    /// The number of its first record in the file, from 1.
    pub first_record: u64,
    /// The part of each lane.
    pub parts: Vec<Part>,
    limits: Limits,
    records: u64,
    bytes: usize,
}

/// The size of a chunk, and the beginning of the next one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChunkEnd {
    /// The records of the chunk, in all lanes.
    pub records: u64,
    /// The bytes of the object that were read when the chunk was cut.
    pub bytes_read: u64,
    /// The position of the next chunk's first record; `None` at the end of the file.
    pub next: Option<FilePosition>,
    /// The number of that record, from 1.
    pub next_record: u64,
}

impl Chunk {
    /// Makes an empty chunk. `first_record` is the number of its first record, from 1.
    pub fn new(number: u32, first_record: u64, lanes: usize, limits: Limits) -> Self {
        let parts = (0..lanes).map(|_| Part::default()).collect();
        Self { number, first_record, parts, limits, records: 0, bytes: 0 }
    }

    /// Returns the empty chunk after this one.
    #[must_use]
    pub fn next(&self) -> Self {
        let first_record = self.first_record + self.records;
        Self::new(self.number + 1, first_record, self.parts.len(), self.limits)
    }

    /// Returns `true` if the chunk has no record.
    pub fn is_empty(&self) -> bool {
        self.records == 0
    }

    /// Returns the number of its records.
    pub fn records(&self) -> u64 {
        self.records
    }

    /// Returns `true` if a limit is reached.
    pub fn is_full(&self) -> bool {
        self.records >= self.limits.records as u64 || self.bytes >= self.limits.bytes
    }

    /// Checks a record, and puts it into its lane.
    ///
    /// The key of a row decides its lane. Rows without a key take turns in all lanes. All records
    /// that do not fit the table go into one lane, by the number of the chunk.
    pub fn push(&mut self, layout: &Layout<'_>, record: Record) {
        let lanes = self.parts.len() as u64;
        let number = self.first_record + self.records;
        let row = layout.row(&record);
        self.records += 1;
        self.bytes += record.raw.len();
        let position = record.position();
        let lane = |number: u64| usize::try_from(number % lanes).unwrap_or_default();
        match row {
            Ok(row) => {
                let key_hash = row.key.as_ref().map(|key| key.hash(""));
                let part = &mut self.parts[lane(key_hash.unwrap_or(number))];
                part.push(number, position, &record.raw, &row);
            }
            Err(rejection) => {
                let origin = Origin { record: number, position, raw: record.raw };
                self.parts[lane(u64::from(self.number))].rejects.push(Reject { origin, rejection });
            }
        }
    }
}
