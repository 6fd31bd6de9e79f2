//! Sessions of PostgreSQL: pooled for single calls, pinned for transactions.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use uuid::Uuid;

use crate::clock::Clock;
use crate::connection::Connection;
use crate::error::ApiError;
use crate::login::{Credentials, Login};
use crate::parameter::Bind;
use crate::pg_error::PgError;
use crate::secrets::Secrets;

/// A transaction that is left alone for this long is rolled back (`BeginTransaction`).
const IDLE_MAX: Duration = Duration::from_mins(3);

/// The longest life of a transaction (`BeginTransaction`).
const LIFE_MAX: Duration = Duration::from_hours(24);

/// A session of the pool that nobody has wanted for this long is closed.
const POOLED_IDLE_MAX: Duration = Duration::from_mins(1);

/// All sessions of a server.
#[derive(Debug)]
pub(crate) struct Sessions {
    config: tokio_postgres::Config,
    default_database: String,
    pub(crate) secrets: Secrets,
    /// The name by which PostgreSQL knows the sessions of this server from those of others.
    application_name: String,
    statement_timeout: Duration,
    /// The idle sessions of each place, the latest last.
    pool: Mutex<HashMap<Place, Vec<Pooled>>>,
    transactions: Mutex<HashMap<String, Transaction>>,
    pub(crate) clock: Clock,
}

/// The login and the database of a session: it is lent to calls of the same two only.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Place {
    credentials: Credentials,
    database: String,
}

/// A session that waits for its next call.
#[derive(Debug)]
struct Pooled {
    connection: Connection,
    since: Duration,
}

/// An open transaction and the session that is its own.
#[derive(Debug)]
struct Transaction {
    place: Place,
    /// A call has it for as long as it runs; a second call finds nothing.
    connection: Option<Connection>,
    began: Duration,
    last_used: Duration,
}

/// A session in use for one call. [`CheckedOut::release`] returns it; dropped,
/// it is closed, and its transaction with it.
#[derive(Debug)]
pub(crate) struct CheckedOut {
    sessions: Arc<Sessions>,
    place: Place,
    home: Home,
    connection: Option<Connection>,
}

#[derive(Debug, Clone)]
enum Home {
    Pool,
    Transaction { id: String },
}

impl Sessions {
    pub(crate) fn new(
        config: tokio_postgres::Config,
        secrets: Secrets,
        statement_timeout: Duration,
    ) -> Self {
        Self {
            default_database: config.get_dbname().unwrap_or("postgres").to_owned(),
            config,
            secrets,
            application_name: format!("data-api {}", Uuid::new_v4().simple()),
            statement_timeout,
            pool: Mutex::default(),
            transactions: Mutex::default(),
            clock: Clock::new(),
        }
    }

    /// A session for one call: the transaction's own, or one of the pool.
    pub(crate) async fn check_out(
        self: &Arc<Self>,
        secret_arn: &str,
        database: Option<&str>,
        transaction_id: Option<&str>,
    ) -> Result<CheckedOut, ApiError> {
        let (home, (place, connection)) = match transaction_id {
            None => (Home::Pool, self.take_as(secret_arn, database).await?),
            Some(id) => {
                let user = self.secrets.credentials(secret_arn).await?.user;
                (Home::Transaction { id: id.to_owned() }, self.take_pinned(id, Some(&user))?)
            }
        };
        Ok(CheckedOut { sessions: Arc::clone(self), place, home, connection: Some(connection) })
    }

    /// Makes sure that PostgreSQL answers, and gives its version.
    pub(crate) async fn check(&self) -> Result<String, PgError> {
        let place = self.own_place();
        let connection = self.take(&place).await?;
        let version = connection.server_version().to_owned();
        self.put_back(place, connection);
        Ok(version)
    }

    /// The login and the database of the URL.
    fn own_place(&self) -> Place {
        let credentials = Credentials::new(Login::default(), &self.config);
        Place { credentials, database: self.default_database.clone() }
    }

