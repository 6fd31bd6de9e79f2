//! One session of PostgreSQL, spoken to as the service does: typed parameters, statements prepared
//! once a session.
//!
//! Built on `postgres-protocol` rather than on a client, since every client asks for results in
//! binary: here they come as text, so that every type has its form.

use std::collections::HashMap;
use std::fmt;
use std::io;
use std::time::Duration;

use postgres_protocol::IsNull;
use postgres_protocol::message::backend::Message;
use postgres_protocol::message::frontend;

use crate::login::{Credentials, Session, login};
use crate::parameter::Bind;
use crate::pg_error::{PgError, read_error};
use crate::statement::{Outcome, Prepared, read_columns, rows_changed};
use crate::wire::{Received, Wire};

/// The time limit of a login, where the URL has none (`connect_timeout`).
const CONNECT_WITHIN: Duration = Duration::from_secs(10);

/// Prepared statements that a session keeps, as sqlx does, on which the service is built.
const STATEMENTS_MAX: usize = 100;

/// `feature_not_supported`, which is also "cached plan must not change result type".
const CACHED_PLAN_CHANGED: &str = "0A000";

/// A session.
pub(crate) struct Connection {
    wire: Wire,
    statements: HashMap<(String, Vec<u32>), Prepared>,
    /// Statements prepared so far: names and ages of those kept.
    prepared: u64,
    /// PostgreSQL's number of the session.
    id: i64,
    /// The version, such as `17.10`.
    server_version: String,
    /// `I` idle, `T` in a transaction, `E` in one that failed.
    status: u8,
    /// True if something of a caller is left in the session that cannot be taken back.
    is_spoilt: bool,
    /// True if PostgreSQL has ended the session.
    is_closed: bool,
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection")
            .field("status", &char::from(self.status))
            .finish_non_exhaustive()
    }
}

impl Connection {
    /// Connects as a user to one database of the server that the configuration names.
    pub(crate) async fn open(
        config: &tokio_postgres::Config,
        credentials: &Credentials,
        database: &str,
        application_name: &str,
        statement_timeout: Duration,
    ) -> Result<Self, PgError> {
        let within = config.get_connect_timeout().copied().unwrap_or(CONNECT_WITHIN);
        let opened = tokio::time::timeout(within, async {
            let mut wire = Wire::open(config).await?;
            let session =
                login(&mut wire, credentials, database, application_name, statement_timeout)
                    .await?;
            Ok::<_, PgError>((wire, session))
        });
        let (wire, Session { id, server_version }) = opened.await.map_err(|_| {
            io::Error::new(io::ErrorKind::TimedOut, format!("no answer within {within:?}"))
        })??;
        Ok(Self {
            wire,
            statements: HashMap::new(),
            prepared: 0,
            id,
            server_version,
            status: b'I',
            is_spoilt: false,
            is_closed: false,
        })
    }

    /// PostgreSQL's number of the session.
    pub(crate) fn id(&self) -> i64 {
        self.id
    }

    /// Returns whether the next caller can have the session.
    pub(crate) fn is_reusable(&self) -> bool {
        self.status == b'I' && !self.is_spoilt && !self.is_closed
    }

    /// Returns whether the session is known to have ended.
    pub(crate) fn is_closed(&self) -> bool {
        self.is_closed
    }

    /// Returns whether PostgreSQL has not ended the session meanwhile.
    pub(crate) fn is_open(&mut self) -> bool {
        self.wire.is_open()
    }

    /// The version, such as `17.10`.
    pub(crate) fn server_version(&self) -> &str {
        &self.server_version
    }

    /// Runs a text without parameters, such as `BEGIN`.
    pub(crate) async fn simple(&mut self, sql: &str) -> Result<(), PgError> {
        frontend::query(sql, &mut self.wire.write)?;
        self.until_ready(|_| Ok(())).await
    }

    /// Prepares a statement, once for each combination of declared types.
    pub(crate) async fn prepare(&mut self, sql: &str, types: &[u32]) -> Result<Prepared, PgError> {
        let key = (sql.to_owned(), types.to_vec());
        if let Some(prepared) = self.statements.get(&key) {
            return Ok(prepared.clone());
        }
        if self.statements.len() >= STATEMENTS_MAX {
            let oldest = self.statements.values().min_by_key(|prepared| prepared.number).cloned();
            if let Some(oldest) = oldest {
                self.forget(&oldest)?;
            }
        }
        self.prepared += 1;
        let mut prepared = Prepared { number: self.prepared, key, columns: None };
        frontend::parse(&prepared.name(), sql, types.iter().copied(), &mut self.wire.write)?;
        frontend::describe(b'S', &prepared.name(), &mut self.wire.write)?;
        frontend::sync(&mut self.wire.write);
        let mut columns = None;
        self.until_ready(|received| {
            if let Received::Message(Message::RowDescription(body)) = received {
                columns = Some(read_columns(&body)?);
            }
            Ok(())
        })
        .await?;
        prepared.columns = columns;
        self.statements.insert(prepared.key.clone(), prepared.clone());
        Ok(prepared)
    }

