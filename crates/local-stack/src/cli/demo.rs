//! `cargo local demo`: starts a stack, runs the demo on it, and stops the stack.

use anyhow::Context;
use ephemeral_postgres::signals;

use super::print;
use crate::demo;
use crate::functions::{Profile, build_functions};
use crate::progress::step;
use crate::stack::{Options, Stack};
use crate::{needs, workspace};

pub async fn run() -> anyhow::Result<()> {
    // The one that is dropped stops what it has started.
    tokio::select! {
        ended = start() => ended,
        interrupted = signals::interrupted() => interrupted.context("cannot listen for signals"),
    }
}

async fn start() -> anyhow::Result<()> {
    needs::check().await?;
    let root = workspace::root()?;
    let functions = step("building the functions", build_functions(&root, Profile::Dev)).await?;
    let stack = Stack::start(Options::new(functions)?).await?;
    demo::run(&stack, &mut print).await?;
    drop(stack);
    print("\nEverything that was started has been stopped. `cargo local up` keeps it running.");
    Ok(())
}
