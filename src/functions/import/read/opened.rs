//! Opens a file: reads its header, and goes to the checkpoint.

use aurora_sync_catalog::Table;
use csv_stream::encoding::Encoding;
use csv_stream::reader::ReadError;
use csv_stream::records::{Content, FilePosition, LineEnd, Record};

use super::chunk::{Chunk, ChunkEnd};
use super::file::{File, FileSource};
use super::layout::Layout;
use crate::functions::import::claim::Progress;
use crate::functions::import::report::Format;
use crate::functions::import::stop::Stop;

/// A file whose columns are known, at the position where loading begins.
#[derive(Debug)]
pub(in crate::functions::import) struct Opened<'a> {
    pub layout: Layout<'a>,
    pub format: Format,
    file: File<'a>,
    /// The records that were read, but are in no chunk yet.
    records: std::vec::IntoIter<Record>,
    may_have_more: bool,
    /// The chunk that is being filled.
    chunk: Chunk,
}

/// A file whose header was read.
#[derive(Debug)]
struct Begun<'a> {
    file: File<'a>,
    /// `None` if the file has no header, or no record at all.
    header: Option<Record>,
    /// The records that came with the header.
    records: Vec<Record>,
    may_have_more: bool,
    format: Format,
}

/// Reads the header, and returns the format of the file.
pub(in crate::functions::import) async fn format(source: FileSource<'_>) -> Result<Format, Stop> {
    Ok(begin(source).await?.format)
}

async fn begin(source: FileSource<'_>) -> Result<Begun<'_>, Stop> {
    let options = source.options;
    let mut file = File::open(source, None);
    let mut records = Vec::new();
    let mut may_have_more = read_some(&mut file, &mut records).await?;
    if is_delimiter_line(records.first(), options.dialect.delimiter)? {
        records.remove(0);
        may_have_more = may_have_more && read_some(&mut file, &mut records).await?;
    }
    let header = (options.has_header && !records.is_empty()).then(|| records.remove(0));
    let encoding = match file.reader.encoding() {
        Some(encoding) => encoding,
        None => Encoding::of(options.encoding, &[]).map_err(ReadError::from)?,
    };
    let format = Format {
        dialect: options.dialect.clone(),
        encoding,
        line_end: file.reader.line_end().unwrap_or(LineEnd::Lf),
        header: header.as_ref().map(|header| header.raw.clone()),
        columns: options.columns.clone().unwrap_or_default(),
    };
    Ok(Begun { file, header, records, may_have_more, format })
}

/// Reads the header, and goes to the checkpoint.
///
/// Fails if the header does not fit the table or the options, or if the file is empty.
pub(in crate::functions::import) async fn open<'a>(
    source: FileSource<'a>,
    table: &'a Table,
    progress: &Progress,
) -> Result<Opened<'a>, Stop> {
    let options = source.options;
    let Begun { file, header, records, may_have_more, format } = begin(source).await?;
    let layout = match (&header, &options.columns) {
        (Some(header), _) => Layout::from_header(table, header, options)?,
        (None, Some(columns)) if !options.has_header => {
            Layout::from_columns(table, columns, options)?
        }
        (None, _) => {
            let error = "the file is empty; its first line must name the columns";
            return Err(Stop::Failed(error.to_owned()));
        }
    };
    let Progress { chunk, position, record, lanes, limits, .. } = *progress;
    let mut opened = Opened {
        layout,
        format,
        file,
        records: records.into_iter(),
        may_have_more,
        chunk: Chunk::new(0, 1, lanes, limits),
    };
    // A compressed file is read from its beginning again.
    if chunk > 0 && (position.is_none() || !opened.is_compressed()) {
        opened.records = Vec::new().into_iter();
        opened.chunk = Chunk::new(chunk, record, lanes, limits);
        opened.may_have_more = position.is_some();
        if let Some((byte_offset, line)) = position {
            let position = FilePosition { byte_offset, line };
            opened.file = File::open(source, Some((opened.format.encoding, position)));
        }
    }
    Ok(opened)
}

impl Opened<'_> {
    /// Reads, checks and cuts the next chunk. Returns `None` at the end of the file. Only the last
    /// chunk can have room left.
    pub(in crate::functions::import) async fn next_chunk(
        &mut self,
    ) -> Result<Option<(Chunk, ChunkEnd)>, Stop> {
        loop {
            for record in self.records.by_ref() {
                let full = self.chunk.is_full().then(|| record.position());
                let full = full.map(|next| cut(&mut self.chunk, &mut self.file, Some(next)));
                self.chunk.push(&self.layout, record);
                if full.is_some() {
                    return Ok(full);
                }
            }
            if !self.may_have_more {
                let (last, end) = cut(&mut self.chunk, &mut self.file, None);
                return Ok((!last.is_empty()).then_some((last, end)));
            }
            let mut records = Vec::new();
            self.may_have_more = self.file.read(&mut records).await?;
            self.records = records.into_iter();
        }
    }

    /// Returns `true` if the file is compressed, so that reading cannot begin in the middle.
    pub(in crate::functions::import) fn is_compressed(&self) -> bool {
        self.file.reader.compression().is_some()
    }

    /// Returns the number of records in all chunks up to the last one that was cut.
    pub(in crate::functions::import) fn records_cut(&self) -> u64 {
        self.chunk.first_record - 1
    }

    /// Returns the bytes of the object that were read.
    pub(in crate::functions::import) fn bytes_read(&self) -> u64 {
        self.file.bytes_read
    }
}

/// Takes the chunk that is filled, and begins the next one, whose first record is at `next`.
fn cut(chunk: &mut Chunk, file: &mut File<'_>, next: Option<FilePosition>) -> (Chunk, ChunkEnd) {
    file.cut();
    let after = chunk.next();
    let end = ChunkEnd {
        records: chunk.records(),
        bytes_read: file.bytes_read,
        next,
        next_record: after.first_record,
    };
    (std::mem::replace(chunk, after), end)
}

/// Reads until there is a record. Returns `false` at the end of the file.
async fn read_some(file: &mut File<'_>, records: &mut Vec<Record>) -> Result<bool, Stop> {
    while records.is_empty() {
        if !file.read(records).await? {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Returns `true` for a line such as `sep=;`, which programs write before the header for Excel.
/// Fails if it declares another delimiter than `own`, that of the options.
fn is_delimiter_line(record: Option<&Record>, own: u8) -> Result<bool, Stop> {
    let Some(Content::Fields(fields)) = record.map(|record| &record.content) else {
        return Ok(false);
    };
    let fields: Vec<_> = fields.iter().map(Option::unwrap_or_default).collect();
    let declared = match fields.as_slice() {
        // The own delimiter separates two fields.
        [first, ""] if first.eq_ignore_ascii_case("sep=") => own,
        [only] => match only.as_bytes() {
            [b's' | b'S', b'e' | b'E', b'p' | b'P', b'=', declared] => *declared,
            _ => return Ok(false),
        },
        _ => return Ok(false),
    };
    if declared == own {
        return Ok(true);
    }
    let declared = char::from(declared);
    Err(Stop::Failed(format!(
        "the first line, sep={declared}, declares another delimiter; set the option delimiter to {declared:?}"
    )))
}
