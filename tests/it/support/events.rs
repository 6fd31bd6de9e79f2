//! Events on a bus in memory, and the schemas of documents.

use std::process::Command;

use aurora_sync::aws::event_bus::EventBus;
use aurora_sync::functions::apply::{self, Apply};
use aurora_sync::functions::outbox::Outbox;
use aurora_sync::functions::prune::{self, Prune, RETENTION_DAYS_MIN, STEP_ROWS};
use aws_lambda_events::sqs::{SqsBatchResponse, SqsEvent};
use serde_json::Value;

use super::fake_aws::FakeAws;
use super::{World, deadline};

/// The schema of the details of all events.
pub(crate) const DETAILS: &str = "docs/reference/events.schema.json";

/// Returns the outbox of a database with the bus of `aws`.
pub(crate) fn outbox(world: &World, aws: &FakeAws) -> Outbox {
    let cluster_arn = world.target().cluster_arn;
    let bus = EventBus::new(&aws.sdk_config, "default".to_owned(), cluster_arn);
    Outbox::new(world.writer.clone(), bus)
}

/// Delivers messages to an `apply` that publishes events.
pub(crate) async fn apply_telling(
    world: &World,
    aws: &FakeAws,
    event: SqsEvent,
) -> SqsBatchResponse {
    let function = Apply { outbox: Some(outbox(world, aws)), ..world.apply_function() };
    let now_ms = aurora_sync::domain::deadline::now_ms();
    apply::handle(&function, event, now_ms, deadline()).await.unwrap()
}

/// Runs a `prune` that publishes events.
pub(crate) async fn prune_telling(world: &World, aws: &FakeAws) {
    let function = Prune {
        data_api: world.writer.clone(),
        outbox: Some(outbox(world, aws)),
        retention_days: RETENTION_DAYS_MIN,
        step_rows: STEP_ROWS,
    };
    prune::run(&function, deadline()).await.unwrap();
}

/// Returns the detail of an entry, after it is checked: it follows its schema, and the entry names
/// its source and the cluster.
pub(crate) async fn detail(world: &World, entry: &Value) -> Value {
    assert_eq!(entry["Source"], "aurora-sync", "{entry}");
    assert_eq!(entry["Resources"][0], world.target().cluster_arn, "{entry}");
    let detail: Value = serde_json::from_str(entry["Detail"].as_str().unwrap()).unwrap();
    assert_eq!(schema_fault(DETAILS, &detail).await, None, "{detail}");
    detail
}

/// A script that validates a document against a JSON schema.
const VALIDATE: &str = "import json, sys, jsonschema as j
schema = json.load(open(sys.argv[1]))
j.Draft202012Validator.check_schema(schema)
j.Draft202012Validator(schema).validate(json.load(open(sys.argv[2])))";

/// Returns the fault that a JSON schema finds in a document.
pub(crate) async fn schema_fault(schema: &str, document: &Value) -> Option<String> {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), document.to_string()).unwrap();
    let python = local_stack::python_interpreter().await.unwrap();
    let arguments = ["-c", VALIDATE, schema];
    let output = Command::new(python).args(arguments).arg(file.path()).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    (!output.status.success()).then_some(said)
}
