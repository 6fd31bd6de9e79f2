//! Mode `replace`, once the file is loaded: deletes the rows of the table that were not in it.

use aurora_sync_catalog::Table;

use super::claim::Entry;
use super::options::Limit;
use crate::error::{DataApiError, Disposition, SyncError};
use crate::field::{Field, parameter};
use crate::statement::load::delete_missing;
use crate::transaction::{End, Transaction, in_transaction};

const DELETED: &str = "UPDATE sync.import SET rows_deleted = rows_deleted + :rows::bigint WHERE id = :import_id::uuid";

/// Nobody ends the import, and forgets the keys of its file, before this transaction is over.
const KEEP: &str = "SELECT 1 FROM sync.import WHERE id = :import_id::uuid FOR SHARE";

const ENTER: &str = "SELECT sync.enter_import(:import_id::uuid)::text";

/// What became of the rows that were not in the file.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Replaced {
    Deleted,
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
    let replaced = in_transaction(entry.data_api, entry.deadline, async |transaction| {
        Ok(match replace_in(transaction, entry, table, limit).await? {
            Replaced::Deleted => End::Commit(Replaced::Deleted),
            refused @ Replaced::Refused(_) => End::Rollback(refused),
        })
    });
    match replaced.await {
        // A deferred constraint spoke.
        Err(SyncError::Database(error)) if error.is_refused_commit() => Ok(refused(&error)),
        other => other,
    }
}

/// Rows that must stay, as others refer to them, or as a trigger says.
fn refused(error: &DataApiError) -> Replaced {
    Replaced::Refused(format!(
        "the rows that are not in the file cannot be deleted: {}: nothing was deleted",
        error.message
    ))
}

/// Deletes them in this transaction, which must be rolled back where they are too many.
pub(super) async fn replace_in(
    transaction: &Transaction<'_>,
    entry: Entry<'_>,
    table: &Table,
    limit: Limit,
) -> Result<Replaced, SyncError> {
    transaction.execute(KEEP, vec![entry.id()]).await?;
    // Another worker may have ended it: then its keys are gone, and every row would seem to be missing.
    transaction.execute(ENTER, vec![entry.id()]).await?;
    let records = match transaction.execute(&delete_missing(table), vec![entry.id()]).await {
        Err(error) if error.disposition() == Disposition::Reject => return Ok(refused(&error)),
        other => other?,
    };
    let Some([Field::Long(missing), Field::Long(rows)]) = records.first().map(Vec::as_slice) else {
        return Err(SyncError::Inconsistent("the deleted rows are not counted".to_owned()));
    };
    let is_over = match limit {
        Limit::Rows(most) => u64::try_from(*missing).unwrap_or_default() > most,
        #[expect(
            clippy::cast_precision_loss,
            reason = "percentages of row counts need no more than f64"
        )]
        Limit::Percent(percent) => *missing as f64 * 100.0 > percent * *rows as f64,
    };
    if is_over {
        return Ok(Replaced::Refused(format!(
            "{missing} of the table's {rows} rows are not in the file, more than max-deletes allows ({limit}): \
             nothing was deleted; raise max-deletes if they are to go"
        )));
    }
    let parameters = vec![entry.id(), parameter("rows", missing.to_string())];
    transaction.execute(DELETED, parameters).await?;
    Ok(Replaced::Deleted)
}
