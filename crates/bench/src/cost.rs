//! Estimates the cost on AWS: calls, bytes and processor time are counted in runs on this machine,
//! prices come from `crates/bench/prices.json`, and the formulas are here.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, ensure};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::data::{Table, Version, staff_age, staff_id, staff_name};
use crate::environment::{BenchEnv, Database, api_event, queue_event};
use crate::figures::{self, count, float, number, whole};
use crate::function::Function;
use crate::import::{Mode, Prepared, Scenario};
use crate::settings::Settings;
use crate::writes::load;

const PRICES: &str = include_str!("../prices.json");

const MILLION: f64 = 1_000_000.0;
/// The bytes of one billed unit of a request.
const SQS_UNIT_BYTES: f64 = 65_536.0;
const DATA_API_UNIT_BYTES: f64 = 32_768.0;
const API_UNIT_BYTES: u64 = 512 * 1_024;
/// The bytes of a line of the API's access log (`AccessLogSettings` in `template.yaml`), with the
/// ARN of a role session of 80 characters.
const ACCESS_LOG_LINE_BYTES: u64 = 240;
/// The bytes of Lambda's own lines of an invocation, START, END and REPORT, in the default format.
/// `template.yaml` leaves them out.
const LAMBDA_LINES_BYTES: u64 = 264;
const SECONDS_PER_HOUR: f64 = 3_600.0;

#[derive(Debug, Deserialize)]
pub(crate) struct Prices {
    pub region: String,
    #[serde(rename = "prices")]
    pub by_name: BTreeMap<String, Price>,
    pub assumptions: BTreeMap<String, Assumption>,
    pub limits: BTreeMap<String, Assumption>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Price {
    pub usd: f64,
    pub unit: String,
    pub source: String,
    pub date: String,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Assumption {
    pub value: f64,
    pub why: String,
}

impl Prices {
    pub(crate) fn read() -> anyhow::Result<Self> {
        serde_json::from_str(PRICES).context("crates/bench/prices.json cannot be read")
    }

    fn usd(&self, name: &str) -> f64 {
        self.by_name.get(name).map_or(f64::NAN, |price| price.usd)
    }

    pub(crate) fn value(&self, name: &str) -> f64 {
        let found = self.assumptions.get(name).or_else(|| self.limits.get(name));
        found.map_or(f64::NAN, |found| found.value)
    }
}

/// The resources that a number of units of work needed.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Sample {
    pub name: String,
    pub unit: String,
    pub units: u64,
    pub api_requests: u64,
    /// The billed requests of the API: one for each 512 KB of a request.
    pub api_units: u64,
    pub invocations: Vec<Invocations>,
    /// The billed requests of a FIFO queue and of a standard queue.
    pub sqs_fifo_requests: f64,
    pub sqs_standard_requests: f64,
    pub data_api_calls: u64,
    pub data_api_bytes: u64,
    pub s3_puts: u64,
    pub s3_gets: u64,
    pub log_bytes: u64,
    /// The bytes of the access log, whose class is Infrequent Access.
    pub access_log_bytes: u64,
    pub postgres_cpu_seconds: f64,
}

/// Invocations of a function with this memory.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Invocations {
    pub memory_mb: f64,
    pub count: u64,
    pub cpu_seconds: f64,
    /// Calls that it waits for.
    pub data_api_calls: u64,
    pub other_calls: u64,
}

