//! Growth: time and memory of an import against its rows and bytes, and a backlog of writes
//! drained.

use anyhow::Context;
use serde::{Deserialize, Serialize};

use crate::data::Table;
use crate::environment::BenchEnv;
use crate::figures::{self, Spread, count, float, mebibytes, number};
use crate::import::{Mode, Prepared, Run, Scenario};
use crate::settings::Settings;

/// Explains the columns of the tables.
pub(crate) const LEGEND: &str = "\
*× time for × rows* compares a row of the table with the row above; *peak MiB* is the peak memory of
the function; *CPU s* is the processor time of the function.
";

/// Imports of rising sizes.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Measured {
    pub table: String,
    pub steps: Vec<Step>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Step {
    pub rows: u64,
    pub bytes: u64,
    pub seconds: Spread,
    pub peak_mib: Spread,
    pub cpu_seconds: f64,
}

/// Upserts of new rows, one process each.
pub(crate) async fn measure(
    env: &BenchEnv,
    settings: &Settings,
    table: Table,
    sizes: &[u64],
) -> anyhow::Result<Measured> {
    let mut steps = Vec::new();
    for &rows in sizes {
        tracing::info!("growth: {} rows of {}", count(rows), table.name());
        let scenario = Scenario { table, mode: Mode::UpsertNew, rows };
        let prepared = Prepared::new(env, &scenario).await?;
        let expected = prepared.expected(env, rows).await?;
        let mut runs: Vec<Run> = Vec::new();
        for _ in 0..settings.growth_rounds(rows) {
            let database = env.copy_of(prepared.template()).await?;
            let run = prepared.run_ours(env, &database, rows).await;
            runs.push(run.with_context(|| format!("{rows} rows of {}", table.name()))?);
            prepared.check(env, database, &expected).await?;
        }
        let (path, bytes) = prepared.file(rows)?;
        let usages: Vec<_> = runs.iter().filter_map(|run| run.usage).collect();
        steps.push(Step {
            rows,
            bytes,
            seconds: Spread::of(runs.iter().map(|run| run.seconds)),
            peak_mib: Spread::of(usages.iter().map(|usage| mebibytes(float(usage.peak_bytes)))),
            cpu_seconds: Spread::of(usages.iter().map(|usage| usage.cpu.as_secs_f64())).median,
        });
        prepared.remove(env).await?;
        std::fs::remove_file(path)?;
    }
    Ok(Measured { table: table.name().to_owned(), steps })
}

pub(crate) fn table(title: &str, measured: &Measured) -> figures::Table {
    let columns = ["rows", "MiB", "seconds", "rows/s", "× time for × rows", "peak MiB", "CPU s"];
    let mut table = figures::Table::new(format!("{title}: {}", measured.table), &columns);
    for (index, step) in measured.steps.iter().enumerate() {
        let before = index.checked_sub(1).and_then(|index| measured.steps.get(index));
        let growth = before.map_or("–".to_owned(), |before| {
            let time = step.seconds.median / before.seconds.median;
            format!("{} for {}", number(time), number(float(step.rows) / float(before.rows)))
        });
        table.push([
            count(step.rows),
            number(mebibytes(float(step.bytes))),
            step.seconds.show(),
            number(float(step.rows) / step.seconds.median),
            growth,
            step.peak_mib.show(),
            number(step.cpu_seconds),
        ]);
    }
    table
}
