//! Peak memory: of an import against the size of its file, and of the largest batch of writes.

use anyhow::ensure;
use aurora_sync::domain::write::{MESSAGE_BYTES_MAX, Operation, pack};
use serde::{Deserialize, Serialize};

use crate::data::{Table, Version};
use crate::environment::{BenchEnv, queue_event};
use crate::figures::{self, count, float, mebibytes, number};
use crate::growth;
use crate::settings::Settings;
use crate::writes::write;

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Measured {
    pub import: growth::Measured,
    pub batch: Batch,
}

/// Ten messages, each as large as `enqueue` packs them.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Batch {
    pub writes: u64,
    pub event_bytes: u64,
    pub peak_mib: f64,
}

const MESSAGES: usize = 10;
/// A name that fills a message with its 500 writes.
const NAME_BYTES: usize = MESSAGE_BYTES_MAX / 500 - 190;

pub(crate) async fn measure(env: &BenchEnv, settings: &Settings) -> anyhow::Result<Measured> {
    let table = Table::Wide;
    let row_bytes = row_bytes(table);
    let sizes: Vec<_> =
        settings.megabytes().iter().map(|megabytes| rows(megabytes * 1e6 / row_bytes)).collect();
    let import = growth::measure(env, settings, table, &sizes).await?;
    Ok(Measured { import, batch: largest_batch(env).await? })
}

/// Rounds a number of rows to hundreds.
fn rows(rows: f64) -> u64 {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "some millions")]
    let hundreds = (rows / 100.0).ceil() as u64;
    hundreds * 100
}

fn row_bytes(table: Table) -> f64 {
    let mut lines = String::new();
    (0..1_000).for_each(|n| table.push_line(&mut lines, n, Version::New));
    float(lines.len() as u64) / 1_000.0
}

async fn largest_batch(env: &BenchEnv) -> anyhow::Result<Batch> {
    tracing::info!("memory: the largest batch of writes");
    let mut writes = Vec::new();
    for n in 0..u64::try_from(MESSAGES * 500)? {
        let mut write = write(n, Operation::Insert);
        if let Some((_, name)) = write.row.get_mut(1) {
            *name = Some("x".repeat(NAME_BYTES));
        }
        writes.push(write);
    }
    let mut messages = pack(writes, 1);
    messages.truncate(MESSAGES);
    let count: usize = messages.iter().map(|message| message.ids.len()).sum();
    let messages: Vec<_> =
        messages.into_iter().map(|message| (message.body, Some("p0".to_owned()))).collect();
    let event = queue_event(&messages, "writes.fifo").to_string();
    let event_bytes = event.len() as u64;
    let database = env.fresh().await?;
    let function = env.function(&env.programs.apply, &database).await?;
    let response = function.invoke(event).await?;
    ensure!(response.value["batchItemFailures"].as_array().is_none_or(Vec::is_empty));
    let found = env.text(&database, "SELECT count(*)::text FROM staff").await?;
    ensure!(found == count.to_string(), "{found} rows, expected {count}");
    let peak_mib = mebibytes(float(function.usage()?.peak_bytes));
    env.remove(database).await?;
    Ok(Batch { writes: count as u64, event_bytes, peak_mib })
}

pub(crate) fn tables(measured: &Measured) -> Vec<figures::Table> {
    let import = growth::table("Memory of an import, upsert of new rows", &measured.import);
    let columns = ["writes", "event, MiB", "peak MiB"];
    let mut batch = figures::Table::new("Memory of the largest batch of writes", &columns);
    let Batch { writes, event_bytes, peak_mib } = measured.batch;
    batch.push([count(writes), number(mebibytes(float(event_bytes))), number(peak_mib)]);
    vec![import, batch]
}
