//! The stories of those who operate a deployment: rejected writes, dead letters, imports.

use std::time::{Duration, Instant};

use aws_sdk_sqs::Client as Sqs;
use bytes::Bytes;
use hyper::Method;
use local_stack::{Options, Profile, Stack, build_functions, workspace};
use serde_json::{Value, json};
use tokio::runtime::Handle;

use crate::cli::{Cli, run_sql};

const WAIT_MAX: Duration = Duration::from_secs(60);

/// A stack, the command on it, and its queues.
struct Operator {
    stack: Stack,
    cli: Cli,
    sqs: Sqs,
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
        let deduplication_id = group.map(|group| format!("{group}{}", body.len()));
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
        let operator = Operator { cli: Cli::of(&stack), stack, sqs };
        run_sql(&operator.stack, "ALTER TABLE staff ADD COLUMN doc jsonb");
        operator.cli.json(0, "refresh", "");
        the_tables_are_listed_with_their_rights(&operator);
        rejected_writes_are_sent_again_after_a_fix(&operator);
        an_edited_write_and_one_with_a_precondition_are_sent_again(&operator);
        tail_prints_what_settles_and_stops(&operator);
        a_dead_letter_queue_of_three_causes_is_emptied(&operator);
        a_file_in_the_dead_letter_queue_is_discarded_or_loaded(&operator);
        an_import_is_cancelled_and_loaded_again(&operator);
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
    run_sql(&operator.stack, "ALTER TABLE staff ADD CONSTRAINT adult CHECK (age >= 18)");
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
    // The first resend of the payload has its outcome, and has to be sent again itself.
    let sent = cli.json(3, "writes", &format!("{resend} --yes"));
    let outcomes: Vec<_> = sent.as_array().unwrap().iter().map(|sent| &sent["outcome"]).collect();
    assert_eq!(outcomes, ["rejected", "applied", "applied"], "{sent}");
    assert_eq!(sent[0]["id"], again.as_str());
    let people = "SELECT id || name || age || doc FROM staff WHERE id LIKE '200_' ORDER BY id";
    let expected = [r#"2001Ada5{"a": [1, "x"]}"#, r#"2002Ada6{"a": [1, "x"]}"#];
    assert_eq!(operator.rows(people), expected);
    // Nothing is written twice.
    let twice = cli.json(3, "writes", &format!("{resend} --yes"));
    assert_eq!(twice, sent);
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

/// Returns a message of one write that was accepted an hour ago.
fn message(id: &str, operation: &str, row: &[(&str, &str)]) -> String {
    let accepted_at_ms = jiff_ms() - 3_600_000;
    let write = json!({
        "id": id, "table": "staff", "operation": operation, "key": null, "row": row,
        "accepted_at_ms": accepted_at_ms,
    });
    json!({ "version": "1", "writes": [write] }).to_string()
}

fn jiff_ms() -> i64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    i64::try_from(now.as_millis()).unwrap()
}

fn a_dead_letter_queue_of_three_causes_is_emptied(operator: &Operator) {
    let cli = &operator.cli;
    assert_eq!(cli.json(0, "dlq", "list")[0]["messages_total"], 0);
    let url = operator.stack.addresses().writes_dead_letter_queue_url.clone();
    let id = |n: u32| format!("01900000-0000-7000-8000-00000000000{n}");
    // Two of a key in their order, one whose row was changed since, and one that is to be dropped.
    let first = message(&id(1), "upsert", &[("id", "2101"), ("name", "first")]);
    let second = message(&id(2), "upsert", &[("id", "2101"), ("name", "second")]);
    let overtaken = message(&id(3), "update", &[("id", "2003"), ("name", "older")]);
    let dropped = message(&id(4), "upsert", &[("id", "2102"), ("name", "dropped"), ("age", "40")]);
    for (group, body) in [("right", &first), ("right", &second), ("right", &overtaken)] {
        operator.bury(&url, Some(group), body);
    }
    operator.bury(&url, Some("full"), &dropped);
    operator.bury(&url, Some("odd"), "no message");
    let blocked = |group: &str, ids: &[String], cause: &str| {
        format!(
            "INSERT INTO sync.blocked (message_group, write_ids, cause) VALUES ('{group}', '{{{}}}', '{cause}')",
            ids.join(",")
        )
    };
    run_sql(&operator.stack, &blocked("right", &[id(1), id(2), id(3)], "42501"));
    run_sql(&operator.stack, &blocked("full", &[id(4)], "53100"));

    let listed = cli.json(3, "dlq", "list --queue writes");
    let groups: Vec<_> = listed[0]["groups"].as_array().unwrap().iter().collect();
    let found = |cause: &str| {
        let group = groups.iter().find(|group| group["cause"].as_str().unwrap().starts_with(cause));
        let group = group.unwrap_or_else(|| panic!("{cause}: {listed}"));
        (group["table"].clone(), group["messages"].clone(), group["items"].clone())
    };
    assert_eq!(found("42501"), (json!("staff"), json!(3), json!(3)));
    assert_eq!(found("53100"), (json!("staff"), json!(1), json!(1)));
    assert_eq!(found("unknown: the log"), (Value::Null, json!(1), json!(0)));
    assert_eq!(listed[0]["is_partial"], false, "{listed}");
    let shown = cli.json(0, "dlq", &format!("show --id {}", id(4)));
    assert_eq!(shown[0]["items"][0]["write"]["row"]["name"], "dropped", "{shown}");

    let (status, _, said) = cli.run("dlq", "redrive", "");
    assert_eq!(status, 2);
    assert!(said.contains("say which dead letters: give --all, or"), "{said}");
    let (status, _, said) = cli.run("dlq", "redrive --cause 42501", "");
    assert_eq!(status, 2, "{said}");
    assert!(said.contains("Redrive 3 writes in 3 messages?"), "{said}");
    let (status, _, said) = cli.run("dlq", "redrive --id nothing --yes", "");
    assert_eq!((status, said.as_str()), (1, "error: no dead letter has the id nothing\n"));

    let taken = cli.json(0, "dlq", "redrive --cause 42501 --yes");
    assert_eq!((&taken[0]["messages"], &taken[0]["left"]), (&json!(3), &json!(2)), "{taken}");
    let outcome = |n| operator.settled(&id(n))["outcome"].as_str().unwrap().to_owned();
    assert_eq!([outcome(1), outcome(2)], ["applied", "applied"]);
    assert_eq!(operator.rows("SELECT name FROM staff WHERE id = '2101'"), ["second"]);
    assert_eq!(operator.settled(&id(3))["rule"], "overtaken");
    assert_eq!(operator.rows("SELECT name FROM staff WHERE id = '2003'"), ["Cy"]);

    let (status, said, progress) = cli.run("dlq", "discard --queue writes --yes", "");
    assert_eq!(status, 0, "{progress}");
    assert_eq!(said, "writes: 2 messages with 1 write discarded; 0 left\n");
    let status = operator.settled(&id(4));
    assert_eq!((&status["outcome"], &status["rule"]), (&json!("rejected"), &json!("discarded")));
    assert_eq!(status["payload"]["row"]["name"], "dropped", "{status}");
    assert_eq!(operator.rows("SELECT name FROM staff WHERE id = '2102'"), [""; 0]);
    // The payload that was discarded can be sent again.
    let sent = cli.json(0, "writes", &format!("resend {}", id(4)));
    assert_eq!(sent[0]["outcome"], "applied", "{sent}");
    let unreadable = "SELECT payload FROM sync.write WHERE rule = 'unreadable'";
    let until = Instant::now() + WAIT_MAX;
    while operator.rows(unreadable) != ["no message"] {
        assert!(Instant::now() < until);
        std::thread::sleep(Duration::from_millis(200));
    }
    assert_eq!(cli.json(0, "dlq", "list")[0]["messages_total"], 0);
}

/// Waits for an import of a file, and returns it.
fn import_of(cli: &Cli, file: &str, state: &str) -> Value {
    let until = Instant::now() + WAIT_MAX;
    loop {
        let imports = cli.json(0, "imports", &format!("list --state {state}"));
        let mut imports = imports.as_array().unwrap().iter();
        if let Some(import) = imports.find(|import| import["key"].as_str().unwrap().ends_with(file))
        {
            return import.clone();
        }
        assert!(Instant::now() < until, "{file} is not {state}");
        std::thread::sleep(Duration::from_millis(200));
    }
}

fn a_file_in_the_dead_letter_queue_is_discarded_or_loaded(operator: &Operator) {
    let (cli, addresses) = (&operator.cli, operator.stack.addresses());
    let notification = |name: &str| {
        json!({ "Records": [{
            "eventName": "ObjectCreated:Put",
            "s3": {
                "bucket": { "name": addresses.uploads_bucket },
                "object": { "key": format!("imports/staff/{name}"), "eTag": "e", "sequencer": "01" },
            },
        }] })
        .to_string()
    };
    for name in ["dropped.csv", "gone.csv"] {
        operator.bury(&addresses.imports_dead_letter_queue_url, None, &notification(name));
    }
    let listed = cli.json(3, "dlq", "list --queue imports");
    assert_eq!(listed[0]["groups"][0]["table"], "staff", "{listed}");
    let shown = cli.json(0, "dlq", "show --queue imports");
    let message = shown.as_array().unwrap().iter().find(|letter| {
        letter["items"][0]["file"]["key"].as_str().unwrap().ends_with("dropped.csv")
    });
    let id = message.unwrap()["id"].as_str().unwrap();
    let taken = cli.json(0, "dlq", &format!("discard --id {id} --yes"));
    assert_eq!((&taken[0]["queue"], &taken[0]["messages"]), (&json!("imports"), &json!(1)));
    let import = import_of(cli, "dropped.csv", "failed");
    let error = import["error"].as_str().unwrap();
    assert!(error.starts_with("an operator discarded the file"), "{error}");
    let taken = cli.json(0, "dlq", "redrive --all --yes");
    assert_eq!((&taken[0]["messages"], &taken[0]["left"]), (&json!(1), &json!(0)), "{taken}");
    let import = import_of(cli, "gone.csv", "failed");
    assert!(import["error"].as_str().unwrap().contains("no longer exists"), "{import}");
}

fn an_import_is_cancelled_and_loaded_again(operator: &Operator) {
    let cli = &operator.cli;
    // Each chunk of 40,000 records takes a while, so that the import runs when it is cancelled.
    run_sql(
        &operator.stack,
        "CREATE TABLE slow (k integer PRIMARY KEY, v integer);
         GRANT SELECT ON slow TO sync_reader;
         GRANT SELECT, INSERT, UPDATE, DELETE ON slow TO sync_writer;
         CREATE FUNCTION nap() RETURNS trigger LANGUAGE plpgsql AS
             'BEGIN PERFORM pg_sleep(1); RETURN NULL; END';
         CREATE TRIGGER nap BEFORE INSERT ON slow FOR EACH STATEMENT EXECUTE FUNCTION nap();",
    );
    cli.json(0, "refresh", "");
    let mut file = String::from("k,v\n");
    for n in 0..1_200_000 {
        file.push_str(&format!("{n},1\n"));
    }
    cli.write("slow.csv", &file);
    std::thread::scope(|scope| {
        let following = scope.spawn(|| cli.import("slow.csv --table slow", ""));
        let import = import_of(cli, "slow.csv", "running");
        let id = import["id"].as_str().unwrap();
        let (status, said, progress) = cli.run("imports", &format!("cancel {id}"), "");
        assert_eq!(status, 0, "{said}{progress}");
        assert!(
            said.contains(" is cancelled; ") && said.contains(" loaded before, and stay"),
            "{said}"
        );
        let (status, said, progress) = following.join().unwrap();
        assert_eq!(status, 1, "{said}{progress}");
        assert!(said.contains("error: an operator cancelled the import"), "{said}{progress}");
        let shown = cli.json(0, "imports", &format!("show {id}"));
        let written = shown["import"]["rows_written"].as_u64().unwrap();
        assert!(written < 1_200_000, "{shown}");
        let rows = operator.rows("SELECT count(*)::text FROM slow");
        assert_eq!(rows, [written.to_string()]);
        let (status, _, said) = cli.run("imports", &format!("cancel {id}"), "");
        assert_eq!(status, 1);
        assert!(said.contains("has failed: there is nothing to cancel"), "{said}");

        run_sql(&operator.stack, "DROP TRIGGER nap ON slow");
        let again = cli.json(0, "imports", &format!("retry {id}"));
        assert_eq!(again["retry_of"], id, "{again}");
        let import = import_of(cli, "slow.csv", "completed");
        assert_eq!((&import["id"], &import["rows_read"]), (&again["id"], &json!(1_200_000)));
        assert_eq!(import["rows_unchanged"].as_u64(), Some(written), "{import}");
        let (status, said, _) = cli.run("imports", "list --table slow", "");
        assert_eq!((status, said.lines().count()), (0, 2), "{said}");
    });
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
    assert!(page.contains("If-Match"), "{page}");
}
