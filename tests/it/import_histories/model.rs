//! The expected end of an import: the rows of a file take effect one after another. Where rows
//! fold, the last good row of a key in a chunk replaces those before it.

use std::collections::{BTreeMap, BTreeSet};

use super::tables::Kind;

/// The mode of an import.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mode {
    Upsert,
    Insert,
    Ignore,
    Replace,
    Delete,
}

impl Mode {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Upsert => "upsert",
            Self::Insert => "insert",
            Self::Ignore => "ignore",
            Self::Replace => "replace",
            Self::Delete => "delete",
        }
    }
}

/// A row, with its key as one text.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Row {
    pub key: String,
    pub a: Option<String>,
    pub b: Option<i64>,
}

/// A record of a file.
#[derive(Debug, Clone)]
pub(super) enum Record {
    Row(Row),
    /// A record that is no row of the table and never reaches the database.
    Bad,
}

/// The options of an import.
#[derive(Debug, Clone, Copy)]
pub(super) struct Options {
    pub kind: Kind,
    pub mode: Mode,
    pub is_atomic: bool,
    /// An atomic import allows bad rows.
    pub allows_rejects: bool,
    pub is_dry_run: bool,
}

/// The expected end.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Expected {
    pub state: &'static str,
    pub rows: Vec<Row>,
    pub counts: Counts,
    /// The numbers of the rejected records, from 1.
    pub rejected: Vec<usize>,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) struct Counts {
    pub read: usize,
    pub written: usize,
    pub unchanged: usize,
    pub superseded: usize,
    pub rejected: usize,
    pub deleted: usize,
}

/// The outcome of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    Written,
    Unchanged,
    Superseded,
    Rejected,
}

/// Rows that another session writes in a transaction that is open when the import begins and is
/// committed while it runs.
#[derive(Debug, Default)]
pub(super) struct OtherTransaction {
    /// The keys of existing rows, whose values stay the same.
    pub touched: BTreeSet<String>,
    /// Rows that are not in the file.
    pub added: Vec<Row>,
}

/// Returns the expected end. `chunk_ends` are the indexes of the records after each chunk.
pub(super) fn expect(
    options: Options,
    before: &[Row],
    other_transaction: Option<&OtherTransaction>,
    records: &[Record],
    chunk_ends: &[usize],
) -> Expected {
    let mut table = Table::of(options, before);
    let mut outcomes = vec![Outcome::Rejected; records.len()];
    let mut first = 0;
    for &end in chunk_ends {
        table.take_chunk(&records[first..end], &mut outcomes[first..end]);
        first = end;
    }
    assert_eq!(first, records.len(), "the chunks are not the whole file");
    let count = |of: Outcome| outcomes.iter().filter(|outcome| **outcome == of).count();
    let mut counts = Counts {
        read: records.len(),
        written: count(Outcome::Written),
        unchanged: count(Outcome::Unchanged),
        superseded: count(Outcome::Superseded),
        rejected: count(Outcome::Rejected),
        deleted: 0,
    };
    let indexes = outcomes.iter().enumerate();
    let rejected = indexes.filter(|(_, outcome)| **outcome == Outcome::Rejected);
    let rejected: Vec<_> = rejected.map(|(index, _)| index + 1).collect();
    let is_refused = (options.is_atomic && !options.is_dry_run && !options.allows_rejects
        || options.mode == Mode::Replace)
        && !rejected.is_empty();
    if options.mode == Mode::Replace && !is_refused {
        counts.deleted = table.delete_others(records, other_transaction);
    }
    let takes_nothing = is_refused && options.is_atomic && !options.is_dry_run;
    if takes_nothing {
        counts.unchanged += std::mem::take(&mut counts.written);
        counts.unchanged += std::mem::take(&mut counts.superseded);
    }
    let added = other_transaction.map(|other| other.added.clone());
    let mut rows = if takes_nothing || options.is_dry_run { before.to_vec() } else { table.rows() };
    rows.extend(added.into_iter().flatten());
    Expected {
        state: if is_refused { "failed" } else { "completed" },
        rows: sorted(rows),
        counts,
        rejected,
    }
}

