//! Loads the part that a lane has of a chunk: its rows, its counts and its rejects in one transaction.
//!
//! What stands in `sync.import_chunk` is loaded; whoever comes to it again is stopped by its primary key.

mod rejects;
mod sets;

use std::cell::Cell;

use aurora_sync_catalog::{Column, Table};
use uuid::Uuid;

pub use self::rejects::{REJECTS_KEPT, in_order};
pub use self::sets::keeps_order;

use self::sets::{cells, column_parameters, repeats, sets_of_calls};
use super::options::Mode;
use super::part::{Part, PartRow, Reject, Repeat};
use super::repeats::Repeats;
use crate::array::array_literal;
use crate::aws::data_api::DataApi;
use crate::csv::encoding::Encoding;
use crate::deadline::Deadline;
use crate::error::{DataApiError, DataApiFault, Disposition, SyncError};
use crate::field::{Field, Parameter, Record, encoded_len, parameter};
use crate::key;
use crate::outcome::Rejection;
use crate::parameter_set::{packed_literals, text_column};
use crate::plan::{CALL_BYTES_MAX, SQL_LEN_MAX};
use crate::statement::load::Load;
use crate::statement::unknown_type;
use crate::transaction::{End, Transaction, awake, in_one_statement, in_transaction};

/// So many rows of a lane's first part say whether its rows are new to the table.
const PROBED_ROWS: usize = 50;

/// Fewest rows to which a set is cut that takes too long.
const SET_ROWS_MIN: usize = 10;

/// Most rows of one set among which bad ones are looked for: the answer has a record for each of them, and
/// may hold 1 MiB.
pub const APART_ROWS_MAX: usize = 500;

/// How often a transaction whose commit was not answered is done again.
const REPEATS_MAX: usize = 3;

/// Records that are not rows, counted as a piece of their own.
const REJECTED_PIECE: &str =
    "INSERT INTO sync.import_chunk (import_id, lane, chunk, piece, rows_read, rows_rejected)
SELECT sync.enter_import(:import_id::uuid), :lane::smallint, :chunk::integer, -1, :rows::bigint, :rows::bigint";

const APART: &str = "WITH told AS MATERIALIZED (
  SELECT * FROM sync.load_apart(:statement::text, :import_id::uuid, :column_names::text[], :columns::text[],
    :types::text[], 1, :is_immediate::boolean)
), recorded AS (
  INSERT INTO sync.import_chunk (import_id, lane, chunk, piece, rows_read, rows_written, rows_unchanged,
    rows_superseded, rows_rejected)
  SELECT sync.enter_import(:import_id::uuid), :lane::smallint, :chunk::integer, :piece::integer,
    :rows::bigint, sum(rows_written), sum(rows_unchanged), sum(rows_superseded), count(row_number)
  FROM told
)
SELECT row_number, error_sqlstate, error_message, error_constraint, error_column
FROM told WHERE row_number IS NOT NULL ORDER BY row_number";

const IS_LOADED: &str = "SELECT EXISTS (SELECT FROM sync.import_chunk
  WHERE import_id = :import_id::uuid AND lane = :lane::smallint AND chunk = :chunk::integer)";

/// What the loading of a file is about.
#[derive(Debug)]
pub struct Loader<'a> {
    pub data_api: &'a DataApi,
    pub import_id: Uuid,
    pub table: &'a Table,
    pub columns: Vec<&'a Column>,
    pub mode: Mode,
    pub encoding: Encoding,
}

/// Which part of which chunk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    pub lane: usize,
    pub chunk: u32,
}

/// How rows are tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Manner {
    /// Each set as one statement, which inserts its rows and does not look whether they are there.
    New,
    /// Each set as one statement.
    Whole,
    /// Bad rows are told from good ones (`sync.load_apart`).
    Apart,
    /// The same, and deferred constraints speak at once.
    ApartImmediately,
}

impl Manner {
    fn is_apart(self) -> bool {
        matches!(self, Self::Apart | Self::ApartImmediately)
    }
}

/// How an attempt ended.
#[derive(Debug)]
enum Attempt {
    Loaded(Loaded),
    /// A row is bad. Whether it is because of another row.
    Spoilt {
        is_conflict: bool,
    },
}

/// What became of a part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Loaded {
    /// Of its records.
    pub rejected: u64,
    /// Whether `sync.import_met` says which rows were left as they are.
    pub is_recorded: bool,
}

