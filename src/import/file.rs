//! A file as it comes out of its bucket: ranges in, records out.

use crate::aws::objects::{ObjectName, Objects, RangeReader};
use crate::csv::encoding::Encoding;
use crate::csv::inflate::Compression;
use crate::csv::reader::{Next, ReadError, Reader};
use crate::csv::records::{LineEnd, Place, Record};
use crate::error::ServiceError;
use crate::import::options::Options;

/// Why a file cannot be read on.
#[derive(Debug, thiserror::Error)]
pub(super) enum FileError {
    #[error(transparent)]
    Service(#[from] ServiceError),
    /// What is in it cannot be read: nobody but its owner can change that.
    #[error(transparent)]
    Unreadable(#[from] ReadError),
}

/// What to tell of a file whose content cannot be read.
pub(super) fn unreadable(error: &ReadError) -> String {
    format!("the file cannot be read on: {}", crate::error::chain(error))
}

/// A file that is being read.
#[derive(Debug)]
pub(super) struct File {
    ranges: RangeReader,
    reader: Reader<Vec<u8>>,
    /// Bytes of the object that went to the reader so far.
    bytes_read: u64,
    is_ended: bool,
}

impl File {
    /// From its beginning. The object is read as long as it is still the one that is named.
    pub(super) fn open(
        objects: &Objects,
        name: &ObjectName,
        size_bytes: u64,
        options: &Options,
    ) -> Self {
        Self {
            ranges: objects.read(name, size_bytes, 0),
            reader: Reader::new(options.dialect.clone(), options.encoding),
            bytes_read: 0,
            is_ended: false,
        }
    }

    /// From the beginning of a record. Only for a file that is not compressed.
    pub(super) fn open_at(
        objects: &Objects,
        name: &ObjectName,
        size_bytes: u64,
        options: &Options,
        encoding: Encoding,
        place: Place,
    ) -> Self {
        Self {
            ranges: objects.read(name, size_bytes, place.byte_offset),
            reader: Reader::at(options.dialect.clone(), encoding, place),
            bytes_read: place.byte_offset,
            is_ended: false,
        }
    }

    /// Adds the next records, and tells whether there may be more.
    pub(super) async fn read(&mut self, records: &mut Vec<Record>) -> Result<bool, FileError> {
        let len = records.len();
        while !self.is_ended && records.len() == len {
            match self.reader.read(records)? {
                Next::Again => {}
                Next::End => self.is_ended = true,
                Next::Input => match self.ranges.next().await? {
                    Some(bytes) => {
                        self.bytes_read += bytes.len() as u64;
                        self.reader.push(bytes);
                    }
                    None => self.reader.end(),
                },
            }
        }
        Ok(!self.is_ended)
    }

    pub(super) fn bytes_read(&self) -> u64 {
        self.bytes_read
    }

    pub(super) fn encoding(&self) -> Option<Encoding> {
        self.reader.encoding()
    }

    pub(super) fn compression(&self) -> Option<Compression> {
        self.reader.compression()
    }

    pub(super) fn line_end(&self) -> Option<LineEnd> {
        self.reader.line_end()
    }
}
