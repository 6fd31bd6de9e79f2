//! Links of the documents: each relative link names a file that exists, and its anchor a heading of
//! that file. A link that names a function, `` [`name`](tests/it/file.rs) ``, names one of that
//! file.

use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Every Markdown file of the repository.
fn documents() -> Vec<PathBuf> {
    let (mut found, mut folders) = (Vec::new(), vec![PathBuf::from(".")]);
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let entry = entry.unwrap();
            let (path, name) = (entry.path(), entry.file_name().into_string().unwrap());
            let is_hidden = name.starts_with('.') && name != ".github";
            if entry.file_type().unwrap().is_dir() {
                if !is_hidden && name != "target" && name != "node_modules" {
                    folders.push(path);
                }
            } else if path.extension().is_some_and(|ending| ending == "md") {
                found.push(path);
            }
        }
    }
    found
}

/// The lines that are not in a fenced code block.
fn prose(text: &str) -> impl Iterator<Item = &str> {
    let mut fence = None;
    text.lines().filter(move |line| {
        let line = line.trim_start();
        let mark = ["```", "~~~"].into_iter().find(|mark| line.starts_with(mark));
        match (fence, mark) {
            (None, Some(_)) => fence = mark,
            (Some(open), Some(mark)) if open == mark => fence = None,
            (open, _) => return open.is_none(),
        }
        false
    })
}

/// The text and the target of each inline link or image. Code in backquotes holds no links, but the
/// text of a link may be code.
fn links(line: &str) -> Vec<(&str, &str)> {
    let (mut found, mut code, mut open) = (Vec::new(), false, Vec::new());
    let bytes = line.as_bytes();
    for (at, byte) in bytes.iter().enumerate() {
        match byte {
            b'`' => code = !code,
            b'[' if !code => open.push(at + 1),
            b']' if !code => {
                let Some(text) = open.pop().and_then(|begin| line.get(begin..at)) else { continue };
                let Some(rest) = line.get(at + 1..).and_then(|rest| rest.strip_prefix('(')) else {
                    continue;
                };
                let target = rest.split([')', ' ']).next().unwrap_or_default();
                found.push((text, target.trim_matches(['<', '>'])));
            }
            _ => {}
        }
    }
    found
}

/// The anchors of a document, made of its headings as GitHub and mdBook make them.
fn anchors(text: &str) -> HashSet<String> {
    let mut found = HashSet::new();
    for line in prose(text) {
        let Some((_, heading)) = line.split_once(' ').filter(|(marks, _)| is_heading(marks)) else {
            continue;
        };
        let kept = |letter: &char| letter.is_alphanumeric() || " -_".contains(*letter);
        let anchor: String = heading.trim().to_lowercase().chars().filter(kept).collect();
        let anchor = anchor.replace(' ', "-");
        let mut number = 0;
        let mut unique = anchor.clone();
        while !found.insert(unique) {
            number += 1;
            unique = format!("{anchor}-{number}");
        }
    }
    found
}

fn is_heading(marks: &str) -> bool {
    (1..=6).contains(&marks.len()) && marks.bytes().all(|mark| mark == b'#')
}

/// Says why a link of a document leads nowhere.
fn fault(document: &Path, text: &str, target: &str) -> Option<String> {
    if target.contains("://") || target.starts_with("mailto:") {
        return None;
    }
    let (path, anchor) = target.split_once('#').unwrap_or((target, ""));
    let file =
        if path.is_empty() { document.to_owned() } else { document.parent().unwrap().join(path) };
    if !file.exists() {
        return Some("no such file".into());
    }
    let ending = file.extension().unwrap_or_default();
    if ending == "md" && !anchor.is_empty() {
        let there = anchors(&fs::read_to_string(&file).unwrap());
        return (!there.contains(anchor)).then(|| format!("no such heading; there are {there:?}"));
    }
    let function = text.strip_prefix('`').and_then(|text| text.strip_suffix('`'))?;
    let is_name = function.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    if ending == "rs" && is_name {
        let source = fs::read_to_string(&file).unwrap();
        return (!source.contains(&format!("fn {function}("))).then(|| "no such function".into());
    }
    None
}

#[test]
fn every_relative_link_leads_somewhere() {
    let (mut links_found, mut faults) = (0, Vec::new());
    for document in documents() {
        let markdown = fs::read_to_string(&document).unwrap();
        for (text, target) in prose(&markdown).flat_map(links) {
            links_found += 1;
            if let Some(fault) = fault(&document, text, target) {
                faults.push(format!("{}: {target}: {fault}", document.display()));
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    assert!(links_found > 50, "{links_found} links");
}

#[test]
fn links_and_anchors_are_read_as_markdown_defines() {
    let line = "see [a](b.md#c), [`f`](x.rs \"title\"), `[no](code)`, ![p](p.svg) and [not a link]";
    assert_eq!(links(line), [("a", "b.md#c"), ("`f`", "x.rs"), ("p", "p.svg")]);
    let text = "# One `two`: three\n```\n# code\n```\n## Same\n## Same\n## 使い方\n";
    let mut found: Vec<_> = anchors(text).into_iter().collect();
    found.sort();
    assert_eq!(found, ["one-two-three", "same", "same-1", "使い方"]);
    let readme = Path::new("README.md");
    assert!(fault(readme, "a", "nowhere.md").is_some());
    assert!(fault(readme, "a", "#no-such-heading").is_some());
    assert!(fault(readme, "`no_such_function`", "tests/it/links.rs").is_some());
    assert_eq!(fault(readme, "`fault`", "tests/it/links.rs"), None);
}
