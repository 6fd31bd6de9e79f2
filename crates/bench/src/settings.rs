//! The choices of one run: parts, sizes, rounds.

use std::time::Duration;

use clap::ValueEnum;

use crate::data::Table;

/// A part of the benchmark.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Name {
    /// CSV files, beside psql and Python
    Import,
    /// Writes at the function behind the queue, beside Python
    Writes,
    /// Look-ups, beside Python
    Lookups,
    /// Cold starts of the deployed programs, their memory at rest and their size
    Startup,
    /// Peak memory against the size of a file, and of the largest batch
    Memory,
    /// Time against rows, and a backlog drained
    Growth,
    /// Old writes pruned from the ledger
    Prune,
    /// The cost on AWS, computed
    Cost,
}

impl Name {
    pub const ALL: &'static [Self] = &[
        Self::Import,
        Self::Writes,
        Self::Lookups,
        Self::Startup,
        Self::Memory,
        Self::Growth,
        Self::Prune,
        Self::Cost,
    ];
}

/// The extent of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Scale {
    /// A few rows, once: a test of the benchmark itself.
    Smoke,
    /// The smallest sizes, few rounds.
    Quick,
    Normal,
    /// All sizes; takes hours.
    Full,
}

/// The choices of one run.
#[derive(Debug, Clone)]
pub struct Settings {
    pub scale: Scale,
    pub rounds: Option<usize>,
    /// Sizes of files instead of the scale's own.
    pub rows: Vec<u64>,
    /// Words that the name of a scenario must contain.
    pub scenarios: Vec<String>,
    /// A word that the name of a way must contain. aurora-sync always runs.
    pub way: Option<String>,
    /// The most rows of a file for which there is a warm-up round.
    pub warm_up_rows_max: u64,
    /// The variables of our functions besides those of the template.
    pub environment: Vec<(String, String)>,
    /// The time that is added to each call of the Data API.
    pub call_delay: Option<Duration>,
    /// The command as it was typed, for the document.
    pub command: String,
}

impl Settings {
    pub fn new(scale: Scale) -> Self {
        Self {
            scale,
            rounds: None,
            rows: Vec::new(),
            scenarios: Vec::new(),
            way: None,
            warm_up_rows_max: if scale == Scale::Smoke { 0 } else { 100_000 },
            environment: Vec::new(),
            call_delay: None,
            command: "cargo local bench".to_owned(),
        }
    }

    pub(crate) fn sizes(&self, table: Table) -> Vec<u64> {
        match self.scale {
            _ if !self.rows.is_empty() => self.rows.clone(),
            Scale::Smoke => vec![300],
            Scale::Quick => vec![10_000],
            Scale::Normal if table == Table::Wide => vec![10_000, 100_000],
            Scale::Normal | Scale::Full => vec![10_000, 100_000, 1_000_000],
        }
    }

    pub(crate) fn is_smoke(&self) -> bool {
        self.scale == Scale::Smoke
    }

    /// Returns whether the emulator is started too.
    pub(crate) fn measures_stack(&self) -> bool {
        self.scale >= Scale::Normal && self.scenarios.is_empty()
    }

    /// Single writes, and writes of arrays.
    pub(crate) fn writes(&self) -> (u64, u64) {
        match self.scale {
            Scale::Smoke => (16, 1_000),
            Scale::Quick => (500, 20_000),
            Scale::Normal | Scale::Full => (2_000, 100_000),
        }
    }

    /// Rows of the table, and requests.
    pub(crate) fn lookups(&self) -> (u64, u64) {
        match self.scale {
            Scale::Smoke => (300, 5),
            Scale::Quick => (10_000, 300),
            Scale::Normal | Scale::Full => (100_000, 2_000),
        }
    }

    /// Old writes of a ledger, and writes that stay.
    pub(crate) fn ledgers(&self) -> &'static [(u64, u64)] {
        match self.scale {
            Scale::Smoke => &[(10, 20)],
            Scale::Quick => &[(100_000, 100_000)],
            Scale::Normal => &[(1_000_000, 1_000_000)],
            Scale::Full => &[(1_000_000, 1_000_000), (1_000_000, 20_000_000)],
        }
    }

    /// Rows of `staff`, in rising order.
    pub(crate) fn growth(&self) -> &'static [u64] {
        match self.scale {
            Scale::Smoke => &[50, 100],
            Scale::Quick => &[10_000, 100_000],
            Scale::Normal => &[10_000, 100_000, 1_000_000],
            Scale::Full => &[10_000, 100_000, 1_000_000, 5_000_000],
        }
    }

    pub(crate) fn growth_rounds(&self, rows: u64) -> usize {
        match self.scale {
            Scale::Smoke | Scale::Quick => 1,
            Scale::Normal | Scale::Full if rows > 1_000_000 => 1,
            Scale::Normal | Scale::Full => self.rounds.unwrap_or(3),
        }
    }

    /// Megabytes of files.
    pub(crate) fn megabytes(&self) -> &'static [f64] {
        match self.scale {
            Scale::Smoke => &[0.02],
            Scale::Quick => &[10.0],
            Scale::Normal => &[10.0, 100.0],
            Scale::Full => &[10.0, 100.0, 1_000.0],
        }
    }

    /// Writes that wait in the queue.
    pub(crate) fn backlog(&self) -> u64 {
        match self.scale {
            Scale::Smoke => 40,
            Scale::Quick => 2_000,
            Scale::Normal => 20_000,
            Scale::Full => 1_000_000,
        }
    }

    pub(crate) fn rounds_of(&self, rows: u64) -> usize {
        self.rounds.unwrap_or(match self.scale {
            Scale::Smoke => 1,
            Scale::Quick => 3,
            Scale::Normal | Scale::Full if rows > self.warm_up_rows_max => 3,
            Scale::Normal | Scale::Full => 5,
        })
    }

    pub(crate) fn wants(&self, scenario: &str) -> bool {
        self.scenarios.iter().all(|word| scenario.contains(word.as_str()))
    }

    pub(crate) fn wants_way(&self, name: &str) -> bool {
        name == "aurora-sync" || self.way.as_ref().is_none_or(|word| name.contains(word.as_str()))
    }
}
