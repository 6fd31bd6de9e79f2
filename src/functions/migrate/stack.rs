//! The stack that serves a database: one at a time, recorded in `sync.deployment`.
//!
//! Two stacks would take the passwords of the users from each other, and prune each other's ledger.

use super::error::MigrateError;
use super::outage::through_outages;
use super::record;
use crate::aws::data_api::DataApi;
use crate::database::transaction::End;
use crate::domain::deadline::Deadline;
use crate::domain::error::SyncError;
use crate::domain::field::{Field, parameter};

const CLAIM: &str = "INSERT INTO sync.deployment (stack_id) VALUES (:stack_id::text)
  ON CONFLICT DO NOTHING";

const HOLDER: &str = "SELECT stack_id FROM sync.deployment";

const RELEASE: &str = "DELETE FROM sync.deployment WHERE stack_id = :stack_id::text";

/// Records the stack as the one that serves the database. An error names another one that does.
pub(super) async fn claim(
    data_api: &DataApi,
    stack_id: &str,
    deadline: Deadline,
) -> Result<(), MigrateError> {
    let holder = through_outages(deadline, async || {
        record::locked(data_api, deadline, async |transaction| {
            record::create(transaction).await?;
            transaction.execute(CLAIM, vec![parameter("stack_id", stack_id)]).await?;
            let holder = transaction.execute(HOLDER, Vec::new()).await?;
            Ok(End::Commit(record::value(&holder).and_then(Field::as_text).map(str::to_owned)))
        })
        .await
    });
    match holder.await? {
        Some(holder) if holder != stack_id => Err(MigrateError::OtherStack { holder }),
        _ => Ok(()),
    }
}

/// Lets another stack serve the database from now on.
pub(super) async fn release(
    data_api: &DataApi,
    stack_id: &str,
    deadline: Deadline,
) -> Result<(), SyncError> {
    through_outages(deadline, async || {
        record::locked(data_api, deadline, async |transaction| {
            transaction.execute(RELEASE, vec![parameter("stack_id", stack_id)]).await?;
            Ok(End::Commit(()))
        })
        .await
    })
    .await
}
