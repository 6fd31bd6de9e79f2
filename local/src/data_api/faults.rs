//! Faults on demand, and counts of what was asked: what tests and benchmarks hold on to.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};

/// What to do to the next call of an operation.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fault {
    /// Answers this exception; nothing runs.
    FailBefore(String),
    /// Does the work and then answers this exception.
    FailAfter(String),
    /// Closes the connection; nothing runs.
    DropRequest,
    /// Does the work and then closes the connection without an answer.
    DropAnswer,
}

/// The faults to come.
#[derive(Debug, Default)]
pub struct Faults {
    next: Mutex<HashMap<String, Vec<Fault>>>,
    resuming_calls: Mutex<u32>,
}

impl Faults {
    /// Adds a fault for the next call of an operation, after those added before.
    pub fn add(&self, operation: &str, fault: Fault) {
        lock(&self.next).entry(operation.to_owned()).or_default().push(fault);
    }

    pub fn fail_next(&self, operation: &str, exception: &str) {
        self.add(operation, Fault::FailBefore(exception.to_owned()));
    }

    pub fn fail_after(&self, operation: &str, exception: &str) {
        self.add(operation, Fault::FailAfter(exception.to_owned()));
    }

    pub fn drop_next_request(&self, operation: &str) {
        self.add(operation, Fault::DropRequest);
    }

    pub fn drop_next_answer(&self, operation: &str) {
        self.add(operation, Fault::DropAnswer);
    }

    /// Lets the next calls that start work find the database waking up.
    pub fn resume_for(&self, calls: u32) {
        *lock(&self.resuming_calls) = calls;
    }

    pub(super) fn take(&self, operation: &str) -> Option<Fault> {
        let starts_work = !matches!(operation, "CommitTransaction" | "RollbackTransaction");
        let mut resuming_calls = lock(&self.resuming_calls);
        if starts_work && *resuming_calls > 0 {
            *resuming_calls -= 1;
            return Some(Fault::FailBefore("DatabaseResumingException".to_owned()));
        }
        let mut next = lock(&self.next);
        let faults = next.get_mut(operation).filter(|faults| !faults.is_empty())?;
        let fault = faults.remove(0);
        tracing::info!(operation, ?fault, "fault injected");
        Some(fault)
    }
}

/// What was asked so far.
#[derive(Debug, Default)]
pub struct Counters {
    counts: Mutex<Counts>,
}

#[derive(Debug, Default, Clone, Serialize)]
pub(super) struct Counts {
    calls: HashMap<String, u64>,
    parameter_sets: u64,
    bytes_in: u64,
    bytes_out: u64,
}

impl Counters {
    /// How often an operation was called.
    pub fn calls(&self, operation: &str) -> u64 {
        lock(&self.counts).calls.get(operation).copied().unwrap_or_default()
    }

    /// How often any operation was called.
    pub fn all_calls(&self) -> u64 {
        lock(&self.counts).calls.values().sum()
    }

    pub fn reset(&self) {
        *lock(&self.counts) = Counts::default();
    }

    pub(super) fn count(&self, operation: &str, bytes_in: usize, parameter_sets: usize) {
        let mut counts = lock(&self.counts);
        *counts.calls.entry(operation.to_owned()).or_default() += 1;
        counts.bytes_in += bytes_in as u64;
        counts.parameter_sets += parameter_sets as u64;
    }

    pub(super) fn count_answer(&self, bytes_out: u64) {
        lock(&self.counts).bytes_out += bytes_out;
    }

    pub(super) fn counts(&self) -> Counts {
        lock(&self.counts).clone()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
