//! `aurora-sync`: loads files and reports their rows; has the tables read again; checks a
//! deployment.
//!
//! A client of the deployed functions: knows the buckets, the API and a function. Only the probe
//! calls the database.

mod api;
mod arguments;
mod aws;
mod deployment;
mod doctor;
mod follow;
mod http;
#[expect(dead_code, reason = "the commands that use all of it follow")]
mod operations;
mod import;
mod outcome;
mod probe;
mod refresh;
mod progress;
mod report;

use std::process::ExitCode;

use clap::Parser as _;

use self::arguments::{Arguments, Command};

#[tokio::main]
async fn main() -> ExitCode {
    match Arguments::parse().command {
        Command::Import(arguments) => import::run(&arguments).await.into(),
        Command::Refresh(arguments) => refresh::run(&arguments).await.into(),
        Command::Doctor(arguments) if arguments.probing.probe => {
            probe::run(&arguments).await.into()
        }
        Command::Doctor(arguments) => doctor::run(&arguments).await.into(),
    }
}
