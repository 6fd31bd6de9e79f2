//! The commands of `cargo local`.

mod page;
pub mod demo;
pub mod up;
pub mod migrate;
pub mod package;

use std::io::{self, IsTerminal as _, Write as _};

use tracing_subscriber::EnvFilter;

/// Progress of our own crates, troubles of all.
const FILTER: &str = "warn,aurora_sync=info,bench=info,data_api_server=info,ephemeral_postgres=info,local_stack=info";

/// Sends progress and troubles to standard error, for people; `RUST_LOG` asks for more.
pub fn init_progress() {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(FILTER));
    tracing_subscriber::fmt()
        .compact()
        .without_time()
        .with_target(false)
        .with_ansi(io::stderr().is_terminal())
        .with_writer(io::stderr)
        .with_env_filter(filter)
        .init();
}

/// Writes a line to standard output, for the results of a command.
pub fn print(line: &str) {
    // A reader that has gone away, as `head` does, is no reason to stop.
    drop(writeln!(io::stdout().lock(), "{line}"));
}
