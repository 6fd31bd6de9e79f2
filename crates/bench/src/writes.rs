//! Writes at the function behind the queue: deliveries as SQS makes them, settled with the ledger.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use aurora_sync::domain::key::Key;
use aurora_sync::domain::write::{Operation, Write, pack};
use futures_util::future::try_join_all;
use hyper::Method;
use local_stack::{Options, Stack};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::data::{Table, Version, staff_age, staff_id, staff_name};
use crate::environment::{BenchEnv, Database, queue_event};
use crate::figures::{self, Spread, count, float, number, whole};
use crate::function::Function;
use crate::import;
use crate::settings::Settings;

/// Most messages of a delivery.
const DELIVERY_MESSAGES: usize = 10;
/// Rows of a message of an array, as [`pack`] has them.
const MESSAGE_ROWS: u64 = 500;

/// The name of the way that loads the rows as a file.
pub(crate) const FILE: &str = "aurora-sync, file";

/// The number of writes that are posted, one by one, to see when they are applied.
const POSTED: u64 = 200;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Change {
    Insert,
    Update,
    /// A third each: insert, update, delete.
    Mixed,
}

impl Change {
    fn name(self) -> &'static str {
        match self {
            Self::Insert => "insert",
            Self::Update => "update",
            Self::Mixed => "mixed",
        }
    }

    fn operation(self, n: u64) -> Operation {
        match (self, n % 3) {
            (Self::Insert, _) | (Self::Mixed, 0) => Operation::Insert,
            (Self::Update, _) | (Self::Mixed, 1) => Operation::Update,
            (Self::Mixed, _) => Operation::Delete,
        }
    }
}

/// Messages of one write, or of an array's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Single,
    Array,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    AuroraSync,
    /// The same rows by our import.
    File,
    Powertools,
    Tutorial,
}

impl Way {
    fn name(self) -> &'static str {
        match self {
            Self::AuroraSync => "aurora-sync",
            Self::File => FILE,
            Self::Powertools => "Powertools",
            Self::Tutorial => "tutorial",
        }
    }
}

/// Explains the ways, the scenarios and the columns of the tables.
pub(crate) const LEGEND: &str = "\
- **aurora-sync**: the `apply` function.
- **aurora-sync, file**: the `import` function, with the same rows as a file.
- **Powertools**: a Python function with the batch processing of Powertools for AWS Lambda and
  boto3.
- **tutorial**: the tutorial's Python function, which gets one request for each row, without a
  queue.

A delivery holds ten messages of one partition. *1 busy* and *8 busy* are the numbers of partitions
that have messages; each has a function of its own. *Mixed* writes are inserts, updates and deletes,
a third each.

Columns: *writes/s* are medians; *aurora-sync is ×* is the speed of aurora-sync divided by the speed
of the way; *calls per 1,000* are calls of the Data API for a thousand writes; *p50* and *p99* are
quantiles of the time of a delivery, or of a request of the tutorial.
";

#[derive(Debug, Clone, Copy)]
struct Scenario {
    form: Form,
    change: Change,
    /// The number of groups with messages, each with a function of its own.
    partitions: u64,
    writes: u64,
}

