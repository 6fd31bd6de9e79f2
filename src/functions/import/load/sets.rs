//! Makes sets of the rows of a part. Rows of one key are folded or, if bad rows are looked for, put
//! into one set.
//!
//! Pure.

use std::collections::{HashMap, HashSet};

use crate::database::parameter_set::{PackedRow, packed_literals};
use crate::database::plan::CALL_BYTES_MAX;
use crate::database::plan::rows::{self as plan, Item};
use crate::domain::field::{Parameter, parameter};
use crate::functions::import::read::part::{Part, PartRow};

/// The rows of one execution of a statement, in the order in which they are loaded.
pub(in crate::functions::import) type Set<'a> = Vec<PartRow<'a>>;

/// Folds the earlier rows of each key into its last one. Returns the rows that are left.
pub(in crate::functions::import) fn fold(part: &Part) -> Vec<PartRow<'_>> {
    let mut later = HashSet::new();
    let mut rows: Vec<_> = part.rows().collect();
    rows.reverse();
    rows.retain(|row| row.key().is_none_or(|key| later.insert(key)));
    rows.reverse();
    rows
}

/// The rows of a part in which bad rows are looked for, if rows of a key fold.
#[derive(Debug, Default)]
pub(in crate::functions::import) struct Unfolded<'a> {
    /// The rows of other keys, in the order in which they are loaded: of keys that occur once, and
    /// of keys with too many rows for one set.
    pub(in crate::functions::import) in_order: Vec<PartRow<'a>>,
    /// Sets of groups: all rows of one key, the last one first. An earlier row is tried if the
    /// later one is refused.
    pub(in crate::functions::import) repeated: Vec<Vec<Set<'a>>>,
}

/// Puts the rows of each key into one group. `size_bytes` returns the bytes that a row adds to a
/// request.
pub(in crate::functions::import) fn by_key<'a>(
    part: &'a Part,
    set_rows_max: usize,
    size_bytes: impl Fn(PartRow<'a>) -> usize,
) -> Unfolded<'a> {
    let mut of_key: HashMap<&str, Set<'a>> = HashMap::new();
    for row in part.rows() {
        if let Some(key) = row.key() {
            of_key.entry(key).or_default().push(row);
        }
    }
    let group_bytes = |group: &Set<'a>| group.iter().map(|row| size_bytes(*row)).sum::<usize>();
    let is_repeated = |group: &&Set<'a>| {
        group.len() > 1 && group.len() <= set_rows_max && group_bytes(group) <= GROUP_BYTES_MAX
    };
    let mut unfolded = Unfolded::default();
    let (mut rows, mut bytes) = (0, 0);
    for row in part.rows() {
        let group = row.key().and_then(|key| of_key.get(key)).filter(is_repeated);
        let Some(group) = group else {
            unfolded.in_order.push(row);
            continue;
        };
        // The whole group comes with its first row.
        if group[0].number() != row.number() {
            continue;
        }
        rows += group.len();
        bytes += group_bytes(group);
        if unfolded.repeated.is_empty() || rows > set_rows_max || bytes > GROUP_BYTES_MAX {
            unfolded.repeated.push(Vec::new());
            (rows, bytes) = (group.len(), group_bytes(group));
        }
        let set = unfolded.repeated.last_mut().expect("a set has begun");
        set.push(group.iter().rev().copied().collect());
    }
    unfolded
}

/// The most bytes of a group and of a set of groups, as a set must fit into a call.
const GROUP_BYTES_MAX: usize = CALL_BYTES_MAX / 2;

