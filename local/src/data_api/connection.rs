//! One session of PostgreSQL, spoken to as the service does: typed parameters, statements prepared
//! once a session.
//!
//! Built on `postgres-protocol` rather than on a client, since every client asks for results in
//! binary: here they come as text, so that every type has its form.

use std::collections::HashMap;
use std::fmt;
use std::io;
use std::pin::Pin;
use std::task::{Context, Waker};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use fallible_iterator::FallibleIterator;
use postgres_protocol::IsNull;
use postgres_protocol::authentication::md5_hash;
use postgres_protocol::authentication::sasl::{ChannelBinding, ScramSha256};
use postgres_protocol::message::backend::{DataRowBody, ErrorResponseBody, Message};
use postgres_protocol::message::frontend;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::{TcpStream, UnixStream};
use tokio_postgres::config::{Host, SslMode};

use super::parameter::Bind;

/// Binds sent before their answers are read: enough to hide the round trip, few enough to fit the
/// socket's buffers.
const PIPELINED_MAX: usize = 64;

/// Prepared statements that a session keeps, as sqlx does, on which the service is built.
const STATEMENTS_MAX: usize = 100;

/// `feature_not_supported`, which is also "cached plan must not change result type".
const CACHED_PLAN_CHANGED: &str = "0A000";

trait Wire: AsyncRead + AsyncWrite + Send + Sync + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Sync + Unpin> Wire for T {}

/// A session.
pub(super) struct Connection {
    stream: Box<dyn Wire>,
    read: BytesMut,
    write: BytesMut,
    statements: HashMap<(String, Vec<u32>), Prepared>,
    /// Statements prepared so far: names and ages of those kept.
    prepared: u64,
    /// PostgreSQL's number of the session.
    id: i64,
    /// `I` idle, `T` in a transaction, `E` in one that failed.
    status: u8,
    /// Whether something of a caller is left in the session that cannot be taken back.
    is_spoilt: bool,
    /// Whether PostgreSQL has ended the session.
    is_closed: bool,
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection")
            .field("status", &char::from(self.status))
            .finish_non_exhaustive()
    }
}

/// A statement that the session knows.
#[derive(Debug, Clone)]
pub(super) struct Prepared {
    number: u64,
    key: (String, Vec<u32>),
    /// `None` where the statement returns no rows at all.
    pub(super) columns: Option<Vec<Column>>,
}

/// A column of a result.
#[derive(Debug, Clone)]
pub(super) struct Column {
    pub(super) name: String,
    pub(super) type_oid: u32,
    pub(super) type_modifier: i32,
    /// Where it comes from, 0 for neither.
    pub(super) table_oid: u32,
    pub(super) number: i16,
}

/// What a statement did.
#[derive(Debug, Default)]
pub(super) struct Outcome {
    pub(super) rows: Vec<Row>,
    /// From the command's tag.
    pub(super) rows_affected: u64,
}

/// A row in text form.
#[derive(Debug)]
pub(super) struct Row {
    buffer: Bytes,
    ranges: Vec<Option<std::ops::Range<usize>>>,
}

impl Row {
    fn new(body: &DataRowBody) -> io::Result<Self> {
        Ok(Self { buffer: body.buffer_bytes().clone(), ranges: body.ranges().collect()? })
    }

    pub(super) fn cells(&self) -> impl Iterator<Item = Option<&str>> {
        self.ranges.iter().map(|range| {
            let range = range.clone()?;
            std::str::from_utf8(self.buffer.get(range)?).ok()
        })
    }
}

/// An error of PostgreSQL.
#[derive(Debug, Clone, Default)]
pub(super) struct SqlError {
    pub(super) code: String,
    pub(super) message: String,
    pub(super) hint: Option<String>,
    pub(super) position: Option<String>,
    /// The session that it happened in.
    pub(super) connection_id: Option<i64>,
}

#[derive(Debug)]
pub(super) enum PgError {
    Sql(Box<SqlError>),
    /// A kind of answer that the service does not go on with.
    Unexpected(&'static str),
    Connection(io::Error),
}

impl From<io::Error> for PgError {
    fn from(error: io::Error) -> Self {
        Self::Connection(error)
    }
}

impl Prepared {
    fn name(&self) -> String {
        format!("sqlx_s_{}", self.number)
    }
}

impl Connection {
    /// Connects to one database of the server that the configuration names.
    pub(super) async fn open(
        config: &tokio_postgres::Config,
        database: &str,
        application_name: &str,
        statement_timeout: Duration,
    ) -> Result<Self, PgError> {
        let mut connection = Self {
            stream: connect(config).await?,
            read: BytesMut::with_capacity(64 * 1024),
            write: BytesMut::with_capacity(64 * 1024),
            statements: HashMap::new(),
            prepared: 0,
            id: 0,
            status: b'I',
            is_spoilt: false,
            is_closed: false,
        };
        let user = config.get_user().unwrap_or("postgres").to_owned();
        let statement_timeout_ms = statement_timeout.as_millis().to_string();
        let parameters = [
            ("user", user.as_str()),
            ("database", database),
            ("client_encoding", "UTF8"),
            ("TimeZone", "UTC"),
            ("DateStyle", "ISO"),
            ("IntervalStyle", "postgres"),
            ("statement_timeout", statement_timeout_ms.as_str()),
            ("application_name", application_name),
        ];
        frontend::startup_message(parameters, &mut connection.write)?;
        connection.flush().await?;
        connection.authenticate(&user, config.get_password().unwrap_or_default()).await?;
        Ok(connection)
    }

