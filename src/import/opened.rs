//! Opens a file: what its first record says, and where to go on.

use aurora_sync_catalog::Table;

use super::chunk::{Chunk, Limits, Repeats};
use super::claim::Progress;
use super::file::{File, FileError};
use super::layout::{HeaderError, Layout};
use super::options::Options;
use super::report::Format;
use crate::aws::objects::{ObjectName, Objects};
use crate::csv::encoding::Encoding;
use crate::csv::records::{LineEnd, Record};
use crate::error::SyncError;
use crate::key;

/// A file whose columns are known, at the place from which it is to be loaded.
#[derive(Debug)]
pub(super) struct Opened<'a> {
    pub layout: Layout<'a>,
    pub encoding: Encoding,
    pub format: Format,
    file: File,
    /// Records that were read and not cut.
    records: std::vec::IntoIter<Record>,
    may_have_more: bool,
    repeats: Repeats,
    /// The chunk that is being filled.
    chunk: Chunk,
    limits: Limits,
}

impl Opened<'_> {
    /// Reads, checks and cuts the next chunk; `None` at the end of the file. The last one may not be full.
    pub(super) async fn next_chunk(&mut self) -> Result<Option<Chunk>, FileError> {
        loop {
            for record in self.records.by_ref() {
                self.chunk.push(&self.layout, record, &mut self.repeats);
                if self.chunk.is_full(self.limits) {
                    return Ok(Some(self.cut()));
                }
            }
            if !self.may_have_more {
                let last = self.cut();
                return Ok((!last.is_empty()).then_some(last));
            }
            let mut records = Vec::new();
            self.may_have_more = self.file.read(&mut records).await?;
            self.records = records.into_iter();
            // Those that load wait for the same thread.
            tokio::task::yield_now().await;
        }
    }

    fn cut(&mut self) -> Chunk {
        let next = self.chunk.next();
        std::mem::replace(&mut self.chunk, next)
    }

    /// The records of all chunks that were cut, and of those before the first.
    pub(super) fn records_cut(&self) -> u64 {
        self.chunk.first_record - 1
    }

    /// Bytes of the object that were read so far.
    pub(super) fn bytes_read(&self) -> u64 {
        self.file.bytes_read()
    }
}

/// Why a file cannot be opened.
#[derive(Debug, thiserror::Error)]
pub(super) enum OpenError {
    #[error(transparent)]
    Sync(#[from] SyncError),
    /// What its owner can do something about.
    #[error("{0}")]
    Refused(String),
}

impl From<FileError> for OpenError {
    fn from(error: FileError) -> Self {
        match error {
            FileError::Service(error) => Self::Sync(error.into()),
            FileError::Unreadable(error) => Self::Refused(super::lanes::unreadable(&error)),
        }
    }
}

impl From<HeaderError> for OpenError {
    fn from(error: HeaderError) -> Self {
        Self::Refused(error.to_string())
    }
}

/// Reads the header, and goes to where the loading is to go on.
pub(super) async fn open<'a>(
    objects: &Objects,
    name: &ObjectName,
    size_bytes: u64,
    table: &'a Table,
    options: &Options,
    progress: &Progress,
) -> Result<Opened<'a>, OpenError> {
    let mut file = File::open(objects, name, size_bytes, options);
    let mut records = Vec::new();
    let mut may_have_more = true;
    while records.is_empty() && may_have_more {
        may_have_more = file.read(&mut records).await?;
    }
    let header = (options.has_header && !records.is_empty()).then(|| records.remove(0));
    let layout = match (&header, &options.columns) {
        (Some(header), _) => Layout::from_header(table, header, options)?,
        (None, Some(columns)) if !options.has_header => {
            Layout::from_columns(table, columns, options)?
        }
        (None, _) => {
            let error = "the file is empty; its first line must name the columns";
            return Err(OpenError::Refused(error.to_owned()));
        }
    };
    let encoding = match file.encoding() {
        Some(encoding) => encoding,
        None => Encoding::of(options.encoding, &[])
            .map_err(|error| OpenError::Refused(error.to_string()))?,
    };
    let format = Format {
        dialect: options.dialect.clone(),
        encoding,
        line_end: file.line_end().unwrap_or(LineEnd::Lf),
        header: header.map(|header| header.raw),
        columns: options.columns.clone().unwrap_or_default(),
        has_error_column: layout.has_error_column(),
    };
    let knows_keys = key::are_comparable(table);
    let mut opened = Opened {
        layout,
        encoding,
        format,
        file,
        records: records.into_iter(),
        may_have_more,
        repeats: if knows_keys { Repeats::none() } else { Repeats::unknown() },
        chunk: Chunk::new(0, 1, progress.lanes),
        limits: progress.limits,
    };
    let next = progress.next;
    // A packed file is read again from its beginning: there is no way into the middle of it.
    if let Some((place, record)) = next.at
        && next.chunk > 0
        && opened.file.compression().is_none()
    {
        opened.file = File::open_at(objects, name, size_bytes, options, encoding, place);
        opened.records = Vec::new().into_iter();
        opened.may_have_more = true;
        opened.repeats = Repeats::unknown();
        opened.chunk = Chunk::new(next.chunk, record, progress.lanes);
    }
    Ok(opened)
}
