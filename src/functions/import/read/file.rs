//! A file as it comes out of its bucket: ranges in, records out, until the time is over.

use std::time::Duration;

use tokio::time::timeout;

use super::options::Options;
use crate::aws::objects::{ObjectName, Objects, RangeReader};
use crate::domain::deadline::Deadline;
use crate::functions::import::stop::Stop;
use csv_stream::encoding::Encoding;
use csv_stream::inflate::Compression;
use csv_stream::reader::{Next, ReadError, Reader};
use csv_stream::records::{LineEnd, Place, Record};

/// How long a file may be read.
#[derive(Debug, Clone, Copy)]
pub(in crate::functions::import) struct ReadTime {
    pub until: Deadline,
    /// So much of it is as much as any invocation has.
    pub full_invocation: Duration,
    /// So many bytes of the content hold more than one chunk, unless they hold no rows.
    pub chunk_bytes_max: u64,
}

/// A file that is being read.
#[derive(Debug)]
pub(in crate::functions::import) struct File {
    ranges: RangeReader,
    reader: Reader<Vec<u8>>,
    /// Bytes of the object that went to the reader so far.
    bytes_read: u64,
    is_ended: bool,
    time: ReadTime,
    /// Up to where the content is cut, and how much time was left there.
    cut: (Place, Duration),
}

impl File {
    /// From its beginning. The object is read as long as it is still the one that is named.
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
            cut: (Place { byte_offset: 0, line: 1 }, time.until.remaining()),
        }
    }

    /// From the beginning of a record. Only for a file that is not compressed.
    pub(in crate::functions::import) fn open_at(
        objects: &Objects,
        name: &ObjectName,
        size_bytes: u64,
        options: &Options,
        encoding: Encoding,
        position: Place,
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

    /// Adds the next records, and tells whether there may be more.
    pub(in crate::functions::import) async fn read(
        &mut self,
        records: &mut Vec<Record>,
    ) -> Result<bool, Stop> {
        let len = records.len();
        while !self.is_ended && records.len() == len {
            // Those that load wait for the same thread.
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

    /// What was read belongs to chunks that are cut.
    pub(in crate::functions::import) fn cut(&mut self) {
        self.cut = (self.reader.place(), self.time.until.remaining());
    }

    /// The next invocation would have no more time, and come no further.
    fn out_of_time(&self) -> Stop {
        let (Place { byte_offset, line }, had) = self.cut;
        let bytes = self.reader.place().byte_offset.saturating_sub(byte_offset);
        if had >= self.time.full_invocation && bytes > self.time.chunk_bytes_max {
            return ReadError::Endless { line }.into();
        }
        Stop::OutOfTime { has_advanced: false }
    }

    pub(in crate::functions::import) fn bytes_read(&self) -> u64 {
        self.bytes_read
    }

    pub(in crate::functions::import) fn encoding(&self) -> Option<Encoding> {
        self.reader.encoding()
    }

    pub(in crate::functions::import) fn compression(&self) -> Option<Compression> {
        self.reader.compression()
    }

    pub(in crate::functions::import) fn line_end(&self) -> Option<LineEnd> {
        self.reader.line_end()
    }
}
