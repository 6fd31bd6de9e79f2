//! A whole file, from the bytes of its object to its records.
//!
//! Pure. Whoever has bytes gives them, whoever wants records asks for them; at no time is there
//! more than a block of the file and one record in here.

use crate::dialect::Dialect;
use crate::encoding::{Charset, Contradiction, Encoding, MARK_BYTES_MAX};
use crate::inflate::{Compression, HEAD_BYTES, InflateError, Inflater};
pub use crate::records::FilePosition;
use crate::records::{LineEnd, OPEN_BYTES_MAX, Record, Records};

/// Bytes of the file that are read at a time: they bound the records that come at once.
const BLOCK_BYTES: usize = 64 * 1024;

/// Why a file cannot be read on.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    #[error(transparent)]
    Inflate(#[from] InflateError),
    #[error(transparent)]
    Encoding(#[from] Contradiction),
    #[error(
        "it is {0}, not CSV; save it as CSV, compressed with gzip, zstd or bzip2 or not at all"
    )]
    Foreign(&'static str),
    #[error(
        "the quote that opens on line {line} is not closed within {} MiB; close it, or set quote=none if quotes are \
         ordinary characters",
        OPEN_BYTES_MAX / 1024 / 1024
    )]
    Unclosed { line: u64 },
    #[error(
        "from line {line} on, no more rows end, and an invocation is too short to read to the next one; take out \
         what is no row"
    )]
    Endless { line: u64 },
}

/// Returns the kind of a file that is no CSV, by its first [`HEAD_BYTES`].
fn foreign(head: &[u8]) -> Option<&'static str> {
    Some(match head {
        [b'P', b'K', 3, 4, ..] => "a ZIP archive or an Excel workbook",
        [0xd0, 0xcf, 0x11, 0xe0, 0xa1, 0xb1, 0x1a, 0xe1, ..] => "an old Excel workbook",
        [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => "compressed with xz",
        [b'7', b'z', 0xbc, 0xaf, 0x27, 0x1c, ..] => "a 7z archive",
        [b'P', b'A', b'R', b'1', 0x15, ..] => "a Parquet file",
        [b'%', b'P', b'D', b'F', b'-', ..] => "a PDF",
        _ => return None,
    })
}

/// The next step of a reader.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// It has read some; there may be more in the bytes that it has.
    Again,
    /// It needs more bytes, or [`Reader::end`].
    Input,
    /// The file is read.
    End,
}

/// Reads one file.
#[derive(Debug)]
pub struct Reader<B> {
    input: Option<B>,
    taken: usize,
    is_ended: bool,
    source: Source,
    content: Content,
    block: Vec<u8>,
}

/// The bytes of the file, before decompression.
#[derive(Debug)]
enum Source {
    /// The compression is not yet known from the first bytes.
    Head(Vec<u8>),
    /// The compression is known; the first bytes are still to be read.
    Known { inflater: Option<Inflater>, head: Vec<u8> },
}

/// The content after decompression.
#[derive(Debug)]
enum Content {
    /// The encoding is not yet known from the first bytes.
    Head {
        dialect: Dialect,
        declared: Option<Charset>,
        head: Vec<u8>,
    },
    Records(Box<Records>),
}

impl<B: AsRef<[u8]>> Reader<B> {
    /// Makes a reader of a file, with the encoding that somebody has declared for it.
    pub fn new(dialect: Dialect, declared: Option<Charset>) -> Self {
        Self {
            input: None,
            taken: 0,
            is_ended: false,
            source: Source::Head(Vec::new()),
            content: Content::Head { dialect, declared, head: Vec::new() },
            block: Vec::new(),
        }
    }

    /// Goes on in a file that is not compressed, at the beginning of a record. The bytes that
    /// follow are those from there on. The first record from here decides the line end of the file.
    pub fn at(dialect: Dialect, encoding: Encoding, position: FilePosition) -> Self {
        Self {
            input: None,
            taken: 0,
            is_ended: false,
            source: Source::Known { inflater: None, head: Vec::new() },
            content: Content::Records(Box::new(Records::at(dialect, encoding, position))),
            block: Vec::new(),
        }
    }

    /// Gives it the next bytes, after it has asked for some.
    pub fn push(&mut self, input: B) {
        debug_assert!(self.input.is_none(), "the reader has input");
        self.input = Some(input);
        self.taken = 0;
    }

    /// Says that there are no more bytes.
    pub fn end(&mut self) {
        self.is_ended = true;
    }

