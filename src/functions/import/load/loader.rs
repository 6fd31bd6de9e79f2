//! Loads a lane's part of a chunk: rows, counts, rejects and the chunk's end, in one transaction.
//!
//! [`crate::database::batch`] drives it, as it drives writes. A set that is in `sync.import_chunk`
//! is loaded; the primary key of that table stops a worker that loads it again.

use aurora_sync_catalog::{Column, Table};
use csv_stream::encoding::Encoding;
use uuid::Uuid;

use super::rejects::{FileRow, REJECT_BYTES_KEPT, REJECTS_KEPT};
use super::sets::{Folded, Set, Unfolded, by_key, column_parameters, fold, sets, unfolded};
use crate::aws::data_api::DataApi;
use crate::database::batch::{self, Attempt, Work};
use crate::database::plan::rows::calls;
use crate::database::statement::load::{Load, SET_ROWS_MAX, keeps_order};
use crate::database::statement::unknown_type;
use crate::database::transaction::{BegunAhead, Transaction, awake};
use crate::domain::deadline::Deadline;
use crate::domain::error::{DataApiFault, SyncError};
use crate::domain::field::{Field, Parameter, encoded_len, null, parameter};
use crate::domain::load_mode::LoadMode;
use crate::domain::value::array_literal::array_literal;
use crate::functions::import::read::chunk::ChunkEnd;
use crate::functions::import::read::part::{Part, PartRow, Reject};

/// Fewest rows of a set, however long sets take.
const SET_ROWS_MIN: usize = 10;

/// Most rows of a bisected set. A larger one is more likely to be tried whole in vain.
const BISECTED_ROWS_MAX: usize = 2_000;

/// The set number of the records that do not fit the table.
const REJECTED_SET: i32 = -1;

/// Inserts the row of a set into `sync.import_chunk`.
const RECORD: &str = "INSERT INTO sync.import_chunk (import_id, chunk, lane, set_number, rows_read, rows_written,
  rows_unchanged, rows_superseded, rows_rejected, rows_overwritten, records, bytes_read, next_byte, next_line, next_record)
SELECT :import_id::uuid, :chunk::integer, :lane::smallint, :set_number::integer,";

/// The columns of the chunk's end.
const CHUNK: &str = ":records::bigint, :bytes_read::bigint, :next_byte::bigint, :next_line::bigint, :next_record::bigint";

/// The columns of a set's counts, with the rows that were folded into others.
const COUNTS: &str = ":rows::bigint + :folded::bigint, loaded.rows_written, loaded.rows_unchanged,
  loaded.rows_superseded + :folded::bigint, loaded.rows_rejected, loaded.rows_overwritten";

const REJECTED: &str =
    "SELECT coalesce(sum(rows_rejected), 0)::bigint, count(*) FROM sync.import_chunk
WHERE import_id = :import_id::uuid AND chunk = :chunk::integer AND lane = :lane::smallint";

/// Returns the SQL text that loads a set without bad rows.
pub fn load_sql(columns: usize) -> String {
    format!(
        "{RECORD} {COUNTS},
  {CHUNK}
FROM sync.load(:import_id::uuid, :statement::text, :insert_statement::text, :keys_statement::text,
  {}, :rows::bigint) AS loaded",
        columns_array(columns)
    )
}

/// Returns the SQL text that loads a set with bad rows.
pub fn load_bisected_sql(columns: usize) -> String {
    format!(
        "{RECORD} {COUNTS},
  {CHUNK}
FROM sync.load_bisected(:import_id::uuid, :lane::smallint, :statement::text, :keys_statement::text,
  {}, :column_names::text[], :types::text[], :is_immediate::boolean,
  :follows::integer[], :of_table::text, :adds::text,
  {}, :kept_rows::bigint, :kept_bytes::bigint) AS loaded",
        columns_array(columns),
        super::rejects::FILE_ROWS,
    )
}

/// Returns the SQL text that records and counts the records that do not fit the table.
pub fn reject_sql() -> String {
    format!(
        "{RECORD} rejected, 0, 0, 0, rejected, 0,
  {CHUNK}
FROM (SELECT sync.enter_import(:import_id::uuid)) AS entered,
  sync.add_rejects(:import_id::uuid, :lane::smallint,
  {}, :kept_rows::bigint, :kept_bytes::bigint) AS rejected",
        super::rejects::ROWS,
    )
}

