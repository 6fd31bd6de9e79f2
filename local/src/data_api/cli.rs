//! `cargo local data-api`: the server alone.

use std::net::SocketAddr;

use anyhow::Context;
use clap::Args;

use super::{DataApi, Settings};
use crate::postgres::Postgres;

/// Serves the RDS Data API over a PostgreSQL.
#[derive(Debug, Args)]
pub struct DataApiArgs {
    /// Where to listen; port 0 takes a free one.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8123")]
    listen: SocketAddr,
    /// The PostgreSQL and the database of requests that name none; without it, an empty PostgreSQL
    /// is started and ends with the server.
    #[arg(long, value_name = "URL")]
    database_url: Option<String>,
    /// Accept this cluster only; without it, any.
    #[arg(long, value_name = "ARN")]
    cluster_arn: Option<String>,
    /// Accept this secret only; without it, any.
    #[arg(long, value_name = "ARN")]
    secret_arn: Option<String>,
}

/// Serves until it is interrupted.
pub async fn run(args: DataApiArgs) -> anyhow::Result<()> {
    let mut own = None;
    let database_url = match args.database_url {
        Some(url) => url,
        None => own.insert(Postgres::start().await?).database_url("postgres"),
    };
    let settings = Settings {
        listen: args.listen,
        database_url: database_url.clone(),
        cluster_arn: args.cluster_arn,
        secret_arn: args.secret_arn,
    };
    let server = DataApi::start(settings).await?;
    tracing::info!("Data API ready at {} over {}", server.url(), without_password(&database_url));
    crate::signals::interrupted().await.context("cannot wait for signals")
}

fn without_password(url: &str) -> String {
    match (url.split_once("://"), url.rsplit_once('@')) {
        (Some((scheme, _)), Some((_, host))) => format!("{scheme}://{host}"),
        _ => url.to_owned(),
    }
}
