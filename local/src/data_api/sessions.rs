//! Sessions of PostgreSQL: pooled for single calls, pinned for transactions.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use uuid::Uuid;

use super::clock::Clock;
use super::connection::{Connection, PgError};
use super::error::ApiError;
use super::parameter::Bind;

/// A transaction that is left alone for this long is rolled back (`BeginTransaction`).
const IDLE_MAX: Duration = Duration::from_mins(3);

/// No transaction lives longer (`BeginTransaction`).
const LIFE_MAX: Duration = Duration::from_hours(24);

/// All sessions of a server.
#[derive(Debug)]
pub(super) struct Sessions {
    config: tokio_postgres::Config,
    default_database: String,
    /// How PostgreSQL knows the sessions of this server from those of others.
    application_name: String,
    statement_timeout: Duration,
    idle: Mutex<HashMap<String, Vec<Connection>>>,
    transactions: Mutex<HashMap<String, Arc<Transaction>>>,
    pub(super) clock: Clock,
}

/// An open transaction and the session that is its own.
#[derive(Debug)]
pub(super) struct Transaction {
    database: String,
    /// Taken while a call runs; a second call finds it locked.
    session: Arc<tokio::sync::Mutex<Option<Connection>>>,
    began: Duration,
    last_used: Mutex<Duration>,
}

/// A session in use for one call; it goes back where it came from when that is over.
#[derive(Debug)]
pub(super) enum Lent {
    Pooled { sessions: Arc<Sessions>, database: String, connection: Connection },
    Pinned { sessions: Arc<Sessions>, id: String, session: PinnedSession },
}

type PinnedSession = tokio::sync::OwnedMutexGuard<Option<Connection>>;

impl Sessions {
    pub(super) fn new(config: tokio_postgres::Config, statement_timeout: Duration) -> Self {
        let default_database = config.get_dbname().unwrap_or("postgres").to_owned();
        let (idle, transactions) = (Mutex::default(), Mutex::default());
        let application_name = format!("data-api {}", Uuid::new_v4().simple());
        Self {
            config,
            default_database,
            application_name,
            statement_timeout,
            idle,
            transactions,
            clock: Clock::new(),
        }
    }

    /// A session for one call: the transaction's own, or one of the pool.
    pub(super) async fn lend(
        self: &Arc<Self>,
        database: Option<&str>,
        transaction_id: Option<&str>,
    ) -> Result<Lent, ApiError> {
        let Some(id) = transaction_id else {
            let (database, connection) = self.take(database).await?;
            return Ok(Lent::Pooled { sessions: Arc::clone(self), database, connection });
        };
        let transaction = self.transaction(id)?;
        let session = Arc::clone(&transaction.session)
            .try_lock_owned()
            .map_err(|_| ApiError::transaction_is_busy())?;
        if session.is_none() {
            return Err(ApiError::transaction_not_found(id));
        }
        Ok(Lent::Pinned { sessions: Arc::clone(self), id: id.to_owned(), session })
    }

    /// Makes sure that PostgreSQL answers.
    pub(super) async fn check(&self) -> Result<(), PgError> {
        let (database, connection) = self.take(None).await?;
        lock(&self.idle).entry(database).or_default().push(connection);
        Ok(())
    }

    async fn take(&self, database: Option<&str>) -> Result<(String, Connection), PgError> {
        let database = database.filter(|name| !name.is_empty()).unwrap_or(&self.default_database);
        while let Some(mut connection) = self.take_idle(database) {
            if connection.is_open() {
                return Ok((database.to_owned(), connection));
            }
        }
        let (name, timeout) = (&self.application_name, self.statement_timeout);
        let connection = Connection::open(&self.config, database, name, timeout).await?;
        Ok((database.to_owned(), connection))
    }

    fn take_idle(&self, database: &str) -> Option<Connection> {
        lock(&self.idle).get_mut(database).and_then(Vec::pop)
    }

    /// Takes a session back, with nothing of its last user left in it.
    async fn give_back(&self, database: String, mut connection: Connection) {
        // Settings, cursors, locks, temporary tables and the last values of sequences. Prepared
        // statements stay: they are ours, and what makes a pool worth while.
        const FORGET: &str = "RESET ALL; CLOSE ALL; UNLISTEN *; SELECT pg_advisory_unlock_all(); \
                              DISCARD TEMP; DISCARD SEQUENCES";
        if connection.is_reusable() && connection.simple(FORGET).await.is_ok() {
            lock(&self.idle).entry(database).or_default().push(connection);
        }
    }

