//! How the rows of a part become sets, calls and parameters.
//!
//! Pure.

use std::collections::HashSet;

use aurora_sync_catalog::Table;

use crate::array::array_literal;
use crate::field::{Parameter, parameter};
use crate::import::part::{Part, PartRow, Repeat};
use crate::key;
use crate::parameter_set::{PackedRow, packed_literals};
use crate::plan::CALL_BYTES_MAX;
use crate::plan::rows::{Item, plan};

/// Whether rows must be loaded in the order of the file, as those with different keys can depend on each other, or
/// only the database knows which keys are equal.
pub fn keeps_order(table: &Table) -> bool {
    !key::are_comparable(table) || table.references_itself() || table.rows_exclude
}

/// The rows of a part as sets of calls: a key stands once in a set, its rows keep their order, and all writers
/// lock in the order of the keys. Rows whose keys may have come before have calls of their own: it takes longer to find
/// out, and of the late rows of a long file there are always some. Where all rows keep their order, a repeated key
/// begins a set, and one that is spelt in another way is for `sync.load_apart`.
pub(super) fn sets_of_calls(
    part: &Part,
    set_rows_max: usize,
    keeps_order: bool,
) -> Vec<Vec<Vec<PartRow<'_>>>> {
    let mut calls: Vec<Vec<Vec<PartRow<'_>>>> = Vec::new();
    let (mut call_bytes, mut call_group) = (0, false);
    let rows: Vec<_> = part.rows().collect();
    for run in runs(&rows, keeps_order) {
        let items: Vec<_> = run
            .iter()
            .map(|row| Item {
                group: !keeps_order && row.repeat() != Repeat::No,
                key: row.key().filter(|_| !keeps_order),
                size_bytes: size_bytes(*row),
            })
            .collect();
        let planned = plan(&items, set_rows_max).into_iter();
        for (group, set) in
            planned.flat_map(|call| call.sets.into_iter().map(move |set| (call.group, set)))
        {
            let set: Vec<_> = set.into_iter().map(|row| run[row]).collect();
            let set_bytes: usize = set.iter().map(|row| size_bytes(*row)).sum();
            let set_bytes = set_bytes + own_bytes(&set);
            match calls.last_mut() {
                Some(call) if call_group == group && call_bytes + set_bytes <= CALL_BYTES_MAX => {
                    call.push(set);
                    call_bytes += set_bytes;
                }
                _ => {
                    calls.push(vec![set]);
                    (call_bytes, call_group) = (set_bytes, group);
                }
            }
        }
    }
    calls
}

/// What is planned on its own: all rows or, where their order is kept, as many as have each another key.
fn runs<'r, 'a>(rows: &'r [PartRow<'a>], keeps_order: bool) -> Vec<&'r [PartRow<'a>]> {
    if !keeps_order {
        return vec![rows];
    }
    let mut seen = HashSet::new();
    let mut runs = Vec::new();
    let mut begin = 0;
    for (place, row) in rows.iter().enumerate() {
        let is_new = row.key().is_none_or(|key| seen.insert(key));
        if !is_new {
            runs.push(&rows[begin..place]);
            begin = place;
            seen.clear();
            seen.extend(row.key());
        }
    }
    runs.push(&rows[begin..]);
    runs
}

/// What a set adds to a request besides its rows: where a key comes again and again, each row is a set.
fn own_bytes(set: &[PartRow<'_>]) -> usize {
    const OF_PLACE: usize = 600;
    const OF_COLUMN: usize = 60;
    OF_PLACE + OF_COLUMN * set.first().map_or(0, |row| row.cells().iter().count())
}

/// What a row adds to a request, with its mark in the column of repeats.
fn size_bytes(row: PartRow<'_>) -> usize {
    row.size_bytes() + "NULL,".len()
}

pub(super) fn cells<'a>(rows: &[PartRow<'a>]) -> Vec<PackedRow<'a>> {
    rows.iter().map(|row| row.cells()).collect()
}

pub(super) fn column_parameters(rows: &[PartRow<'_>]) -> Vec<Parameter> {
    let literals = packed_literals(&cells(rows)).into_iter().enumerate();
    literals.map(|(place, literal)| parameter(format!("c{}", place + 1), literal)).collect()
}

/// The column that says of each row whether its key came before; NULL where the database has to find out.
pub(super) fn repeats(rows: &[PartRow<'_>], is_recorded: bool) -> String {
    array_literal(rows.iter().map(|row| match row.repeat() {
        Repeat::No => Some("f"),
        Repeat::Surely => Some("t"),
        Repeat::InPart if !is_recorded => Some("t"),
        Repeat::InPart | Repeat::Perhaps => None,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::import::repeats::Repeats;

    const SET_ROWS_MAX: usize = 3;

    /// Each call as its sets, and each set as the keys of its rows.
    fn check(part: &Part, keeps_order: bool, expected: &[&[&str]]) {
        let calls = sets_of_calls(part, SET_ROWS_MAX, keeps_order);
        let key = |row: &PartRow<'_>| row.key().unwrap_or("-").trim_end_matches('\0').to_owned();
        let set = |rows: &Vec<PartRow<'_>>| rows.iter().map(key).collect::<Vec<_>>().join(" ");
        let found: Vec<Vec<_>> = calls.iter().map(|call| call.iter().map(set).collect()).collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn a_set_holds_a_key_once_and_is_sorted_by_keys() {
        check(&Part::of_keys([3, 1, 2, 3, 1]), false, &[&["1 2 3", "1 3"]]);
        check(&Part::of_keys([4, 3, 2, 1]), false, &[&["1 2 3", "4"]]);
        check(&Part::of_keys([]), false, &[]);
    }

    #[test]
    fn rows_whose_keys_may_have_come_before_have_calls_of_their_own() {
        let mut loaded = Repeats::none();
        loaded.remember(&Part::of_keys([2, 4]), false);
        let mut part = Part::of_keys([1, 2, 3, 4, 1]);
        loaded.mark(&mut part);
        check(&part, false, &[&["1 3"], &["2 4", "1"]]);
    }

    #[test]
    fn where_rows_depend_on_each_other_all_keep_their_order() {
        check(&Part::of_keys([3, 1, 2, 3, 1, 3]), true, &[&["3 1 2", "3 1", "3"]]);
        check(&Part::of_keys([4, 3, 2, 1]), true, &[&["4 3 2", "1"]]);
    }
}
