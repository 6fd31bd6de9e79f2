//! Mode `replace`, after the file is loaded: deletes the rows of the table that were not in the
//! file, the missing rows.
//!
//! They are counted first, so that `max-deletes` is checked before any row is deleted. Counting and
//! deleting go through the table in stretches. Each stretch is a transaction that records its end,
//! from which another invocation can continue.

use import_options::Limit;
use serde::Deserialize;
use tokio::time::timeout;

use super::lanes::reading_until;
use super::loader::Loader;
use crate::database::statement::replace::{
    count_missing, delete_missing, delete_stretch, lock_missing,
};
use crate::database::transaction::{End, Transaction, in_transaction};
use crate::domain::error::{DataApiError, DataApiFault, SyncError};
use crate::domain::field::{Parameter, json, optional, parameter};
use crate::functions::import::claim::ImportEntry;
use crate::functions::import::stop::Stop;

/// Begins the counting, as the whole file is loaded.
const BEGIN: &str = "UPDATE sync.import SET replace_phase = 'count'
WHERE id = :import_id::uuid AND state = 'running' AND replace_phase IS NULL";

/// Returns the progress of the replacement. Fails if another worker has ended the import.
const PROGRESS: &str =
    "SELECT json_build_object('phase', replace_phase, 'after', replace_after::text, 'rows', rows_looked_at,
  'missing', rows_missing, 'deleted', rows_deleted)::text
FROM (SELECT sync.enter_import(:import_id::uuid) AS id) AS entered JOIN sync.import AS import ON import.id = entered.id";

/// Locks the import against an end, and sets its claims. Fails if another worker has ended it.
const ENTER: &str = "SELECT sync.enter_import(:import_id::uuid)::text";

/// The rows of a stretch, as a statement may take 45 s.
const STRETCH_ROWS: usize = 50_000;

/// The least rows of a stretch that is made smaller because a statement took too long.
const STRETCH_ROWS_MIN: usize = 100;

/// The number of times that a stretch is repeated after a commit without a response that was not
/// done.
const REPEATS_MAX: usize = 3;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Phase {
    Count,
    Delete,
    Done,
}

/// The progress of the replacement.
#[derive(Debug, PartialEq, Eq, Deserialize)]
struct ReplaceProgress {
    /// `None` if the file is not loaded yet.
    phase: Option<Phase>,
    /// The key of the last row of the last stretch, as an array of texts.
    after: Option<String>,
    /// The rows of the table that were counted.
    rows: u64,
    missing: u64,
    deleted: u64,
}

/// Returns `true` if an earlier attempt has loaded the whole file.
pub(in crate::functions::import) async fn is_begun(
    entry: ImportEntry<'_>,
) -> Result<bool, SyncError> {
    Ok(progress(entry).await?.phase.is_some())
}

async fn progress(entry: ImportEntry<'_>) -> Result<ReplaceProgress, SyncError> {
    entry.read(PROGRESS, vec![entry.id()]).await
}

/// Counts the missing rows and deletes them, after the whole file is loaded. Continues where an
/// earlier invocation stopped.
pub(in crate::functions::import) async fn replace(loader: &Loader<'_>) -> Result<(), Stop> {
    let Loader { entry, table, options, .. } = *loader;
    let until = reading_until(entry.deadline);
    let mut stretch_rows = STRETCH_ROWS;
    let mut repeats = 0;
    let mut has_advanced = false;
    let mut before: Option<ReplaceProgress> = None;
    loop {
        let progress = progress(entry).await?;
        if before.is_some_and(|before| before != progress) {
            has_advanced = true;
            repeats = 0;
        }
        let is_delete = match progress.phase {
            Some(Phase::Done) => return Ok(()),
            Some(Phase::Delete) if progress.missing == 0 => return Ok(()),
            Some(Phase::Delete) => {
                check(options.max_deletes, progress.missing, progress.rows)?;
                true
            }
            Some(Phase::Count) => false,
            None => {
                entry.run(BEGIN, vec![entry.id()]).await?;
                before = Some(progress);
                continue;
            }
        };
        if until.remaining().is_zero() {
            return Err(Stop::OutOfTime { has_advanced });
        }
        let is_whole = is_delete && table.references_itself();
        let mut parameters = stretch(entry, (!is_whole).then_some(stretch_rows));
        parameters.push(optional("after", progress.after.as_deref()));
        let done = if is_delete {
            let sql = delete_stretch(table, progress.after.is_some());
            in_transaction(entry.data_api, entry.deadline, async |transaction| {
                if table.has_row_security {
                    transaction.execute(ENTER, vec![entry.id()]).await?;
                }
                transaction.change_rows(&sql, vec![parameters.clone()]).await?;
                Ok(End::Commit(()))
            })
            .await
        } else if table.has_row_security {
            let sql = count_missing(table, progress.after.is_some());
            in_transaction(entry.data_api, entry.deadline, async |transaction| {
                transaction.execute(ENTER, vec![entry.id()]).await?;
                transaction.execute(&sql, parameters.clone()).await?;
                Ok(End::Commit(()))
            })
            .await
        } else {
            // One statement does it all, so that no transaction is needed.
            let sql = count_missing(table, progress.after.is_some());
            let counted = timeout(entry.deadline.remaining(), entry.run(&sql, parameters)).await;
            counted.unwrap_or(Err(SyncError::OutOfTime)).map(drop)
        };
        match done {
            Ok(()) => {}
            Err(SyncError::OutOfTime) => return Err(Stop::OutOfTime { has_advanced }),
            // The progress shows if the commit was done.
            Err(error) if error.is_unconfirmed_commit() && repeats < REPEATS_MAX => {
                repeats += 1;
                tracing::info!(reason = %error, "commit of a stretch had no response");
            }
            Err(SyncError::Refused(error)) => {
                return Err(refused(&error, progress.deleted));
            }
            // A deferred constraint.
            Err(SyncError::Database(error)) if error.is_refused_commit() => {
                return Err(refused(&error, progress.deleted));
            }
            Err(SyncError::Database(error)) if error.fault == DataApiFault::StatementTimeout => {
                if is_whole {
                    return Err(takes_too_long(progress.missing));
                }
                if stretch_rows <= STRETCH_ROWS_MIN {
                    return Err(error.into());
                }
                // Triggers, rows of other tables that are deleted too, or a busy database.
                stretch_rows /= 4;
                tracing::info!(reason = %error, stretch_rows, "replacement continues in smaller stretches");
            }
            Err(error) => return Err(error.into()),
        }
        before = Some(progress);
    }
}

