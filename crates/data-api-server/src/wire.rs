//! The way to PostgreSQL: messages into one buffer, messages out of another.
//!
//! Writes while it reads, so that neither side waits for the other when both have more to say than
//! the sockets hold. Passes over rows that no answer can hold. Knows nothing of what messages mean.

use std::io;
use std::pin::Pin;
use std::task::{Context, Waker};

use bytes::{Buf, BytesMut};
use postgres_protocol::message::backend::{DATA_ROW_TAG, Header, Message};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::{TcpStream, UnixStream};
use tokio_postgres::config::{Host, SslMode};

use crate::pg_error::PgError;

/// Most bytes of a result: a row counts 2, each of its columns 4 and its text's bytes.
pub(crate) const RESULT_BYTES_MAX: usize = 1024 * 1024;

/// The size of a buffer at first, and again after a large message.
const BUFFER_BYTES: usize = 64 * 1024;

/// Room for what is read at a time.
const READ_BYTES_MIN: usize = 8 * 1024;

/// The length of a message, which counts itself, and the tag before it.
const HEADER_BYTES: usize = 5;

trait Stream: AsyncRead + AsyncWrite + Send + Sync + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Sync + Unpin> Stream for T {}

pub(crate) struct Wire {
    stream: Box<dyn Stream>,
    read: BytesMut,
    /// Messages to be sent; they go out with the next [`Wire::receive`].
    pub(crate) write: BytesMut,
    /// True if a buffer has held more than it began with.
    is_stretched: bool,
}

/// A message that was received.
pub(crate) enum Received {
    Message(Message),
    /// A row that is larger than an answer can be. It was not kept.
    LargeRow,
}

impl Wire {
    /// Opens the way to the first of the configuration's hosts.
    pub(crate) async fn open(config: &tokio_postgres::Config) -> io::Result<Self> {
        if config.get_ssl_mode() == SslMode::Require {
            let message =
                "sslmode=require is not supported: this server is for a PostgreSQL nearby";
            return Err(io::Error::other(message));
        }
        let stream = connect(config).await?;
        let (read, write) =
            (BytesMut::with_capacity(BUFFER_BYTES), BytesMut::with_capacity(BUFFER_BYTES));
        Ok(Self { stream, read, write, is_stretched: false })
    }

    /// Sends what is to be sent until the next message comes.
    pub(crate) async fn receive(&mut self) -> Result<Received, PgError> {
        loop {
            if let Some(bytes) = self.large_row()? {
                self.pass_over(bytes).await?;
                return Ok(Received::LargeRow);
            }
            if let Some(message) = Message::parse(&mut self.read)? {
                return Ok(Received::Message(message));
            }
            self.exchange().await?;
        }
    }

    /// Returns whether PostgreSQL has not ended the session meanwhile.
    pub(crate) fn is_open(&mut self) -> bool {
        let mut byte = [0];
        let mut buffer = ReadBuf::new(&mut byte);
        let mut context = Context::from_waker(Waker::noop());
        // An idle session has nothing to say, unless it was ended.
        Pin::new(&mut self.stream).poll_read(&mut context, &mut buffer).is_pending()
    }

    /// Gives back the memory that a large message has taken.
    pub(crate) fn shrink(&mut self) {
        if self.is_stretched && self.read.is_empty() && self.write.is_empty() {
            self.read = BytesMut::with_capacity(BUFFER_BYTES);
            self.write = BytesMut::with_capacity(BUFFER_BYTES);
            self.is_stretched = false;
        }
    }

    /// Reads something, and writes what there is to write meanwhile.
    async fn exchange(&mut self) -> io::Result<()> {
        self.is_stretched |= self.read.len().max(self.write.len()) > BUFFER_BYTES;
        if self.read.capacity() - self.read.len() < READ_BYTES_MIN {
            self.read.reserve(BUFFER_BYTES);
        }
        while !self.write.is_empty() {
            let (mut reader, mut writer) = tokio::io::split(&mut self.stream);
            tokio::select! {
                biased;
                written = writer.write_buf(&mut self.write) => {
                    if written? == 0 {
                        return Err(io::ErrorKind::WriteZero.into());
                    }
                }
                read = reader.read_buf(&mut self.read) => return is_some(read?),
            }
        }
        is_some(self.stream.read_buf(&mut self.read).await?)
    }

    /// The bytes of the next message, where it is a row that no answer can hold.
    fn large_row(&self) -> io::Result<Option<usize>> {
        let header = Header::parse(&self.read)?.filter(|header| header.tag() == DATA_ROW_TAG);
        let bytes = header.map(|header| usize::try_from(header.len()).unwrap_or_default() + 1);
        Ok(bytes.filter(|bytes| *bytes > HEADER_BYTES + RESULT_BYTES_MAX))
    }

    async fn pass_over(&mut self, mut bytes: usize) -> io::Result<()> {
        loop {
            let here = bytes.min(self.read.len());
            self.read.advance(here);
            bytes -= here;
            if bytes == 0 {
                return Ok(());
            }
            self.exchange().await?;
        }
    }
}

fn is_some(read: usize) -> io::Result<()> {
    if read == 0 { Err(io::ErrorKind::UnexpectedEof.into()) } else { Ok(()) }
}

async fn connect(config: &tokio_postgres::Config) -> io::Result<Box<dyn Stream>> {
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
