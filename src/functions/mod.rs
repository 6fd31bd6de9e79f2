//! The seven Lambda functions, one use case each, with their configuration and runtime.

pub mod config;
pub mod metrics;
pub mod runtime;
pub mod tables;
pub mod outbox;

pub mod enqueue;
pub mod apply;
pub mod import;
pub mod lookup;
pub mod migrate;
pub mod refresh;
pub mod prune;
