//! The house rules, as tests.

use std::fs;
use std::path::{Path, PathBuf};

fn files(folder: &str, ending: &str) -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    let mut folders = vec![PathBuf::from(folder)];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|found| found == ending) {
                let text = fs::read_to_string(&path).unwrap();
                found.push((path, text));
            }
        }
    }
    assert!(!found.is_empty(), "no .{ending} file in {folder}");
    found
}

/// The text without comments and tests.
fn code(text: &str) -> String {
    let text = text.split("#[cfg(test)]").next().unwrap();
    text.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n")
}

#[test]
fn pure_modules_do_no_io() {
    let mut pure = 0;
    for (path, text) in files("src", "rs").into_iter().chain(files("crates/csv-stream/src", "rs")) {
        let doc: String = text.lines().take_while(|line| line.starts_with("//!")).collect();
        if !doc.contains("Pure") {
            continue;
        }
        pure += 1;
        for word in ["async ", ".await", "aws_sdk_", "std::env", "std::fs", "SystemTime", "Instant"]
        {
            assert!(!code(&text).contains(word), "{}: {word}", path.display());
        }
    }
    assert!(pure >= 10, "{pure} pure modules");
}

#[test]
fn aws_crates_are_named_in_one_room_only() {
    for (path, text) in files("src", "rs").into_iter().chain(files("crates/cli/src", "rs")) {
        if path.starts_with("src/aws") || path == Path::new("crates/cli/src/aws.rs") {
            continue;
        }
        for word in
            ["aws_sdk_", "aws_config", "aws_credential", "aws_sigv4", "aws_smithy", "aws_types"]
        {
            assert!(!code(&text).contains(word), "{}: {word}", path.display());
        }
    }
}

/// The layers of `src/`, from the top. A file may use its own layer and those below it.
const LAYERS: [&[&str]; 4] = [&["functions"], &["api", "database"], &["aws"], &["domain"]];

#[test]
fn layers_depend_downwards_only() {
    let level = |module: &str| LAYERS.iter().position(|layer| layer.contains(&module));
    let mut arrows = 0;
    for (path, text) in files("src", "rs") {
        let module = path.components().nth(1).unwrap().as_os_str().to_str().unwrap();
        let Some(own) = level(module) else { continue };
        // Snapshots are tests: they write out the SQL texts of all layers.
        if path.ends_with("snapshots.rs") || path.ends_with("tests.rs") {
            continue;
        }
        for used in code(&text).split("crate::").skip(1) {
            let used = used.split(|c: char| !c.is_alphanumeric()).next().unwrap();
            let Some(other) = level(used) else { continue };
            arrows += 1;
            let is_down = other > own || used == module;
            assert!(is_down, "{}: {module} must not use {used}", path.display());
        }
    }
    assert!(arrows > 100, "{arrows} arrows");
}

#[test]
fn every_sample_event_is_used_by_a_test() {
    let tests: String = files("tests", "rs").into_iter().map(|(_, text)| text).collect();
    for (path, _) in files("events", "json") {
        let name = path.file_stem().unwrap().to_str().unwrap();
        assert!(tests.contains(&format!("\"{name}\"")), "{} is not used", path.display());
    }
}

#[test]
fn product_code_names_no_table_of_the_example() {
    for folder in ["src", "crates/catalog/src", "crates/cli/src"] {
        for (path, text) in files(folder, "rs") {
            if path.ends_with("tests.rs") {
                continue;
            }
            assert!(!code(&text).contains("staff"), "{}", path.display());
        }
    }
}

#[test]
fn every_problem_type_is_documented() {
    let docs = fs::read_to_string("docs/reference/errors.md").unwrap();
    let source = fs::read_to_string("src/api/problem.rs").unwrap();
    // ("word", 404, "Title")
    let words = source.split("(\"").skip(1).filter_map(|rest| {
        let (word, rest) = rest.split_once("\", ")?;
        rest.get(..3)?.parse::<u16>().ok().map(|_| word)
    });
    let mut found = 0;
    for word in words {
        found += 1;
        assert!(docs.contains(&format!("`{word}`")), "{word}");
    }
    assert!(found > 10, "{found} problem types");
}

/// What the tools need is in no function.
#[test]
fn functions_know_nothing_of_the_tools() {
    let manifest = fs::read_to_string("Cargo.toml").unwrap();
    let (_, rest) = manifest.split_once("\n[dependencies]\n").unwrap();
    let (dependencies, _) = rest.split_once("\n[dev-dependencies]\n").unwrap();
    for word in ["clap", "indicatif", "local-stack", "aurora-sync-cli"] {
        assert!(!dependencies.lines().any(|line| line.starts_with(word)), "{word}");
    }
}

#[test]
fn functions_are_thin() {
    for (path, text) in files("src/bin", "rs") {
        assert!(text.lines().count() <= 40, "{}", path.display());
    }
}

/// Each metric filter of the template against the log lines of the functions: a line that the filter counts exists, and
/// it has the field that the metric adds up.
#[test]
fn metric_filters_match_log_lines() {
    let template = fs::read_to_string("template.yaml").unwrap();
    let source: String = files("src", "rs").into_iter().map(|(_, text)| code(&text)).collect();
    let log_lines: Vec<&str> = ["tracing::error!(", "tracing::warn!(", "tracing::info!("]
        .iter()
        .flat_map(|name| source.split(name).skip(1))
        .filter_map(|rest| {
            rest.split_once(");").map(|(line, _)| line.trim_end_matches([',', ' ', '\n']))
        })
        .collect();
    let mut filters = 0;
    for filter in template.split("FilterPattern: '{ $.message = \"").skip(1) {
        filters += 1;
        let (message, rest) = filter.split_once('"').unwrap();
        let (_, value) = rest.split_once("MetricValue: ").unwrap();
        let value = value.lines().next().unwrap();
        let literal = format!("\"{message}\"");
        let lines = log_lines.iter().filter(|line| line.ends_with(&literal));
        let is_counted = |line: &str| match value.strip_prefix("$.") {
            Some(field) => line.split(',').any(|argument| argument.trim().starts_with(field)),
            None => true,
        };
        let counted = lines.clone().filter(|line| is_counted(line)).count();
        assert!(counted > 0 && counted == lines.count(), "{message}: {value}");
    }
    assert_eq!(filters, template.matches("FilterPattern:").count(), "a filter of another form");
    assert!(filters > 0);
}
