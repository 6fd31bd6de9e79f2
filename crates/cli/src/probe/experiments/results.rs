//! Results and their forms.

use serde_json::json;

use super::told;
use crate::probe::lab::Lab;
use crate::probe::seen::Seen;

pub(crate) async fn infinity(lab: &Lab) -> anyhow::Result<Seen> {
    let reply = lab.execute("SELECT 'infinity'::timestamptz").await?;
    let holds = reply.is(500, "InternalFailure") && reply.message.is_none();
    Ok(Seen::new(holds, reply.told()))
}

pub(crate) async fn json_rewritten(lab: &Lab) -> anyhow::Result<Seen> {
    let sql = r#"SELECT '{ "b" : [1, 2] , "a" : 1.50 }'::json, ('{"x": 1.50}'::json)::text"#;
    let reply = lab.execute(sql).await?;
    let [rewritten, text] = [0, 1].map(|n| reply.body["records"][0][n]["stringValue"].clone());
    let seen =
        if reply.is_good() { format!("{rewritten} and, as text, {text}") } else { reply.told() };
    // The worker reads JSON as text.
    Ok(Seen::new(text == json!(r#"{"x": 1.50}"#), seen))
}

pub(crate) async fn json_order(lab: &Lab) -> anyhow::Result<Seen> {
    let reply = lab.execute(r#"SELECT '{ "b" : [1, 2] , "a" : "x y" }'::json"#).await?;
    let seen = if reply.is_good() { reply.value().to_string() } else { reply.told() };
    Ok(Seen::new(reply.value().as_str() == Some(r#"{"a":"x y","b":[1,2]}"#), seen))
}

pub(crate) async fn returning(lab: &Lab) -> anyhow::Result<Seen> {
    let table = lab.table("returned", "a int").await?;
    let reply = lab.run(&format!("INSERT INTO {table} VALUES (7) RETURNING a")).await?;
    let count = &reply.body["numberOfRecordsUpdated"];
    let holds = *count == json!(0) && reply.value().as_i64() == Some(7);
    Ok(Seen::new(holds, format!("records {}, count {count}", reply.body["records"])))
}

pub(crate) async fn metadata(lab: &Lab) -> anyhow::Result<Seen> {
    let table = lab.table("described", "price numeric(12,4) NOT NULL, tags text[]").await?;
    let members = json!({ "sql": format!("SELECT * FROM {table}"), "includeResultMetadata": true });
    let reply = lab.good("/Execute", members).await?;
    let shown = |n: usize| {
        let parts = ["typeName", "precision", "scale", "type", "arrayBaseColumnType"];
        parts
            .map(|part| reply.body["columnMetadata"][n][part].to_string().replace('"', ""))
            .join(" ")
    };
    let (price, tags) = (shown(0), shown(1));
    let holds = price == "numeric 12 4 2 0" && tags == "_text 2147483647 0 2003 12";
    Ok(Seen::new(holds, format!("typeName, precision, scale, type, base: {price}; {tags}")))
}

pub(crate) async fn equal_labels(lab: &Lab) -> anyhow::Result<Seen> {
    let members = json!({ "sql": "SELECT 1 AS a, 2 AS a", "formatRecordsAs": "JSON" });
    let reply = lab.call("/Execute", members).await?;
    Ok(Seen::new(reply.is(400, "UnsupportedResultException"), reply.told()))
}

pub(crate) async fn unsupported_type(lab: &Lab) -> anyhow::Result<Seen> {
    let reply = lab.execute("SELECT '1 day'::interval").await?;
    let text = "The result contains the unsupported data type INTERVAL.";
    let holds =
        reply.is(400, "UnsupportedResultException") && reply.message.as_deref() == Some(text);
    Ok(Seen::new(holds, reply.told()))
}

pub(crate) async fn time_zone(lab: &Lab) -> anyhow::Result<Seen> {
    let session = lab.execute("SHOW timezone").await?;
    let id = lab.begin().await?;
    lab.execute_in(&id, "SET LOCAL TIME ZONE 'Asia/Tokyo'").await?;
    let time = lab.execute_in(&id, "SELECT '2026-11-23 09:30:00.8551+09'::timestamptz").await?;
    lab.roll_back(&id).await?;
    let holds = time.value().as_str() == Some("2026-11-23 00:30:00.855100");
    let seen = format!("the session has {}; a time in Tokyo is {}", session.value(), time.value());
    Ok(Seen::new(holds, seen))
}

pub(crate) async fn date_style(lab: &Lab) -> anyhow::Result<Seen> {
    let id = lab.begin().await?;
    lab.execute_in(&id, "SET LOCAL DateStyle = 'German'").await?;
    let date = lab.execute_in(&id, "SELECT '2026-11-23'::date").await?;
    lab.roll_back(&id).await?;
    let seen = if date.is_good() { date.value().to_string() } else { date.told() };
    Ok(Seen::new(date.value().as_str() == Some("23.11.2026"), seen))
}

pub(crate) async fn overflow_in_transaction(lab: &Lab) -> anyhow::Result<Seen> {
    let id = lab.begin().await?;
    let overflow = lab.execute_in(&id, "SELECT repeat('x', 1048571)").await?;
    let next = lab.execute_in(&id, "SELECT 1").await?;
    lab.roll_back(&id).await?;
    let holds = overflow.is(400, "UnsupportedResultException")
        && next.is(404, "TransactionNotFoundException");
    Ok(Seen::new(holds, told([("the result", &overflow), ("the next call", &next)])))
}
