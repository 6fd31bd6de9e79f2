//! The program `data-api-server`, as people start it.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, Stdio};

use ephemeral_postgres::Postgres;
use hyper::Method;

use crate::support::{CLUSTER, http_client, send};

fn start(arguments: &[&str]) -> Child {
    let mut command = Command::new(env!("CARGO_BIN_EXE_data-api-server"));
    command.args(arguments).stdout(Stdio::piped()).stderr(Stdio::piped());
    command.spawn().unwrap()
}

#[tokio::test]
async fn it_says_in_one_line_that_it_is_ready() {
    let url = Postgres::shared().await.unwrap().database_url("postgres");
    let mut child = start(&["--listen", "127.0.0.1:0", "--database-url", &url, "--paused", "15s"]);
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let ready = line.strip_prefix("Data API ready at http://127.0.0.1:").unwrap();
    assert!(ready.trim_end().ends_with("/postgres"), "{line}");
    child.kill().unwrap();
    child.wait().unwrap();
}

#[tokio::test]
async fn faults_come_by_command_line_by_file_and_by_the_control_endpoint() {
    let url = Postgres::shared().await.unwrap().database_url("postgres");
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("faults");
    std::fs::write(&file, "# by file\n\nbegin@2..3 sql=53300\n").unwrap();
    let file = file.to_str().unwrap();
    let mut child = start(&[
        "--listen",
        "127.0.0.1:0",
        "--database-url",
        &url,
        "--seed",
        "7",
        "--fault",
        "commit drop-answer",
        "--faults-file",
        file,
    ]);
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let server = line.split_whitespace().find(|word| word.starts_with("http://")).unwrap();
    let faults = format!("{server}/_control/faults");
    let client = http_client();
    let posted = send(&client, Method::POST, &faults, "any@5% delay=1ms".into()).await.unwrap();
    let shown = send(&client, Method::GET, &faults, "".into()).await.unwrap();
    assert_eq!(posted.body, shown.body);
    assert_eq!(
        shown.body,
        serde_json::json!({
            "seed": 7,
            "armed": ["commit@1 drop-answer", "begin@2..3 sql=53300", "any@5% delay=1ms"],
            "injected": [],
        })
    );
    child.kill().unwrap();
    child.wait().unwrap();
}

#[tokio::test]
async fn secrets_come_by_command_line() {
    let url = Postgres::shared().await.unwrap().database_url("postgres");
    let arn = |name: &str| format!("arn:aws:secretsmanager:us-east-1:000000000000:secret:{name}");
    let mut child = start(&[
        "--listen",
        "127.0.0.1:0",
        "--database-url",
        &url,
        "--secret-arn",
        &arn("a"),
        "--secret-arn",
        &arn("b"),
        "--secret",
        &format!("{}=nobody:x=y:z", arn("c")),
        "--secret",
        &format!("{}=postgres", arn("d")),
    ]);
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let server = line.split_whitespace().find(|word| word.starts_with("http://")).unwrap();
    let client = http_client();
    let execute = async |name: &str| {
        let body = serde_json::json!({
            "resourceArn": CLUSTER, "secretArn": arn(name), "sql": "SELECT current_user",
        });
        let path = format!("{server}/Execute");
        send(&client, Method::POST, &path, body.to_string().into()).await.unwrap()
    };
    for name in ["a", "b", "d"] {
        let records = serde_json::json!([[{ "stringValue": "postgres" }]]);
        assert_eq!(execute(name).await.body["records"], records);
    }
    let nobody = "ERROR: role \"nobody\" does not exist; SQLState: 28000";
    assert_eq!(execute("c").await.message(), nobody);
    assert_eq!(execute("e").await.outcome(), "400 SecretsErrorException");
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn a_secret_needs_a_user() {
    for secret in ["arn", "=user:password", "arn=", "arn=:password"] {
        let mut child = start(&["--secret", secret]);
        let mut error = String::new();
        child.stderr.take().unwrap().read_to_string(&mut error).unwrap();
        assert!(!child.wait().unwrap().success());
        assert!(error.contains("expected ARN=USER or ARN=USER:PASSWORD"), "{error}");
    }
}

#[tokio::test]
async fn it_says_in_one_line_why_it_cannot_be() {
    let postgres = Postgres::shared().await.unwrap();
    let (url, nowhere) = (postgres.database_url("postgres"), postgres.database_url("nowhere"));
    // Something that listens and never says a word.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let silent = listener.local_addr().unwrap();
    let silent = format!("postgres://x@{silent}/x?connect_timeout=1");
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("faults");
    std::fs::write(&file, "# two\nexecute explode\n").unwrap();
    let file = file.to_str().unwrap();
    for (arguments, expected) in [
        (
            &["--listen", "127.0.0.1:0", "--database-url", "postgres://x@127.0.0.1:1/x"][..],
            "PostgreSQL at 127.0.0.1:1/x does not answer: ",
        ),
        (&["--listen", "192.0.2.1:1", "--database-url", &url], "cannot listen on 192.0.2.1:1"),
        (&["--database-url", &nowhere], "refuses: database \"nowhere\" does not exist"),
        (&["--database-url", "not a url"], "the database's URL cannot be read"),
        (&["--database-url", &silent], "does not answer: no answer within 1s"),
        (
            &["--database-url", "mysql://x/y"],
            "expected postgres://user:password@host:port/database",
        ),
        (
            &["--database-url", &url, "--secrets-manager", "https://127.0.0.1:1"],
            "the URL of Secrets Manager cannot be used; expected http://host:port",
        ),
        (&["--faults-file", "/nowhere"], "cannot read /nowhere"),
        (&["--faults-file", file], "line 2: \"explode\": no such fault"),
    ] {
        let mut child = start(arguments);
        let mut error = String::new();
        child.stderr.take().unwrap().read_to_string(&mut error).unwrap();
        assert!(!child.wait().unwrap().success());
        assert_eq!(error.lines().count(), 1, "{error}");
        assert!(error.contains(expected), "{error}");
    }
}
