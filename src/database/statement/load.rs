//! The SQL texts of imports: one for each table, columns and mode of a file.
//!
//! Pure. Each way to load a set is a template beside this file (`load/*.sql`); `sync.load` and `sync.load_bisected`
//! (`sql/sync/0003_imports.sql`) run the statements. A statement takes all columns of a set as `$1`, the literal of an
//! array for each, and answers how many rows were written, and how many were older than the row in the table.

use aurora_sync_catalog::{Column, Table, quote_identifier};

use super::{StatementTarget, array_type, is_newer};
use crate::domain::key;
use crate::domain::load_mode::LoadMode;
use crate::domain::write::Operation;

/// Most rows of one set: larger ones gain little, and more is lost where one of them is bad.
pub const SET_ROWS_MAX: usize = 5_000;

/// What a file's rows are loaded into, and how.
#[derive(Debug, Clone, Copy)]
pub struct Load<'a> {
    pub table: &'a Table,
    /// Of the rows' cells. All of the key's columns, or none that matters: see `Load::is_keyed`.
    pub columns: &'a [&'a Column],
    pub mode: LoadMode,
}

impl Load<'_> {
    /// What a set is loaded by.
    pub fn statement(&self) -> String {
        match self.mode {
            LoadMode::Delete => self.delete(),
            LoadMode::Ignore => self.ignore(),
            LoadMode::Upsert | LoadMode::Replace if self.merges() => match self.version() {
                Some(version) => self.upsert_newer(version),
                // Of keys that only the database can compare, one may stand twice in a set: an earlier row of it must
                // not take the index of the last one because that is there already.
                None if !key::are_comparable(self.table) => self.merge(),
                None => self.upsert(),
            },
            LoadMode::Insert | LoadMode::Upsert | LoadMode::Replace => self.insert(),
        }
    }

    /// What is tried before, where the rows may all be new: it takes less time, and fails where one is there.
    pub fn insert_first(&self) -> Option<String> {
        (self.merges() && self.version().is_none()).then(|| self.insert())
    }

    /// What records the keys of a set, once it is loaded, for mode `replace`. It takes the import's id as `$2`.
    pub fn keys(&self) -> Option<String> {
        if self.mode != LoadMode::Replace || !self.is_keyed() {
            return None;
        }
        let of_key = |column: &&&Column| self.table.is_key(column);
        Some(format!(
            include_str!("load/keys.sql"),
            input = self.input(of_key),
            target_key = self.target_key(),
            table = self.table.sql_name(),
            key_equals = self.target().key_equals("input"),
        ))
    }

    /// What the statement does with a row: see [`super::adds`].
    pub fn adds(&self) -> &'static str {
        match self.mode {
            LoadMode::Upsert | LoadMode::Replace if self.merges() => {
                super::adds(self.table, Operation::Upsert)
            }
            LoadMode::Insert | LoadMode::Upsert | LoadMode::Replace => {
                super::adds(self.table, Operation::Insert)
            }
            LoadMode::Ignore => super::adds(self.table, Operation::InsertIgnore),
            LoadMode::Delete => super::adds(self.table, Operation::Delete),
        }
    }

    /// Whether the earlier rows of a key fold into the last one of a chunk: the last one stands for them all, whatever
    /// the table holds. Not where rows of other keys, or versions, decide what becomes of a row.
    pub fn folds(&self) -> bool {
        let is_last = matches!(self.mode, LoadMode::Upsert | LoadMode::Replace | LoadMode::Delete);
        is_last && self.is_keyed() && self.version().is_none() && !keeps_order(self.table)
    }

    /// Whether rows are found by their keys.
    fn is_keyed(&self) -> bool {
        let has = |name: &String| self.columns.iter().any(|column| column.name == *name);
        !self.table.primary_key.is_empty() && self.table.primary_key.iter().all(has)
    }

    /// Whether rows that are there already are brought up to date.
    fn merges(&self) -> bool {
        self.is_keyed() && matches!(self.mode, LoadMode::Upsert | LoadMode::Replace)
    }

    fn version(&self) -> Option<&Column> {
        let version = self.table.version_column.as_ref().filter(|_| self.merges())?;
        self.columns.iter().copied().find(|column| column.name == *version)
    }

    fn target(&self) -> StatementTarget<'_> {
        StatementTarget { table: self.table, columns: self.columns }
    }

    fn insert(&self) -> String {
        format!(
            include_str!("load/insert.sql"),
            input = self.all_columns(),
            table = self.table.sql_name(),
            columns = self.target().column_list(),
            values = self.target().values("input"),
        )
    }

    fn ignore(&self) -> String {
        format!(
            include_str!("load/ignore.sql"),
            input = self.all_columns(),
            table = self.table.sql_name(),
            columns = self.target().column_list(),
            values = self.target().values("input"),
        )
    }

    fn delete(&self) -> String {
        format!(
            include_str!("load/delete.sql"),
            input = self.all_columns(),
            table = self.table.sql_name(),
            key_equals = self.target().key_equals("input"),
        )
    }

    fn merge(&self) -> String {
        format!(
            include_str!("load/merge.sql"),
            input = self.all_columns(),
            table = self.table.sql_name(),
            columns = self.target().column_list(),
            values = self.target().values("input"),
            merge = self.target().merge(),
        )
    }

    /// Rows that are in the table as the file has them are not touched: to try to write such a row would lock it, which
    /// costs more than to look for it. To look for new rows in vain costs something too, so the first rows of a set say
    /// whether it is worth it. Each is looked up alone (`OFFSET 0`): as a join, the planner could read the whole table.
    fn upsert(&self) -> String {
        format!(
            include_str!("load/upsert.sql"),
            input = self.all_columns(),
            table = self.table.sql_name(),
            key_equals = self.target().key_equals("input"),
            is_same = self.target().is_same("input"),
            columns = self.target().column_list(),
            values = self.target().values("input"),
            merge = self.target().merge(),
        )
    }

    fn upsert_newer(&self, version: &Column) -> String {
        format!(
            include_str!("load/upsert_newer.sql"),
            input = self.all_columns(),
            table = self.table.sql_name(),
            key_equals = self.target().key_equals("input"),
            is_same = self.target().is_same("input"),
            is_newer = is_newer(version, &self.target().value("input", version)),
            columns = self.target().column_list(),
            values = self.target().values("input"),
            merge = self.target().merge(),
        )
    }

    fn all_columns(&self) -> String {
        self.input(|_| true)
    }

    /// `unnest(($1)[1]::bpchar[]) AS c1, unnest(($1)[2]::text[]) AS c2`: in step, and without keeping the rows as a
    /// function in `FROM` does.
    fn input(&self, is_chosen: impl Fn(&&&Column) -> bool) -> String {
        let columns = self.columns.iter().enumerate();
        let columns: Vec<_> = columns
            .filter(|(_, column)| is_chosen(column))
            .map(|(index, column)| {
                format!("unnest(($1)[{n}]::{}) AS c{n}", array_type(column), n = index + 1)
            })
            .collect();
        columns.join(", ")
    }

    /// `target."id", …`.
    fn target_key(&self) -> String {
        let names = self.table.primary_key.iter();
        let names: Vec<_> =
            names.map(|name| format!("target.{}", quote_identifier(name))).collect();
        names.join(", ")
    }
}

/// Whether rows must be loaded in the order of the file, as those with different keys can depend on each other, or
/// only the database knows which keys are equal.
pub fn keeps_order(table: &Table) -> bool {
    !key::are_comparable(table) || table.references_itself() || table.rows_exclude
}
