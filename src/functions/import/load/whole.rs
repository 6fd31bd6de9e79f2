//! Loads a file in one transaction, for `atomic` and `dry-run`: all rows or none.
//!
//! The sets are bisected from the start, since an error would abort the transaction. Rejects are
//! recorded outside of it, so that the report has them whether it is committed or rolled back.

use std::cell::Cell;
use std::mem::take;
use std::time::Duration;

use import_options::{Limit, LoadMode};
use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio::time::Instant;

use super::lanes::too_many;
use super::loader::{Loader, Slot};
use super::replace::{not_deleted, replace_in_transaction};
use crate::database::batch::Attempt;
use crate::database::transaction::{End, Transaction, in_transaction};
use crate::domain::error::{Disposition, SyncError};
use crate::domain::field::{self, Field, optional, parameter, storable};
use crate::domain::rejection::Rejection;
use crate::functions::import::claim::{ImportEntry, Progress};
use crate::functions::import::read::chunk::{Chunk, ChunkEnd};
use crate::functions::import::read::file::FileSource;
use crate::functions::import::read::opened::{self, Opened};
use crate::functions::import::read::part::{Part, PartRow, Reject};
use crate::functions::import::stop::Stop;
use crate::functions::metrics;

const COUNTS: &str = "SELECT json_build_object('read', coalesce(sum(rows_read), 0),
  'written', coalesce(sum(rows_written), 0), 'unchanged', coalesce(sum(rows_unchanged), 0),
  'superseded', coalesce(sum(rows_superseded), 0), 'rejected', coalesce(sum(rows_rejected), 0),
  'overwritten', CASE WHEN :counts_overwritten::boolean THEN coalesce(sum(rows_overwritten), 0) END,
  'deleted', 0)::text
FROM sync.import_chunk WHERE import_id = :import_id::uuid";

/// Records the counts and the error: in a transaction that is committed, or before one is rolled
/// back.
const RECORD_COUNTS: &str = "UPDATE sync.import SET rows_read = counted.read, rows_written = counted.written,
  rows_unchanged = counted.unchanged, rows_superseded = counted.superseded, rows_rejected = counted.rejected,
  rows_overwritten = counted.overwritten, rows_deleted = counted.deleted, progressed_at = clock_timestamp(),
  error = :error::text, rolled_back_at = CASE WHEN :is_rolled_back::boolean THEN clock_timestamp() END
FROM json_to_record(:counts::json) AS counted (read bigint, written bigint, unchanged bigint, superseded bigint,
  rejected bigint, overwritten bigint, deleted bigint)
WHERE id = :import_id::uuid AND state = 'running'";

/// Keeps other workers from the file until the transaction ends. The import's row stays free for
/// updates.
const LOCK: &str = "SELECT pg_advisory_xact_lock(sync.import_lock(:import_id::uuid)) IS NULL";

/// The rows of a chunk that the database refused, as this transaction recorded them.
const REFUSED: &str =
    "SELECT coalesce(json_agg(json_build_array(record, rule, sqlstate, column_name, reason)), '[]')::text
FROM (
  SELECT * FROM sync.import_reject
  WHERE import_id = :import_id::uuid AND lane = 0 AND rule IN ('database', 'row-security') AND record > :after::bigint
  ORDER BY record LIMIT 1000
) AS refused";

/// Deletes the transaction's own rejects: those that were recorded outside of it are the same.
const FORGET_OWN_REJECTS: &str = "WITH kind AS (
  DELETE FROM sync.import_reject_kind WHERE import_id = :import_id::uuid AND lane = 0
)
DELETE FROM sync.import_reject WHERE import_id = :import_id::uuid AND lane = 0";

/// The lane of the rejects that are recorded outside of the transaction. It loads no rows.
const OUTSIDE_LANE: usize = 1;

/// The error of the import, if an earlier transaction came to its end: committed, or rolled back
/// with its counts recorded.
const ENDED: &str = "SELECT error FROM sync.import WHERE id = :import_id::uuid AND (
  rolled_back_at IS NOT NULL OR EXISTS (SELECT FROM sync.import_chunk WHERE import_id = :import_id::uuid))";

