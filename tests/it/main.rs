//! The functions against a real PostgreSQL behind the Data API server: events in, responses and
//! rows out. `end_to_end` runs the deployed template on the emulator.

#![allow(clippy::unwrap_used, reason = "clippy takes the helpers of tests for product code")]

mod support;

mod http;
mod enqueue;
mod types;
mod writes;
mod preconditions;
mod callers;
mod batch;
mod settling;
mod deliveries;
mod errors;
mod redeliveries;
mod histories;
mod objects;
mod notifications;
mod imports;
mod import_histories;
mod reports;
mod lookups;
mod migrations;
mod refreshing;
mod schemas;
mod introspection;
mod exposure;
mod schema_changes;
mod pruning;
mod events;
mod metrics;
mod plans;
mod bench;
mod end_to_end;
mod producers;
mod browser;
mod package;
mod links;
mod tidy;
