//! Emptying the dead-letter queues.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::imports::import_of;
use super::{Operator, WAIT_MAX};
use crate::cli::{Cli, run_sql};

/// Returns a message of one write that was accepted an hour ago.
fn message(id: &str, operation: &str, row: &[(&str, &str)]) -> String {
    let accepted_at_ms = now_ms() - 3_600_000;
    let write = json!({
        "id": id, "table": "staff", "operation": operation, "key": null, "row": row,
        "accepted_at_ms": accepted_at_ms,
    });
    json!({ "version": "1", "writes": [write] }).to_string()
}

fn now_ms() -> i64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    i64::try_from(now.as_millis()).unwrap()
}

pub(super) fn a_dead_letter_queue_of_three_causes_is_emptied(operator: &Operator) {
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
    // The command cannot read one of its rows, and the worker can apply the other one.
    let other = json!({
        "version": "public-1",
        "writes": [
            { "id": id(5), "table": "staff", "operation": "upsert", "row": 7 },
            { "id": id(6), "table": "staff", "operation": "upsert", "row": { "id": "2104", "name": "x" } },
        ],
    });
    operator.bury(&url, Some("other"), &other.to_string());
    let gone = message(&id(7), "upsert", &[("id", "2105")]).replace("\"staff\"", "\"employees\"");
    operator.bury(&url, Some("gone"), &gone);
    let blocked = |group: &str, ids: &[String], cause: &str| {
        format!(
            "INSERT INTO sync.blocked (message_group, write_ids, cause) VALUES ('{group}', '{{{}}}', '{cause}')",
            ids.join(",")
        )
    };
    run_sql(&operator.stack, &blocked("right", &[id(1), id(2), id(3)], "42501"));
    run_sql(&operator.stack, &blocked("full", &[id(4)], "53100"));

    // Without the stack, too.
    let (status, said, _) = cli.run("doctor", "", "");
    assert_eq!(status, 1, "{said}");
    assert!(said.contains("writes: messages in the dead-letter queue: 7"), "{said}");
    let listed = cli.json(3, "dlq", "list --queue writes");
    let groups: Vec<_> = listed[0]["groups"].as_array().unwrap().iter().collect();
    let found = |cause: &str| {
        let group = groups.iter().find(|group| group["cause"].as_str().unwrap().starts_with(cause));
        let group = group.unwrap_or_else(|| panic!("{cause}: {listed}"));
        (group["table"].clone(), group["messages"].clone(), group["items"].clone())
    };
    assert_eq!(found("42501"), (json!("staff"), json!(3), json!(3)));
    assert_eq!(found("53100"), (json!("staff"), json!(1), json!(1)));
    assert_eq!(found("unreadable: the body"), (Value::Null, json!(2), json!(0)));
    let cause = "unknown-table: the API offers no table employees";
    assert_eq!(found(cause), (json!("employees"), json!(1), json!(1)));
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

    let (status, said, error) = cli.run("dlq", "discard --table nothing", "");
    let expected = "no dead letter meets the conditions; nothing was discarded\n";
    assert_eq!((status, said.as_str(), error.as_str()), (0, "", expected));

    let taken = cli.json(0, "dlq", "redrive --cause 42501 --yes");
    assert_eq!((&taken[0]["messages"], &taken[0]["left"]), (&json!(3), &json!(4)), "{taken}");
    let outcome = |n| operator.settled(&id(n))["outcome"].as_str().unwrap().to_owned();
    assert_eq!([outcome(1), outcome(2)], ["applied", "applied"]);
    assert_eq!(operator.rows("SELECT name FROM staff WHERE id = '2101'"), ["second"]);
    assert_eq!(operator.settled(&id(3))["rule"], "overtaken");
    assert_eq!(operator.rows("SELECT name FROM staff WHERE id = '2003'"), ["Cy"]);

    nothing_is_taken_by_its_cause_while_causes_cannot_be_read(operator);
    let (status, said, progress) = cli.run("dlq", "discard --queue writes --yes", "");
    assert_eq!((status, progress.as_str()), (0, ""));
    let expected = "writes: 4 messages with 2 writes discarded, 2 of them unreadable; 0 left. What apply cannot read \
                    settles with the rule unreadable\n";
    assert_eq!(said, expected);
    let status = operator.settled(&id(4));
    assert_eq!((&status["outcome"], &status["rule"]), (&json!("rejected"), &json!("discarded")));
    assert_eq!(status["payload"]["row"]["name"], "dropped", "{status}");
    assert_eq!(operator.rows("SELECT name FROM staff WHERE id = '2102'"), [""; 0]);
    for n in [5, 6, 7] {
        assert_eq!(operator.settled(&id(n))["rule"], "discarded", "{n}");
    }
    assert_eq!(operator.rows("SELECT name FROM staff WHERE id = '2104'"), [""; 0]);
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

fn nothing_is_taken_by_its_cause_while_causes_cannot_be_read(operator: &Operator) {
    let mut environment = operator.cli.environment.clone();
    environment.insert("REFRESH_FUNCTION", "nothing".to_owned());
    let cli = Cli { folder: tempfile::tempdir().unwrap(), environment };
    let (status, said, progress) = cli.run("dlq", "list --queue writes", "");
    assert_eq!(status, 3, "{said}{progress}");
    assert!(said.contains("writes: the causes are not known: "), "{said}");
    let (status, said, progress) = cli.run("dlq", "discard --cause unreadable --yes", "");
    assert_eq!((status, said.as_str()), (1, ""), "{progress}");
    assert!(progress.contains("so none is selected by its cause; try again, or"), "{progress}");
    assert_eq!(cli.json(3, "dlq", "list --queue writes")[0]["messages_total"], 4);
}

pub(super) fn a_file_in_the_dead_letter_queue_is_discarded_or_loaded(operator: &Operator) {
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
    let cause = "not on record: try to redrive it; the log of the function import has the error";
    assert_eq!(listed[0]["groups"][0]["cause"], cause, "{listed}");
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
