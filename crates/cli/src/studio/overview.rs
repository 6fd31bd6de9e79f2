//! The first page: what waits and what went wrong, without waking up a paused database; the rest on
//! demand.

use axum::extract::State;
use bytes::Bytes;
use hyper::Method;
use jiff::Timestamp;
use maud::{Markup, html};

use super::page::{Area, badge, page};
use super::site::{Failure, Shared, Site};
use crate::api::{ApiError, encoded};
use crate::doctor::{self, Finding, Severity};
use crate::progress::{grouped, rounded};

/// The minutes over which the rate is counted.
const RATE_MINUTES: i64 = 10;

/// A figure of the page.
struct Figure {
    name: &'static str,
    value: String,
    /// The page that has more.
    link: Option<&'static str>,
    is_bad: bool,
}

impl Figure {
    fn of(name: &'static str, value: impl Into<String>) -> Self {
        Self { name, value: value.into(), link: None, is_bad: false }
    }

    fn count(name: &'static str, count: u64, link: &'static str, is_bad: bool) -> Self {
        Self { name, value: grouped(count), link: Some(link), is_bad: is_bad && count > 0 }
    }
}

pub(super) async fn show(State(site): Shared) -> Markup {
    shown(&site, None, None).await
}

/// Reads the figures that only the database has.
pub(super) async fn figures(State(site): Shared) -> Result<Markup, Failure> {
    let found = of_ledger(&site).await?;
    Ok(shown(&site, Some(found), None).await)
}

/// Checks the deployment as `aurora-sync doctor` does.
pub(super) async fn health(State(site): Shared) -> Result<Markup, Failure> {
    let deployed = &site.deployed;
    let function = deployed.name("RefreshFunction", "REFRESH_FUNCTION")?;
    let stack = deployed.stack.as_deref();
    let outputs = Box::pin(deployed.aws.outputs_of(stack)).await?;
    let api_url = deployed.api.url().to_owned();
    let findings =
        Box::pin(doctor::check(&deployed.aws, &function, api_url, stack, &outputs)).await;
    Ok(shown(&site, None, Some(findings)).await)
}

async fn shown(site: &Site, ledger: Option<Vec<Figure>>, findings: Option<Vec<Finding>>) -> Markup {
    let queues = of_queues(site).await;
    let body = html! {
        section aria-labelledby="now" {
            h2 #now { "Waiting now" }
            @match queues {
                Ok(found) => {
                    (figures_of(&found))
                    @if site.deployed.stack.is_some() {
                        p.note {
                            "Accepted a minute is the mean of the last ten minutes. CloudWatch counts a write at its first "
                            "delivery."
                        }
                    }
                },
                Err(error) => div.notice.is-bad role="alert" { p { (format!("{error:#}")) } },
            }
        }
        section aria-labelledby="ledger" {
            h2 #ledger { "Writes and imports" }
            @if let Some(found) = &ledger {
                (figures_of(found))
                p.note {
                    "Settled a minute is the mean of the last " (RATE_MINUTES) " minutes."
                }
            } @else { p.note { "The database has these. To read them wakes it up if it is paused." } }
            form.inline method="post" action="/overview/figures" {
                button type="submit" { (if ledger.is_some() { "Read again" } else { "Read the figures" }) }
            }
        }
        section aria-labelledby="health" {
            h2 #health { "Health" }
            @if let Some(found) = &findings { (health_of(found)) }
            @else { p.note { "Checks the deployment as " code { "aurora-sync doctor" } " does. It wakes up a paused database." } }
            form.inline method="post" action="/overview/health" {
                button type="submit" { (if findings.is_some() { "Check again" } else { "Check the deployment" }) }
            }
        }
        p.note { "API " code { (site.deployed.api.url()) } }
    };
    page(Area::Overview, "Overview", &body)
}

fn figures_of(figures: &[Figure]) -> Markup {
    html! {
        dl.figures {
            @for Figure { name, value, link, is_bad } in figures {
                div class=[is_bad.then_some("is-bad")] {
                    dt { (name) }
                    dd { @match link { Some(link) => a href=(link) { (value) }, None => (value) } }
                }
            }
        }
    }
}

fn health_of(findings: &[Finding]) -> Markup {
    let word = |severity: Severity| match severity {
        Severity::Ok => "ok",
        Severity::Skipped => "skipped",
        Severity::Warning => "warning",
        Severity::Error => "error",
    };
    html! {
        ul.plain.findings {
            @for finding in findings {
                li {
                    p { (badge(word(finding.severity))) " " strong { (finding.check) } " " (finding.what) }
                    @if let Some(why) = &finding.why { p.note { (why) } }
                    @if let Some(help) = &finding.help { p { code { (help) } } }
                }
            }
        }
    }
}

