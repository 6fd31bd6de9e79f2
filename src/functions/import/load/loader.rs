//! Loads a lane's part of a chunk: rows, counts, rejects and the chunk's end, in one transaction.
//!
//! [`crate::database::batch`] drives it, as it drives writes. A set that is in `sync.import_chunk`
//! is loaded; the primary key of that table stops a worker that loads it again.

use aurora_sync_catalog::{Column, Table};
use csv_stream::encoding::Encoding;
use import_options::Options;

use super::rejects::{self, FileRow};
use super::sets::{Set, Unfolded, by_key, column_parameters, fold, sets};
use crate::database::batch::{self, Attempt, Work};
use crate::database::plan::rows::calls;
use crate::database::statement::chunk::{add_rejects_sql, load_bisected_sql, load_sql, reject_sql};
use crate::database::statement::load::{Load, SET_ROWS_MAX, keeps_order};
use crate::database::statement::unknown_type;
use crate::database::transaction::{BegunAhead, Transaction};
use crate::domain::error::{DataApiFault, SyncError};
use crate::domain::field::{Parameter, Record, encoded_len, json, optional, parameter};
use crate::domain::rejection::Rejection;
use crate::domain::value::array_literal::array_literal;
use crate::functions::import::claim::ImportEntry;
use crate::functions::import::read::chunk::ChunkEnd;
use crate::functions::import::read::part::{Part, PartRow, Reject};

/// Fewest rows of a set, however long sets take.
const SET_ROWS_MIN: usize = 10;

/// Most rows of a bisected set. A larger one is more likely to be tried whole in vain.
const BISECTED_ROWS_MAX: usize = 2_000;

const REJECTED: &str =
    "SELECT json_build_array(coalesce(sum(rows_rejected), 0), count(*))::text FROM sync.import_chunk
WHERE import_id = :import_id::uuid AND chunk = :chunk::integer AND lane = :lane::smallint";

/// Loads the parts of one file into its table.
#[derive(Debug)]
pub(in crate::functions::import) struct Loader<'a> {
    pub entry: ImportEntry<'a>,
    pub table: &'a Table,
    pub options: &'a Options,
    pub columns: Vec<&'a Column>,
    pub encoding: Encoding,
}

/// The chunk and the lane of a part.
#[derive(Debug, Clone, Copy)]
pub(in crate::functions::import) struct Slot {
    pub lane: usize,
    pub chunk: u32,
    pub end: ChunkEnd,
}

