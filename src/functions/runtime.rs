//! The Lambda runtime of all functions: logs as JSON, deadlines, and errors.

use std::pin::Pin;
use std::time::Duration;

use lambda_runtime::{Diagnostic, LambdaEvent, service_fn};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::time::Instant;
use tracing::Instrument;
use tracing_subscriber::EnvFilter;

use crate::aws::SdkConfig;
use crate::aws::functions::Function;
use crate::aws::objects::Objects;
use crate::domain::deadline::Deadline;
use crate::domain::error::{SyncError, chain};
use crate::functions::config::{Config, ConfigError};
use crate::functions::tables::Tables;

/// The part of an invocation's time that is kept for its response.
const RESERVE: Duration = Duration::from_secs(3);

/// Sends logs to standard output, one JSON object per line, as CloudWatch Logs reads them.
pub fn init_logs(level: &str) {
    // CloudWatch adds its own time.
    tracing_subscriber::fmt()
        .json()
        .flatten_event(true)
        .without_time()
        .with_current_span(true)
        .with_span_list(false)
        .with_target(false)
        .with_env_filter(EnvFilter::try_new(level).unwrap_or_else(|_| EnvFilter::new("info")))
        .init();
}

/// Loads the tables of the catalog, before the first invocation.
pub async fn load_tables<V: Fn(&str) -> Option<String>>(
    config: &Config<V>,
    sdk_config: &SdkConfig,
) -> Result<Tables, ConfigError> {
    let refresh = Function::new(sdk_config, config.refresh_function()?);
    let objects = Objects::new(sdk_config);
    let tables = Tables::stored(objects, config.catalog_bucket()?, Some(refresh));
    tables.load().await;
    Ok(tables)
}

/// Serves invocations until the process ends. The deadline that `handler` gets is three seconds
/// before Lambda's.
pub async fn serve<E, A>(
    handler: impl AsyncFn(E, Deadline) -> Result<A, SyncError>,
) -> anyhow::Result<()>
where
    E: DeserializeOwned,
    A: Serialize,
{
    let handler = &handler;
    lambda_runtime::run(service_fn(move |event: LambdaEvent<E>| {
        let span = tracing::info_span!("invocation", request_id = event.context.request_id);
        let deadline = Deadline::from_unix_ms(event.context.deadline).less(RESERVE);
        async move {
            let started = Instant::now();
            // Boxed without its type, since the futures of SDK calls nest deeper than the
            // compiler's limit on types.
            let work: Pin<Box<dyn Future<Output = _> + '_>> =
                Box::pin(handler(event.payload, deadline));
            let result = work.await;
            let duration_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
            match result {
                Ok(response) => {
                    // Lambda's own metric has the duration too, and each line is paid for.
                    tracing::debug!(duration_ms, "invocation done");
                    Ok(response)
                }
                Err(error) => {
                    tracing::error!(duration_ms, error = chain(&error), "invocation failed");
                    Err(diagnostic(&error))
                }
            }
        }
        .instrument(span)
    }))
    .await
    .map_err(|error| anyhow::anyhow!(error))
}

/// Formats an error for Lambda: the disposition as its type, and the message with all causes.
fn diagnostic(error: &SyncError) -> Diagnostic {
    Diagnostic { error_type: format!("{:?}", error.disposition()), error_message: chain(error) }
}
