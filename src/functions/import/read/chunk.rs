//! Cuts a file into chunks, and each chunk into the parts of its lanes.
//!
//! Pure. Where a chunk ends depends on the file and on the import's own limits alone, so that it is the same
//! each time the file is read. A key is always in the same lane; its rows keep their order.

use csv_stream::records::{Place, Record};

use super::layout::Layout;
use super::part::{Origin, Part, Reject};

/// When a chunk is full.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    pub records: usize,
    /// Of the records as they stand in the file. The record that passes it is the last one.
    pub bytes: usize,
}

/// The size of a chunk by default: large enough that the time of a call does not count, small enough that a few of them are
/// held in memory at once.
pub const LIMITS: Limits = Limits { records: 40_000, bytes: 2 * 1024 * 1024 };

/// A piece of the file.
#[derive(Debug)]
pub struct Chunk {
    /// From 0.
    pub number: u32,
    /// The number of its first record in the file, from 1.
    pub first_record: u64,
    /// One for each lane.
    pub parts: Vec<Part>,
    limits: Limits,
    records: u64,
    bytes: usize,
}

/// How large a chunk is, and where the next one begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChunkEnd {
    /// Of the chunk, in all lanes.
    pub records: u64,
    /// Bytes of the object that were read when the chunk was cut.
    pub bytes_read: u64,
    /// `None` where the file ends.
    pub next: Option<Place>,
    /// From 1.
    pub next_record: u64,
}

impl Chunk {
    pub fn new(number: u32, first_record: u64, lanes: usize, limits: Limits) -> Self {
        let parts = (0..lanes).map(|_| Part::default()).collect();
        Self { number, first_record, parts, limits, records: 0, bytes: 0 }
    }

    /// The empty chunk after this one.
    #[must_use]
    pub fn next(&self) -> Self {
        let first_record = self.first_record + self.records;
        Self::new(self.number + 1, first_record, self.parts.len(), self.limits)
    }

    pub fn is_empty(&self) -> bool {
        self.records == 0
    }

    pub fn records(&self) -> u64 {
        self.records
    }

    pub fn is_full(&self) -> bool {
        self.records >= self.limits.records as u64 || self.bytes >= self.limits.bytes
    }

    /// Checks a record and puts it into its lane. Rows without a key go round the lanes; what is not a row
    /// goes with the chunk's number.
    pub fn push(&mut self, layout: &Layout<'_>, record: Record) {
        let lanes = self.parts.len() as u64;
        let number = self.first_record + self.records;
        let row = layout.row(&record);
        self.records += 1;
        self.bytes += record.raw.len();
        let position = record.place();
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
