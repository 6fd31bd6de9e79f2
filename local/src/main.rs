//! `cargo local`: aurora-sync on this machine.

use std::process::ExitCode;

use aurora_sync_local::cli::{self, bench, demo, migrate, up};
use aurora_sync_local::data_api::cli as data_api;
use clap::{Parser, Subcommand};

/// aurora-sync on this machine, without AWS
#[derive(Debug, Parser)]
#[command(name = "cargo local", bin_name = "cargo local")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Tell the tutorial's story on the whole stack, then stop everything
    Demo,
    /// Run the whole stack until Ctrl-C
    Up(up::Arguments),
    /// Bring a database to what sql/ says, through the RDS Data API
    Migrate(migrate::Arguments),
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
