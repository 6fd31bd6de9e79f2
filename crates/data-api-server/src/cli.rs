//! The command line of `data-api-server`, and of `cargo local data-api`.

use std::io::{self, Write as _};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context;
use ephemeral_postgres::{Postgres, signals};

use crate::control;
use crate::fault::{Rule, parse_duration};
use crate::login::Login;
use crate::server::{Server, Settings};

const FAULTS: &str = "\
Faults: a RULE names calls and what befalls them.
  execute | batch | begin | commit | rollback | any    the calls of an operation, counted from now
  …@3  …@2..4  …@5..  …@1%                             the third, a range, all from the fifth, at random;
                                                       without it, the next
  delay=200ms              the call takes this much longer
  fail-before=EXCEPTION    nothing is done, and the answer is this exception
  fail-after=EXCEPTION     the work is done, and the answer is this exception
  drop-request             nothing is done, and the connection is closed
  drop-answer              the work is done, and the connection is closed
  cut-answer               the work is done, and the connection is closed in the middle of the answer
  timeout                  StatementTimeoutException; the statement is not done, its transaction aborted
  timeout-after            StatementTimeoutException, though the statement is done
  sql=SQLSTATE             PostgreSQL fails with this state, such as 40P01; its transaction is aborted
  lose-transaction         the call's transaction is rolled back and forgotten
  restart                  PostgreSQL ends all sessions
  resume=15s               the database is paused, and takes this long to resume

Control, while it runs:
  GET  DELETE       /_control/counters    calls, parameter sets, rows, bytes, by transaction too
  GET  POST  DELETE /_control/faults      rules, one a line; what was injected, as rules that replay it
  POST              /_control/clock       moves the clock of transactions and of the pause on, by 3m
  POST              /_control/pause       pauses the database; the next call resumes it, which takes 15s";

/// Serve the RDS Data API over a PostgreSQL, as the service does for Aurora PostgreSQL
///
/// Any AWS SDK talks to it (`AWS_ENDPOINT_URL_RDS_DATA=http://…`). Signatures are not checked.
/// Its README lists each behaviour, its source and its test.
#[derive(Debug, clap::Parser)]
#[command(name = "data-api-server", after_long_help = FAULTS)]
pub struct Arguments {
    /// The address to listen on; port 0 takes a free one
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8123")]
    listen: SocketAddr,
    /// The PostgreSQL, 13 or newer, and the database of requests that name none. Without it, an
    /// empty PostgreSQL is started and ends with the server
    #[arg(long, value_name = "URL")]
    database_url: Option<String>,
    /// Accept this cluster only; without it, any
    #[arg(long, value_name = "ARN")]
    cluster_arn: Option<String>,
    /// Accept this secret, with the user of the database's URL; can be given several times. Without
    /// any secret and any Secrets Manager, every secret is accepted
    #[arg(long = "secret-arn", value_name = "ARN")]
    secret_arns: Vec<String>,
    /// Accept this secret, and open its sessions as this user; can be given several times
    #[arg(long = "secret", value_name = "ARN=USER[:PASSWORD]", value_parser = parse_secret)]
    secrets: Vec<(String, Login)>,
    /// Look up other secrets in this Secrets Manager, such as an emulator's: http://host:port
    #[arg(long, value_name = "URL")]
    secrets_manager: Option<String>,
    /// The time limit of a statement
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
    /// The seed of random faults: the same seed and the same calls give the same faults
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
    let of_url = |arn| (arn, Login::default());
    let secrets = arguments.secret_arns.into_iter().map(of_url).chain(arguments.secrets).collect();
    let server = Server::start(Settings {
        listen: arguments.listen,
        cluster_arn: arguments.cluster_arn,
        secrets,
        secrets_manager: arguments.secrets_manager,
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
    let (url, database) = (server.url(), server.database());
    // A reader that has gone away, as `head` does, is no reason to stop.
    drop(writeln!(io::stdout().lock(), "Data API ready at {url} over PostgreSQL at {database}"));
    signals::interrupted().await.context("cannot wait for signals")
}

/// Reads a secret as `ARN=USER` or `ARN=USER:PASSWORD`.
fn parse_secret(text: &str) -> Result<(String, Login), &'static str> {
    let (arn, login) = text.split_once('=').unwrap_or_default();
    let (user, password) = match login.split_once(':') {
        Some((user, password)) => (user, Some(password.to_owned())),
        None => (login, None),
    };
    if arn.is_empty() || user.is_empty() {
        return Err("expected ARN=USER or ARN=USER:PASSWORD");
    }
    Ok((arn.to_owned(), Login { user: Some(user.to_owned()), password }))
}
