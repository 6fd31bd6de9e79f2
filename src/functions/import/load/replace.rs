//! Mode `replace`, once the file is loaded: deletes the rows of the table that were not in it.
//!
//! First they are counted, so that `max-deletes` is known to hold before any is deleted. Both go through the table in
//! stretches, each a transaction that records how far it came: another invocation goes on from there.

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

/// From here on only the replacing is left.
const BEGIN: &str = "UPDATE sync.import SET replace_phase = 'count'
WHERE id = :import_id::uuid AND state = 'running' AND replace_phase IS NULL";

/// Fails where somebody else has ended the import.
const PROGRESS: &str =
    "SELECT replace_phase, replace_after, rows_looked_at, rows_missing, rows_deleted
FROM (SELECT sync.enter_import(:import_id::uuid) AS id) AS entered JOIN sync.import AS import ON import.id = entered.id";

const ENTER: &str = "SELECT sync.enter_import(:import_id::uuid)::text";

/// So many rows of the table are looked at by one statement, which may take 45 s.
const STRETCH_ROWS: usize = 50_000;

const STRETCH_ROWS_MIN: usize = 100;

/// How often a stretch whose commit was not answered, and not done, is done again.
const REPEATS_MAX: usize = 3;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Count,
    Delete,
    Done,
}

/// How far the replacing is.
#[derive(Debug, PartialEq, Eq)]
struct ReplaceProgress {
    phase: Phase,
    /// The key of the last row that was looked at.
    after: Option<Vec<String>>,
    rows: i64,
    missing: i64,
    deleted: i64,
}

/// Rows that were rejected are not known to be in the file: what to tell of that.
pub(in crate::functions::import) fn not_deleted(rejected: u64) -> String {
    format!("{rejected} rows were rejected, so that nothing was deleted")
}

/// Records that the file is loaded whole.
pub(in crate::functions::import) async fn begin(entry: ImportEntry<'_>) -> Result<(), SyncError> {
    entry.run(BEGIN, vec![entry.id()]).await?;
    Ok(())
}

/// Whether the file was loaded whole already.
pub(in crate::functions::import) async fn is_begun(
    entry: ImportEntry<'_>,
) -> Result<bool, SyncError> {
    Ok(progress(entry).await?.is_some())
}

/// Counts the missing rows and deletes them, from where an earlier invocation stopped.
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
            Phase::Delete if is_over(limit, progress.missing, progress.rows) => {
                return Err(Stop::Failed(too_many(limit, progress.missing, progress.rows)));
            }
            Phase::Delete if progress.missing == 0 => return Ok(()),
            Phase::Delete => true,
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
            // How far it came tells whether it was done.
            Err(error) if error.is_unconfirmed_commit() && repeats < REPEATS_MAX => {
                repeats += 1;
                tracing::info!(reason = %error, "commit of a stretch was not answered");
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
                // Triggers, rows of other tables that go with them, or a busy database.
                stretch_rows /= 4;
                tracing::info!(reason = %error, stretch_rows, "rows are looked at in smaller stretches");
            }
            Err(error) => return Err(error.into()),
        }
        before = Some(progress);
    }
}

/// `None` where the file is not loaded yet.
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

/// Nothing changes but how far the counting is, so that no transaction is begun.
async fn count(
    entry: ImportEntry<'_>,
    table: &Table,
    rows: Option<usize>,
    key: Option<&[String]>,
) -> Result<(), SyncError> {
    let sql = count_missing(table, key.is_some());
    let mut parameters = parameters(entry, rows);
    parameters.push(key.map_or_else(|| null("after"), after));
    let counted = entry.run(&sql, parameters);
    match timeout(entry.deadline.remaining(), counted).await {
        Ok(counted) => counted.map(drop),
        Err(_) => Err(SyncError::OutOfTime),
    }
}

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
        transaction.change_rows(&sql, vec![parameters.clone()]).await?;
        Ok(End::Commit(()))
    })
    .await
}

