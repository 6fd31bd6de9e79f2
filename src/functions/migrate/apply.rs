//! Applies one file: in a transaction, or statement by statement outside of one.

use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::time::Duration;

use super::error::MigrateError;
use super::migration::Migration;
use super::outage::{pauses, through_outages};
use super::record;
use crate::aws::data_api::DataApi;
use crate::database::roles;
use crate::database::transaction::{End, Transaction};
use crate::domain::deadline::Deadline;
use crate::domain::error::{DataApiError, DataApiFault, Disposition, SyncError};
use crate::domain::field::Field;

/// A dump empties `search_path` for its session, and the Data API uses sessions again.
const RESET: &str = "RESET ALL";

/// A call that only asks for the state of a transaction. It takes no snapshot, and ends the one
/// that the call before it may have left: the service need not close the portal of a query.
const PING: &str = "SHOW transaction_isolation";

/// The beginning of each statement that runs outside a transaction, so that it is found in
/// `pg_stat_activity` while it goes on.
const OURS: &str = "/* aurora-sync migrate */ ";

const IS_RUNNING: &str = "SELECT EXISTS (SELECT FROM pg_stat_activity
  WHERE datname = current_database() AND state = 'active'
    AND query LIKE '/* aurora-sync migrate */ %')";

/// The indexes that a `CREATE INDEX CONCURRENTLY` has left unusable, or that one still builds.
/// Those of partitioned tables (`relkind` I) are invalid until they have all their parts.
const INVALID_INDEXES: &str = "SELECT c.relname::text
  FROM pg_index AS i JOIN pg_class AS c ON c.oid = i.indexrelid
  WHERE NOT i.indisvalid AND c.relkind = 'i'";

/// The end of an attempt that is not repeated.
#[derive(Debug)]
enum Applied {
    Now,
    /// The file is recorded with this checksum.
    Before(String),
    Failed(MigrateError),
}

/// Applies the worker's own files in one transaction, through outages: a function of one file can
/// need the table of another, so nobody may see a part of them. Returns the names of those that
/// another invocation has not applied.
///
/// The rights on the schema `sync` come in the same transaction, also if there are no files: the
/// functions that run now use what the files make as soon as it is committed.
pub(super) async fn apply_own(
    data_api: &DataApi,
    files: &[Migration],
    deadline: Deadline,
) -> Result<Vec<String>, MigrateError> {
    let place = Cell::new(("the schema sync", 0));
    // Also of an attempt whose commit had no response.
    let names = RefCell::new(BTreeSet::new());
    let applied = through_outages(deadline, async || {
        record::locked(data_api, deadline, async |transaction| {
            for file in files {
                let recorded = record::checksum(transaction, &file.name).await?;
                if recorded.as_ref() == Some(&file.checksum) {
                    continue;
                }
                for statement in &file.statements {
                    place.set((&file.name, statement.line));
                    if let Err(error) = execute(transaction, &statement.sql).await {
                        return failed(file, statement.line, error).map(End::Rollback);
                    }
                }
                record::add(transaction, &file.name, &file.checksum).await?;
                names.borrow_mut().insert(file.name.clone());
            }
            transaction.execute(roles::GRANT_OWN, Vec::new()).await?;
            Ok(End::Commit(Applied::Now))
        })
        .await
    });
    match applied.await {
        Ok(Applied::Failed(error)) => Err(error),
        Ok(Applied::Now | Applied::Before(_)) => Ok(names.take().into_iter().collect()),
        Err(source) => {
            let (name, line) = place.get();
            Err(MigrateError::not_applied(name, line, source))
        }
    }
}

/// Applies a file of the user, through outages. Returns `false` if another invocation has applied
/// it.
pub(super) async fn apply(
    data_api: &DataApi,
    migration: &Migration,
    deadline: Deadline,
) -> Result<bool, MigrateError> {
    let line = Cell::new(0);
    let is_unconfirmed = Cell::new(false);
    let applied = through_outages(deadline, async || {
        let attempt = if migration.has_transaction {
            in_one_transaction(data_api, migration, deadline, &line).await
        } else {
            outside_a_transaction(data_api, migration, deadline, &line).await
        };
        if attempt.as_ref().is_err_and(SyncError::is_unconfirmed_commit) {
            // The next attempt finds the record, if the commit took effect.
            is_unconfirmed.set(true);
        }
        attempt
    });
    match applied.await {
        Ok(Applied::Now) => Ok(true),
        Ok(Applied::Before(checksum)) if checksum == migration.checksum => Ok(is_unconfirmed.get()),
        Ok(Applied::Before(_)) => Err(MigrateError::Changed { name: migration.name.clone() }),
        Ok(Applied::Failed(error)) => Err(error),
        Err(source) => Err(MigrateError::not_applied(&migration.name, line.get(), source)),
    }
}

/// Runs the file and records it, in one transaction.
async fn in_one_transaction(
    data_api: &DataApi,
    migration: &Migration,
    deadline: Deadline,
    line: &Cell<usize>,
) -> Result<Applied, SyncError> {
    record::locked(data_api, deadline, async |transaction| {
        if let Some(checksum) = record::checksum(transaction, &migration.name).await? {
            return Ok(End::Rollback(Applied::Before(checksum)));
        }
        transaction.execute(roles::OFFER_NEW, Vec::new()).await?;
        for statement in &migration.statements {
            line.set(statement.line);
            if let Err(error) = execute(transaction, &statement.sql).await {
                return failed(migration, statement.line, error).map(End::Rollback);
            }
        }
        transaction.execute(RESET, Vec::new()).await?;
        transaction.execute(roles::OFFER_NEW_NO_MORE, Vec::new()).await?;
        record::add(transaction, &migration.name, &migration.checksum).await?;
        Ok(End::Commit(Applied::Now))
    })
    .await
}

