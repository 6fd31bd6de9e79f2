//! Opens a text in the user's editor.

use std::env;
use std::io::{Read as _, Seek as _, Write as _};
use std::process::Command;

use anyhow::{Context as _, bail};
use serde_json::value::RawValue;

/// Opens the JSON of a row in `$VISUAL` or `$EDITOR`, and returns the new text. Returns `None` if
/// the file was left empty. The file can be read by its owner only, and is deleted.
pub(super) fn row(row: &RawValue) -> anyhow::Result<Option<String>> {
    let editor = ["VISUAL", "EDITOR"].iter().filter_map(|name| env::var(name).ok());
    let editor = editor.map(|editor| editor.trim().to_owned()).find(|editor| !editor.is_empty());
    let editor = editor.context("no editor is known: set EDITOR in the environment")?;
    let mut file = tempfile::Builder::new().suffix(".json").tempfile()?;
    file.write_all(readable(row).as_bytes())?;
    file.flush()?;
    // An editor may have arguments, such as "code --wait".
    let mut words = editor.split_whitespace();
    let program = words.next().unwrap_or_default();
    let status = Command::new(program).args(words).arg(file.path()).status();
    let status = status.with_context(|| format!("cannot run the editor {editor}"))?;
    if !status.success() {
        bail!("the editor {editor} ended with an error; nothing is sent");
    }
    // Some editors put a new file in the place of the old one.
    let mut text = String::new();
    match std::fs::read_to_string(file.path()) {
        Ok(found) => text = found,
        Err(_) => {
            file.rewind()?;
            file.read_to_string(&mut text)?;
        }
    }
    if text.trim().is_empty() {
        return Ok(None);
    }
    check(&text)?;
    Ok(Some(text))
}

/// Puts each column on a line of its own, and keeps all digits.
fn readable(row: &RawValue) -> String {
    type Members = std::collections::BTreeMap<String, Box<RawValue>>;
    let Ok(members) = serde_json::from_str::<Members>(row.get()) else {
        return row.get().to_owned();
    };
    let member = |name: &str, value: &RawValue| {
        format!("  {}: {}", serde_json::Value::from(name), value.get())
    };
    let members: Vec<_> = members.iter().map(|(name, value)| member(name, value)).collect();
    format!("{{\n{}\n}}\n", members.join(",\n"))
}

fn check(text: &str) -> anyhow::Result<()> {
    let parsed: serde_json::Value =
        serde_json::from_str(text).context("the row is not JSON any more; nothing is sent")?;
    if !parsed.is_object() {
        bail!("the row is not a JSON object any more; nothing is sent");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_has_a_line_for_each_column_and_keeps_all_digits() {
        let row =
            RawValue::from_string(r#"{"id":"1","n":12345678901234567890.10}"#.into()).unwrap();
        assert_eq!(readable(&row), "{\n  \"id\": \"1\",\n  \"n\": 12345678901234567890.10\n}\n");
    }

    #[test]
    fn an_edited_row_must_be_an_object() {
        assert!(check("{}").is_ok());
        assert!(check("[]").is_err() && check("{").is_err());
    }
}
