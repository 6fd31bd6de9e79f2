//! Opens a file: what its first record says, and where to go on.

use aurora_sync_catalog::Table;

use super::chunk::Repeats;
use super::claim::Next;
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
    pub file: File,
    pub layout: Layout<'a>,
    pub encoding: Encoding,
    pub format: Format,
    /// Records that were read together with the header.
    pub records: Vec<Record>,
    pub repeats: Repeats,
    pub first_chunk: u32,
    /// The number of the next record, from 1.
    pub first_record: u64,
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
    next: Next,
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
        file,
        layout,
        encoding,
        format,
        records,
        repeats: if knows_keys { Repeats::none() } else { Repeats::unknown() },
        first_chunk: 0,
        first_record: 1,
    };
    // A packed file is read again from its beginning: there is no way into the middle of it. So is one whose rows
    // refer to each other: which keys came before must be known, as a row that another refers to looks as if it had.
    if let Some((place, record)) = next.at
        && next.chunk > 0
        && opened.file.compression().is_none()
        && !table.references_itself()
    {
        opened.file = File::open_at(objects, name, size_bytes, options, encoding, place);
        opened.records = Vec::new();
        opened.repeats = Repeats::unknown();
        opened.first_chunk = next.chunk;
        opened.first_record = record;
    }
    Ok(opened)
}