    /// Opens a transaction, and gives its id.
    pub(super) async fn begin(&self, database: Option<&str>) -> Result<String, PgError> {
        let (database, mut connection) = self.take(database).await?;
        connection.simple("BEGIN").await?;
        let id = format!("{}{}", Uuid::new_v4().simple(), Uuid::new_v4().simple());
        let now = self.clock.now();
        let transaction = Transaction {
            database,
            session: Arc::new(tokio::sync::Mutex::new(Some(connection))),
            began: now,
            last_used: Mutex::new(now),
        };
        lock(&self.transactions).insert(id.clone(), Arc::new(transaction));
        Ok(id)
    }

    fn transaction(&self, id: &str) -> Result<Arc<Transaction>, ApiError> {
        self.expire();
        let transactions = lock(&self.transactions);
        let transaction =
            transactions.get(id).ok_or_else(|| ApiError::transaction_not_found(id))?;
        *lock(&transaction.last_used) = self.clock.now();
        Ok(Arc::clone(transaction))
    }

    /// Ends a transaction with `COMMIT` or `ROLLBACK`.
    pub(super) async fn end(self: &Arc<Self>, id: &str, sql: &str) -> Result<(), ApiError> {
        let transaction = self.transaction(id)?;
        let mut session =
            transaction.session.try_lock().map_err(|_| ApiError::transaction_is_busy())?;
        lock(&self.transactions).remove(id);
        let mut connection = session.take().ok_or_else(|| ApiError::transaction_not_found(id))?;
        let result = connection.simple(sql).await;
        let (sessions, database) = (Arc::clone(self), transaction.database.clone());
        tokio::spawn(async move { sessions.give_back(database, connection).await });
        result.map_err(ApiError::from)
    }

    /// Rolls a transaction back and forgets it, whoever asks for it next.
    pub(super) async fn lose(self: &Arc<Self>, id: &str) {
        // It may be gone already.
        self.end(id, "ROLLBACK").await.ok();
    }

    /// Drops transactions whose time is over; PostgreSQL rolls back when their session closes.
    pub(super) fn expire(&self) {
        let now = self.clock.now();
        lock(&self.transactions).retain(|_, transaction| {
            let is_running = transaction.session.try_lock().is_err();
            let idle = now.saturating_sub(*lock(&transaction.last_used));
            is_running || (idle < IDLE_MAX && now.saturating_sub(transaction.began) < LIFE_MAX)
        });
    }

    /// Ends every session, as a restart of PostgreSQL does.
    pub(super) async fn terminate(&self) -> Result<(), PgError> {
        const TERMINATE: &str = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
                                 WHERE application_name = $1 AND pid <> pg_backend_pid()";
        let (_, mut connection) = self.take(None).await?;
        let prepared = connection.prepare(TERMINATE, &[25]).await?;
        let name = Bind { text: Some(self.application_name.as_str().into()), type_oid: 25 };
        connection.run(&prepared, &[name]).await?;
        Ok(())
    }
}

impl Lent {
    pub(super) fn connection(&mut self) -> Option<&mut Connection> {
        match self {
            Self::Pooled { connection, .. } => Some(connection),
            Self::Pinned { session, .. } => session.as_mut(),
        }
    }

    /// Gives the session back; `is_lost` where it is of no use any more.
    pub(super) fn release(self, is_lost: bool) {
        match self {
            Self::Pooled { sessions, database, connection } if !is_lost => {
                // While the caller has its answer already.
                tokio::spawn(async move { sessions.give_back(database, connection).await });
            }
            Self::Pooled { .. } => {}
            Self::Pinned { sessions, id, mut session } => {
                if is_lost || session.as_ref().is_none_or(Connection::is_closed) {
                    *session = None;
                    lock(&sessions.transactions).remove(&id);
                } else if let Some(transaction) = lock(&sessions.transactions).get(&id) {
                    // Idle from now on.
                    *lock(&transaction.last_used) = sessions.clock.now();
                }
            }
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