/// The price of a million units, by service.
#[derive(Debug, Clone, Default)]
pub(crate) struct Cost {
    pub lines: Vec<(&'static str, f64)>,
}

impl Cost {
    pub(crate) fn total(&self) -> f64 {
        self.lines.iter().map(|(_, usd)| usd).sum()
    }
}

/// Returns the billed time of invocations: processor time, stretched where the function has a part
/// of a processor, and the time that its calls take on AWS.
pub(crate) fn billed_seconds(prices: &Prices, invocations: &Invocations) -> f64 {
    let whole = prices.value("memory_of_one_processor_mb");
    let stretch = (whole / invocations.memory_mb).max(1.0) * prices.value("processor_ratio");
    let waits = float(invocations.data_api_calls) * prices.value("data_api_call_ms")
        + float(invocations.other_calls) * prices.value("other_call_ms");
    invocations.cpu_seconds * stretch + waits / 1_000.0
}

/// Returns the billed requests of the Data API: one for each call, and one more for each unit of
/// bytes.
pub(crate) fn data_api_units(calls: u64, bytes: u64) -> f64 {
    float(calls) + (float(bytes) / DATA_API_UNIT_BYTES).floor()
}

/// Returns the billed requests of the API for a request with this body.
fn api_units_of(body: &str) -> u64 {
    (body.len() as u64).div_ceil(API_UNIT_BYTES).max(1)
}

pub(crate) fn cost(prices: &Prices, sample: &Sample) -> Cost {
    let per_million = MILLION / float(sample.units);
    let invoked: u64 = sample.invocations.iter().map(|one| one.count).sum();
    let gb_seconds: f64 = sample
        .invocations
        .iter()
        .map(|one| billed_seconds(prices, one) * one.memory_mb / 1_024.0)
        .sum();
    let acu_hours = sample.postgres_cpu_seconds * prices.value("processor_ratio")
        / prices.value("processors_per_acu")
        / SECONDS_PER_HOUR;
    let usd = |name, amount: f64| prices.usd(name) * amount * per_million;
    Cost {
        lines: vec![
            ("Gateway", usd("api_gateway_http_request", float(sample.api_units))),
            ("Lambda", usd("lambda_request", float(invoked)) + usd("lambda_gb_second", gb_seconds)),
            (
                "SQS",
                usd("sqs_fifo_request", sample.sqs_fifo_requests)
                    + usd("sqs_standard_request", sample.sqs_standard_requests),
            ),
            (
                "Data API",
                usd(
                    "data_api_request",
                    data_api_units(sample.data_api_calls, sample.data_api_bytes),
                ),
            ),
            ("S3", usd("s3_put", float(sample.s3_puts)) + usd("s3_get", float(sample.s3_gets))),
            (
                "Logs",
                usd("logs_gb", float(sample.log_bytes) / 1e9)
                    + usd("logs_infrequent_gb", float(sample.access_log_bytes) / 1e9),
            ),
            ("Aurora", usd("aurora_acu_hour", acu_hours)),
        ],
    }
}

/// The functions' memory in template.yaml.
const SMALL_MB: f64 = 512.0;
const IMPORT_MB: f64 = 1_769.0;
/// The memory of the tutorial's functions.
const TUTORIAL_MB: f64 = 128.0;

/// The names of the samples that scale.
const SINGLE: &str = "single writes";
const ARRAYS: &str = "arrays";
const FILE: &str = "CSV rows";

/// Writes of one request, where they come in arrays.
const ARRAY_WRITES: u64 = 500;

pub(crate) async fn measure(env: &BenchEnv, settings: &Settings) -> anyhow::Result<Vec<Sample>> {
    let size = if settings.is_smoke() { 20 } else { 1_000 };
    let mut samples = Vec::new();
    tracing::info!("cost: writes, one by one");
    samples.push(writes(env, SINGLE, size, 1).await?);
    tracing::info!("cost: writes in arrays");
    let in_arrays = (size * 20).max(ARRAY_WRITES);
    samples.push(writes(env, ARRAYS, in_arrays, ARRAY_WRITES).await?);
    tracing::info!("cost: a file");
    samples.push(file(env, size * 100).await?);
    tracing::info!("cost: look-ups");
    samples.push(requests(env, "look-ups", Some(size), None).await?);
    tracing::info!("cost: the tutorial's way");
    samples.push(requests(env, "tutorial writes", None, Some(size)).await?);
    samples.push(requests(env, "tutorial look-ups", Some(size), Some(0)).await?);
    Ok(samples)
}

/// Processor time of functions, without that of their start.
struct Meter<'a> {
    function: &'a Function,
    before: Duration,
}

impl<'a> Meter<'a> {
    fn start(function: &'a Function) -> anyhow::Result<Self> {
        Ok(Self { function, before: function.usage()?.cpu })
    }

    fn cpu_seconds(&self) -> anyhow::Result<f64> {
        Ok(self.function.usage()?.cpu.saturating_sub(self.before).as_secs_f64())
    }
}

