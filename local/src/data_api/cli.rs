//! `cargo local data-api`: the server alone.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context;

use super::fault::{Rule, parse_duration};
use super::{DataApi, Settings, control};
use crate::cli::print;
use crate::postgres::Postgres;
use crate::signals;

/// Serves the RDS Data API over a PostgreSQL, as the service does for Aurora PostgreSQL.
///
/// Any AWS SDK talks to it (`AWS_ENDPOINT_URL_RDS_DATA=http://…`). Signatures are not checked.
/// `local/DATA_API_SERVER.md` says what it follows, and explains its faults and its control endpoint.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Where to listen; port 0 takes a free one
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8123")]
    listen: SocketAddr,
    /// The PostgreSQL, 13 or newer, and the database of requests that name none. Without it, an
    /// empty PostgreSQL is started and ends with the server
    #[arg(long, value_name = "URL")]
    database_url: Option<String>,
    /// Accept this cluster only; without it, any
    #[arg(long, value_name = "ARN")]
    cluster_arn: Option<String>,
    /// Accept this secret only; without it, any
    #[arg(long, value_name = "ARN")]
    secret_arn: Option<String>,
    /// How long a statement may run
    #[arg(long, value_name = "DURATION", default_value = "45s", value_parser = parse_duration)]
    statement_timeout: Duration,
    /// Start paused; the first call resumes the database, which takes this long
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    paused: Option<Duration>,
    /// Go wrong, as in "commit@2 drop-answer" or "any@1% fail-before=ThrottlingException"; can be
    /// given several times
    #[arg(long = "fault", value_name = "RULE")]
    faults: Vec<Rule>,
    /// Go wrong by the rules of this file, one a line
    #[arg(long, value_name = "FILE")]
    faults_file: Option<PathBuf>,
    /// What random faults follow from: the same seed and the same calls give the same faults
    #[arg(long, value_name = "NUMBER", default_value_t = 0)]
    seed: u64,
}

/// Serves until it is interrupted.
pub async fn run(arguments: Arguments) -> anyhow::Result<()> {
    let mut rules = arguments.faults;
    if let Some(path) = &arguments.faults_file {
        let text = tokio::fs::read_to_string(path).await;
        let text = text.with_context(|| format!("cannot read {}", path.display()))?;
        rules.extend(control::rules(&text).with_context(|| path.display().to_string())?);
    }
    let mut own = None;
    let database_url = match arguments.database_url {
        Some(url) => url,
        None => own.insert(Postgres::start().await?).database_url("postgres"),
    };
    let server = DataApi::start(Settings {
        listen: arguments.listen,
        cluster_arn: arguments.cluster_arn,
        secret_arn: arguments.secret_arn,
        statement_timeout: arguments.statement_timeout,
        seed: arguments.seed,
        ..Settings::new(&database_url)
    })
    .await?;
    for rule in rules {
        server.faults().add(rule);
    }
    if let Some(takes) = arguments.paused {
        server.pause(takes);
    }
    print(&format!("Data API ready at {} over {}", server.url(), without_password(&database_url)));
    signals::interrupted().await.context("cannot wait for signals")
}

fn without_password(url: &str) -> String {
    match (url.split_once("://"), url.rsplit_once('@')) {
        (Some((scheme, _)), Some((_, host))) => format!("{scheme}://{host}"),
        _ => url.to_owned(),
    }
}
