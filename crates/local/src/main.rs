//! `cargo local`: aurora-sync on this machine.

use std::process::ExitCode;

use bench::cli as bench;
use clap::{Parser, Subcommand};
use data_api_server::cli as data_api;
use local_stack::cli::{self, demo, migrate, package, up};

/// aurora-sync on this machine, without AWS
#[derive(Debug, Parser)]
#[command(name = "cargo local", bin_name = "cargo local")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the requests of the tutorial on the whole stack, then stop everything
    Demo,
    /// Run the whole stack until Ctrl-C
    Up(up::Arguments),
    /// Apply the files of sql/ to a database, through the RDS Data API
    Migrate(migrate::Arguments),
    /// Build the functions for Lambda, into a folder that is deployed without Rust
    Package(package::Arguments),
    DataApi(data_api::Arguments),
    Bench(bench::Arguments),
}

#[tokio::main]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    cli::init_progress();
    let ended = match arguments.command {
        Command::Demo => demo::run().await,
        Command::Up(arguments) => up::run(arguments).await,
        Command::Migrate(arguments) => migrate::run(arguments).await,
        Command::Package(arguments) => package::run(arguments).await,
        Command::DataApi(arguments) => data_api::run(arguments).await,
        Command::Bench(arguments) => bench::run(arguments).await,
    };
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("{error:#}");
            ExitCode::FAILURE
        }
    }
}
