//! Writes from short texts, and their messages as SQS delivers them.

use std::sync::Arc;

use aurora_sync::domain::key::Key;
use aurora_sync::domain::write::{Operation, Write, pack};
use aurora_sync_catalog::Catalog;
use aws_lambda_events::sqs::SqsEvent;
use serde_json::json;
use uuid::Uuid;

/// Returns the write of a text such as `update staff id=0001 name=New age`. A column without a
/// value is NULL, and `_` stands for a blank.
pub(crate) fn write(catalog: &Catalog, text: &str) -> Write {
    let mut words = text.split(' ');
    let operation = match words.next().unwrap() {
        "insert" => Operation::Insert,
        "upsert" => Operation::Upsert,
        "ignore" => Operation::InsertIgnore,
        "update" => Operation::Update,
        "delete" => Operation::Delete,
        other => panic!("{other}"),
    };
    let table = catalog.table(words.next().unwrap()).unwrap();
    let row: Vec<_> = words
        .map(|word| match word.split_once('=') {
            Some((name, value)) => (name.to_owned(), Some(value.replace('_', " "))),
            None => (word.to_owned(), None),
        })
        .collect();
    let cell = |name: &str| row.iter().find(|(column, _)| column == name)?.1.as_deref();
    Write {
        id: Uuid::now_v7(),
        table: table.path(),
        operation,
        key: Key::of_row(table, cell),
        row: row.clone(),
        accepted_at_ms: ACCEPTED_AT_MS,
        fingerprint: None,
        precondition: None,
        caller: Arc::default(),
    }
}

/// One message of a delivery.
#[derive(Debug, Clone)]
pub(crate) struct Envelope {
    pub id: String,
    pub group: String,
    pub body: String,
    pub receive_count: u32,
    /// Milliseconds since 1970 by the clock of SQS.
    pub sent_at_ms: i64,
}

/// The time at which the writes of [`write`] are accepted.
pub(crate) const ACCEPTED_AT_MS: i64 = 1_763_856_000_000;

impl Envelope {
    /// Returns a message of these writes, in this group.
    pub(crate) fn of(id: &str, group: &str, writes: Vec<Write>) -> Self {
        let mut messages = pack(writes, 1);
        assert_eq!(messages.len(), 1);
        Self::raw(id, group, &messages.remove(0).body)
    }

    pub(crate) fn raw(id: &str, group: &str, body: &str) -> Self {
        Self {
            id: id.into(),
            group: group.into(),
            body: body.into(),
            receive_count: 1,
            sent_at_ms: ACCEPTED_AT_MS,
        }
    }
}

pub(crate) fn event(envelopes: &[Envelope]) -> SqsEvent {
    let records: Vec<_> = envelopes
        .iter()
        .map(|Envelope { id, group, body, receive_count, sent_at_ms }| {
            json!({
                "messageId": id,
                "receiptHandle": id,
                "body": body,
                "attributes": {
                    "MessageGroupId": group,
                    "SentTimestamp": sent_at_ms.to_string(),
                    "ApproximateReceiveCount": receive_count.to_string(),
                },
                "messageAttributes": {},
                "eventSource": "aws:sqs",
                "awsRegion": "us-east-1",
            })
        })
        .collect();
    serde_json::from_value(json!({ "Records": records })).unwrap()
}
