//! Errors of PostgreSQL, time limits, and the pause.

use std::time::{Duration, Instant};

use serde_json::json;

use super::told;
use crate::probe::lab::Lab;
use crate::probe::seen::Seen;

/// A little more than the 45 s of a call.
const OVER_LIMIT_S: u64 = 48;

pub(crate) async fn error_form(lab: &Lab) -> anyhow::Result<Seen> {
    let table = lab.table("formed", "a int CONSTRAINT formed_key PRIMARY KEY").await?;
    lab.run(&format!("INSERT INTO {table} VALUES (1)")).await?;
    let reply = lab.execute(&format!("INSERT INTO {table} VALUES (1)")).await?;
    let text =
        "ERROR: duplicate key value violates unique constraint \"formed_key\"; SQLState: 23505";
    let holds = reply.is(400, "DatabaseErrorException") && reply.message.as_deref() == Some(text);
    Ok(Seen::new(holds, reply.told()))
}

pub(crate) async fn error_parts(lab: &Lab) -> anyhow::Result<Seen> {
    let reply = lab.execute("SELECT 1 WHERE 1 = 'a'::text").await?;
    let text = "ERROR: operator does not exist: integer = text; Hint: No operator matches the given \
                name and argument types. You might need to add explicit type casts.; Position: 18; \
                SQLState: 42883";
    Ok(Seen::new(reply.message.as_deref() == Some(text), reply.told()))
}

pub(crate) async fn error_of_function(lab: &Lab) -> anyhow::Result<Seen> {
    let sql = "DO 'BEGIN RAISE EXCEPTION USING MESSAGE = ''two'' || chr(10) || ''lines'', \
               DETAIL = ''d'', HINT = ''h'', ERRCODE = ''P0001''; END'";
    let reply = lab.execute(sql).await?;
    let starts = |message: &String| message.starts_with("ERROR: two\nlines; ");
    let holds = reply.is_sql("P0001") && reply.message.as_ref().is_some_and(starts);
    Ok(Seen::new(holds, reply.told()))
}

pub(crate) async fn own_limit(lab: &Lab) -> anyhow::Result<Seen> {
    let id = lab.begin().await?;
    lab.execute_in(&id, "SELECT set_config('statement_timeout', '500ms', true)").await?;
    let reply = lab.execute_in(&id, "SELECT pg_sleep(5)::text").await?;
    lab.roll_back(&id).await?;
    let holds = reply.is_sql("57014") || reply.is(400, "StatementTimeoutException");
    Ok(Seen::new(holds, reply.told()))
}

pub(crate) async fn time_limit(lab: &Lab) -> anyhow::Result<Seen> {
    let table = lab.table("timed", "a int").await?;
    let id = lab.begin().await?;
    let started = Instant::now();
    let insert = format!("INSERT INTO {table} SELECT 1 FROM pg_sleep({OVER_LIMIT_S})");
    let late = lab.execute_in(&id, &insert).await?;
    let took = started.elapsed().as_secs();
    let next = lab.execute_in(&id, "SELECT 1").await?;
    lab.roll_back(&id).await?;
    let is_over = next.is_sql("25P02") || next.is(404, "TransactionNotFoundException");
    let holds = late.is(400, "StatementTimeoutException") && (44..=47).contains(&took) && is_over;
    let seen = told([("the call", &late), ("the next one of its transaction", &next)]);
    Ok(Seen::new(holds && lab.count(&table).await? == 0, format!("after {took} s: {seen}")))
}

pub(crate) async fn goes_on(lab: &Lab) -> anyhow::Result<Seen> {
    let table = lab.table("gone_on", "a int").await?;
    let id = lab.begin().await?;
    let members = json!({
        "sql": format!("INSERT INTO {table} SELECT 1 FROM pg_sleep({OVER_LIMIT_S})"),
        "transactionId": id,
        "continueAfterTimeout": true,
    });
    let late = lab.call("/Execute", members).await?;
    let during = lab.execute_in(&id, "SELECT 1").await?;
    let started = Instant::now();
    let mut after = during.clone();
    while !after.is_good() && started.elapsed() < Duration::from_secs(30) {
        tokio::time::sleep(Duration::from_secs(1)).await;
        after = lab.execute_in(&id, "SELECT 1").await?;
    }
    let commit = lab.commit(&id).await?;
    let rows = lab.count(&table).await?;
    let text = "Transaction is still running a query";
    let is_busy = during.message.as_ref().is_some_and(|message| message.contains(text));
    let holds =
        late.is(400, "StatementTimeoutException") && is_busy && commit.is_good() && rows == 1;
    let seen = told([
        ("the call", &late),
        ("a call meanwhile", &during),
        ("after it", &after),
        ("the commit", &commit),
    ]);
    Ok(Seen::new(holds, format!("{seen}; rows: {rows}")))
}

pub(crate) async fn resuming(lab: &Lab) -> anyhow::Result<Seen> {
    let Some((first, took)) = &lab.resumed else {
        let reason = "the database was awake. Run it again when the database has paused, five minutes \
                      after the last call";
        return Ok(Seen::NotTried(reason.to_owned()));
    };
    let holds = first.is(400, "DatabaseResumingException");
    Ok(Seen::new(holds, format!("{}; it resumed after {} s", first.told(), took.as_secs())))
}
