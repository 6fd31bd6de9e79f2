//! Collects the logs of the functions and of the emulator in one file and, on request, on the
//! terminal.
//!
//! The emulator keeps the lines of an invocation until it has ended, so they come then, together.

use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;
use bytes::Bytes;
use hyper::Method;
use serde::Deserialize;
use tokio::task::JoinHandle;

use crate::http::Http;

const POLL_EVERY: Duration = Duration::from_millis(300);
/// The emulator dates lines before it publishes them.
const OVERLAP_MS: i64 = 5_000;

/// A function that gets each line besides the file; `name` is the function's, or `emulator`.
pub type Sink = Box<dyn Fn(&str, &str) + Send + Sync>;

/// Follows the logs until it is dropped.
#[derive(Debug)]
pub(crate) struct Follower {
    task: JoinHandle<()>,
}

impl Drop for Follower {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// The logs to follow.
pub(crate) struct Sources {
    pub(crate) endpoint_url: String,
    /// Functions' names and their log groups.
    pub(crate) groups: Vec<(&'static str, String)>,
    pub(crate) emulator_log: PathBuf,
}

pub(crate) fn follow(
    http: Http,
    sources: Sources,
    file: &Path,
    sink: Option<Sink>,
) -> anyhow::Result<Follower> {
    let mut file =
        File::create(file).with_context(|| format!("cannot write {}", file.display()))?;
    let mut emit = move |name: &str, line: &str| {
        if let Err(error) = writeln!(file, "{name:8} {line}") {
            tracing::warn!("cannot write the functions' log: {error}");
        }
        if let Some(sink) = &sink {
            sink(name, line);
        }
    };
    let task = tokio::spawn(async move {
        let mut groups: Vec<_> =
            sources.groups.into_iter().map(|(name, group)| (name, Group::new(group))).collect();
        let mut emulator = Emulator { path: sources.emulator_log, offset: 0, rest: String::new() };
        loop {
            for (name, group) in &mut groups {
                match group.fetch(&http, &sources.endpoint_url).await {
                    Ok(lines) => lines.iter().for_each(|line| emit(name, line)),
                    // It is gone, or about to be. Whoever waits for it says so.
                    Err(error) => tracing::debug!("cannot read the log of {name}: {error:#}"),
                }
            }
            emulator.troubles().iter().for_each(|line| emit("emulator", line));
            tokio::time::sleep(POLL_EVERY).await;
        }
    });
    Ok(Follower { task })
}

/// The log of a function. Each invocation is a stream of its own that appears when it is complete.
struct Group {
    name: String,
    since_ms: i64,
    /// The streams that were shown, with their times; older ones than `since_ms` do not come again.
    shown: HashMap<String, i64>,
}

#[derive(Deserialize)]
struct Events {
    events: Vec<Event>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Event {
    log_stream_name: String,
    timestamp: i64,
    message: String,
}

impl Group {
    fn new(name: String) -> Self {
        Self { name, since_ms: 0, shown: HashMap::new() }
    }

    async fn fetch(&mut self, http: &Http, endpoint_url: &str) -> anyhow::Result<Vec<String>> {
        let query = serde_json::json!({ "logGroupName": self.name, "startTime": self.since_ms });
        let headers = [
            ("content-type", "application/x-amz-json-1.1"),
            ("x-amz-target", "Logs_20140328.FilterLogEvents"),
        ];
        let answer = http
            .signed("logs", Method::POST, endpoint_url, &headers, Bytes::from(query.to_string()))
            .await?;
        let events: Events = serde_json::from_slice(&answer.body)
            .with_context(|| format!("unexpected answer: {}", answer.text()))?;
        Ok(self.fresh(events.events))
    }

    fn fresh(&mut self, events: Vec<Event>) -> Vec<String> {
        let mut streams = HashSet::new();
        let mut lines = Vec::new();
        for event in events {
            if self.shown.contains_key(&event.log_stream_name) {
                continue;
            }
            self.since_ms = self.since_ms.max(event.timestamp - OVERLAP_MS);
            streams.insert((event.log_stream_name, event.timestamp));
            if !is_platform_line(&event.message) {
                lines.push(event.message);
            }
        }
        self.shown.extend(streams);
        let since_ms = self.since_ms;
        self.shown.retain(|_, timestamp| *timestamp >= since_ms);
        lines
    }
}

/// Lambda's own words around an invocation; the function's log has them in its.
fn is_platform_line(line: &str) -> bool {
    ["START RequestId:", "END RequestId:", "REPORT RequestId:"]
        .iter()
        .any(|prefix| line.starts_with(prefix))
}

/// The emulator's own log, of which only the troubles are interesting.
struct Emulator {
    path: PathBuf,
    offset: u64,
    /// The beginning of a line whose end is not written yet.
    rest: String,
}

impl Emulator {
    fn troubles(&mut self) -> Vec<String> {
        let mut bytes = Vec::new();
        let read = File::open(&self.path).and_then(|mut file| {
            file.seek(SeekFrom::Start(self.offset))?;
            file.read_to_end(&mut bytes)
        });
        let Ok(n_bytes) = read else { return Vec::new() };
        self.offset += n_bytes as u64;
        let text = std::mem::take(&mut self.rest) + &String::from_utf8_lossy(&bytes);
        let (lines, rest) = text.rsplit_once('\n').unwrap_or(("", &text));
        rest.clone_into(&mut self.rest);
        lines
            .lines()
            .filter(|line| line.contains(" ERROR [") || line.contains(" WARNING ["))
            .map(str::to_owned)
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(stream: &str, timestamp: i64, message: &str) -> Event {
        Event { log_stream_name: stream.to_owned(), timestamp, message: message.to_owned() }
    }

    #[test]
    fn every_invocation_is_shown_once_and_forgotten_when_it_cannot_come_again() {
        let mut group = Group::new("group".to_owned());
        let events = || vec![event("a", 10_000, "START RequestId: 1"), event("a", 10_000, "one")];
        assert_eq!(group.fresh(events()), ["one"]);
        assert!(group.fresh(events()).is_empty());
        assert_eq!(group.fresh(vec![event("b", 60_000, "two")]), ["two"]);
        assert_eq!(group.since_ms, 55_000);
        assert_eq!(group.shown.len(), 1);
    }

    #[test]
    fn a_line_of_the_emulator_is_read_when_it_is_complete() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        let mut emulator = Emulator { path: path.clone(), offset: 0, rest: String::new() };
        assert!(emulator.troubles().is_empty());
        std::fs::write(&path, "a INFO [x] fine\nb ERROR [x] half").unwrap();
        assert!(emulator.troubles().is_empty());
        std::fs::write(&path, "a INFO [x] fine\nb ERROR [x] half done\n").unwrap();
        assert_eq!(emulator.troubles(), ["b ERROR [x] half done"]);
    }
}
