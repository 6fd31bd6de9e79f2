//! Loads a file in one transaction, for `atomic` and `dry-run`: all rows or none.
//!
//! The sets are bisected from the start, since an error would abort the transaction. Rejects are
//! recorded outside of it, so that the report has them whether it is committed or rolled back.

use std::cell::RefCell;
use std::time::Duration;

use tokio::time::Instant;

use super::lanes::{stop_before, too_many};
use super::loader::{Loader, Slot};
use super::replace::{not_deleted, replace_in_transaction};
use crate::aws::objects::{ObjectName, Objects};
use crate::database::batch;
use crate::database::transaction::{End, Transaction, in_transaction};
use crate::domain::deadline::Deadline;
use crate::domain::error::{Disposition, SyncError};
use crate::domain::field::{Field, Parameter, Record, null, parameter, storable};
use crate::domain::load_mode::LoadMode;
use crate::domain::rejection::Rejection;
use crate::functions::import::claim::{ImportEntry, Progress};
use crate::functions::import::read::chunk::{Chunk, ChunkEnd};
use crate::functions::import::read::file::ReadTime;
use crate::functions::import::read::opened::{self, Opened};
use crate::functions::import::read::options::{Limit, Options};
use crate::functions::import::read::part::{Part, PartRow, Reject};
use crate::functions::import::stop::Stop;

const COUNTS: &str =
    "SELECT coalesce(sum(rows_read), 0)::bigint, coalesce(sum(rows_written), 0)::bigint,
  coalesce(sum(rows_unchanged), 0)::bigint, coalesce(sum(rows_superseded), 0)::bigint,
  coalesce(sum(rows_rejected), 0)::bigint, coalesce(sum(rows_overwritten), 0)::bigint
FROM sync.import_chunk WHERE import_id = :import_id::uuid";

/// Records the counts and the error: in a transaction that is committed, or before one is rolled
/// back.
const RECORD_COUNTS: &str = "UPDATE sync.import SET rows_read = :read::bigint, rows_written = :written::bigint,
  rows_unchanged = :unchanged::bigint, rows_superseded = :superseded::bigint, rows_rejected = :rejected::bigint,
  rows_overwritten = :overwritten::bigint, rows_deleted = :deleted::bigint, progressed_at = clock_timestamp(), error = :error::text,
  rolled_back_at = CASE WHEN :is_rolled_back::boolean THEN clock_timestamp() END
WHERE id = :import_id::uuid AND state = 'running'";

/// Keeps other workers from the file until the transaction ends. The import's row stays free for
/// updates.
const LOCK: &str = "SELECT pg_advisory_xact_lock(sync.import_lock(:import_id::uuid)) IS NULL";

/// The rows of a chunk that the database refused, as this transaction recorded them.
const REFUSED: &str = "SELECT record, sqlstate, column_name, reason FROM sync.import_reject
WHERE import_id = :import_id::uuid AND lane = 0 AND rule = 'database' AND record > :after::bigint
ORDER BY record LIMIT 1000";

/// Deletes the transaction's own rejects: those that were recorded outside of it are the same.
const FORGET_OWN_REJECTS: [&str; 2] = [
    "DELETE FROM sync.import_reject WHERE import_id = :import_id::uuid AND lane = 0",
    "DELETE FROM sync.import_reject_kind WHERE import_id = :import_id::uuid AND lane = 0",
];

/// The lane of the rejects that are recorded outside of the transaction. It loads no rows.
const OUTSIDE_LANE: usize = 1;

/// Tells if an earlier transaction came to its end: committed, or rolled back with its counts
/// recorded.
const ENDED: &str = "SELECT rolled_back_at IS NOT NULL OR EXISTS (
    SELECT FROM sync.import_chunk WHERE import_id = :import_id::uuid
  ), error
FROM sync.import WHERE id = :import_id::uuid";

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
    pub entry: ImportEntry<'a>,
    pub loader: Loader<'a>,
    pub objects: &'a Objects,
    pub object: &'a ObjectName,
    pub size_bytes: u64,
    pub options: &'a Options,
    pub deadline: Deadline,
    pub time: ReadTime,
}

/// The end of an attempt, and its counts.
struct Attempt {
    /// The error tells why nothing is loaded.
    end: Result<(), String>,
    counts: Record,
    /// A deferred constraint refused rows, and PostgreSQL does not say which.
    is_refused_at_end: bool,
}

