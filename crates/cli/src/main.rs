//! `aurora-sync`: loads files and reports their rows; shows and mends writes, imports and dead
//! letters; has the tables read again; checks a deployment.
//!
//! A client of the deployed functions: knows the buckets, the API and a function. Only the probe
//! calls the database.

mod api;
mod arguments;
mod aws;
mod commands;
mod deployment;
mod doctor;
mod follow;
mod http;
mod operations;
mod import;
mod outcome;
mod preview;
mod probe;
mod refresh;
mod progress;
mod report;
mod studio;

use std::process::ExitCode;

use clap::Parser as _;

use self::arguments::{Arguments, Command};
use self::commands::{completions, dead_letters, imports, remember, tables, tail, writes};
use self::outcome::Outcome;

#[tokio::main]
async fn main() -> ExitCode {
    let mut command = Arguments::parse().command;
    if let Some(account) = command.account_mut() {
        remember::fill_in(account);
    }
    Box::pin(run(command)).await.into()
}

async fn run(command: Command) -> Outcome {
    match command {
        Command::Import(arguments) => import::run(&arguments).await,
        Command::Imports(arguments) => imports::run(&arguments.command).await,
        Command::Writes(arguments) => writes::run(&arguments.command).await,
        Command::Tail(arguments) => tail::run(&arguments).await,
        Command::DeadLetters(arguments) => dead_letters::run(&arguments.command).await,
        Command::Tables(arguments) => tables::run(&arguments).await,
        Command::Refresh(arguments) => refresh::run(&arguments).await,
        Command::Doctor(arguments) if arguments.probing.probe => probe::run(&arguments).await,
        Command::Doctor(arguments) => doctor::run(&arguments).await,
        Command::Use(arguments) => remember::run(&arguments),
        Command::Completions(arguments) => completions::completions(&arguments),
        Command::Man(arguments) => completions::man(&arguments),
        Command::Studio(arguments) => studio::run(&arguments).await,
    }
}