impl Loader<'_> {
    /// Loads a part in a transaction of its own: one call where it is one set of good rows, else three or more.
    /// `are_new` is what the lane's parts before told of its rows: whether they are new to the table.
    pub async fn load(
        &self,
        place: Place,
        part: &Part,
        are_new: &Cell<Option<bool>>,
        deadline: Deadline,
    ) -> Result<Loaded, SyncError> {
        if part.is_empty() {
            return Ok(Loaded { rejected: 0, is_recorded: false });
        }
        if are_new.get().is_none() {
            are_new.set(self.seem_new(part, deadline).await?);
        }
        let mut manner = if are_new.get() == Some(true) { Manner::New } else { Manner::Whole };
        let mut set_rows_max = self.statement(true, true).rows_max();
        let mut repeats = 0;
        loop {
            let calls = sets_of_calls(part, set_rows_max, keeps_order(self.table));
            // What is told apart travels as a parameter, however many columns it names.
            let is_too_long = |sets: &Vec<Vec<PartRow<'_>>>| {
                self.whole_statement(part, manner, sets).set().len() > SQL_LEN_MAX
            };
            if !manner.is_apart() && calls.iter().any(is_too_long) {
                manner = Manner::Apart;
            }
            let attempted = match calls.as_slice() {
                [sets] if sets.len() == 1 && part.rejects.is_empty() && !manner.is_apart() => {
                    self.attempt_alone(place, part, manner, sets, deadline).await
                }
                _ => {
                    in_transaction(self.data_api, deadline, async |transaction| {
                        self.attempt(transaction, place, part, manner, &calls, set_rows_max).await
                    })
                    .await
                }
            };
            match attempted {
                Ok(Attempt::Loaded(loaded)) => return Ok(loaded),
                Ok(Attempt::Spoilt { is_conflict: true }) if manner == Manner::New => {
                    are_new.set(Some(false));
                    manner = Manner::Whole;
                }
                Ok(Attempt::Spoilt { .. }) => manner = Manner::Apart,
                // What a type that we do not know says to a value can look like a mistake of ours.
                Err(SyncError::Database(error))
                    if error.may_be_about_a_value()
                        && !manner.is_apart()
                        && self.columns.iter().any(|column| unknown_type(column).is_some()) =>
                {
                    manner = Manner::Apart;
                }
                // A deferred constraint spoke at the commit, which does not say whose row it was.
                Err(SyncError::Database(error))
                    if error.is_refused_commit() && manner != Manner::ApartImmediately =>
                {
                    manner = Manner::ApartImmediately;
                }
                Err(error) if error.is_unanswered_commit() && repeats < REPEATS_MAX => {
                    if self.is_loaded(place, deadline).await? {
                        tracing::info!(reason = %error, "commit was not answered but done");
                        return Ok(Loaded {
                            rejected: part.rejects.len() as u64,
                            is_recorded: self.is_recorded(part, manner),
                        });
                    }
                    repeats += 1;
                    tracing::info!(reason = %error, "commit was not answered nor done; part is repeated");
                }
                // 45 s are not enough for so many rows: triggers, or a busy database.
                Err(SyncError::Database(error))
                    if error.fault == DataApiFault::StatementTimeout
                        && set_rows_max > SET_ROWS_MIN =>
                {
                    set_rows_max /= 4;
                    tracing::info!(reason = %error, set_rows_max, "part is repeated in smaller sets");
                }
                Err(error) => return Err(error),
            }
        }
    }

    async fn is_loaded(&self, place: Place, deadline: Deadline) -> Result<bool, SyncError> {
        let parameters = self.of(place);
        let found = awake(deadline, async || {
            self.data_api.execute(None, IS_LOADED, parameters.clone()).await
        });
        Ok(found.await?.first().and_then(|record| record.first()) == Some(&Field::Boolean(true)))
    }

    /// One set by one statement, which is a transaction of its own.
    async fn attempt_alone(
        &self,
        place: Place,
        part: &Part,
        manner: Manner,
        sets: &[Vec<PartRow<'_>>],
        deadline: Deadline,
    ) -> Result<Attempt, SyncError> {
        let statement = self.whole_statement(part, manner, sets);
        let sql = statement.set();
        let call = async || {
            let set = self.set(place, statement, &sets[0], 0);
            self.data_api.execute(None, &sql, set).await
        };
        match in_one_statement(deadline, call).await {
            Ok(_) => {
                let is_recorded = self.is_recorded(part, manner);
                Ok(Attempt::Loaded(Loaded { rejected: 0, is_recorded }))
            }
            Err(SyncError::Database(error)) if error.disposition() == Disposition::Reject => {
                Ok(Attempt::Spoilt { is_conflict: error.is_unique_violation() })
            }
            Err(error) => Err(error),
        }
    }

    async fn attempt(
        &self,
        transaction: &Transaction<'_>,
        place: Place,
        part: &Part,
        manner: Manner,
        calls: &[Vec<Vec<PartRow<'_>>>],
        set_rows_max: usize,
    ) -> Result<End<Attempt>, SyncError> {
        let loaded = if manner.is_apart() {
            self.apart(transaction, place, part, manner, set_rows_max).await?
        } else {
            match self.whole(transaction, place, part, manner, calls, set_rows_max).await {
                Ok(()) => {
                    self.count_unreadable(transaction, place, part.rejects.len()).await?;
                    Vec::new()
                }
                Err(error) if error.disposition() == Disposition::Reject => {
                    let is_conflict = error.is_unique_violation();
                    return Ok(End::Rollback(Attempt::Spoilt { is_conflict }));
                }
                Err(error) => return Err(error.into()),
            }
        };
        let rejects = in_order(part, &loaded);
        let execute = async |sql: &str, parameters| transaction.execute(sql, parameters).await;
        self.add_rejects(execute, place.lane, &rejects).await?;
        Ok(End::Commit(Attempt::Loaded(Loaded {
            rejected: rejects.len() as u64,
            is_recorded: self.is_recorded(part, manner),
        })))
    }

    /// Whether the database records which rows it leaves as they are: where it is not known for sure which keys came
    /// before in rows that stand, or rows can be left alone for more than one reason.
    pub fn is_recorded(&self, part: &Part, manner: Manner) -> bool {
        manner.is_apart()
            || part.is_late
            || self.statement(false, true).has_versions()
            || !key::are_comparable(self.table)
    }

    /// Whether a part's rows seem to be new to the table: a few of them are looked for. `None` where there are none.
    async fn seem_new(&self, part: &Part, deadline: Deadline) -> Result<Option<bool>, SyncError> {
        let statement = self.statement(false, false);
        if !statement.can_insert() {
            return Ok(Some(false));
        }
        let rows = part.rows();
        if rows.len() == 0 {
            return Ok(None);
        }
        let step = rows.len().div_ceil(PROBED_ROWS);
        let rows: Vec<_> = rows.step_by(step).collect();
        let places = self
            .table
            .key_columns()
            .filter_map(|key| self.columns.iter().position(|column| column.name == key.name));
        let parameters: Vec<_> = places
            .enumerate()
            .map(|(number, place)| {
                let cells = rows.iter().map(|row| row.cells().get(place));
                parameter(format!("c{}", number + 1), array_literal(cells))
            })
            .collect();
        let sql = statement.is_any_there();
        let found =
            awake(deadline, async || self.data_api.execute(None, &sql, parameters.clone()).await);
        match found.await {
            Ok(found) => {
                let is_any_there = found.first().and_then(|record| record.first());
                Ok(Some(is_any_there == Some(&Field::Boolean(false))))
            }
            // What is wrong with the rows, or with the statement, is for the load to say.
            Err(error) if error.disposition() != Disposition::Retry => Ok(Some(false)),
            Err(error) => Err(error.into()),
        }
    }

    /// The keys of a file of which nothing is loaded; `None` where they do not matter.
    pub fn repeats(&self) -> Option<Repeats> {
        if Repeats::matter(self.table) {
            return Some(Repeats::none());
        }
        // Only the database can tell such keys apart.
        (self.mode != Mode::Delete && !key::are_comparable(self.table)).then(Repeats::unknown)
    }

    /// Counts the records that are not rows, or not to be sent.
    async fn count_unreadable(
        &self,
        transaction: &Transaction<'_>,
        place: Place,
        records: usize,
    ) -> Result<(), DataApiError> {
        if records > 0 {
            let mut parameters = self.of(place);
            parameters.push(parameter("rows", records.to_string()));
            transaction.execute(REJECTED_PIECE, parameters).await?;
        }
        Ok(())
    }

    /// All sets, each as one statement.
    async fn whole(
        &self,
        transaction: &Transaction<'_>,
        place: Place,
        part: &Part,
        manner: Manner,
        calls: &[Vec<Vec<PartRow<'_>>>],
        set_rows_max: usize,
    ) -> Result<(), DataApiError> {
        let mut piece = 0;
        for sets in calls {
            let statement = self.whole_statement(part, manner, sets);
            let sql = statement.set();
            let sets: Vec<_> = sets
                .iter()
                .map(|rows| {
                    piece += 1;
                    self.set(place, statement, rows, piece - 1)
                })
                .collect();
            // Sets that take too long have each a call, and its 45 s, of their own.
            let are_slow = set_rows_max < self.statement(true, true).rows_max();
            let in_call = if are_slow { 1 } else { sets.len() };
            let mut sets = sets.into_iter().peekable();
            while sets.peek().is_some() {
                let call = sets.by_ref().take(in_call).collect();
                transaction.batch_execute(&sql, call).await?;
            }
        }
        Ok(())
    }

    /// What loads the sets of a call, of which none is bad.
    fn whole_statement(&self, part: &Part, manner: Manner, sets: &[Vec<PartRow<'_>>]) -> Load<'_> {
        let has_repeats = sets.iter().flatten().any(|row| row.repeat() != Repeat::No);
        let mut statement = self.statement(has_repeats, self.is_recorded(part, manner));
        if manner == Manner::New && !has_repeats {
            statement.mode = Mode::Insert;
        }
        statement
    }

    /// The parameters of one set.
    fn set(
        &self,
        place: Place,
        statement: Load<'_>,
        rows: &[PartRow<'_>],
        piece: usize,
    ) -> Vec<Parameter> {
        let mut set = column_parameters(rows);
        if statement.has_repeats {
            set.push(parameter("is_repeat", repeats(rows, statement.is_recorded)));
        }
        set.extend(self.of(place));
        set.push(parameter("piece", piece.to_string()));
        set.push(parameter("rows", rows.len().to_string()));
        set
    }

    /// The same in smaller sets, whose bad rows are told from the good ones. Gives the bad ones, and counts all records of
    /// the part.
    pub async fn apart(
        &self,
        transaction: &Transaction<'_>,
        place: Place,
        part: &Part,
        manner: Manner,
        set_rows_max: usize,
    ) -> Result<Vec<Reject>, SyncError> {
        let statement = self.statement(true, true).apart();
        let mut rejects = Vec::new();
        let (mut piece, mut unsent) = (0, 0);
        let sets = sets_of_calls(part, set_rows_max.min(APART_ROWS_MAX), keeps_order(self.table));
        let sets = sets.into_iter().flatten();
        // The last one first, as on a stack.
        let mut sets: Vec<_> = sets.collect();
        sets.reverse();
        while let Some(mut rows) = sets.pop() {
            let mut parameters = self.of(place);
            parameters.push(parameter("piece", piece.to_string()));
            parameters.push(parameter("rows", rows.len().to_string()));
            parameters.push(parameter("statement", statement.as_str()));
            parameters.extend(self.elements(&rows, manner));
            // A literal within a literal is escaped twice: what fitted one call may need several here.
            if encoded_len(&parameters) > CALL_BYTES_MAX {
                if let [row] = rows.as_slice() {
                    rejects.push(unsendable(*row));
                    unsent += 1;
                } else {
                    sets.push(rows.split_off(rows.len() / 2));
                    sets.push(rows);
                }
                continue;
            }
            for record in transaction.execute(APART, parameters).await? {
                rejects.push(reject(&record, &rows)?);
            }
            piece += 1;
        }
        self.count_unreadable(transaction, place, part.rejects.len() + unsent).await?;
        Ok(rejects)
    }

    fn statement(&self, has_repeats: bool, is_recorded: bool) -> Load<'_> {
        Load {
            table: self.table,
            columns: &self.columns,
            mode: self.mode,
            has_repeats,
            is_recorded,
        }
    }

    fn of(&self, place: Place) -> Vec<Parameter> {
        vec![
            parameter("import_id", self.import_id.to_string()),
            parameter("lane", place.lane.to_string()),
            parameter("chunk", place.chunk.to_string()),
        ]
    }

    fn elements(&self, rows: &[PartRow<'_>], manner: Manner) -> Vec<Parameter> {
        let mut literals = packed_literals(&cells(rows));
        literals.push(repeats(rows, true));
        let names = self.columns.iter().map(|column| Some(column.name.as_str()));
        let types: Vec<_> = self.columns.iter().map(|column| unknown_type(column)).collect();
        let is_immediate = manner == Manner::ApartImmediately;
        vec![
            text_column("columns", literals.iter().map(|literal| Some(literal.as_str()))),
            text_column("column_names", names),
            text_column("types", types.iter().map(Option::as_deref)),
            parameter("is_immediate", is_immediate.to_string()),
        ]
    }
}

/// A row that is more than a call may hold, once its quotes and backslashes are escaped.
fn unsendable(row: PartRow<'_>) -> Reject {
    let reason =
        "the row is too long to be sent: its quotes and backslashes are escaped several times";
    Reject { origin: row.origin(), rejection: Rejection::by_rule("too-long", reason) }
}

/// A bad row, as `sync.load_apart` tells of it.
fn reject(record: &Record, rows: &[PartRow<'_>]) -> Result<Reject, SyncError> {
    let text = |place: usize| record.get(place)?.as_text().map(str::to_owned);
    let number = record.first().and_then(Field::as_long);
    let row = number
        .and_then(|number| rows.get(usize::try_from(number).ok()?.checked_sub(1)?))
        .ok_or_else(|| SyncError::Inconsistent("sync.load_apart names no row".to_owned()))?;
    let rejection = Rejection {
        rule: "database".to_owned(),
        reason: text(2).unwrap_or_default(),
        sqlstate: text(1),
        constraint: text(3),
        column: text(4),
    };
    Ok(Reject { origin: row.origin(), rejection })
}
