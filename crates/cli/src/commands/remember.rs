//! `aurora-sync use`: remembers a stack in a small file.

use std::env;
use std::fs;
use std::io::ErrorKind;
use std::path::PathBuf;

use anyhow::Context as _;
use serde_json::json;

use super::{ended, print_json};
use crate::arguments::Account;
use crate::arguments::general::Use;
use crate::outcome::{Outcome, WrongUsage};
use crate::progress::{error_line, line};

/// The variables that say where aurora-sync is deployed. If one is set, no stack is remembered.
const PLACES: [&str; 5] =
    ["API_URL", "UPLOADS_BUCKET", "RESULTS_BUCKET", "REFRESH_FUNCTION", "IMPORT_FUNCTION"];

pub(crate) fn run(arguments: &Use) -> Outcome {
    ended(remember(arguments))
}

fn remember(arguments: &Use) -> anyhow::Result<Outcome> {
    if let Some(stack) = &arguments.stack
        && (stack.is_empty() || stack.contains(char::is_whitespace))
    {
        return Err(WrongUsage(format!("{stack:?} is not the name of a stack")).into());
    }
    let path = file(|name| env::var(name).ok())
        .context("no place for the file is known: set XDG_CONFIG_HOME or HOME")?;
    let shown = path.display();
    if let Some(stack) = &arguments.stack {
        let cannot = || format!("cannot write {shown}");
        fs::create_dir_all(path.parent().unwrap_or(&path)).with_context(cannot)?;
        fs::write(&path, format!("{stack}\n")).with_context(cannot)?;
    }
    if arguments.forget {
        match fs::remove_file(&path) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                return Err(error).with_context(|| format!("cannot delete {shown}"));
            }
            _ => {}
        }
    }
    let stack = read(&path)?;
    if arguments.json {
        print_json(&json!({ "stack": stack, "file": path }))?;
    } else {
        line(&match stack {
            Some(stack) => format!("{stack} (remembered in {shown})"),
            None => format!("no stack is remembered (in {shown})"),
        });
    }
    Ok(Outcome::Good)
}

/// Returns the path of the file (XDG Base Directory Specification).
fn file(environment: impl Fn(&str) -> Option<String>) -> Option<PathBuf> {
    let folder =
        |name: &str| environment(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let config = folder("XDG_CONFIG_HOME").or_else(|| Some(folder("HOME")?.join(".config")))?;
    Some(config.join("aurora-sync").join("stack"))
}

fn read(path: &PathBuf) -> anyhow::Result<Option<String>> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(Some(text.trim().to_owned()).filter(|stack| !stack.is_empty())),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).with_context(|| format!("cannot read {}", path.display())),
    }
}

/// Fills in the stack that is remembered, if nothing else says where aurora-sync is deployed.
pub(crate) fn fill_in(account: &mut Account) {
    let is_set = |name: &str| env::var_os(name).is_some_and(|value| !value.is_empty());
    if account.stack.is_some() || PLACES.iter().any(|name| is_set(name)) {
        return;
    }
    let Some(path) = file(|name| env::var(name).ok()) else { return };
    match read(&path) {
        Ok(Some(stack)) => {
            error_line(&format!("stack: {stack} (aurora-sync use --forget forgets it)"));
            account.stack = Some(stack);
        }
        Ok(None) => {}
        Err(error) => error_line(&format!("no stack is remembered: {error:#}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_no_stack_can_have_is_wrong_usage() {
        for name in ["", " ", "a b"] {
            let arguments = Use { stack: Some(name.to_owned()), forget: false, json: false };
            assert_eq!(run(&arguments), Outcome::Usage, "{name:?}");
        }
    }

    #[test]
    fn the_file_is_in_the_folder_for_settings() {
        let of = |xdg: Option<&str>, home: Option<&str>| {
            let value = |name: &str| if name == "HOME" { home } else { xdg };
            file(|name| value(name).map(str::to_owned))
        };
        assert_eq!(of(Some("/x"), Some("/h")), Some("/x/aurora-sync/stack".into()));
        // A relative path is to be ignored.
        assert_eq!(of(Some("x"), Some("/h")), Some("/h/.config/aurora-sync/stack".into()));
        assert_eq!(of(None, None), None);
    }
}
