//! One session of PostgreSQL, spoken to as the service does: typed parameters, statements prepared
//! once a session.
//!
//! Built on `postgres-protocol` rather than on a client, since every client asks for results in
//! binary: here they come as text, so that every type has its form.

use std::collections::HashMap;
use std::fmt;
use std::io;

use bytes::{Bytes, BytesMut};
use fallible_iterator::FallibleIterator;
use postgres_protocol::IsNull;
use postgres_protocol::authentication::md5_hash;
use postgres_protocol::authentication::sasl::{ChannelBinding, ScramSha256};
use postgres_protocol::message::backend::{DataRowBody, ErrorResponseBody, Message};
use postgres_protocol::message::frontend;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_postgres::config::Host;

/// Binds sent before their answers are read: enough to hide the round trip, few enough to fit the
/// socket's buffers.
const PIPELINED_MAX: usize = 64;

/// A session.
pub(super) struct Connection {
    stream: TcpStream,
    read: BytesMut,
    write: BytesMut,
    statements: HashMap<(String, Vec<u32>), Prepared>,
    /// `I` idle, `T` in a transaction, `E` in one that failed.
    status: u8,
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
    name: String,
    /// `None` where the statement returns no rows at all.
    pub(super) columns: Option<Vec<Column>>,
}

/// A column of a result.
#[derive(Debug, Clone)]
pub(super) struct Column {
    pub(super) name: String,
    pub(super) type_oid: u32,
}

/// A parameter: its text and its declared type, 0 for none.
#[derive(Debug, Clone)]
pub(super) struct Bind {
    pub(super) text: Option<String>,
    pub(super) type_oid: u32,
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
#[derive(Debug, Clone)]
pub(super) struct SqlError {
    pub(super) code: String,
    pub(super) message: String,
    pub(super) hint: Option<String>,
    pub(super) position: Option<String>,
}

#[derive(Debug)]
pub(super) enum PgError {
    Sql(Box<SqlError>),
    Connection(io::Error),
}

impl From<io::Error> for PgError {
    fn from(error: io::Error) -> Self {
        Self::Connection(error)
    }
}

impl Connection {
    /// Connects to one database of the server that the configuration names.
    pub(super) async fn open(
        config: &tokio_postgres::Config,
        database: &str,
    ) -> Result<Self, PgError> {
        let host = match config.get_hosts().first() {
            Some(Host::Tcp(host)) => host.clone(),
            _ => "127.0.0.1".to_owned(),
        };
        let port = config.get_ports().first().copied().unwrap_or(5432);
        let stream = TcpStream::connect((host.as_str(), port)).await?;
        stream.set_nodelay(true)?;
        let mut connection = Self {
            stream,
            read: BytesMut::with_capacity(64 * 1024),
            write: BytesMut::with_capacity(64 * 1024),
            statements: HashMap::new(),
            status: b'I',
        };
        let user = config.get_user().unwrap_or("postgres").to_owned();
        let parameters = [
            ("user", user.as_str()),
            ("database", database),
            ("client_encoding", "UTF8"),
            ("TimeZone", "UTC"),
            ("DateStyle", "ISO"),
            ("IntervalStyle", "postgres"),
            ("statement_timeout", "45000"),
            ("application_name", "data-api"),
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
                Message::ErrorResponse(body) => return Err(sql_error(&body)?),
                Message::ReadyForQuery(body) => {
                    self.status = body.status();
                    return Ok(());
                }
                _ => {}
            }
            self.flush().await?;
        }
    }

    pub(super) fn is_idle(&self) -> bool {
        self.status == b'I'
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
        let name = format!("s{}", self.statements.len());
        frontend::parse(&name, sql, types.iter().copied(), &mut self.write)?;
        frontend::describe(b'S', &name, &mut self.write)?;
        frontend::sync(&mut self.write);
        self.flush().await?;
        let mut columns = None;
        self.until_ready(|message| {
            if let Message::RowDescription(body) = message {
                let fields = body.fields().map(|field| {
                    Ok(Column { name: field.name().to_owned(), type_oid: field.type_oid() })
                });
                columns = Some(fields.collect()?);
            }
            Ok(())
        })
        .await?;
        let prepared = Prepared { name, columns };
        self.statements.insert(key, prepared.clone());
        Ok(prepared)
    }

    /// Runs a prepared statement once.
    pub(super) async fn run(
        &mut self,
        prepared: &Prepared,
        binds: &[Bind],
    ) -> Result<Outcome, PgError> {
        self.send_bind(prepared, binds)?;
        frontend::sync(&mut self.write);
        self.flush().await?;
        let mut outcome = Outcome::default();
        self.until_ready(|message| {
            match message {
                Message::DataRow(body) => outcome.rows.push(Row::new(&body)?),
                Message::CommandComplete(body) => {
                    outcome.rows_affected = rows_affected(body.tag()?);
                }
                _ => {}
            }
            Ok(())
        })
        .await?;
        Ok(outcome)
    }

    /// Runs a prepared statement once for each set, in order, to the first that fails.
    ///
    /// With `is_pipelined`, several are under way at once and share their fate, as they do anyway
    /// inside a transaction.
    pub(super) async fn run_all(
        &mut self,
        prepared: &Prepared,
        sets: &[Vec<Bind>],
        is_pipelined: bool,
    ) -> Result<(), PgError> {
        let at_once = if is_pipelined { PIPELINED_MAX } else { 1 };
        for sets in sets.chunks(at_once) {
            for binds in sets {
                self.send_bind(prepared, binds)?;
            }
            frontend::sync(&mut self.write);
            self.flush().await?;
            self.until_ready(|_| Ok(())).await?;
        }
        Ok(())
    }

    fn send_bind(&mut self, prepared: &Prepared, binds: &[Bind]) -> Result<(), PgError> {
        frontend::bind(
            "",
            &prepared.name,
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
        loop {
            match self.receive().await? {
                Message::ReadyForQuery(body) => {
                    self.status = body.status();
                    return error.map_or(Ok(()), Err);
                }
                Message::ErrorResponse(body) => error = Some(sql_error(&body)?),
                // As the service does: it is not made for copying.
                Message::CopyInResponse(_) => {
                    frontend::copy_fail("COPY is not supported", &mut self.write)?;
                    frontend::sync(&mut self.write);
                    self.flush().await?;
                }
                message => take(message)?,
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

    async fn flush(&mut self) -> Result<(), PgError> {
        if !self.write.is_empty() {
            self.stream.write_all(&self.write).await?;
            self.write.clear();
        }
        Ok(())
    }
}

/// The number at the end of a tag such as `INSERT 0 5`; none after SELECT.
fn rows_affected(tag: &str) -> u64 {
    if tag.starts_with("SELECT") {
        return 0;
    }
    tag.rsplit(' ').next().and_then(|count| count.parse().ok()).unwrap_or_default()
}

fn sql_error(body: &ErrorResponseBody) -> Result<PgError, PgError> {
    let mut error =
        SqlError { code: String::new(), message: String::new(), hint: None, position: None };
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
    Ok(PgError::Sql(Box::new(error)))
}
