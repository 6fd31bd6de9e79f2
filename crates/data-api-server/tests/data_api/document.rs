//! `README.md` and these tests are about the same things.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

fn document() -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md");
    fs::read_to_string(path).unwrap()
}

/// Each test of this crate as the document names it: `results::numbers_and_booleans`.
fn tests() -> BTreeSet<String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data_api");
    let mut names = BTreeSet::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let module = path.file_stem().unwrap().to_string_lossy().into_owned();
        let text = fs::read_to_string(&path).unwrap_or_default();
        let mut is_test = false;
        for line in text.lines() {
            let name = line.trim_start_matches("async ").strip_prefix("fn ");
            if let (true, Some(name)) = (is_test, name) {
                names.insert(format!("{module}::{}", name.split('(').next().unwrap()));
            }
            is_test = line.starts_with("#[tokio::test") || line == "#[test]";
        }
    }
    names
}

/// Returns the paths of tests that stand in backquotes.
fn named() -> BTreeSet<String> {
    let text = document();
    let quoted = text.split('`').skip(1).step_by(2);
    let is_path = |text: &&str| {
        text.split_once("::").is_some_and(|(module, name)| {
            let is_word = |word: &str| {
                !word.is_empty()
                    && word
                        .bytes()
                        .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
            };
            is_word(module) && is_word(name)
        })
    };
    quoted.filter(is_path).map(str::to_owned).collect()
}

#[test]
fn every_test_that_the_document_names_is_there() {
    let named = named();
    assert!(named.len() > 50, "the table is gone: {named:?}");
    let missing: Vec<_> = named.difference(&tests()).cloned().collect();
    assert_eq!(missing, Vec::<String>::new());
}

#[test]
fn the_document_names_every_test() {
    let missing: Vec<_> = tests().difference(&named()).cloned().collect();
    assert_eq!(missing, Vec::<String>::new());
}

#[test]
fn the_document_names_every_fault_and_every_option() {
    let text = document();
    for word in [
        "delay=",
        "fail-before=",
        "fail-after=",
        "drop-request",
        "drop-answer",
        "cut-answer",
        "timeout",
        "timeout-after",
        "sql=",
        "lose-transaction",
        "restart",
        "resume=",
        "--listen",
        "--database-url",
        "--cluster-arn",
        "--secret-arn",
        "--secret ",
        "--secrets-manager",
        "--statement-timeout",
        "--paused",
        "--fault",
        "--faults-file",
        "--seed",
        "/_control/counters",
        "/_control/faults",
        "/_control/clock",
        "/_control/pause",
    ] {
        assert!(text.contains(word), "{word}");
    }
}