    /// A session of the pool for the user of a secret.
    async fn take_as(
        &self,
        secret_arn: &str,
        database: Option<&str>,
    ) -> Result<(Place, Connection), ApiError> {
        let database = database.filter(|name| !name.is_empty()).unwrap_or(&self.default_database);
        let credentials = self.secrets.credentials(secret_arn).await?;
        let mut place = Place { credentials, database: database.to_owned() };
        let mut taken = self.take(&place).await;
        if let Err(PgError::Sql(error)) = &taken
            && error.is_login_refused()
            && let Some(rotated) = self.secrets.rotated(secret_arn, &place.credentials).await?
        {
            place.credentials = rotated;
            taken = self.take(&place).await;
        }
        Ok((place, taken?))
    }

    async fn take(&self, place: &Place) -> Result<Connection, PgError> {
        while let Some(mut pooled) = self.take_pooled(place) {
            if pooled.connection.is_open() {
                return Ok(pooled.connection);
            }
        }
        let Place { credentials, database } = place;
        let (name, timeout) = (&self.application_name, self.statement_timeout);
        Connection::open(&self.config, credentials, database, name, timeout).await
    }

    fn take_pooled(&self, place: &Place) -> Option<Pooled> {
        lock(&self.pool).get_mut(place).and_then(Vec::pop)
    }

    fn put_back(&self, place: Place, connection: Connection) {
        let pooled = Pooled { connection, since: self.clock.now() };
        lock(&self.pool).entry(place).or_default().push(pooled);
    }

    /// Takes a session back, with nothing of its last user left in it.
    async fn give_back(&self, place: Place, mut connection: Connection) {
        // Roles, settings, cursors, locks, temporary tables and the last values of sequences.
        // Prepared statements stay: they are ours, and what makes a pool worth while.
        const FORGET: &str = "RESET SESSION AUTHORIZATION; RESET ROLE; RESET ALL; CLOSE ALL; \
                              UNLISTEN *; SELECT pg_advisory_unlock_all(); DISCARD TEMP; \
                              DISCARD SEQUENCES";
        if connection.is_reusable() && connection.simple(FORGET).await.is_ok() {
            self.put_back(place, connection);
        }
    }

    /// Opens a transaction for the user of a secret, and gives its id.
    pub(crate) async fn begin(
        &self,
        secret_arn: &str,
        database: Option<&str>,
    ) -> Result<String, ApiError> {
        let (place, mut connection) = self.take_as(secret_arn, database).await?;
        connection.simple("BEGIN").await?;
        let id = format!("{}{}", Uuid::new_v4().simple(), Uuid::new_v4().simple());
        let now = self.clock.now();
        let connection = Some(connection);
        let transaction = Transaction { place, connection, began: now, last_used: now };
        lock(&self.transactions).insert(id.clone(), transaction);
        Ok(id)
    }

    /// Takes the session of a transaction: of this user's, or with `None` of anybody's.
    fn take_pinned(&self, id: &str, user: Option<&str>) -> Result<(Place, Connection), ApiError> {
        self.expire();
        let mut transactions = lock(&self.transactions);
        let transaction = transactions
            .get_mut(id)
            .filter(|transaction| {
                user.is_none_or(|user| user == transaction.place.credentials.user)
            })
            .ok_or_else(|| ApiError::transaction_not_found(id))?;
        transaction.last_used = self.clock.now();
        let connection = transaction.connection.take().ok_or_else(ApiError::transaction_is_busy)?;
        Ok((transaction.place.clone(), connection))
    }

    /// Ends a transaction with `COMMIT` or `ROLLBACK`.
    pub(crate) async fn end(
        self: &Arc<Self>,
        secret_arn: &str,
        id: &str,
        sql: &str,
    ) -> Result<(), ApiError> {
        let user = self.secrets.credentials(secret_arn).await?.user;
        self.end_of(Some(&user), id, sql).await
    }