    async fn authenticate(&mut self, user: &str, password: &[u8]) -> Result<(), PgError> {
        let mut scram = ScramSha256::new(password, ChannelBinding::unsupported());
        loop {
            match self.receive().await? {
                Message::AuthenticationCleartextPassword => {
                    frontend::password_message(password, &mut self.write)?;
                }
                Message::AuthenticationMd5Password(body) => {
                    let hash = md5_hash(user.as_bytes(), password, body.salt());
                    frontend::password_message(hash.as_bytes(), &mut self.write)?;
                }
                Message::AuthenticationSasl(_) => {
                    frontend::sasl_initial_response(
                        "SCRAM-SHA-256",
                        scram.message(),
                        &mut self.write,
                    )?;
                }
                Message::AuthenticationSaslContinue(body) => {
                    scram.update(body.data())?;
                    frontend::sasl_response(scram.message(), &mut self.write)?;
                }
                Message::AuthenticationSaslFinal(body) => scram.finish(body.data())?,
                Message::BackendKeyData(body) => self.id = i64::from(body.process_id()),
                Message::ErrorResponse(body) => return Err(PgError::Sql(self.sql_error(&body)?)),
                Message::ReadyForQuery(body) => {
                    self.status = body.status();
                    return Ok(());
                }
                _ => {}
            }
            self.flush().await?;
        }
    }

    /// PostgreSQL's number of the session.
    pub(super) fn id(&self) -> i64 {
        self.id
    }

    /// Whether the next caller can have the session.
    pub(super) fn is_reusable(&self) -> bool {
        self.status == b'I' && !self.is_spoilt && !self.is_closed
    }

    /// Whether the session is known to have ended.
    pub(super) fn is_closed(&self) -> bool {
        self.is_closed
    }

    /// Whether PostgreSQL has not ended the session meanwhile.
    pub(super) fn is_open(&mut self) -> bool {
        let mut byte = [0];
        let mut buffer = ReadBuf::new(&mut byte);
        let mut context = Context::from_waker(Waker::noop());
        // An idle session has nothing to say, unless it was ended.
        Pin::new(&mut self.stream).poll_read(&mut context, &mut buffer).is_pending()
    }

    /// Runs a text without parameters, such as `BEGIN`.
    pub(super) async fn simple(&mut self, sql: &str) -> Result<(), PgError> {
        frontend::query(sql, &mut self.write)?;
        self.flush().await?;
        self.until_ready(|_| Ok(())).await
    }