/// Runs a statement in a transaction, however long it takes.
///
/// After 45 s the service reports a timeout, while the statement goes on. Until it has ended, the
/// service refuses other calls of the transaction. If it failed, PostgreSQL refuses the next
/// statement (25P02).
async fn execute(transaction: &Transaction<'_>, sql: &str) -> Result<(), DataApiError> {
    let timeout = match transaction.execute_to_the_end(sql).await {
        Err(error) if error.fault == DataApiFault::StatementTimeout => error,
        result => return result,
    };
    let mut pauses = pauses(Duration::from_millis(200), Duration::from_secs(5));
    loop {
        match transaction.execute(PING, Vec::new()).await {
            Ok(_) => return Ok(()),
            Err(error) if error.is_still_running() => {
                tokio::time::sleep(pauses.next().unwrap_or_default()).await;
            }
            // The service has ended the transaction with the statement.
            Err(error) if error.is_lost_transaction() => return Err(timeout),
            Err(error) => return Err(error),
        }
    }
}

/// Runs the statements of the file one by one, and records it after the last one.
///
/// A transaction beside them holds the lock. It must hold no snapshot while a statement runs, or a
/// `CREATE INDEX CONCURRENTLY` waits for its end: only [`PING`] runs in it then.
async fn outside_a_transaction(
    data_api: &DataApi,
    migration: &Migration,
    deadline: Deadline,
    line: &Cell<usize>,
) -> Result<Applied, SyncError> {
    record::locked(data_api, deadline, async |holder| {
        if let Some(checksum) = record::checksum(holder, &migration.name).await? {
            return Ok(End::Rollback(Applied::Before(checksum)));
        }
        // A statement of an invocation that has ended may still run.
        wait_for_statements(data_api, holder).await?;
        for statement in &migration.statements {
            line.set(statement.line);
            holder.execute(PING, Vec::new()).await?;
            if let Err(error) = execute_outside(data_api, holder, &statement.sql).await {
                return failed(migration, statement.line, error).map(End::Rollback);
            }
        }
        if let Some(error) = invalid_index(holder, migration).await? {
            return Ok(End::Rollback(Applied::Failed(error)));
        }
        record::add(holder, &migration.name, &migration.checksum).await?;
        Ok(End::Commit(Applied::Now))
    })
    .await
}

/// Runs a statement outside a transaction. If it takes longer than 45 s, waits for its end and runs
/// it again: nothing else tells its result.
async fn execute_outside(
    data_api: &DataApi,
    holder: &Transaction<'_>,
    sql: &str,
) -> Result<(), DataApiError> {
    let sql = format!("{OURS}{sql}");
    match data_api.execute_to_the_end(None, &sql).await {
        Err(error) if error.fault == DataApiFault::StatementTimeout => {
            wait_for_statements(data_api, holder).await?;
            data_api.execute_to_the_end(None, &sql).await
        }
        result => result,
    }
}

/// Waits until no statement of a migration runs outside a transaction.
async fn wait_for_statements(
    data_api: &DataApi,
    holder: &Transaction<'_>,
) -> Result<(), DataApiError> {
    let mut pauses = pauses(Duration::from_millis(200), Duration::from_secs(5));
    loop {
        // Fails if the lock is lost, and keeps its transaction from being idle for too long.
        holder.execute(PING, Vec::new()).await?;
        let records = data_api.execute(None, IS_RUNNING, Vec::new()).await?;
        if record::value(&records) != Some(&Field::Boolean(true)) {
            return Ok(());
        }
        tokio::time::sleep(pauses.next().unwrap_or_default()).await;
    }
}

/// Returns the error for an index of the file that is not valid.
async fn invalid_index(
    holder: &Transaction<'_>,
    migration: &Migration,
) -> Result<Option<MigrateError>, DataApiError> {
    let records = holder.execute(INVALID_INDEXES, Vec::new()).await?;
    let indexes = records.iter().filter_map(|record| record.first()?.as_text());
    for index in indexes {
        let statement = migration.statements.iter().find(|statement| {
            statement.begins_with(&["CREATE"])
                && statement.has_word("CONCURRENTLY")
                && statement.names(index)
        });
        if let Some(statement) = statement {
            let (name, line) = (migration.name.clone(), statement.line);
            return Ok(Some(MigrateError::InvalidIndex { name, line, index: index.to_owned() }));
        }
    }
    Ok(None)
}

/// Returns the end of an attempt in which a statement failed. An outage is an error, which is
/// repeated; a statement that was cancelled would be cancelled again.
fn failed(migration: &Migration, line: usize, error: DataApiError) -> Result<Applied, SyncError> {
    if error.disposition() == Disposition::Retry && !error.is_canceled() {
        return Err(error.into());
    }
    Ok(Applied::Failed(MigrateError::statement(&migration.name, line, error)))
}
