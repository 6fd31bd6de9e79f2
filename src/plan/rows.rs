//! The plan of a file's rows: calls of parameter sets.
//!
//! Pure. It keeps every row, keeps the order of rows that share a key, and never lets a key stand
//! twice in one parameter set (a statement with `ON CONFLICT` cannot touch a row a second time).

use std::hash::Hash;

use foldhash::{HashMap, HashMapExt};

use super::{CALL_BYTES_MAX, cut};

/// What the plan needs to know of a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item<G, K> {
    /// Rows of one group can share a statement.
    pub group: G,
    /// Rows that share a key keep their order; `None` meets no other row.
    pub key: Option<K>,
    /// The bytes that the row adds to a request.
    pub size_bytes: usize,
}

/// One `BatchExecuteStatement` call: parameter sets of one group, executed in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call<G> {
    pub group: G,
    /// Each set holds the places of its rows in the input, sorted by key, so that all writers lock
    /// rows in one order.
    pub sets: Vec<Vec<usize>>,
}

/// Plans the calls for these rows, with at most so many rows in a set.
pub fn plan<G, K>(items: &[Item<G, K>], set_rows_max: usize) -> Vec<Call<G>>
where
    G: Clone + Eq + Hash,
    K: Eq + Hash + Ord,
{
    let mut calls: Vec<Call<G>> = Vec::new();
    let mut call_bytes = 0;
    for (group, mut rows) in groups_in_order(items) {
        rows.sort_by(|&a, &b| items[a].key.cmp(&items[b].key));
        for set in cut(rows.iter().map(|&row| items[row].size_bytes), set_rows_max) {
            let set_rows = &rows[set];
            let set_bytes: usize = set_rows.iter().map(|&row| items[row].size_bytes).sum();
            match calls.last_mut() {
                Some(call) if call.group == group && call_bytes + set_bytes <= CALL_BYTES_MAX => {
                    call.sets.push(set_rows.to_vec());
                    call_bytes += set_bytes;
                }
                _ => {
                    calls.push(Call { group: group.clone(), sets: vec![set_rows.to_vec()] });
                    call_bytes = set_bytes;
                }
            }
        }
    }
    calls
}

/// Rows by level, then by group: a key's second row goes one level below its first.
fn groups_in_order<G, K>(items: &[Item<G, K>]) -> Vec<(G, Vec<usize>)>
where
    G: Clone + Eq + Hash,
    K: Eq + Hash,
{
    let mut next_level: HashMap<&K, usize> = HashMap::new();
    let mut levels: Vec<Vec<(G, Vec<usize>)>> = Vec::new();
    let mut place_of: HashMap<(usize, &G), usize> = HashMap::new();
    for (row, item) in items.iter().enumerate() {
        let level = item.key.as_ref().map_or(0, |key| {
            let next = next_level.entry(key).or_default();
            *next += 1;
            *next - 1
        });
        if level == levels.len() {
            levels.push(Vec::new());
        }
        let groups = &mut levels[level];
        let place = *place_of.entry((level, &item.group)).or_insert_with(|| {
            groups.push((item.group.clone(), Vec::new()));
            groups.len() - 1
        });
        groups[place].1.push(row);
    }
    levels.into_iter().flatten().collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::SET_ROWS_MAX;
    use super::*;

    fn item(group: &'static str, key: u32) -> Item<&'static str, u32> {
        Item { group, key: Some(key), size_bytes: 10 }
    }

    fn check(items: &[Item<&'static str, u32>], expected: &[(&str, &[&[usize]])]) {
        let calls = plan(items, SET_ROWS_MAX);
        let found: Vec<_> = calls.iter().map(|call| (call.group, call.sets.clone())).collect();
        let expected: Vec<_> = expected
            .iter()
            .map(|(group, sets)| (*group, sets.iter().map(|set| set.to_vec()).collect::<Vec<_>>()))
            .collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn rows_of_one_group_share_a_set_sorted_by_key() {
        check(&[item("a", 3), item("a", 1), item("a", 2)], &[("a", &[&[1, 2, 0]])]);
    }

    #[test]
    fn a_repeated_key_goes_into_a_later_set_of_the_same_call() {
        check(&[item("a", 1), item("a", 1), item("a", 2)], &[("a", &[&[0, 2], &[1]])]);
    }

    #[test]
    fn operations_on_one_key_keep_their_order() {
        check(
            &[item("insert", 1), item("delete", 1), item("insert", 1), item("delete", 2)],
            &[("insert", &[&[0]]), ("delete", &[&[3], &[1]]), ("insert", &[&[2]])],
        );
    }

    proptest! {
        #[test]
        fn every_row_stands_once_and_in_the_order_of_its_key(
            rows in prop::collection::vec((0_u8..3, prop::option::of(0_u8..6), 0_usize..2_000_000), 0..400)
        ) {
            let items: Vec<_> = rows
                .into_iter()
                .map(|(group, key, size_bytes)| Item { group, key, size_bytes })
                .collect();
            let calls = plan(&items, SET_ROWS_MAX);
            let mut seen = Vec::new();
            for call in &calls {
                let bytes: usize = call.sets.iter().flatten().map(|&row| items[row].size_bytes).sum();
                prop_assert!(bytes <= CALL_BYTES_MAX);
                for set in &call.sets {
                    prop_assert!(!set.is_empty() && set.len() <= SET_ROWS_MAX);
                    let keys: Vec<_> = set.iter().filter_map(|&row| items[row].key).collect();
                    prop_assert!(keys.windows(2).all(|pair| pair[0] < pair[1]));
                    for &row in set {
                        prop_assert_eq!(items[row].group, call.group);
                        seen.push(row);
                    }
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
