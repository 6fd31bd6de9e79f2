//! `aurora-sync doctor --probe`: tries the assumptions that only a real AWS account can settle.
//!
//! [`assumptions`] lists them. Each has a small experiment, in a schema that is dropped afterwards.

mod assumptions;
mod experiments;
mod lab;
mod report;
mod seen;

use std::collections::HashMap;
use std::io::{IsTerminal as _, Write as _};
use std::sync::Arc;

use anyhow::{Context, bail};
use tokio::task::JoinSet;

use self::assumptions::{ASSUMPTIONS, Assumption};
use self::lab::{Lab, Places};
use self::report::Line;
use self::seen::Seen;
use crate::arguments;
use crate::aws::Aws;
use crate::outcome::{Outcome, failed, wrong_usage};
use crate::progress::{error_line, line};

/// Costs and traces of a run, which the user agrees to.
const COSTS: &str = "\
The probe makes some 300 calls of the Data API as the owner of the database, three of them of 4 MiB, and
sends 18 MB to the API and a few requests to SQS and S3: less than one US cent in all. It wakes up a
paused database, which then runs for some minutes. It takes about two minutes.
It makes a schema aurora_sync_probe_…, three queues of this name and one object under _probe/ of the results
bucket, and removes them at its end. It reads and changes none of your tables.";

pub(crate) async fn run(arguments: &arguments::Doctor) -> Outcome {
    let chosen = match chosen(&arguments.probing) {
        Ok(chosen) => chosen,
        Err(error) => return wrong_usage(&error),
    };
    let account = &arguments.account;
    let aws = match Aws::load(account.profile.as_deref(), account.region.as_deref()).await {
        Ok(aws) => aws,
        Err(error) => return failed(&error),
    };
    let deployed = match deployed(&aws, account.stack.as_deref()).await {
        Ok(deployed) => deployed,
        Err(error) => return failed(&error),
    };
    let places = match places(arguments, &deployed) {
        Ok(places) => places,
        Err(error) => return wrong_usage(&error),
    };
    if let Err(error) = confirmed(arguments.probing.yes) {
        return wrong_usage(&error);
    }
    match probe(aws, places, chosen, arguments.probing.quick).await {
        Ok(lines) => {
            line(&if arguments.json { report::json(&lines) } else { report::text(&lines) });
            report::outcome(&lines)
        }
        Err(error) => failed(&error),
    }
}

/// Returns the assumptions to try.
fn chosen(probing: &arguments::Probing) -> anyhow::Result<Vec<&'static Assumption>> {
    let Some(only) = &probing.only else { return Ok(ASSUMPTIONS.iter().collect()) };
    let find = |id: &String| {
        let found = ASSUMPTIONS.iter().find(|assumption| assumption.id == id);
        found.with_context(|| {
            let ids: Vec<_> = ASSUMPTIONS.iter().map(|assumption| assumption.id).collect();
            format!("there is no assumption {id}; there are {}", ids.join(", "))
        })
    };
    only.iter().map(find).collect()
}

/// The outputs and the resources of a stack, by name.
type Deployed = (HashMap<String, String>, HashMap<String, String>);

/// Reads the stack; without one, there is nothing.
async fn deployed(aws: &Aws, stack: Option<&str>) -> anyhow::Result<Deployed> {
    let Some(name) = stack else { return Ok(Deployed::default()) };
    let resources = aws.resources_of(name).await?.into_iter();
    let resources = resources.map(|resource| (resource.logical_id, resource.physical_id)).collect();
    Ok((aws.outputs_of(stack).await?, resources))
}

