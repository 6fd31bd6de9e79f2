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
//! The layers, from the top: [`functions`] use [`api`], [`database`] and [`aws`], and all of them
//! use [`domain`]. `ARCHITECTURE.md` walks through one write and one row of a file.
//!
//! Invariants:
//! - [`database::batch`] makes every change of rows: begin, `BatchExecuteStatement`s, commit.
//! - The statement that changes the data records the write in `sync.write`. A write that is there
//!   has had its effect, and one that is not there has had none.
//! - No identifier and no value of a request is part of an SQL text.
//! - Modules marked *pure* do no I/O, and read neither the clock nor the environment.
//! - No module but [`aws`] names an AWS crate.

pub mod domain;
pub mod aws;
pub mod database;
pub mod api;
pub mod functions;
