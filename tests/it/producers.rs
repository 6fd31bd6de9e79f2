//! Writes of producers other than the API: one effect each, and a bad one holds up no other.

use std::process::Command;

use aurora_sync::domain::deadline::now_ms;
use aws_sdk_eventbridge::types::Target;
use aws_sdk_sqs::types::QueueAttributeName;
use local_stack::{Options, Stack};
use serde_json::{Value, json};

use crate::end_to_end::functions;
use crate::support::events::{DETAILS, schema_fault};
use crate::support::writes::{Envelope, event};
use crate::support::{STAFF, World, sample};

const SCHEMA: &str = "docs/reference/writes.schema.json";

/// Returns a message of one write to the example's table.
fn message(id: &str, operation: &str, row: &Value) -> Value {
    json!({
        "version": "public-1",
        "writes": [{ "id": id, "table": "staff", "operation": operation, "row": row }],
    })
}

/// Returns a message that was sent now.
fn sent(id: &str, group: &str, body: &str) -> Envelope {
    Envelope { sent_at_ms: now_ms(), ..Envelope::raw(id, group, body) }
}

/// Returns a message that was sent more than an hour ago.
fn sent_long_ago(id: &str, group: &str, body: &str) -> Envelope {
    Envelope::raw(id, group, body)
}

/// Applies one message, and returns what the ledger has of it.
async fn outcome(world: &World, id: &str, body: &str) -> Vec<String> {
    world.rows("DELETE FROM sync.write").await;
    let response = world.apply(event(&[sent_long_ago(id, "g", body)])).await.unwrap();
    assert!(response.batch_item_failures.is_empty(), "{body}");
    let ledger =
        "SELECT table_name, operation, outcome, rule, column_name FROM sync.write ORDER BY key";
    world.rows(ledger).await
}

#[tokio::test]
async fn each_operation_does_what_the_api_does() {
    let world = World::with(STAFF).await;
    for (operation, row, expected) in [
        ("insert", json!({ "id": "0010", "name": "a", "age": 1 }), "0010|a|1"),
        ("upsert", json!({ "id": "0010", "name": "b" }), "0010|b|1"),
        ("insert_ignore", json!({ "id": "0010", "name": "c" }), "0010|b|1"),
        ("update", json!({ "id": "0010", "age": "7" }), "0010|b|7"),
        ("update", json!({ "id": "0010", "age": null }), "0010|b|-"),
    ] {
        let body = message(&format!("{operation} {row}"), operation, &row);
        assert_eq!(schema_fault(SCHEMA, &body).await, None);
        outcome(&world, "m1", &body.to_string()).await;
        assert_eq!(
            world.rows("SELECT id, name, age FROM staff WHERE id = '0010'").await,
            [expected],
            "{operation}"
        );
    }
    outcome(&world, "m1", &message("e6", "delete", &json!({ "id": "0010" })).to_string()).await;
    assert_eq!(world.rows("SELECT count(*) FROM staff WHERE id = '0010'").await, ["0"]);
}

#[tokio::test]
async fn an_id_that_is_sent_twice_has_one_effect_and_another_payload_is_rejected() {
    let world = World::with("CREATE TABLE happened (n integer)").await;
    let body = |n: u32| {
        let write =
            json!({ "id": "e1", "table": "happened", "operation": "insert", "row": { "n": n } });
        json!({ "version": "public-1", "writes": [write] }).to_string()
    };
    for (message, n) in [("m1", 1), ("m2", 1), ("m3", 2)] {
        world.apply(event(&[sent(message, "g", &body(n))])).await.unwrap();
    }
    assert_eq!(world.rows("SELECT n FROM happened").await, ["1"]);
    assert_eq!(
        world.rows("SELECT outcome, rule FROM sync.write ORDER BY settled_at").await,
        ["applied|-", "rejected|idempotency-key-reused"]
    );
}

#[tokio::test]
async fn a_write_that_an_operator_discards_is_rejected() {
    let world = World::with(STAFF).await;
    let mut body = message("e1", "insert", &json!({ "id": "0010", "name": "a" }));
    body["discarded"] = json!(true);
    assert_eq!(schema_fault(SCHEMA, &body).await, None);
    assert_eq!(
        outcome(&world, "m1", &body.to_string()).await,
        ["staff|insert|rejected|discarded|-"]
    );
    assert_eq!(world.rows("SELECT count(*) FROM staff WHERE id = '0010'").await, ["0"]);
}

