//! Migrates the database: applies each file of `sql/` once, in order, and the worker's own files
//! again whenever they change.
//!
//! Two invocations at a time are safe: each takes a lock for each file, so that the second one
//! waits and then sees the changes of the first. An outage is repeated until the deadline.

mod apply;
mod custom_resource;
mod error;
mod files;
mod migration;
mod outage;
mod record;
mod split;
mod stack;
mod users;

use std::collections::HashMap;
use std::path::PathBuf;

use self::files::SqlFile;
use self::migration::Migration;
use self::outage::through_outages;
use crate::aws::data_api::DataApi;
use crate::database::roles;
use crate::database::transaction::End;
use crate::domain::deadline::Deadline;

pub use self::custom_resource::{Deployment, handle};
pub use self::error::MigrateError;
pub use self::users::Users;

/// The configuration and clients of the function.
#[derive(Debug)]
pub struct Migrate {
    /// The folder of the user's files, which need not exist.
    pub sql_folder: PathBuf,
    pub data_api: DataApi,
}

/// Applies the files that are not applied yet, and returns their names.
///
/// `baseline` is the name of the last of the user's files that describe what the database already
/// has. It and those before it are recorded as applied, and not run. Nothing runs if one of the
/// files to apply is refused.
pub async fn run(
    migrate: &Migrate,
    baseline: Option<&str>,
    deadline: Deadline,
) -> Result<Vec<String>, MigrateError> {
    let of_user = files::of_user(&migrate.sql_folder)?;
    let described = described(&of_user, baseline)?;
    let own = files::own();
    let pending = through_outages(deadline, async || {
        record::locked(&migrate.data_api, deadline, async |transaction| {
            record::create(transaction).await?;
            transaction.execute(roles::CREATE, Vec::new()).await?;
            let mut applied = record::checksums(transaction).await?;
            for file in described {
                if !applied.contains_key(&file.name) {
                    record::add(transaction, &file.name, &file.checksum()).await?;
                    tracing::info!(name = file.name, "migration recorded, and not run");
                    applied.insert(file.name.clone(), file.checksum());
                }
            }
            let pending =
                changed(&own, &applied).and_then(|own| Ok((own, pending(&of_user, &applied)?)));
            Ok(match pending {
                Ok(pending) => End::Commit(Ok(pending)),
                Err(error) => End::Rollback(Err(error)),
            })
        })
        .await
    });
    let (own, of_user) = pending.await??;
    let mut done = apply::apply_own(&migrate.data_api, &own, deadline).await?;
    if !done.is_empty() {
        tracing::info!(names = done.join(", "), "own schema applied");
    }
    for migration in of_user {
        if apply::apply(&migrate.data_api, &migration, deadline).await? {
            tracing::info!(name = migration.name, "migration applied");
            done.push(migration.name);
        }
    }
    Ok(done)
}

/// Returns the files that describe what the database already has: those up to the baseline.
fn described<'f>(
    files: &'f [SqlFile],
    baseline: Option<&str>,
) -> Result<&'f [SqlFile], MigrateError> {
    let Some(baseline) = baseline else { return Ok(&[]) };
    let index = files.iter().position(|file| file.name == baseline);
    index.and_then(|index| files.get(..=index)).ok_or_else(|| {
        let names: Vec<_> = files.iter().map(|file| file.name.as_str()).collect();
        let files = if names.is_empty() { "it holds none".to_owned() } else { names.join(", ") };
        MigrateError::NoBaseline { baseline: baseline.to_owned(), files }
    })
}

/// Returns the worker's own files that are not applied as they are now.
fn changed(
    files: &[SqlFile],
    applied: &HashMap<String, String>,
) -> Result<Vec<Migration>, MigrateError> {
    let is_new = |file: &&SqlFile| applied.get(&file.name) != Some(&file.checksum());
    files.iter().filter(is_new).map(Migration::of).collect()
}

/// Returns the user's files that are not applied. One that changed after it was applied is an
/// error, and so is one that cannot be run.
fn pending(
    files: &[SqlFile],
    applied: &HashMap<String, String>,
) -> Result<Vec<Migration>, MigrateError> {
    let mut pending = Vec::new();
    for file in files {
        match applied.get(&file.name) {
            Some(checksum) if *checksum == file.checksum() => {}
            Some(_) => return Err(MigrateError::Changed { name: file.name.clone() }),
            None => pending.push(Migration::of(file)?),
        }
    }
    Ok(pending)
}