/// Puts rows into sets. A key is in a set at most once, and rows of one key keep their order.
///
/// The rows of a set are sorted by key, so that all writers lock rows in one order. With
/// `keeps_order`, all rows keep their order instead, and a repeated key begins a new set. If the
/// database takes two different texts for the same key, `sync.bisect` handles that. `size_bytes`
/// returns the bytes that a row adds to a request.
pub(in crate::functions::import) fn sets<'a>(
    rows: &[PartRow<'a>],
    set_rows_max: usize,
    keeps_order: bool,
    size_bytes: impl Fn(PartRow<'a>) -> usize,
) -> Vec<Set<'a>> {
    let mut sets = Vec::new();
    for run in runs(rows, keeps_order) {
        let items: Vec<_> = run
            .iter()
            .map(|row| Item {
                key: row.key().filter(|_| !keeps_order),
                size_bytes: size_bytes(*row),
            })
            .collect();
        let planned = plan::sets(&items, set_rows_max).into_iter();
        sets.extend(planned.map(|set| set.into_iter().map(|row| run[row]).collect::<Set<'_>>()));
    }
    sets
}

/// Cuts rows into runs, which are planned one by one: one run of all rows or, with `keeps_order`,
/// runs in which each row has another key.
fn runs<'r, 'a>(rows: &'r [PartRow<'a>], keeps_order: bool) -> Vec<&'r [PartRow<'a>]> {
    if !keeps_order {
        return vec![rows];
    }
    let mut seen = HashSet::new();
    let mut runs = Vec::new();
    let mut begin = 0;
    for (index, row) in rows.iter().enumerate() {
        let is_new = row.key().is_none_or(|key| seen.insert(key));
        if !is_new {
            runs.push(&rows[begin..index]);
            begin = index;
            seen.clear();
            seen.extend(row.key());
        }
    }
    runs.push(&rows[begin..]);
    runs
}

/// Returns the parameters `c1`, `c2`, … of a set.
pub(in crate::functions::import) fn column_parameters(
    rows: &[PartRow<'_>],
) -> impl Iterator<Item = Parameter> {
    let cells: Vec<PackedRow<'_>> = rows.iter().map(|row| row.cells()).collect();
    let literals = packed_literals(&cells).into_iter().enumerate();
    literals.map(|(index, literal)| parameter(format!("c{}", index + 1), literal))
}

#[cfg(test)]
mod tests {
    use csv_stream::records::FilePosition;

    use super::*;
    use crate::database::parameter_set::PackedCells;
    use crate::domain::key::Key;
    use crate::functions::import::read::layout::Row;

    const SET_ROWS_MAX: usize = 3;

    /// Makes a part of rows that have only a key.
    fn part(keys: impl IntoIterator<Item = u64>) -> Part {
        let table = aurora_sync_catalog::notation::table("t", "k bigint key");
        let mut part = Part::default();
        for key in keys {
            let key = Key::from_path(&table, &key.to_string()).ok();
            let row = Row { key, cells: PackedCells::default() };
            part.push(1, FilePosition { byte_offset: 0, line: 1 }, b"", &row);
        }
        part
    }

    fn keys(rows: &[PartRow<'_>]) -> String {
        let key = |row: &PartRow<'_>| row.key().unwrap_or("-").trim_end_matches('\0').to_owned();
        rows.iter().map(key).collect::<Vec<_>>().join(" ")
    }

    /// Compares the keys of each set.
    fn check(part: &Part, keeps_order: bool, expected: &[&str]) {
        let rows: Vec<_> = part.rows().collect();
        let sets = sets(&rows, SET_ROWS_MAX, keeps_order, |_| 0);
        let found: Vec<_> = sets.iter().map(|set| keys(set)).collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn a_set_holds_a_key_once_and_is_sorted_by_keys() {
        check(&part([3, 1, 2, 3, 1]), false, &["1 2 3", "1 3"]);
        check(&part([4, 3, 2, 1]), false, &["1 2 3", "4"]);
        check(&part([]), false, &[]);
    }

    #[test]
    fn rows_that_depend_on_each_other_keep_their_order() {
        check(&part([3, 1, 2, 3, 1, 3]), true, &["3 1 2", "3 1", "3"]);
        check(&part([4, 3, 2, 1]), true, &["4 3 2", "1"]);
    }

    #[test]
    fn earlier_rows_of_a_key_fold_into_the_last_one() {
        let part = part([3, 1, 3, 2, 1, 3]);
        assert_eq!(keys(&fold(&part)), "2 1 3");
    }

    #[test]
    fn the_rows_of_a_repeated_key_are_in_one_set_the_last_one_first() {
        let part = part([3, 1, 3, 2, 1, 3, 4, 4, 4, 4]);
        let found = by_key(&part, SET_ROWS_MAX, |_| 0);
        assert_eq!(keys(&found.in_order), "2 4 4 4 4");
        let sets: Vec<Vec<_>> = found
            .repeated
            .iter()
            .map(|set| set.iter().map(|group| keys(group)).collect())
            .collect();
        assert_eq!(sets, [["3 3 3"], ["1 1"]]);
        assert!(found.repeated[0][0].windows(2).all(|pair| pair[0].number() > pair[1].number()));
    }
}
