//! The five operations: what each does, from a request to an answer.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::error::ApiError;
use crate::operation::Operation;
use crate::pg_error::SqlError;
use crate::request::Request;
use crate::service::Service;
use crate::validation::{self, arn, required};

impl Service {
    /// Does what was asked. With `sql_fault`, PostgreSQL fails with that SQLSTATE instead.
    pub(crate) async fn perform(
        self: &Arc<Self>,
        operation: Operation,
        request: &Request<'_>,
        sql_fault: Option<&str>,
    ) -> Result<Value, ApiError> {
        self.check_target(request).await?;
        validation::check(request)?;
        if operation.starts_work() && self.pause.is_resuming(self.sessions.clock.now()) {
            return Err(ApiError::injected("DatabaseResumingException"));
        }
        match operation {
            Operation::Execute => self.execute(request, sql_fault).await,
            Operation::BatchExecute => self.batch_execute(request, sql_fault).await,
            Operation::Begin => match sql_fault {
                Some(state) => Err(SqlError::injected(state).into()),
                None => {
                    let secret = arn(request.secret_arn.as_deref(), "secretArn")?;
                    let id = self.sessions.begin(secret, request.database.as_deref()).await?;
                    Ok(json!({ "transactionId": id }))
                }
            },
            Operation::Commit => {
                // PostgreSQL answers the commit of a failed transaction with a rollback and no
                // error.
                self.end(request, "COMMIT", sql_fault).await?;
                Ok(json!({ "transactionStatus": "Transaction Committed" }))
            }
            Operation::Rollback => {
                self.end(request, "ROLLBACK", sql_fault).await?;
                Ok(json!({ "transactionStatus": "Rollback Complete" }))
            }
        }
    }

    async fn check_target(&self, request: &Request<'_>) -> Result<(), ApiError> {
        let cluster = arn(request.resource_arn.as_deref(), "resourceArn")?;
        let secret = arn(request.secret_arn.as_deref(), "secretArn")?;
        if self.cluster_arn.as_ref().is_some_and(|known| known != cluster) {
            let message = format!("HttpEndpoint is not enabled for resource {cluster}");
            return Err(ApiError::new("HttpEndpointNotEnabledException", message));
        }
        self.sessions.secrets.credentials(secret).await?;
        Ok(())
    }

    async fn end(
        &self,
        request: &Request<'_>,
        sql: &str,
        sql_fault: Option<&str>,
    ) -> Result<(), ApiError> {
        let secret = arn(request.secret_arn.as_deref(), "secretArn")?;
        let id = required(request.transaction_id.as_deref(), "transactionId")?;
        match sql_fault {
            None => self.sessions.end(secret, id, sql).await,
            Some(state) => {
                self.sessions.end(secret, id, "ROLLBACK").await?;
                Err(SqlError::injected(state).into())
            }
        }
    }
}