/// Reads what SQS and CloudWatch say. None of it reaches the database.
async fn of_queues(site: &Site) -> anyhow::Result<Vec<Figure>> {
    let deployed = &site.deployed;
    let queue = async |output: &str, variable: &str| -> anyhow::Result<_> {
        Box::pin(deployed.aws.queue(&deployed.name(output, variable)?)).await
    };
    let writes = queue("WritesQueueUrl", "WRITES_QUEUE_URL").await?;
    let files = queue("ImportsQueueUrl", "IMPORTS_QUEUE_URL").await?;
    let dead_writes = queue("WritesDeadLetterQueueUrl", "WRITES_DEAD_LETTER_QUEUE_URL").await?;
    let dead_files = queue("ImportsDeadLetterQueueUrl", "IMPORTS_DEAD_LETTER_QUEUE_URL").await?;
    let oldest = deployed.aws.oldest_message_s(&writes.arn).await.ok().flatten();
    let oldest = match oldest {
        _ if writes.waiting + writes.hidden == 0 => "none".to_owned(),
        Some(seconds) => format!("{} s", rounded(seconds)),
        None => "not known".to_owned(),
    };
    let mut figures = vec![
        Figure::of("Messages of writes", grouped(writes.waiting + writes.hidden)),
        Figure::of("Oldest of them", oldest),
        Figure::of("Messages of files", grouped(files.waiting + files.hidden)),
        Figure::count("Dead letters of writes", dead_writes.waiting, "/dead-letters", true),
        Figure::count("Dead letters of files", dead_files.waiting, "/dead-letters", true),
        Figure::of("Database", database(site).await),
    ];
    if let Some(stack) = &deployed.stack {
        figures.insert(0, Figure::of("Accepted a minute", accepted(site, stack).await));
    }
    Ok(figures)
}

/// Returns the writes that were delivered for the first time, as CloudWatch counts them.
async fn accepted(site: &Site, stack: &str) -> String {
    match site.deployed.aws.rate_of(stack, "accepted_writes").await {
        Ok(Some(rate)) => rounded(rate),
        Ok(None) => "none".to_owned(),
        Err(_) => "not known".to_owned(),
    }
}

/// Says whether the database is awake, as CloudWatch knows it.
async fn database(site: &Site) -> String {
    let Ok(cluster) = site.deployed.name("ClusterArn", "CLUSTER_ARN") else {
        return "not known".to_owned();
    };
    match site.deployed.aws.capacity_of(&cluster).await {
        Ok(Some(capacity)) if capacity > 0.0 => format!("awake, {capacity} ACU"),
        Ok(Some(_)) => "paused".to_owned(),
        Ok(None) | Err(_) => "not known".to_owned(),
    }
}

/// Counts what the ledger and the imports hold.
async fn of_ledger(site: &Site) -> anyhow::Result<Vec<Figure>> {
    // The API takes no more than six digits after a second.
    let since = |minutes: i64| -> anyhow::Result<String> {
        let time = Timestamp::from_second(Timestamp::now().as_second() - minutes * 60)?;
        Ok(encoded(&format!("gte.{time}")))
    };
    let minutes = since(RATE_MINUTES)?;
    let day = since(24 * 60)?;
    let settled = count(site, &format!("/_sync/writes?settled_at={minutes}")).await?;
    let rejected =
        count(site, &format!("/_sync/writes?outcome=eq.rejected&settled_at={day}")).await?;
    let running = count(site, "/_sync/imports?state=eq.running").await?;
    #[expect(clippy::cast_precision_loss, reason = "a rate")]
    let rate = settled as f64 / RATE_MINUTES as f64;
    Ok(vec![
        Figure::of("Settled a minute", rounded(rate)),
        Figure::count("Rejected in a day", rejected, "/writes?outcome=rejected&since=1d", true),
        Figure::count("Running imports", running, "/imports", false),
    ])
}

/// Returns the number of rows of a list.
async fn count(site: &Site, path: &str) -> anyhow::Result<u64> {
    let headers = [("prefer", "count=exact")];
    let path = format!("{path}&limit=1&select=id");
    let response = site.deployed.api.request(Method::GET, &path, &headers, Bytes::new()).await;
    let response = response.map_err(ApiError::into_error)?;
    let range = response.header("content-range");
    let total = range.rsplit('/').next().and_then(|total| total.parse().ok());
    total.ok_or_else(|| {
        anyhow::anyhow!(
            "GET {path} responds {}: {}",
            response.status,
            crate::api::refusal(&response)
        )
    })
}