/// Deletes the missing rows in this transaction, and returns their number.
///
/// After an error the transaction must be rolled back. Until it ends, no other worker can end the
/// import.
pub(in crate::functions::import) async fn replace_in_transaction(
    transaction: &Transaction<'_>,
    loader: &Loader<'_>,
) -> Result<u64, Stop> {
    let Loader { entry, table, options, .. } = *loader;
    // If another worker has ended the import, its keys are gone, and every row would seem to be
    // missing.
    transaction.execute(ENTER, vec![entry.id()]).await?;
    // Rows that refer to each other are deleted by one statement, as PostgreSQL checks references
    // at its end.
    let stretch_rows = (!table.references_itself()).then_some(STRETCH_ROWS);
    let (mut missing, mut rows) = (0, 0);
    let mut last: Option<String> = None;
    loop {
        let mut parameters = stretch(entry, stretch_rows);
        // The statements of the first stretch have no begin.
        parameters.extend(last.as_deref().map(|last| parameter("after", last)));
        let lock = lock_missing(table, last.is_some());
        let locked = transaction.execute(&lock, parameters.clone()).await.map_err(in_one)?;
        let (deleted, found, after): (u64, usize, _) =
            json(&locked).ok_or_else(|| entry.unreadable())?;
        if deleted > 0 {
            let delete = delete_missing(table, last.is_some());
            transaction.change_rows(&delete, vec![parameters]).await.map_err(in_one)?;
        }
        missing += deleted;
        rows += found as u64;
        if stretch_rows.is_none_or(|most| found < most) {
            break;
        }
        last = after;
    }
    check(options.max_deletes, missing, rows)?;
    Ok(missing)
}

/// Returns the parameters of a stretch of the table, but for the key after which it begins.
fn stretch(entry: ImportEntry<'_>, rows: Option<usize>) -> Vec<Parameter> {
    vec![entry.id(), optional("rows", rows.map(|rows| rows.to_string()))]
}

/// Fails if more rows are missing than the limit allows.
fn check(limit: Limit, missing: u64, rows: u64) -> Result<(), Stop> {
    if !limit.is_exceeded(missing, rows) {
        return Ok(());
    }
    Err(Stop::Failed(format!(
        "{missing} of the table's {rows} rows are not in the file, more than max-deletes allows ({limit}): nothing was \
         deleted; raise max-deletes if they are to go"
    )))
}

/// Returns the error for a file with rejected rows. Their keys may be unknown, so that they could
/// be deleted by mistake.
pub(in crate::functions::import) fn not_deleted(rejected: u64) -> String {
    let rows = if rejected == 1 { "row was" } else { "rows were" };
    format!("{rejected} {rows} rejected, so that nothing was deleted")
}

/// Returns the reason to stop after an error in the one transaction of an import: it cannot
/// continue, and the file would have to be loaded again.
fn in_one(error: impl Into<SyncError>) -> Stop {
    match error.into() {
        SyncError::Refused(error) => refused(&error, 0),
        SyncError::Database(error) if error.fault == DataApiFault::StatementTimeout => Stop::Failed(
            "a statement may take 45 s, which is too short to delete the rows that are not in the file; leave atomic out"
                .to_owned(),
        ),
        error => error.into(),
    }
}

/// Stops because of rows that cannot be deleted: others refer to them, or a trigger refuses it.
fn refused(error: &DataApiError, deleted: u64) -> Stop {
    let message = &error.message;
    let before = if deleted == 0 {
        "nothing was deleted".to_owned()
    } else {
        format!("{deleted} other rows were deleted before, and stay deleted")
    };
    Stop::Failed(format!(
        "the rows that are not in the file cannot be deleted: {message}: {before}"
    ))
}

/// Stops because a table refers to itself and has too many missing rows: its references are checked
/// only after all of them are deleted.
fn takes_too_long(missing: u64) -> Stop {
    Stop::Failed(format!(
        "the table refers to itself, so that its rows are deleted by one statement, and 45 s are too short for the \
         {missing} that are not in the file: nothing was deleted; delete them with mode delete, and last those to \
         which others refer"
    ))
}
