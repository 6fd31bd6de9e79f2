//! Reads the condition of the database: the users of the functions, and the message groups that
//! wait for a person.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tokio::time::timeout;

use super::transaction::awake;
use crate::aws::data_api::DataApi;
use crate::domain::deadline::Deadline;
use crate::domain::error::SyncError;
use crate::domain::field::Field;

const USERS: &str = include_str!("users.sql");
const BLOCKED: &str = include_str!("blocked.sql");

/// The condition of the database.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Condition {
    /// The users that can log in and inherit the rights of one of the two roles.
    pub users: Vec<User>,
    /// The rights on the worker's own schema that the two roles lack.
    pub missing_rights: Vec<String>,
    pub blocked: Vec<BlockedGroup>,
}

/// A user of the functions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct User {
    pub name: String,
    /// `sync_reader`, `sync_writer` or both.
    pub roles: Vec<String>,
    pub is_superuser: bool,
    pub bypasses_row_security: bool,
    /// The offered tables that the user owns, the first 20.
    pub owns: Vec<String>,
}

/// A message group that waits for a person.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BlockedGroup {
    pub group: String,
    /// The number of its writes that are not settled.
    pub writes: u64,
    /// The rule or, of an error of PostgreSQL, the SQLSTATE.
    pub cause: String,
    pub since: String,
    pub tried_at: String,
}

#[derive(Debug, Deserialize)]
struct Users {
    users: Vec<User>,
    missing_rights: Vec<String>,
}

/// Reads the condition. Looks for blocked groups only if no right on the schema `sync` is missing.
pub async fn read_condition(
    data_api: &DataApi,
    deadline: Deadline,
) -> Result<Condition, SyncError> {
    let Users { users, missing_rights } = document(data_api, USERS, deadline).await?;
    let blocked = match missing_rights.as_slice() {
        [] => document(data_api, BLOCKED, deadline).await?,
        _ => Vec::new(),
    };
    Ok(Condition { users, missing_rights, blocked })
}

/// Runs a query whose result is one JSON document.
async fn document<T: DeserializeOwned>(
    data_api: &DataApi,
    sql: &str,
    deadline: Deadline,
) -> Result<T, SyncError> {
    let call = awake(deadline, async || data_api.execute(None, sql, Vec::new()).await);
    let records = timeout(deadline.remaining(), call).await.map_err(|_| SyncError::OutOfTime)??;
    let other = || SyncError::Inconsistent("the condition of the database has other fields".into());
    let Some([Field::Text(text)]) = records.first().map(Vec::as_slice) else { return Err(other()) };
    serde_json::from_str(text).map_err(|_| other())
}
