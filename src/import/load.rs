//! Loads the part that a lane has of a chunk: its rows, its counts and its rejects in one transaction.
//!
//! What stands in `sync.import_chunk` is loaded; whoever comes to it again is stopped by its primary key.

use std::cell::Cell;
use std::collections::{BTreeMap, HashSet};

use aurora_sync_catalog::{Column, Table};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use uuid::Uuid;

use super::options::Mode;
use super::part::{Origin, Part, PartRow, Reject};
use super::repeats::{Repeat, Repeats};
use crate::array::array_literal;
use crate::aws::data_api::DataApi;
use crate::csv::encoding::Encoding;
use crate::deadline::Deadline;
use crate::error::{DataApiError, DataApiFault, Disposition, SyncError};
use crate::field::{Field, Parameter, Record, encoded_len, parameter, storable};
use crate::key;
use crate::outcome::Rejection;
use crate::parameter_set::{PackedRow, number_column, packed_literals, text_column};
use crate::plan::CALL_BYTES_MAX;
use crate::plan::rows::{Item, plan};
use crate::statement::load::Load;
use crate::statement::unknown_type;
use crate::transaction::{End, Transaction, awake, in_transaction};

/// So many rows of a lane's first part say whether its rows are new to the table.
const PROBED_ROWS: usize = 50;

/// Fewest rows to which a set is cut that takes too long.
const SET_ROWS_MIN: usize = 10;

/// Most rows of one set among which bad ones are looked for: the answer has a record for each of them, and
/// may hold 1 MiB.
pub const APART_ROWS_MAX: usize = 500;

/// Rejected rows that are kept of an import, at least: those that come first in each lane. The others are
/// counted.
pub const REJECTS_KEPT: u64 = 100_000;

/// The bytes that are kept of a record that is too long to be one.
const TOO_LONG_KEPT: usize = 1_000;

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
    sum(rows_written + rows_unchanged + rows_superseded) + count(row_number), sum(rows_written),
    sum(rows_unchanged), sum(rows_superseded), count(row_number)
  FROM told
)
SELECT row_number, error_sqlstate, error_message, error_constraint, error_column
FROM told WHERE row_number IS NOT NULL ORDER BY row_number";

const ADD_REJECTS: &str = "INSERT INTO sync.import_reject (import_id, record, line, byte_offset, column_name, rule, sqlstate,
  reason, raw, raw_bytes)
SELECT :import_id::uuid, record, line, byte_offset, column_name, rule, sqlstate, reason, raw,
  decode(raw_bytes, 'base64')
FROM unnest(:record::bigint[], :line::bigint[], :byte_offset::bigint[], :column_name::text[],
  :rule::text[], :sqlstate::text[], :reason::text[], :raw::text[], :raw_bytes::text[])
  WITH ORDINALITY AS reject (record, line, byte_offset, column_name, rule, sqlstate, reason, raw, raw_bytes, place)
WHERE place + :before::bigint + coalesce((
    SELECT sum(kind.rows) FROM sync.import_reject_kind AS kind
    WHERE kind.import_id = :import_id::uuid AND kind.lane = :lane::smallint
  ), 0) <= :kept::bigint";

const COUNT_REJECTS: &str =
    "INSERT INTO sync.import_reject_kind AS kind (import_id, lane, rule, sqlstate, column_name, rows)
SELECT :import_id::uuid, :lane::smallint, rule, sqlstate, column_name, rows
FROM unnest(:rule::text[], :sqlstate::text[], :column_name::text[], :rows::bigint[])
  AS counted (rule, sqlstate, column_name, rows)
