//! The Data API server, case by case. `README.md` names the test of each behaviour and
//! where it is known from.
#![allow(clippy::unwrap_used, reason = "clippy takes the helpers of tests for product code")]

mod support;

mod requests;
mod parameters;
mod results;
mod batches;
mod transactions;
mod secrets;
mod errors;
mod limits;
mod faults;
mod hostile;
mod clients;
mod command;
mod document;
