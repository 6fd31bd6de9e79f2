//! `aurora-sync imports`.

use anyhow::bail;
use csv_stream::dialect::Dialect;
use import_options::{Options, Settings};
use serde_json::{Value, json};

use super::output::{Cell, Colour, columns, counted, has_colours, printable, second};
use super::{deployed, ended, print_json};
use crate::arguments::imports::{
    ImportsCancel, ImportsCommand, ImportsList, ImportsRejected, ImportsRetry, ImportsShow,
};
use crate::import::check;
use crate::operations::Deployed;
use crate::operations::imports::{self, Filter, Import, Reject};
use crate::outcome::Outcome;
use crate::progress::{error_line, grouped, line};
use crate::report::Kind;

/// The most imports of a page.
const PAGE_MAX: u32 = 1_000;

pub(crate) async fn run(command: &ImportsCommand) -> Outcome {
    let place = match command {
        ImportsCommand::List(arguments) => &arguments.place,
        ImportsCommand::Show(arguments) => &arguments.place,
        ImportsCommand::Rejected(arguments) => &arguments.place,
        ImportsCommand::Cancel(arguments) => &arguments.place,
        ImportsCommand::Retry(arguments) => &arguments.place,
    };
    let deployed = match deployed(place).await {
        Ok(deployed) => deployed,
        Err(outcome) => return outcome,
    };
    ended(match command {
        ImportsCommand::List(arguments) => list(&deployed, arguments).await,
        ImportsCommand::Show(arguments) => show(&deployed, arguments).await,
        ImportsCommand::Rejected(arguments) => rejected(&deployed, arguments).await,
        ImportsCommand::Cancel(arguments) => cancel(&deployed, arguments).await,
        ImportsCommand::Retry(arguments) => retry(&deployed, arguments).await,
    })
}

async fn list(deployed: &Deployed, arguments: &ImportsList) -> anyhow::Result<Outcome> {
    let ImportsList { table, state, since, .. } = arguments;
    let filter = Filter { table: table.clone(), state: state.clone(), since: *since };
    let limit = arguments.limit.max(1);
    let mut page = imports::list(deployed, &filter, limit.min(PAGE_MAX)).await?;
    let mut found = page.items;
    while found.len() < limit as usize
        && let Some(next) = page.next
    {
        page = imports::next(deployed, &next).await?;
        found.append(&mut page.items);
    }
    found.truncate(limit as usize);
    if arguments.json {
        print_json(&found)?;
    } else if found.is_empty() {
        error_line("no import meets the conditions");
    } else {
        line(&columns(&found.iter().map(row).collect::<Vec<_>>(), has_colours()));
    }
    Ok(Outcome::Good)
}

fn state(import: &Import) -> Cell {
    let colour = match import.state.as_str() {
        "failed" => Colour::Red,
        "running" => Colour::Yellow,
        _ if import.rows_rejected > 0 => Colour::Yellow,
        _ => Colour::Green,
    };
    Cell::coloured(&import.state, colour)
}

fn row(import: &Import) -> Vec<Cell> {
    let mut rows = counted(import.rows_read, "row");
    if import.rows_rejected > 0 {
        rows.push_str(&format!(", {} rejected", grouped(import.rows_rejected)));
    }
    if import.is_dry_run() {
        rows.push_str(" (dry run)");
    }
    vec![
        second(&import.started_at).into(),
        state(import),
        printable(&import.key).into(),
        rows.into(),
        import.id.clone().into(),
        printable(import.error.as_deref().unwrap_or_default()).into(),
    ]
}

async fn show(deployed: &Deployed, arguments: &ImportsShow) -> anyhow::Result<Outcome> {
    let import = imports::show(deployed, &arguments.id).await?;
    let (mut by_rule, mut rejects) = (Vec::new(), Vec::new());
    if import.rows_rejected > 0 {
        by_rule = kinds(deployed, &import).await;
        let page = imports::rejects(deployed, &import.id, arguments.rejects.clamp(1, PAGE_MAX));
        rejects = page.await?.items;
    }
    if arguments.json {
        let shown = json!({ "import": import, "rejected_by_rule": by_rule, "rejects": rejects });
        print_json(&shown)?;
    } else {
        line(&text(&import, &by_rule, &rejects, has_colours()));
    }
    Ok(Outcome::Good)
}

/// Returns the numbers of rejected rows by rule, as far as the report of the import can be read.
async fn kinds(deployed: &Deployed, import: &Import) -> Vec<Kind> {
    let Ok(bucket) = deployed.name("ResultsBucket", "RESULTS_BUCKET") else { return Vec::new() };
    let report = Box::pin(imports::report(&deployed.aws.objects(), &bucket, import)).await;
    report.ok().flatten().map(|report| report.rejected_by_rule).unwrap_or_default()
}

