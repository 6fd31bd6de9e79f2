//! `aurora-sync doctor`: checks whether a deployment is well, and prints what to do if it is not.

mod api;
mod finding;
mod functions;
mod queues;
mod roles;
mod stack;
mod tables;

use std::collections::HashMap;

pub(crate) use self::finding::{Finding, Severity};
use self::finding::{outcome, text};
use crate::arguments;
use crate::aws::Aws;
use crate::deployment;
use crate::outcome::{Outcome, failed, wrong_usage};
use crate::progress::line;
use crate::refresh::{self, Task};

pub(crate) async fn run(arguments: &arguments::Doctor) -> Outcome {
    let account = &arguments.account;
    let aws = match Aws::load(account.profile.as_deref(), account.region.as_deref()).await {
        Ok(aws) => aws,
        Err(error) => return failed(&error),
    };
    let outputs = match aws.outputs_of(account.stack.as_deref()).await {
        Ok(outputs) => outputs,
        Err(error) => return failed(&error),
    };
    let places = refresh::function(arguments.function.as_ref(), account, &outputs)
        .and_then(|function| Ok((function, api_url(arguments, &outputs)?)));
    let (function, api_url) = match places {
        Ok(places) => places,
        Err(error) => return wrong_usage(&error),
    };
    let stack = account.stack.as_deref();
    let findings = check(&aws, &function, api_url, stack, &outputs).await;
    line(&if arguments.json {
        serde_json::to_string(&findings).unwrap_or_default()
    } else {
        text(&findings).trim_end().to_owned()
    });
    outcome(&findings)
}

/// Checks a deployment by all that names its parts.
pub(crate) async fn check(
    aws: &Aws,
    function: &str,
    api_url: String,
    stack: Option<&str>,
    outputs: &HashMap<String, String>,
) -> Vec<Finding> {
    // First, because `GET /` has the tables read again.
    let compared = refresh::invoke(aws, function, Task::Check).await;
    let mut findings = tables::findings(&compared);
    let checked = compared.ok().and_then(|compared| compared.checked);
    if let Some(checked) = &checked {
        findings.extend(roles::of_users(checked));
        findings.extend(roles::of_blocked(&checked.blocked));
    }
    let refresh_version = checked.as_ref().map(|checked| checked.worker.as_str());
    findings.extend(api::findings(aws, api_url, refresh_version).await);
    match stack {
        Some(stack) => findings.extend(stack::findings(aws, stack, outputs).await),
        None => {
            let (left, are_checked) = dead_letters(aws).await;
            findings.extend(left);
            findings.push(Finding::skipped(
                "queues",
                if are_checked {
                    "queues, buckets, functions and quotas are not checked, but for dead letters"
                } else {
                    "queues, dead letters, buckets, functions and quotas are not checked"
                },
                "Only the outputs and resources of the stack name them.",
                "aurora-sync doctor --stack NAME",
            ));
        }
    }
    findings
}

/// Finds messages in the dead-letter queues that the environment names. Returns `true` with them if
/// both queues were read.
async fn dead_letters(aws: &Aws) -> (Vec<Finding>, bool) {
    let (mut findings, mut read) = (Vec::new(), 0);
    for (name, variable) in
        [("writes", "WRITES_DEAD_LETTER_QUEUE_URL"), ("imports", "IMPORTS_DEAD_LETTER_QUEUE_URL")]
    {
        let Ok(url) = std::env::var(variable) else { continue };
        if let Ok(queue) = Box::pin(aws.queue(&url)).await {
            findings.extend(queues::left(name, &queue));
            read += 1;
        }
    }
    (findings, read == 2)
}

fn api_url(
    arguments: &arguments::Doctor,
    outputs: &HashMap<String, String>,
) -> anyhow::Result<String> {
    deployment::api_url(arguments.api.as_ref(), outputs, |name| std::env::var(name).ok())
}
