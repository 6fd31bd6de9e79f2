//! The options of `aurora-sync studio`.

#![allow(clippy::doc_markdown, reason = "the docs are the text of --help")]

use super::Deployment;

/// Open a page on this machine to look at tables, imports, writes and dead letters, and mend them
#[derive(Debug, clap::Args)]
#[command(
    after_help = "The page uses your credentials, and nothing is deployed. It listens on 127.0.0.1 only, and its \
    address holds a token: whoever has the address can do what you can do.\n\n\
    Exit status: 1 the page cannot be served, 2 the command line is wrong. It runs until Ctrl-C."
)]
pub(crate) struct Studio {
    /// The port; a free one by default
    #[arg(long, default_value_t = 0, hide_default_value = true)]
    pub(crate) port: u16,
    /// Print the address, and do not open it in a browser
    #[arg(long)]
    pub(crate) no_open: bool,
    #[command(flatten)]
    pub(crate) deployment: Deployment,
}
