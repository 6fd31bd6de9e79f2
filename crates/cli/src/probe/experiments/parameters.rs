//! Parameters and their types.

use serde_json::json;

use super::{hinted, one, told};
use crate::probe::lab::Lab;
use crate::probe::seen::Seen;

pub(crate) async fn declared_types(lab: &Lab) -> anyhow::Result<Seen> {
    let mut seen = Vec::new();
    let mut holds = true;
    for (parameters, expected) in [
        (one(&json!({ "stringValue": "x" })), "text"),
        (one(&json!({ "longValue": 1 })), "bigint"),
        (one(&json!({ "doubleValue": 1.5 })), "double precision"),
        (one(&json!({ "booleanValue": true })), "boolean"),
        (one(&json!({ "blobValue": "AP8=" })), "bytea"),
        (hinted("2026-11-23", "DATE"), "date"),
        (hinted("09:30:00", "TIME"), "time without time zone"),
        (hinted("2026-11-23 09:30:00", "TIMESTAMP"), "timestamp without time zone"),
        (hinted("1.50", "DECIMAL"), "numeric"),
        (hinted("6f9619ff-8b86-d011-b42d-00c04fc964ff", "UUID"), "uuid"),
        (hinted("{}", "JSON"), "jsonb"),
    ] {
        let reply = lab.with("SELECT pg_typeof(:v)::text", parameters.clone()).await?;
        let found = reply.value().as_str().map_or_else(|| reply.told(), str::to_owned);
        if found != expected {
            holds = false;
            seen.push(format!("{parameters} is {found}, not {expected}"));
        }
    }
    let seen = if holds { "as assumed, 11 kinds".to_owned() } else { seen.join("; ") };
    Ok(Seen::new(holds, seen))
}

pub(crate) async fn uncast_text(lab: &Lab) -> anyhow::Result<Seen> {
    let table = lab.table("uncast", "i int").await?;
    let sql = format!("INSERT INTO {table} VALUES (:v)");
    let reply = lab.with(&sql, one(&json!({ "stringValue": "1" }))).await?;
    Ok(Seen::new(reply.is_sql("42804"), reply.told()))
}

pub(crate) async fn null_false(lab: &Lab) -> anyhow::Result<Seen> {
    let reply = lab.with("SELECT (:v)::int IS NULL", one(&json!({ "isNull": false }))).await?;
    let is_null = reply.value().as_bool() == Some(true);
    let seen = if reply.is_good() { format!("is null: {}", reply.value()) } else { reply.told() };
    Ok(Seen::new(is_null, seen))
}

pub(crate) async fn six_digits(lab: &Lab) -> anyhow::Result<Seen> {
    let text = "2026-11-23 09:30:00.123456";
    let reply = lab.with("SELECT (:v)::text", hinted(text, "TIMESTAMP")).await?;
    let seen = if reply.is_good() { reply.value().to_string() } else { reply.told() };
    Ok(Seen::new(reply.value().as_str() == Some(text), seen))
}

pub(crate) async fn other_format(lab: &Lab) -> anyhow::Result<Seen> {
    let reply = lab.with("SELECT :v", hinted("2026-11-23T09:30:00Z", "TIMESTAMP")).await?;
    Ok(Seen::new(reply.is(400, "BadRequestException"), reply.told()))
}

pub(crate) async fn surplus_name(lab: &Lab) -> anyhow::Result<Seen> {
    let surplus = lab.with("SELECT 1", one(&json!({ "longValue": 1 }))).await?;
    let twice = json!([
        { "name": "v", "value": { "longValue": 1 } },
        { "name": "v", "value": { "longValue": 2 } },
    ]);
    let twice = lab.with("SELECT :v", twice).await?;
    let seen = told([("a name that the SQL lacks", &surplus), ("a name twice", &twice)]);
    Ok(Seen::new(surplus.status == 400 && twice.status == 400, seen))
}

pub(crate) async fn missing_name(lab: &Lab) -> anyhow::Result<Seen> {
    let reply = lab.with("SELECT :v::int, :w::int", one(&json!({ "longValue": 1 }))).await?;
    Ok(Seen::new(reply.is_sql("08P01"), reply.told()))
}

pub(crate) async fn dollar_quotes(lab: &Lab) -> anyhow::Result<Seen> {
    let dollar = lab.execute("SELECT $$a :v c$$").await?;
    let slice = lab.execute("SELECT (ARRAY[1,2])[1:2]").await?;
    let holds = dollar.value().as_str() == Some("a $1 c") && !slice.is_good();
    let seen = told([("[1:2]", &slice), ("$$a :v c$$", &dollar)]);
    Ok(Seen::new(holds, format!("{seen} ({})", dollar.value())))
}

pub(crate) async fn escapes(lab: &Lab) -> anyhow::Result<Seen> {
    let value = || one(&json!({ "longValue": 7 }));
    let escaped = lab.with(r"SELECT E'\':x', :v::int", value()).await?;
    let nested = lab.with("SELECT /* /* :x */ :y */ :v::int", value()).await?;
    let seen = told([("E'\\':x'", &escaped), ("a nested comment", &nested)]);
    Ok(Seen::new(!escaped.is_good() && nested.is_good(), seen))
}

pub(crate) async fn worker_syntax(lab: &Lab) -> anyhow::Result<Seen> {
    // Every statement of the worker keeps to these forms.
    let sql = "SELECT ':x'::text AS \":y\", :v::int -- :z\n /* :q */ + 0, '{\"a\":1}'::text";
    let reply = lab.with(sql, one(&json!({ "longValue": 7 }))).await?;
    let expected =
        json!([{ "stringValue": ":x" }, { "longValue": 7 }, { "stringValue": "{\"a\":1}" }]);
    Ok(Seen::new(reply.body["records"][0] == expected, reply.told()))
}

pub(crate) async fn nan(lab: &Lab) -> anyhow::Result<Seen> {
    let sent = lab.with("SELECT (:v)::text", one(&json!({ "doubleValue": "NaN" }))).await?;
    let returned = lab.execute("SELECT 'NaN'::float8").await?;
    let field = &returned.body["records"][0][0];
    let holds = sent.value().as_str() == Some("NaN") && *field == json!({ "doubleValue": "NaN" });
    let returned = if returned.is_good() { field.to_string() } else { returned.told() };
    Ok(Seen::new(holds, format!("{}; returned as {returned}", told([("sent", &sent)]))))
}
