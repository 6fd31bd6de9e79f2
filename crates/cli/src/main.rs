//! `aurora-sync`: loads files and tells what became of them.
//!
//! A client of what is deployed and no part of it: knows the buckets and the API, never the database.

mod api;
mod arguments;
mod aws;
mod follow;
mod import;
mod place;
mod report;
mod telling;

use std::process::ExitCode;

use clap::Parser as _;

use self::arguments::{Arguments, Command};

#[tokio::main]
async fn main() -> ExitCode {
    let Command::Import(arguments) = Arguments::parse().command;
    import::run(&arguments).await.into()
}