    async fn end_of(
        self: &Arc<Self>,
        user: Option<&str>,
        id: &str,
        sql: &str,
    ) -> Result<(), ApiError> {
        let (place, mut connection) = self.take_pinned(id, user)?;
        lock(&self.transactions).remove(id);
        let result = connection.simple(sql).await;
        let sessions = Arc::clone(self);
        // While the caller has its answer already.
        tokio::spawn(async move { sessions.give_back(place, connection).await });
        result.map_err(ApiError::from)
    }

    /// Rolls a transaction back and forgets it, whoever asks for it next.
    pub(crate) async fn lose(self: &Arc<Self>, id: &str) {
        // It may be gone already.
        self.end_of(None, id, "ROLLBACK").await.ok();
    }

    /// Drops what is left alone for too long; PostgreSQL rolls back when a session closes.
    pub(crate) fn expire(&self) {
        let now = self.clock.now();
        let since = |time: Duration| now.saturating_sub(time);
        lock(&self.transactions).retain(|_, transaction| {
            let is_running = transaction.connection.is_none();
            let is_young = since(transaction.began) < LIFE_MAX;
            is_running || (is_young && since(transaction.last_used) < IDLE_MAX)
        });
        lock(&self.pool).retain(|_, pooled| {
            pooled.retain(|pooled| since(pooled.since) < POOLED_IDLE_MAX);
            !pooled.is_empty()
        });
    }

    /// Cancels what a session does, as its own user: others may not.
    pub(crate) async fn cancel(&self, place: &Place, connection_id: i64) -> Result<(), PgError> {
        const CANCEL: &str = "SELECT pg_cancel_backend($1)";
        const INT4: u32 = 23;
        let pid = Bind::text(connection_id.to_string(), INT4);
        self.run_aside(place.clone(), CANCEL, &[pid]).await
    }

    /// Ends every session, as a restart of PostgreSQL does.
    pub(crate) async fn terminate(&self) -> Result<(), PgError> {
        const TERMINATE: &str = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
                                 WHERE application_name = $1 AND pid <> pg_backend_pid()";
        const TEXT: u32 = 25;
        let name = Bind::text(self.application_name.as_str(), TEXT);
        self.run_aside(self.own_place(), TERMINATE, &[name]).await
    }

    /// Runs a statement in a session of its own.
    async fn run_aside(&self, place: Place, sql: &str, binds: &[Bind<'_>]) -> Result<(), PgError> {
        let mut connection = self.take(&place).await?;
        let types: Vec<_> = binds.iter().map(|bind| bind.type_oid).collect();
        let prepared = connection.prepare(sql, &types).await?;
        connection.run(&prepared, binds).await?;
        self.put_back(place, connection);
        Ok(())
    }
}

impl CheckedOut {
    /// The session; an error only after it was released.
    pub(crate) fn connection(&mut self) -> Result<&mut Connection, PgError> {
        self.connection.as_mut().ok_or_else(PgError::lost)
    }

    /// The login and the database of the session.
    pub(crate) fn place(&self) -> &Place {
        &self.place
    }

    /// Returns whether it is a transaction's.
    pub(crate) fn is_pinned(&self) -> bool {
        matches!(self.home, Home::Transaction { .. })
    }

    /// Gives the session back.
    pub(crate) fn release(mut self) {
        let Some(connection) = self.connection.take_if(|connection| !connection.is_closed()) else {
            return;
        };
        match self.home.clone() {
            Home::Pool => {
                let (sessions, place) = (Arc::clone(&self.sessions), self.place.clone());
                // While the caller has its answer already.
                tokio::spawn(async move { sessions.give_back(place, connection).await });
            }
            Home::Transaction { id } => {
                if let Some(transaction) = lock(&self.sessions.transactions).get_mut(&id) {
                    // Idle from now on.
                    transaction.last_used = self.sessions.clock.now();
                    transaction.connection = Some(connection);
                }
            }
        }
    }
}

impl Drop for CheckedOut {
    fn drop(&mut self) {
        if let (Some(_), Home::Transaction { id }) = (self.connection.take(), &self.home) {
            lock(&self.sessions.transactions).remove(id);
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
