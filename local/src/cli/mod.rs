//! The commands of `cargo local`.

pub mod demo;
pub mod up;
pub mod bench;
pub mod migrate;

use std::io::{self, IsTerminal as _, Write as _};

use tracing_subscriber::EnvFilter;

/// Sends progress and troubles to standard error, for people; `RUST_LOG` asks for more.
pub fn init_progress() {
    let filter = EnvFilter::try_from_default_env()
        .unwrap_or_else(|_| EnvFilter::new("warn,aurora_sync=info"));
    tracing_subscriber::fmt()
        .compact()
        .without_time()
        .with_target(false)
        .with_ansi(io::stderr().is_terminal())
        .with_writer(io::stderr)
        .with_env_filter(filter)
        .init();
}

/// Writes a line to standard output, where a command's own answers go.
pub(crate) fn print(line: &str) {
    // A reader that has gone away, as `head` does, is no reason to stop.
    drop(writeln!(io::stdout().lock(), "{line}"));
}
