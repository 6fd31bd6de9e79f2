//! Migrates the database: applies each file of `sql/` once, in order, in a transaction of its own.
//!
//! Two invocations at a time are safe: each transaction takes a lock, so that the second one waits
//! and then sees the changes of the first.

use std::collections::HashMap;

use aurora_sync_catalog::Migration;
use serde::Deserialize;
use serde_json::Value;

use crate::aws::cloudformation::CloudFormation;
use crate::aws::data_api::DataApi;
use crate::database::transaction::{End, Transaction, in_transaction};
use crate::domain::deadline::Deadline;
use crate::domain::error::{SyncError, chain};
use crate::domain::field::parameter;

/// The lock, which the transaction holds until it ends. The number is "sync" in ASCII.
const LOCK: &str = "SELECT pg_advisory_xact_lock(1937337955)::text";

const CREATE_SCHEMA: &str = "CREATE SCHEMA IF NOT EXISTS sync";

const CREATE_TABLE: &str = "CREATE TABLE IF NOT EXISTS sync.migration (
  name text PRIMARY KEY,
  checksum text NOT NULL,
  applied_at timestamptz NOT NULL DEFAULT clock_timestamp()
)";

const APPLIED: &str = "SELECT name, checksum FROM sync.migration";

const APPLIED_ONE: &str = "SELECT name, checksum FROM sync.migration WHERE name = :name::text";

const RECORD: &str =
    "INSERT INTO sync.migration (name, checksum) VALUES (:name::text, :checksum::text)";

/// A dump empties `search_path` for its session, and the Data API uses sessions again.
const RESET: &str = "RESET ALL";

/// The configuration and clients of the function.
#[derive(Debug)]
pub struct Migrate {
    pub migrations: Vec<Migration>,
    pub data_api: DataApi,
}

/// An error that leaves migrations unapplied.
#[derive(Debug, thiserror::Error)]
pub enum MigrateError {
    #[error("{name} was applied with other content; revert the change and put it into a new file")]
    Changed { name: String },
    #[error("{name}, line {line}")]
    Statement {
        name: String,
        line: usize,
        #[source]
        source: SyncError,
    },
    #[error(transparent)]
    Sync(#[from] SyncError),
}

/// Applies the migrations that are not applied yet, and returns their names.
pub async fn run(migrate: &Migrate, deadline: Deadline) -> Result<Vec<String>, MigrateError> {
    let applied = in_transaction(&migrate.data_api, deadline, async |transaction| {
        transaction.execute(LOCK, Vec::new()).await?;
        transaction.execute(CREATE_SCHEMA, Vec::new()).await?;
        transaction.execute(CREATE_TABLE, Vec::new()).await?;
        Ok(End::Commit(checksums(transaction, None).await?))
    })
    .await?;
    let mut done = Vec::new();
    for migration in &migrate.migrations {
        match applied.get(&migration.name) {
            Some(checksum) if *checksum == migration.checksum => {}
            Some(_) => return Err(MigrateError::Changed { name: migration.name.clone() }),
            None => {
                if apply(migrate, migration, deadline).await? {
                    tracing::info!(name = migration.name, "migration applied");
                    done.push(migration.name.clone());
                }
            }
        }
    }
    Ok(done)
}

/// The end of a file's transaction.
#[derive(Debug)]
enum Applied {
    ByUs,
    ByAnother(String),
    /// The statement that begins on this line failed.
    Failed(usize, SyncError),
}

/// Applies one file. Returns `false` if another invocation has applied it.
async fn apply(
    migrate: &Migrate,
    migration: &Migration,
    deadline: Deadline,
) -> Result<bool, MigrateError> {
    let applied = in_transaction(&migrate.data_api, deadline, async |transaction| {
        transaction.execute(LOCK, Vec::new()).await?;
        let known = checksums(transaction, Some(&migration.name)).await?;
        if let Some(checksum) = known.into_values().next() {
            return Ok(End::Rollback(Applied::ByAnother(checksum)));
        }
        for statement in &migration.statements {
            if let Err(error) = transaction.execute(&statement.sql, Vec::new()).await {
                if error.is_serialization_failure() {
                    return Err(error.into());
                }
                return Ok(End::Rollback(Applied::Failed(statement.line, error.into())));
            }
        }
        transaction.execute(RESET, Vec::new()).await?;
        let parameters = vec![
            parameter("name", migration.name.as_str()),
            parameter("checksum", migration.checksum.as_str()),
        ];
        transaction.execute(RECORD, parameters).await?;
        Ok(End::Commit(Applied::ByUs))
    });
    match attempt(applied.await)? {
        Applied::ByUs => Ok(true),
        Applied::ByAnother(checksum) if checksum == migration.checksum => Ok(false),
        Applied::ByAnother(_) => Err(MigrateError::Changed { name: migration.name.clone() }),
        Applied::Failed(line, source) => {
            Err(MigrateError::Statement { name: migration.name.clone(), line, source })
        }
    }
}

fn attempt(result: Result<Applied, SyncError>) -> Result<Applied, MigrateError> {
    result.map_err(MigrateError::from)
}

async fn checksums(
    transaction: &Transaction<'_>,
    name: Option<&str>,
) -> Result<HashMap<String, String>, SyncError> {
    let records = match name {
        None => transaction.execute(APPLIED, Vec::new()).await?,
        Some(name) => transaction.execute(APPLIED_ONE, vec![parameter("name", name)]).await?,
    };
    let text = |field: Option<&crate::domain::field::Field>| Some(field?.as_text()?.to_owned());
    Ok(records
        .iter()
        .filter_map(|record| Some((text(record.first())?, text(record.get(1))?)))
        .collect())
}

/// The members of CloudFormation's request that the function uses.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct CustomResourceRequest {
    request_type: String,
    #[serde(rename = "ResponseURL")]
    response_url: String,
    stack_id: String,
    request_id: String,
    logical_resource_id: String,
    physical_resource_id: Option<String>,
}

/// Migrates the database, and always sends CloudFormation a response. Without one, the stack waits
/// for an hour.
pub async fn handle(
    migrate: &Migrate,
    cloudformation: &CloudFormation,
    event: Value,
    deadline: Deadline,
) -> Result<(), SyncError> {
    let request: CustomResourceRequest = serde_json::from_value(event).map_err(|error| {
        SyncError::Inconsistent(format!("the event is not a custom resource's request: {error}"))
    })?;
    let failure = match request.request_type.as_str() {
        // The tables stay, since they hold the user's data.
        "Delete" => None,
        _ => run(migrate, deadline).await.err(),
    };
    if let Some(error) = &failure {
        tracing::error!(error = chain(error), "migration failed");
    }
    let response = serde_json::json!({
        "Status": if failure.is_some() { "FAILED" } else { "SUCCESS" },
        // CloudFormation allows at most 4,096 bytes for the whole response.
        "Reason": failure.as_ref().map(|error| chain(error).chars().take(800).collect::<String>()),
        // The id must never change: with another id, CloudFormation would delete the "old"
        // resource.
        "PhysicalResourceId": request.physical_resource_id.as_deref().unwrap_or("aurora-sync-migrations"),
        "StackId": request.stack_id,
        "RequestId": request.request_id,
        "LogicalResourceId": request.logical_resource_id,
    });
    cloudformation.respond(&request.response_url, response.to_string()).await?;
    Ok(())
}