    pub fn encoding(&self) -> Option<Encoding> {
        match &self.content {
            Content::Head { .. } => None,
            Content::Records(records) => Some(records.encoding()),
        }
    }

    pub fn compression(&self) -> Option<Compression> {
        match &self.source {
            Source::Head(_) => None,
            Source::Known { inflater, .. } => inflater.as_ref().map(Inflater::compression),
        }
    }

    /// The position of the next byte of the content.
    pub fn position(&self) -> FilePosition {
        match &self.content {
            Content::Head { .. } => FilePosition { byte_offset: 0, line: 1 },
            Content::Records(records) => records.position(),
        }
    }

    /// The end of the header's line, as far as it is known.
    pub fn line_end(&self) -> Option<LineEnd> {
        match &self.content {
            Content::Head { .. } => None,
            Content::Records(records) => records.line_end(),
        }
    }

    /// Reads a block, and adds the records that end in it.
    pub fn read(&mut self, records: &mut Vec<Record>) -> Result<Next, ReadError> {
        if let Source::Head(head) = &mut self.source {
            let input = self.input.as_ref().map(AsRef::as_ref).unwrap_or_default();
            let wanted = HEAD_BYTES - head.len();
            let taken = input.get(..wanted).unwrap_or(input);
            head.extend_from_slice(taken);
            self.taken = taken.len();
            if head.len() < HEAD_BYTES && !self.is_ended {
                self.input = None;
                return Ok(Next::Input);
            }
            let head = std::mem::take(head);
            if let Some(what) = foreign(&head) {
                return Err(ReadError::Foreign(what));
            }
            let inflater = Compression::of(&head).map(Inflater::new);
            self.source = Source::Known { inflater, head };
        }
        let Source::Known { inflater, head } = &mut self.source else { return Ok(Next::Again) };
        let is_head = !head.is_empty();
        let rest = match &self.input {
            _ if is_head => head.as_slice(),
            Some(input) => input.as_ref().get(self.taken..).unwrap_or_default(),
            None => &[],
        };
        if rest.is_empty() {
            self.input = None;
            return if self.is_ended { self.finish(records) } else { Ok(Next::Input) };
        }
        let block = rest.get(..BLOCK_BYTES).unwrap_or(rest);
        let taken = if let Some(inflater) = inflater {
            self.block.resize(BLOCK_BYTES, 0);
            let (taken, given) = inflater.inflate(block, &mut self.block)?;
            self.content.push(self.block.get(..given).unwrap_or_default(), records)?;
            taken
        } else {
            self.content.push(block, records)?;
            block.len()
        };
        if is_head {
            head.drain(..taken);
        } else {
            self.taken += taken;
        }
        Ok(Next::Again)
    }

    fn finish(&mut self, records: &mut Vec<Record>) -> Result<Next, ReadError> {
        if let Source::Known { inflater: Some(inflater), .. } = &mut self.source {
            self.block.resize(BLOCK_BYTES, 0);
            let given = inflater.finish(&mut self.block)?;
            if given > 0 {
                self.content.push(self.block.get(..given).unwrap_or_default(), records)?;
                return Ok(Next::Again);
            }
        }
        self.content.finish(records)?;
        Ok(Next::End)
    }
}

impl Content {
    fn push(&mut self, block: &[u8], records: &mut Vec<Record>) -> Result<(), ReadError> {
        match self {
            Self::Records(reader) => {
                reader.push(block, records);
                if let Some(line) = reader.unclosed() {
                    return Err(ReadError::Unclosed { line });
                }
            }
            Self::Head { head, .. } => {
                head.extend_from_slice(block);
                if head.len() >= MARK_BYTES_MAX {
                    self.begin(records)?;
                }
            }
        }
        Ok(())
    }

    fn finish(&mut self, records: &mut Vec<Record>) -> Result<(), Contradiction> {
        if let Self::Head { .. } = self {
            self.begin(records)?;
        }
        if let Self::Records(reader) = self {
            reader.finish(records);
        }
        Ok(())
    }

    fn begin(&mut self, records: &mut Vec<Record>) -> Result<(), Contradiction> {
        if let Self::Head { dialect, declared, head } = self {
            let encoding = Encoding::of(*declared, head)?;
            let mut reader = Records::new(dialect.clone(), encoding);
            reader.push(head.get(encoding.mark().len()..).unwrap_or_default(), records);
            *self = Self::Records(Box::new(reader));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
