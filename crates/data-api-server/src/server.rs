//! Starts the server and stops it; the handle by which tests change its clock, its faults and its
//! pause.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, anyhow, bail};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_postgres::config::Host;

use crate::counters::Counters;
use crate::http;
use crate::login::Login;
use crate::pg_error::PgError;
use crate::secrets::Secrets;
use crate::service::Service;
use crate::sessions::Sessions;
use crate::switchboard::{Faults, Pause};

/// The time limit of a statement (RDS Data API guide, "Calling the Data API").
pub const STATEMENT_TIMEOUT: Duration = Duration::from_secs(45);

/// The oldest PostgreSQL whose behaviour this is about.
const POSTGRES_MAJOR_MIN: u32 = 13;

/// The time between two searches for expired transactions.
const EXPIRE_EVERY: Duration = Duration::from_secs(1);

/// The settings of a server.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The address to listen on; port 0 takes a free one.
    pub listen: SocketAddr,
    /// The server, and the database of requests that name none.
    pub database_url: String,
    /// The only cluster that is accepted, if it is set.
    pub cluster_arn: Option<String>,
    /// The known secrets by ARN. If there are none and `secrets_manager` is not set, every secret
    /// is accepted, with the user of `database_url`.
    pub secrets: Vec<(String, Login)>,
    /// The URL of a Secrets Manager, such as an emulator's, for ARNs that are not in `secrets`.
    pub secrets_manager: Option<String>,
    pub statement_timeout: Duration,
    /// The seed of random faults.
    pub seed: u64,
}

impl Settings {
    /// Makes settings for this database, a free port, any cluster and any secret.
    pub fn new(database_url: impl Into<String>) -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            database_url: database_url.into(),
            cluster_arn: None,
            secrets: Vec::new(),
            secrets_manager: None,
            statement_timeout: STATEMENT_TIMEOUT,
            seed: 0,
        }
    }
}

/// A running server; stops when it is dropped.
#[derive(Debug)]
pub struct Server {
    address: SocketAddr,
    database: String,
    service: Arc<Service>,
    tasks: [JoinHandle<()>; 2],
}

impl Server {
    /// Listens, and makes sure that PostgreSQL answers.
    pub async fn start(settings: Settings) -> anyhow::Result<Self> {
        let config: tokio_postgres::Config = settings.database_url.parse().context(
            "the database's URL cannot be read; expected postgres://user:password@host:port/database",
        )?;
        let database = address_of(&config);
        let secrets = Secrets::new(settings.secrets, settings.secrets_manager.as_deref(), &config)?;
        let sessions = Arc::new(Sessions::new(config, secrets, settings.statement_timeout));
        let version = sessions.check().await.map_err(|error| match error {
            PgError::Sql(error) => anyhow!("PostgreSQL at {database} refuses: {}", error.message),
            PgError::Unexpected(message) => anyhow!("PostgreSQL at {database} answers {message}"),
            PgError::Connection(error) => {
                anyhow!("PostgreSQL at {database} does not answer: {error}")
            }
        })?;
        check_version(&version)?;
        let listener = TcpListener::bind(settings.listen).await;
        let listener = listener.with_context(|| format!("cannot listen on {}", settings.listen))?;
        let address = listener.local_addr()?;
        let service = Arc::new(Service {
            sessions,
            cluster_arn: settings.cluster_arn,
            statement_timeout: settings.statement_timeout,
            pause: Pause::default(),
            faults: Faults::new(settings.seed),
            counters: Counters::default(),
        });
        let tasks = [
            tokio::spawn(http::accept(listener, Arc::clone(&service))),
            tokio::spawn(expire(Arc::clone(&service.sessions))),
        ];
        Ok(Self { address, database, service, tasks })
    }

    /// Returns the URL, such as `http://127.0.0.1:8123`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The address of PostgreSQL, without user and password.
    pub fn database(&self) -> &str {
        &self.database
    }

    pub fn faults(&self) -> &Faults {
        &self.service.faults
    }

    pub fn counters(&self) -> &Counters {
        &self.service.counters
    }

    /// Moves the clock of transactions and of the pause on.
    pub fn pass(&self, time: Duration) {
        self.service.pass(time);
    }

    /// Pauses the database; the next call that starts work begins to resume it.
    pub fn pause(&self, resume_takes: Duration) {
        self.service.pause.pause(resume_takes);
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

/// Returns the address of a database, such as `localhost:5432/staff`.
fn address_of(config: &tokio_postgres::Config) -> String {
    let host = match config.get_hosts().first() {
        Some(Host::Tcp(host)) => host.clone(),
        Some(Host::Unix(folder)) => folder.display().to_string(),
        None => "127.0.0.1".to_owned(),
    };
    let port = config.get_ports().first().copied().unwrap_or(5432);
    format!("{host}:{port}/{}", config.get_dbname().unwrap_or("postgres"))
}

/// Aurora PostgreSQL 13 is the oldest with the Data API of today.
fn check_version(version: &str) -> anyhow::Result<()> {
    let major: Option<u32> = version.split('.').next().and_then(|major| major.parse().ok());
    match major {
        // A version that is being developed is not a number: `19devel`.
        Some(major) if major < POSTGRES_MAJOR_MIN => {
            bail!("PostgreSQL {version} is too old: {POSTGRES_MAJOR_MIN} or newer is needed")
        }
        _ => Ok(()),
    }
}

async fn expire(sessions: Arc<Sessions>) {
    loop {
        tokio::time::sleep(EXPIRE_EVERY).await;
        sessions.expire();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_before_13_are_too_old() {
        for (version, is_good) in [
            ("18.6", true),
            ("13.0 (Debian 13.0-1)", true),
            ("19devel", true),
            ("12.22", false),
            ("9.6.24", false),
        ] {
            assert_eq!(check_version(version).is_ok(), is_good, "{version}");
        }
    }
}