async fn rejected(deployed: &Deployed, arguments: &ImportsRejected) -> anyhow::Result<Outcome> {
    let path = &arguments.to;
    // It may hold corrections.
    if path.exists() {
        bail!("{} is there already: give another --to", path.display());
    }
    let import = imports::show(deployed, &arguments.id).await?;
    let bucket = deployed.name("ResultsBucket", "RESULTS_BUCKET")?;
    let objects = deployed.aws.objects();
    Box::pin(objects.save(&bucket, &imports::rejected_key(&import), path)).await?;
    let report = Box::pin(imports::report(&objects, &bucket, &import)).await?;
    let kept = report.map_or(import.rows_rejected, |report| report.rejected_file_rows);
    let mut rows = counted(kept, "rejected row");
    if kept < import.rows_rejected {
        rows.push_str(&format!(" of {}", grouped(import.rows_rejected)));
    }
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let key = format!("imports/{}/{name}", import.table);
    let defaults = Settings::read(&deployed.import_defaults, &key, std::iter::empty()).0;
    let again = import_again(&import, &defaults.options.to_json());
    let path = check::word(&path.display().to_string());
    line(&format!("{rows} in {path}; correct them, and: aurora-sync import {path} {again}"));
    Ok(Outcome::Good)
}

/// Returns the options of the command that imports the corrected rows of an import, where these are
/// the defaults of their file.
fn import_again(import: &Import, defaults: &Value) -> String {
    let mut options = import.options.clone();
    let mode = match options["mode"].as_str() {
        // It would delete all rows that were good.
        None | Some("replace") => "upsert".to_owned(),
        Some(mode) => mode.to_owned(),
    };
    for left_out in ["mode", "dry-run", "atomic", "max-rejects", "max-deletes"] {
        options[left_out] = Value::Null;
    }
    let table = check::word(&import.table);
    format!("--table {table} --mode {mode} {}", flags(&options, defaults)).trim_end().to_owned()
}

/// Returns the options that differ from these defaults, as the command `import` takes them.
fn flags(options: &Value, defaults: &Value) -> String {
    let flags = import_options::ALL.iter().filter_map(|option| {
        let name = option.name;
        let value = &options[name];
        if value.is_null() || *value == defaults[name] {
            return None;
        }
        Some(match value {
            Value::Bool(true) if name != "header" => format!("--{name}"),
            Value::Array(names) => {
                let names = names.iter().filter_map(Value::as_str);
                let names = names.map(|name| Dialect::default().field(name).into_owned());
                check::option(name, &names.collect::<Vec<_>>().join(","))
            }
            Value::String(text) => check::option(name, text),
            other => check::option(name, &other.to_string()),
        })
    });
    flags.collect::<Vec<_>>().join(" ")
}

fn text(import: &Import, by_rule: &[Kind], rejects: &[Reject], has_colours: bool) -> String {
    let mut rows: Vec<Vec<Cell>> = vec![
        vec!["id".into(), import.id.clone().into()],
        vec!["file".into(), printable(&format!("s3://{}/{}", import.bucket, import.key)).into()],
        vec!["state".into(), state(import)],
    ];
    let mut add = |name: &str, value: String| rows.push(vec![name.into(), value.into()]);
    if let Some(error) = &import.error {
        add("error", printable(error));
    }
    if let Some(percent) = import.progress_percent.filter(|_| import.is_running()) {
        add("progress", format!("{percent:.1} %"));
    }
    for (name, number) in [
        ("read", import.rows_read),
        ("written", import.rows_written),
        ("unchanged", import.rows_unchanged),
        ("superseded", import.rows_superseded),
        ("rejected", import.rows_rejected),
    ] {
        add(name, grouped(number));
    }
    if import.rows_deleted > 0 {
        add("deleted", grouped(import.rows_deleted));
    }
    let options = flags(&import.options, &Options::default().to_json());
    add("options", if options.is_empty() { "defaults".to_owned() } else { printable(&options) });
    add("started", second(&import.started_at));
    if let Some(finished) = &import.finished_at {
        add("finished", second(finished));
    }
    if let Some(caller) = &import.caller {
        add("caller", printable(caller));
    }
    let mut text = columns(&rows, has_colours);
    for Kind { rule, sqlstate, column, count } in by_rule {
        let details: Vec<_> = [sqlstate, column].into_iter().flatten().cloned().collect();
        let details = printable(&format!("{rule} {}", details.join(" ")));
        text.push_str(&format!("\n  {} by the rule {}", grouped(*count), details.trim_end()));
    }
    if !rejects.is_empty() {
        let (shown, all) = (rejects.len() as u64, grouped(import.rows_rejected));
        text.push_str(&format!("\nthe first {} of {all} rejected rows", grouped(shown)));
    }
    for Reject { line, column, reason, .. } in rejects {
        let column = column.as_ref().map(|column| format!("{column}: ")).unwrap_or_default();
        text.push_str(
            &printable(&format!("  line {line}: {column}{reason}")).replacen("  ", "\n  ", 1),
        );
    }
    if !rejects.is_empty() && !import.is_running() {
        text.push_str(&format!("\nto correct them: aurora-sync imports rejected {}", import.id));
    }
    text
}

