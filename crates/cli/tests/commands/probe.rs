//! `aurora-sync doctor --probe` against the Data API server, as it is and with another behavior.

use std::collections::HashMap;
use std::time::Duration;

use data_api_server::{Operation, Server, Settings};
use ephemeral_postgres::Postgres;
use local_stack::Stack;
use local_stack::account::{ACCESS_KEY_ID, CLUSTER_ARN, REGION, SECRET_ACCESS_KEY, SECRET_ARN};
use serde_json::Value;
use tokio::task::spawn_blocking;

use crate::cli::Cli;

const DATABASE: &str = "probed";

/// A Data API server over a database of its own.
struct Probed {
    postgres: Postgres,
    server: Server,
}

impl Probed {
    async fn start(change: impl FnOnce(&mut Settings)) -> Self {
        let postgres = Postgres::start().await.unwrap();
        postgres.create_database(DATABASE).await.unwrap();
        let mut settings = Settings::new(postgres.database_url(DATABASE));
        change(&mut settings);
        Self { server: Server::start(settings).await.unwrap(), postgres }
    }

    /// Returns the exit status and the outputs.
    async fn run(&self, words: &str) -> (i32, String, String) {
        let environment = HashMap::from([
            ("AWS_ENDPOINT_URL_RDS_DATA", self.server.url()),
            ("AWS_ACCESS_KEY_ID", ACCESS_KEY_ID.to_owned()),
            ("AWS_SECRET_ACCESS_KEY", SECRET_ACCESS_KEY.to_owned()),
            ("AWS_REGION", REGION.to_owned()),
            ("CLUSTER_ARN", CLUSTER_ARN.to_owned()),
            ("SECRET_ARN", SECRET_ARN.to_owned()),
            ("DATABASE", DATABASE.to_owned()),
        ]);
        let cli = Cli { folder: tempfile::tempdir().unwrap(), environment };
        let words = format!("--probe {words}");
        spawn_blocking(move || cli.run("doctor", &words, "")).await.unwrap()
    }

    /// Returns the exit status, and the verdicts with what was seen, by assumption.
    async fn probe(&self, words: &str) -> (i32, Verdicts) {
        let (status, said, progress) = self.run(&format!("--yes --json {words}")).await;
        (status, verdicts(&said, &progress))
    }

    fn fault(&self, rule: &str) {
        self.server.faults().add(rule.parse().unwrap());
    }
}

type Verdicts = HashMap<String, (String, String)>;

fn verdicts(said: &str, progress: &str) -> Verdicts {
    let lines: Vec<Value> =
        serde_json::from_str(said).unwrap_or_else(|_| panic!("{said}{progress}"));
    let text = |line: &Value, name: &str| line[name].as_str().unwrap().to_owned();
    let verdict = |line| (text(line, "id"), (text(line, "verdict"), text(line, "seen")));
    lines.iter().map(verdict).collect()
}