/// Sends requests through `enqueue` and the queue, as the emulator would do it, and counts them.
async fn writes(
    env: &BenchEnv,
    name: &str,
    writes: u64,
    per_request: u64,
) -> anyhow::Result<Sample> {
    let database = env.fresh().await?;
    let enqueue = env.function(&env.programs.enqueue, &database).await?;
    let apply = env.function(&env.programs.apply, &database).await?;
    let (at_enqueue, at_apply) = (Meter::start(&enqueue)?, Meter::start(&apply)?);
    env.fake_aws.take_sent();
    env.fake_aws.reset_counts();
    env.data_api.counters().reset();
    let postgres = env.postgres_cpu().await?;
    let requests = writes / per_request;
    let mut api_units = 0;
    for request in 0..requests {
        let rows: Vec<_> = (request * per_request..(request + 1) * per_request).map(row).collect();
        let body = if per_request == 1 { rows[0].clone() } else { Value::Array(rows) };
        let body = body.to_string();
        api_units += api_units_of(&body);
        let event = api_event("POST", "staff", "", Some(&body));
        let response = enqueue.invoke(event.to_string()).await?;
        ensure!(response.value["statusCode"] == 202, "{}", response.value);
    }
    let sent = env.fake_aws.take_sent();
    let send_calls = env.fake_aws.counts().of("SendMessageBatch");
    let mut queue_units = 0.0;
    let mut deliveries = 0;
    for messages in sent.chunks(10) {
        let bytes: usize = messages.iter().map(String::len).sum();
        // Sent, received, and deleted by their handles.
        queue_units += 2.0 * (float(bytes as u64) / SQS_UNIT_BYTES).ceil() + 1.0;
        deliveries += 1;
        let messages: Vec<_> =
            messages.iter().map(|body| (body.clone(), Some("p0".to_owned()))).collect();
        let response = apply.invoke(queue_event(&messages, "writes.fifo").to_string()).await?;
        let failures = response.value["batchItemFailures"].as_array().map_or(0, Vec::len);
        ensure!(failures == 0, "{failures} messages are to be retried later");
    }
    // Ten single writes are ten calls to the queue, not one.
    queue_units += float(send_calls.saturating_sub(deliveries));
    let counters = env.data_api.counters();
    let sample = Sample {
        name: name.to_owned(),
        unit: "writes".to_owned(),
        units: writes,
        api_requests: requests,
        api_units,
        invocations: vec![
            Invocations {
                memory_mb: SMALL_MB,
                count: requests,
                cpu_seconds: at_enqueue.cpu_seconds()?,
                data_api_calls: 0,
                other_calls: send_calls,
            },
            Invocations {
                memory_mb: SMALL_MB,
                count: deliveries,
                cpu_seconds: at_apply.cpu_seconds()?,
                data_api_calls: counters.all_calls(),
                other_calls: 0,
            },
        ],
        sqs_fifo_requests: queue_units,
        data_api_calls: counters.all_calls(),
        data_api_bytes: counters.bytes_in(),
        log_bytes: (enqueue.log().len() + apply.log().len()) as u64,
        access_log_bytes: requests * ACCESS_LOG_LINE_BYTES,
        postgres_cpu_seconds: env.postgres_cpu().await?.saturating_sub(postgres).as_secs_f64(),
        ..Sample::default()
    };
    check_rows(env, database, writes).await?;
    Ok(sample)
}

fn row(n: u64) -> Value {
    json!({ "id": staff_id(n), "name": staff_name(n, Version::New), "age": staff_age(n) })
}

async fn check_rows(env: &BenchEnv, database: Database, rows: u64) -> anyhow::Result<()> {
    let found = env.text(&database, "SELECT count(*)::text FROM staff").await?;
    ensure!(found == rows.to_string(), "{found} rows, expected {rows}");
    env.remove(database).await
}

async fn file(env: &BenchEnv, rows: u64) -> anyhow::Result<Sample> {
    let scenario = Scenario { table: Table::Staff, mode: Mode::UpsertNew, rows };
    let prepared = Prepared::new(env, &scenario).await?;
    let database = env.copy_of(prepared.template()).await?;
    let run = prepared.run_ours(env, &database, rows).await?;
    let counts = env.fake_aws.counts();
    let usage = run.usage.context("ours has a usage")?;
    let puts: u64 =
        counts.calls.iter().filter(|(name, _)| is_s3_put(name)).map(|(_, calls)| calls).sum();
    let gets = counts.of("GetObject") + counts.of("HeadObject");
    let sample = Sample {
        name: FILE.to_owned(),
        unit: "rows".to_owned(),
        units: rows,
        invocations: vec![Invocations {
            memory_mb: IMPORT_MB,
            count: 1,
            cpu_seconds: usage.cpu.as_secs_f64(),
            data_api_calls: run.calls,
            other_calls: puts + gets,
        }],
        // S3 sends one message, which is received and deleted. The function sends more.
        sqs_standard_requests: 3.0 + float(counts.messages_sent),
        data_api_calls: run.calls,
        data_api_bytes: run.call_bytes,
        // The upload is one too.
        s3_puts: puts + 1,
        s3_gets: gets,
        log_bytes: run.log_bytes,
        postgres_cpu_seconds: run.postgres_cpu.as_secs_f64(),
        ..Sample::default()
    };
    check_rows(env, database, rows).await?;
    prepared.remove(env).await?;
    Ok(sample)
}

