//! The command `aurora-sync` against the deployed template on the emulator.

#![allow(clippy::unwrap_used, reason = "clippy takes the helpers of tests for product code")]

mod cli;
mod doctor;
mod operators;
mod probe;
mod studio;
mod uploads;

use std::collections::HashMap;

use local_stack::{Options, Profile, Stack, build_functions, workspace};

use crate::cli::{Cli, run_sql};

/// One stack for all of it: it takes its time to start.
#[tokio::test(flavor = "multi_thread")]
async fn a_file_is_uploaded_followed_and_reported() {
    let functions = build_functions(&workspace::root().unwrap(), Profile::Dev).await.unwrap();
    let mut options = Options::new(functions).unwrap();
    options.parameters.push(("ImportDefaults".into(), uploads::IMPORT_DEFAULTS.into()));
    let stack = Stack::start(options).await.unwrap();
    tokio::task::spawn_blocking(move || {
        let cli = Cli::of(&stack);
        good_rows_are_status_0(&cli);
        rejected_rows_are_status_3_and_come_back_to_be_fixed(&cli);
        what_fails_is_status_1(&cli);
        an_unknown_deployment_is_status_2(&cli);
        a_large_file_goes_in_parts(&cli);
        uploads::a_file_that_would_fail_is_not_uploaded(&cli);
        let api = stack.addresses().api_url.clone();
        uploads::a_default_of_the_stack_is_no_reason_to_refuse_a_file(&cli, &api);
        uploads::an_unknown_profile_is_refused(&cli);
        uploads::an_upload_that_was_interrupted_is_resumed(&cli);
        uploads::ctrl_c_names_the_import_and_the_commands_for_it(&cli);
        the_outputs_of_a_stack_name_the_buckets(&cli);
        doctor_names_a_change_until_a_refresh(&cli, &stack);
        doctor_names_what_cannot_be_reached(&cli);
        a_new_column_is_known_after_a_refresh(&cli, &stack);
        probe::the_assumptions_hold_on_the_stack(&cli, &stack);
    })
    .await
    .unwrap();
}

fn good_rows_are_status_0(cli: &Cli) {
    let (status, said, progress) =
        cli.import("- --table staff --timeout 240", "id,name\n1001,Ada\n1002,Bob\n");
    assert_eq!(status, 0, "{said}{progress}");
    assert!(said.starts_with("stdin.csv: import "), "{said}");
    assert!(said.contains("  written                  2\n"), "{said}");
    assert!(progress.contains(" began\n"), "{progress}");
    // The same name again is another import, which changes nothing.
    let (status, said, _) = cli.import("- --table staff --json", "id,name\n1001,Ada\n1002,Bob\n");
    let report: serde_json::Value = serde_json::from_str(&said).unwrap();
    assert_eq!((status, &report["rows"]["unchanged"]), (0, &2.into()), "{said}");
}

fn rejected_rows_are_status_3_and_come_back_to_be_fixed(cli: &Cli) {
    cli.write("june.csv", "id,name,age\n1003,Cy,old\n1004,Di,5\n10005,Ed,6\n");
    let (status, said, _) = cli.import("june.csv -t staff --rejected bad.csv", "");
    assert_eq!(status, 3, "{said}");
    assert!(said.contains("  rejected                 2\n"), "{said}");
    assert!(said.contains("\n  line 2: age: expected an integer"), "{said}");
    assert!(said.contains("2 rejected rows, to fix and import again: s3://"), "{said}");
    let bad = cli.read("bad.csv");
    assert!(bad.starts_with("id,name,age,_error\n1003,Cy,old,age: expected an integer"), "{bad}");
    the_rejected_rows_of_an_import_are_saved(cli, &bad);
    cli.write("bad.csv", &bad.replace(",old,", ",4,").replace("10005,", "1005,"));
    let (status, said, _) = cli.import("bad.csv -t staff", "");
    assert_eq!(status, 0, "{said}");
    assert!(said.contains("  written                  2\n"), "{said}");
}

fn the_rejected_rows_of_an_import_are_saved(cli: &Cli, bad: &str) {
    let imports = cli.json(0, "imports", "list --limit 1");
    let id = imports[0]["id"].as_str().unwrap();
    let (_, shown, _) = cli.run("imports", &format!("show {id}"), "");
    for text in ["\n  1 by the rule format age\n", "\n  1 by the rule length id\n"] {
        assert!(shown.contains(text), "{shown}");
    }
    assert!(shown.contains("\nthe first 2 of 2 rejected rows\n"), "{shown}");
    let words = format!("rejected {id} --to saved.csv");
    let (status, said, progress) = cli.run("imports", &words, "");
    assert_eq!(status, 0, "{said}{progress}");
    assert_eq!(
        said,
        "2 rejected rows in saved.csv; correct them, and: aurora-sync import saved.csv --table staff --mode upsert\n"
    );
    assert_eq!(cli.read("saved.csv"), bad);
    // Corrections are not overwritten.
    cli.write("saved.csv", "corrected");
    let (status, _, progress) = cli.run("imports", &words, "");
    assert_eq!(status, 1, "{progress}");
    assert!(progress.contains("saved.csv is there already"), "{progress}");
    assert_eq!(cli.read("saved.csv"), "corrected");
}

fn what_fails_is_status_1(cli: &Cli) {
    cli.write("wrong.csv", "id,nmae\n1006,x\n");
    let (status, said, progress) = cli.import("wrong.csv june.csv --table staff --no-check", "");
    // The files after it are imported all the same.
    assert_eq!(status, 1, "{said}");
    assert!(said.contains("error: the header names \"nmae\""), "{said}");
    assert!(said.contains("june.csv: import "), "{said}");
    assert!(progress.contains("[2/2] june.csv: import "), "{progress}");
    let (status, said, _) = cli.import("wrong.csv --table stuff --no-check", "");
    assert_eq!(status, 1);
    assert!(said.contains("there is no table \"stuff\""), "{said}");
}

