//! Sizes, at the limit and one over it.

use serde_json::json;

use super::told;
use crate::probe::lab::Lab;
use crate::probe::seen::Seen;

const REQUEST_BYTES_MAX: usize = 4 * 1024 * 1024;

/// The requests of the worker are smaller than 4 MiB by more than this.
const MARGIN_BYTES: usize = 32 * 1024;

pub(crate) async fn request_of_the_worker(lab: &Lab) -> anyhow::Result<Seen> {
    let reply = lab.send_sized(REQUEST_BYTES_MAX - MARGIN_BYTES).await?;
    let seen = told([("a request of 4,161,536 bytes", &reply)]);
    Ok(Seen::new(reply.is_good(), seen))
}

pub(crate) async fn request_to_the_byte(lab: &Lab) -> anyhow::Result<Seen> {
    let full = lab.send_sized(REQUEST_BYTES_MAX).await?;
    let over = lab.send_sized(REQUEST_BYTES_MAX + 1).await?;
    let holds = full.is_good() && over.is(400, "BadRequestException");
    let seen = told([("4,194,304 bytes with headers", &full), ("a byte more", &over)]);
    Ok(Seen::new(holds, seen))
}

pub(crate) async fn sql_text(lab: &Lab) -> anyhow::Result<Seen> {
    let sql = |length: usize| {
        let head = "SELECT 1 --";
        format!("{head}{}", "é".repeat(length - head.len()))
    };
    let full = lab.execute(&sql(65_536)).await?;
    let over = lab.execute(&sql(65_537)).await?;
    let holds = full.is_good() && over.is(400, "ValidationException");
    let seen = told([("65,536 characters of two bytes", &full), ("one more", &over)]);
    Ok(Seen::new(holds, seen))
}

pub(crate) async fn result(lab: &Lab) -> anyhow::Result<Seen> {
    // A row counts 2 bytes, a column 4.
    let full = lab.execute("SELECT repeat('x', 1048570)").await?;
    let over = lab.execute("SELECT repeat('x', 1048571)").await?;
    let holds = full.is_good() && over.is(400, "UnsupportedResultException");
    Ok(Seen::new(holds, told([("a text of 1,048,570 bytes", &full), ("one more", &over)])))
}

pub(crate) async fn formatted(lab: &Lab) -> anyhow::Result<Seen> {
    // Short values under long names: only the formatted result is large.
    let columns: Vec<_> = (0..9).map(|n| format!("1 AS {}{n}", "x".repeat(62))).collect();
    let of = async |rows: u32| {
        let sql = format!("SELECT {} FROM generate_series(1, {rows})", columns.join(", "));
        lab.call("/Execute", json!({ "sql": sql, "formatRecordsAs": "JSON" })).await
    };
    let (below, over) = (of(15_000).await?, of(18_000).await?);
    let holds = below.is_good() && over.is(400, "BadRequestException");
    Ok(Seen::new(holds, told([("9 MB", &below), ("over 10 MB", &over)])))
}

pub(crate) async fn large_row(lab: &Lab) -> anyhow::Result<Seen> {
    let reply = lab.execute("SELECT repeat('x', 512000)").await?;
    Ok(Seen::new(reply.is_good(), told([("a row of 512,000 bytes", &reply)])))
}
