//! `aurora-sync`: loads files and reports their rows.
//!
//! A client of the deployed functions: knows the buckets and the API, never the database.

mod api;
mod arguments;
mod aws;
mod deployment;
mod follow;
mod import;
mod report;
mod progress;

use std::process::ExitCode;

use clap::Parser as _;

use self::arguments::{Arguments, Command};

#[tokio::main]
async fn main() -> ExitCode {
    let Command::Import(arguments) = Arguments::parse().command;
    import::run(&arguments).await.into()
}
