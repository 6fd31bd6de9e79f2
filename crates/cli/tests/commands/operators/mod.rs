//! The stories of those who operate a deployment: rejected writes, dead letters, imports.

mod dead_letters;
mod imports;

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use aws_sdk_sqs::Client as Sqs;
use bytes::Bytes;
use hyper::Method;
use local_stack::{Options, Profile, Stack, build_functions, workspace};
use serde_json::{Value, json};
use tokio::runtime::Handle;

use crate::cli::{Cli, run_sql};

const WAIT_MAX: Duration = Duration::from_mins(3);

/// A stack, the command on it, and its queues.
struct Operator {
    stack: Stack,
    cli: Cli,
    sqs: Sqs,
    /// The number of messages that were put into dead-letter queues.
    buried: AtomicU32,
}

impl Operator {
    /// Sends a write to the API.
    fn write(&self, method: Method, path: &str, headers: &[(&str, &str)], body: &Value) -> String {
        let url = format!("{}{path}", self.stack.addresses().api_url);
        let headers = [headers, &[("content-type", "application/json")]].concat();
        let sent = local_stack::Http::default();
        let body = Bytes::from(body.to_string());
        let sent = sent.signed("execute-api", method, &url, &headers, body);
        let answer = Handle::current().block_on(Box::pin(sent)).unwrap();
        assert_eq!(answer.status, 202, "{}", answer.text());
        answer.json().unwrap()["id"].as_str().unwrap().to_owned()
    }

    /// Waits until the command says this of a write.
    fn settled(&self, id: &str) -> Value {
        let until = Instant::now() + WAIT_MAX;
        loop {
            let status = self.cli.json(0, "writes", &format!("show {id}"));
            if status["outcome"] != "pending" {
                return status;
            }
            assert!(Instant::now() < until, "{status}");
            std::thread::sleep(Duration::from_millis(200));
        }
    }

    fn rows(&self, sql: &str) -> Vec<String> {
        Handle::current().block_on(async {
            let url = &self.stack.addresses().database_url;
            let client = ephemeral_postgres::connect(url).await.unwrap();
            let rows = client.query(sql, &[]).await.unwrap();
            rows.iter().map(|row| row.get::<_, String>(0)).collect()
        })
    }