pub(super) fn sorted(mut rows: Vec<Row>) -> Vec<Row> {
    rows.sort();
    rows
}

/// A table while the file goes into it.
#[derive(Debug)]
struct Table {
    options: Options,
    /// Rows by their keys, or by their indexes if the table has no key.
    rows: BTreeMap<String, Row>,
    appended: Vec<Row>,
}

impl Table {
    fn of(options: Options, before: &[Row]) -> Self {
        let has_key = options.kind.has_key();
        let keyed = before.iter().filter(|_| has_key).map(|row| (row.key.clone(), row.clone()));
        let appended = if has_key { Vec::new() } else { before.to_vec() };
        Self { options, rows: keyed.collect(), appended }
    }

    fn take_chunk(&mut self, records: &[Record], outcomes: &mut [Outcome]) {
        let Options { kind, mode, .. } = self.options;
        let folds = matches!(mode, Mode::Upsert | Mode::Replace | Mode::Delete)
            && kind.has_key()
            // A row of any version is deleted.
            && !(kind.has_version() && mode != Mode::Delete)
            && !kind.keeps_order();
        // Keys of which a later row counts.
        let mut stands = BTreeSet::new();
        let mut take = |index: usize| {
            let Record::Row(row) = &records[index] else { return };
            outcomes[index] = if folds && stands.contains(&row.key) {
                Outcome::Superseded
            } else {
                self.take(row)
            };
            if outcomes[index] != Outcome::Rejected {
                stands.insert(row.key.clone());
            }
        };
        if folds {
            (0..records.len()).rev().for_each(&mut take);
        } else {
            (0..records.len()).for_each(&mut take);
        }
    }

    fn take(&mut self, row: &Row) -> Outcome {
        let Options { kind, mode, .. } = self.options;
        if mode == Mode::Delete {
            let is_kept = |row: &Row| kind.keeps(row);
            let is_deleted = !self.rows.get(&row.key).is_some_and(is_kept)
                && self.rows.remove(&row.key).is_some();
            return if is_deleted { Outcome::Written } else { Outcome::Unchanged };
        }
        if kind.refuses_always(row) {
            return Outcome::Rejected;
        }
        if kind.skips(row) {
            return Outcome::Unchanged;
        }
        if !kind.has_key() {
            self.appended.push(row.clone());
            return Outcome::Written;
        }
        let known = self.rows.get(&row.key);
        match mode {
            Mode::Insert if known.is_some() => return Outcome::Rejected,
            Mode::Ignore if known.is_some() || kind.conflicts(row) => return Outcome::Unchanged,
            _ if kind.refuses_where_stored(row) => return Outcome::Rejected,
            _ => {}
        }
        match known {
            Some(known) if known == row => Outcome::Unchanged,
            Some(known) if kind.has_version() && known.b >= row.b => Outcome::Superseded,
            _ => {
                self.rows.insert(row.key.clone(), row.clone());
                Outcome::Written
            }
        }
    }

    /// Deletes the rows that are not in the file and that no other session wrote during the import.
    fn delete_others(
        &mut self,
        records: &[Record],
        other_transaction: Option<&OtherTransaction>,
    ) -> usize {
        let kind = self.options.kind;
        let is_touched =
            |key: &String| other_transaction.is_some_and(|other| other.touched.contains(key));
        let before = self.rows.len();
        let kept: BTreeSet<_> = records
            .iter()
            .filter_map(|record| match record {
                Record::Row(row) => Some(&row.key),
                Record::Bad => None,
            })
            .collect();
        self.rows.retain(|key, row| kept.contains(key) || is_touched(key) || kind.keeps(row));
        before - self.rows.len()
    }

    fn rows(self) -> Vec<Row> {
        self.rows.into_values().chain(self.appended).collect()
    }
}
