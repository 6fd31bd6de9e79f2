//! `aurora-sync doctor`: checks whether a deployment is well, and prints what to do if it is not.

mod finding;
mod tables;

use std::collections::HashMap;

use self::finding::{Finding, outcome, text};
use crate::api::{Api, ApiError};
use crate::arguments;
use crate::aws::Aws;
use crate::deployment;
use crate::outcome::{Outcome, failed, wrong_usage};
use crate::progress::line;
use crate::refresh::{self, Task};

pub(crate) async fn run(arguments: &arguments::Doctor) -> Outcome {
    let account = &arguments.account;
    let aws = Aws::load(account.profile.as_deref(), account.region.as_deref()).await;
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
    // First, because `GET /` has the tables read again.
    let compared = refresh::invoke(&aws, &function, Task::Check).await;
    let mut findings = tables::findings(&compared);
    findings.push(check_api(&aws, api_url).await);
    line(&if arguments.json {
        serde_json::to_string(&findings).unwrap_or_default()
    } else {
        text(&findings).trim_end().to_owned()
    });
    outcome(&findings)
}

fn api_url(
    arguments: &arguments::Doctor,
    outputs: &HashMap<String, String>,
) -> anyhow::Result<String> {
    deployment::api_url(arguments.api.as_ref(), outputs, |name| std::env::var(name).ok())
}

async fn check_api(aws: &Aws, url: String) -> Finding {
    const CHECK: &str = "api";
    let described = match aws.signer(&url).and_then(|signer| Api::new(url.clone(), signer)) {
        Ok(api) => api.description().await,
        Err(error) => Err(ApiError::Never(error)),
    };
    match described {
        Ok(description) => {
            let version = description.info.version;
            Finding::ok(CHECK, format!("{url}/ responds (aurora-sync {version})"))
        }
        Err(ApiError::Later(error)) => Finding::error(
            CHECK,
            format!("{error:#}"),
            "Nothing can be written or read over HTTP, unless it passes by itself.",
            "try again in a minute, then read the log of the function lookup",
        ),
        Err(ApiError::Never(error)) => Finding::error(
            CHECK,
            format!("{error:#}"),
            "These credentials cannot write or read over HTTP.",
            "check the address and the permission execute-api:Invoke",
        ),
    }
}
