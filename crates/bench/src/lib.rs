//! Compares aurora-sync with other ways to do the same work, on one PostgreSQL and one Data API
//! server, in turns. A figure counts only after its result was checked, and only ratios are claims.
//! [`run()`] measures and stores the figures as JSON, so that parts of several runs make one
//! document, which [`write_docs`] writes.

mod data;
mod settings;
mod figures;
mod function;
mod fake_aws;
mod environment;
mod import;
mod writes;
mod lookups;
mod prune;
mod startup;
mod growth;
mod memory;
mod cost;
mod programs;
mod chart;
mod report;
mod run;
pub mod cli;

pub use crate::programs::{beside, build};
pub use crate::report::write_docs;
pub use crate::run::run;
pub use crate::settings::{Name, Scale, Settings};
