//! Reads the records of a file in its bucket, range by range, until the time is over.

use std::time::Duration;

use csv_stream::encoding::Encoding;
use csv_stream::inflate::Compression;
use csv_stream::reader::{Next, ReadError, Reader};
use csv_stream::records::{FilePosition, LineEnd, Record};
use tokio::time::timeout;

use super::options::Options;
use crate::aws::objects::{ObjectName, Objects, RangeReader};
use crate::domain::deadline::Deadline;
use crate::functions::import::stop::Stop;

/// The time for reading a file.
#[derive(Debug, Clone, Copy)]
pub(in crate::functions::import) struct ReadTime {
    pub until: Deadline,
    /// The time from which an invocation counts as a full one: see
    /// [`Import`](crate::functions::import::Import).
    pub full_invocation: Duration,
    /// The most bytes of the content that hold one chunk. More bytes hold another chunk, unless
    /// they hold no records.
    pub chunk_bytes_max: u64,
}

/// A file that is being read.
#[derive(Debug)]
pub(in crate::functions::import) struct File {
    ranges: RangeReader,
    reader: Reader<Vec<u8>>,
    /// The bytes of the object that went to the reader so far.
    bytes_read: u64,
    is_ended: bool,
    time: ReadTime,
    /// The position up to which the content is cut, and the time that remained then.
    cut: (FilePosition, Duration),
}

impl File {
    /// Opens a file at its beginning. Reading fails if the object is replaced by another one.
    pub(in crate::functions::import) fn open(
        objects: &Objects,
        name: &ObjectName,
        size_bytes: u64,
        options: &Options,
        time: ReadTime,
    ) -> Self {
        Self {
            ranges: objects.read(name, size_bytes, 0),
            reader: Reader::new(options.dialect.clone(), options.encoding),
            bytes_read: 0,
            is_ended: false,
            time,
            cut: (FilePosition { byte_offset: 0, line: 1 }, time.until.remaining()),
        }
    }

    /// Opens a file at the beginning of a record. The file must not be compressed.
    pub(in crate::functions::import) fn open_at(
        objects: &Objects,
        name: &ObjectName,
        size_bytes: u64,
        options: &Options,
        encoding: Encoding,
        position: FilePosition,
        time: ReadTime,
    ) -> Self {
        Self {
            ranges: objects.read(name, size_bytes, position.byte_offset),
            reader: Reader::at(options.dialect.clone(), encoding, position),
            bytes_read: position.byte_offset,
            is_ended: false,
            time,
            cut: (position, time.until.remaining()),
        }
    }

    /// Adds the next records to `records`. Returns `false` at the end of the file.
    pub(in crate::functions::import) async fn read(
        &mut self,
        records: &mut Vec<Record>,
    ) -> Result<bool, Stop> {
        let len = records.len();
        while !self.is_ended && records.len() == len {
            // The lanes load in the same task.
            tokio::task::yield_now().await;
            let remaining = self.time.until.remaining();
            if remaining.is_zero() {
                return Err(self.out_of_time());
            }
            match self.reader.read(records)? {
                Next::Again => {}
                Next::End => self.is_ended = true,
                Next::Input => match timeout(remaining, self.ranges.next()).await {
                    Err(_) => return Err(self.out_of_time()),
                    Ok(next) => match next? {
                        Some(bytes) => {
                            self.bytes_read += bytes.len() as u64;
                            self.reader.push(bytes);
                        }
                        None => self.reader.end(),
                    },
                },
            }
        }
        Ok(!self.is_ended)
    }

    /// Notes that a chunk was cut at this position.
    pub(in crate::functions::import) fn cut(&mut self) {
        self.cut = (self.reader.position(), self.time.until.remaining());
    }

    /// Returns the reason to stop. The import fails if the next invocation would have no more time,
    /// and would come no further.
    fn out_of_time(&self) -> Stop {
        let (FilePosition { byte_offset, line }, had) = self.cut;
        let bytes = self.reader.position().byte_offset.saturating_sub(byte_offset);
        if had >= self.time.full_invocation && bytes > self.time.chunk_bytes_max {
            return ReadError::Endless { line }.into();
        }
        Stop::OutOfTime { has_advanced: false }
    }

    /// Returns the bytes of the object that were read.
    pub(in crate::functions::import) fn bytes_read(&self) -> u64 {
        self.bytes_read
    }

    /// Returns the encoding, after the first bytes were read.
    pub(in crate::functions::import) fn encoding(&self) -> Option<Encoding> {
        self.reader.encoding()
    }

    /// Returns the compression, if the file has one.
    pub(in crate::functions::import) fn compression(&self) -> Option<Compression> {
        self.reader.compression()
    }

    /// Returns the line end of the first line, after it was read.
    pub(in crate::functions::import) fn line_end(&self) -> Option<LineEnd> {
        self.reader.line_end()
    }
}
