//! Doc comments begin with a verb or a noun, as those of rustdoc do.

use std::path::Path;

use super::files;

/// Words that begin no doc comment.
const BEGINNINGS: [&str; 4] = ["What", "Whether", "So many", "Of"];

/// The folders, with the number of doc comments there that begin with one of the words today. Only lower these.
const FOLDERS: [(&str, usize); 10] = [
    ("src", 200),
    ("crates/bench", 0),
    ("crates/catalog", 0),
    ("crates/cli", 0),
    ("crates/csv-stream", 0),
    ("crates/data-api-server", 0),
    ("crates/ephemeral-postgres", 0),
    ("crates/local", 0),
    ("crates/local-stack", 0),
    ("tests", 0),
];

/// Returns the first lines of the blocks of doc comments.
fn first_lines(text: &str) -> Vec<&str> {
    let mut last = "";
    let mut found = Vec::new();
    for line in text.lines().map(str::trim_start) {
        let mark = ["///", "//!"].into_iter().find(|mark| line.starts_with(mark));
        if let Some(mark) = mark.filter(|mark| *mark != last) {
            found.push(line.trim_start_matches(mark).trim_start());
        }
        last = mark.unwrap_or_default();
    }
    found
}

fn is_wrong(line: &str) -> bool {
    BEGINNINGS
        .iter()
        .filter_map(|word| line.strip_prefix(word))
        .any(|rest| !rest.starts_with(|letter: char| letter.is_alphanumeric() || letter == '_'))
}

#[test]
fn doc_comments_begin_with_a_verb_or_a_noun() {
    for folder in super::crates() {
        let is_listed = FOLDERS.iter().any(|(listed, _)| Path::new(listed) == folder);
        assert!(is_listed, "{} is not in FOLDERS", folder.display());
    }
    let mut faults = Vec::new();
    for (folder, allowed) in FOLDERS {
        let files = files(folder, "rs");
        let found: Vec<_> = files
            .iter()
            .flat_map(|(path, text)| first_lines(text).into_iter().map(move |line| (path, line)))
            .filter(|(_, line)| is_wrong(line))
            .collect();
        if found.len() > allowed {
            faults.push(format!("{folder}: {} of {allowed}: {found:#?}", found.len()));
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn doc_comments_are_read_block_by_block() {
    let text =
        "//! Whether.\n//! What\n\n/// Offers\nfn a() {}\n    /// So many\n    /// of them\n";
    assert_eq!(first_lines(text), ["Whether.", "Offers", "So many"]);
    let wrong: Vec<_> = first_lines(text).into_iter().map(is_wrong).collect();
    assert_eq!(wrong, [true, false, true]);
}