fn an_unknown_deployment_is_status_2(cli: &Cli) {
    let (status, _, said) = cli.import("missing.csv --table staff", "");
    assert_eq!(status, 2);
    assert!(said.contains("cannot read missing.csv"), "{said}");
    let elsewhere = Cli { folder: tempfile::tempdir().unwrap(), environment: HashMap::new() };
    let (status, _, said) = elsewhere.import("- --table staff --bucket b --region eu-west-1", "");
    assert_eq!(status, 2);
    assert!(said.contains("--results (or RESULTS_BUCKET in the environment), --api"), "{said}");
    let (status, _, _) = cli.import("june.csv", "");
    assert_eq!(status, 2);
}

fn a_large_file_goes_in_parts(cli: &Cli) {
    // 40 MiB, three parts, one key in all rows.
    let row = format!("1007,{}\n", "x".repeat(400_000));
    cli.write("large.csv", &format!("id,name\n{}", row.repeat(105)));
    let (status, said, progress) = cli.import("large.csv --table staff --name 2026/large.csv", "");
    assert_eq!(status, 0, "{said}{progress}");
    assert!(said.contains("  read                   105\n"), "{said}");
}

fn the_outputs_of_a_stack_name_the_buckets(cli: &Cli) {
    let mut environment = cli.environment.clone();
    environment.remove("UPLOADS_BUCKET");
    environment.insert("RESULTS_BUCKET", "not-this-one".into());
    // The emulator's API is not where its outputs say.
    let api = environment.remove("API_URL").unwrap();
    let cli = Cli { folder: tempfile::tempdir().unwrap(), environment };
    let words = format!("- --table staff --stack aurora-sync --api {api}");
    let (status, said, progress) = cli.import(&words, "id,name\n1008,Fay\n");
    assert_eq!(status, 0, "{said}{progress}");
    let (status, _, said) = cli.import("- --table staff --stack nowhere", "id,name\n1008,Fay\n");
    assert_eq!(status, 1);
    assert!(said.contains("cannot read the outputs of the stack nowhere"), "{said}");
}

fn doctor_names_a_change_until_a_refresh(cli: &Cli, stack: &Stack) {
    let (status, _, said) = cli.run("refresh", "", "");
    assert_eq!(status, 0, "{said}");
    let (status, said, progress) = cli.run("doctor", "", "");
    assert_eq!(status, 0, "{said}{progress}");
    assert!(said.starts_with("tables    ok        the API knows the tables of the data"), "{said}");
    assert!(said.contains("\napi       ok        http"), "{said}");

    run_sql(stack, "ALTER TABLE staff ADD COLUMN phone text; CREATE TABLE hidden (id int)");
    // The emulator's API is not where its outputs say.
    let words = format!("--json --stack aurora-sync --api {}", stack.addresses().api_url);
    let (status, said, _) = cli.run("doctor", &words, "");
    assert_eq!(status, 3, "{said}");
    let findings: serde_json::Value = serde_json::from_str(&said).unwrap();
    assert_eq!(
        (&findings[0]["check"], &findings[0]["severity"], &findings[0]["help"]),
        (&"tables".into(), &"warning".into(), &"aurora-sync refresh".into())
    );
    let what = findings[0]["what"].as_str().unwrap();
    assert!(what.ends_with(": staff.phone: added"), "{what}");
    let (_, _, _) = cli.run("refresh", "", "");
    let (status, said, _) = cli.run("doctor", "", "");
    assert_eq!(status, 0, "{said}");
}

fn doctor_names_what_cannot_be_reached(cli: &Cli) {
    let (status, said, _) = cli.run("doctor", "--function nothing --api http://127.0.0.1:9", "");
    assert_eq!(status, 1, "{said}");
    assert!(said.contains("tables    error     the tables cannot be read"), "{said}");
    assert!(said.contains("api       error     GET http://127.0.0.1:9/"), "{said}");
    let elsewhere = Cli { folder: tempfile::tempdir().unwrap(), environment: HashMap::new() };
    let (status, _, said) = elsewhere.run("doctor", "--function f --region eu-west-1", "");
    assert_eq!(status, 2, "{said}");
    assert!(said.contains("give --api (or API_URL in the environment)"), "{said}");
}

fn a_new_column_is_known_after_a_refresh(cli: &Cli, stack: &Stack) {
    run_sql(
        stack,
        "ALTER TABLE staff ADD COLUMN email text; CREATE TABLE closed (id int PRIMARY KEY);",
    );
    let (status, said, progress) = cli.run("refresh", "", "");
    assert_eq!(status, 0, "{said}{progress}");
    assert!(said.starts_with("the API offers one table (version "), "{said}");
    assert!(
        said.ends_with("): staff\nchanged since the last time\n  staff.email: added\n"),
        "{said}"
    );
    let (status, said, _) = cli.run("refresh", "--json --stack aurora-sync", "");
    let refreshed: serde_json::Value = serde_json::from_str(&said).unwrap();
    assert_eq!((status, &refreshed["tables"]), (0, &serde_json::json!(["staff"])), "{said}");
    let (status, said, progress) =
        cli.import("- --table staff", "id,name,email\n1101,Ada,ada@example.org\n");
    assert_eq!(status, 0, "{said}{progress}");
    let (status, _, said) = cli.run("refresh", "--function nothing", "");
    assert_eq!(status, 1);
    assert!(said.starts_with("error: cannot invoke the function nothing: "), "{said}");
}
