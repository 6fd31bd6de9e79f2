//! The RDS Data API: statements and transactions on one Aurora cluster.
//!
//! Translates parameters, records and errors. Never retries a call: a statement has no idempotency
//! token, so only a caller who knows its effect may retry it (see
//! [`crate::database::transaction`]).

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use aws_config::SdkConfig;
use aws_config::retry::RetryConfig;
use aws_sdk_rdsdata::Client;
use aws_sdk_rdsdata::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_rdsdata::primitives::Blob;
use aws_sdk_rdsdata::types::{ArrayValue, Field as SdkField, SqlParameter};

use crate::domain::error::{DataApiError, DataApiFault, Disposition, SqlState};
use crate::domain::field::{ArrayField, Field, Parameter, Record};

/// A client of a cluster's Data API.
#[derive(Debug, Clone)]
pub struct DataApi {
    client: Client,
    target: DatabaseTarget,
    /// Its clones count together.
    counters: Arc<Counters>,
}

#[derive(Debug, Default)]
struct Counters {
    calls: AtomicU64,
    retries: AtomicU64,
    throttles: AtomicU64,
}

/// The use of the Data API.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Use {
    pub calls: u64,
    /// The calls that failed with a fault that may pass, so that their work is tried again.
    pub retries: u64,
    /// Those of them that the service limited.
    pub throttles: u64,
}

/// The cluster, the secret of a database user, and the database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DatabaseTarget {
    pub cluster_arn: String,
    pub secret_arn: String,
    pub database: String,
}

/// The service's id of an open transaction.
#[derive(Debug)]
pub struct TransactionId(String);

impl DataApi {
    /// Makes a client that never retries a call.
    pub fn new(config: &SdkConfig, target: DatabaseTarget) -> Self {
        let config = aws_sdk_rdsdata::config::Builder::from(config)
            .retry_config(RetryConfig::disabled())
            .build();
        Self { client: Client::from_conf(config), target, counters: Arc::default() }
    }

    /// Returns the database that the client uses.
    pub fn target(&self) -> &DatabaseTarget {
        &self.target
    }

    /// Returns the use since it was taken last.
    pub fn take_use(&self) -> Use {
        let take = |counter: &AtomicU64| counter.swap(0, Ordering::Relaxed);
        let Counters { calls, retries, throttles } = &*self.counters;
        Use { calls: take(calls), retries: take(retries), throttles: take(throttles) }
    }

    /// Counts a call, and translates its error.
    fn counted<T, E, R>(
        &self,
        operation: &'static str,
        commits: bool,
        result: Result<T, SdkError<E, R>>,
    ) -> Result<T, DataApiError>
    where
        E: ProvideErrorMetadata + std::error::Error + 'static,
        R: std::fmt::Debug + 'static,
    {
        let result = result.map_err(|error| data_api_error(operation, commits, &error));
        let count = |counter: &AtomicU64| counter.fetch_add(1, Ordering::Relaxed);
        count(&self.counters.calls);
        if let Err(error) = &result {
            if error.disposition() == Disposition::Retry {
                count(&self.counters.retries);
            }
            if error.fault == DataApiFault::Throttling {
                count(&self.counters.throttles);
            }
        }
        result
    }

    /// Runs one statement, and returns its records. Without a transaction, the statement commits
    /// itself.
    pub async fn execute(
        &self,
        transaction: Option<&TransactionId>,
        sql: &str,
        parameters: Vec<Parameter>,
    ) -> Result<Vec<Record>, DataApiError> {
        self.execute_with(transaction, sql, parameters, false).await
    }

    /// Runs one statement that goes on after the time for its response: 45 seconds. The error is
    /// then [`DataApiFault::StatementTimeout`].
    pub async fn execute_to_the_end(
        &self,
        transaction: Option<&TransactionId>,
        sql: &str,
    ) -> Result<(), DataApiError> {
        self.execute_with(transaction, sql, Vec::new(), true).await?;
        Ok(())
    }

    async fn execute_with(
        &self,
        transaction: Option<&TransactionId>,
        sql: &str,
        parameters: Vec<Parameter>,
        continue_after_timeout: bool,
    ) -> Result<Vec<Record>, DataApiError> {
        let response = self
            .client
            .execute_statement()
            .resource_arn(&self.target.cluster_arn)
            .secret_arn(&self.target.secret_arn)
            .database(&self.target.database)
            .set_transaction_id(transaction.map(|transaction| transaction.0.clone()))
            .sql(sql)
            .set_parameters(Some(sql_parameters(parameters)))
            .set_continue_after_timeout(continue_after_timeout.then_some(true))
            .send()
            .await;
        let output = self.counted("ExecuteStatement", transaction.is_none(), response)?;
        let records = output.records.unwrap_or_default();
        Ok(records.into_iter().map(|record| record.into_iter().map(field).collect()).collect())
    }

    /// Runs one statement once for each parameter set, in order.
    ///
    /// Runs nothing if `sets` is empty, as the service itself does.
    pub async fn batch_execute(
        &self,
        transaction: &TransactionId,
        sql: &str,
        sets: Vec<Vec<Parameter>>,
    ) -> Result<(), DataApiError> {
        let response = self
            .client
            .batch_execute_statement()
            .resource_arn(&self.target.cluster_arn)
            .secret_arn(&self.target.secret_arn)
            .database(&self.target.database)
            .transaction_id(&transaction.0)
            .sql(sql)
            .set_parameter_sets(Some(sets.into_iter().map(sql_parameters).collect()))
            .send()
            .await;
        self.counted("BatchExecuteStatement", false, response)?;
        Ok(())
    }

