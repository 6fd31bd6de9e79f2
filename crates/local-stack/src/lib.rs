//! aurora-sync on one machine: the deployed template on an AWS emulator, a real PostgreSQL behind
//! the Data API server, the demo, and the commands of `cargo local`. [`Stack`] starts all of it and
//! stops it again; [`Services`] is the emulator alone, for tests of single functions. Nothing here
//! is ever deployed.

pub mod account;
pub mod workspace;
mod architecture;
mod progress;
mod python;
mod needs;
mod http;
mod template;
mod functions;
pub mod dist;
mod emulator;
mod deploy;
mod cors;
mod mapping;
mod logs;
mod token_issuer;
mod services;
mod stack;
pub mod http_server;
pub mod demo;
pub mod example;
pub mod cli;

pub use crate::architecture::Architecture;
pub use crate::deploy::{Code, sdk_config};
pub use crate::functions::{BINARIES, Functions, Profile, build_functions};
pub use crate::http::{Answer, Http};
pub use crate::logs::Sink;
pub use crate::python::{Kit, interpreter as python_interpreter};
pub use crate::services::Services;
pub use crate::stack::{Addresses, Database, Options, Stack};