ON CONFLICT (import_id, lane, rule, sqlstate, column_name) DO UPDATE SET rows = kind.rows + EXCLUDED.rows";

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
    /// Loads a part in a transaction of its own. `are_new` is what the lane's parts before told of its rows: whether they
    /// are new to the table.
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
            let attempt = in_transaction(self.data_api, deadline, async |transaction| {
                self.attempt(transaction, place, part, manner, set_rows_max).await
            });
            match attempt.await {
                Ok(Attempt::Loaded(loaded)) => return Ok(loaded),
                Ok(Attempt::Spoilt { is_conflict: true }) if manner == Manner::New => {
                    are_new.set(Some(false));
                    manner = Manner::Whole;
                }
                Ok(Attempt::Spoilt { .. }) => manner = Manner::Apart,
                // What a type that we do not know says to a value can look like a mistake of ours.
                Err(SyncError::Database(error))
                    if error.is_about_a_statement()
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

    async fn attempt(
        &self,
        transaction: &Transaction<'_>,
        place: Place,
        part: &Part,
        manner: Manner,
        set_rows_max: usize,
    ) -> Result<End<Attempt>, SyncError> {
        let loaded = if manner.is_apart() {
            self.apart(transaction, place, part, manner, set_rows_max).await?
        } else {
            match self.whole(transaction, place, part, manner, set_rows_max).await {
                Ok(()) => Vec::new(),
                Err(error) if error.disposition() == Disposition::Reject => {
                    let is_conflict = error.is_unique_violation();
                    return Ok(End::Rollback(Attempt::Spoilt { is_conflict }));
                }
                Err(error) => return Err(error.into()),
            }
        };
        self.count_unreadable(transaction, place, part).await?;
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

    /// Counts the records that are not rows.
    pub async fn count_unreadable(
        &self,
        transaction: &Transaction<'_>,
        place: Place,
        part: &Part,
    ) -> Result<(), DataApiError> {
        if !part.rejects.is_empty() {
            let mut parameters = self.of(place);
            parameters.push(parameter("rows", part.rejects.len().to_string()));
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
        set_rows_max: usize,
    ) -> Result<(), DataApiError> {
        let mut piece = 0;
        for sets in sets_of_calls(part, set_rows_max, keeps_order(self.table)) {
            let has_repeats = sets.iter().flatten().any(|row| row.repeat() != Repeat::No);
            let is_recorded = self.is_recorded(part, manner);
            let mut statement = self.statement(has_repeats, is_recorded);
            if manner == Manner::New && !has_repeats {
                statement.mode = Mode::Insert;
            }
            let sql = statement.set();
            let sets: Vec<_> = sets
                .iter()
                .map(|rows| {
                    let mut set = column_parameters(rows);
                    if has_repeats {
                        set.push(parameter("is_repeat", repeats(rows, is_recorded)));
                    }
                    set.extend(self.of(place));
                    set.push(parameter("piece", piece.to_string()));
                    set.push(parameter("rows", rows.len().to_string()));
                    piece += 1;
                    set
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

    /// The same in smaller sets, whose bad rows are told from the good ones. Gives the bad ones.
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
        let mut piece = 0;
        let sets = sets_of_calls(part, set_rows_max.min(APART_ROWS_MAX), keeps_order(self.table));
        let sets = sets.into_iter().flatten();
        // The last one first, as on a stack.
        let mut sets: Vec<_> = sets.collect();
        sets.reverse();
        while let Some(mut rows) = sets.pop() {
            let mut parameters = self.of(place);
            parameters.push(parameter("piece", piece.to_string()));
            parameters.push(parameter("statement", statement.as_str()));
            parameters.extend(self.elements(&rows, manner));
            // A literal within a literal is escaped twice: what fitted one call may need several here.
            if encoded_len(&parameters) > CALL_BYTES_MAX && rows.len() > 1 {
                sets.push(rows.split_off(rows.len() / 2));
                sets.push(rows);
                continue;
            }
            for record in transaction.execute(APART, parameters).await? {
                rejects.push(reject(&record, &rows)?);
            }
            piece += 1;
        }
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

    /// Records rejects, which are in the order of the file: all of them are counted, and kept as far as there
    /// is room.
    pub async fn add_rejects(
        &self,
        execute: impl AsyncFn(&str, Vec<Parameter>) -> Result<Vec<Record>, DataApiError>,
        lane: usize,
        rejects: &[&Reject],
    ) -> Result<(), SyncError> {
        let rows: Vec<_> =
            rejects.iter().map(|reject| RejectRow::of(reject, self.encoding)).collect();
        let mut before = 0;
        while before < rows.len() {
            let mut bytes = 0;
            let rest = &rows[before..];
            let fitting = rest.iter().take_while(|row| {
                bytes += row.size_bytes();
                bytes <= CALL_BYTES_MAX
            });
            let piece = &rest[..fitting.count().max(1)];
            let mut parameters = self.reject_parameters(piece);
            parameters.push(parameter("lane", lane.to_string()));
            parameters.push(parameter("before", before.to_string()));
            parameters.push(parameter("kept", REJECTS_KEPT.to_string()));
            execute(ADD_REJECTS, parameters).await?;
            before += piece.len();
        }
        if !rejects.is_empty() {
            execute(COUNT_REJECTS, self.kind_parameters(lane, rejects)).await?;
        }
        Ok(())
    }

    fn reject_parameters(&self, rows: &[RejectRow<'_>]) -> Vec<Parameter> {
        let number = |value: u64| i64::try_from(value).unwrap_or(i64::MAX);
        let origin = |row: &RejectRow<'_>| row.reject.origin.place;
        let rejection = |row: &RejectRow<'_>| row.reject.rejection.clone();
        let rejections: Vec<_> = rows.iter().map(rejection).collect();
        vec![
            parameter("import_id", self.import_id.to_string()),
            number_column("record", rows.iter().map(|row| number(row.reject.origin.record))),
            number_column("line", rows.iter().map(|row| number(origin(row).line))),
            number_column("byte_offset", rows.iter().map(|row| number(origin(row).byte_offset))),
            text_column("column_name", rejections.iter().map(|of| of.column.as_deref())),
            text_column("rule", rejections.iter().map(|of| Some(of.rule.as_str()))),
            text_column("sqlstate", rejections.iter().map(|of| of.sqlstate.as_deref())),
            text_column("reason", rows.iter().map(|row| Some(row.reason.as_str()))),
            text_column("raw", rows.iter().map(|row| Some(row.raw.as_str()))),
            text_column("raw_bytes", rows.iter().map(|row| row.raw_bytes.as_deref())),
        ]
    }

    fn kind_parameters(&self, lane: usize, rejects: &[&Reject]) -> Vec<Parameter> {
        let mut kinds: BTreeMap<(&str, &str, &str), i64> = BTreeMap::new();
        for Reject { rejection, .. } in rejects {
            let sqlstate = rejection.sqlstate.as_deref().unwrap_or_default();
            let column = rejection.column.as_deref().unwrap_or_default();
            *kinds.entry((&rejection.rule, sqlstate, column)).or_default() += 1;
        }
        vec![
            parameter("import_id", self.import_id.to_string()),
            parameter("lane", lane.to_string()),
            text_column("rule", kinds.keys().map(|(rule, _, _)| Some(*rule))),
            text_column("sqlstate", kinds.keys().map(|(_, sqlstate, _)| Some(*sqlstate))),
            text_column("column_name", kinds.keys().map(|(_, _, column)| Some(*column))),
            number_column("rows", kinds.values().copied()),
        ]
    }
}

/// Whether rows must be loaded in the order of the file, as those with different keys can depend on each other, or
/// only the database knows which keys are equal.
pub fn keeps_order(table: &Table) -> bool {
    !key::are_comparable(table) || table.references_itself() || table.rows_exclude
}

/// The rows of a part as sets of calls: a key stands once in a set, its rows keep their order, and all writers
/// lock in the order of the keys. Rows whose keys may have come before have calls of their own: it takes longer to find
/// out, and of the late rows of a long file there are always some. Where all rows keep their order, a repeated key begins a set, and one that is spelt
/// in another way is for `sync.load_apart`.
fn sets_of_calls(
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

/// What a row adds to a request, with its mark in the column of repeats.
fn size_bytes(row: PartRow<'_>) -> usize {
    row.size_bytes() + "NULL,".len()
}

fn cells<'a>(rows: &[PartRow<'a>]) -> Vec<PackedRow<'a>> {
    rows.iter().map(|row| row.cells()).collect()
}

fn column_parameters(rows: &[PartRow<'_>]) -> Vec<Parameter> {
    let literals = packed_literals(&cells(rows)).into_iter().enumerate();
    literals.map(|(place, literal)| parameter(format!("c{}", place + 1), literal)).collect()
}

/// The column that says of each row whether its key came before; NULL where the database has to find out.
fn repeats(rows: &[PartRow<'_>], is_recorded: bool) -> String {
    array_literal(rows.iter().map(|row| match row.repeat() {
        Repeat::No => Some("f"),
        Repeat::Surely => Some("t"),
        Repeat::InPart if !is_recorded => Some("t"),
        Repeat::InPart | Repeat::Perhaps => None,
    }))
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

/// All rejects of a part in the order of the file.
pub fn in_order<'a>(part: &'a Part, loaded: &'a [Reject]) -> Vec<&'a Reject> {
    let mut rejects: Vec<_> = part.rejects.iter().chain(loaded).collect();
    rejects.sort_by_key(|reject| reject.origin.record);
    rejects
}

/// A row of `sync.import_reject`.
#[derive(Debug)]
struct RejectRow<'a> {
    reject: &'a Reject,
    reason: String,
    raw: String,
    /// In Base64, where the text is not all of it.
    raw_bytes: Option<String>,
}

impl<'a> RejectRow<'a> {
    fn of(reject: &'a Reject, encoding: Encoding) -> Self {
        let Origin { raw, .. } = &reject.origin;
        let is_too_long = reject.rejection.rule == "too-long";
        let raw = if is_too_long { raw.get(..TOO_LONG_KEPT).unwrap_or(raw) } else { raw };
        let text = encoding.decode(raw);
        let is_whole = !text.contains('\0') && encoding.encode(&text) == raw;
        Self {
            reject,
            reason: storable(&reject.rejection.reason),
            raw: storable(&text),
            raw_bytes: (!is_whole).then(|| BASE64_STANDARD.encode(raw)),
        }
    }

    /// What it adds to a request, at most.
    fn size_bytes(&self) -> usize {
        const OTHER_COLUMNS: usize = 300;
        let texts = [&self.reason, &self.raw];
        let texts: usize = texts.iter().map(|text| crate::array::encoded_len(Some(text))).sum();
        texts + self.raw_bytes.as_ref().map_or(0, String::len) + OTHER_COLUMNS
    }
}
