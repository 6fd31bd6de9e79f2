//! The RDS Data API over a real PostgreSQL, with the behaviour of the service for Aurora
//! PostgreSQL.
//!
//! Follows the public documentation and measurements that others have published. Where the
//! behaviour of the service is not known, the server takes the stricter reading; `README.md` lists
//! both. Holds no data of its own: every statement goes to PostgreSQL. [`Server::start`] runs it
//! inside a test, the program `data-api-server` as a process.

pub mod cli;
mod http;
mod answer_body;
mod control;
mod request;
mod parameter;
mod placeholder;
mod operation;
mod validation;
mod call;
mod perform;
mod execute;
mod batch;
mod failure;
mod types;
mod result;
mod metadata;
mod error;
mod sessions;
mod connection;
mod statement;
mod login;
mod secrets;
mod secrets_manager;
mod wire;
mod pg_error;
mod clock;
mod fault;
mod switchboard;
mod counters;
mod service;
mod server;

pub use crate::counters::Counters;
pub use crate::fault::{Fault, Rule, RuleError, When};
pub use crate::login::Login;
pub use crate::operation::Operation;
pub use crate::server::{STATEMENT_TIMEOUT, Server, Settings};
pub use crate::switchboard::Faults;
