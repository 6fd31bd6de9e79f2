//! Requests that the service refuses.

use serde_json::{Value, json};

use super::told;
use crate::probe::lab::Lab;
use crate::probe::seen::Seen;

pub(crate) async fn unknown_path(lab: &Lab) -> anyhow::Result<Seen> {
    let reply = lab.call("/ExecuteSql", json!({})).await?;
    Ok(Seen::new(reply.is(404, "UnknownOperationException"), reply.told()))
}

pub(crate) async fn wrong_type(lab: &Lab) -> anyhow::Result<Seen> {
    all_are(lab, "SerializationException", &[
        ("a number as sql", json!({ "sql": 1 })),
        ("an object as parameters", json!({ "sql": "SELECT 1", "parameters": {} })),
        (
            "a text as longValue",
            json!({ "sql": "SELECT :v", "parameters": [{ "name": "v", "value": { "longValue": "1" } }] }),
        ),
    ])
    .await
}

pub(crate) async fn not_utf8(lab: &Lab) -> anyhow::Result<Seen> {
    let reply = lab.send("/Execute", (&b"{\"sql\":\"\xff\"}"[..]).into()).await?;
    Ok(Seen::new(reply.is(400, "SerializationException"), reply.told()))
}

pub(crate) async fn missing_member(lab: &Lab) -> anyhow::Result<Seen> {
    all_are(
        lab,
        "ValidationException",
        &[
            ("no sql", json!({})),
            ("an empty sql", json!({ "sql": "" })),
            (
                "a database of 65 characters",
                json!({ "sql": "SELECT 1", "database": "x".repeat(65) }),
            ),
        ],
    )
    .await
}

pub(crate) async fn unlisted_value(lab: &Lab) -> anyhow::Result<Seen> {
    all_are(
        lab,
        "ValidationException",
        &[
            ("formatRecordsAs XML", json!({ "sql": "SELECT 1", "formatRecordsAs": "XML" })),
            ("a NUL in sql", json!({ "sql": "SELECT 1 --\u{0}" })),
        ],
    )
    .await
}

async fn all_are(lab: &Lab, exception: &str, calls: &[(&str, Value)]) -> anyhow::Result<Seen> {
    let mut replies = Vec::new();
    for (what, members) in calls {
        replies.push((*what, lab.call("/Execute", members.clone()).await?));
    }
    let holds = replies.iter().all(|(_, reply)| reply.is(400, exception));
    Ok(Seen::new(holds, told(replies.iter().map(|(what, reply)| (*what, reply)))))
}

pub(crate) async fn batch_semicolon(lab: &Lab) -> anyhow::Result<Seen> {
    let members = json!({ "sql": "SELECT 1;", "parameterSets": [[]] });
    let reply = lab.call("/BatchExecute", members).await?;
    Ok(Seen::new(reply.is(400, "ValidationException"), reply.told()))
}

pub(crate) async fn missing_secret(lab: &Lab) -> anyhow::Result<Seen> {
    let secret = lab.places.secret_arn.as_str();
    // The last characters of an ARN are random.
    let other = format!("{}ZZZZZZ", secret.get(..secret.len().saturating_sub(6)).unwrap_or(secret));
    let reply = lab.call("/Execute", json!({ "sql": "SELECT 1", "secretArn": other })).await?;
    if reply.is_good() {
        return Ok(Seen::NotTried("this server takes every secret".to_owned()));
    }
    Ok(Seen::new(reply.is(400, "SecretsErrorException"), reply.told()))
}

pub(crate) async fn no_database(lab: &Lab) -> anyhow::Result<Seen> {
    let reply =
        lab.call("/Execute", json!({ "sql": "SELECT current_database()::text", "database": null }));
    let reply = reply.await?;
    let seen = if reply.is_good() { format!("it goes to {}", reply.value()) } else { reply.told() };
    Ok(Seen::new(reply.is_good(), seen))
}

pub(crate) async fn other_database(lab: &Lab) -> anyhow::Result<Seen> {
    let id = lab.begin().await?;
    let members = json!({
        "sql": "SELECT current_database()::text",
        "transactionId": id,
        "database": "aurora_sync_probe_nowhere",
    });
    let reply = lab.call("/Execute", members).await?;
    lab.roll_back(&id).await?;
    let is_own = reply.value().as_str() == Some(lab.places.database.as_str());
    let seen = if reply.is_good() { format!("it goes to {}", reply.value()) } else { reply.told() };
    Ok(Seen::new(is_own, seen))
}