fn is_s3_put(operation: &str) -> bool {
    matches!(
        operation,
        "PutObject" | "UploadPart" | "CreateMultipartUpload" | "CompleteMultipartUpload"
    )
}

/// Counts requests that a function handles with one statement each: our look-ups, or the tutorial's
/// requests.
async fn requests(
    env: &BenchEnv,
    name: &str,
    lookups: Option<u64>,
    tutorial: Option<u64>,
) -> anyhow::Result<Sample> {
    let database = env.fresh().await?;
    let units = lookups.or(tutorial).unwrap_or_default();
    if lookups.is_some() {
        let path = env.folder.path().join("cost.csv");
        Table::Staff.write_csv(&path, 0..units, Version::New)?;
        load(env, &database, &path).await?;
    }
    let (function, memory_mb) = match (lookups, tutorial) {
        (Some(_), None) => (env.function(&env.programs.lookup, &database).await?, SMALL_MB),
        (Some(_), Some(_)) => (env.peer("lookup_tutorial", &database).await?, TUTORIAL_MB),
        _ => (env.peer("write_tutorial", &database).await?, TUTORIAL_MB),
    };
    let meter = Meter::start(&function)?;
    env.data_api.counters().reset();
    let postgres = env.postgres_cpu().await?;
    for n in 0..units {
        let event = match (lookups, tutorial) {
            (Some(_), None) => api_event("GET", &format!("staff/{}", staff_id(n)), "", None),
            (Some(_), Some(_)) => json!({ "queryStringParameters": { "id": staff_id(n) } }),
            _ => json!({ "httpMethod": "POST", "body": row(n).to_string() }),
        };
        let response = function.invoke(event.to_string()).await?;
        ensure!(response.value["statusCode"] == 200, "{}", response.value);
    }
    let counters = env.data_api.counters();
    let sample = Sample {
        name: name.to_owned(),
        unit: if lookups.is_some() { "look-ups" } else { "writes" }.to_owned(),
        units,
        api_requests: units,
        api_units: units,
        invocations: vec![Invocations {
            memory_mb,
            count: units,
            cpu_seconds: meter.cpu_seconds()?,
            data_api_calls: counters.all_calls(),
            other_calls: 0,
        }],
        data_api_calls: counters.all_calls(),
        data_api_bytes: counters.bytes_in(),
        // The tutorial's API has no access log, and its functions have Lambda's default format.
        log_bytes: function.log().len() as u64
            + if tutorial.is_none() { 0 } else { units * LAMBDA_LINES_BYTES },
        access_log_bytes: if tutorial.is_none() { units * ACCESS_LOG_LINE_BYTES } else { 0 },
        postgres_cpu_seconds: env.postgres_cpu().await?.saturating_sub(postgres).as_secs_f64(),
        ..Sample::default()
    };
    check_rows(env, database, units).await?;
    Ok(sample)
}

/// The cost of a month in which nothing happens: alarms, the dashboard, secrets, the schedules of
/// `prune` and `refresh`, the queues' pollers and a gigabyte of data. The database is at zero
/// capacity.
pub(crate) fn idle_month(prices: &Prices, alarms: u64) -> Vec<(&'static str, f64)> {
    // Two event source mappings with long polls of 20 s and five pollers each (AWS Lambda guide,
    // "Using Lambda with Amazon SQS": empty receives are billed).
    let polls = 5.0 * 30.0 * 86_400.0 / 20.0;
    vec![
        ("Alarms", prices.usd("alarm_month") * float(alarms)),
        ("The dashboard", prices.usd("dashboard_month")),
        // Each of the two reports its calls of the Data API once a day.
        ("The metric of prune and refresh", prices.usd("metric_month") * 2.0 / 24.0),
        // Of the owner, the reader and the writer.
        ("The secrets of three users", 3.0 * prices.usd("secret_month")),
        (
            "Empty receives of the two queues",
            polls * (prices.usd("sqs_fifo_request") + prices.usd("sqs_standard_request")),
        ),
        ("A gigabyte of data", prices.usd("aurora_gb_month")),
        ("prune, 30 invocations and their calls", {
            30.0 * (prices.usd("lambda_request") + 3.0 * prices.usd("data_api_request"))
        }),
        ("refresh, 30 invocations and their calls", {
            let objects = prices.usd("s3_get") + prices.usd("s3_put");
            30.0 * (prices.usd("lambda_request") + prices.usd("data_api_request") + objects)
        }),
        ("Aurora at zero capacity", 0.0),
    ]
}