    /// Prepares a statement, once for each combination of declared types.
    pub(super) async fn prepare(&mut self, sql: &str, types: &[u32]) -> Result<Prepared, PgError> {
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
        frontend::parse(&prepared.name(), sql, types.iter().copied(), &mut self.write)?;
        frontend::describe(b'S', &prepared.name(), &mut self.write)?;
        frontend::sync(&mut self.write);
        self.flush().await?;
        let mut columns = None;
        self.until_ready(|message| {
            if let Message::RowDescription(body) = message {
                let fields = body.fields().map(|field| {
                    Ok(Column {
                        name: field.name().to_owned(),
                        type_oid: field.type_oid(),
                        type_modifier: field.type_modifier(),
                        table_oid: field.table_oid(),
                        number: field.column_id(),
                    })
                });
                columns = Some(fields.collect()?);
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
        frontend::close(b'S', &prepared.name(), &mut self.write)
    }

    /// Runs a prepared statement once.
    pub(super) async fn run(
        &mut self,
        prepared: &Prepared,
        binds: &[Bind<'_>],
    ) -> Result<Outcome, PgError> {
        self.send_bind(prepared, binds)?;
        frontend::sync(&mut self.write);
        self.flush().await?;
        let mut outcome = Outcome::default();
        let result = self.until_ready(|message| {
            match message {
                Message::DataRow(body) => outcome.rows.push(Row::new(&body)?),
                Message::CommandComplete(body) => {
                    outcome.rows_affected = rows_affected(body.tag()?);
                }
                _ => {}
            }
            Ok(())
        });
        match result.await {
            Ok(()) => Ok(outcome),
            Err(PgError::Sql(error)) if error.code == CACHED_PLAN_CHANGED => {
                self.forget(prepared)?;
                Err(PgError::Sql(error))
            }
            Err(error) => Err(error),
        }
    }

    /// Runs a prepared statement once for each set, in order, to the first that fails.
    ///
    /// With `is_pipelined`, several are under way at once and share their fate, as they do anyway
    /// inside a transaction.
    pub(super) async fn run_all(
        &mut self,
        prepared: &Prepared,
        sets: &[Vec<Bind<'_>>],
        is_pipelined: bool,
    ) -> Result<u64, PgError> {
        let at_once = if is_pipelined { PIPELINED_MAX } else { 1 };
        let mut rows = 0;
        for sets in sets.chunks(at_once) {
            for binds in sets {
                self.send_bind(prepared, binds)?;
            }
            frontend::sync(&mut self.write);
            self.flush().await?;
            let result = self.until_ready(|message| {
                if let Message::CommandComplete(body) = message {
                    rows += rows_affected(body.tag()?);
                }
                Ok(())
            });
            match result.await {
                Ok(()) => {}
                Err(PgError::Sql(error)) if error.code == CACHED_PLAN_CHANGED => {
                    self.forget(prepared)?;
                    return Err(PgError::Sql(error));
                }
                Err(error) => return Err(error),
            }
        }
        Ok(rows)
    }

    fn send_bind(&mut self, prepared: &Prepared, binds: &[Bind<'_>]) -> Result<(), PgError> {
        frontend::bind(
            "",
            &prepared.name(),
            [0],
            binds,
            |bind, buffer| match &bind.text {
                None => Ok(IsNull::Yes),
                Some(text) => {
                    buffer.extend_from_slice(text.as_bytes());
                    Ok(IsNull::No)
                }
            },
            [0],
            &mut self.write,
        )
        .map_err(|_| io::Error::other("a parameter cannot be sent"))?;
        frontend::execute("", 0, &mut self.write)?;
        Ok(())
    }

    async fn until_ready(
        &mut self,
        mut take: impl FnMut(Message) -> io::Result<()>,
    ) -> Result<(), PgError> {
        let mut error = None;
        let mut unexpected = None;
        loop {
            let message = match self.receive().await {
                Ok(message) => message,
                Err(lost) => {
                    self.is_closed = true;
                    // What PostgreSQL said before it ended the session is what matters.
                    return Err(error.map_or(lost, PgError::Sql));
                }
            };
            match message {
                Message::ReadyForQuery(body) => {
                    self.status = body.status();
                    let error = unexpected.map(PgError::Unexpected).or(error.map(PgError::Sql));
                    return error.map_or(Ok(()), Err);
                }
                Message::ErrorResponse(body) => error = Some(self.sql_error(&body)?),
                // The service is not made for copying.
                Message::CopyOutResponse(_) => unexpected = Some("CopyOutResponse"),
                Message::CopyInResponse(_) => {
                    unexpected = Some("CopyInResponse");
                    frontend::copy_fail("COPY is not supported", &mut self.write)?;
                    frontend::sync(&mut self.write);
                    self.flush().await?;
                }
                message => {
                    if let Message::CommandComplete(body) = &message {
                        self.is_spoilt |= body.tag()? == "PREPARE";
                    }
                    take(message)?;
                }
            }
        }
    }

    async fn receive(&mut self) -> Result<Message, PgError> {
        loop {
            if let Some(message) = Message::parse(&mut self.read)? {
                return Ok(message);
            }
            if self.stream.read_buf(&mut self.read).await? == 0 {
                return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
            }
        }
    }

    fn sql_error(&self, body: &ErrorResponseBody) -> io::Result<Box<SqlError>> {
        let mut error = SqlError { connection_id: Some(self.id), ..SqlError::default() };
        let mut fields = body.fields();
        while let Some(field) = fields.next()? {
            let value = String::from_utf8_lossy(field.value_bytes()).into_owned();
            match field.type_() {
                b'C' => error.code = value,
                b'M' => error.message = value,
                b'H' => error.hint = Some(value),
                b'P' => error.position = Some(value),
                _ => {}
            }
        }
        Ok(Box::new(error))
    }

    async fn flush(&mut self) -> Result<(), PgError> {
        if !self.write.is_empty() {
            self.stream.write_all(&self.write).await?;
            self.write.clear();
        }
        Ok(())
    }
}

/// Opens the way to the first of the configuration's hosts.
async fn connect(config: &tokio_postgres::Config) -> io::Result<Box<dyn Wire>> {
    if config.get_ssl_mode() == SslMode::Require {
        return Err(io::Error::other("sslmode=require is not supported: this server is local"));
    }
    let port = config.get_ports().first().copied().unwrap_or(5432);
    match config.get_hosts().first() {
        Some(Host::Unix(folder)) => {
            Ok(Box::new(UnixStream::connect(folder.join(format!(".s.PGSQL.{port}"))).await?))
        }
        other => {
            let host = match other {
                Some(Host::Tcp(host)) => host,
                _ => "127.0.0.1",
            };
            let stream = TcpStream::connect((host, port)).await?;
            stream.set_nodelay(true)?;
            Ok(Box::new(stream))
        }
    }
}

/// The number at the end of a tag such as `INSERT 0 5`; none after SELECT.
fn rows_affected(tag: &str) -> u64 {
    if tag.starts_with("SELECT") {
        return 0;
    }
    tag.rsplit(' ').next().and_then(|count| count.parse().ok()).unwrap_or_default()
}
