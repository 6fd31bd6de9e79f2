//! The ledger pruned: the time for old writes, beside writes that stay.

use anyhow::ensure;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::environment::{BenchEnv, Database};
use crate::figures::{self, Spread, count, float, number};
use crate::settings::Settings;

/// Explains the columns of the table.
pub(crate) const LEGEND: &str = "\
`prune` deletes the old ones of the writes in the ledger. The keys are in no order, as those of
clients are. *writes/s* is the number of settled writes a second with which the function keeps up
while it runs.
";

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Measured {
    pub old: u64,
    pub kept: u64,
    pub seconds: Spread,
    pub writes_per_second: Spread,
    pub calls: u64,
}

pub(crate) async fn measure(env: &BenchEnv, settings: &Settings) -> anyhow::Result<Vec<Measured>> {
    let mut measured = Vec::new();
    for (old, kept) in settings.ledgers() {
        tracing::info!("prune: {old} of {} writes", old + kept);
        let (mut seconds, mut calls) = (Vec::new(), 0);
        for _ in 0..settings.rounds_of(*old) {
            let database = env.fresh().await?;
            let (took, of_run) = run(env, &database, *old, *kept).await?;
            seconds.push(took);
            calls = of_run;
            env.remove(database).await?;
        }
        measured.push(Measured {
            old: *old,
            kept: *kept,
            writes_per_second: Spread::of(seconds.iter().map(|seconds| float(*old) / seconds)),
            seconds: Spread::of(seconds),
            calls,
        });
    }
    Ok(measured)
}

/// Prunes a ledger, and returns the seconds and the number of calls.
async fn run(
    env: &BenchEnv,
    database: &Database,
    old: u64,
    kept: u64,
) -> anyhow::Result<(f64, u64)> {
    // A millisecond lies between two writes. The old ones end 36 days ago, the others begin then.
    let fill = format!(
        "INSERT INTO sync.write (id, table_name, key, operation, outcome, accepted_at, settled_at)
        SELECT gen_random_uuid(), 'staff', md5(n::text), 'insert', 'applied', settled, settled
        FROM generate_series(1, {}) AS n, LATERAL (SELECT CASE WHEN n <= {old}
            THEN now() - interval '36 days' - ({old} - n) * interval '1 millisecond'
            ELSE now() - interval '34 days' + n * interval '1 millisecond' END AS settled) AS at",
        old + kept
    );
    env.run_sql(database, &fill).await?;
    env.run_sql(database, "VACUUM (FREEZE, ANALYZE) sync.write").await?;
    let function = env.function(&env.programs.prune, database).await?;
    env.data_api.counters().reset();
    let response = function.invoke(json!({}).to_string()).await?;
    ensure!(response.value == json!(old), "{} of {old} writes pruned", response.value);
    let left = env.text(database, "SELECT count(*)::text FROM sync.write").await?;
    ensure!(left == kept.to_string(), "{left} writes left");
    Ok((response.took.as_secs_f64(), env.data_api.counters().all_calls()))
}

pub(crate) fn tables(measured: &[Measured]) -> Vec<figures::Table> {
    let columns = ["old writes", "writes that stay", "seconds", "writes/s", "calls"];
    let mut table = figures::Table::new("Prune", &columns);
    for row in measured {
        table.push([
            count(row.old),
            count(row.kept),
            row.seconds.show(),
            row.writes_per_second.show(),
            number(float(row.calls)),
        ]);
    }
    vec![table]
}