    /// Begins a transaction.
    pub async fn begin(&self) -> Result<TransactionId, DataApiError> {
        let response = self
            .client
            .begin_transaction()
            .resource_arn(&self.target.cluster_arn)
            .secret_arn(&self.target.secret_arn)
            .database(&self.target.database)
            .send()
            .await;
        let output = self.counted("BeginTransaction", false, response)?;
        output.transaction_id.map(TransactionId).ok_or(DataApiError {
            operation: "BeginTransaction",
            commits: false,
            fault: DataApiFault::NoResponse,
            message: "the response has no transaction id".to_owned(),
        })
    }

    /// Commits the transaction. After an error that is not PostgreSQL's own, the result is unknown.
    pub async fn commit(&self, transaction: &TransactionId) -> Result<(), DataApiError> {
        let response = self
            .client
            .commit_transaction()
            .resource_arn(&self.target.cluster_arn)
            .secret_arn(&self.target.secret_arn)
            .transaction_id(&transaction.0)
            .send()
            .await;
        self.counted("CommitTransaction", true, response)?;
        Ok(())
    }

    /// Rolls the transaction back.
    pub async fn rollback(&self, transaction: &TransactionId) -> Result<(), DataApiError> {
        let response = self
            .client
            .rollback_transaction()
            .resource_arn(&self.target.cluster_arn)
            .secret_arn(&self.target.secret_arn)
            .transaction_id(&transaction.0)
            .send()
            .await;
        self.counted("RollbackTransaction", false, response)?;
        Ok(())
    }
}

fn sql_parameters(parameters: Vec<Parameter>) -> Vec<SqlParameter> {
    parameters
        .into_iter()
        .map(|Parameter { name, value }| {
            SqlParameter::builder()
                .name(name)
                .value(value.map_or(SdkField::IsNull(true), SdkField::StringValue))
                .build()
        })
        .collect()
}

fn field(field: SdkField) -> Field {
    match field {
        SdkField::BooleanValue(value) => Field::Boolean(value),
        SdkField::LongValue(value) => Field::Long(value),
        SdkField::DoubleValue(value) => Field::Double(value),
        SdkField::StringValue(value) => Field::Text(value),
        SdkField::BlobValue(value) => Field::Blob(base64(&value)),
        SdkField::ArrayValue(value) => array_field(value).map_or(Field::Null, Field::Array),
        // NULL, and members that the model does not have yet.
        _ => Field::Null,
    }
}

fn array_field(value: ArrayValue) -> Option<ArrayField> {
    Some(match value {
        ArrayValue::BooleanValues(values) => ArrayField::BooleanValues(values),
        ArrayValue::LongValues(values) => ArrayField::LongValues(values),
        ArrayValue::DoubleValues(values) => ArrayField::DoubleValues(values),
        ArrayValue::StringValues(values) => ArrayField::StringValues(values),
        ArrayValue::ArrayValues(values) => ArrayField::ArrayValues(
            values.into_iter().map(|value| value.and_then(array_field)).collect(),
        ),
        _ => return None,
    })
}

fn base64(blob: &Blob) -> String {
    aws_smithy_types::base64::encode(blob.as_ref())
}

/// Translates an error of the service.
fn data_api_error<E, R>(
    operation: &'static str,
    commits: bool,
    error: &SdkError<E, R>,
) -> DataApiError
where
    E: ProvideErrorMetadata + std::error::Error + 'static,
    R: std::fmt::Debug + 'static,
{
    match error {
        SdkError::ServiceError(response) => {
            let message = response.err().message().unwrap_or_default().to_owned();
            let fault = fault(response.err().code().unwrap_or_default(), &message);
            DataApiError { operation, commits, fault, message }
        }
        // The request was not sent, the response did not arrive in time, or it is unreadable.
        other => DataApiError {
            operation,
            commits,
            fault: DataApiFault::NoResponse,
            message: super::error_text(other),
        },
    }
}

fn fault(code: &str, message: &str) -> DataApiFault {
    match code {
        "DatabaseErrorException" | "BadRequestException" => {
            SqlState::from_message(message).map_or(DataApiFault::BadRequest, DataApiFault::Sql)
        }
        "DatabaseResumingException" => DataApiFault::Resuming,
        "DatabaseUnavailableException" => DataApiFault::Unavailable,
        "DatabaseNotFoundException" => DataApiFault::DatabaseNotFound,
        "ServiceUnavailableError" => DataApiFault::ServiceUnavailable,
        "InternalServerErrorException" | "InternalFailure" => DataApiFault::InternalServerError,
        "StatementTimeoutException" => DataApiFault::StatementTimeout,
        "TransactionNotFoundException" => DataApiFault::TransactionNotFound,
        "NotFoundException" => DataApiFault::NotFound,
        "InvalidResourceStateException" => DataApiFault::InvalidResourceState,
        "HttpEndpointNotEnabledException" => DataApiFault::HttpEndpointNotEnabled,
        "SecretsErrorException" => DataApiFault::SecretsError,
        "InvalidSecretException" => DataApiFault::InvalidSecret,
        "UnsupportedResultException" => DataApiFault::UnsupportedResult,
        "AccessDeniedException" => DataApiFault::AccessDenied,
        "ForbiddenException" => DataApiFault::Forbidden,
        "ValidationException" => DataApiFault::Validation,
        "ThrottlingException" | "TooManyRequestsException" => DataApiFault::Throttling,
        other => DataApiFault::Unknown(other.to_owned()),
    }
}
