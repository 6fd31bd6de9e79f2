//! Whether a row's key came before in its file: which rows are superseded follows from it.
//!
//! Pure. Keys are remembered once their rows are loaded. Of the first rows of a file it is known for sure;
//! after them, and where rows were told apart, only that a key may have come before, and the database has to
//! record the rows that it leaves as they are (`sync.import_met`). Next: [`crate::statement::load`].

use aurora_sync_catalog::Table;
use fastbloom::BloomFilter;
use foldhash::{HashSet, HashSetExt};

use super::part::{Part, Repeat};
use crate::key;

/// So many records of a file have their keys remembered for sure.
pub const SURE_RECORDS: u64 = 850_000;

/// As many keys as fit into 9 MiB: those of [`SURE_RECORDS`], and of the chunk in which these end.
const SURE_KEYS: usize = 917_504;

/// One in fifty of 2 million keys is taken for another one, one in four of 5 million: the database finds out.
const PERHAPS_BITS: usize = 2 * 8 * 1024 * 1024;
const PERHAPS_HASHES: u32 = 4;

/// The keys of the rows that were loaded, as hashes of 64 bits: among those of a million keys, one file in 40
/// million has two that are the same.
#[derive(Debug)]
pub struct Repeats {
    sure: HashSet<u64>,
    /// `None` where any key may have come before.
    perhaps: Option<BloomFilter>,
}

impl Repeats {
    /// Of a file of which nothing is loaded.
    pub fn none() -> Self {
        let perhaps = BloomFilter::with_num_bits(PERHAPS_BITS).seed(&0).hashes(PERHAPS_HASHES);
        Self { sure: HashSet::with_capacity(SURE_KEYS), perhaps: Some(perhaps) }
    }

    /// Where keys cannot be told apart by their texts.
    pub fn unknown() -> Self {
        Self { sure: HashSet::new(), perhaps: None }
    }

    /// Whether it matters which keys came before: where rows have keys, and texts say which of them are equal.
    pub fn matter(table: &Table) -> bool {
        !table.primary_key.is_empty() && key::are_comparable(table)
    }

    /// Rows were loaded that are not read again: from now on, any key may have come before.
    pub fn skip(&mut self) {
        self.perhaps = None;
    }

    /// Says of each row of a part that is about to be loaded whether its key came before.
    pub fn mark(&self, part: &mut Part) {
        let mut here = HashSet::new();
        part.mark(|hash| {
            let is_first_here = here.insert(hash);
            if self.sure.contains(&hash) {
                Repeat::Surely
            } else if !is_first_here {
                Repeat::InPart
            } else if self.perhaps.as_ref().is_none_or(|perhaps| perhaps.contains(&hash)) {
                Repeat::Perhaps
            } else {
                Repeat::No
            }
        });
    }

    /// Remembers the keys of a loaded part. Where the database records what it left alone, it need not be that all
    /// rows stand.
    pub fn remember(&mut self, part: &Part, is_recorded: bool) {
        if !is_recorded {
            self.sure.extend(part.key_hashes());
        } else if let Some(perhaps) = &mut self.perhaps {
            part.key_hashes().for_each(|hash| {
                perhaps.insert(&hash);
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::import::part::PartRow;

    fn marks(repeats: &Repeats, keys: impl IntoIterator<Item = u64>) -> Vec<Repeat> {
        let mut part = Part::of_keys(keys);
        repeats.mark(&mut part);
        part.rows().map(PartRow::repeat).collect()
    }

    #[test]
    fn a_key_came_before_in_a_loaded_part_or_in_its_own() {
        use Repeat::{InPart, No, Perhaps, Surely};

        let mut repeats = Repeats::none();
        assert_eq!(marks(&repeats, [1, 2, 1]), [No, No, InPart]);
        repeats.remember(&Part::of_keys([1, 2]), false);
        repeats.remember(&Part::of_keys([3]), true);
        assert_eq!(marks(&repeats, [1, 3, 4, 3]), [Surely, Perhaps, No, InPart]);
        repeats.skip();
        assert_eq!(marks(&repeats, [1, 3, 4]), [Surely, Perhaps, Perhaps]);
    }

    #[test]
    fn no_key_is_taken_for_another_for_sure() {
        let mut repeats = Repeats::none();
        repeats.remember(&Part::of_keys(0..SURE_RECORDS), false);
        let found = marks(&repeats, SURE_RECORDS..2 * SURE_RECORDS);
        assert_eq!(found.iter().filter(|mark| **mark != Repeat::No).count(), 0);
        assert!(repeats.sure.capacity() < 2 * SURE_KEYS);
    }
}