impl Scenario {
    fn name(&self) -> String {
        let form = match self.form {
            Form::Single => "a write a message",
            Form::Array => "500 writes a message",
        };
        let Self { change, partitions, writes, .. } = self;
        format!("{} writes, {form}, {}, {partitions} busy", count(*writes), change.name())
    }
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Measured {
    pub scenarios: Vec<MeasuredScenario>,
    pub latency: Option<Latency>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct MeasuredScenario {
    pub scenario: String,
    pub ways: Vec<MeasuredWay>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct MeasuredWay {
    pub name: String,
    pub writes: u64,
    pub writes_per_second: Spread,
    pub ours_is_times: Spread,
    pub calls_per_1000: f64,
    /// The median of all deliveries of the last round.
    pub delivery_p50_ms: f64,
    pub delivery_p99_ms: f64,
}

/// The time from a write's acceptance to its settlement, on the whole local stack.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Latency {
    pub writes: u64,
    pub p50_ms: f64,
    pub p99_ms: f64,
}

/// One run of one way.
#[derive(Debug, Clone, Default)]
pub(crate) struct Run {
    pub took: Duration,
    pub deliveries: Vec<Duration>,
    pub calls: u64,
}

pub(crate) async fn measure(env: &BenchEnv, settings: &Settings) -> anyhow::Result<Measured> {
    let mut scenarios = Vec::new();
    for scenario in all(settings) {
        if settings.wants(&scenario.name()) {
            scenarios.push(measure_scenario(env, settings, scenario).await?);
        }
    }
    let latency = if settings.measures_stack() { Some(latency(env).await?) } else { None };
    Ok(Measured { scenarios, latency })
}

fn all(settings: &Settings) -> Vec<Scenario> {
    let (singles, arrays) = settings.writes();
    let mut scenarios = Vec::new();
    for (form, writes) in [(Form::Single, singles), (Form::Array, arrays)] {
        for partitions in [1, 8] {
            for change in [Change::Insert, Change::Update, Change::Mixed] {
                scenarios.push(Scenario { form, change, partitions, writes });
            }
        }
    }
    scenarios
}

async fn measure_scenario(
    env: &BenchEnv,
    settings: &Settings,
    scenario: Scenario,
) -> anyhow::Result<MeasuredScenario> {
    tracing::info!("writes: {}", scenario.name());
    let mut ways = vec![Way::AuroraSync];
    if scenario.form == Form::Array && scenario.change == Change::Insert {
        ways.push(Way::File);
    }
    ways.push(Way::Powertools);
    // The tutorial's function has no DELETE and takes no arrays.
    if scenario.form == Form::Single && scenario.change != Change::Mixed {
        ways.push(Way::Tutorial);
    }
    ways.retain(|way| settings.wants_way(way.name()));
    let template = template(env, &scenario).await?;
    let expected = expected(env, &scenario).await?;
    let rounds = settings.rounds_of(scenario.writes);
    let mut runs = vec![Vec::new(); ways.len()];
    for round in 0..rounds {
        for index in 0..ways.len() {
            let index = (index + round) % ways.len();
            let way = ways[index];
            let database = env.copy_of(&template.name).await?;
            let run = run(env, &database, way, &scenario).await;
            let run = run.with_context(|| format!("{}: {}", scenario.name(), way.name()))?;
            let found = env.checksum(&database, Table::Staff).await?;
            ensure!(found == expected, "{}: {found}, expected {expected}", way.name());
            if way == Way::AuroraSync {
                let settled = "SELECT count(*)::text FROM sync.write WHERE outcome = 'applied'";
                let settled = env.text(&database, settled).await?;
                ensure!(settled == scenario.writes.to_string(), "{settled} writes were applied");
            }
            env.remove(database).await?;
            runs[index].push(run);
        }
    }
    env.remove(template).await?;
    let speed = |run: &Run| float(scenario.writes) / run.took.as_secs_f64();
    let measured = ways.iter().zip(&runs).map(|(way, of_way)| {
        let last = of_way.last().cloned().unwrap_or_default();
        let mut deliveries: Vec<_> =
            last.deliveries.iter().map(|took| took.as_secs_f64() * 1_000.0).collect();
        deliveries.sort_unstable_by(f64::total_cmp);
        MeasuredWay {
            name: way.name().to_owned(),
            writes: scenario.writes,
            writes_per_second: Spread::of(of_way.iter().map(speed)),
            ours_is_times: Spread::of(
                runs[0].iter().zip(of_way).map(|(ours, its)| speed(ours) / speed(its)),
            ),
            calls_per_1000: float(last.calls) * 1_000.0 / float(scenario.writes),
            delivery_p50_ms: figures::quantile(&deliveries, 0.5),
            delivery_p99_ms: figures::quantile(&deliveries, 0.99),
        }
    });
    Ok(MeasuredScenario { scenario: scenario.name(), ways: measured.collect() })
}

/// The table as the writes meet it.
async fn template(env: &BenchEnv, scenario: &Scenario) -> anyhow::Result<Database> {
    let there = |n: &u64| scenario.change.operation(*n) != Operation::Insert;
    let database = env.fresh().await?;
    let path = env.folder.path().join("there.csv");
    Table::Staff.write_csv(&path, (0..scenario.writes).filter(there), Version::Old)?;
    load(env, &database, &path).await?;
    env.run_sql(&database, "VACUUM (FREEZE, ANALYZE) staff").await?;
    Ok(database)
}

async fn expected(env: &BenchEnv, scenario: &Scenario) -> anyhow::Result<String> {
    let left = |n: &u64| scenario.change.operation(*n) != Operation::Delete;
    let database = env.fresh().await?;
    let path = env.folder.path().join("expected.csv");
    Table::Staff.write_csv(&path, (0..scenario.writes).filter(left), Version::New)?;
    load(env, &database, &path).await?;
    let checksum = env.checksum(&database, Table::Staff).await?;
    env.remove(database).await?;
    Ok(checksum)
}

pub(crate) async fn load(env: &BenchEnv, database: &Database, path: &Path) -> anyhow::Result<()> {
    let copy = "COPY staff FROM STDIN WITH (FORMAT csv, HEADER)";
    env.copy_file(database, ["", copy, ""], path).await
}

async fn run(
    env: &BenchEnv,
    database: &Database,
    way: Way,
    scenario: &Scenario,
) -> anyhow::Result<Run> {
    if way == Way::File {
        return load_as_file(env, database, scenario.writes).await;
    }
    let partitions: Vec<_> = (0..scenario.partitions)
        .map(|partition| {
            let rows: Vec<_> = (partition..scenario.writes)
                .step_by(usize::try_from(scenario.partitions).unwrap_or(1))
                .collect();
            match way {
                Way::AuroraSync | Way::File => our_deliveries(scenario, partition, &rows),
                Way::Powertools => powertools_deliveries(scenario, partition, &rows),
                Way::Tutorial => tutorial_requests(scenario, &rows),
            }
        })
        .collect();
    // An update of a row that is not there.
    let update = Scenario { change: Change::Update, form: Form::Single, ..*scenario };
    let warm_up = |partition: u64| {
        let rows = [scenario.writes + partition];
        match way {
            Way::AuroraSync | Way::File => our_deliveries(&update, partition, &rows),
            Way::Powertools => powertools_deliveries(&update, partition, &rows),
            Way::Tutorial => tutorial_requests(&update, &rows),
        }
    };
    let warm_ups = (0..scenario.partitions).map(warm_up).collect();
    run_partitions(env, database, way.module(), warm_ups, partitions).await
}

/// Has the rows imported that the writes insert.
async fn load_as_file(env: &BenchEnv, database: &Database, rows: u64) -> anyhow::Result<Run> {
    let scenario = import::Scenario { table: Table::Staff, mode: import::Mode::Insert, rows };
    let prepared = import::Prepared::new(env, &scenario).await?;
    let run = prepared.run_ours(env, database, rows).await?;
    prepared.remove(env).await?;
    let took = Duration::from_secs_f64(run.seconds);
    Ok(Run { took, deliveries: vec![took], calls: run.calls })
}

impl Way {
    /// The Python function; `None` is ours.
    fn module(self) -> Option<&'static str> {
        match self {
            Self::AuroraSync | Self::File => None,
            Self::Powertools => Some("write_powertools"),
            Self::Tutorial => Some("write_tutorial"),
        }
    }
}

/// Runs a function for each partition. A partition has one delivery after the other, and the
/// partitions run at once. Time begins when each function has handled a first delivery.
async fn run_partitions(
    env: &BenchEnv,
    database: &Database,
    module: Option<&str>,
    warm_ups: Vec<Vec<String>>,
    partitions: Vec<Vec<String>>,
) -> anyhow::Result<Run> {
    let functions = try_join_all(partitions.iter().map(async |_| match module {
        None => env.function(&env.programs.apply, database).await,
        Some(module) => env.peer(module, database).await,
    }))
    .await?;
    for (function, deliveries) in functions.iter().zip(warm_ups) {
        run_partition(function, deliveries).await?;
    }
    env.data_api.counters().reset();
    let started = Instant::now();
    let deliveries = try_join_all(
        functions
            .iter()
            .zip(partitions)
            .map(|(function, deliveries)| run_partition(function, deliveries)),
    )
    .await?;
    let took = started.elapsed();
    let calls = env.data_api.counters().all_calls();
    Ok(Run { took, deliveries: deliveries.into_iter().flatten().collect(), calls })
}

async fn run_partition(
    function: &Function,
    deliveries: Vec<String>,
) -> anyhow::Result<Vec<Duration>> {
    let mut times = Vec::new();
    for delivery in deliveries {
        let response = function.invoke(delivery).await?;
        let failures = response.value["batchItemFailures"].as_array().map_or(0, Vec::len);
        ensure!(failures == 0, "{failures} messages are to be retried: {}", function.log());
        ensure!(response.value["statusCode"].as_u64().is_none_or(|status| status == 200));
        times.push(response.took);
    }
    Ok(times)
}

/// A write of `staff`, as `enqueue` makes it.
pub(crate) fn write(n: u64, operation: Operation) -> Write {
    let id = ("id".to_owned(), Some(staff_id(n)));
    let row = match operation {
        Operation::Delete => vec![id],
        _ => vec![
            id,
            ("name".to_owned(), Some(staff_name(n, Version::New))),
            ("age".to_owned(), staff_age(n).map(|age| age.to_string())),
        ],
    };
    Write {
        id: uuid::Uuid::now_v7(),
        table: "staff".to_owned(),
        operation,
        key: Some(Key::from(vec![staff_id(n)])),
        row,
        accepted_at_ms: jiff::Timestamp::now().as_millisecond(),
        fingerprint: None,
        precondition: None,
        caller: Arc::default(),
    }
}

fn our_deliveries(scenario: &Scenario, partition: u64, rows: &[u64]) -> Vec<String> {
    let writes = rows.iter().map(|n| write(*n, scenario.change.operation(*n)));
    let bodies: Vec<_> = match scenario.form {
        Form::Single => {
            writes.flat_map(|write| pack(vec![write], 1)).map(|message| message.body).collect()
        }
        Form::Array => pack(writes.collect(), 1).into_iter().map(|message| message.body).collect(),
    };
    deliveries(bodies, partition)
}

fn deliveries(bodies: Vec<String>, partition: u64) -> Vec<String> {
    let group = Some(format!("p{partition}"));
    let messages: Vec<_> = bodies.into_iter().map(|body| (body, group.clone())).collect();
    messages
        .chunks(DELIVERY_MESSAGES)
        .map(|messages| queue_event(messages, "writes.fifo").to_string())
        .collect()
}

fn row(n: u64) -> Value {
    json!({ "id": staff_id(n), "name": staff_name(n, Version::New), "age": staff_age(n) })
}

/// A message has rows of one operation.
fn powertools_deliveries(scenario: &Scenario, partition: u64, rows: &[u64]) -> Vec<String> {
    let body = |operation: Operation, rows: &[u64]| {
        let rows: Vec<_> = rows.iter().map(|n| row(*n)).collect();
        json!({ "operation": operation.as_str(), "rows": rows }).to_string()
    };
    let operation = |n: &u64| scenario.change.operation(*n);
    let bodies = match scenario.form {
        Form::Single => rows.iter().map(|n| body(operation(n), &[*n])).collect(),
        Form::Array => {
            let size = usize::try_from(MESSAGE_ROWS).unwrap_or(usize::MAX);
            let of = |wanted: Operation| {
                let rows: Vec<_> =
                    rows.iter().copied().filter(|n| operation(n) == wanted).collect();
                rows.chunks(size).map(|rows| body(wanted, rows)).collect::<Vec<_>>()
            };
            [Operation::Insert, Operation::Update, Operation::Delete]
                .into_iter()
                .flat_map(of)
                .collect()
        }
    };
    deliveries(bodies, partition)
}

fn tutorial_requests(scenario: &Scenario, rows: &[u64]) -> Vec<String> {
    let request = |n: &u64| {
        let method = if scenario.change == Change::Insert { "POST" } else { "PUT" };
        let event = json!({
            "resource": "/{table}/{key}",
            "httpMethod": method,
            "pathParameters": { "table": "staff", "key": staff_id(*n) },
            "body": row(*n).to_string(),
        });
        event.to_string()
    };
    rows.iter().map(request).collect()
}

/// A backlog of single writes, drained by eight functions beside each other.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Backlog {
    pub writes: u64,
    pub seconds: f64,
    pub calls: u64,
}