/// Returns the section on the limits that are reached first, by rates of writes and for a large
/// file.
pub(crate) fn at_scale(prices: &Prices, samples: &[Sample]) -> String {
    let of = |name: &str| samples.iter().find(|sample| sample.name == name);
    let per_unit = |sample: &Sample, amount: f64| amount / float(sample.units);
    let postgres_acus = |sample: &Sample, rate: f64| {
        per_unit(sample, sample.postgres_cpu_seconds) * rate / prices.value("processors_per_acu")
    };
    let calls_per_second =
        |sample: &Sample, rate: f64| per_unit(sample, float(sample.data_api_calls)) * rate;
    // Functions that are busy at once: invocation time of a second's work (Little's law).
    let busy = |sample: &Sample, rate: f64, index: usize| {
        let seconds = sample.invocations.get(index).map(|one| billed_seconds(prices, one));
        per_unit(sample, seconds.unwrap_or(f64::NAN)) * rate
    };
    let columns = [
        "writes/s",
        "form",
        "requests/s",
        "enqueue",
        "sends/s",
        "apply",
        "calls/s",
        "ACUs",
        "USD a day",
    ];
    let mut table = figures::Table::new("Writes", &columns);
    let requests_max = prices.value("api_gateway_requests_per_second");
    let functions_max = prices.value("lambda_concurrency");
    let sends_max = prices.value("sqs_fifo_calls_per_queue");
    let limits = [requests_max, functions_max, sends_max].map(number);
    let none = || "–".to_owned();
    let mut row = vec!["limit".to_owned(), none()];
    row.extend(limits.into_iter().chain([none(), none(), none(), none()]));
    table.push(row);
    for writes in [10, 1_000, 100_000] {
        let rate = float(writes);
        for (form, name) in [("single", SINGLE), ("arrays", ARRAYS)] {
            let Some(sample) = of(name) else { continue };
            let requests = per_unit(sample, float(sample.api_requests)) * rate;
            let usd = cost(prices, sample).total() / MILLION * rate * 86_400.0;
            table.push([
                whole(writes),
                form.to_owned(),
                limited(requests, requests_max),
                limited(busy(sample, rate, 0), functions_max),
                limited(requests, sends_max),
                number(busy(sample, rate, 1).max(1.0).ceil()),
                number(calls_per_second(sample, rate)),
                number(postgres_acus(sample, rate)),
                number(usd),
            ]);
        }
    }
    let mut text = format!("## At scale\n\n{}\n{COLUMNS}\n", table.show());
    if let Some(sample) = of(FILE) {
        // A row of the table of the run is some 25 bytes.
        let rows = 1e12 / 25.0;
        let seconds = busy(sample, rows, 0);
        let usd = cost(prices, sample).total() / MILLION * rows;
        let columns =
            ["rows of 25 bytes", "one file, days", "64 files, hours", "ACUs at 64", "USD"];
        let mut table = figures::Table::new("A terabyte of CSV", &columns);
        table.push([
            number(rows),
            number(seconds / 86_400.0),
            number(seconds / 3_600.0 / 64.0),
            number(postgres_acus(sample, rows / (seconds / 64.0))),
            number(usd),
        ]);
        text.push_str(&table.show());
        text.push('\n');
    }
    text.push_str(AT_SCALE);
    text
}

/// Returns a figure, in bold type if it is over its limit.
fn limited(figure: f64, limit: f64) -> String {
    if figure > limit { format!("**{}**", number(figure)) } else { number(figure) }
}

const COLUMNS: &str = "\
*arrays* are arrays of 500. A figure in bold type is over its limit. *requests/s* are requests of
API Gateway, *enqueue* and *apply* are functions that run at once, *sends/s* are calls of the FIFO
queue, *calls/s* are calls of the Data API, and *ACUs* are the capacity for PostgreSQL's work. There
must be at least as many partitions as functions in *apply*.
";

const AT_SCALE: &str = "\
These limits are reached first, and these settings raise them:

- **10 writes a second**: none. One `apply` is idle most of the time, and one partition is enough.
- **1,000 a second, single**: the order of keys. One `apply` at a time works on a message group, so
  there must be more partitions (`Partitions`) and functions (`ApplyConcurrency`) than *apply* says.
  As arrays, the same writes are a few deliveries a second.