/// Returns the SQL text that records rejects without counting them.
pub fn add_rejects_sql() -> String {
    format!(
        "SELECT sync.add_rejects(:import_id::uuid, :lane::smallint,
  {}, :kept_rows::bigint, :kept_bytes::bigint)",
        super::rejects::ROWS
    )
}

/// `ARRAY[:c1::text, :c2::text]`. Each column is a parameter of its own: a literal within a literal
/// would be escaped twice.
fn columns_array(columns: usize) -> String {
    let columns: Vec<_> = (1..=columns).map(|index| format!(":c{index}::text")).collect();
    format!("ARRAY[{}]", columns.join(", "))
}

/// Loads the parts of one file into its table.
#[derive(Debug)]
pub struct Loader<'a> {
    pub data_api: &'a DataApi,
    pub import_id: Uuid,
    pub table: &'a Table,
    pub columns: Vec<&'a Column>,
    pub mode: LoadMode,
    pub is_dry_run: bool,
    pub encoding: Encoding,
}

/// The chunk and the lane of a part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Slot {
    pub lane: usize,
    pub chunk: u32,
    pub end: ChunkEnd,
}

impl Loader<'_> {
    /// Loads a part in a transaction of its own, and returns how many of its records were rejected.
    pub async fn load(
        &self,
        slot: Slot,
        part: &Part,
        begun: &BegunAhead,
        deadline: Deadline,
    ) -> Result<u64, SyncError> {
        let mut set_rows_max = SET_ROWS_MAX;
        loop {
            let loading = Loading { loader: self, slot, part, set_rows_max };
            match batch::run(self.data_api, deadline, begun, &loading).await {
                // 45 s are not enough for so many rows: triggers, or a busy database.
                Err(SyncError::Database(error))
                    if error.fault == DataApiFault::StatementTimeout
                        && set_rows_max > SET_ROWS_MIN =>
                {
                    set_rows_max /= 4;
                    tracing::info!(reason = %error, set_rows_max, "part is repeated in smaller sets");
                }
                loaded => return loaded,
            }
        }
    }

    /// Loads a part in this transaction, and returns how many of its records were rejected.
    pub async fn load_in(
        &self,
        transaction: &Transaction<'_>,
        slot: Slot,
        part: &Part,
        attempt: Attempt,
    ) -> Result<u64, SyncError> {
        let loading = Loading { loader: self, slot, part, set_rows_max: SET_ROWS_MAX };
        loading.run(transaction, attempt).await
    }

    /// Records rejects outside of any transaction. They are in the order of the file.
    pub async fn record_rejects(
        &self,
        lane: usize,
        rejects: &[Reject],
        deadline: Deadline,
    ) -> Result<(), SyncError> {
        let rows = rejects.iter().map(|reject| FileRow::of_reject(reject, self.encoding)).collect();
        for rows in calls(rows, usize::MAX, FileRow::size_bytes) {
            let mut parameters = super::rejects::parameters(&rows.iter().collect::<Vec<_>>());
            parameters.push(parameter("import_id", self.import_id.to_string()));
            parameters.push(parameter("lane", lane.to_string()));
            parameters.extend(kept());
            let sql = add_rejects_sql();
            awake(deadline, async || self.data_api.execute(None, &sql, parameters.clone()).await)
                .await?;
        }
        Ok(())
    }

    /// Returns `true` if the rows that are overwritten are counted.
    pub fn counts_overwritten(&self) -> bool {
        self.is_dry_run && self.statement().merges()
    }

    fn statement(&self) -> Load<'_> {
        Load { table: self.table, columns: &self.columns, mode: self.mode }
    }
}

/// A part on its way into the database.
#[derive(Debug)]
struct Loading<'a> {
    loader: &'a Loader<'a>,
    slot: Slot,
    part: &'a Part,
    set_rows_max: usize,
}

