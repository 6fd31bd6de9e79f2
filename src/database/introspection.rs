//! Reads the tables from the running database.

use aurora_sync_catalog::{Catalog, introspection};

use super::transaction::awake;
use crate::aws::data_api::DataApi;
use crate::domain::deadline::Deadline;
use crate::domain::error::SyncError;
use crate::domain::field::{Field, Record, parameter};

/// Reads the tables that the database roles may use, in one call for each 500,000 bytes of their
/// descriptions. Waits while the database resumes.
pub async fn read_catalog(data_api: &DataApi, deadline: Deadline) -> Result<Catalog, SyncError> {
    let mut documents = Vec::new();
    let mut after = 0_i64;
    loop {
        let call = awake(deadline, async || {
            let after = parameter("after", after.to_string().as_str());
            data_api.execute(None, introspection::TABLES, vec![after]).await
        });
        let records = tokio::time::timeout(deadline.remaining(), call)
            .await
            .map_err(|_| SyncError::OutOfTime)??;
        let mut has_more = false;
        for record in records {
            let (oid, document, more) = row(record)?;
            documents.push(document);
            (after, has_more) = (oid, more);
        }
        if !has_more {
            break;
        }
    }
    introspection::catalog(documents.iter().map(String::as_str))
        .map_err(|error| SyncError::Inconsistent(crate::domain::error::chain(&error)))
}

fn row(record: Record) -> Result<(i64, String, bool), SyncError> {
    match <[Field; 3]>::try_from(record) {
        Ok([Field::Long(oid), Field::Text(document), Field::Boolean(has_more)]) => {
            Ok((oid, document, has_more))
        }
        _ => Err(SyncError::Inconsistent("a row of the introspection has other fields".to_owned())),
    }
}