/// The messages are new: another write to an unknown table or column waits for an hour.
#[tokio::test]
async fn a_faulty_write_that_an_operator_discards_is_rejected_as_discarded_at_once() {
    let world = World::with(STAFF).await;
    let row = json!({ "id": "0010", "name": "a" });
    let mut dropped = message("e1", "insert", &row);
    dropped["writes"][0]["table"] = json!("dropped");
    let unknown_column = message("e1", "insert", &json!({ "id": "0010", "nme": "a" }));
    let number = message("e1", "insert", &json!(7));
    for mut body in [dropped, unknown_column, number] {
        body["discarded"] = json!(true);
        world.rows("DELETE FROM sync.write").await;
        let response = world.apply(event(&[sent("m1", "g", &body.to_string())])).await.unwrap();
        assert!(response.batch_item_failures.is_empty(), "{body}");
        assert_eq!(
            world.rows("SELECT outcome, rule, payload::json ->> 'row' FROM sync.write").await,
            [format!("rejected|discarded|{}", body["writes"][0]["row"])]
        );
    }
}

#[tokio::test]
async fn the_writes_of_a_discarded_message_are_rejected_with_the_faulty_one_among_them() {
    let world = World::with(STAFF).await;
    let mut body = message("e1", "insert", &json!({ "id": "0010", "name": "a" }));
    let faulty = message("e2", "insert", &json!(7));
    body["writes"].as_array_mut().unwrap().push(faulty["writes"][0].clone());
    body["discarded"] = json!(true);
    assert_eq!(
        outcome(&world, "m1", &body.to_string()).await,
        ["staff|insert|rejected|discarded|-", "staff|insert|rejected|discarded|-"]
    );
    assert_eq!(world.rows("SELECT count(*) FROM staff WHERE id = '0010'").await, ["0"]);
}

