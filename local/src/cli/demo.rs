//! `cargo local demo`: the tutorial's story on a stack of its own, then everything stopped.

use anyhow::Context;

use super::print;
use crate::signals;
use crate::stack::{Options, Profile, Stack, build_functions};
use crate::story;
use crate::workspace;

pub async fn run() -> anyhow::Result<()> {
    // The one that is dropped stops what it has started.
    tokio::select! {
        ended = demo() => ended,
        interrupted = signals::interrupted() => interrupted.context("cannot listen for signals"),
    }
}

async fn demo() -> anyhow::Result<()> {
    tracing::info!("building the functions");
    let functions = build_functions(&workspace::root(), Profile::Dev).await?;
    let stack = Stack::start(Options::new(functions)).await?;
    story::tell(&stack, &mut print).await?;
    drop(stack);
    print("\nEverything that was started has been stopped. `cargo local up` keeps it running.");
    Ok(())
}
