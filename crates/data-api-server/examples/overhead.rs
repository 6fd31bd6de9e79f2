//! Measures the time that the Data API server adds to PostgreSQL: the same work on both, one
//! client, in turns.
//!
//! `cargo run --profile measured --package data-api-server --example overhead`
#![allow(clippy::print_stdout, reason = "its answer is what it prints")]

use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use bytes::Bytes;
use data_api_server::{Server, Settings};
use ephemeral_postgres::Postgres;
use http_body_util::{BodyExt, Full};
use hyper::Request;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::{Value, json};

/// Each figure is the median of so many rounds, the two ways in turns.
const ROUNDS: usize = 15;
const CALLS: usize = 200;
const ROWS: usize = 5_000;

const INSERT: &str = "INSERT INTO t SELECT * FROM unnest($1::int[], $2::text[])";

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let postgres = Postgres::start().await?;
    let url = postgres.create_database("overhead").await?;
    let server = Server::start(Settings::new(&url)).await?;
    let api = Api {
        url: server.url(),
        client: Client::builder(TokioExecutor::new()).build_http::<Full<Bytes>>(),
    };
    let direct = ephemeral_postgres::connect(&url).await?;
    direct.batch_execute("CREATE TABLE t (a int, b text)").await?;

    let select = direct.prepare("SELECT 1").await?;
    let insert = direct.prepare(INSERT).await?;
    let (numbers, texts) = columns();
    let set_based = json!({
        "sql": "INSERT INTO t SELECT * FROM unnest(:a::text::int[], :b::text::text[])",
        "parameters": [text("a", &numbers), text("b", &texts)],
    });
    let sets: Vec<Value> = (0..1_000)
        .map(|n| json!([{ "name": "a", "value": { "longValue": n } }, text("b", "Name")]))
        .collect();
    let single_rows = json!({ "sql": "INSERT INTO t VALUES (:a, :b)", "parameterSets": sets });
    let insert_one = direct.prepare("INSERT INTO t VALUES ($1, $2)").await?;

    let mut figures = [const { [Vec::new(), Vec::new()] }; 3];
    for _ in 0..ROUNDS {
        let started = Instant::now();
        for _ in 0..CALLS {
            direct.query_one(&select, &[]).await?;
        }
        figures[0][0].push(started.elapsed());
        let started = Instant::now();
        for _ in 0..CALLS {
            api.call("/Execute", json!({ "sql": "SELECT 1" })).await?;
        }
        figures[0][1].push(started.elapsed());

        direct.batch_execute("TRUNCATE t").await?;
        let started = Instant::now();
        direct.execute(&insert, &[&ints(), &strings()]).await?;
        figures[1][0].push(started.elapsed());
        direct.batch_execute("TRUNCATE t").await?;
        let started = Instant::now();
        api.call("/Execute", set_based.clone()).await?;
        figures[1][1].push(started.elapsed());
        let count: i64 = direct.query_one("SELECT count(*) FROM t", &[]).await?.get(0);
        ensure!(count == i64::try_from(ROWS)?, "{count} rows");

        direct.batch_execute("TRUNCATE t").await?;
        let started = Instant::now();
        direct.batch_execute("BEGIN").await?;
        let rows: Vec<(i32, &str)> = (0..1_000).map(|n| (n, "Name")).collect();
        for (a, b) in &rows {
            direct.execute(&insert_one, &[a, b]).await?;
        }
        direct.batch_execute("COMMIT").await?;
        figures[2][0].push(started.elapsed());
        let begun = api.call("/BeginTransaction", json!({})).await?;
        let started = Instant::now();
        let mut batch = single_rows.clone();
        batch["transactionId"] = begun["transactionId"].clone();
        api.call("/BatchExecute", batch).await?;
        api.call("/CommitTransaction", json!({ "transactionId": begun["transactionId"] })).await?;
        figures[2][1].push(started.elapsed());
    }
    println!("| work | direct | through the server | ratio |\n| --- | --- | --- | --- |");
    let names = [
        format!("`SELECT 1`, one of {CALLS} calls"),
        format!("{ROWS} rows as two column arrays, one call"),
        "1,000 rows one by one: 1,000 calls, or one batch".to_owned(),
    ];
    for (name, [direct, through]) in names.iter().zip(figures) {
        let divisor = if name.starts_with('`') { u32::try_from(CALLS)? } else { 1 };
        let (direct, through) = (median(direct) / divisor, median(through) / divisor);
        let ratio = through.as_secs_f64() / direct.as_secs_f64();
        println!("| {name} | {direct:.0?} | {through:.0?} | {ratio:.2} |");
    }
    Ok(())
}

fn ints() -> Vec<i32> {
    (0..i32::try_from(ROWS).unwrap_or_default()).collect()
}

fn strings() -> Vec<String> {
    ints().iter().map(|n| format!("Name {n}")).collect()
}

fn columns() -> (String, String) {
    let numbers: Vec<_> = ints().iter().map(ToString::to_string).collect();
    let texts: Vec<_> = strings().iter().map(|text| format!("\"{text}\"")).collect();
    (format!("{{{}}}", numbers.join(",")), format!("{{{}}}", texts.join(",")))
}

fn text(name: &str, value: &str) -> Value {
    json!({ "name": name, "value": { "stringValue": value } })
}

fn median(mut figures: Vec<Duration>) -> Duration {
    figures.sort_unstable();
    figures[figures.len() / 2]
}

struct Api {
    url: String,
    client: Client<HttpConnector, Full<Bytes>>,
}

impl Api {
    async fn call(&self, path: &str, mut members: Value) -> anyhow::Result<Value> {
        members["resourceArn"] = json!("arn:aws:rds:us-east-1:000000000000:cluster:any");
        members["secretArn"] = json!("arn:aws:secretsmanager:us-east-1:000000000000:secret:any");
        let request = Request::post(format!("{}{path}", self.url));
        let request = request.body(Full::new(Bytes::from(members.to_string())))?;
        let answer = self.client.request(request).await?;
        let status = answer.status();
        let body = answer.into_body().collect().await?.to_bytes();
        ensure!(status == 200, "{}", String::from_utf8_lossy(&body));
        serde_json::from_slice(&body).context("the answer is not JSON")
    }
}
