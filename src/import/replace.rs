//! Mode `replace`, once the file is loaded: deletes the rows of the table that were not in it.

use aurora_sync_catalog::Table;

use super::claim::Entry;
use super::options::Limit;
use crate::error::{DataApiError, DataApiFault, Disposition, SyncError};
use crate::field::{Field, Parameter, Record, null, parameter};
use crate::statement::load::delete_missing;
use crate::transaction::{End, Transaction, in_transaction};

const DELETED: &str = "UPDATE sync.import SET rows_deleted = rows_deleted + :rows::bigint WHERE id = :import_id::uuid";

/// Nobody ends the import, and forgets the keys of its file, before this transaction is over.
const KEEP: &str = "SELECT 1 FROM sync.import WHERE id = :import_id::uuid FOR SHARE";

const ENTER: &str = "SELECT sync.enter_import(:import_id::uuid)::text";

/// So many rows of the table are looked at by one statement, which may take 45 s.
pub(super) const STRETCH_ROWS: usize = 50_000;

const STRETCH_ROWS_MIN: usize = 100;

/// What became of the rows that were not in the file.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Replaced {
    Deleted {
        rows: i64,
    },
    /// They are too many: what to tell of that. Nothing is deleted.
    Refused(String),
}

/// Rows that were rejected are not known to be in the file: what to tell of that.
pub(super) fn not_deleted(rejected: u64) -> String {
    format!("{rejected} rows were rejected, so that nothing was deleted")
}

/// Deletes them in a transaction of its own.
pub(super) async fn replace(
    entry: Entry<'_>,
    table: &Table,
    limit: Limit,
) -> Result<Replaced, SyncError> {
    let mut stretch_rows = STRETCH_ROWS;
    loop {
        let replaced = in_transaction(entry.data_api, entry.deadline, async |transaction| {
            transaction.execute(KEEP, vec![entry.id()]).await?;
            let replaced = replace_in(transaction, entry, table, limit, stretch_rows).await?;
            let Replaced::Deleted { rows } = replaced else { return Ok(End::Rollback(replaced)) };
            let parameters = vec![entry.id(), parameter("rows", rows.to_string())];
            transaction.execute(DELETED, parameters).await?;
            Ok(End::Commit(replaced))
        });
        match replaced.await {
            // A deferred constraint spoke.
            Err(SyncError::Database(error)) if error.is_refused_commit() => {
                return Ok(refused(&error));
            }
            // Triggers, rows of other tables that go with them, or a busy database.
            Err(SyncError::Database(error))
                if error.fault == DataApiFault::StatementTimeout
                    && stretch_rows > STRETCH_ROWS_MIN =>
            {
                stretch_rows /= 4;
                tracing::info!(reason = %error, stretch_rows, "rows are deleted in smaller pieces");
            }
            other => return other,
        }
    }
}

/// Rows that must stay, as others refer to them, or as a trigger says.
fn refused(error: &DataApiError) -> Replaced {
    Replaced::Refused(format!(
        "the rows that are not in the file cannot be deleted: {}: nothing was deleted",
        error.message
    ))
}

/// Deletes them in this transaction, which must be rolled back where they are too many. Until it is over, nobody may end
/// the import.
pub(super) async fn replace_in(
    transaction: &Transaction<'_>,
    entry: Entry<'_>,
    table: &Table,
    limit: Limit,
    stretch_rows: usize,
) -> Result<Replaced, SyncError> {
    // Another worker may have ended it: then its keys are gone, and every row would seem to be missing.
    transaction.execute(ENTER, vec![entry.id()]).await?;
    // Rows that refer to each other go in one statement: whether they may is looked at when it ends.
    let stretch_rows = (!table.references_itself()).then_some(stretch_rows);
    let (mut missing, mut rows) = (0, 0);
    let mut after: Option<Record> = None;
    loop {
        let mut parameters = vec![entry.id()];
        parameters.push(match stretch_rows {
            Some(rows) => parameter("rows", rows.to_string()),
            None => null("rows"),
        });
        parameters.extend(key_parameters(after.as_ref()));
        let sql = delete_missing(table, after.is_some());
        let records = match transaction.execute(&sql, parameters).await {
            Err(error) if error.disposition() == Disposition::Reject => return Ok(refused(&error)),
            other => other?,
        };
        let Some([Field::Long(deleted), Field::Long(met), last @ ..]) =
            records.first().map(Vec::as_slice)
        else {
            return Err(SyncError::Inconsistent("the deleted rows are not counted".to_owned()));
        };
        missing += deleted;
        rows += met;
        if stretch_rows.is_none_or(|most| usize::try_from(*met).is_ok_and(|met| met < most)) {
            break;
        }
        after = Some(last.to_vec());
    }
    if is_over(limit, missing, rows) {
        return Ok(Replaced::Refused(format!(
            "{missing} of the table's {rows} rows are not in the file, more than max-deletes allows ({limit}): \
             nothing was deleted; raise max-deletes if they are to go"
        )));
    }
    Ok(Replaced::Deleted { rows: missing })
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

fn key_parameters(key: Option<&Record>) -> Vec<Parameter> {
    let parts = key.into_iter().flatten().enumerate();
    parts
        .map(|(place, part)| {
            parameter(format!("after{}", place + 1), part.as_text().unwrap_or_default())
        })
        .collect()
}
