//! `aurora-sync refresh`: has the tables read again, and prints the API's offer.

use std::collections::HashMap;

use anyhow::{Context, bail};
use serde::{Deserialize, Serialize};

use crate::arguments::{self, Account};
use crate::aws::Aws;
use crate::outcome::{Outcome, failed, wrong_usage};
use crate::progress::line;

/// The response of the function `refresh`.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Refreshed {
    pub(crate) version: String,
    pub(crate) stored_before: Option<String>,
    pub(crate) tables: Vec<String>,
    pub(crate) changes: Vec<String>,
    pub(crate) remarks: Vec<String>,
    /// Only of a check.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) checked: Option<Checked>,
}

/// The rest of what a check has read.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Checked {
    /// The version of aurora-sync.
    pub(crate) worker: String,
    pub(crate) users: Vec<User>,
    /// The rights on the worker's own schema that the two roles lack.
    pub(crate) missing_rights: Vec<String>,
    pub(crate) blocked: Vec<BlockedGroup>,
}

/// A user of the database that is a member of the reader's or the writer's role.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct User {
    pub(crate) name: String,
    pub(crate) roles: Vec<String>,
    pub(crate) is_superuser: bool,
    pub(crate) bypasses_row_security: bool,
    /// The offered tables that the user owns, the first 20.
    pub(crate) owns: Vec<String>,
}

/// A message group that waits for a person.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct BlockedGroup {
    pub(crate) group: String,
    pub(crate) writes: u64,
    /// The rule or, of an error of PostgreSQL, the SQLSTATE.
    pub(crate) cause: String,
    pub(crate) since: String,
    pub(crate) tried_at: String,
}

/// The task of the function `refresh`.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Task {
    /// Read the tables and store them.
    Store,
    /// Read the tables and compare them with those that are stored.
    Check,
}

pub(crate) async fn run(arguments: &arguments::Refresh) -> Outcome {
    let account = &arguments.account;
    let aws = match Aws::load(account.profile.as_deref(), account.region.as_deref()).await {
        Ok(aws) => aws,
        Err(error) => return failed(&error),
    };
    let outputs = match aws.outputs_of(account.stack.as_deref()).await {
        Ok(outputs) => outputs,
        Err(error) => return failed(&error),
    };
    let function = match function(arguments.function.as_ref(), account, &outputs) {
        Ok(function) => function,
        Err(error) => return wrong_usage(&error),
    };
    match invoke(&aws, &function, Task::Store).await {
        Ok(refreshed) => {
            line(&if arguments.json { json(&refreshed) } else { summary(&refreshed) });
            Outcome::Good
        }
        Err(error) => failed(&error),
    }
}

/// Finds the name of the function: the flag, else the output of the stack, else the environment.
pub(crate) fn function(
    flag: Option<&String>,
    account: &Account,
    outputs: &HashMap<String, String>,
) -> anyhow::Result<String> {
    if let Some(name) = flag.or_else(|| outputs.get("RefreshFunction")) {
        return Ok(name.clone());
    }
    if let Some(stack) = &account.stack {
        bail!("the stack {stack} has no output RefreshFunction; is it aurora-sync's?");
    }
    std::env::var("REFRESH_FUNCTION").ok().filter(|name| !name.is_empty()).context(
        "where aurora-sync is deployed is not known: give --stack NAME, or --function NAME (or \
         REFRESH_FUNCTION in the environment)",
    )
}

/// Invokes the function.
pub(crate) async fn invoke(aws: &Aws, function: &str, task: Task) -> anyhow::Result<Refreshed> {
    let event = match task {
        Task::Store => "{}",
        Task::Check => r#"{"check":true}"#,
    };
    let response = aws.invoke(function, event).await?;
    if let Some(error) = response.error {
        bail!("the function {function} failed: {error}");
    }
    serde_json::from_slice(&response.payload)
        .with_context(|| format!("the response of {function} cannot be read"))
}

fn json(refreshed: &Refreshed) -> String {
    serde_json::to_string(refreshed).unwrap_or_default()
}

fn summary(refreshed: &Refreshed) -> String {
    let Refreshed { version, tables, changes, remarks, .. } = refreshed;
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
            stored_before: None,
            tables: texts(&["a", "b"]),
            changes: texts(&["a.x: added"]),
            remarks: texts(&["b: not offered"]),
            checked: None,
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
            stored_before: None,
            tables: Vec::new(),
            changes: Vec::new(),
            remarks: Vec::new(),
            checked: None,
        };
        assert!(summary(&none).contains("GRANT SELECT ON my_table TO sync_reader;"));
    }
}
