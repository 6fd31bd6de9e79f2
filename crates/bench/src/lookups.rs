//! Look-ups at the function: a row by its key, and a page of a hundred.

use std::time::Instant;

use anyhow::{Context, ensure};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::data::{Table, Version, staff_id};
use crate::environment::{BenchEnv, Database, api_event};
use crate::figures::{self, Spread, float, number, quantile};
use crate::settings::Settings;
use crate::writes::load;

/// Explains the ways and the columns of the tables.
pub(crate) const LEGEND: &str = "\
- **aurora-sync**: the `lookup` function.
- **tutorial**: the tutorial's Python function.

Columns: *requests/s* are medians; *aurora-sync is ×* is the speed of aurora-sync divided by the
speed of the way; *p50* and *p99* are quantiles of the time of a request; calls are those of the
Data API.
";

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Measured {
    pub lookup: String,
    pub ways: Vec<MeasuredWay>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct MeasuredWay {
    pub name: String,
    pub requests_per_second: Spread,
    pub ours_is_times: Spread,
    pub p50_ms: f64,
    pub p99_ms: f64,
    pub calls_per_request: f64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Lookup {
    Key,
    Page,
}

const PAGE_ROWS: u64 = 100;

#[derive(Debug, Clone, Default)]
struct Run {
    seconds: f64,
    times_ms: Vec<f64>,
    calls: u64,
}

pub(crate) async fn measure(env: &BenchEnv, settings: &Settings) -> anyhow::Result<Vec<Measured>> {
    let (rows, requests) = settings.lookups();
    let database = env.fresh().await?;
    let path = env.folder.path().join("lookups.csv");
    Table::Staff.write_csv(&path, 0..rows, Version::New)?;
    load(env, &database, &path).await?;
    env.run_sql(&database, "VACUUM (FREEZE, ANALYZE) staff").await?;
    let mut measured = Vec::new();
    for lookup in [Lookup::Key, Lookup::Page] {
        let name = match lookup {
            Lookup::Key => "one row by its key",
            Lookup::Page => "a page of 100 rows by key",
        };
        tracing::info!("look-ups: {name}");
        let ways = ["aurora-sync", "tutorial"];
        let mut runs = [Vec::new(), Vec::new()];
        for round in 0..settings.rounds_of(requests) {
            for index in 0..2 {
                let index = (index + round) % 2;
                let run = run(env, &database, index == 0, lookup, rows, requests).await?;
                runs[index].push(run);
            }
        }
        let speed = |run: &Run| float(requests) / run.seconds;
        let ways = ways.iter().zip(&runs).map(|(way, of_way)| {
            let mut last = of_way.last().cloned().unwrap_or_default();
            last.times_ms.sort_unstable_by(f64::total_cmp);
            MeasuredWay {
                name: (*way).to_owned(),
                requests_per_second: Spread::of(of_way.iter().map(speed)),
                ours_is_times: Spread::of(
                    runs[0].iter().zip(of_way).map(|(ours, its)| speed(ours) / speed(its)),
                ),
                p50_ms: quantile(&last.times_ms, 0.5),
                p99_ms: quantile(&last.times_ms, 0.99),
                calls_per_request: float(last.calls) / float(requests),
            }
        });
        measured.push(Measured { lookup: name.to_owned(), ways: ways.collect() });
    }
    env.remove(database).await?;
    Ok(measured)
}

async fn run(
    env: &BenchEnv,
    database: &Database,
    is_ours: bool,
    lookup: Lookup,
    rows: u64,
    requests: u64,
) -> anyhow::Result<Run> {
    let function = if is_ours {
        env.function(&env.programs.lookup, database).await?
    } else {
        env.peer("lookup_tutorial", database).await?
    };
    // The connection is made by the first.
    function.invoke(event(is_ours, lookup, 0).to_string()).await?;
    env.data_api.counters().reset();
    let started = Instant::now();
    let mut times_ms = Vec::new();
    for request in 0..requests {
        // Some prime, so that consecutive requests read distant rows.
        let row = request * 7_919 % rows.saturating_sub(PAGE_ROWS).max(1);
        let response = function.invoke(event(is_ours, lookup, row).to_string()).await?;
        times_ms.push(response.took.as_secs_f64() * 1_000.0);
        check(&response.value, lookup, row)?;
    }
    let seconds = started.elapsed().as_secs_f64();
    Ok(Run { seconds, times_ms, calls: env.data_api.counters().all_calls() })
}

/// A GET as API Gateway sends it.
fn event(is_ours: bool, lookup: Lookup, row: u64) -> Value {
    let id = staff_id(row);
    match (is_ours, lookup) {
        (true, Lookup::Key) => api_event("GET", &format!("staff/{id}"), "", None),
        (true, Lookup::Page) => {
            let query = format!("id=gte.{id}&order=id&limit={PAGE_ROWS}");
            api_event("GET", "staff", &query, None)
        }
        (false, Lookup::Key) => json!({ "queryStringParameters": { "id": id } }),
        (false, Lookup::Page) => json!({ "queryStringParameters": { "from": id } }),
    }
}

/// Checks that the response holds the requested row.
fn check(response: &Value, lookup: Lookup, row: u64) -> anyhow::Result<()> {
    ensure!(response["statusCode"] == 200, "{response}");
    let body = response["body"].as_str().context("a response without a body")?;
    let body: Value = serde_json::from_str(body)?;
    let found = match (lookup, body.as_array()) {
        (Lookup::Page, Some(rows)) => {
            ensure!(rows.len() as u64 == PAGE_ROWS, "{} rows", rows.len());
            rows[0].clone()
        }
        (Lookup::Key, Some(rows)) => rows.first().cloned().unwrap_or_default(),
        (_, None) => body,
    };
    ensure!(found.to_string().contains(&format!("\"{}\"", staff_id(row))), "{found}");
    Ok(())
}

pub(crate) fn tables(measured: &[Measured]) -> Vec<figures::Table> {
    let columns =
        ["way", "requests/s", "aurora-sync is ×", "p50 ms", "p99 ms", "calls per request"];
    measured
        .iter()
        .map(|measured| {
            let mut table = figures::Table::new(format!("Look-ups: {}", measured.lookup), &columns);
            for way in &measured.ways {
                table.push([
                    way.name.clone(),
                    way.requests_per_second.show(),
                    way.ours_is_times.show(),
                    number(way.p50_ms),
                    number(way.p99_ms),
                    number(way.calls_per_request),
                ]);
            }
            table
        })
        .collect()
}