/// Deletes them in this transaction, which must be rolled back where they are too many. Until it is over, nobody may end
/// the import.
pub(in crate::functions::import) async fn replace_in_transaction(
    transaction: &Transaction<'_>,
    entry: ImportEntry<'_>,
    table: &Table,
    limit: Limit,
) -> Result<i64, Stop> {
    // Another worker may have ended it: then its keys are gone, and every row would seem to be missing.
    transaction.execute(ENTER, vec![entry.id()]).await?;
    // Rows that refer to each other go in one statement: whether they may is looked at when it ends.
    let stretch_rows = (!table.references_itself()).then_some(STRETCH_ROWS);
    let (mut missing, mut rows) = (0, 0);
    let mut last_key: Option<Vec<String>> = None;
    loop {
        let has_begin = last_key.is_some();
        let mut parameters = parameters(entry, stretch_rows);
        parameters.extend(last_key.as_deref().map(after));
        let locked = lock_missing(table, has_begin);
        let locked = transaction.execute(&locked, parameters.clone()).await.map_err(in_one)?;
        let Some([Field::Long(deleted), Field::Long(met), last]) =
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
        rows += met;
        if stretch_rows.is_none_or(|most| usize::try_from(*met).is_ok_and(|met| met < most)) {
            break;
        }
        last_key = key(last);
    }
    if is_over(limit, missing, rows) {
        return Err(Stop::Failed(too_many(limit, missing, rows)));
    }
    Ok(missing)
}

fn parameters(entry: ImportEntry<'_>, rows: Option<usize>) -> Vec<Parameter> {
    let rows = rows.map_or_else(|| null("rows"), |rows| parameter("rows", rows.to_string()));
    vec![entry.id(), rows]
}

fn after(key: &[String]) -> Parameter {
    parameter("after", array_literal(key.iter().map(|part| Some(part.as_str()))))
}

/// A row's key from an answer; `None` where there is no row.
fn key(field: &Field) -> Option<Vec<String>> {
    match field {
        Field::Array(ArrayField::StringValues(parts)) => {
            Some(parts.iter().map(|part| part.clone().unwrap_or_default()).collect())
        }
        _ => None,
    }
}

fn is_over(limit: Limit, missing: i64, rows: i64) -> bool {
    match limit {
        Limit::Rows(most) => u64::try_from(missing).unwrap_or_default() > most,
        #[expect(
            clippy::cast_precision_loss,
            reason = "percentages of row counts need no more than f64"
        )]
        Limit::Percent(percent) => missing as f64 * 100.0 > percent * rows as f64,
    }
}

fn too_many(limit: Limit, missing: i64, rows: i64) -> String {
    format!(
        "{missing} of the table's {rows} rows are not in the file, more than max-deletes allows ({limit}): nothing was \
         deleted; raise max-deletes if they are to go"
    )
}

/// An error has ended the one transaction of the import: the file would have to be loaded anew.
fn in_one(error: impl Into<SyncError>) -> Stop {
    match error.into() {
        SyncError::Refused(error) => Stop::Failed(refused(&error, 0)),
        SyncError::Database(error) if error.fault == DataApiFault::StatementTimeout => Stop::Failed(
            "a statement may take 45 s, which is not enough to delete the rows that are not in the file; leave atomic out"
                .to_owned(),
        ),
        error => error.into(),
    }
}

/// Rows that must stay, as others refer to them, or as a trigger says.
fn refused(error: &DataApiError, deleted: i64) -> String {
    let message = &error.message;
    let before = if deleted == 0 {
        "nothing was deleted".to_owned()
    } else {
        format!("{deleted} other rows were deleted before, and stay deleted")
    };
    format!("the rows that are not in the file cannot be deleted: {message}: {before}")
}

/// Whether a row that others of its table refer to may go is only known once all are deleted.
fn takes_too_long(missing: i64) -> String {
    format!(
        "the table refers to itself, so that its rows are deleted by one statement, and 45 s are not enough for the \
         {missing} that are not in the file: nothing was deleted; delete them with mode delete, those that others \
         refer to last"
    )
}