impl Attempt {
    fn ended(end: Result<(), String>) -> Self {
        Self { end, counts: Record::new(), is_refused_at_end: false }
    }

    fn refused_at_end() -> Self {
        Self { is_refused_at_end: true, ..Self::ended(Ok(())) }
    }
}

impl Whole<'_> {
    /// Loads an opened file. Opens it again if the transaction is repeated.
    pub(in crate::functions::import) async fn load(
        &self,
        opened: Opened<'_>,
        progress: &Progress,
    ) -> Result<(), Stop> {
        let opened = RefCell::new(Some(opened));
        let try_all = async |tried| {
            in_transaction(self.entry.data_api, self.deadline, async |transaction| {
                let first = opened.borrow_mut().take();
                let opened = match first {
                    Some(opened) => opened,
                    None => self.open_again(progress).await?,
                };
                self.attempt(transaction, opened, tried).await
            })
            .await
        };
        let mut attempted = try_all(batch::Attempt::Bisected).await;
        if attempted
            .as_ref()
            .is_ok_and(|attempt| self.tries_again(attempt, batch::Attempt::Bisected))
        {
            attempted = try_all(batch::Attempt::BisectedImmediately).await;
        }
        match attempted {
            Ok(attempt) => attempt.end.map_err(Stop::Failed),
            Err(SyncError::OutOfTime) => {
                self.entry.count_committed().await?;
                Err(Stop::Failed(self.out_of_time()))
            }
            Err(error) => Err(error.into()),
        }
    }

    async fn open_again(&self, progress: &Progress) -> Result<Opened<'_>, SyncError> {
        let Self { objects, object, size_bytes, options, time, .. } = *self;
        opened::open(objects, object, size_bytes, self.loader.table, options, progress, time)
            .await
            .map_err(|stop| match stop {
                Stop::Error(error) => error,
                Stop::OutOfTime { .. } => SyncError::OutOfTime,
                Stop::Failed(error) => SyncError::Inconsistent(error),
            })
    }

    async fn attempt(
        &self,
        transaction: &Transaction<'_>,
        opened: Opened<'_>,
        tried: batch::Attempt,
    ) -> Result<End<Attempt>, SyncError> {
        if let Some(end) = self.is_done(transaction).await? {
            return Ok(End::Rollback(Attempt::ended(end)));
        }
        self.entry.forget_rejects().await?;
        let records = match self.load_chunks(transaction, opened, tried).await {
            Ok(Some(records)) => records,
            Ok(None) => return Ok(End::Rollback(Attempt::refused_at_end())),
            Err(stop) => return self.stop(transaction, stop).await,
        };
        // After an error the transaction cannot be read any more.
        let mut counts = self.counts(transaction).await?;
        if self.options.mode == LoadMode::Replace {
            match replace_in_transaction(
                transaction,
                self.entry,
                self.loader.table,
                self.options.max_deletes,
            )
            .await
            {
                Ok(rows) => counts.push(Field::Long(rows)),
                Err(Stop::Failed(error)) => {
                    return self.take_back(self.stopped(&error, counts)).await;
                }
                Err(Stop::OutOfTime { .. }) => return Err(SyncError::OutOfTime),
                Err(Stop::Error(error)) => return Err(error),
            }
        }
        if let Some(message) = check_now(transaction).await? {
            let error = format!("a deferred constraint refuses the file as a whole: {message}");
            let attempt = Attempt { is_refused_at_end: true, ..self.stopped(&error, counts) };
            if self.tries_again(&attempt, tried) {
                return Ok(End::Rollback(attempt));
            }
            return self.take_back(attempt).await;
        }
        if counts.first() != Some(&Field::Long(i64::try_from(records).unwrap_or(i64::MAX))) {
            // This cannot happen. If it does, nothing may be committed.
            tracing::error!(import_id = %self.entry.import_id, records, "rows of the file are not conserved");
            let error = "not all records of the file are accounted for: a defect of aurora-sync, please report it";
            return self.stop(transaction, Stop::Failed(error.to_owned())).await;
        }
        let attempt = Attempt { counts, ..Attempt::ended(Ok(())) };
        if self.options.is_dry_run {
            return self.take_back(attempt).await;
        }
        for sql in FORGET_OWN_REJECTS {
            transaction.execute(sql, vec![self.entry.id()]).await?;
        }
        transaction.execute(RECORD_COUNTS, self.counts_parameters(&attempt, false)).await?;
        Ok(End::Commit(attempt))
    }

    /// Locks the import. If a transaction of this worker or another has loaded it already, returns
    /// how that ended: only the report is missing.
    async fn is_done(
        &self,
        transaction: &Transaction<'_>,
    ) -> Result<Option<Result<(), String>>, SyncError> {
        transaction.execute(LOCK, vec![self.entry.id()]).await?;
        let ended = transaction.execute(ENDED, vec![self.entry.id()]).await?;
        match ended.first().map(Vec::as_slice) {
            Some([Field::Boolean(false), _]) => Ok(None),
            Some([Field::Boolean(true), error]) => {
                Ok(Some(error.as_text().map_or(Ok(()), |error| Err(error.to_owned()))))
            }
            _ => Err(self.entry.unreadable()),
        }
    }

    /// Loads all chunks, and returns the number of records; `None` if a dry run finds that a
    /// deferred constraint would refuse the commit of a chunk.
    async fn load_chunks(
        &self,
        transaction: &Transaction<'_>,
        mut opened: Opened<'_>,
        tried: batch::Attempt,
    ) -> Result<Option<u64>, Stop> {
        let deferred = self.deferred(transaction, tried).await?;
        let until = self.deadline.less(stop_before(self.deadline));
        let mut rejected = 0;
        let mut recorded = Instant::now();
        loop {
            if until.remaining().is_zero() {
                return Err(Stop::OutOfTime { has_advanced: false });
            }
            let Some((chunk, end)) = opened.next_chunk().await? else { break };
            rejected += self.load_chunk(transaction, &chunk, end, tried).await?;
            if let Some(names) = &deferred {
                // Without a dry run, the chunk would be committed now.
                if check_now(transaction).await?.is_some() {
                    return Ok(None);
                }
                transaction
                    .execute(&format!("SET CONSTRAINTS {names} DEFERRED"), Vec::new())
                    .await?;
            }
            if let Some(error) = self.too_many(opened.records_cut(), rejected, false) {
                return Err(Stop::Failed(error));
            }
            if recorded.elapsed() >= RECORDED_EVERY {
                if let Err(error) = self.entry.record_bytes_read(opened.bytes_read()).await {
                    tracing::info!(reason = %error, "progress not recorded");
                }
                recorded = Instant::now();
            }
        }
        let records = opened.records_cut();
        if let Some(error) = self.too_many(records, rejected, true) {
            return Err(Stop::Failed(error));
        }
        if self.options.mode == LoadMode::Replace && rejected > 0 {
            return Err(Stop::Failed(not_deleted(rejected)));
        }
        Ok(Some(records))
    }

    /// Returns the names of the constraints that an import without `dry-run` would check at the
    /// commit of each chunk.
    async fn deferred(
        &self,
        transaction: &Transaction<'_>,
        tried: batch::Attempt,
    ) -> Result<Option<String>, SyncError> {
        if self.options.is_atomic || tried != batch::Attempt::Bisected {
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
        tried: batch::Attempt,
    ) -> Result<u64, SyncError> {
        // All rows are in one lane: see `lanes_of`.
        let Some(part) = chunk.parts.first().filter(|part| !part.is_empty()) else { return Ok(0) };
        let slot = Slot { lane: 0, chunk: chunk.number, end };
        let rejected = self.loader.load_in(transaction, slot, part, tried).await?;
        if rejected > 0 {
            let mut rejects = part.rejects.clone();
            rejects.extend(self.refused(transaction, part).await?);
            rejects.sort_by_key(|reject| reject.origin.record);
            self.loader.record_rejects(OUTSIDE_LANE, &rejects, self.deadline).await?;
        }
        Ok(rejected)
    }

    /// Returns the rows of a part that the database refused.
    async fn refused(
        &self,
        transaction: &Transaction<'_>,
        part: &Part,
    ) -> Result<Vec<Reject>, SyncError> {
        let mut origins = part.rows().map(PartRow::origin).peekable();
        let mut after = origins.peek().map_or(0, |origin| origin.record.saturating_sub(1));
        let mut rejects = Vec::new();
        loop {
            let parameters = vec![self.entry.id(), parameter("after", after.to_string())];
            let page = transaction.execute(REFUSED, parameters).await?;
            let Some(last) = page.last() else { return Ok(rejects) };
            after = record_number(last)?;
            for refused in &page {
                let number = record_number(refused)?;
                let text = |index: usize| refused.get(index)?.as_text().map(str::to_owned);
                if let Some(origin) = origins.find(|origin| origin.record == number) {
                    let reason = text(3).unwrap_or_default();
                    let rejection = Rejection {
                        sqlstate: text(1),
                        column: text(2),
                        ..Rejection::by_rule("database", reason)
                    };
                    rejects.push(Reject { origin, rejection });
                }
            }
        }
    }

    /// Ends with nothing loaded. Records the counts and the error.
    async fn stop(
        &self,
        transaction: &Transaction<'_>,
        stop: Stop,
    ) -> Result<End<Attempt>, SyncError> {
        let error = match stop {
            Stop::Failed(error) => error,
            Stop::OutOfTime { .. } => self.out_of_time(),
            Stop::Error(error) => return Err(error),
        };
        let counts = self.counts(transaction).await?;
        self.take_back(self.stopped(&error, counts)).await
    }

    /// Rolls back. Records the counts and the error before that, while the lock keeps other workers
    /// waiting.
    async fn take_back(&self, attempt: Attempt) -> Result<End<Attempt>, SyncError> {
        self.entry.run(RECORD_COUNTS, self.counts_parameters(&attempt, true)).await?;
        Ok(End::Rollback(attempt))
    }

    /// Tells if an import without `dry-run` would try again with immediate constraints.
    fn tries_again(&self, attempt: &Attempt, tried: batch::Attempt) -> bool {
        attempt.is_refused_at_end && !self.options.is_atomic && tried == batch::Attempt::Bisected
    }

    fn stopped(&self, error: &str, mut counts: Record) -> Attempt {
        if !self.options.is_dry_run
            && let [_, Field::Long(written), Field::Long(unchanged), Field::Long(superseded), ..] =
                counts.as_mut_slice()
        {
            // Rows that are not loaded leave the table unchanged.
            *unchanged += std::mem::take(written) + std::mem::take(superseded);
        }
        Attempt { counts, ..Attempt::ended(Err(format!("{error}; nothing was loaded"))) }
    }

    /// Tells if too many rows are rejected. With `atomic`, one is too many, unless `max-rejects`
    /// allows some.
    fn too_many(&self, read: u64, rejected: u64, is_end: bool) -> Option<String> {
        let default =
            (self.options.is_atomic && !self.options.is_dry_run).then_some(Limit::Rows(0));
        // The file is read to its end, so that the report shows all bad rows.
        let is_by_default = self.options.max_rejects.is_none();
        if is_by_default && !is_end {
            return None;
        }
        too_many(self.options.max_rejects.or(default), read, rejected, is_end)
    }

    fn out_of_time(&self) -> String {
        let option = if self.options.is_dry_run { "dry-run" } else { "atomic" };
        format!(
            "with {option} a file must be loaded in one invocation, and the time of this one is over; \
             cut the file, or leave {option} out"
        )
    }

    async fn counts(&self, transaction: &Transaction<'_>) -> Result<Record, SyncError> {
        let records = transaction.execute(COUNTS, vec![self.entry.id()]).await?;
        let counts = records.into_iter().next();
        counts.ok_or_else(|| SyncError::Inconsistent("the chunks are not counted".to_owned()))
    }

    fn counts_parameters(&self, attempt: &Attempt, is_rolled_back: bool) -> Vec<Parameter> {
        let names =
            ["read", "written", "unchanged", "superseded", "rejected", "overwritten", "deleted"];
        let numbers = attempt.counts.iter().map(|field| field.as_long().unwrap_or_default());
        // Without a count, no rows were deleted.
        let numbers = numbers.chain(std::iter::repeat(0)).map(|number| number.to_string());
        let mut parameters: Vec<_> =
            names.into_iter().zip(numbers).map(|(name, number)| parameter(name, number)).collect();
        if !self.loader.counts_overwritten() {
            parameters.retain(|parameter| parameter.name != "overwritten");
            parameters.push(null("overwritten"));
        }
        parameters.push(match &attempt.end {
            Err(error) => parameter("error", storable(error)),
            Ok(()) => null("error"),
        });
        parameters.push(parameter("is_rolled_back", is_rolled_back.to_string()));
        parameters.push(self.entry.id());
        parameters
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

fn record_number(record: &Record) -> Result<u64, SyncError> {
    let number = record.first().and_then(Field::as_long);
    let number = number.and_then(|number| u64::try_from(number).ok());
    number.ok_or_else(|| SyncError::Inconsistent("a reject has no record".to_owned()))
}
