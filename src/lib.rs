//! aurora-sync: HTTP writes and CSV files into Aurora PostgreSQL, in batches, exactly once.
//!
//! ```text
//! client ── POST/PUT/PATCH/DELETE ─▶ enqueue ─▶ SQS FIFO ─▶ apply ──┐
//! client ── GET ───────────────────▶ lookup ────────────────────────┤ RDS Data API ─▶ PostgreSQL
//! user ──── file.csv ─▶ S3 ─▶ SQS ─▶ import ────────────────────────┤
//! deploy ── custom resource ───────▶ migrate ───────────────────────┤
//! clock ─── schedule ──────────────▶ prune ─────────────────────────┘
//! ```
//!
//! The modules stand in the order in which a reader needs them: what the words mean, how a write is
//! checked and planned, the six functions, and last the only module that knows AWS.
//!
//! Invariants:
//! - [`batch`] changes rows: begin, `BatchExecuteStatement`s, commit. Nothing that changes rows is committed by itself.
//! - A write is recorded in `sync.write` by the statement that changes the data: a write that is there
//!   has had its effect, one that is not has had none.
//! - No identifier and no value of a request is ever part of an SQL text.
//! - Modules marked *pure* do no I/O, know no clock and no environment.
//! - AWS crates are named in [`aws`] alone.

pub mod domain;
pub mod aws;
pub mod database;
pub mod api;
pub mod functions;
