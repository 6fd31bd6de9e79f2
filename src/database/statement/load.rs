//! The SQL texts of imports: one for each table, set of columns and mode of a file.
//!
//! Pure. Each way to load a set is a template (`load/*.sql`). `sync.load` and `sync.load_bisected`
//! (`sql/sync/0003_imports.sql`) run the statements. A statement takes the columns of a set as
//! `$1`, each as the literal of an array. It returns the number of rows that were written, and the
//! number of rows that were older than the row in the table. The statement of a dry run adds the
//! number of rows that it overwrites.

use aurora_sync_catalog::{Column, Table, quote_identifier};
use import_options::LoadMode;

use super::{StatementTarget, array_type, is_newer};
use crate::domain::key;
use crate::domain::write::Operation;

/// The most rows of one set. A larger set is hardly faster, and more work is lost if one of its
/// rows is bad.
pub const SET_ROWS_MAX: usize = 5_000;

/// The table, the columns and the mode of a file's rows.
#[derive(Debug, Clone, Copy)]
pub struct Load<'a> {
    pub table: &'a Table,
    /// The columns of the rows' cells. Without all columns of the key, rows are inserted only.
    pub columns: &'a [&'a Column],
    pub mode: LoadMode,
}

impl Load<'_> {
    /// Returns the statement that loads a set.
    pub fn statement(&self) -> String {
        match self.mode {
            LoadMode::Delete => self.delete(),
            LoadMode::Ignore => self.ignore(),
            LoadMode::Upsert | LoadMode::Replace if self.merges() => match self.version() {
                Some(version) => self.upsert_newer(version),
                // If only the database can compare keys, a set may hold rows of one key twice.
                // [`Self::upsert`] leaves out rows that equal the table's: it could leave out the
                // last row of the key, and an earlier one would win.
                None if !key::are_comparable(self.table) => self.merge(),
                None => self.upsert(),
            },
            LoadMode::Insert | LoadMode::Upsert | LoadMode::Replace => self.insert(),
        }
    }

    /// Returns the statement that is tried first if all rows may be new. It is faster, and fails if
    /// a row exists.
    pub fn insert_first(&self) -> Option<String> {
        (self.merges() && self.version().is_none()).then(|| self.insert())
    }

    /// Returns the statement that records the keys of a loaded set, in mode `replace`. It takes the
    /// import's id as `$2`.
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

    /// Returns the effect of the statement on a row: see [`super::adds`].
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

    /// Returns `true` if the earlier rows of a key in a chunk fold into the last one, because the
    /// result is the same whatever the table holds. That is not certain if rows of other keys, or
    /// versions, can decide the outcome of a row.
    pub fn folds(&self) -> bool {
        let is_last = matches!(self.mode, LoadMode::Upsert | LoadMode::Replace | LoadMode::Delete);
        is_last && self.is_keyed() && self.version().is_none() && !keeps_order(self.table)
    }

    /// Returns `true` if the columns contain the whole primary key.
    fn is_keyed(&self) -> bool {
        let has = |name: &String| self.columns.iter().any(|column| column.name == *name);
        !self.table.primary_key.is_empty() && self.table.primary_key.iter().all(has)
    }

    /// Returns `true` if rows that exist are updated.
    pub fn merges(&self) -> bool {
        self.is_keyed() && matches!(self.mode, LoadMode::Upsert | LoadMode::Replace)
    }

    fn version(&self) -> Option<&Column> {
        let version = self.table.version_column.as_ref().filter(|_| self.merges())?;
        self.columns.iter().copied().find(|column| column.name == *version)
    }

    fn target(&self) -> StatementTarget<'_> {
        StatementTarget { table: self.table, columns: self.columns, precondition: None }
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

    /// Returns an upsert that leaves out rows which equal those in the table.
    ///
    /// An attempt to write such a row locks it, which costs more than a look-up. A look-up of a new
    /// row costs time too, so rows are looked up only if more than half of the first 50 rows of the
    /// set equal those in the table. `OFFSET 0` makes PostgreSQL look up each row alone: with a
    /// join, the planner could read the whole table.
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

    /// Returns the statement that loads a set in a dry run. If it updates rows that exist, it also
    /// returns the number of rows that it overwrites: rows of the table with another content, but
    /// for those that a transaction wrote which began with the dry run's own or later.
    pub fn dry_run(&self) -> String {
        if !self.merges() {
            return self.statement();
        }
        let is_older = self.version().map_or_else(
            || "false".to_owned(),
            |version| format!("NOT {}", is_newer(version, &self.target().value("input", version))),
        );
        format!(
            include_str!("load/dry_run.sql"),
            input = self.all_columns(),
            table = self.table.sql_name(),
            key_equals = self.target().key_equals("input"),
            is_same = self.target().is_same("input"),
            is_older = is_older,
            columns = self.target().column_list(),
            values = self.target().values("input"),
            merge = self.target().merge(),
        )
    }

    fn all_columns(&self) -> String {
        self.input(|_| true)
    }

    /// Returns `unnest(($1)[1]::bpchar[]) AS c1, unnest(($1)[2]::text[]) AS c2`, which runs in step
    /// and, unlike a function in `FROM`, does not materialize the rows.
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

    /// Returns `target."id", …`.
    fn target_key(&self) -> String {
        let names = self.table.primary_key.iter();
        let names: Vec<_> =
            names.map(|name| format!("target.{}", quote_identifier(name))).collect();
        names.join(", ")
    }
}

/// Returns `true` if rows must be loaded in the order of the file, because rows of different keys
/// can depend on each other, or only the database knows which keys are equal.
pub fn keeps_order(table: &Table) -> bool {
    !key::are_comparable(table) || table.references_itself() || table.rows_exclude
}