async fn cancel(deployed: &Deployed, arguments: &ImportsCancel) -> anyhow::Result<Outcome> {
    let import = imports::cancel(deployed, &arguments.id).await?;
    if arguments.json {
        print_json(&import)?;
    } else if import.is_running() {
        line(&format!("import {} is cancelled, and ends before its next rows", import.id));
    } else if import.state == "completed" {
        line(&format!("import {} had loaded all rows before it could be cancelled", import.id));
    } else {
        line(&format!(
            "import {} is cancelled; {} of it were loaded before, and stay",
            import.id,
            counted(import.rows_written, "row")
        ));
    }
    Ok(if import.is_running() { Outcome::Attention } else { Outcome::Good })
}

async fn retry(deployed: &Deployed, arguments: &ImportsRetry) -> anyhow::Result<Outcome> {
    let old = imports::show(deployed, &arguments.id).await?;
    let new = imports::retry(deployed, &old).await?;
    if arguments.json {
        print_json(&json!({ "retry_of": old.id, "id": new }))?;
    } else {
        if old.rows_written > 0 {
            error_line(&format!(
                "{} of it were loaded before: {}",
                counted(old.rows_written, "row"),
                loaded_again(old.options["mode"].as_str().unwrap_or("upsert"))
            ));
        }
        line(&match &new {
            Some(id) => format!("import {id} loads {} again", printable(&old.key)),
            None => format!(
                "{} is uploaded again, and its import begins by itself; to find it: aurora-sync imports list --table {}",
                printable(&old.key),
                printable(&old.table)
            ),
        });
    }
    Ok(if new.is_some() { Outcome::Good } else { Outcome::Attention })
}

/// Tells what becomes of the rows that were loaded before, by the mode.
fn loaded_again(mode: &str) -> &'static str {
    match mode {
        "insert" => "they are rejected as duplicates, or inserted twice if the table has no key",
        "ignore" => "they are unchanged",
        "delete" => "their rows are deleted already, and they are unchanged",
        _ => {
            "they are unchanged where nobody has changed their rows, and else the file's values are written again"
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_import_is_shown_with_its_counts_and_first_rejects() {
        let import: Import = serde_json::from_value(json!({
            "id": "i", "table": "t", "bucket": "b", "key": "imports/t/a.csv", "version": "v",
            "state": "failed", "error": "it was cancelled", "options": {"mode": "upsert"}, "bytes_read": 1,
            "rows_read": 1200, "rows_written": 1199, "rows_unchanged": 0, "rows_superseded": 0,
            "rows_rejected": 1, "rows_deleted": 0, "started_at": "2026-11-29T00:00:00Z",
        }))
        .unwrap();
        let reject: Reject = serde_json::from_value(json!({
            "record": 3, "line": 4, "column": "age", "rule": "format", "reason": "expected an integer",
        }))
        .unwrap();
        let kind: Kind =
            serde_json::from_value(json!({ "rule": "format", "column": "age", "count": 1 }))
                .unwrap();
        let text = text(&import, &[kind], &[reject], false);
        assert!(text.starts_with("id          i\nfile        s3://b/imports/t/a.csv\n"), "{text}");
        assert!(text.contains("\nerror       it was cancelled\n"), "{text}");
        assert!(text.contains("\nread        1,200\n"), "{text}");
        assert!(
                        text.ends_with(
                "\n  1 by the rule format age\nthe first 1 of 1 rejected rows\n  line 4: age: expected an integer\n\
                 to correct them: aurora-sync imports rejected i"
            ),
            "{text}"
        );
    }

    #[test]
    fn options_are_shown_as_the_command_takes_them() {
        let mut options = Options::default().to_json();
        let defaults = options.clone();
        assert_eq!(flags(&options, &defaults), "");
        for (name, value) in [
            ("mode", json!("replace")),
            ("delimiter", json!(";")),
            ("header", json!(false)),
            ("columns", json!(["id", "full name"])),
            ("dry-run", json!(true)),
        ] {
            options[name] = value;
        }
        assert_eq!(
            flags(&options, &defaults),
            "--mode replace --delimiter ';' --header false --columns 'id,full name' --dry-run"
        );
    }

    #[test]
    fn the_command_for_corrected_rows_never_replaces_the_table() {
        let import = |options: Value| -> Import {
            serde_json::from_value(json!({
                "id": "i", "table": "my table", "bucket": "b", "key": "k", "version": "v", "state": "completed",
                "options": options, "bytes_read": 1, "rows_read": 1, "rows_written": 0, "rows_unchanged": 0,
                "rows_superseded": 0, "rows_rejected": 1, "rows_deleted": 0, "started_at": "2026-11-29T00:00:00Z",
            }))
            .unwrap()
        };
        let defaults = Options::default().to_json();
        let mut options = defaults.clone();
        options["mode"] = "replace".into();
        options["max-deletes"] = 5.into();
        let again = import_again(&import(options.clone()), &defaults);
        assert_eq!(again, "--table 'my table' --mode upsert");
        // A default of the stack is named where the import had another value.
        let mut of_stack = defaults.clone();
        of_stack["delimiter"] = ";".into();
        let again = import_again(&import(options), &of_stack);
        assert_eq!(again, "--table 'my table' --mode upsert --delimiter ,");
    }
}
