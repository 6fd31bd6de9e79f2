//! Faults of a row: the position, and the broken rule.
//!
//! Pure. Request validation collects them, and [`Problem`](crate::api::problem::Problem) reports
//! them.

use serde::Serialize;

/// The most faults in a list.
pub const FAULTS_MAX: usize = 100;

/// One fault of a request's body.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FieldFault {
    /// The position: a JSON Pointer (RFC 6901) into the body.
    pub pointer: String,
    /// The name of the broken rule, which never changes.
    pub rule: String,
    /// A description of valid values, as "expected …".
    pub detail: String,
}

/// The faults of a body. All are counted, and the first [`FAULTS_MAX`] are kept.
#[derive(Debug, Default)]
pub struct Faults {
    listed: Vec<FieldFault>,
    total: usize,
}

impl Faults {
    /// Adds a fault. Calls `fault` only if it is kept.
    pub fn push(&mut self, fault: impl FnOnce() -> FieldFault) {
        if self.listed.len() < FAULTS_MAX {
            self.listed.push(fault());
        }
        self.total += 1;
    }

    /// Returns the number of all faults.
    pub fn total(&self) -> usize {
        self.total
    }

    /// Returns the faults that are kept.
    pub fn into_listed(self) -> Vec<FieldFault> {
        self.listed
    }
}

/// Formats a name as a step of a JSON Pointer, with `~` and `/` escaped.
pub fn pointer_step(name: &str) -> String {
    format!("/{}", name.replace('~', "~0").replace('/', "~1"))
}
