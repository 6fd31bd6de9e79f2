//! AWS's own clients, unchanged: what they make of answers and of faults.

use std::path::{Path, PathBuf};
use std::process::Command;

use aws_config::retry::RetryConfig;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_sdk_rdsdata::Client;
use aws_sdk_rdsdata::config::{Credentials, SharedCredentialsProvider};
use aws_sdk_rdsdata::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_rdsdata::types::Field;
use serde_json::json;

use crate::support::{Api, CLUSTER, SECRET};

/// A client that tries once, so that faults are seen.
fn client(api: &Api) -> Client {
    let credentials = Credentials::new("test", "test", None, None, "test");
    let config = SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("us-east-1"))
        .credentials_provider(SharedCredentialsProvider::new(credentials))
        .http_client(aws_smithy_http_client::Builder::new().build_http())
        .retry_config(RetryConfig::disabled())
        .endpoint_url(api.server.url())
        .build();
    Client::new(&config)
}

/// Returns the kind of failure that the SDK reports: the exception's name, or the point at which
/// the connection broke.
fn kind<E: ProvideErrorMetadata + std::fmt::Debug>(error: &SdkError<E>) -> String {
    match error {
        SdkError::ServiceError(error) => error.err().code().unwrap_or_default().to_owned(),
        SdkError::DispatchFailure(_) => "no answer".to_owned(),
        SdkError::ResponseError(_) => "half an answer".to_owned(),
        other => format!("{other:?}"),
    }
}

#[tokio::test]
async fn the_rust_sdk_sees_each_fault_as_what_it_is() {
    let api = Api::start().await;
    api.execute("CREATE TABLE t (a int)").await;
    let client = client(&api);
    let insert = async || {
        let call = client.execute_statement().resource_arn(CLUSTER).secret_arn(SECRET);
        call.sql("INSERT INTO t VALUES (1)").send().await
    };
    for (fault, expected) in [
        ("drop-request", "no answer"),
        ("drop-answer", "no answer"),
        ("cut-answer", "half an answer"),
        ("fail-before=ThrottlingException", "ThrottlingException"),
        ("fail-after=InternalServerErrorException", "InternalServerErrorException"),
        ("timeout", "StatementTimeoutException"),
        ("resume=0s", ""),
        ("sql=40P01", "DatabaseErrorException"),
    ] {
        api.fault(&format!("execute {fault}"));
        let result = insert().await;
        let found = result.err().map(|error| kind(&error)).unwrap_or_default();
        assert_eq!(found, expected, "{fault}");
    }
    // Those with the work done: drop-answer, cut-answer, fail-after, and the one that resumed at
    // once.
    assert_eq!(api.field("SELECT count(*) FROM t").await, json!({ "longValue": 4 }));
}

#[tokio::test]
async fn the_rust_sdk_cannot_tell_a_lost_commit_from_a_lost_answer() {
    let api = Api::start().await;
    api.execute("CREATE TABLE t (a int)").await;
    let client = client(&api);
    for (fault, rows) in [("commit drop-request", 0), ("commit drop-answer", 1)] {
        let begin = client.begin_transaction().resource_arn(CLUSTER).secret_arn(SECRET);
        let id = begin.send().await.unwrap().transaction_id.unwrap();
        let insert = client.execute_statement().resource_arn(CLUSTER).secret_arn(SECRET);
        insert.transaction_id(&id).sql("INSERT INTO t VALUES (1)").send().await.unwrap();
        api.fault(fault);
        let commit = client.commit_transaction().resource_arn(CLUSTER).secret_arn(SECRET);
        let error = commit.transaction_id(&id).send().await.unwrap_err();
        assert_eq!(kind(&error), "no answer", "{fault}");
        assert_eq!(api.field("SELECT count(*) FROM t").await, json!({ "longValue": rows }));
    }
}

#[tokio::test]
async fn the_rust_sdk_reads_records() {
    let api = Api::start().await;
    let call = client(&api).execute_statement().resource_arn(CLUSTER).secret_arn(SECRET);
    let sql = "SELECT 1, NULL, 1.5::float8, true, 'x', '\\xff'::bytea, ARRAY['a', NULL]";
    let answer = call.sql(sql).include_result_metadata(true).send().await.unwrap();
    assert_eq!(answer.column_metadata().len(), 7);
    let record = &answer.records()[0];
    assert_eq!(record[0], Field::LongValue(1));
    assert_eq!(record[1], Field::IsNull(true));
    assert_eq!(record[5].as_blob_value().unwrap().as_ref(), [0xff]);
    let texts = record[6].as_array_value().unwrap().as_string_values().unwrap();
    assert_eq!(texts, &[Some("a".to_owned()), None]);
}

/// The script asserts by itself, in the words of its users.
#[tokio::test]
async fn boto3_works_from_end_to_end() {
    let api = Api::start().await;
    let url = api.server.url();
    let run = tokio::task::spawn_blocking(move || {
        Command::new(python_with_boto3())
            .args(["-c", include_str!("boto3_client.py"), &url, CLUSTER, SECRET])
            .output()
            .unwrap()
    });
    let output = run.await.unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// The version with which the script has been tried.
const BOTO3: &str = "boto3==1.43.106";

/// A Python that can import boto3: the machine's own, else one of a virtual environment that is
/// made once.
fn python_with_boto3() -> PathBuf {
    let can_import = |python: &Path| {
        let import = Command::new(python).args(["-c", "import boto3"]).output();
        import.is_ok_and(|output| output.status.success())
    };
    let machine = PathBuf::from("python3");
    if can_import(&machine) {
        return machine;
    }
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("boto3");
    let python = folder.join("bin/python");
    if !can_import(&python) {
        run(Command::new(machine).args(["-m", "venv", "--clear"]).arg(&folder));
        run(Command::new(&python).args(["-m", "pip", "install", "--quiet", BOTO3]));
    }
    python
}

fn run(command: &mut Command) {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}
