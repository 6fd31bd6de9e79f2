//! The demo: the requests of the tutorial, sent over HTTP and S3 to a running stack. It prints each
//! request and its response, and returns them for the end-to-end test.
//!
//! Names the example's table; everything else in this crate serves any table.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use aws_sdk_s3::Client;
use aws_sdk_s3::primitives::ByteStream;
use hyper::Method;
use serde_json::Value;

use crate::http::Answer;
use crate::stack::Stack;

/// Rows of the demo's file.
pub const FILE_ROWS: usize = 10_000;

const RECORDS: &str = "application/vnd.amazon.rds-data+json";

/// The time limit for a write to be settled, or a file to be imported. On an idle machine both take
/// less than a second.
const SETTLED_WITHIN: Duration = Duration::from_mins(2);

/// The responses, for the test that checks them.
#[derive(Debug)]
pub struct Responses {
    pub raw_records: String,
    pub inserted: Value,
    pub insert_status: Value,
    pub updated: Value,
    pub refused: Value,
    pub import: Value,
    pub report: Value,
    pub rejected_csv: String,
    /// `id|name|age` of the first rows, and the number of all.
    pub rows: Vec<String>,
    pub row_count: i64,
}

/// Runs the demo; `print` gets its text line by line.
pub async fn run(stack: &Stack, print: &mut dyn FnMut(&str)) -> anyhow::Result<Responses> {
    let mut demo = Demo { stack, print };
    demo.heading("The table of sql/0001_staff.sql, as it was migrated");
    demo.call(Method::GET, "/staff", &[], "").await?;
    let raw = demo.call(Method::GET, "/staff?id=0001", &[("accept", RECORDS)], "").await?;

    demo.heading("A row is posted: accepted at once, applied from the queue");
    let row = r#"{"id":"0004","name":"Apigateway","age":78}"#;
    let insert_status = demo.write(Method::POST, "/staff", row).await?;
    let inserted = demo.call(Method::GET, "/staff/0004", &[], "").await?;

    demo.heading("A row is changed: only what is given, and 0001 stays 0001");
    demo.write(Method::PUT, "/staff/0001", r#"{"name":"Aurora!"}"#).await?;
    let updated = demo.call(Method::GET, "/staff/0001", &[], "").await?;

    demo.heading("A row that does not fit is rejected at once, with every error");
    let wrong = r#"{"id":"00005","nmae":"Typo","age":"old"}"#;
    let refused = demo.call(Method::POST, "/staff", JSON, wrong).await?;

    demo.heading("A CSV file is dropped into the bucket");
    let (import, report, rejected_csv) = demo.import().await?;

    demo.heading("The rows in PostgreSQL");
    let (rows, row_count) = demo.rows().await?;

    Ok(Responses {
        raw_records: raw.text(),
        inserted: inserted.json()?,
        insert_status,
        updated: updated.json()?,
        refused: refused.json()?,
        import,
        report,
        rejected_csv,
        rows,
        row_count,
    })
}

const JSON: &[(&str, &str)] = &[("content-type", "application/json")];

struct Demo<'a> {
    stack: &'a Stack,
    print: &'a mut dyn FnMut(&str),
}

