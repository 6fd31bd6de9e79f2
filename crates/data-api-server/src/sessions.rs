//! Sessions of PostgreSQL: pooled for single calls, pinned for transactions.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use uuid::Uuid;

use crate::clock::Clock;
use crate::connection::Connection;
use crate::error::ApiError;
use crate::parameter::Bind;
use crate::pg_error::PgError;

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
    /// The name by which PostgreSQL knows the sessions of this server from those of others.
    application_name: String,
    statement_timeout: Duration,
    /// The idle sessions by database, the latest last.
    pool: Mutex<HashMap<String, Vec<Pooled>>>,
    transactions: Mutex<HashMap<String, Transaction>>,
    pub(crate) clock: Clock,
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
    database: String,
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
    home: Home,
    connection: Option<Connection>,
}

#[derive(Debug, Clone)]
enum Home {
    Pool { database: String },
    Transaction { id: String },
}

impl Sessions {
    pub(crate) fn new(config: tokio_postgres::Config, statement_timeout: Duration) -> Self {
        Self {
            default_database: config.get_dbname().unwrap_or("postgres").to_owned(),
            config,
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
        database: Option<&str>,
        transaction_id: Option<&str>,
    ) -> Result<CheckedOut, ApiError> {
        let (home, connection) = match transaction_id {
            None => {
                let (database, connection) = self.take(database).await?;
                (Home::Pool { database }, connection)
            }
            Some(id) => (Home::Transaction { id: id.to_owned() }, self.take_pinned(id)?),
        };
        Ok(CheckedOut { sessions: Arc::clone(self), home, connection: Some(connection) })
    }

    /// Makes sure that PostgreSQL answers, and gives its version.
    pub(crate) async fn check(&self) -> Result<String, PgError> {
        let (database, connection) = self.take(None).await?;
        let version = connection.server_version().to_owned();
        self.put_back(database, connection);
        Ok(version)
    }

    async fn take(&self, database: Option<&str>) -> Result<(String, Connection), PgError> {
        let database = database.filter(|name| !name.is_empty()).unwrap_or(&self.default_database);
        while let Some(mut pooled) = self.take_pooled(database) {
            if pooled.connection.is_open() {
                return Ok((database.to_owned(), pooled.connection));
            }
        }
        let (name, timeout) = (&self.application_name, self.statement_timeout);
        let connection = Connection::open(&self.config, database, name, timeout).await?;
        Ok((database.to_owned(), connection))
    }

    fn take_pooled(&self, database: &str) -> Option<Pooled> {
        lock(&self.pool).get_mut(database).and_then(Vec::pop)
    }

    fn put_back(&self, database: String, connection: Connection) {
        let pooled = Pooled { connection, since: self.clock.now() };
        lock(&self.pool).entry(database).or_default().push(pooled);
    }

    /// Takes a session back, with nothing of its last user left in it.
    async fn give_back(&self, database: String, mut connection: Connection) {
        // Roles, settings, cursors, locks, temporary tables and the last values of sequences.
        // Prepared statements stay: they are ours, and what makes a pool worth while.
        const FORGET: &str = "RESET SESSION AUTHORIZATION; RESET ROLE; RESET ALL; CLOSE ALL; \
                              UNLISTEN *; SELECT pg_advisory_unlock_all(); DISCARD TEMP; \
                              DISCARD SEQUENCES";
        if connection.is_reusable() && connection.simple(FORGET).await.is_ok() {
            self.put_back(database, connection);
        }
    }

    /// Opens a transaction, and gives its id.
    pub(crate) async fn begin(&self, database: Option<&str>) -> Result<String, PgError> {
        let (database, mut connection) = self.take(database).await?;
        connection.simple("BEGIN").await?;
        let id = format!("{}{}", Uuid::new_v4().simple(), Uuid::new_v4().simple());
        let now = self.clock.now();
        let connection = Some(connection);
        let transaction = Transaction { database, connection, began: now, last_used: now };
        lock(&self.transactions).insert(id.clone(), transaction);
        Ok(id)
    }

    fn take_pinned(&self, id: &str) -> Result<Connection, ApiError> {
        self.expire();
        let mut transactions = lock(&self.transactions);
        let transaction =
            transactions.get_mut(id).ok_or_else(|| ApiError::transaction_not_found(id))?;
        transaction.last_used = self.clock.now();
        transaction.connection.take().ok_or_else(ApiError::transaction_is_busy)
    }

    /// Ends a transaction with `COMMIT` or `ROLLBACK`.
    pub(crate) async fn end(self: &Arc<Self>, id: &str, sql: &str) -> Result<(), ApiError> {
        let mut connection = self.take_pinned(id)?;
        let transaction = lock(&self.transactions).remove(id);
        let result = connection.simple(sql).await;
        if let Some(Transaction { database, .. }) = transaction {
            let sessions = Arc::clone(self);
            // While the caller has its answer already.
            tokio::spawn(async move { sessions.give_back(database, connection).await });
        }
        result.map_err(ApiError::from)
    }

    /// Rolls a transaction back and forgets it, whoever asks for it next.
    pub(crate) async fn lose(self: &Arc<Self>, id: &str) {
        // It may be gone already.
        self.end(id, "ROLLBACK").await.ok();
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

    /// Cancels what a session does.
    pub(crate) async fn cancel(&self, connection_id: i64) -> Result<(), PgError> {
        const CANCEL: &str = "SELECT pg_cancel_backend($1)";
        const INT4: u32 = 23;
        let pid = Bind::text(connection_id.to_string(), INT4);
        self.run_aside(CANCEL, &[pid]).await
    }

    /// Ends every session, as a restart of PostgreSQL does.
    pub(crate) async fn terminate(&self) -> Result<(), PgError> {
        const TERMINATE: &str = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
                                 WHERE application_name = $1 AND pid <> pg_backend_pid()";
        const TEXT: u32 = 25;
        let name = Bind::text(self.application_name.as_str(), TEXT);
        self.run_aside(TERMINATE, &[name]).await
    }

    /// Runs a statement in a session of its own.
    async fn run_aside(&self, sql: &str, binds: &[Bind<'_>]) -> Result<(), PgError> {
        let (database, mut connection) = self.take(None).await?;
        let types: Vec<_> = binds.iter().map(|bind| bind.type_oid).collect();
        let prepared = connection.prepare(sql, &types).await?;
        connection.run(&prepared, binds).await?;
        self.put_back(database, connection);
        Ok(())
    }
}

impl CheckedOut {
    /// The session; an error only after it was released.
    pub(crate) fn connection(&mut self) -> Result<&mut Connection, PgError> {
        self.connection.as_mut().ok_or_else(PgError::lost)
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
            Home::Pool { database } => {
                let sessions = Arc::clone(&self.sessions);
                // While the caller has its answer already.
                tokio::spawn(async move { sessions.give_back(database, connection).await });
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