impl Work for Loading<'_> {
    type Done = u64;

    async fn run(&self, transaction: &Transaction<'_>, attempt: Attempt) -> Result<u64, SyncError> {
        let (sql, calls) =
            if attempt.is_bisected() { self.bisected(attempt) } else { self.whole() };
        for sets in calls {
            transaction.change_rows(&sql, sets).await?;
        }
        for sets in self.rejects() {
            transaction.change_rows(&reject_sql(), sets).await?;
        }
        if !attempt.is_bisected() {
            return Ok(self.part.rejects.len() as u64);
        }
        let counts = transaction.execute(REJECTED, self.of_slot()).await?;
        Ok(rejected(counts.first().map(Vec::as_slice))?.0)
    }

    async fn on_record(&self, _: Attempt) -> Result<Option<u64>, SyncError> {
        let counts = self.loader.data_api.execute(None, REJECTED, self.of_slot()).await?;
        let (rejected, sets) = rejected(counts.first().map(Vec::as_slice))?;
        Ok((sets > 0).then_some(rejected))
    }

    fn has_unknown_types(&self) -> bool {
        self.loader.columns.iter().any(|column| unknown_type(column).is_some())
    }
}

/// Reads the number of a part's rejected rows, and of its statements.
fn rejected(counts: Option<&[Field]>) -> Result<(u64, u64), SyncError> {
    let counted = match counts {
        Some([Field::Long(rejected), Field::Long(sets)]) => {
            u64::try_from(*rejected).ok().zip(u64::try_from(*sets).ok())
        }
        _ => None,
    };
    counted.ok_or_else(|| SyncError::Inconsistent("the chunk is not counted".to_owned()))
}

/// Calls, and the parameter sets of each. They share an SQL text.
type Calls = Vec<Vec<Vec<Parameter>>>;

