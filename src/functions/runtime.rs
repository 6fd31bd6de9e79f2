//! The Lambda runtime of all functions: logs as JSON, deadlines, and errors.

use std::pin::Pin;
use std::str::FromStr;
use std::time::Duration;

use lambda_runtime::{Diagnostic, LambdaEvent, service_fn};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::time::Instant;
use tracing::{Instrument, Subscriber};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::Directive;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::fmt::format::JsonFields;
use tracing_subscriber::util::SubscriberInitExt;
use uuid::Uuid;

use crate::aws::SdkConfig;
use crate::aws::data_api::DataApi;
use crate::aws::event_bus::EventBus;
use crate::aws::functions::Function;
use crate::aws::objects::Objects;
use crate::domain::deadline::Deadline;
use crate::domain::error::{SyncError, chain};
use crate::functions::config::{Config, ConfigError};
use crate::functions::metrics::{self, JsonLines};
use crate::functions::outbox::Outbox;
use crate::functions::tables::Tables;

/// The part of an invocation's time that is kept for its response.
const RESERVE: Duration = Duration::from_secs(3);

/// Sends logs to standard output, one JSON object per line, as CloudWatch Logs reads them.
pub fn init_logs<V: Fn(&str) -> Option<String>>(config: &Config<V>) {
    subscriber(&config.log_level(), config.metrics_namespace(), std::io::stdout).init();
}

/// Makes the subscriber that logs to a writer, from a level on.
pub fn subscriber<W>(
    level: &str,
    namespace: String,
    writer: W,
) -> impl Subscriber + Send + Sync + 'static
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    let filter = EnvFilter::try_new(level).unwrap_or_else(|_| EnvFilter::new("info"));
    let metrics = Directive::from_str(&format!("{}=trace", metrics::TARGET));
    tracing_subscriber::fmt()
        .fmt_fields(JsonFields::new())
        .event_format(JsonLines::new(namespace))
        .with_writer(writer)
        .with_env_filter(metrics.into_iter().fold(filter, EnvFilter::add_directive))
        .finish()
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

/// Makes the outbox, if the deployment has an event bus.
pub fn outbox<V: Fn(&str) -> Option<String>>(
    config: &Config<V>,
    sdk_config: &SdkConfig,
    data_api: &DataApi,
) -> Option<Outbox> {
    let bus = config.event_bus()?;
    let bus = EventBus::new(sdk_config, bus, data_api.target().cluster_arn.clone());
    Some(Outbox::new(data_api.clone(), bus))
}

/// One invocation of a function.
#[derive(Debug, Clone)]
pub struct Invocation {
    /// The time by which the handler must be done: three seconds before Lambda's.
    pub deadline: Deadline,
    /// The id of the invocation, which its log lines have.
    pub request_id: Option<Uuid>,
    /// The trace to which the invocation belongs, as X-Ray's header has it.
    pub trace: Option<String>,
}

impl Invocation {
    /// Makes an invocation of which only the deadline is known.
    pub fn until(deadline: Deadline) -> Self {
        Self { deadline, request_id: None, trace: None }
    }
}

/// Serves invocations until the process ends.
pub async fn serve<E, A>(
    handler: impl AsyncFn(E, Invocation) -> Result<A, SyncError>,
) -> anyhow::Result<()>
where
    E: DeserializeOwned,
    A: Serialize,
{
    let handler = &handler;
    lambda_runtime::run(service_fn(move |event: LambdaEvent<E>| {
        let LambdaEvent { payload, context } = event;
        let span = tracing::info_span!("invocation", request_id = context.request_id);
        let invocation = Invocation {
            deadline: Deadline::from_unix_ms(context.deadline).less(RESERVE),
            request_id: Uuid::parse_str(&context.request_id).ok(),
            trace: context.xray_trace_id,
        };
        async move {
            let started = Instant::now();
            // Boxed without its type, since the futures of SDK calls nest deeper than the
            // compiler's limit on types.
            let work: Pin<Box<dyn Future<Output = _> + '_>> =
                Box::pin(handler(payload, invocation));
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