pub(crate) async fn drain(env: &BenchEnv, writes: u64) -> anyhow::Result<Backlog> {
    tracing::info!("growth: a backlog of {} writes", count(writes));
    let scenario = Scenario { form: Form::Single, change: Change::Insert, partitions: 8, writes };
    let expected = expected(env, &scenario).await?;
    let database = env.fresh().await?;
    let run = run(env, &database, Way::AuroraSync, &scenario).await?;
    let found = env.checksum(&database, Table::Staff).await?;
    ensure!(found == expected, "{found}, expected {expected}");
    env.remove(database).await?;
    Ok(Backlog { writes, seconds: run.took.as_secs_f64(), calls: run.calls })
}

pub(crate) fn backlog_table(backlog: &Backlog) -> figures::Table {
    let title = "A backlog of single writes, drained by eight functions";
    let columns = ["writes", "seconds", "writes/s", "Data API calls"];
    let mut table = figures::Table::new(title, &columns);
    let Backlog { writes, seconds, calls } = *backlog;
    let speed = float(writes) / seconds;
    table.push([count(writes), number(seconds), number(speed), whole(calls)]);
    table
}

/// Posts writes, one after the other, to the whole stack, and asks the ledger.
async fn latency(env: &BenchEnv) -> anyhow::Result<Latency> {
    tracing::info!("writes: from accepted to applied, on the whole stack");
    let stack = Stack::start(Options::new(env.programs.clone())?).await?;
    for n in 100..100 + POSTED {
        let headers = [("content-type", "application/json")];
        let body = row(n).to_string();
        let response = stack.request(Method::POST, "/staff", &headers, body).await?;
        ensure!(response.status == 202, "POST /staff: {}", response.text());
    }
    let client = ephemeral_postgres::connect(&stack.addresses().database_url).await?;
    let sql = "SELECT count(*), percentile_cont(ARRAY[0.5, 0.99]) WITHIN GROUP
         (ORDER BY extract(epoch FROM settled_at - accepted_at) * 1000) FROM sync.write
         WHERE outcome = 'applied'";
    let started = Instant::now();
    loop {
        let row = client.query_one(sql, &[]).await?;
        if row.get::<_, i64>(0) == i64::try_from(POSTED)? {
            let quantiles: Vec<f64> = row.get(1);
            let [p50_ms, p99_ms] = quantiles[..] else { unreachable!("two are asked for") };
            return Ok(Latency { writes: POSTED, p50_ms, p99_ms });
        }
        ensure!(started.elapsed() < Duration::from_mins(1), "not all writes were applied");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

pub(crate) fn tables(measured: &Measured) -> Vec<figures::Table> {
    let columns = ["way", "writes/s", "aurora-sync is ×", "calls per 1,000", "p50 ms", "p99 ms"];
    let mut tables: Vec<_> = measured
        .scenarios
        .iter()
        .map(|scenario| {
            let mut table = figures::Table::new(format!("Writes: {}", scenario.scenario), &columns);
            for way in &scenario.ways {
                table.push([
                    way.name.clone(),
                    way.writes_per_second.show(),
                    way.ours_is_times.show(),
                    number(way.calls_per_1000),
                    number(way.delivery_p50_ms),
                    number(way.delivery_p99_ms),
                ]);
            }
            table
        })
        .collect();
    if let Some(latency) = &measured.latency {
        let title =
            "From accepted to applied: the whole local stack, writes posted one after the other";
        let mut table = figures::Table::new(title, &["writes", "p50 ms", "p99 ms"]);
        table.push([count(latency.writes), number(latency.p50_ms), number(latency.p99_ms)]);
        tables.push(table);
    }
    tables
}
