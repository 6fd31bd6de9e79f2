//! Runs the command as a process.

use std::collections::HashMap;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use local_stack::Stack;
use local_stack::account::{ACCESS_KEY_ID, REGION, SECRET_ACCESS_KEY};
use serde_json::{Value, json};

/// The command in a folder of its own, with what `cargo local up` writes to `.local/env`.
pub(crate) struct Cli {
    pub(crate) folder: tempfile::TempDir,
    pub(crate) environment: HashMap<&'static str, String>,
}

impl Cli {
    pub(crate) fn of(stack: &Stack) -> Self {
        let addresses = stack.addresses();
        let environment = HashMap::from([
            ("API_URL", addresses.api_url.clone()),
            ("UPLOADS_BUCKET", addresses.uploads_bucket.clone()),
            ("RESULTS_BUCKET", addresses.results_bucket.clone()),
            ("REFRESH_FUNCTION", addresses.refresh_function.clone()),
            ("IMPORT_FUNCTION", addresses.import_function.clone()),
            ("WRITES_QUEUE_URL", addresses.writes_queue_url.clone()),
            ("WRITES_DEAD_LETTER_QUEUE_URL", addresses.writes_dead_letter_queue_url.clone()),
            ("IMPORTS_QUEUE_URL", addresses.imports_queue_url.clone()),
            ("IMPORTS_DEAD_LETTER_QUEUE_URL", addresses.imports_dead_letter_queue_url.clone()),
            ("AWS_ENDPOINT_URL", addresses.endpoint_url.clone()),
            ("AWS_ENDPOINT_URL_RDS_DATA", addresses.data_api_endpoint_url.clone()),
            ("AWS_ACCESS_KEY_ID", ACCESS_KEY_ID.to_owned()),
            ("AWS_SECRET_ACCESS_KEY", SECRET_ACCESS_KEY.to_owned()),
            ("AWS_REGION", REGION.to_owned()),
        ]);
        Self { folder: tempfile::tempdir().unwrap(), environment }
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn write(&self, name: &str, content: &str) {
        std::fs::write(self.path().join(name), content).unwrap();
    }

    pub(crate) fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path().join(name)).unwrap()
    }

    /// Runs `aurora-sync import` with these words, and gives its exit status and what it said.
    pub(crate) fn import(&self, words: &str, input: &str) -> (i32, String, String) {
        self.run("import", words, input)
    }

    /// Runs a command that must succeed with this exit status, and returns its JSON.
    pub(crate) fn json(&self, expected: i32, name: &str, words: &str) -> Value {
        let (status, said, progress) = self.run(name, &format!("{words} --json"), "");
        assert_eq!(status, expected, "{name} {words}: {said}{progress}");
        serde_json::from_str(&said).unwrap_or_else(|_| panic!("{name} {words}: {said}{progress}"))
    }

    pub(crate) fn run(&self, name: &str, words: &str, input: &str) -> (i32, String, String) {
        let mut command = Command::new(env!("CARGO_BIN_EXE_aurora-sync"));
        command.arg(name).args(words.split_whitespace()).current_dir(self.path());
        command.env_clear().envs(&self.environment).env("HOME", self.path());
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
        let Output { status, stdout, stderr } = child.wait_with_output().unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        (status.code().unwrap(), text(stdout), text(stderr))
    }
}

pub(crate) fn run_sql(stack: &Stack, sql: &str) {
    tokio::runtime::Handle::current().block_on(async {
        let url = &stack.addresses().database_url;
        let client = ephemeral_postgres::connect(url).await.unwrap();
        client.batch_execute(sql).await.unwrap();
    });
}

/// Adds a value to a metric, as CloudWatch takes it.
pub(crate) async fn put_metric(stack: &Stack, namespace: &str, data: &Value) {
    let body = json!({ "Namespace": namespace, "MetricData": [data] }).to_string();
    let headers = [
        ("content-type", "application/x-amz-json-1.0"),
        ("x-amz-target", "GraniteServiceVersion20100801.PutMetricData"),
    ];
    let url = format!("{}/", stack.addresses().endpoint_url);
    let http = local_stack::Http::default();
    let put = http.signed("monitoring", hyper::Method::POST, &url, &headers, body.into());
    let response = put.await.unwrap();
    assert_eq!(response.status, 200, "{}", response.text());
}
