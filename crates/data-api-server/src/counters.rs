//! Counts of what was asked and answered.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde::Serialize;

use crate::operation::Operation;

/// The number of transactions that are counted one by one: the latest.
const TRANSACTIONS_MAX: usize = 1_000;

/// The calls so far.
#[derive(Debug, Default)]
pub struct Counters {
    counts: Mutex<Counts>,
}

#[derive(Debug, Default, Clone, Serialize)]
pub(crate) struct Counts {
    calls: BTreeMap<&'static str, u64>,
    /// Answers that were exceptions, by name.
    exceptions: BTreeMap<String, u64>,
    parameter_sets: u64,
    /// Returned, and changed as far as the service tells.
    rows: u64,
    bytes_in: u64,
    bytes_out: u64,
    transactions: BTreeMap<String, TransactionCounts>,
    /// Numbers the transactions in the order in which they came.
    #[serde(skip)]
    transactions_seen: u64,
}

#[derive(Debug, Default, Clone, Serialize)]
struct TransactionCounts {
    number: u64,
    calls: u64,
    parameter_sets: u64,
    rows: u64,
    bytes_in: u64,
}

/// One call, as it is counted.
#[derive(Debug, Default)]
pub(crate) struct Call<'a> {
    pub(crate) transaction_id: Option<&'a str>,
    pub(crate) bytes_in: usize,
    pub(crate) parameter_sets: usize,
}

impl Counters {
    /// Returns the number of calls of an operation.
    pub fn calls(&self, operation: Operation) -> u64 {
        self.lock().calls.get(operation.name()).copied().unwrap_or_default()
    }

    /// Returns the number of calls of all operations.
    pub fn all_calls(&self) -> u64 {
        self.lock().calls.values().sum()
    }

    /// Returns the number of responses that were this exception.
    pub fn exceptions(&self, name: &str) -> u64 {
        self.lock().exceptions.get(name).copied().unwrap_or_default()
    }

    pub fn bytes_in(&self) -> u64 {
        self.lock().bytes_in
    }

    pub fn reset(&self) {
        *self.lock() = Counts::default();
    }

    pub(crate) fn count(&self, operation: Operation, call: &Call<'_>) {
        let mut counts = self.lock();
        *counts.calls.entry(operation.name()).or_default() += 1;
        counts.bytes_in += call.bytes_in as u64;
        counts.parameter_sets += call.parameter_sets as u64;
        counts.of_transaction(call.transaction_id, |transaction| {
            transaction.calls += 1;
            transaction.bytes_in += call.bytes_in as u64;
            transaction.parameter_sets += call.parameter_sets as u64;
        });
    }

    pub(crate) fn count_rows(&self, transaction_id: Option<&str>, rows: u64) {
        let mut counts = self.lock();
        counts.rows += rows;
        counts.of_transaction(transaction_id, |transaction| transaction.rows += rows);
    }

    pub(crate) fn count_answer(&self, bytes_out: usize, exception: Option<&str>) {
        let mut counts = self.lock();
        counts.bytes_out += bytes_out as u64;
        if let Some(exception) = exception {
            *counts.exceptions.entry(exception.to_owned()).or_default() += 1;
        }
    }

    pub(crate) fn counts(&self) -> Counts {
        self.lock().clone()
    }

    fn lock(&self) -> MutexGuard<'_, Counts> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Counts {
    fn of_transaction(&mut self, id: Option<&str>, add: impl FnOnce(&mut TransactionCounts)) {
        let Some(id) = id else { return };
        if !self.transactions.contains_key(id) {
            self.transactions_seen += 1;
            let number = self.transactions_seen;
            let new = TransactionCounts { number, ..TransactionCounts::default() };
            self.transactions.insert(id.to_owned(), new);
            if self.transactions.len() > TRANSACTIONS_MAX {
                self.transactions.retain(|_, kept| kept.number + TRANSACTIONS_MAX as u64 > number);
            }
        }
        self.transactions.get_mut(id).map(add);
    }
}
