//! Batches of parameter sets.

use serde_json::{Value, json};

use super::{sets, told};
use crate::probe::lab::{Lab, Reply};
use crate::probe::seen::Seen;

async fn insert(
    lab: &Lab,
    table: &str,
    sets: Value,
    transaction: Option<&str>,
) -> anyhow::Result<Reply> {
    let members = json!({
        "sql": format!("INSERT INTO {table} VALUES (:a)"),
        "parameterSets": sets,
        "transactionId": transaction,
    });
    lab.call("/BatchExecute", members).await
}

pub(crate) async fn outside(lab: &Lab) -> anyhow::Result<Seen> {
    let table = lab.table("outside", "a int PRIMARY KEY").await?;
    let reply = insert(lab, &table, sets(&[1, 2, 1, 3]), None).await?;
    let rows = lab.count(&table).await?;
    let seen = format!("{}; {rows} of the 2 rows before the failing set stand", reply.told());
    Ok(Seen::new(reply.is_sql("23505") && rows == 2, seen))
}

pub(crate) async fn inside(lab: &Lab) -> anyhow::Result<Seen> {
    let table = lab.table("inside", "a int PRIMARY KEY").await?;
    let id = lab.begin().await?;
    let failed = insert(lab, &table, sets(&[1, 1]), Some(&id)).await?;
    let next = insert(lab, &table, sets(&[2]), Some(&id)).await?;
    lab.roll_back(&id).await?;
    let is_over = next.is_sql("25P02") || next.is(404, "TransactionNotFoundException");
    let holds = failed.is_sql("23505") && is_over && lab.count(&table).await? == 0;
    Ok(Seen::new(holds, told([("the failing batch", &failed), ("the next call", &next)])))
}

pub(crate) async fn unnamed_set(lab: &Lab) -> anyhow::Result<Seen> {
    let table = lab.table("unnamed", "a int CONSTRAINT small CHECK (a < 9)").await?;
    let reply = insert(lab, &table, sets(&[1, 2, 10]), None).await?;
    let text = "ERROR: new row for relation \"unnamed\" violates check constraint \"small\"; \
                SQLState: 23514";
    Ok(Seen::new(reply.message.as_deref() == Some(text), reply.told()))
}

pub(crate) async fn no_sets(lab: &Lab) -> anyhow::Result<Seen> {
    let table = lab.table("no_sets", "a int DEFAULT 1").await?;
    let members =
        json!({ "sql": format!("INSERT INTO {table} DEFAULT VALUES"), "parameterSets": [] });
    let none = lab.call("/BatchExecute", members).await?;
    let rows = lab.count(&table).await?;
    let seen = format!("{}; rows: {rows}", none.told());
    Ok(Seen::new(none.is_good() && rows == 0, seen))
}

pub(crate) async fn one_empty_set(lab: &Lab) -> anyhow::Result<Seen> {
    let table = lab.table("empty_set", "a int DEFAULT 1").await?;
    let sql = format!("INSERT INTO {table} DEFAULT VALUES");
    let reply = lab.call("/BatchExecute", json!({ "sql": sql, "parameterSets": [[]] })).await?;
    let rows = lab.count(&table).await?;
    let results = &reply.body["updateResults"];
    let holds = rows == 1 && *results == json!([{ "generatedFields": [] }]);
    Ok(Seen::new(holds, format!("{}; rows: {rows}, updateResults {results}", reply.told())))
}

pub(crate) async fn types_of_each_set(lab: &Lab) -> anyhow::Result<Seen> {
    let table = lab.table("typed", "a int").await?;
    let nothing = || json!([{ "name": "a", "value": { "isNull": true } }]);
    let number = || json!([{ "name": "a", "value": { "longValue": 1 } }]);
    let reply = insert(lab, &table, json!([nothing(), number(), nothing()]), None).await?;
    Ok(Seen::new(reply.is_good() && lab.count(&table).await? == 3, reply.told()))
}

pub(crate) async fn order(lab: &Lab) -> anyhow::Result<Seen> {
    let table = lab.table("ordered", "a int, n serial").await?;
    let values: Vec<i64> = (1..=300).collect();
    let reply = insert(lab, &table, sets(&values), None).await?;
    let ordered = lab.run(&format!("SELECT bool_and(a = n) FROM {table}")).await?;
    let seen = format!("{}; 300 sets in order: {}", reply.told(), ordered.value());
    Ok(Seen::new(reply.is_good() && ordered.value().as_bool() == Some(true), seen))
}

pub(crate) async fn copy(lab: &Lab) -> anyhow::Result<Seen> {
    let table = lab.table("copied", "a int").await?;
    let id = lab.begin().await?;
    let members = json!({
        "sql": format!("COPY {table} FROM STDIN"),
        "parameterSets": [[], [], []],
        "transactionId": id,
    });
    let copy = lab.call("/BatchExecute", members).await?;
    let next = lab.execute_in(&id, "SELECT 1").await?;
    lab.roll_back(&id).await?;
    let holds = copy.status == 400 && next.is(404, "TransactionNotFoundException");
    Ok(Seen::new(holds, told([("COPY", &copy), ("the next call", &next)])))
}
