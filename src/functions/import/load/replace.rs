//! Mode `replace`, after the file is loaded: deletes the rows of the table that were not in the
//! file, the missing rows.
//!
//! They are counted first, so that `max-deletes` is checked before any row is deleted. Counting and
//! deleting go through the table in stretches. Each stretch is a transaction that records its end,
//! from which another invocation can continue.

use aurora_sync_catalog::Table;
use tokio::time::timeout;

use super::lanes::stop_before;
use crate::database::statement::replace::{
    count_missing, delete_missing, delete_stretch, lock_missing,
};
use crate::database::transaction::{End, Transaction, in_transaction};
use crate::domain::error::{DataApiError, DataApiFault, SyncError};
use crate::domain::field::{ArrayField, Field, Parameter, null, parameter};
use crate::domain::value::array_literal::array_literal;
use crate::functions::import::claim::ImportEntry;
use crate::functions::import::read::options::Limit;
use crate::functions::import::stop::Stop;

/// Begins the counting, as the whole file is loaded.
const BEGIN: &str = "UPDATE sync.import SET replace_phase = 'count'
WHERE id = :import_id::uuid AND state = 'running' AND replace_phase IS NULL";

/// Returns the progress of the replacement. Fails if another worker has ended the import.
const PROGRESS: &str =
    "SELECT replace_phase, replace_after, rows_looked_at, rows_missing, rows_deleted
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

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Count,
    Delete,
    Done,
}

/// The progress of the replacement.
#[derive(Debug, PartialEq, Eq)]
struct ReplaceProgress {
    phase: Phase,
    /// The key of the last row of the last stretch.
    after: Option<Vec<String>>,
    /// The rows of the table that were counted.
    rows: i64,
    missing: i64,
    deleted: i64,
}

/// Records that the whole file is loaded.
pub(in crate::functions::import) async fn begin(entry: ImportEntry<'_>) -> Result<(), SyncError> {
    entry.run(BEGIN, vec![entry.id()]).await?;
    Ok(())
}

/// Returns `true` if an earlier attempt has loaded the whole file.
pub(in crate::functions::import) async fn is_begun(
    entry: ImportEntry<'_>,
) -> Result<bool, SyncError> {
    Ok(progress(entry).await?.is_some())
}