const CHECK_NOW: &str = "SET CONSTRAINTS ALL IMMEDIATE";

/// The names of the initially deferred constraints for `SET CONSTRAINTS`; NULL if there are none.
const DEFERRED: &str =
    "SELECT string_agg(DISTINCT format('%I.%I', space.nspname, held.conname), ', ')
FROM pg_constraint AS held JOIN pg_namespace AS space ON space.oid = held.connamespace
WHERE held.condeferred";

/// The time between two records of the bytes read.
const RECORDED_EVERY: Duration = Duration::from_secs(2);

/// Loads one file in one transaction.
pub(in crate::functions::import) struct Whole<'a> {
    pub loader: Loader<'a>,
    pub file: FileSource<'a>,
    pub progress: &'a Progress,
}

/// The counts of the rows, as they are recorded.
#[derive(Serialize, Deserialize)]
struct Counts {
    read: u64,
    written: u64,
    unchanged: u64,
    superseded: u64,
    rejected: u64,
    overwritten: Option<u64>,
    deleted: u64,
}

/// The end of an attempt: the error tells why nothing is loaded. `None` if a deferred constraint
/// refused rows, and an attempt with immediate constraints can find them.
type Ended = Option<Result<(), String>>;

impl Whole<'_> {
    /// Loads an opened file. Opens it again if the transaction is repeated.
    pub(in crate::functions::import) async fn load(&self, opened: Opened<'_>) -> Result<(), Stop> {
        let ImportEntry { data_api, deadline, .. } = self.loader.entry;
        let opened = Cell::new(Some(opened));
        for attempt in [Attempt::Bisected, Attempt::BisectedImmediately] {
            let ended = in_transaction(data_api, deadline, async |transaction| {
                let opened = match opened.take() {
                    Some(opened) => opened,
                    None => self.open_again().await?,
                };
                self.attempt(transaction, opened, attempt).await
            });
            match ended.await {
                Ok(None) => {}
                Ok(Some(end)) => return end.map_err(Stop::Failed),
                Err(SyncError::OutOfTime) => {
                    self.loader.entry.count_committed().await?;
                    return Err(Stop::Failed(self.out_of_time()));
                }
                Err(error) => return Err(error.into()),
            }
        }
        Err(self.loader.entry.unreadable().into())
    }

    async fn open_again(&self) -> Result<Opened<'_>, SyncError> {
        let opened = opened::open(self.file, self.loader.table, self.progress).await;
        opened.map_err(|stop| match stop {
            Stop::Error(error) => error,
            Stop::OutOfTime { .. } => SyncError::OutOfTime,
            Stop::Failed(error) => SyncError::Inconsistent(error),
        })
    }

    async fn attempt(
        &self,
        transaction: &Transaction<'_>,
        opened: Opened<'_>,
        attempt: Attempt,
    ) -> Result<End<Ended>, SyncError> {
        let Loader { entry, options, .. } = self.loader;
        if let Some(end) = self.is_done(transaction).await? {
            return Ok(End::Rollback(Some(end)));
        }
        entry.forget_rejects().await?;
        let loaded = match self.load_chunks(transaction, opened, attempt).await {
            Ok(Some(records)) => Ok(records),
            Ok(None) => return Ok(End::Rollback(None)),
            Err(Stop::Error(error)) => return Err(error),
            Err(stop) => Err(stop),
        };
        // After an error the transaction cannot be read any more.
        let mut counts = self.counts(transaction).await?;
        let finished = match loaded {
            Ok(records) => self.finish(transaction, records, &mut counts).await,
            Err(stop) => Err(stop),
        };
        let error = match finished {
            Ok(None) => None,
            Ok(Some(_)) if !options.is_atomic && attempt == Attempt::Bisected => {
                return Ok(End::Rollback(None));
            }
            Ok(Some(message)) => {
                Some(format!("a deferred constraint refuses the file as a whole: {message}"))
            }
            Err(Stop::Failed(error)) => Some(error),
            Err(Stop::OutOfTime { .. }) => Some(self.out_of_time()),
            Err(Stop::Error(error)) => return Err(error),
        };
        let error = error.map(|error| format!("{error}; nothing was loaded"));
        if error.is_some() && !options.is_dry_run {
            // Rows that are not loaded leave the table unchanged.
            counts.unchanged += take(&mut counts.written) + take(&mut counts.superseded);
        }
        let is_rolled_back = options.is_dry_run || error.is_some();
        let parameters = vec![
            entry.id(),
            parameter("counts", json!(counts).to_string()),
            optional("error", error.as_deref().map(storable)),
            parameter("is_rolled_back", is_rolled_back.to_string()),
        ];
        let end = Some(error.map_or(Ok(()), Err));
        if is_rolled_back {
            // Before the end of the transaction, while its lock keeps other workers waiting.
            entry.run(RECORD_COUNTS, parameters).await?;
            return Ok(End::Rollback(end));
        }
        transaction.execute(FORGET_OWN_REJECTS, vec![entry.id()]).await?;
        transaction.execute(RECORD_COUNTS, parameters).await?;
        Ok(End::Commit(end))
    }

    /// Locks the import. If a transaction of this worker or another has loaded it already, returns
    /// how that ended: only the report is missing.
    async fn is_done(
        &self,
        transaction: &Transaction<'_>,
    ) -> Result<Option<Result<(), String>>, SyncError> {
        transaction.execute(LOCK, vec![self.loader.entry.id()]).await?;
        let ended = transaction.execute(ENDED, vec![self.loader.entry.id()]).await?;
        let error = ended.first().map(|record| record.first().and_then(Field::as_text));
        Ok(error.map(|error| error.map_or(Ok(()), |error| Err(error.to_owned()))))
    }

    /// Loads all chunks, and returns the number of records; `None` if a dry run finds that a
    /// deferred constraint would refuse the commit of a chunk.
    async fn load_chunks(
        &self,
        transaction: &Transaction<'_>,
        mut opened: Opened<'_>,
        attempt: Attempt,
    ) -> Result<Option<u64>, Stop> {
        let Loader { entry, options, .. } = self.loader;
        let deferred = self.deferred(transaction, attempt).await?;
        let mut rejected = 0;
        let mut recorded = Instant::now();
        while let Some((chunk, end)) = opened.next_chunk().await? {
            rejected += self.load_chunk(transaction, &chunk, end, attempt).await?;
            if let Some(names) = &deferred {
                // Without a dry run, the chunk would be committed now.
                if check_now(transaction).await?.is_some() {
                    return Ok(None);
                }
                let defer = format!("SET CONSTRAINTS {names} DEFERRED");
                transaction.execute(&defer, Vec::new()).await?;
            }
            // Without the option, the file is read to its end, so that the report shows all bad
            // rows.
            Stop::if_failed(too_many(options.max_rejects, opened.records_cut(), rejected, false))?;
            if recorded.elapsed() >= RECORDED_EVERY {
                if let Err(error) = entry.record_bytes_read(opened.bytes_read()).await {
                    tracing::info!(reason = %error, "progress not recorded");
                }
                recorded = Instant::now();
            }
        }
        // With `atomic`, one rejected row is too many, unless the option allows some.
        let default = (options.is_atomic && !options.is_dry_run).then_some(Limit::Rows(0));
        let records = opened.records_cut();
        Stop::if_failed(too_many(options.max_rejects.or(default), records, rejected, true))?;
        if options.mode == LoadMode::Replace && rejected > 0 {
            return Err(Stop::Failed(not_deleted(rejected)));
        }
        Ok(Some(records))
    }

    /// Deletes the rows that are not in the file, in mode `replace`, and checks the deferred
    /// constraints. Returns PostgreSQL's message if one refuses rows.
    async fn finish(
        &self,
        transaction: &Transaction<'_>,
        records: u64,
        counts: &mut Counts,
    ) -> Result<Option<String>, Stop> {
        if counts.read != records {
            // This cannot happen. If it does, nothing may be committed.
            let import_id = self.loader.entry.import_id;
            tracing::error!(target: metrics::TARGET, %import_id, records, "rows of the file are not conserved");
            let error = "not all records of the file are accounted for: a defect of aurora-sync, please report it";
            return Err(Stop::Failed(error.to_owned()));
        }
        if self.loader.options.mode == LoadMode::Replace {
            counts.deleted = replace_in_transaction(transaction, &self.loader).await?;
        }
        Ok(check_now(transaction).await?)
    }

    /// Returns the names of the constraints that an import without `dry-run` would check at the
    /// commit of each chunk.
    async fn deferred(
        &self,
        transaction: &Transaction<'_>,
        attempt: Attempt,
    ) -> Result<Option<String>, SyncError> {
        if self.loader.options.is_atomic || attempt != Attempt::Bisected {
            return Ok(None);
        }
        let names = transaction.execute(DEFERRED, Vec::new()).await?;
        Ok(names.first().and_then(|names| names.first()?.as_text()).map(str::to_owned))
    }

    /// Loads a chunk, and returns how many of its records were rejected.
    async fn load_chunk(
        &self,
        transaction: &Transaction<'_>,
        chunk: &Chunk,
        end: ChunkEnd,
        attempt: Attempt,
    ) -> Result<u64, SyncError> {
        // All rows are in one lane: see `lanes_of`.
        let Some(part) = chunk.parts.first().filter(|part| !part.is_empty()) else { return Ok(0) };
        let slot = Slot { lane: 0, chunk: chunk.number, end };
        let rejected = self.loader.load_in(transaction, slot, part, attempt).await?;
        if rejected > 0 {
            let mut rejects = part.rejects.clone();
            rejects.extend(self.refused(transaction, part).await?);
            rejects.sort_by_key(|reject| reject.origin.record);
            self.loader.record_rejects(OUTSIDE_LANE, rejects).await?;
        }
        Ok(rejected)
    }

    /// Returns the rows of a part that the database refused.
    async fn refused(
        &self,
        transaction: &Transaction<'_>,
        part: &Part,
    ) -> Result<Vec<Reject>, SyncError> {
        type Refused = (u64, String, Option<String>, Option<String>, String);
        let entry = self.loader.entry;
        let mut origins = part.rows().map(PartRow::origin).peekable();
        let mut after = origins.peek().map_or(0, |origin| origin.record.saturating_sub(1));
        let mut rejects = Vec::new();
        loop {
            let parameters = vec![entry.id(), parameter("after", after.to_string())];
            let page = transaction.execute(REFUSED, parameters).await?;
            let page: Vec<Refused> = field::json(&page).ok_or_else(|| entry.unreadable())?;
            let Some((last, ..)) = page.last() else { return Ok(rejects) };
            after = *last;
            for (record, rule, sqlstate, column, reason) in page {
                if let Some(origin) = origins.find(|origin| origin.record == record) {
                    let rejection = Rejection::by_rule(&rule, reason);
                    rejects.push(Reject {
                        origin,
                        rejection: Rejection { sqlstate, column, ..rejection },
                    });
                }
            }
        }
    }

    fn out_of_time(&self) -> String {
        let option = if self.loader.options.is_dry_run { "dry-run" } else { "atomic" };
        format!(
            "with {option} a file must be loaded in one invocation, and the time of this one is over; \
             cut the file, or leave {option} out"
        )
    }

    async fn counts(&self, transaction: &Transaction<'_>) -> Result<Counts, SyncError> {
        let Loader { entry, options, .. } = self.loader;
        let counts_overwritten = options.is_dry_run && self.loader.statement().merges();
        let counts_overwritten = parameter("counts_overwritten", counts_overwritten.to_string());
        let counts = transaction.execute(COUNTS, vec![entry.id(), counts_overwritten]).await?;
        field::json(&counts).ok_or_else(|| entry.unreadable())
    }
}

/// Checks the deferred constraints now, and returns PostgreSQL's message if one refuses rows.
async fn check_now(transaction: &Transaction<'_>) -> Result<Option<String>, SyncError> {
    match transaction.execute(CHECK_NOW, Vec::new()).await {
        Ok(_) => Ok(None),
        Err(error) if error.disposition() == Disposition::Reject => Ok(Some(error.message)),
        Err(error) => Err(error.into()),
    }
}
