//! Reads the records of a file in its bucket, range by range, until the time is over.

use std::time::Duration;

use csv_stream::encoding::Encoding;
use csv_stream::reader::{Next, ReadError, Reader};
use csv_stream::records::{FilePosition, Record};
use import_options::Options;
use tokio::time::timeout;

use crate::aws::objects::{ObjectName, Objects, RangeReader};
use crate::domain::deadline::Deadline;
use crate::functions::import::stop::Stop;

/// The object of a file, and the way in which it is read.
#[derive(Debug, Clone, Copy)]
pub(in crate::functions::import) struct FileSource<'a> {
    pub objects: &'a Objects,
    pub object: &'a ObjectName,
    pub size_bytes: u64,
    pub options: &'a Options,
    /// The time at which reading stops.
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
pub(in crate::functions::import) struct File<'a> {
    source: FileSource<'a>,
    ranges: RangeReader,
    pub reader: Reader<Vec<u8>>,
    /// The bytes of the object that went to the reader so far.
    pub bytes_read: u64,
    is_ended: bool,
    /// The position up to which the content is cut, and the time that remained then.
    cut: (FilePosition, Duration),
}

impl<'a> File<'a> {
    /// Opens a file at its beginning or, if it is not compressed, at the beginning of a record.
    /// Reading fails if the object is replaced by another one.
    pub(in crate::functions::import) fn open(
        source: FileSource<'a>,
        at: Option<(Encoding, FilePosition)>,
    ) -> Self {
        let FileSource { object, size_bytes, options, until, .. } = source;
        let dialect = options.dialect.clone();
        let begin = FilePosition { byte_offset: 0, line: 1 };
        let (reader, position) = match at {
            None => (Reader::new(dialect, options.encoding), begin),
            Some((encoding, position)) => (Reader::at(dialect, encoding, position), position),
        };
        Self {
            source,
            ranges: source.objects.read(object, size_bytes, position.byte_offset),
            reader,
            bytes_read: position.byte_offset,
            is_ended: false,
            cut: (position, until.remaining()),
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
            let remaining = self.source.until.remaining();
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
        self.cut = (self.reader.position(), self.source.until.remaining());
    }

    /// Returns the reason to stop. The import fails if the next invocation would have no more time,
    /// and would come no further.
    fn out_of_time(&self) -> Stop {
        let (FilePosition { byte_offset, line }, had) = self.cut;
        let bytes = self.reader.position().byte_offset.saturating_sub(byte_offset);
        if had >= self.source.full_invocation && bytes > self.source.chunk_bytes_max {
            return ReadError::Endless { line }.into();
        }
        Stop::OutOfTime { has_advanced: false }
    }
}
