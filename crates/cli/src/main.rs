//! `aurora-sync`: loads files and reports their rows; has the tables read again.
//!
//! A client of the deployed functions: knows the buckets, the API and a function, never the
//! database.

mod api;
mod arguments;
mod aws;
mod deployment;
mod follow;
mod import;
mod refresh;
mod report;
mod progress;

use std::process::ExitCode;

use clap::Parser as _;

use self::arguments::{Arguments, Command};

#[tokio::main]
async fn main() -> ExitCode {
    match Arguments::parse().command {
        Command::Import(arguments) => import::run(&arguments).await.into(),
        Command::Refresh(arguments) => refresh::run(&arguments).await.into(),
    }
}
