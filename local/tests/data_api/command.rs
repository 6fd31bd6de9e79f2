//! `cargo local data-api` as people start it.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, Stdio};

use aurora_sync_local::postgres::Postgres;

fn start(arguments: &[&str]) -> Child {
    let mut command = Command::new(env!("CARGO_BIN_EXE_local"));
    command.arg("data-api").args(arguments).stdout(Stdio::piped()).stderr(Stdio::piped());
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
async fn it_says_in_one_line_why_it_cannot_be() {
    let postgres = Postgres::shared().await.unwrap();
    let (url, nowhere) = (postgres.database_url("postgres"), postgres.database_url("nowhere"));
    for (arguments, expected) in [
        (
            &["--listen", "127.0.0.1:0", "--database-url", "postgres://x@127.0.0.1:1/x"][..],
            "PostgreSQL does not answer: ",
        ),
        (&["--listen", "192.0.2.1:1", "--database-url", &url], "cannot listen on 192.0.2.1:1"),
        (&["--database-url", &nowhere], "PostgreSQL refuses: database \"nowhere\" does not exist"),
        (&["--database-url", "not a url"], "the database's URL cannot be read"),
        (&["--faults-file", "/nowhere"], "cannot read /nowhere"),
    ] {
        let mut child = start(arguments);
        let mut error = String::new();
        child.stderr.take().unwrap().read_to_string(&mut error).unwrap();
        assert!(!child.wait().unwrap().success());
        assert_eq!(error.lines().count(), 1, "{error}");
        assert!(error.contains(expected), "{error}");
    }
}
