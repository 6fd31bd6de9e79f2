//! The log lines of functions, in the format in which they are deployed.

use std::io::{self, Write};
use std::sync::{Arc, Mutex, PoisonError};

use aurora_sync::functions::runtime;
use serde_json::Value;
use tracing::subscriber::DefaultGuard;

/// The lines that this thread has logged since it began to listen.
pub(crate) struct Log {
    bytes: Bytes,
    _listening: DefaultGuard,
}

#[derive(Clone, Default)]
struct Bytes(Arc<Mutex<Vec<u8>>>);

impl Write for Bytes {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Log {
    /// Listens to the lines from a level on.
    pub(crate) fn from_level(level: &str) -> Self {
        let bytes = Bytes::default();
        let writer = bytes.clone();
        let subscriber =
            runtime::subscriber(level, "aurora-sync/test".to_owned(), move || writer.clone());
        Self { bytes, _listening: tracing::subscriber::set_default(subscriber) }
    }

    /// Returns the lines with this message, in order.
    pub(crate) fn lines(&self, message: &str) -> Vec<Value> {
        let bytes = self.bytes.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let lines = String::from_utf8(bytes).unwrap();
        let lines = lines.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        lines.filter(|line| line["message"] == message).collect()
    }

    /// Returns the only line with this message.
    pub(crate) fn line(&self, message: &str) -> Value {
        let lines = self.lines(message);
        let [line] = lines.as_slice() else { panic!("{message}: {lines:?}") };
        line.clone()
    }
}

/// Returns the names of the metrics of a line in the embedded metric format, after it is checked
/// against the specification: the description names members whose values are numbers.
pub(crate) fn metrics(line: &Value) -> Vec<String> {
    let Some(aws) = line.get("_aws") else { return Vec::new() };
    assert!(aws["Timestamp"].as_u64().unwrap() > 1_700_000_000_000, "{line}");
    let directive = &aws["CloudWatchMetrics"][0];
    assert_eq!(directive["Namespace"], "aurora-sync/test", "{line}");
    assert_eq!(directive["Dimensions"], serde_json::json!([[]]), "{line}");
    let metrics = directive["Metrics"].as_array().unwrap().iter();
    let metrics = metrics.map(|metric| {
        let name = metric["Name"].as_str().unwrap();
        assert!(matches!(metric["Unit"].as_str(), Some("Count" | "Seconds")), "{line}");
        let is_value = match &line[name] {
            Value::Array(values) => values.len() <= 100 && values.iter().all(Value::is_number),
            value => value.is_number(),
        };
        assert!(is_value, "{name}: {line}");
        name.to_owned()
    });
    metrics.collect()
}