/// The rules are those of the problem details of the API.
#[tokio::test]
async fn a_faulty_row_is_rejected_by_the_rule_of_the_api_and_its_neighbours_are_applied() {
    let world = World::with(STAFF).await;
    let deep = format!("{}1{}", "[".repeat(100_000), "]".repeat(100_000));
    for (row, rule, column) in [
        (r#"{"id":"0020","name":"x","age":"old"}"#, "format", "age"),
        (r#"{"id":"00020","name":"x"}"#, "length", "id"),
        (r#"{"id":"0020","name":"x","nme":"x"}"#, "unknown-column", "nme"),
        (r#"{"id":"0020"}"#, "required", "name"),
        (r#"{"id":"0020","id":"0021","name":"x"}"#, "duplicate-member", "id"),
        (r#""0020""#, "type", "-"),
        ("null", "type", "-"),
        (&format!(r#"{{"id":"0020","name":{deep}}}"#), "type", "name"),
        (r#"{"id":"0020","name":"\u0000"}"#, "unsupported-character", "name"),
    ] {
        let body = format!(
            r#"{{"version":"public-1","writes":[
                {{"id":"good-{rule}","table":"staff","operation":"upsert","row":{{"id":"0030","name":"good"}}}},
                {{"id":"bad","table":"staff","operation":"upsert","row":{row}}}]}}"#
        );
        let shown = format!("{row:.60}");
        let outcomes = outcome(&world, "m1", &body).await;
        assert_eq!(outcomes.len(), 2, "{shown}");
        assert!(!outcomes[0].contains("rejected"), "{shown}: {outcomes:?}");
        assert_eq!(outcomes[1], format!("staff|upsert|rejected|{rule}|{column}"), "{shown}");
        let payload = "SELECT payload FROM sync.write WHERE outcome = 'rejected'";
        assert!(world.rows(payload).await[0].ends_with(&format!(r#""row":{row}}}"#)), "{shown}");
    }
}

#[tokio::test]
async fn a_row_that_is_too_large_for_the_api_is_rejected() {
    let world = World::with("CREATE TABLE t (id integer PRIMARY KEY, a text)").await;
    let row = json!({ "id": 1, "a": "x".repeat(245_761) });
    let write = json!({ "id": "e1", "table": "t", "operation": "insert", "row": row });
    let body = json!({ "version": "public-1", "writes": [write] }).to_string();
    assert_eq!(outcome(&world, "m1", &body).await, ["t|insert|rejected|row-too-large|-"]);
}

#[tokio::test]
async fn hostile_messages_are_rejected_and_hold_up_no_other_group() {
    let world = World::with(STAFF).await;
    let good = message("e1", "upsert", &json!({ "id": "0030", "name": "x" }));
    let with = |change: &dyn Fn(&mut Value)| {
        let mut body = good.clone();
        change(&mut body);
        body
    };
    let many: Vec<_> = (0..501).map(|_| good["writes"][0].clone()).collect();
    let documents = [
        json!({ "version": "public-1" }),
        json!({ "version": "public-1", "writes": [] }),
        json!({ "version": "public-1", "writes": {} }),
        json!({ "version": "public-1", "writes": many }),
        with(&|body| body["more"] = json!(1)),
        with(&|body| body["claims"] = json!("x")),
        with(&|body| body["caller"] = json!("x".repeat(1_001))),
        with(&|body| body["accepted_at"] = json!("yesterday")),
        with(&|body| body["writes"][0]["operation"] = json!("drop")),
        with(&|body| body["writes"][0]["more"] = json!(1)),
        with(&|body| body["writes"][0]["id"] = json!("")),
        with(&|body| body["writes"][0]["id"] = json!("x".repeat(256))),
        with(&|body| drop(body["writes"][0].as_object_mut().unwrap().remove("table"))),
        with(&|body| drop(body["writes"][0].as_object_mut().unwrap().remove("row"))),
        with(&|body| body["version"] = json!("public-2")),
        with(&|body| body["version"] = json!("5")),
        with(&|body| body["version"] = json!(1)),
    ];
    for document in &documents {
        assert!(schema_fault(SCHEMA, document).await.is_some(), "{document:.200}");
    }
    let mut bodies: Vec<_> = documents.iter().map(Value::to_string).collect();
    bodies.extend(
        ["", "null", "[]", "public-1", r#"{"version":"public-1","writes":["#].map(str::to_owned),
    );
    bodies.push("[".repeat(1_000_000));
    // The largest message of SQS, whose quotes take more than a call of the Data API.
    let quotes = "\\\"".repeat(520_000);
    bodies.push(format!(r#"{{"version":"public-1","writes":"{quotes}"}}"#));
    for (number, body) in bodies.iter().enumerate() {
        world.rows("DELETE FROM sync.write").await;
        let hostile = sent_long_ago(&format!("m{number}"), "hostile", body);
        let fine = sent(&format!("f{number}"), "fine", &good.to_string());
        let response = world.apply(event(&[hostile, fine])).await.unwrap();
        assert!(response.batch_item_failures.is_empty(), "{body:.200}");
        let ledger = "SELECT operation, outcome, rule FROM sync.write ORDER BY operation";
        let outcomes = world.rows(ledger).await;
        assert_eq!(outcomes[0], "unreadable|rejected|unreadable", "{body:.200}");
        assert!(outcomes[1].starts_with("upsert|"), "{body:.200}: {outcomes:?}");
    }
}

#[tokio::test]
async fn an_unknown_table_column_or_version_waits_in_its_own_group_for_an_hour() {
    let world = World::with(STAFF).await;
    let good = message("e1", "upsert", &json!({ "id": "0030", "name": "x" })).to_string();
    let unknown = [
        (good.replace("staff", "stuff"), "unknown-table"),
        (good.replace("name", "nme"), "unknown-column"),
        (good.replace("public-1", "public-2"), "unreadable"),
    ];
    for (number, (body, rule)) in unknown.iter().enumerate() {
        let bad = sent(&format!("b{number}"), "bad", body);
        let fine = sent(&format!("f{number}"), "fine", &good);
        let response = world.apply(event(&[bad, fine])).await.unwrap();
        let left: Vec<_> =
            response.batch_item_failures.iter().map(|l| &*l.item_identifier).collect();
        assert_eq!(left, [format!("b{number}")], "{rule}");
        let outcomes = outcome(&world, "later", body).await;
        assert!(outcomes[0].contains(&format!("|rejected|{rule}|")), "{outcomes:?}");
    }
}

#[tokio::test]
async fn a_message_that_was_redriven_undoes_no_later_write() {
    let world = World::with(STAFF).await;
    let late = |id: &str, at: &str, name: &str| {
        let mut body = message(id, "upsert", &json!({ "id": "0001", "name": name }));
        body["accepted_at"] = json!(at);
        sent(id, "g", &body.to_string())
    };
    let now = "2026-01-01T10:00:00Z";
    world.apply(event(&[late("later", now, "later")])).await.unwrap();
    world.apply(event(&[late("earlier", "2026-01-01T09:59:59+00:00", "earlier")])).await.unwrap();
    assert_eq!(world.rows("SELECT name FROM staff WHERE id = '0001'").await, ["later"]);
    assert_eq!(
        world.rows("SELECT rule FROM sync.write WHERE outcome = 'rejected'").await,
        ["overtaken"]
    );
}

#[tokio::test]
async fn a_caller_is_on_record_and_claims_decide() {
    let world = World::with(
        "CREATE TABLE note (id integer PRIMARY KEY, owner text
            DEFAULT current_setting('request.jwt.claims', true)::json ->> 'sub');
        ALTER TABLE note ENABLE ROW LEVEL SECURITY;
        CREATE POLICY own ON note
            USING (owner = current_setting('request.jwt.claims', true)::json ->> 'sub');",
    )
    .await;
    for (id, claims) in [(1, json!({ "sub": "ann" })), (2, json!({}))] {
        let write = json!({ "id": format!("e{id}"), "table": "note", "operation": "insert", "row": { "id": id } });
        let body =
            json!({ "version": "public-1", "caller": "hr", "claims": claims, "writes": [write] });
        assert_eq!(schema_fault(SCHEMA, &body).await, None);
        world.apply(event(&[sent("m1", "g", &body.to_string())])).await.unwrap();
    }
    assert_eq!(world.rows("SELECT id, owner FROM note").await, ["1|ann"]);
    assert_eq!(
        world.rows("SELECT key, outcome, rule, caller FROM sync.write ORDER BY key").await,
        ["1|applied|-|hr", "2|rejected|row-security|hr"]
    );
}

/// Fills the template of a pipe in as EventBridge Pipes does (Pipes, "Input transformation").
fn piped(template: &str, source: &Value) -> String {
    let mut filled = String::new();
    let mut rest = template;
    while let Some((before, after)) = rest.split_once('<') {
        let (path, behind) = after.split_once('>').unwrap();
        filled.push_str(before);
        match path.strip_prefix("$.") {
            None => filled.push_str("2026-11-23T09:30:00.123Z"),
            Some(path) => {
                let pointer = format!("/{}", path.replace('.', "/"));
                filled.push_str(&source.pointer(&pointer).unwrap_or(&Value::Null).to_string());
            }
        }
        rest = behind;
    }
    filled + rest
}

#[tokio::test]
async fn the_example_of_a_pipe_writes_the_item_of_its_stream() {
    let world = World::with(STAFF).await;
    let text = std::fs::read_to_string("examples/producers/pipe.yaml").unwrap();
    let (_, template) = text.split_once("InputTemplate: |\n").unwrap();
    let lines = template.lines().take_while(|line| line.starts_with("          "));
    let template: String = lines.collect();
    let mut source = sample("pipes-dynamodb-stream");
    for (name, expected) in [(json!("Pipe \"é\""), "0043|Pipe \"é\"|44"), (Value::Null, "")] {
        source["dynamodb"]["NewImage"]["name"]["S"] = name;
        let body = piped(&template, &source);
        assert_eq!(schema_fault(SCHEMA, &serde_json::from_str(&body).unwrap()).await, None);
        let response = world.apply(event(&[sent("m1", "0043", &body)])).await.unwrap();
        assert!(response.batch_item_failures.is_empty());
        if !expected.is_empty() {
            let row = "SELECT id, name, age FROM staff WHERE id = '0043'";
            assert_eq!(world.rows(row).await, [expected]);
        }
    }
}

#[test]
fn the_message_of_the_guide_follows_its_schema() {
    let guide = std::fs::read_to_string("docs/guide/producers.md").unwrap();
    let (_, json) = guide.split_once("```json\n").unwrap();
    let message: Value = serde_json::from_str(json.split_once("\n```").unwrap().0).unwrap();
    let guide = std::fs::read_to_string("docs/guide/events.md").unwrap();
    let (_, json) = guide.split_once("```json\n").unwrap();
    let told: Value = serde_json::from_str(json.split_once("\n```").unwrap().0).unwrap();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    assert_eq!(runtime.block_on(schema_fault(SCHEMA, &message)), None);
    assert_eq!(runtime.block_on(schema_fault(DETAILS, &told["detail"])), None);
}

/// On the deployed template: the example in Python writes a row, and a rule of `EventBridge` brings
/// the event about a rejected write and about an import into a queue.
#[tokio::test(flavor = "multi_thread")]
async fn a_producer_writes_and_a_listener_is_told_on_the_deployed_template() {
    let options = Options::new(functions()).unwrap().parameter("EventBus", "default");
    let stack = Stack::start(options).await.unwrap();
    let config = stack.sdk_config();
    let sqs = aws_sdk_sqs::Client::new(&config);
    let bridge = aws_sdk_eventbridge::Client::new(&config);
    let url = sqs.create_queue().queue_name("told").send().await.unwrap().queue_url.unwrap();
    let arn = sqs.get_queue_attributes().queue_url(&url);
    let arn = arn.attribute_names(QueueAttributeName::QueueArn).send().await.unwrap();
    let arn = arn.attributes.unwrap()[&QueueAttributeName::QueueArn].clone();
    let pattern =
        r#"{"source":["aurora-sync"],"detail-type":["WritesRejected","ImportCompleted"]}"#;
    bridge.put_rule().name("told").event_pattern(pattern).send().await.unwrap();
    let target = Target::builder().id("queue").arn(arn).build().unwrap();
    bridge.put_targets().rule("told").targets(target).send().await.unwrap();

    let python = stack.python_bin().join("python");
    let addresses = stack.addresses();
    let example = Command::new(python)
        .arg("examples/producers/send.py")
        .env("WRITES_QUEUE_URL", &addresses.writes_queue_url)
        .env("AWS_ENDPOINT_URL", &addresses.endpoint_url)
        .env("AWS_DEFAULT_REGION", "us-east-1")
        .env("AWS_ACCESS_KEY_ID", "test")
        .env("AWS_SECRET_ACCESS_KEY", "test")
        .output()
        .unwrap();
    assert!(example.status.success(), "{}", String::from_utf8_lossy(&example.stderr));
    let database = ephemeral_postgres::connect(&addresses.database_url).await.unwrap();
    loop {
        let row = "SELECT name || age FROM staff WHERE id = '0042'";
        if let Some(row) = database.query_opt(row, &[]).await.unwrap() {
            assert_eq!(row.get::<_, String>(0), "Python33");
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }

    let json = [("content-type", "application/json")];
    let missing = stack.request(hyper::Method::PUT, "/staff/none", &json, r#"{"name":"x"}"#).await;
    assert_eq!(missing.unwrap().status, 202);
    let s3 = aws_sdk_s3::Client::new(&config);
    let file = s3.put_object().bucket(&addresses.uploads_bucket).key("imports/staff/a.csv");
    file.body(b"id,name\n0050,x\n".to_vec().into()).send().await.unwrap();
    let mut kinds = std::collections::BTreeSet::new();
    while kinds.len() < 2 {
        let received = sqs.receive_message().queue_url(&url).wait_time_seconds(1).send().await;
        for message in received.unwrap().messages.unwrap_or_default() {
            let event: Value = serde_json::from_str(message.body().unwrap()).unwrap();
            assert_eq!(schema_fault(DETAILS, &event["detail"]).await, None, "{event}");
            kinds.insert(event["detail-type"].as_str().unwrap().to_owned());
        }
    }
    assert_eq!(
        database.query_one("SELECT count(*) FROM sync.event", &[]).await.unwrap().get::<_, i64>(0),
        0
    );
}
