//! Cuts a file into chunks, and each chunk into the parts of its lanes.
//!
//! Pure. Where a chunk ends depends on the file and on the import's own limits alone, so that it is the same
//! each time the file is read. A key is always in the same lane; its rows keep their order.

use fastbloom::BloomFilter;

use super::layout::{Layout, Row};
use crate::csv::records::{Place, Record};
use crate::key::Key;
use crate::outcome::Rejection;

/// When a chunk is full.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    pub records: usize,
    /// Of the records as they stand in the file. The record that passes it is the last one.
    pub bytes: usize,
}

/// What a chunk may hold by default: large enough that a call is worth it, small enough that a few of them are
/// held in memory at once.
pub const LIMITS: Limits = Limits { records: 10_000, bytes: 2 * 1024 * 1024 };

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
    records: u64,
    bytes: usize,
}

/// What a lane has to load of a chunk.
#[derive(Debug, Default)]
pub struct Part {
    pub rows: Vec<PartRow>,
    /// Records that do not fit the table.
    pub rejects: Vec<Reject>,
}

/// A record that fits the table.
#[derive(Debug)]
pub struct PartRow {
    pub origin: Origin,
    pub row: Row,
    /// Whether its key may have come before in the file.
    pub may_repeat: bool,
}

/// Where a record stands, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    /// From 1, the header not counted.
    pub record: u64,
    pub place: Place,
    /// Without its line end.
    pub raw: Vec<u8>,
}

/// A record that is not loaded.
#[derive(Debug, Clone)]
pub struct Reject {
    pub origin: Origin,
    pub rejection: Rejection,
}

impl Part {
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty() && self.rejects.is_empty()
    }

    /// The number of its records.
    pub fn len(&self) -> usize {
        self.rows.len() + self.rejects.len()
    }
}

impl Chunk {
    pub fn new(number: u32, first_record: u64, lanes: usize) -> Self {
        let parts = (0..lanes).map(|_| Part::default()).collect();
        Self { number, first_record, place: None, parts, records: 0, bytes: 0 }
    }

    /// The empty chunk after this one.
    #[must_use]
    pub fn next(&self) -> Self {
        Self::new(self.number + 1, self.first_record + self.records, self.parts.len())
    }

    pub fn is_empty(&self) -> bool {
        self.records == 0
    }

    pub fn records(&self) -> u64 {
        self.records
    }

    pub fn is_full(&self, limits: Limits) -> bool {
        self.records >= limits.records as u64 || self.bytes >= limits.bytes
    }

    /// Checks a record and puts it into its lane. Rows without a key go round the lanes; what is not a row
    /// goes with the chunk's number.
    pub fn push(&mut self, layout: &Layout<'_>, record: Record, repeats: &mut Repeats) {
        let lanes = self.parts.len() as u64;
        let number = self.first_record + self.records;
        let row = layout.row(&record);
        self.place.get_or_insert(record.place());
        self.records += 1;
        self.bytes += record.raw.len();
        let place = record.place();
        let origin = Origin { record: number, place, raw: record.raw };
        let lane = |number: u64| usize::try_from(number % lanes).unwrap_or_default();
        match row {
            Ok(row) => {
                let may_repeat = row.key.as_ref().is_some_and(|key| repeats.may_repeat(key));
                let of_key = row.key.as_ref().map(|key| lane(key.hash("")));
                let lane = of_key.unwrap_or(lane(number));
                self.parts[lane].rows.push(PartRow { origin, row, may_repeat });
            }
            Err(rejection) => {
                self.parts[lane(u64::from(self.number))].rejects.push(Reject { origin, rejection });
            }
        }
    }
}

/// Remembers which keys came before, in little memory: it may take a new key for an old one, never the other
/// way round. Whether a row really repeats another is for the database to find out; this spares it from
/// looking for most of them.
#[derive(Debug)]
pub struct Repeats {
    /// `None` where any key may have come before.
    seen: Option<BloomFilter>,
}

/// One in a hundred keys of 7 million is taken for an old one; one in ten of 14 million.
const FILTER_BITS: usize = 8 * 8 * 1024 * 1024;

/// Bits that a key sets.
const FILTER_HASHES: u32 = 4;

impl Repeats {
    /// From the beginning of a file.
    pub fn none() -> Self {
        let filter = BloomFilter::with_num_bits(FILTER_BITS).seed(&0).hashes(FILTER_HASHES);
        Self { seen: Some(filter) }
    }

    /// For a file that is not read from its beginning, or whose keys cannot be told apart by their texts.
    pub fn unknown() -> Self {
        Self { seen: None }
    }

    /// Whether the key may have come before. From now on it has.
    fn may_repeat(&mut self, key: &Key) -> bool {
        self.seen.as_mut().is_none_or(|seen| seen.insert(key))
    }
}