    /// Closes a prepared statement, with the next flush.
    fn forget(&mut self, prepared: &Prepared) -> io::Result<()> {
        self.statements.remove(&prepared.key);
        frontend::close(b'S', &prepared.name(), &mut self.wire.write)
    }

    /// Runs a prepared statement once.
    pub(crate) async fn run(
        &mut self,
        prepared: &Prepared,
        binds: &[Bind<'_>],
    ) -> Result<Outcome, PgError> {
        self.send_bind(prepared, binds)?;
        frontend::sync(&mut self.wire.write);
        let mut outcome = Outcome::default();
        let result = self.until_ready(|received| outcome.take(received)).await;
        self.forget_if_changed(prepared, &result)?;
        result.map(|()| outcome)
    }

    /// Runs a prepared statement once for each set, all at once, to the first that fails. They
    /// share their fate. Gives the rows that were changed.
    pub(crate) async fn run_all(
        &mut self,
        prepared: &Prepared,
        sets: &[Vec<Bind<'_>>],
    ) -> Result<u64, PgError> {
        for binds in sets {
            self.send_bind(prepared, binds)?;
        }
        frontend::sync(&mut self.wire.write);
        let mut rows = 0;
        let result = self.until_ready(|received| {
            if let Received::Message(Message::CommandComplete(body)) = received {
                rows += rows_changed(body.tag()?);
            }
            Ok(())
        });
        let result = result.await;
        // In the middle of a COPY, PostgreSQL and we count the ends of calls differently.
        self.is_closed |= sets.len() > 1 && matches!(result, Err(PgError::Unexpected(_)));
        self.forget_if_changed(prepared, &result)?;
        result.map(|()| rows)
    }

    /// A plan that a migration has changed fails, and is made anew the next time.
    fn forget_if_changed(
        &mut self,
        prepared: &Prepared,
        result: &Result<(), PgError>,
    ) -> io::Result<()> {
        match result {
            Err(PgError::Sql(error)) if error.code == CACHED_PLAN_CHANGED => self.forget(prepared),
            _ => Ok(()),
        }
    }

    fn send_bind(&mut self, prepared: &Prepared, binds: &[Bind<'_>]) -> Result<(), PgError> {
        frontend::bind(
            "",
            &prepared.name(),
            binds.iter().map(|bind| i16::from(bind.is_binary())),
            binds,
            |bind, buffer| match &bind.bytes {
                None => Ok(IsNull::Yes),
                Some(bytes) => {
                    buffer.extend_from_slice(bytes);
                    Ok(IsNull::No)
                }
            },
            [0],
            &mut self.wire.write,
        )
        .map_err(|_| io::Error::other("a parameter cannot be sent"))?;
        frontend::execute("", 0, &mut self.wire.write)?;
        Ok(())
    }

    /// Sends what is to be sent, and takes what comes until PostgreSQL is ready for more.
    async fn until_ready(
        &mut self,
        mut take: impl FnMut(Received) -> io::Result<()>,
    ) -> Result<(), PgError> {
        let mut error = None;
        let mut unexpected = None;
        loop {
            let received = match self.wire.receive().await {
                Ok(received) => received,
                Err(lost) => {
                    self.is_closed = true;
                    // The error before the end of the session is the cause.
                    let error = unexpected.map(PgError::Unexpected).or(error.map(PgError::Sql));
                    return Err(error.unwrap_or(lost));
                }
            };
            match received {
                Received::Message(Message::ReadyForQuery(body)) => {
                    self.status = body.status();
                    self.wire.shrink();
                    let error = unexpected.map(PgError::Unexpected).or(error.map(PgError::Sql));
                    return error.map_or(Ok(()), Err);
                }
                Received::Message(Message::ErrorResponse(body)) => {
                    error = Some(read_error(&body, self.id)?);
                }
                // The service is not made for copying.
                Received::Message(Message::CopyOutResponse(_)) => {
                    unexpected = Some("CopyOutResponse");
                }
                Received::Message(Message::CopyInResponse(_)) => {
                    unexpected = Some("CopyInResponse");
                    frontend::copy_fail("COPY is not supported", &mut self.wire.write)?;
                    frontend::sync(&mut self.wire.write);
                }
                received => {
                    if let Received::Message(Message::CommandComplete(body)) = &received {
                        self.note(body.tag()?);
                    }
                    take(received)?;
                }
            }
        }
    }

    /// Keeps in mind what a statement does to the statements that the session knows.
    fn note(&mut self, tag: &str) {
        let is_gone = matches!(tag, "DEALLOCATE" | "DEALLOCATE ALL" | "DISCARD ALL");
        if is_gone {
            // Ours may be among them.
            self.statements.clear();
        }
        self.is_spoilt |= is_gone || tag == "PREPARE";
    }
}