impl Loader<'_> {
    /// Loads a part in a transaction of its own, and returns how many of its records were rejected.
    pub(super) async fn load(
        &self,
        slot: Slot,
        part: &Part,
        begun: &BegunAhead,
    ) -> Result<u64, SyncError> {
        let ImportEntry { data_api, deadline, .. } = self.entry;
        let mut set_rows_max = SET_ROWS_MAX;
        loop {
            let loading = Loading { loader: self, slot, part, set_rows_max };
            match batch::run(data_api, deadline, begun, &loading).await {
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
    pub(super) async fn load_in(
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
    pub(super) async fn record_rejects(
        &self,
        lane: usize,
        rejects: Vec<Reject>,
    ) -> Result<(), SyncError> {
        for mut parameters in self.rejects(rejects) {
            parameters.extend([self.entry.id(), parameter("lane", lane.to_string())]);
            self.entry.run(&add_rejects_sql(), parameters).await?;
        }
        Ok(())
    }

    /// Returns the parameters of these rejects, for one call after the other.
    fn rejects(&self, rejects: Vec<Reject>) -> impl Iterator<Item = Vec<Parameter>> {
        let rows = rejects.into_iter().map(|reject| FileRow::of(reject, self.encoding)).collect();
        let calls = calls(rows, usize::MAX, FileRow::size_bytes).into_iter();
        calls.map(|rows| rejects::parameters(&rows.iter().collect::<Vec<_>>()))
    }

    pub(super) fn statement(&self) -> Load<'_> {
        Load { table: self.table, columns: &self.columns, mode: self.options.mode }
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
        let columns = self.loader.columns.len();
        let (sql, sets) = match attempt {
            Attempt::Whole => (load_sql(columns), self.whole()),
            _ => (load_bisected_sql(columns), self.bisected(attempt)),
        };
        // Sets that take too long get a call, and its 45 s, of their own.
        let sets_max = if self.set_rows_max < SET_ROWS_MAX { 1 } else { usize::MAX };
        for sets in calls(sets, sets_max, |set| encoded_len(set)) {
            transaction.change_rows(&sql, sets).await?;
        }
        let rejects = self.loader.rejects(self.part.rejects.clone());
        for (number, rejects) in (1..).zip(rejects) {
            // The records that do not fit the table have set numbers of their own.
            let set = [self.of_set(-number), rejects].concat();
            transaction.change_rows(&reject_sql(), vec![set]).await?;
        }
        if !attempt.is_bisected() {
            return Ok(self.part.rejects.len() as u64);
        }
        let (rejected, _) = counted(&transaction.execute(REJECTED, self.of_slot()).await?)?;
        Ok(rejected)
    }

    async fn on_record(&self, _: Attempt) -> Result<Option<u64>, SyncError> {
        let counts = self.loader.entry.data_api.execute(None, REJECTED, self.of_slot()).await?;
        let (rejected, sets) = counted(&counts)?;
        Ok((sets > 0).then_some(rejected))
    }

    fn has_unknown_types(&self) -> bool {
        self.loader.columns.iter().any(|column| unknown_type(column).is_some())
    }
}

/// Reads the number of a part's rejected rows, and of its sets.
fn counted(counts: &[Record]) -> Result<(u64, u64), SyncError> {
    json(counts).ok_or_else(|| SyncError::Inconsistent("the chunk is not counted".to_owned()))
}

impl Loading<'_> {
    /// Returns all sets, each as one statement.
    fn whole(&self) -> Vec<Vec<Parameter>> {
        let load = self.loader.statement();
        let all = self.part.rows();
        let count = all.len();
        let rows = if load.folds() { fold(self.part) } else { all.collect() };
        let mut folded = count - rows.len();
        let keeps_order = keeps_order(self.loader.table);
        let sets = sets(&rows, self.set_rows_max, keeps_order, PartRow::size_bytes);
        let statement = load.statement();
        let (insert_statement, keys_statement) = (load.insert_first(), load.keys());
        let parameters = |(set_number, rows): (i32, Set<'_>)| {
            let mut set = self.of_rows(set_number, &rows, std::mem::take(&mut folded));
            set.extend([
                parameter("statement", statement.as_str()),
                optional("insert_statement", insert_statement.as_deref()),
                optional("keys_statement", keys_statement.as_deref()),
            ]);
            set
        };
        (0..).zip(sets).map(parameters).collect()
    }

    /// Returns the same rows in smaller sets, in which the server finds the bad rows. If rows of a
    /// key fold, the last good one stands for those before it.
    fn bisected(&self, attempt: Attempt) -> Vec<Vec<Parameter>> {
        let Loader { table, ref columns, options, encoding, .. } = *self.loader;
        let load = self.loader.statement();
        let statement = if options.is_dry_run { load.dry_run() } else { load.statement() };
        let keys_statement = load.keys();
        let rejection = Rejection::by_rule("", "");
        let file_row = |row: PartRow<'_>| {
            let reject = Reject { origin: row.origin(), rejection: rejection.clone() };
            FileRow::of(reject, encoding)
        };
        let file_rows: Vec<_> = self.part.rows().map(file_row).collect();
        let is_immediate = attempt == Attempt::BisectedImmediately;
        // Rows that refer to each other must be in one set: it is as large as a call.
        let set_rows_max = if is_immediate && self.set_rows_max == SET_ROWS_MAX {
            usize::MAX
        } else {
            self.set_rows_max.min(BISECTED_ROWS_MAX)
        };
        let size_bytes = |row: PartRow<'_>| row.size_bytes() + file_rows[row.number()].size_bytes();
        let Unfolded { in_order, repeated } = if load.folds() {
            by_key(self.part, set_rows_max, size_bytes)
        } else {
            Unfolded { in_order: self.part.rows().collect(), repeated: Vec::new() }
        };
        let in_order = sets(&in_order, set_rows_max, keeps_order(table), size_bytes).into_iter();
        let sets = repeated.into_iter().map(|groups| (groups.concat(), Some(follows(&groups))));
        let sets = sets.chain(in_order.map(|rows| (rows, None)));
        let names = array_literal(columns.iter().map(|column| Some(column.name.as_str())));
        let types: Vec<_> = columns.iter().map(|column| unknown_type(column)).collect();
        let types = array_literal(types.iter().map(Option::as_deref));
        let parameters = |(set_number, (rows, follows)): (i32, (Set<'_>, Option<String>))| {
            let mut set = self.of_rows(set_number, &rows, 0);
            set.extend([
                optional("follows", follows),
                parameter("statement", statement.as_str()),
                optional("keys_statement", keys_statement.as_deref()),
                parameter("column_names", names.as_str()),
                parameter("types", types.as_str()),
                parameter("is_immediate", is_immediate.to_string()),
                parameter("of_table", table.sql_name()),
                parameter("adds", load.adds()),
            ]);
            let file_rows = rows.iter().map(|row| &file_rows[row.number()]);
            set.extend(rejects::parameters(&file_rows.collect::<Vec<_>>()));
            set
        };
        (0..).zip(sets).map(parameters).collect()
    }

    /// Returns the parameters of a set of rows, into which others were folded.
    fn of_rows(&self, set_number: i32, rows: &[PartRow<'_>], folded: usize) -> Vec<Parameter> {
        let mut set = self.of_set(set_number);
        set.push(parameter("rows", rows.len().to_string()));
        set.push(parameter("folded", folded.to_string()));
        set.extend(column_parameters(rows));
        set
    }

    fn of_set(&self, set_number: i32) -> Vec<Parameter> {
        let ChunkEnd { records, bytes_read, next, next_record } = self.slot.end;
        let mut set = self.of_slot();
        set.extend([
            parameter("set_number", set_number.to_string()),
            parameter("records", records.to_string()),
            parameter("bytes_read", bytes_read.to_string()),
            optional("next_byte", next.map(|next| next.byte_offset.to_string())),
            optional("next_line", next.map(|next| next.line.to_string())),
            parameter("next_record", next_record.to_string()),
        ]);
        set
    }

    fn of_slot(&self) -> Vec<Parameter> {
        vec![
            self.loader.entry.id(),
            parameter("chunk", self.slot.chunk.to_string()),
            parameter("lane", self.slot.lane.to_string()),
        ]
    }
}

/// The row of the set, from 1, that each row of some groups follows, as an array.
fn follows(groups: &[Set<'_>]) -> String {
    let rows = groups.iter().flat_map(|group| (0..group.len()).map(|index| index > 0));
    let rows = (0..).zip(rows).map(|(before, is_later)| is_later.then(|| i32::to_string(&before)));
    let rows: Vec<_> = rows.collect();
    array_literal(rows.iter().map(Option::as_deref))
}
