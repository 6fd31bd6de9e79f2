//! What must come of an import: the rows of a file take effect one after the other, and the last good row of
//! a key is the one that counts.

use std::collections::{BTreeMap, BTreeSet};

use super::tables::Kind;

/// What a file does with its rows.
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

/// A row, its key as one text.
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
    /// It fits no row of the table, and never gets to the database.
    Bad,
}

/// What is asked for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Asked {
    pub kind: Kind,
    pub mode: Mode,
    pub is_atomic: bool,
    /// Bad rows are allowed, though it is atomic.
    pub allows_rejects: bool,
    pub is_dry_run: bool,
}

/// What must be found.
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

/// What became of the rows of a key so far.
#[derive(Debug, Default)]
struct OfKey {
    good: usize,
    is_written: bool,
    is_met: bool,
}

pub(super) fn expect(asked: Asked, before: &[Row], records: &[Record]) -> Expected {
    let mut table = Table::of(asked, before);
    let mut rejected = Vec::new();
    for (place, record) in records.iter().enumerate() {
        let is_good = match record {
            Record::Row(row) => table.take(row),
            Record::Bad => false,
        };
        if !is_good {
            rejected.push(place + 1);
        }
    }
    let mut counts = table.counts();
    counts.read = records.len();
    counts.rejected = rejected.len();
    let is_refused = (asked.is_atomic && !asked.is_dry_run && !asked.allows_rejects
        || asked.mode == Mode::Replace)
        && !rejected.is_empty();
    if asked.mode == Mode::Replace && !is_refused {
        counts.deleted = table.delete_others();
    }
    let takes_nothing = is_refused && asked.is_atomic && !asked.is_dry_run;
    if takes_nothing {
        counts.unchanged += std::mem::take(&mut counts.written);
        counts.unchanged += std::mem::take(&mut counts.superseded);
    }
    let rows = if takes_nothing || asked.is_dry_run { before.to_vec() } else { table.rows() };
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
    asked: Asked,
    /// By key; by place where the table has none.
    rows: BTreeMap<String, Row>,
    keys: BTreeMap<String, OfKey>,
    appended: Vec<Row>,
    /// Counts of rows that no later row of their key takes anything from.
    written: usize,
    unchanged: usize,
}

impl Table {
    fn of(asked: Asked, before: &[Row]) -> Self {
        let has_key = asked.kind.has_key();
        let keyed = before.iter().filter(|_| has_key).map(|row| (row.key.clone(), row.clone()));
        let appended = if has_key { Vec::new() } else { before.to_vec() };
        let (rows, keys) = (keyed.collect(), BTreeMap::new());
        Self { asked, rows, keys, appended, written: 0, unchanged: 0 }
    }

    /// Whether the row is good.
    fn take(&mut self, row: &Row) -> bool {
        let Asked { kind, mode, .. } = self.asked;
        if mode == Mode::Delete {
            let is_deleted = self.rows.remove(&row.key).is_some();
            let of_key = self.keys.entry(row.key.clone()).or_default();
            of_key.good += 1;
            of_key.is_written |= is_deleted;
            of_key.is_met = true;
            return true;
        }
        if kind.refuses_always(row) {
            return false;
        }
        if !kind.has_key() {
            self.appended.push(row.clone());
            self.written += 1;
            return true;
        }
        let known = self.rows.get(&row.key);
        let of_key = self.keys.entry(row.key.clone()).or_default();
        let is_others = known.is_some() && !of_key.is_written;
        match mode {
            Mode::Insert if is_others => return false,
            Mode::Ignore if is_others => {
                of_key.good += 1;
                of_key.is_met = true;
                return true;
            }
            Mode::Ignore if known.is_none() && kind.conflicts(row) => {
                self.unchanged += 1;
                return true;
            }
            _ if kind.refuses_where_stored(row) => return false,
            _ => {}
        }
        of_key.good += 1;
        match known {
            Some(known) if known == row => of_key.is_met = true,
            Some(known) if kind.has_version() && known.b >= row.b => {}
            _ => {
                of_key.is_written = true;
                self.rows.insert(row.key.clone(), row.clone());
            }
        }
        true
    }

    fn counts(&self) -> Counts {
        let mut counts =
            Counts { written: self.written, unchanged: self.unchanged, ..Counts::default() };
        for of_key in self.keys.values().filter(|of_key| of_key.good > 0) {
            let last = if of_key.is_written {
                &mut counts.written
            } else if of_key.is_met {
                &mut counts.unchanged
            } else {
                &mut counts.superseded
            };
            *last += 1;
            counts.superseded += of_key.good - 1;
        }
        counts
    }

    /// Deletes the rows that were not in the file.
    fn delete_others(&mut self) -> usize {
        let before = self.rows.len();
        let kept: BTreeSet<_> = self.keys.keys().collect();
        self.rows.retain(|key, _| kept.contains(key));
        before - self.rows.len()
    }

    fn rows(self) -> Vec<Row> {
        self.rows.into_values().chain(self.appended).collect()
    }
}
