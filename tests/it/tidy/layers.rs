//! Dependencies: of modules on I/O, of layers on layers, of files on files, of crates on crates.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use super::{code, crates, files, is_test};

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
fn one_module_names_aws_crates() {
    for (path, text) in files("src", "rs").into_iter().chain(files("crates/cli/src", "rs")) {
        let homes = ["src/aws", "crates/cli/src/aws.rs", "crates/cli/src/aws"];
        if homes.iter().any(|home| path.starts_with(home)) {
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
        if is_test(&path) {
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
fn files_do_not_use_each_other_in_a_circle() {
    let roots = crates().into_iter().map(|folder| folder.join("src"));
    let mut arrows = Arrows::new();
    for root in roots.chain([PathBuf::from("src")]).filter(|root| root.exists()) {
        arrows.extend(arrows_of(&root));
    }
    let count: usize = arrows.values().map(BTreeSet::len).sum();
    assert!(count > 500, "{count} arrows");
    let closing: Vec<_> = arrows
        .iter()
        .flat_map(|(from, used)| used.iter().map(move |to| (from, to)))
        .filter(|(from, to)| reaches(&arrows, to, from))
        .collect();
    assert!(closing.is_empty(), "arrows of circles: {closing:#?}");
}

/// The files that each file uses.
type Arrows = BTreeMap<PathBuf, BTreeSet<PathBuf>>;

/// A module by the names on its path, without the crate's.
type Module = Vec<String>;

/// Returns the arrows between the files of one crate. A module may use what is inside of it, so
/// that an arrow from a file to a descendant does not count.
fn arrows_of(root: &Path) -> Arrows {
    let mut modules: BTreeMap<Module, (PathBuf, String)> = BTreeMap::new();
    for (path, text) in files(root, "rs") {
        if !is_test(&path) && !path.starts_with(root.join("bin")) {
            modules.insert(module_of(path.strip_prefix(root).unwrap()), (path, code(&text)));
        }
    }
    let mut arrows = Arrows::new();
    for (module, (path, text)) in &modules {
        for used in paths(text).iter().filter_map(|path| absolute(module, path)) {
            let file =
                (0..=used.len()).rev().find_map(|length| modules.get_key_value(&used[..length]));
            if let Some((used, (used_path, _))) = file.filter(|(used, _)| !used.starts_with(module))
            {
                assert_ne!(used, module);
                arrows.entry(path.clone()).or_default().insert(used_path.clone());
            }
        }
    }
    arrows
}

fn module_of(path: &Path) -> Module {
    let path = path.with_extension("");
    let mut names: Module = path.iter().map(|name| name.to_str().unwrap().to_owned()).collect();
    if names.last().is_some_and(|name| ["mod", "lib", "main"].contains(&name.as_str())) {
        names.pop();
    }
    names
}

/// Returns the paths of a source text that begin with `crate`, `super` or `self`: those of its
/// `use` declarations, with their braces expanded, and those in its code.
fn paths(code: &str) -> Vec<String> {
    let is_name = |letter: char| letter.is_alphanumeric() || letter == '_';
    let mut found = Vec::new();
    for beginning in ["crate::", "super::", "self::"] {
        for (at, _) in code.match_indices(beginning) {
            let (before, rest) = code.split_at(at);
            if before.ends_with(|letter| is_name(letter) || letter == ':') {
                continue;
            }
            let end = rest.find(|letter| !is_name(letter) && letter != ':');
            let (path, rest) = rest.split_at(end.unwrap_or(rest.len()));
            if let Some(group) = rest.strip_prefix('{') {
                expand(path, group, &mut found);
            } else {
                found.push(path.to_owned());
            }
        }
    }
    found
}

/// Adds the paths of a group `a, b::{c, d}}` behind its path. Returns the text behind the group.
fn expand<'a>(path: &str, mut group: &'a str, found: &mut Vec<String>) -> &'a str {
    loop {
        let (name, rest) = group.split_at(group.find(['{', ',', '}']).unwrap());
        let name = name.split(" as ").next().unwrap().trim();
        if let Some(inner) = rest.strip_prefix('{') {
            group = expand(&format!("{path}{name}"), inner, found);
            continue;
        }
        if !name.is_empty() {
            found.push(format!("{path}{name}"));
        }
        if let Some(behind) = rest.strip_prefix('}') {
            return behind;
        }
        group = rest.trim_start_matches(',');
    }
}

/// Returns the names of a path from the crate's root on.
fn absolute(module: &[String], path: &str) -> Option<Module> {
    let mut names = path.split("::").map(str::trim).filter(|name| !name.is_empty()).peekable();
    let mut base = match names.next()? {
        "crate" => Module::new(),
        "self" => module.to_vec(),
        "super" => module.split_last()?.1.to_vec(),
        _ => return None,
    };
    while names.next_if_eq(&"super").is_some() {
        base.pop()?;
    }
    base.extend(names.map(str::to_owned));
    Some(base)
}

/// Tells if the arrows lead from one file to another.
fn reaches(arrows: &Arrows, from: &Path, to: &Path) -> bool {
    let (mut seen, mut open) = (BTreeSet::new(), vec![from]);
    while let Some(file) = open.pop() {
        if file == to {
            return true;
        }
        if seen.insert(file) {
            open.extend(arrows.get(file).into_iter().flatten().map(PathBuf::as_path));
        }
    }
    false
}

#[test]
fn paths_are_read_as_rust_defines() {
    let text = "use crate::a::{self, b::{C, d}, E as F};\nuse super::super::g;\nmycrate::no(self::h::i());";
    let module: Module = ["x", "y", "z"].map(str::to_owned).into();
    let found: Vec<_> =
        paths(text).iter().map(|path| absolute(&module, path).unwrap().join("/")).collect();
    assert_eq!(found, ["a/self", "a/b/C", "a/b/d", "a/E", "x/g", "x/y/z/h/i"]);
    assert_eq!(module_of(Path::new("a/mod.rs")), ["a"]);
    assert_eq!(module_of(Path::new("a/b.rs")), ["a", "b"]);
    assert_eq!(module_of(Path::new("lib.rs")), Module::new());
}

/// Returns the names of all packages that a manifest depends on, in every section of dependencies.
fn dependencies(manifest: &str) -> Vec<&str> {
    let mut is_inside = false;
    let mut found = Vec::new();
    for line in manifest.lines().map(str::trim) {
        if let Some(section) = line.strip_prefix('[') {
            is_inside = section.trim_end_matches(']').ends_with("dependencies");
        } else if is_inside && !line.is_empty() && !line.starts_with('#') {
            found.extend(line.split(['.', '=', ' ']).next());
        }
    }
    found
}

/// Returns the names of the packages in this repository.
fn own_packages() -> BTreeSet<String> {
    let manifests = crates().into_iter().chain([PathBuf::new()]);
    let names = manifests.map(|folder| {
        let manifest = fs::read_to_string(folder.join("Cargo.toml")).unwrap();
        let (_, package) = manifest.split_once("[package]\nname = \"").unwrap();
        package.split('"').next().unwrap().to_owned()
    });
    names.collect()
}

#[test]
fn crates_for_other_projects_do_not_depend_on_the_worker() {
    let own = own_packages();
    assert!(own.contains("aurora-sync"));
    for (folder, allowed) in [
        ("csv-stream", &[][..]),
        ("wording", &[]),
        ("import-options", &["csv-stream", "wording"]),
        (
            "cli",
            &[
                "csv-stream",
                "import-options",
                "wording",
                "data-api-server",
                "ephemeral-postgres",
                "local-stack",
            ],
        ),
        ("ephemeral-postgres", &[]),
        ("data-api-server", &["ephemeral-postgres"]),
    ] {
        let manifest = fs::read_to_string(format!("crates/{folder}/Cargo.toml")).unwrap();
        let found = dependencies(&manifest);
        assert!(!found.is_empty(), "{folder}");
        for name in found.into_iter().filter(|name| own.contains(*name)) {
            assert!(allowed.contains(&name), "{folder} must not depend on {name}");
        }
    }
}

#[test]
fn functions_do_not_depend_on_the_tools() {
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
