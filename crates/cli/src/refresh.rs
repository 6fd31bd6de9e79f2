//! `aurora-sync refresh`: has the tables read again, and prints the API's offer.

use anyhow::{Context, bail};
use serde::{Deserialize, Serialize};

use crate::arguments;
use crate::aws::Aws;
use crate::import::Outcome;
use crate::progress::{error_line, line};

/// The response of the function `refresh`.
#[derive(Debug, Serialize, Deserialize)]
struct Refreshed {
    version: String,
    tables: Vec<String>,
    changes: Vec<String>,
    remarks: Vec<String>,
}

pub(crate) async fn run(arguments: &arguments::Refresh) -> Outcome {
    match refresh(arguments).await {
        Ok(Some(refreshed)) => {
            line(&if arguments.json { json(&refreshed) } else { summary(&refreshed) });
            Outcome::Good
        }
        Ok(None) => {
            error_line(
                "error: where aurora-sync is deployed is not known: give --stack NAME, or --function \
                 NAME (or REFRESH_FUNCTION in the environment)",
            );
            Outcome::Usage
        }
        Err(error) => {
            error_line(&format!("error: {error:#}"));
            Outcome::Failed
        }
    }
}

/// Invokes the function. Returns `None` if its name is not known.
async fn refresh(arguments: &arguments::Refresh) -> anyhow::Result<Option<Refreshed>> {
    let account = &arguments.account;
    let aws = Aws::load(account.profile.as_deref(), account.region.as_deref()).await;
    let function = match (&arguments.function, &account.stack) {
        (Some(function), _) => Some(function.clone()),
        (None, Some(stack)) => {
            let name = aws.stack_outputs(stack).await?.remove("RefreshFunction");
            Some(name.with_context(|| {
                format!("the stack {stack} has no output RefreshFunction; is it aurora-sync's?")
            })?)
        }
        (None, None) => std::env::var("REFRESH_FUNCTION").ok().filter(|name| !name.is_empty()),
    };
    let Some(function) = function else { return Ok(None) };
    let response = aws.invoke(&function).await?;
    if let Some(error) = response.error {
        bail!("the function {function} failed: {error}");
    }
    let refreshed = serde_json::from_slice(&response.payload)
        .with_context(|| format!("the response of {function} cannot be read"))?;
    Ok(Some(refreshed))
}

fn json(refreshed: &Refreshed) -> String {
    serde_json::to_string(refreshed).unwrap_or_default()
}

fn summary(refreshed: &Refreshed) -> String {
    let Refreshed { version, tables, changes, remarks } = refreshed;
    let mut lines = match tables.as_slice() {
        [] => vec![
            "the API offers no table; grant the roles their rights:".to_owned(),
            "  GRANT SELECT ON my_table TO sync_reader;".to_owned(),
            "  GRANT SELECT, INSERT, UPDATE, DELETE ON my_table TO sync_writer;".to_owned(),
        ],
        [table] => vec![format!("the API offers one table (version {version}): {table}")],
        tables => {
            let names = tables.join(", ");
            vec![format!("the API offers {} tables (version {version}): {names}", tables.len())]
        }
    };
    let mut section = |title: &str, texts: &[String]| {
        if !texts.is_empty() {
            lines.push(title.to_owned());
            lines.extend(texts.iter().map(|text| format!("  {text}")));
        }
    };
    section("changed since the last time", changes);
    section("remarks", remarks);
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(texts: &[&str]) -> Vec<String> {
        texts.iter().map(|text| (*text).to_owned()).collect()
    }

    #[test]
    fn the_summary_has_the_tables_the_changes_and_the_remarks() {
        let refreshed = Refreshed {
            version: "ab".into(),
            tables: texts(&["a", "b"]),
            changes: texts(&["a.x: added"]),
            remarks: texts(&["b: not offered"]),
        };
        assert_eq!(
            summary(&refreshed),
            "the API offers 2 tables (version ab): a, b\nchanged since the last time\n  a.x: added\n\
             remarks\n  b: not offered"
        );
    }

    #[test]
    fn a_summary_without_tables_shows_the_grants() {
        let none = Refreshed {
            version: "ab".into(),
            tables: Vec::new(),
            changes: Vec::new(),
            remarks: Vec::new(),
        };
        assert!(summary(&none).contains("GRANT SELECT ON my_table TO sync_reader;"));
    }
}
