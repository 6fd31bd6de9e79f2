//! Loads one chunk of a file: its rows, its counts and its rejects in one transaction.
//!
//! A chunk that stands in `sync.import_chunk` is done; whoever comes to it again leaves it alone.

use std::collections::HashSet;

use aurora_sync_catalog::{Column, Table};
use uuid::Uuid;

use super::records::Record;
use super::rows::{Layout, Row};
use crate::aws::data_api::DataApi;
use crate::deadline::Deadline;
use crate::error::{Disposition, SyncError};
use crate::field::{Parameter, parameter, storable};
use crate::isolate::isolate;
use crate::key::Key;
use crate::outcome::Rejection;
use crate::parameter_set::{column_parameters, number_column, size_bytes, text_column};
use crate::plan::CALL_BYTES_MAX;
use crate::plan::rows::{Call, Item, plan};
use crate::statement;
use crate::transaction::{End, Transaction, in_transaction};

/// Most records of a chunk. Chunks are cut by the file alone, so that they are the same each time
/// it is read.
pub const CHUNK_RECORDS_MAX: usize = 5_000;

/// A chunk is full when its records pass this many bytes: it is held in memory.
pub const CHUNK_BYTES_MAX: usize = 8 * 1024 * 1024;

const OPEN_CHUNK: &str =
    "INSERT INTO sync.import_chunk (import_id, chunk, rows_read, rows_rejected)
VALUES (:import_id::uuid, :chunk::integer, :rows_read::bigint, :rows_rejected::bigint)";

const ADD_COUNTS: &str = "UPDATE sync.import_chunk
SET rows_written = rows_written + :rows_written::bigint,
    rows_unchanged = rows_unchanged + :rows_unchanged::bigint,
    rows_rejected = rows_rejected + :rows_rejected::bigint
WHERE import_id = :import_id::uuid AND chunk = :chunk::integer";

const ADD_REJECTS: &str = "INSERT INTO sync.import_reject (import_id, record, line, byte_offset, column_name, rule, sqlstate,
  reason, raw)
SELECT :import_id::uuid, record, line, byte_offset, column_name, rule, sqlstate, reason, raw
FROM unnest(:record::bigint[], :line::bigint[], :byte_offset::bigint[], :column_name::text[],
  :rule::text[], :sqlstate::text[], :reason::text[], :raw::text[])
  AS reject (record, line, byte_offset, column_name, rule, sqlstate, reason, raw)";

/// The import's own constraint refuses totals that do not add up.
const CLOSE_CHUNK: &str = "UPDATE sync.import AS import
SET rows_read = import.rows_read + chunk.rows_read,
    rows_written = import.rows_written + chunk.rows_written,
    rows_unchanged = import.rows_unchanged + chunk.rows_unchanged,
    rows_rejected = import.rows_rejected + chunk.rows_rejected
FROM sync.import_chunk AS chunk
WHERE import.id = :import_id::uuid AND chunk.import_id = import.id AND chunk.chunk = :chunk::integer";

/// The records of a chunk, checked against the table.
#[derive(Debug)]
pub struct Chunk {
    /// From 0.
    number: u32,
    /// The number of its first record in the file, from 1.
    first_record: u64,
    records: Vec<Record>,
    bytes: usize,
    rows: Vec<CheckedRecord>,
    rejects: Vec<Reject>,
}

/// A record that fits the table.
#[derive(Debug)]
struct CheckedRecord {
    /// Its place in the chunk.
    place: usize,
    row: Row,
}

/// A record that is not loaded, by its place in the chunk.
#[derive(Debug, Clone)]
struct Reject {
    place: usize,
    rejection: Rejection,
}

impl Chunk {
    /// The first chunk of a file.
    pub fn first() -> Self {
        Self::new(0, 1)
    }

    fn new(number: u32, first_record: u64) -> Self {
        Self {
            number,
            first_record,
            records: Vec::new(),
            bytes: 0,
            rows: Vec::new(),
            rejects: Vec::new(),
        }
    }

    /// The chunk after this one.
    #[must_use]
    pub fn next(&self) -> Self {
        Self::new(self.number + 1, self.first_record + self.records.len() as u64)
    }

