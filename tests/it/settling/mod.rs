//! The settlement of one delivery: its calls, its outcomes, and its rejected writes.

mod calls;
mod folding;
mod versions;
mod idempotency;
mod references;
mod deferred;
mod triggers;
mod rejections;

use aurora_sync::domain::write::Write;

use crate::support::World;
use crate::support::writes::write;

const LEDGER: &str = "SELECT key, operation, outcome, rule, sqlstate FROM sync.write ORDER BY id";

/// Returns the writes that these texts describe.
fn writes(world: &World, texts: &[&str]) -> Vec<Write> {
    texts.iter().map(|text| write(&world.catalog, text)).collect()
}

/// Delivers writes in ten messages at most. Returns the number of calls of the Data API.
async fn calls(world: &World, writes: Vec<Write>) -> u64 {
    world.server.counters().reset();
    assert!(world.apply_writes(writes).await.batch_item_failures.is_empty());
    world.server.counters().all_calls()
}
