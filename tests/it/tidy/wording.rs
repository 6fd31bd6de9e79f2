//! Doc comments begin with a verb or a noun, as those of rustdoc do; comments are as wide as code.

use std::fs;

use super::files;

/// Words that begin no doc comment.
const BEGINNINGS: [&str; 4] = ["What", "Whether", "So many", "Of"];

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
    for folder in ["src", "crates", "tests", "benches"] {
        for (path, text) in files(folder, "rs") {
            let wrong: Vec<_> =
                first_lines(&text).into_iter().filter(|line| is_wrong(line)).collect();
            assert!(wrong.is_empty(), "{}: {wrong:?}", path.display());
        }
    }
}

/// Fails where a comment is wider than rustfmt lets code be, since rustfmt leaves comments alone.
#[test]
fn comments_are_as_wide_as_code() {
    let settings = fs::read_to_string("rustfmt.toml").unwrap();
    let width = settings.split_once("max_width = ").unwrap().1.lines().next().unwrap();
    let width: usize = width.parse().unwrap();
    let folders = ["src", "crates", "tests", "benches"];
    for (path, text) in folders.iter().flat_map(|folder| files(folder, "rs")) {
        for (number, line) in (1..).zip(text.lines()) {
            let is_comment = line.trim_start().starts_with("//");
            let is_wide = is_comment && line.chars().count() > width;
            assert!(!is_wide, "{}:{number} is wider than {width}", path.display());
        }
    }
}

#[test]
fn doc_comments_are_read_block_by_block() {
    let text =
        "//! Whether.\n//! What\n\n/// Offers\nfn a() {}\n    /// So many\n    /// of them\n";
    assert_eq!(first_lines(text), ["Whether.", "Offers", "So many"]);
    let wrong: Vec<_> = first_lines(text).into_iter().map(is_wrong).collect();
    assert_eq!(wrong, [true, false, true]);
}