impl Loading<'_> {
    /// Returns all sets, each as one statement.
    fn whole(&self) -> (String, Calls) {
        let load = self.loader.statement();
        let Folded { rows, folded } =
            if load.folds() { fold(self.part) } else { unfolded(self.part) };
        let keeps_order = keeps_order(self.loader.table);
        let sets = sets(&rows, self.set_rows_max, keeps_order, PartRow::size_bytes);
        let statement = load.statement();
        let (insert_statement, keys_statement) = (load.insert_first(), load.keys());
        let parameters = |(set_number, rows): (usize, Set<'_>)| {
            let folded = if set_number == 0 { folded } else { 0 };
            let mut set = self.of_set(set_number, rows.len(), folded);
            set.push(parameter("statement", statement.as_str()));
            set.push(optional("insert_statement", insert_statement.as_deref()));
            set.push(optional("keys_statement", keys_statement.as_deref()));
            set.extend(column_parameters(&rows));
            set
        };
        let sets = sets.into_iter().enumerate().map(parameters).collect();
        (load_sql(self.loader.columns.len()), self.calls(sets))
    }

    /// Returns the same rows in smaller sets, in which the server finds the bad rows. If rows of a
    /// key fold, the last good one stands for those before it.
    fn bisected(&self, attempt: Attempt) -> (String, Calls) {
        let loader = self.loader;
        let load = loader.statement();
        let statement = if loader.is_dry_run { load.dry_run() } else { load.statement() };
        let keys_statement = load.keys();
        let keeps_order = keeps_order(loader.table);
        let file_rows = self.part.rows().map(|row| FileRow::of_row(row.origin(), loader.encoding));
        let file_rows: Vec<_> = file_rows.collect();
        let set_rows_max = match attempt {
            // Rows that refer to each other must be in one set: it is as large as a call.
            Attempt::BisectedImmediately if self.set_rows_max == SET_ROWS_MAX => usize::MAX,
            _ => self.set_rows_max.min(BISECTED_ROWS_MAX),
        };
        let size_bytes = |row: PartRow<'_>| row.size_bytes() + file_rows[row.number()].size_bytes();
        let Unfolded { in_order, repeated } = if load.folds() {
            by_key(self.part, set_rows_max, size_bytes)
        } else {
            Unfolded { in_order: unfolded(self.part).rows, ..Unfolded::default() }
        };
        let in_order = sets(&in_order, set_rows_max, keeps_order, size_bytes).into_iter();
        let sets = repeated.into_iter().map(|groups| {
            let follows: Vec<_> = follows(&groups).collect();
            (groups.concat(), Some(array_literal(follows.iter().map(Option::as_deref))))
        });
        let sets = sets.chain(in_order.map(|rows| (rows, None)));
        let names = loader.columns.iter().map(|column| Some(column.name.as_str()));
        let names = array_literal(names);
        let types: Vec<_> = loader.columns.iter().map(|column| unknown_type(column)).collect();
        let types = array_literal(types.iter().map(Option::as_deref));
        let parameters = |(set_number, (rows, follows)): (usize, (Set<'_>, Option<String>))| {
            let mut set = self.of_set(set_number, rows.len(), 0);
            set.push(optional("follows", follows.as_deref()));
            set.push(parameter("statement", statement.as_str()));
            set.push(optional("keys_statement", keys_statement.as_deref()));
            set.push(parameter("column_names", names.as_str()));
            set.push(parameter("types", types.as_str()));
            let is_immediate = attempt == Attempt::BisectedImmediately;
            set.push(parameter("is_immediate", is_immediate.to_string()));
            set.push(parameter("of_table", loader.table.sql_name()));
            set.push(parameter("adds", load.adds()));
            set.extend(column_parameters(&rows));
            let rows = rows.iter().map(|row| &file_rows[row.number()]);
            set.extend(super::rejects::file_parameters(&rows.collect::<Vec<_>>()));
            set.extend(kept());
            set
        };
        let sets = sets.enumerate().map(parameters).collect();
        (load_bisected_sql(loader.columns.len()), self.calls(sets))
    }

    /// Returns the records that do not fit the table.
    fn rejects(&self) -> Calls {
        let rejects = self.part.rejects.iter();
        let rows = rejects.map(|reject| FileRow::of_reject(reject, self.loader.encoding)).collect();
        let calls = calls(rows, usize::MAX, FileRow::size_bytes).into_iter().enumerate();
        calls
            .map(|(index, rows)| {
                let mut set = self.of_slot();
                let set_number = REJECTED_SET - i32::try_from(index).unwrap_or_default();
                set.push(parameter("set_number", set_number.to_string()));
                set.extend(self.of_chunk());
                set.extend(super::rejects::parameters(&rows.iter().collect::<Vec<_>>()));
                set.extend(kept());
                vec![set]
            })
            .collect()
    }

    /// Cuts sets into calls. Sets that take too long get a call, and its 45 s, of their own.
    fn calls(&self, sets: Vec<Vec<Parameter>>) -> Calls {
        let sets_max = if self.set_rows_max < SET_ROWS_MAX { 1 } else { usize::MAX };
        calls(sets, sets_max, |set| encoded_len(set))
    }

    fn of_set(&self, set_number: usize, rows: usize, folded: usize) -> Vec<Parameter> {
        let mut set = self.of_slot();
        set.extend([
            parameter("set_number", set_number.to_string()),
            parameter("rows", rows.to_string()),
            parameter("folded", folded.to_string()),
        ]);
        set.extend(self.of_chunk());
        set
    }

    fn of_slot(&self) -> Vec<Parameter> {
        vec![
            parameter("import_id", self.loader.import_id.to_string()),
            parameter("chunk", self.slot.chunk.to_string()),
            parameter("lane", self.slot.lane.to_string()),
        ]
    }

    /// Returns the size of the chunk and its end.
    fn of_chunk(&self) -> [Parameter; 5] {
        let ChunkEnd { records, bytes_read, next, next_record } = self.slot.end;
        let number = |name, value: Option<u64>| {
            value.map_or_else(|| null(name), |value| parameter(name, value.to_string()))
        };
        [
            parameter("records", records.to_string()),
            parameter("bytes_read", bytes_read.to_string()),
            number("next_byte", next.map(|next| next.byte_offset)),
            number("next_line", next.map(|next| next.line)),
            parameter("next_record", next_record.to_string()),
        ]
    }
}

/// The row of the set, from 1, that each row of some groups follows.
fn follows(groups: &[Set<'_>]) -> impl Iterator<Item = Option<String>> {
    let rows = groups.iter().flat_map(|group| (0..group.len()).map(|index| index > 0));
    rows.enumerate().map(|(before, is_later)| is_later.then(|| before.to_string()))
}

fn optional(name: &'static str, text: Option<&str>) -> Parameter {
    text.map_or_else(|| null(name), |text| parameter(name, text))
}

fn kept() -> [Parameter; 2] {
    [
        parameter("kept_rows", REJECTS_KEPT.to_string()),
        parameter("kept_bytes", REJECT_BYTES_KEPT.to_string()),
    ]
}