/// Counts the missing rows and deletes them. Continues where an earlier invocation stopped.
pub(in crate::functions::import) async fn replace(
    entry: ImportEntry<'_>,
    table: &Table,
    limit: Limit,
) -> Result<(), Stop> {
    let until = entry.deadline.less(stop_before(entry.deadline));
    let mut stretch_rows = STRETCH_ROWS;
    let mut repeats = 0;
    let mut has_advanced = false;
    let mut before: Option<ReplaceProgress> = None;
    loop {
        let progress = progress(entry).await?.ok_or_else(|| entry.unreadable())?;
        if before.is_some_and(|before| before != progress) {
            has_advanced = true;
            repeats = 0;
        }
        let is_delete = match progress.phase {
            Phase::Done => return Ok(()),
            Phase::Delete if progress.missing == 0 => return Ok(()),
            Phase::Delete => {
                check(limit, progress.missing, progress.rows)?;
                true
            }
            Phase::Count => false,
        };
        if until.remaining().is_zero() {
            return Err(Stop::OutOfTime { has_advanced });
        }
        let is_whole = is_delete && table.references_itself();
        let rows = (!is_whole).then_some(stretch_rows);
        let done = if is_delete {
            delete(entry, table, rows, progress.after.as_deref()).await
        } else {
            count(entry, table, rows, progress.after.as_deref()).await
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
                return Err(Stop::Failed(refused(&error, progress.deleted)));
            }
            // A deferred constraint.
            Err(SyncError::Database(error)) if error.is_refused_commit() => {
                return Err(Stop::Failed(refused(&error, progress.deleted)));
            }
            Err(SyncError::Database(error)) if error.fault == DataApiFault::StatementTimeout => {
                if is_whole {
                    return Err(Stop::Failed(takes_too_long(progress.missing)));
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

/// Returns the progress of the replacement, or `None` if the file is not loaded yet.
async fn progress(entry: ImportEntry<'_>) -> Result<Option<ReplaceProgress>, SyncError> {
    let records = entry.run(PROGRESS, vec![entry.id()]).await?;
    let Some([phase, after, Field::Long(rows), Field::Long(missing), Field::Long(deleted)]) =
        records.first().map(Vec::as_slice)
    else {
        return Err(entry.unreadable());
    };
    let phase = match phase.as_text() {
        None => return Ok(None),
        Some("count") => Phase::Count,
        Some("delete") => Phase::Delete,
        Some(_) => Phase::Done,
    };
    let (rows, missing, deleted) = (*rows, *missing, *deleted);
    Ok(Some(ReplaceProgress { phase, after: key(after), rows, missing, deleted }))
}

/// Counts the missing rows of a stretch. One statement does it all, so that no transaction is
/// needed, unless row policies need the claims of the import before it.
async fn count(
    entry: ImportEntry<'_>,
    table: &Table,
    rows: Option<usize>,
    key: Option<&[String]>,
) -> Result<(), SyncError> {
    let sql = count_missing(table, key.is_some());
    let mut parameters = parameters(entry, rows);
    parameters.push(key.map_or_else(|| null("after"), after));
    let counted = async {
        if !table.has_row_security {
            return entry.run(&sql, parameters).await.map(drop);
        }
        in_transaction(entry.data_api, entry.deadline, async |transaction| {
            transaction.execute(ENTER, vec![entry.id()]).await?;
            transaction.execute(&sql, parameters.clone()).await?;
            Ok(End::Commit(()))
        })
        .await
    };
    match timeout(entry.deadline.remaining(), counted).await {
        Ok(counted) => counted,
        Err(_) => Err(SyncError::OutOfTime),
    }
}

/// Deletes the missing rows of a stretch.
async fn delete(
    entry: ImportEntry<'_>,
    table: &Table,
    rows: Option<usize>,
    key: Option<&[String]>,
) -> Result<(), SyncError> {
    let sql = delete_stretch(table, key.is_some());
    let mut parameters = parameters(entry, rows);
    parameters.push(key.map_or_else(|| null("after"), after));
    in_transaction(entry.data_api, entry.deadline, async |transaction| {
        if table.has_row_security {
            transaction.execute(ENTER, vec![entry.id()]).await?;
        }
        transaction.change_rows(&sql, vec![parameters.clone()]).await?;
        Ok(End::Commit(()))
    })
    .await
}

/// Deletes the missing rows in this transaction, and returns their number.
///
/// After an error the transaction must be rolled back. Until it ends, no other worker can end the
/// import.
pub(in crate::functions::import) async fn replace_in_transaction(
    transaction: &Transaction<'_>,
    entry: ImportEntry<'_>,
    table: &Table,
    limit: Limit,
) -> Result<i64, Stop> {
    // If another worker has ended the import, its keys are gone, and every row would seem to be
    // missing.
    transaction.execute(ENTER, vec![entry.id()]).await?;
    // Rows that refer to each other are deleted by one statement, as PostgreSQL checks references
    // at its end.
    let stretch_rows = (!table.references_itself()).then_some(STRETCH_ROWS);
    let (mut missing, mut rows) = (0, 0);
    let mut last_key: Option<Vec<String>> = None;
    loop {
        let has_begin = last_key.is_some();
        let mut parameters = parameters(entry, stretch_rows);
        parameters.extend(last_key.as_deref().map(after));
        let locked = lock_missing(table, has_begin);
        let locked = transaction.execute(&locked, parameters.clone()).await.map_err(in_one)?;
        let Some([Field::Long(deleted), Field::Long(found), last]) =
            locked.first().map(Vec::as_slice)
        else {
            return Err(
                SyncError::Inconsistent("the missing rows are not counted".to_owned()).into()
            );
        };
        if *deleted > 0 {
            let delete = delete_missing(table, has_begin);
            transaction.change_rows(&delete, vec![parameters]).await.map_err(in_one)?;
        }
        missing += deleted;
        rows += found;
        if stretch_rows.is_none_or(|most| usize::try_from(*found).is_ok_and(|found| found < most)) {
            break;
        }
        last_key = key(last);
    }
    check(limit, missing, rows)?;
    Ok(missing)
}

fn parameters(entry: ImportEntry<'_>, rows: Option<usize>) -> Vec<Parameter> {
    let rows = rows.map_or_else(|| null("rows"), |rows| parameter("rows", rows.to_string()));
    vec![entry.id(), rows]
}

fn after(key: &[String]) -> Parameter {
    parameter("after", array_literal(key.iter().map(|part| Some(part.as_str()))))
}

/// Reads the key of a row from a response; `None` if there is no row.
fn key(field: &Field) -> Option<Vec<String>> {
    match field {
        Field::Array(ArrayField::StringValues(parts)) => {
            Some(parts.iter().map(|part| part.clone().unwrap_or_default()).collect())
        }
        _ => None,
    }
}

/// Fails if more rows are missing than the limit allows.
fn check(limit: Limit, missing: i64, rows: i64) -> Result<(), Stop> {
    let count = |rows: i64| u64::try_from(rows).unwrap_or_default();
    if !limit.is_exceeded(count(missing), count(rows)) {
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
    format!("{rejected} rows were rejected, so that nothing was deleted")
}

/// Returns the reason to stop after an error in the one transaction of an import: it cannot
/// continue, and the file would have to be loaded again.
fn in_one(error: impl Into<SyncError>) -> Stop {
    match error.into() {
        SyncError::Refused(error) => Stop::Failed(refused(&error, 0)),
        SyncError::Database(error) if error.fault == DataApiFault::StatementTimeout => Stop::Failed(
            "a statement may take 45 s, which is too short to delete the rows that are not in the file; leave atomic out"
                .to_owned(),
        ),
        error => error.into(),
    }
}

/// Returns the error for rows that cannot be deleted, because others refer to them or a trigger
/// refuses it.
fn refused(error: &DataApiError, deleted: i64) -> String {
    let message = &error.message;
    let before = if deleted == 0 {
        "nothing was deleted".to_owned()
    } else {
        format!("{deleted} other rows were deleted before, and stay deleted")
    };
    format!("the rows that are not in the file cannot be deleted: {message}: {before}")
}

/// Returns the error for a table that refers to itself and has too many missing rows: its
/// references are checked only after all of them are deleted.
fn takes_too_long(missing: i64) -> String {
    format!(
        "the table refers to itself, so that its rows are deleted by one statement, and 45 s are too short for the \
         {missing} that are not in the file: nothing was deleted; delete them with mode delete, and last those to \
         which others refer"
    )
}
