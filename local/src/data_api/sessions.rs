//! Sessions of PostgreSQL: pooled for single calls, pinned for transactions.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use uuid::Uuid;

use super::connection::{Connection, PgError};
use super::error::ApiError;

/// A transaction that is left alone for this long is rolled back (RDS Data API guide).
const IDLE_MAX: Duration = Duration::from_mins(3);

/// No transaction lives longer.
const LIFE_MAX: Duration = Duration::from_hours(24);

/// All sessions of a server.
#[derive(Debug)]
pub(super) struct Sessions {
    config: tokio_postgres::Config,
    default_database: String,
    idle: Mutex<HashMap<String, Vec<Connection>>>,
    transactions: Mutex<HashMap<String, Arc<Transaction>>>,
    clock: Clock,
}

/// An open transaction and the session that is its own.
#[derive(Debug)]
pub(super) struct Transaction {
    database: String,
    /// Taken while a call runs; a second call finds it locked.
    pub(super) session: tokio::sync::Mutex<Option<Connection>>,
    began: Duration,
    last_used: Mutex<Duration>,
}

/// The time since the server started, which tests can move on.
#[derive(Debug)]
struct Clock {
    started: Instant,
    moved_ms: AtomicU64,
}

impl Clock {
    fn now(&self) -> Duration {
        self.started.elapsed() + Duration::from_millis(self.moved_ms.load(Ordering::Relaxed))
    }
}

impl Sessions {
    pub(super) fn new(config: tokio_postgres::Config) -> Self {
        let default_database = config.get_dbname().unwrap_or("postgres").to_owned();
        let clock = Clock { started: Instant::now(), moved_ms: AtomicU64::new(0) };
        let (idle, transactions) = (Mutex::default(), Mutex::default());
        Self { config, default_database, idle, transactions, clock }
    }

    /// Moves the clock on, as far as transactions are concerned.
    pub(super) fn pass(&self, time: Duration) {
        let time_ms = u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        self.clock.moved_ms.fetch_add(time_ms, Ordering::Relaxed);
    }

    fn database(&self, requested: Option<&str>) -> String {
        requested.filter(|name| !name.is_empty()).unwrap_or(&self.default_database).to_owned()
    }

    /// A session for one call.
    pub(super) async fn take(&self, database: Option<&str>) -> Result<Pooled<'_>, PgError> {
        let database = self.database(database);
        let idle = lock(&self.idle).get_mut(&database).and_then(Vec::pop);
        let connection = match idle {
            Some(connection) => connection,
            None => Connection::open(&self.config, &database).await?,
        };
        Ok(Pooled { sessions: self, database, connection })
    }

    fn give_back(&self, database: String, connection: Connection) {
        lock(&self.idle).entry(database).or_default().push(connection);
    }

    /// Opens a transaction, and gives its id.
    pub(super) async fn begin(&self, database: Option<&str>) -> Result<String, PgError> {
        self.expire();
        let Pooled { database, mut connection, .. } = self.take(database).await?;
        connection.simple("BEGIN").await?;
        let id = format!("{}{}", Uuid::new_v4().simple(), Uuid::new_v4().simple());
        let now = self.clock.now();
        let transaction = Transaction {
            database,
            session: tokio::sync::Mutex::new(Some(connection)),
            began: now,
            last_used: Mutex::new(now),
        };
        lock(&self.transactions).insert(id.clone(), Arc::new(transaction));
        Ok(id)
    }

    pub(super) fn transaction(&self, id: &str) -> Result<Arc<Transaction>, ApiError> {
        self.expire();
        let transactions = lock(&self.transactions);
        let transaction =
            transactions.get(id).ok_or_else(|| ApiError::transaction_not_found(id))?;
        *lock(&transaction.last_used) = self.clock.now();
        Ok(Arc::clone(transaction))
    }

    /// Ends a transaction with `COMMIT` or `ROLLBACK`.
    pub(super) async fn end(&self, id: &str, sql: &str) -> Result<(), ApiError> {
        let transaction = self.transaction(id)?;
        let mut session =
            transaction.session.try_lock().map_err(|_| ApiError::transaction_is_busy())?;
        lock(&self.transactions).remove(id);
        let mut connection = session.take().ok_or_else(|| ApiError::transaction_not_found(id))?;
        let result = connection.simple(sql).await;
        let is_lost = matches!(result, Err(PgError::Connection(_)));
        if !is_lost && connection.is_idle() {
            Pooled { sessions: self, database: transaction.database.clone(), connection }
                .release()
                .await;
        }
        result.map_err(ApiError::from)
    }

    /// Forgets a transaction whose session is lost.
    pub(super) fn forget(&self, id: &str) {
        lock(&self.transactions).remove(id);
    }

    /// Drops transactions whose time is over; PostgreSQL rolls back when their session closes.
    fn expire(&self) {
        let now = self.clock.now();
        lock(&self.transactions).retain(|_, transaction| {
            let is_running = transaction.session.try_lock().is_err();
            let idle = now.saturating_sub(*lock(&transaction.last_used));
            is_running || (idle < IDLE_MAX && now.saturating_sub(transaction.began) < LIFE_MAX)
        });
    }
}

/// A session on loan.
#[derive(Debug)]
pub(super) struct Pooled<'a> {
    sessions: &'a Sessions,
    database: String,
    pub(super) connection: Connection,
}

impl Pooled<'_> {
    /// Gives the session back, with nothing of its last user left in it.
    pub(super) async fn release(mut self) {
        // Settings, temporary tables and locks; the session's own settings come with it again.
        // Prepared statements stay: they are ours, and what makes a pool worth while.
        const FORGET: &str =
            "RESET ALL; CLOSE ALL; UNLISTEN *; SELECT pg_advisory_unlock_all(); DISCARD TEMP";
        if self.connection.is_idle() && self.connection.simple(FORGET).await.is_ok() {
            self.sessions.give_back(self.database, self.connection);
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
