//! Metrics: log lines that CloudWatch turns into numbers.
//!
//! `apply`, `import`, `prune` and `refresh` log one line for each invocation in the embedded metric
//! format, which can hold several values of a metric. Metric filters of `template.yaml` count other
//! lines. CloudWatch Logs reads both, so that no function calls another service. `enqueue` logs
//! no line for a good request: it would cost more than those of `apply`.
//! `docs/reference/metrics.md` lists the metrics.

use std::fmt;
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};
use tracing::{Event, Subscriber};
use tracing_subscriber::fmt::format::{Format, Json, JsonFields, Writer};
use tracing_subscriber::fmt::{FmtContext, FormatEvent};
use tracing_subscriber::registry::LookupSpan;

/// The target of the lines that make metrics. They are logged at every level.
pub const TARGET: &str = "metric";

/// The fields that are metrics in the embedded metric format, with their units.
pub const EMBEDDED: [(&str, &str); 17] = [
    ("accepted_writes", "Count"),
    ("settled_writes", "Count"),
    ("settling_seconds", "Seconds"),
    ("read_rows", "Count"),
    ("written_rows", "Count"),
    ("unchanged_rows", "Count"),
    ("superseded_rows", "Count"),
    ("rejected_rows", "Count"),
    ("failed_imports", "Count"),
    ("blocked_imports", "Count"),
    ("continued_imports", "Count"),
    ("import_wait_seconds", "Seconds"),
    ("unfinished_prunings", "Count"),
    ("unpublished_events", "Count"),
    ("data_api_calls", "Count"),
    ("data_api_retries", "Count"),
    ("data_api_throttles", "Count"),
];

/// Logs a line of metrics, with the use of the Data API since the last such line.
macro_rules! line {
    ($level:ident, $data_api:expr, $($fields:tt)+) => {{
        let used = $data_api.take_use();
        tracing::$level!(
            target: $crate::functions::metrics::TARGET,
            data_api_calls = used.calls,
            data_api_retries = used.retries,
            data_api_throttles = used.throttles,
            $($fields)+
        );
    }};
}
pub(crate) use line;

/// The values of a metric, in the order of their events. The format allows 100 in one line.
#[derive(Debug)]
pub struct Values<'a>(pub &'a [f64]);

impl fmt::Display for Values<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let values: Vec<_> = self.0.iter().take(100).map(|value| format!("{value:.3}")).collect();
        write!(f, "[{}]", values.join(","))
    }
}

/// The format of log lines: one JSON object, in the embedded metric format if it holds metrics.
#[derive(Debug)]
pub struct JsonLines {
    format: Format<Json, ()>,
    namespace: String,
}

impl JsonLines {
    /// Makes the format for metrics of a namespace.
    pub fn new(namespace: String) -> Self {
        // CloudWatch adds its own time.
        let format = Format::default().json().flatten_event(true).without_time();
        let format = format.with_current_span(true).with_span_list(false).with_target(false);
        Self { format, namespace }
    }

    /// Returns the line with the description of its metrics. A metric that is zero is left out:
    /// nobody has to pay for it.
    fn described(&self, line: String) -> String {
        let Ok(Value::Object(mut members)) = serde_json::from_str(&line) else { return line };
        let mut metrics = Vec::new();
        for (name, unit) in EMBEDDED {
            let Some(value) = members.get_mut(name) else { continue };
            if let Some(Ok(values)) = value.as_str().map(serde_json::from_str) {
                *value = values;
            }
            if *value != json!(0) && *value != json!([]) {
                metrics.push(json!({ "Name": name, "Unit": unit }));
            }
        }
        if !metrics.is_empty() {
            let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
            let timestamp = u64::try_from(now.as_millis()).unwrap_or_default();
            let description = json!([{
                "Namespace": self.namespace,
                "Dimensions": [[]],
                "Metrics": metrics,
            }]);
            let aws = json!({ "Timestamp": timestamp, "CloudWatchMetrics": description });
            members.insert("_aws".to_owned(), aws);
        }
        Value::Object(members).to_string()
    }
}

impl<S> FormatEvent<S, JsonFields> for JsonLines
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, JsonFields>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        if event.metadata().target() != TARGET {
            return self.format.format_event(context, writer, event);
        }
        let mut line = String::new();
        self.format.format_event(context, Writer::new(&mut line), event)?;
        writeln!(writer, "{}", self.described(line))
    }
}