/// Returns the assumptions with this verdict.
fn of<'v>(verdicts: &'v Verdicts, verdict: &str) -> Vec<(&'v str, &'v str)> {
    let mut found: Vec<_> = verdicts
        .iter()
        .filter(|(_, (found, _))| found == verdict)
        .map(|(id, (_, seen))| (id.as_str(), seen.as_str()))
        .collect();
    found.sort_unstable();
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn the_data_api_server_behaves_as_the_worker_assumes() {
    let probed = Probed::start(|_| ()).await;
    let (status, verdicts) = probed.probe("--quick").await;
    assert_eq!(of(&verdicts, "does not hold"), []);
    assert_eq!((status, of(&verdicts, "unsettled")), (0, vec![]));
    assert!(of(&verdicts, "holds").len() > 50, "{verdicts:#?}");
    let seen = |id: &str| verdicts[id].1.as_str();
    assert_eq!(seen("time-limit"), "it takes a minute; leave --quick out");
    assert!(seen("resuming").starts_with("the database was awake."), "{}", seen("resuming"));

    // Nothing is left.
    let client =
        ephemeral_postgres::connect(&probed.postgres.database_url(DATABASE)).await.unwrap();
    let left = client
        .query_one("SELECT count(*) FROM pg_namespace WHERE nspname LIKE 'aurora_sync_probe%'", &[])
        .await
        .unwrap();
    assert_eq!(left.get::<_, i64>(0), 0);
}

/// Tries the API, the queues, the buckets and the second user too.
pub(crate) fn the_assumptions_hold_on_the_stack(cli: &Cli, stack: &Stack) {
    // The emulator's API is not where its outputs say.
    let api = &stack.addresses().api_url;
    let words = format!("--probe --yes --json --quick --stack aurora-sync --api {api}");
    let (status, said, progress) = cli.run("doctor", &words, "");
    let verdicts = verdicts(&said, &progress);
    assert_eq!(of(&verdicts, "does not hold"), []);
    assert_eq!((status, of(&verdicts, "unsettled")), (0, vec![]));
    for id in [
        "user-of-the-secret",
        "other-secret",
        "missing-secret",
        "gateway-body-not-utf8",
        "gateway-bytes",
        "gateway-unsigned",
        "queue-group",
        "queue-receives",
        "object-if-match",
        "object-metadata",
    ] {
        assert_eq!(verdicts[id].0, "holds", "{id}: {}", verdicts[id].1);
    }
    assert_eq!(verdicts["gateway-percent"].1, "the API is not at an address of API Gateway");
}

#[tokio::test(flavor = "multi_thread")]
async fn another_behavior_fails_its_line_only() {
    let probed =
        Probed::start(|settings| settings.statement_timeout = Duration::from_secs(1)).await;
    for (rule, only, broken, seen) in [
        // A call may take one second.
        ("", "time-limit,error-form", "time-limit", "after 1 s: the call: 400 StatementTimeout"),
        (
            "commit fail-before=TransactionNotFoundException",
            "aborted-commit,savepoint",
            "aborted-commit",
            "404 TransactionNotFoundException: ",
        ),
        (
            "batch fail-before=ValidationException",
            "batch-without-sets,error-form",
            "batch-without-sets",
            "400 ValidationException: ",
        ),
        (
            "batch timeout",
            "batch-outside,error-form",
            "batch-outside",
            "400 StatementTimeoutException: canceling statement due to statement timeout; 0 of",
        ),
        (
            "rollback fail-before=InternalServerErrorException",
            "refused-commit,error-form",
            "refused-commit",
            "the commit: 400 DatabaseErrorException: ERROR: duplicate key",
        ),
    ] {
        if !rule.is_empty() {
            probed.fault(rule);
        }
        let (status, verdicts) = probed.probe(&format!("--only {only}")).await;
        assert_eq!((status, verdicts.len()), (3, 2), "{verdicts:#?}");
        let [(id, found)] = of(&verdicts, "does not hold").try_into().unwrap();
        assert_eq!(id, broken);
        assert!(found.starts_with(seen), "{found}");
        assert_eq!(of(&verdicts, "holds").len(), 1, "{verdicts:#?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_without_a_response_is_unsettled() {
    let probed = Probed::start(|_| ()).await;
    probed.fault("commit drop-answer");
    let (status, verdicts) = probed.probe("--only aborted-commit,error-form").await;
    let [(id, seen)] = of(&verdicts, "unsettled").try_into().unwrap();
    assert_eq!((status, id), (1, "aborted-commit"));
    assert!(seen.starts_with("POST /CommitTransaction: "), "{seen}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_paused_database_is_seen_to_resume() {
    let probed = Probed::start(|_| ()).await;
    probed.server.pause(Duration::from_secs(1));
    let (status, verdicts) = probed.probe("--only resuming").await;
    assert_eq!((status, verdicts["resuming"].0.as_str()), (0, "holds"));
    let seen = &verdicts["resuming"].1;
    assert!(seen.starts_with("400 DatabaseResumingException: The Aurora DB instance"), "{seen}");
}

/// Waits for the 45 seconds of a call.
#[tokio::test(flavor = "multi_thread")]
async fn a_call_ends_after_its_time_and_can_go_on() {
    let probed = Probed::start(|_| ()).await;
    let (status, verdicts) = probed.probe("--only time-limit,continue-after-timeout").await;
    assert_eq!((status, of(&verdicts, "holds").len()), (0, 2), "{verdicts:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_begins_without_a_yes() {
    let probed = Probed::start(|_| ()).await;
    let (status, _, said) = probed.run("").await;
    assert_eq!(status, 2, "{said}");
    assert!(said.contains("less than one US cent"), "{said}");
    assert!(said.ends_with("error: nothing was done: give --yes to begin\n"), "{said}");
    assert_eq!(probed.server.counters().calls(Operation::Execute), 0);
    let (status, _, said) = probed.run("--only nothing").await;
    assert_eq!(status, 2);
    assert!(said.contains("there is no assumption nothing; there are unknown-path, "), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_table_names_the_assumption_what_was_seen_and_who_relies_on_it() {
    let probed = Probed::start(|_| ()).await;
    let (status, said, _) = probed.run("--yes --only two-calls,queue-group").await;
    assert_eq!(status, 0, "{said}");
    let expected = "holds          two-calls: A second call on a transaction is refused at once: Transaction is \
                    still running a query.\n               seen: the first call: success; the second one: 400 \
                    DatabaseErrorException: Transaction is still running a query\n               relied on by: \
                    src/database/transaction.rs, src/domain/error/data_api.rs\nnot tried      queue-group: ";
    assert!(said.starts_with(expected), "{said}");
    assert!(said.contains("not tried here: no stack is known; give --stack NAME\n"), "{said}");
    let end = "2 assumptions: 1 hold, 1 were not tried, 0 are unsettled, 0 do not hold\n";
    assert!(said.ends_with(end), "{said}");
}