    pub fn number(&self) -> u32 {
        self.number
    }

    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    pub fn is_full(&self) -> bool {
        self.records.len() >= CHUNK_RECORDS_MAX || self.bytes >= CHUNK_BYTES_MAX
    }

    pub fn push(&mut self, layout: &Layout<'_>, record: Record) {
        let place = self.records.len();
        match layout.row(&record) {
            Ok(row) => self.rows.push(CheckedRecord { place, row }),
            Err(rejection) => self.rejects.push(Reject { place, rejection }),
        }
        self.bytes += record.raw.len();
        self.records.push(record);
    }

    fn items(&self) -> Vec<Item<(), Key>> {
        self.rows
            .iter()
            .map(|checked| Item {
                group: (),
                key: checked.row.key.clone(),
                size_bytes: size_bytes(&checked.row.cells),
            })
            .collect()
    }
}

/// What the loading of chunks is about.
#[derive(Debug)]
pub struct Loader<'a> {
    pub data_api: &'a DataApi,
    pub import_id: Uuid,
    pub table: &'a Table,
    pub columns: Vec<&'a Column>,
}

impl Loader<'_> {
    /// Loads a chunk, and gives how many of its rows were rejected.
    pub async fn load(&self, chunk: &Chunk, deadline: Deadline) -> Result<usize, SyncError> {
        let calls = plan(&chunk.items());
        let mut one_by_one: HashSet<usize> = HashSet::new();
        loop {
            let attempt = in_transaction(self.data_api, deadline, async |transaction| {
                let mut rejects = chunk.rejects.clone();
                self.open(transaction, chunk).await?;
                for (place, call) in calls.iter().enumerate() {
                    if one_by_one.contains(&place) {
                        rejects.extend(self.run_one_by_one(transaction, chunk, call).await?);
                        continue;
                    }
                    let sql = statement::load_rows(self.table, &self.columns);
                    let sets =
                        call.sets.iter().map(|rows| self.parameter_set(chunk, rows)).collect();
                    match transaction.batch_execute(&sql, sets).await {
                        Ok(()) => {}
                        Err(error) if error.disposition() == Disposition::Reject => {
                            return Ok(End::Rollback(Attempt::Spoilt(place)));
                        }
                        Err(error) => return Err(error.into()),
                    }
                }
                self.add_rejects(transaction, chunk, &rejects).await?;
                transaction.execute(CLOSE_CHUNK, self.of_chunk(chunk)).await?;
                Ok(End::Commit(Attempt::Loaded(rejects.len())))
            });
            match attempt.await {
                Ok(Attempt::Loaded(rejected)) => return Ok(rejected),
                Ok(Attempt::Spoilt(place)) => {
                    one_by_one.insert(place);
                }
                // A deferred constraint spoke at the commit, which does not say whose row it was.
                Err(SyncError::Database(error))
                    if error.is_refused_commit() && one_by_one.len() < calls.len() =>
                {
                    one_by_one.extend(0..calls.len());
                }
                Err(error) => return Err(error),
            }
        }
    }

    async fn open(&self, transaction: &Transaction<'_>, chunk: &Chunk) -> Result<(), SyncError> {
        let mut parameters = self.of_chunk(chunk);
        parameters.push(parameter("rows_read", chunk.records.len().to_string()));
        parameters.push(parameter("rows_rejected", chunk.rejects.len().to_string()));
        transaction.execute(OPEN_CHUNK, parameters).await?;
        Ok(())
    }

    fn of_chunk(&self, chunk: &Chunk) -> Vec<Parameter> {
        vec![
            parameter("import_id", self.import_id.to_string()),
            parameter("chunk", chunk.number.to_string()),
        ]
    }

    fn parameter_set(&self, chunk: &Chunk, rows: &[usize]) -> Vec<Parameter> {
        let cells: Vec<_> = rows.iter().map(|&row| &chunk.rows[row].row.cells).collect();
        let mut parameters = column_parameters(&cells);
        parameters.extend(self.of_chunk(chunk));
        parameters
    }

    /// Row by row inside the server; gives those that are rejected.
    async fn run_one_by_one(
        &self,
        transaction: &Transaction<'_>,
        chunk: &Chunk,
        call: &Call<()>,
    ) -> Result<Vec<Reject>, SyncError> {
        let sql = statement::load_row(self.table, &self.columns);
        let mut rejects = Vec::new();
        for set in &call.sets {
            let cells: Vec<_> = set.iter().map(|&row| &chunk.rows[row].row.cells).collect();
            let missed = isolate(transaction, &sql, &cells).await?;
            let mut unchanged = 0;
            let mut rejected = 0;
            let mut written = set.len();
            for missed in missed {
                written -= 1;
                match missed.error {
                    None => unchanged += 1,
                    Some(error) => {
                        rejected += 1;
                        let place = chunk.rows[set[missed.row]].place;
                        rejects.push(Reject { place, rejection: error.into() });
                    }
                }
            }
            let mut parameters = self.of_chunk(chunk);
            parameters.push(parameter("rows_written", written.to_string()));
            parameters.push(parameter("rows_unchanged", unchanged.to_string()));
            parameters.push(parameter("rows_rejected", rejected.to_string()));
            transaction.execute(ADD_COUNTS, parameters).await?;
        }
        Ok(rejects)
    }

    async fn add_rejects(
        &self,
        transaction: &Transaction<'_>,
        chunk: &Chunk,
        rejects: &[Reject],
    ) -> Result<(), SyncError> {
        let rows: Vec<_> = rejects.iter().map(|reject| RejectRow::of(chunk, reject)).collect();
        let mut rest = rows.as_slice();
        while !rest.is_empty() {
            let mut bytes = 0;
            let fitting = rest.iter().take_while(|row| {
                bytes += row.size_bytes();
                bytes <= CALL_BYTES_MAX
            });
            let (piece, later) = rest.split_at(fitting.count().max(1));
            rest = later;
            transaction.execute(ADD_REJECTS, self.reject_parameters(piece)).await?;
        }
        Ok(())
    }

    fn reject_parameters(&self, rows: &[RejectRow<'_>]) -> Vec<Parameter> {
        vec![
            parameter("import_id", self.import_id.to_string()),
            number_column("record", rows.iter().map(|row| row.record)),
            number_column("line", rows.iter().map(|row| row.line)),
            number_column("byte_offset", rows.iter().map(|row| row.byte_offset)),
            text_column("column_name", rows.iter().map(|row| row.rejection.column.as_deref())),
            text_column("rule", rows.iter().map(|row| Some(row.rejection.rule.as_str()))),
            text_column("sqlstate", rows.iter().map(|row| row.rejection.sqlstate.as_deref())),
            text_column("reason", rows.iter().map(|row| Some(row.rejection.reason.as_str()))),
            text_column("raw", rows.iter().map(|row| Some(row.raw.as_str()))),
        ]
    }
}

/// How an attempt at a chunk ended.
#[derive(Debug)]
enum Attempt {
    Loaded(usize),
    /// The call at this place failed because of its data.
    Spoilt(usize),
}

/// A row of `sync.import_reject`.
#[derive(Debug)]
struct RejectRow<'a> {
    record: i64,
    line: i64,
    byte_offset: i64,
    rejection: &'a Rejection,
    raw: String,
}

impl<'a> RejectRow<'a> {
    fn of(chunk: &Chunk, reject: &'a Reject) -> Self {
        let record = &chunk.records[reject.place];
        Self {
            record: (chunk.first_record + reject.place as u64).cast_signed(),
            line: record.line.cast_signed(),
            byte_offset: record.byte_offset.cast_signed(),
            rejection: &reject.rejection,
            // PostgreSQL's text holds neither broken UTF-8 nor U+0000.
            raw: storable(&String::from_utf8_lossy(&record.raw)),
        }
    }

    fn size_bytes(&self) -> usize {
        // Numbers, words and names are short.
        512 + crate::array::encoded_len(Some(&self.raw))
            + crate::array::encoded_len(Some(&self.rejection.reason))
    }
}