- **100,000 a second, single**: the requests of API Gateway (a quota that AWS raises on request),
  then the concurrent functions of the account, then the calls of one FIFO queue. A client that
  writes at such a rate sends arrays, or a file.
- **100,000 a second, in arrays**: PostgreSQL. Its limits are its capacity (`MaxCapacity`) and its
  one writer instance. Each running `apply` needs one connection.
- **A terabyte of CSV**: PostgreSQL again, with `ImportConcurrency` files at once. Cut the file into
  files of some gigabytes, which load at the same time. One file is one import, which continues in
  one invocation after the other.
- The event source mapping scales a FIFO queue up to the number of its groups, and a standard queue
  up to 1,250 functions at once. Both are far above the concurrency settings.
";

pub(crate) fn tables(samples: &[Sample]) -> Vec<figures::Table> {
    let Ok(prices) = Prices::read() else { return Vec::new() };
    let costs: Vec<_> = samples.iter().map(|sample| cost(&prices, sample)).collect();
    let mut columns = vec!["USD per million"];
    columns.extend(costs.first().into_iter().flat_map(|cost| cost.lines.iter().map(|line| line.0)));
    columns.push("total");
    let mut table = figures::Table::new("Cost on AWS, on paper", &columns);
    for (sample, cost) in samples.iter().zip(&costs) {
        let lines = cost.lines.iter().map(|(_, usd)| number(*usd));
        let row = std::iter::once(sample.name.clone()).chain(lines);
        table.push(row.chain([number(cost.total())]));
    }
    let columns = [
        "counted",
        "units",
        "invocations",
        "CPU ms",
        "calls",
        "KiB",
        "SQS",
        "S3",
        "PostgreSQL s",
        "log KiB",
    ];
    let mut counted = figures::Table::new("Counted in the run", &columns);
    for sample in samples {
        let cpu: f64 = sample.invocations.iter().map(|one| one.cpu_seconds).sum();
        counted.push([
            sample.name.clone(),
            count(sample.units),
            whole(sample.invocations.iter().map(|one| one.count).sum()),
            number(cpu * 1_000.0 * 1_000.0 / float(sample.units)),
            whole(sample.data_api_calls),
            number(float(sample.data_api_bytes) / 1_024.0),
            number(sample.sqs_fifo_requests + sample.sqs_standard_requests),
            format!("{} / {}", sample.s3_puts, sample.s3_gets),
            number(sample.postgres_cpu_seconds),
            number(float(sample.log_bytes + sample.access_log_bytes) / 1_024.0),
        ]);
    }
    vec![table, counted]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_million_units_cost_what_their_parts_cost() {
        let prices = Prices::read().unwrap();
        let sample = Sample {
            units: 1_000,
            api_requests: 1_000,
            api_units: 1_000,
            invocations: vec![Invocations {
                memory_mb: 512.0,
                count: 1_000,
                cpu_seconds: 0.0,
                data_api_calls: 1_000,
                other_calls: 0,
            }],
            data_api_calls: 1_000,
            data_api_bytes: 10,
            ..Sample::default()
        };
        let cost = cost(&prices, &sample);
        let line = |name| cost.lines.iter().find(|line| line.0 == name).unwrap().1;
        let is =
            |name, usd: f64| assert!((line(name) - usd).abs() < 1e-6, "{name}: {}", line(name));
        is("Gateway", 1.0);
        is("Data API", 0.35);
        // A million requests, and 17 ms of half a gigabyte for each.
        is("Lambda", 0.2 + 1.333_34e-5 * 0.5 * 17_000.0);
        is("Aurora", 0.0);
    }

    #[test]
    fn large_calls_are_metered_by_their_bytes() {
        let units = [data_api_units(3, 100), data_api_units(1, 4 << 20)].map(number);
        assert_eq!(units, ["3.00", "129"]);
        assert_eq!([0, 524_288, 524_289].map(|bytes| api_units_of(&"x".repeat(bytes))), [1, 1, 2]);
    }

    #[test]
    fn every_price_that_a_formula_names_is_in_the_file() {
        let prices = Prices::read().unwrap();
        for (_, usd) in idle_month(&prices, 1) {
            assert!(usd.is_finite());
        }
        let sample = Sample { units: 1, ..Sample::default() };
        assert!(cost(&prices, &sample).total().is_finite());
    }
}