impl Demo<'_> {
    fn heading(&mut self, title: &str) {
        (self.print)("");
        (self.print)(&format!("── {title}"));
    }

    /// A request, and what comes back.
    async fn call(
        &mut self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: &'static str,
    ) -> anyhow::Result<Answer> {
        (self.print)("");
        let shown = headers.iter().find(|(name, _)| *name == "accept");
        let shown = shown.map_or(String::new(), |(_, value)| format!("   Accept: {value}"));
        (self.print)(&format!("   {method} {path} {body}{shown}"));
        let answer = self.stack.request(method, path, headers, body).await?;
        self.show(&answer);
        Ok(answer)
    }

    fn show(&mut self, answer: &Answer) {
        let location = answer.header("location");
        let location = location.map_or(String::new(), |link| format!("   Location: {link}"));
        (self.print)(&format!("   → {}{location}", answer.status));
        let is_problem = answer.header("content-type") == Some("application/problem+json");
        let pretty = answer.json().ok().filter(|_| is_problem);
        let pretty = pretty.and_then(|value| serde_json::to_string_pretty(&value).ok());
        for line in pretty.unwrap_or_else(|| answer.text()).lines() {
            (self.print)(&format!("     {line}"));
        }
    }

    /// Sends a write and follows its status until it is settled.
    async fn write(
        &mut self,
        method: Method,
        path: &str,
        body: &'static str,
    ) -> anyhow::Result<Value> {
        let answer = self.call(method, path, JSON, body).await?;
        let status = answer.header("location").context("the write was not accepted")?.to_owned();
        let started = Instant::now();
        loop {
            let (url, answer) = self.stack.follow(path, &status).await?;
            let json = answer.json()?;
            if json["outcome"] != "pending" {
                (self.print)("");
                let api_url = &self.stack.addresses().api_url;
                let shown = url.as_str().strip_prefix(api_url).unwrap_or(url.as_str());
                (self.print)(&format!("   GET {shown}"));
                self.show(&answer);
                return Ok(json);
            }
            if started.elapsed() > SETTLED_WITHIN {
                bail!("the write is still pending after {SETTLED_WITHIN:?}");
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// Drops a file, follows its import, and fetches the report and the rejected rows.
    async fn import(&mut self) -> anyhow::Result<(Value, Value, String)> {
        let client = Client::new(&self.stack.sdk_config());
        let addresses = self.stack.addresses().clone();
        let key = "imports/staff/november.csv";
        let file = file();
        (self.print)("");
        (self.print)(&format!(
            "   {FILE_ROWS} rows, of which some are bad → s3://{{uploads}}/{key}"
        ));
        let body = ByteStream::from(file.into_bytes());
        let put = client.put_object().bucket(&addresses.uploads_bucket).key(key).body(body);
        put.send().await.context("cannot upload the file")?;
        let import = self.import_ended().await?;
        let id = import["id"].as_str().context("an import has an id")?.to_owned();
        let report = self.result(&client, &format!("staff/{id}/report.json")).await?;
        let report: Value = serde_json::from_str(&report).context("report.json is not JSON")?;
        (self.print)("");
        (self.print)(&format!("   s3://{{results}}/staff/{id}/report.json"));
        (self.print)(&format!("     rows: {}", report["rows"]));
        for kind in report["rejected_by_rule"].as_array().into_iter().flatten() {
            (self.print)(&format!("     rejected: {kind}"));
        }
        let rejected = self.result(&client, &format!("staff/{id}/rejected.csv")).await?;
        (self.print)("");
        (self.print)(&format!(
            "   s3://{{results}}/staff/{id}/rejected.csv, to fix and drop again"
        ));
        for line in rejected.lines().take(4) {
            (self.print)(&format!("     {line}"));
        }
        (self.print)(&format!("     … {} lines", rejected.lines().count()));
        Ok((import, report, rejected))
    }

    async fn import_ended(&mut self) -> anyhow::Result<Value> {
        let started = Instant::now();
        loop {
            let list = self.stack.request(Method::GET, "/_sync/imports", &[], "").await?;
            let import = list.json()?[0].clone();
            let id = import["id"].as_str().unwrap_or_default();
            if !id.is_empty() && import["state"] != "running" {
                let path = format!("/_sync/imports/{id}");
                let answer = self.stack.request(Method::GET, &path, &[], "").await?;
                (self.print)("");
                (self.print)(&format!("   GET {path}"));
                self.show(&answer);
                return answer.json();
            }
            if started.elapsed() > SETTLED_WITHIN {
                bail!("the import has not ended after {SETTLED_WITHIN:?}");
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    async fn result(&self, client: &Client, key: &str) -> anyhow::Result<String> {
        let bucket = &self.stack.addresses().results_bucket;
        let object = client.get_object().bucket(bucket).key(key).send().await;
        let object = object.with_context(|| format!("{key} is not in the results bucket"))?;
        let bytes = object.body.collect().await?.to_vec();
        String::from_utf8(bytes).with_context(|| format!("{key} is not UTF-8"))
    }

    /// Reads rows directly from PostgreSQL.
    async fn rows(&mut self) -> anyhow::Result<(Vec<String>, i64)> {
        let sql = "SELECT id, name, age FROM staff ORDER BY id LIMIT 5";
        let client = ephemeral_postgres::connect(&self.stack.addresses().database_url).await?;
        (self.print)("");
        (self.print)(&format!("   sync=# {sql};"));
        let mut lines = Vec::new();
        for row in client.query(sql, &[]).await? {
            let (id, name, age): (String, String, Option<i32>) =
                (row.get(0), row.get(1), row.get(2));
            let age = age.map_or(String::new(), |age| age.to_string());
            (self.print)(&format!("     {id} │ {name:<12} │ {age}"));
            lines.push(format!("{id}|{name}|{age}"));
        }
        let sql = "SELECT count(*) FROM staff";
        let count = client.query_one(sql, &[]).await?.get(0);
        (self.print)(&format!("   sync=# {sql};"));
        (self.print)(&format!("     {count}"));
        Ok((lines, count))
    }
}

/// Keys 0000 to 9999; in each thousand one of the wrong type, one too long, one
/// without a name, and one that repeats the key before it.
fn file() -> String {
    let mut file = String::from("id,name,age\n");
    for row in 0..FILE_ROWS {
        let (id, name, age) = (row, format!("Name {row}"), 20 + row % 50);
        // Writing to a string does not fail.
        match row % 1_000 {
            110 => writeln!(file, "{id:04},{name},old"),
            220 => writeln!(file, "{id:04}X,{name},{age}"),
            330 => writeln!(file, "{id:04},,{age}"),
            440 => writeln!(file, "{:04},{name} again,{age}", id - 1),
            _ => writeln!(file, "{id:04},{name},{age}"),
        }
        .ok();
    }
    file
}
