//! Cuts a file into chunks, and each chunk into the parts of its lanes.
//!
//! Pure. Where a chunk ends depends on the file and on the import's own limits alone, so that it is the same
//! each time the file is read. A key is always in the same lane; its rows keep their order.

use super::layout::Layout;
use super::part::{Origin, Part, Reject};
use super::repeats::SURE_RECORDS;
use crate::csv::records::{Place, Record};

/// When a chunk is full.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    pub records: usize,
    /// Of the records as they stand in the file. The record that passes it is the last one.
    pub bytes: usize,
    /// So many records of a file have their keys remembered for sure.
    pub sure_records: u64,
}

/// What a chunk may hold by default: large enough that a call is worth it, small enough that a few of them are
/// held in memory at once, and that the part of one of four lanes is one set ([`crate::statement::load::Load::rows_max`]).
pub const LIMITS: Limits =
    Limits { records: 15_000, bytes: 2 * 1024 * 1024, sure_records: SURE_RECORDS };

/// A piece of the file.
#[derive(Debug)]
pub struct Chunk {
    /// From 0.
    pub number: u32,
    /// The number of its first record in the file, from 1.
    pub first_record: u64,
    /// Where that one begins; `None` as long as the chunk is empty.
    pub place: Option<Place>,
    /// One for each lane.
    pub parts: Vec<Part>,
    limits: Limits,
    records: u64,
    bytes: usize,
}

impl Chunk {
    pub fn new(number: u32, first_record: u64, lanes: usize, limits: Limits) -> Self {
        let is_late = first_record > limits.sure_records;
        let parts = (0..lanes).map(|_| Part::new(is_late)).collect();
        Self { number, first_record, place: None, parts, limits, records: 0, bytes: 0 }
    }

    /// The empty chunk after this one.
    #[must_use]
    pub fn next(&self) -> Self {
        self.at(self.number + 1, self.first_record + self.records)
    }

    /// An empty chunk further on.
    #[must_use]
    pub fn at(&self, number: u32, first_record: u64) -> Self {
        Self::new(number, first_record, self.parts.len(), self.limits)
    }

    pub fn is_empty(&self) -> bool {
        self.records == 0
    }

    /// Whether it stands so far in the file that its keys are not remembered for sure.
    pub fn is_late(&self) -> bool {
        self.first_record > self.limits.sure_records
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
        self.place.get_or_insert(record.place());
        self.records += 1;
        self.bytes += record.raw.len();
        let place = record.place();
        let lane = |number: u64| usize::try_from(number % lanes).unwrap_or_default();
        match row {
            Ok(row) => {
                let key_hash = row.key.as_ref().map(|key| key.hash(""));
                let part = &mut self.parts[lane(key_hash.unwrap_or(number))];
                part.push(number, place, &record.raw, &row, key_hash);
            }
            Err(rejection) => {
                let origin = Origin { record: number, place, raw: record.raw };
                self.parts[lane(u64::from(self.number))].rejects.push(Reject { origin, rejection });
            }
        }
    }
}
