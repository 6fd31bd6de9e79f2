//! Ending imports and loading files again.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::{Operator, WAIT_MAX};
use crate::cli::{Cli, run_sql};

/// Waits for an import of a file, and returns it.
pub(super) fn import_of(cli: &Cli, file: &str, state: &str) -> Value {
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

pub(super) fn an_import_is_cancelled_and_loaded_again(operator: &Operator) {
    let cli = &operator.cli;
    // Each chunk of 40,000 records takes two seconds, so that the import runs when it is cancelled.
    run_sql(
        &operator.stack,
        "CREATE TABLE slow (k integer PRIMARY KEY, v integer);
         GRANT SELECT ON slow TO sync_reader;
         GRANT SELECT, INSERT, UPDATE, DELETE ON slow TO sync_writer;
         CREATE FUNCTION nap() RETURNS trigger LANGUAGE plpgsql AS
             'BEGIN PERFORM pg_sleep(2); RETURN NULL; END';
         CREATE TRIGGER nap BEFORE INSERT ON slow FOR EACH STATEMENT EXECUTE FUNCTION nap();",
    );
    cli.json(0, "refresh", "");
    let mut file = String::from("k,v\n");
    for n in 0..400_000 {
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
        assert!(written < 400_000, "{shown}");
        let rows = operator.rows("SELECT count(*)::text FROM slow");
        assert_eq!(rows, [written.to_string()]);
        let (status, _, said) = cli.run("imports", &format!("cancel {id}"), "");
        assert_eq!(status, 1);
        assert!(said.contains("has failed: there is nothing to cancel"), "{said}");

        run_sql(&operator.stack, "DROP TRIGGER nap ON slow");
        let again = cli.json(0, "imports", &format!("retry {id}"));
        assert_eq!(again["retry_of"], id, "{again}");
        let import = import_of(cli, "slow.csv", "completed");
        assert_eq!((&import["id"], &import["rows_read"]), (&again["id"], &json!(400_000)));
        assert_eq!(import["rows_unchanged"].as_u64(), Some(written), "{import}");
        let (status, said, _) = cli.run("imports", "list --table slow", "");
        assert_eq!((status, said.lines().count()), (0, 2), "{said}");
    });
}
