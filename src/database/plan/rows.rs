//! The plan of a file's rows: parameter sets, and the calls that hold them.
//!
//! Pure. Each row is in one set. Rows of one key keep their order and are in different sets, since
//! a statement with `ON CONFLICT` cannot touch a row a second time.

use std::hash::Hash;

use foldhash::{HashMap, HashMapExt};

use super::cut;

/// A row, as the plan sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item<K> {
    /// Rows of one key keep their order. `None` shares its key with no other row.
    pub key: Option<K>,
    /// The bytes that the row adds to a request.
    pub size_bytes: usize,
}

/// Plans the sets of these rows, with at most `set_rows_max` rows in a set.
///
/// A set is the indexes of its rows in `items`, sorted by key, so that all writers lock rows in one
/// order.
pub fn sets<K: Eq + Hash + Ord>(items: &[Item<K>], set_rows_max: usize) -> Vec<Vec<usize>> {
    let mut sets = Vec::new();
    for mut rows in levels(items) {
        rows.sort_by(|&a, &b| items[a].key.cmp(&items[b].key));
        let cuts = cut(rows.iter().map(|&row| items[row].size_bytes), set_rows_max);
        sets.extend(cuts.into_iter().map(|cut| rows[cut].to_vec()));
    }
    sets
}

/// Puts rows into levels: each row of a key is one level after the row of this key before it.
fn levels<K: Eq + Hash>(items: &[Item<K>]) -> Vec<Vec<usize>> {
    let mut next_level: HashMap<&K, usize> = HashMap::new();
    let mut levels: Vec<Vec<usize>> = Vec::new();
    for (row, item) in items.iter().enumerate() {
        let level = item.key.as_ref().map_or(0, |key| {
            let next = next_level.entry(key).or_default();
            *next += 1;
            *next - 1
        });
        if level == levels.len() {
            levels.push(Vec::new());
        }
        levels[level].push(row);
    }
    levels
}

/// Puts sets into calls, in their order, with at most `sets_max` sets and
/// [`CALL_BYTES_MAX`](super::CALL_BYTES_MAX) bytes in each call.
pub fn calls<S>(sets: Vec<S>, sets_max: usize, size_bytes: impl Fn(&S) -> usize) -> Vec<Vec<S>> {
    let cuts = cut(sets.iter().map(size_bytes), sets_max);
    let mut rest = sets.into_iter();
    cuts.into_iter().map(|cut| rest.by_ref().take(cut.len()).collect()).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::{CALL_BYTES_MAX, SET_ROWS_MAX};
    use super::*;

    fn item(key: u32) -> Item<u32> {
        Item { key: Some(key), size_bytes: 10 }
    }

    #[test]
    fn rows_share_a_set_sorted_by_key() {
        assert_eq!(sets(&[item(3), item(1), item(2)], SET_ROWS_MAX), [[1, 2, 0]]);
    }

    #[test]
    fn a_repeated_key_goes_into_a_later_set() {
        assert_eq!(sets(&[item(1), item(1), item(2)], SET_ROWS_MAX), [vec![0, 2], vec![1]]);
    }

    #[test]
    fn sets_share_calls_of_4_mib() {
        let mib = 1024 * 1024;
        let found = calls(vec![mib, mib, 3 * mib, mib / 2, 9 * mib], 10, |size: &usize| *size);
        assert_eq!(found, [vec![mib, mib], vec![3 * mib, mib / 2], vec![9 * mib]]);
        assert_eq!(calls(vec![1, 2, 3], 1, |size| *size), [[1], [2], [3]]);
    }

    proptest! {
        #[test]
        fn every_row_is_in_one_set_and_in_the_order_of_its_key(
            rows in prop::collection::vec((prop::option::of(0_u8..6), 0_usize..2_000_000), 0..400)
        ) {
            let items: Vec<_> =
                rows.into_iter().map(|(key, size_bytes)| Item { key, size_bytes }).collect();
            let size = |set: &Vec<usize>| -> usize { set.iter().map(|&row| items[row].size_bytes).sum() };
            let calls = calls(sets(&items, SET_ROWS_MAX), usize::MAX, size);
            let mut seen = Vec::new();
            for call in &calls {
                let bytes: usize = call.iter().map(&size).sum();
                prop_assert!(bytes <= CALL_BYTES_MAX);
                for set in call {
                    prop_assert!(!set.is_empty() && set.len() <= SET_ROWS_MAX);
                    let keys: Vec<_> = set.iter().filter_map(|&row| items[row].key).collect();
                    prop_assert!(keys.windows(2).all(|pair| pair[0] < pair[1]));
                    seen.extend(set.iter().copied());
                }
            }
            for key in 0..6 {
                let of_key: Vec<_> =
                    seen.iter().filter(|&&row| items[row].key == Some(key)).collect();
                prop_assert!(of_key.windows(2).all(|pair| pair[0] < pair[1]));
            }
            seen.sort_unstable();
            prop_assert_eq!(seen, (0..items.len()).collect::<Vec<_>>());
        }
    }
}
