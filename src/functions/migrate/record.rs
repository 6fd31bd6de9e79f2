//! The lock of migrations, and the record of the files that are applied: `sync.migration`. Makes
//! the table of the stack, too: `sync.deployment`.

use std::collections::HashMap;
use std::time::Duration;

use super::outage::pauses;
use crate::aws::data_api::DataApi;
use crate::database::transaction::{End, Transaction, in_transaction};
use crate::domain::deadline::Deadline;
use crate::domain::error::{DataApiError, SyncError};
use crate::domain::field::{Field, Record, parameter};

/// With another level, the record would be read as it was before the lock was free.
const READ_COMMITTED: &str = "SET TRANSACTION ISOLATION LEVEL READ COMMITTED";

/// The lock, which the transaction holds until it ends. The number is "sync" in ASCII.
const TRY_LOCK: &str = "SELECT pg_try_advisory_xact_lock(1937337955)";

const CREATE_SCHEMA: &str = "CREATE SCHEMA IF NOT EXISTS sync";

const CREATE_TABLE: &str = "CREATE TABLE IF NOT EXISTS sync.migration (
  name text PRIMARY KEY,
  checksum text NOT NULL,
  applied_at timestamptz NOT NULL DEFAULT clock_timestamp()
)";

/// One row at most: the stack that serves the database. Local migrations make none.
const CREATE_DEPLOYMENT: &str = "CREATE TABLE IF NOT EXISTS sync.deployment (
  is_only boolean PRIMARY KEY DEFAULT true CHECK (is_only),
  stack_id text NOT NULL,
  since timestamptz NOT NULL DEFAULT clock_timestamp()
)";

const ALL: &str = "SELECT name, checksum FROM sync.migration";

const ONE: &str = "SELECT checksum FROM sync.migration WHERE name = :name::text";

const ADD: &str =
    "INSERT INTO sync.migration (name, checksum) VALUES (:name::text, :checksum::text)
  ON CONFLICT (name) DO UPDATE SET checksum = excluded.checksum, applied_at = clock_timestamp()";

/// Runs `work` in a transaction that holds the lock, as [`in_transaction`] does. Waits until the
/// lock is free.
///
/// Each try is a transaction of its own. One that waited would be old, and a
/// `CREATE INDEX CONCURRENTLY` of the holder would wait for its end.
pub(super) async fn locked<T>(
    data_api: &DataApi,
    deadline: Deadline,
    work: impl AsyncFn(&Transaction<'_>) -> Result<End<T>, SyncError>,
) -> Result<T, SyncError> {
    let mut pauses = pauses(Duration::from_millis(100), Duration::from_secs(2));
    loop {
        let done = in_transaction(data_api, deadline, async |transaction| {
            transaction.execute(READ_COMMITTED, Vec::new()).await?;
            let records = transaction.execute(TRY_LOCK, Vec::new()).await?;
            if value(&records) != Some(&Field::Boolean(true)) {
                return Ok(End::Rollback(None));
            }
            Ok(match work(transaction).await? {
                End::Commit(value) => End::Commit(Some(value)),
                End::Rollback(value) => End::Rollback(Some(value)),
            })
        });
        if let Some(value) = done.await? {
            return Ok(value);
        }
        tokio::time::sleep(pauses.next().unwrap_or_default().min(deadline.remaining())).await;
    }
}

/// Makes the tables that are not there.
pub(super) async fn create(transaction: &Transaction<'_>) -> Result<(), DataApiError> {
    transaction.execute(CREATE_SCHEMA, Vec::new()).await?;
    transaction.execute(CREATE_TABLE, Vec::new()).await?;
    transaction.execute(CREATE_DEPLOYMENT, Vec::new()).await?;
    Ok(())
}

/// Returns the checksums of the applied files, by name.
pub(super) async fn checksums(
    transaction: &Transaction<'_>,
) -> Result<HashMap<String, String>, DataApiError> {
    let records = transaction.execute(ALL, Vec::new()).await?;
    let text = |field: Option<&Field>| Some(field?.as_text()?.to_owned());
    Ok(records
        .iter()
        .filter_map(|record| Some((text(record.first())?, text(record.get(1))?)))
        .collect())
}

/// Returns the checksum of one file, if it is applied.
pub(super) async fn checksum(
    transaction: &Transaction<'_>,
    name: &str,
) -> Result<Option<String>, DataApiError> {
    let records = transaction.execute(ONE, vec![parameter("name", name)]).await?;
    Ok(value(&records).and_then(Field::as_text).map(str::to_owned))
}

/// Records a file as applied now.
pub(super) async fn add(
    transaction: &Transaction<'_>,
    name: &str,
    checksum: &str,
) -> Result<(), DataApiError> {
    let parameters = vec![parameter("name", name), parameter("checksum", checksum)];
    transaction.execute(ADD, parameters).await?;
    Ok(())
}

/// Returns the first field of the first record.
pub(super) fn value(records: &[Record]) -> Option<&Field> {
    records.first()?.first()
}