/// Finds the places: the flags, else the outputs of the stack, else the environment.
fn places(
    arguments: &arguments::Doctor,
    (outputs, resources): &Deployed,
) -> anyhow::Result<Places> {
    let found = |flag: Option<&String>, output: &str, variable: &str| {
        let found = flag.or_else(|| outputs.get(output)).cloned();
        found.or_else(|| std::env::var(variable).ok()).filter(|found| !found.is_empty())
    };
    let needed = |flag: Option<&String>, name: &str, output: &str, variable: &str| {
        found(flag, output, variable).with_context(|| {
            format!(
                "the database is not known: give --stack NAME, or {name} (or {variable} in the \
                 environment)"
            )
        })
    };
    let probing = &arguments.probing;
    let api_url = found(arguments.api.as_ref(), "ApiUrl", "API_URL");
    Ok(Places {
        cluster_arn: needed(
            probing.cluster_arn.as_ref(),
            "--cluster-arn",
            "ClusterArn",
            "CLUSTER_ARN",
        )?,
        secret_arn: needed(probing.secret_arn.as_ref(), "--secret-arn", "SecretArn", "SECRET_ARN")?,
        database: needed(probing.database.as_ref(), "--database", "Database", "DATABASE")?,
        other_secret_arn: resources.get("ReaderSecret").cloned(),
        api_url: api_url.map(|url| url.trim_end_matches('/').to_owned()),
        results_bucket: found(None, "ResultsBucket", "RESULTS_BUCKET"),
        has_stack: arguments.account.stack.is_some(),
        has_preflight: resources.contains_key("PreflightRoute"),
    })
}

/// States the costs, and asks unless the answer was given before.
fn confirmed(is_given: bool) -> anyhow::Result<()> {
    error_line(COSTS);
    if is_given {
        return Ok(());
    }
    if !std::io::stdin().is_terminal() {
        bail!("nothing was done: give --yes to begin");
    }
    let mut answer = String::new();
    let mut stderr = std::io::stderr();
    write!(stderr, "Begin? [y/N] ").and_then(|()| stderr.flush())?;
    std::io::stdin().read_line(&mut answer).context("cannot read the answer")?;
    if !matches!(answer.trim(), "y" | "Y" | "yes") {
        bail!("nothing was done");
    }
    Ok(())
}

/// Tries the assumptions: the slow ones at once, the others one after the other.
async fn probe(
    aws: Aws,
    places: Places,
    chosen: Vec<&'static Assumption>,
    is_quick: bool,
) -> anyhow::Result<Vec<Line>> {
    let lab = Arc::new(Lab::open(aws, places).await?);
    error_line(&format!("If you interrupt it: DROP SCHEMA {} CASCADE;", lab.schema));
    let mut slow = JoinSet::new();
    let mut seen = HashMap::new();
    for assumption in chosen.iter().filter(|assumption| assumption.is_slow) {
        if is_quick {
            let reason = "it takes a minute; leave --quick out".to_owned();
            seen.insert(assumption.id, Seen::NotTried(reason));
        } else {
            let trial = (assumption.experiment)(Arc::clone(&lab));
            let id = assumption.id;
            slow.spawn(async move { (id, trial.await) });
        }
    }
    for assumption in chosen.iter().filter(|assumption| !assumption.is_slow) {
        let found = (assumption.experiment)(Arc::clone(&lab)).await;
        seen.insert(assumption.id, found.unwrap_or_else(|error| unsettled(&error)));
    }
    while let Some(joined) = slow.join_next().await {
        let (id, found) = joined.context("an experiment ended by itself")?;
        seen.insert(id, found.unwrap_or_else(|error| unsettled(&error)));
    }
    if let Err(error) = lab.close().await {
        error_line(&format!("warning: {error:#}"));
    }
    let line = |assumption| Some(Line { assumption, seen: seen.remove(assumption.id)? });
    let mut lines: Vec<_> = chosen.into_iter().filter_map(line).collect();
    // Those that need a look come last, where a reader is.
    lines.sort_by_key(|line| line.seen.rank());
    Ok(lines)
}

fn unsettled(error: &anyhow::Error) -> Seen {
    Seen::Unsettled(format!("{error:#}"))
}