    /// Puts a message into a dead-letter queue.
    fn bury(&self, queue_url: &str, group: Option<&str>, body: &str) {
        let send = self.sqs.send_message().queue_url(queue_url).message_body(body);
        let number = self.buried.fetch_add(1, Ordering::Relaxed);
        let deduplication_id = group.map(|group| format!("{group}-{number}"));
        let send = send
            .set_message_group_id(group.map(str::to_owned))
            .set_message_deduplication_id(deduplication_id);
        Handle::current().block_on(send.send()).unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_mends_writes_dead_letters_and_imports() {
    let functions = build_functions(&workspace::root().unwrap(), Profile::Dev).await.unwrap();
    let stack = Stack::start(Options::new(functions).unwrap()).await.unwrap();
    tokio::task::spawn_blocking(move || {
        let sqs = Sqs::new(&stack.sdk_config());
        let operator = Operator { cli: Cli::of(&stack), stack, sqs, buried: AtomicU32::new(0) };
        run_sql(&operator.stack, "ALTER TABLE staff ADD COLUMN doc jsonb");
        operator.cli.json(0, "refresh", "");
        the_tables_are_listed_with_their_rights(&operator);
        rejected_writes_are_sent_again_after_a_fix(&operator);
        an_edited_write_and_one_with_a_precondition_are_sent_again(&operator);
        tail_prints_what_settles_and_stops(&operator);
        dead_letters::a_dead_letter_queue_of_three_causes_is_emptied(&operator);
        dead_letters::a_file_in_the_dead_letter_queue_is_discarded_or_loaded(&operator);
        imports::an_import_is_cancelled_and_loaded_again(&operator);
        a_queue_that_nothing_names_is_status_2(&operator);
        a_remembered_stack_is_used(&operator);
        completions_and_man_pages_name_the_commands(&operator);
    })
    .await
    .unwrap();
}

fn the_tables_are_listed_with_their_rights(operator: &Operator) {
    let offer = operator.cli.json(0, "tables", "");
    let table = &offer["tables"][0];
    assert_eq!((&table["name"], &table["key"]), (&json!("staff"), &json!(["id"])), "{offer}");
    for right in ["is_read", "is_inserted", "is_updated", "is_deleted"] {
        assert_eq!(table[right], true, "{right}: {offer}");
    }
    let (status, said, _) = operator.cli.run("tables", "staff", "");
    assert_eq!(status, 0);
    assert!(said.starts_with("staff  "), "{said}");
    assert!(said.contains("sync_writer: insert, update, delete"), "{said}");
    assert!(said.contains("\n  id "), "{said}");
    let (status, _, said) = operator.cli.run("tables", "nothing", "");
    assert_eq!(status, 1);
    assert!(said.contains("the API offers no table \"nothing\""), "{said}");
}

fn rejected_writes_are_sent_again_after_a_fix(operator: &Operator) {
    let cli = &operator.cli;
    run_sql(&operator.stack, "ALTER TABLE staff ADD CONSTRAINT adult CHECK (age >= 18) NOT VALID");
    let doc = json!({ "a": [1, "x"] });
    let ids = [("2001", 5), ("2002", 6)].map(|(id, age)| {
        let row = json!({ "id": id, "name": "Ada", "age": age, "doc": doc });
        operator.write(Method::POST, "/staff", &[], &row)
    });
    for id in &ids {
        let status = operator.settled(id);
        assert_eq!((&status["outcome"], &status["rule"]), (&json!("rejected"), &json!("database")));
        assert_eq!(status["payload"]["row"]["doc"], doc, "{status}");
        assert!(status["request_id"].is_string() && status["reason"].is_string(), "{status}");
    }
    let words = "list --outcome rejected --table staff --since 1h";
    let listed = cli.json(0, "writes", words);
    let mut found: Vec<_> =
        listed.as_array().unwrap().iter().map(|write| write["id"].as_str().unwrap()).collect();
    found.reverse();
    assert_eq!(found, ids, "{listed}");
    let (status, said, _) = cli.run("writes", words, "");
    assert_eq!((status, said.lines().count()), (0, 2), "{said}");
    assert!(said.contains("rejected") && said.contains("database 23514: "), "{said}");
    assert!(!said.contains('\u{1b}'), "{said}");
    // Pages are followed.
    assert_eq!(cli.json(0, "writes", "list --limit 1").as_array().unwrap().len(), 1);

    let resend = "resend --table staff --since 1h";
    let (status, _, said) = cli.run("writes", resend, "");
    assert_eq!(status, 2, "{said}");
    assert!(said.contains("Send 2 rejected writes again? Nobody can be asked here"), "{said}");
    // The cause is still there.
    let sent = cli.json(3, "writes", &format!("resend {} --yes", ids[0]));
    assert_eq!(sent[0]["outcome"], "rejected", "{sent}");
    let again = sent[0]["id"].as_str().unwrap().to_owned();
    run_sql(&operator.stack, "ALTER TABLE staff DROP CONSTRAINT adult");
    // The first write was sent again before: only the write as which it was sent is.
    let sent = cli.json(0, "writes", &format!("{resend} --yes"));
    let found: Vec<_> = sent.as_array().unwrap().iter().map(|sent| &sent["resend_of"]).collect();
    assert_eq!(found, [ids[1].as_str(), again.as_str()], "{sent}");
    assert!(sent.as_array().unwrap().iter().all(|sent| sent["outcome"] == "applied"), "{sent}");
    let people = "SELECT id || name || age || doc FROM staff WHERE id LIKE '200_' ORDER BY id";
    let expected = [r#"2001Ada5{"a": [1, "x"]}"#, r#"2002Ada6{"a": [1, "x"]}"#];
    assert_eq!(operator.rows(people), expected);
    let (status, said, progress) = cli.run("writes", &format!("{resend} --yes"), "");
    assert_eq!((status, said.as_str()), (0, ""));
    assert!(progress.contains("skipped 3 writes, sent again before"), "{progress}");
    // Nothing is written twice: the same payload has its first outcome.
    let twice = cli.json(3, "writes", &format!("{resend} --again --yes"));
    let outcomes: Vec<_> = twice.as_array().unwrap().iter().map(|sent| &sent["outcome"]).collect();
    assert_eq!(outcomes, ["rejected", "applied", "applied"], "{twice}");
    assert_eq!(twice[0]["id"], again.as_str());
    let old = cli.json(0, "writes", &format!("show {}", ids[1]));
    let new = old["resent_as"][0].as_str().unwrap();
    assert_eq!(cli.json(0, "writes", &format!("show {new}"))["resend_of"], ids[1].as_str());
    let (status, _, said) = cli.run("writes", &format!("resend {new}"), "");
    assert_eq!((status, said.as_str()), (1, ""));
}

fn an_edited_write_and_one_with_a_precondition_are_sent_again(operator: &Operator) {
    run_sql(&operator.stack, "ALTER TABLE staff ADD CONSTRAINT adult CHECK (age >= 18) NOT VALID");
    let row = json!({ "id": "2003", "name": "Cy", "age": 7 });
    let id = operator.write(Method::POST, "/staff", &[], &row);
    assert_eq!(operator.settled(&id)["outcome"], "rejected");
    let mut environment = operator.cli.environment.clone();
    environment.insert("EDITOR", "sed -i s/\"7\"/\"70\"/".into());
    environment.insert("PATH", std::env::var("PATH").unwrap());
    let editing = Cli { folder: tempfile::tempdir().unwrap(), environment };
    let sent = editing.json(0, "writes", &format!("resend {id} --edit"));
    assert_eq!(sent[0]["outcome"], "applied", "{sent}");
    assert_eq!(operator.rows("SELECT age::text FROM staff WHERE id = '2003'"), ["70"]);
    // Conditions do not send the values from before the edit.
    let sent = operator.cli.json(0, "writes", "resend --key 2003 --since 1h");
    assert_eq!(sent, json!([]));

    let id = operator.write(
        Method::PATCH,
        "/staff/2003",
        &[("if-match", "\"0123456789abcdef0123456789abcdef\"")],
        &json!({ "age": 71 }),
    );
    let status = operator.settled(&id);
    assert_eq!(status["rule"], "precondition-failed", "{status}");
    assert_eq!(
        status["payload"]["precondition"], "If-Match: \"0123456789abcdef0123456789abcdef\"",
        "{status}"
    );
    let sent = operator.cli.json(0, "writes", &format!("resend {id}"));
    assert_eq!(sent[0]["outcome"], "applied", "{sent}");
    assert_eq!(operator.rows("SELECT age::text FROM staff WHERE id = '2003'"), ["71"]);
}

fn tail_prints_what_settles_and_stops(operator: &Operator) {
    let (status, said, progress) =
        operator.cli.run("tail", "--since 1h --outcome rejected --idle 2s --json", "");
    assert_eq!(status, 0, "{progress}");
    let lines: Vec<Value> = said.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 5, "{said}");
    assert!(lines.iter().all(|write| write["outcome"] == "rejected"), "{said}");
    assert!(progress.contains("no write has settled for 2 s: stopped"), "{progress}");
}

fn a_queue_that_nothing_names_is_status_2(operator: &Operator) {
    let mut environment = operator.cli.environment.clone();
    environment.remove("WRITES_DEAD_LETTER_QUEUE_URL");
    let cli = Cli { folder: tempfile::tempdir().unwrap(), environment };
    let (status, _, said) = cli.run("dlq", "list", "");
    assert_eq!(status, 2, "{said}");
    assert!(said.contains("set WRITES_DEAD_LETTER_QUEUE_URL in the environment"), "{said}");
}

fn a_remembered_stack_is_used(operator: &Operator) {
    let mut environment = operator.cli.environment.clone();
    for name in
        ["API_URL", "UPLOADS_BUCKET", "RESULTS_BUCKET", "REFRESH_FUNCTION", "IMPORT_FUNCTION"]
    {
        environment.remove(name);
    }
    let cli = Cli { folder: tempfile::tempdir().unwrap(), environment };
    let (status, _, said) = cli.run("refresh", "--json", "");
    assert_eq!(status, 2, "{said}");
    let used = cli.json(0, "use", "aurora-sync");
    let file = used["file"].as_str().unwrap();
    assert!(file.ends_with(".config/aurora-sync/stack"), "{used}");
    let (status, said, progress) = cli.run("refresh", "--json", "");
    assert_eq!(status, 0, "{said}{progress}");
    assert_eq!(progress, "stack: aurora-sync (aurora-sync use --forget forgets it)\n");
    // The environment comes before it.
    let (_, _, progress) = operator.cli.run("refresh", "", "");
    assert_eq!(progress, "");
    let (status, said, _) = cli.run("use", "--forget", "");
    assert_eq!((status, said), (0, format!("no stack is remembered (in {file})\n")));
    let (status, _, _) = cli.run("refresh", "--json", "");
    assert_eq!(status, 2);
}

fn completions_and_man_pages_name_the_commands(operator: &Operator) {
    let cli = &operator.cli;
    for shell in ["bash", "zsh", "fish"] {
        let (status, said, _) = cli.run("completions", shell, "");
        assert_eq!(status, 0);
        assert!(said.contains("dlq") && said.contains("resend"), "{shell}");
    }
    let (status, said, _) = cli.run("man", "", "");
    assert!(status == 0 && said.contains(".TH") && said.contains("dlq"), "{said}");
    let (status, _, _) = cli.run("man", "--to pages", "");
    assert_eq!(status, 0);
    let page = cli.read("pages/aurora-sync-writes-resend.1");
    assert!(page.contains("precondition"), "{page}");
}
