//! Reads CSV files in any dialect, encoding and compression: bytes in, records with their positions
//! out.
//!
//! Pure, and in constant memory for files of any size, compressed or damaged. Knows no table. The
//! bytes of a file go through [`inflate`] (gzip, zstd, bzip2), are cut into lines and decoded
//! ([`encoding`], [`lines`]), and become [`records`] by the rules of a [`dialect`].
//! [`reader::Reader`] does all of that; it does no I/O:
//!
//! ```
//! use csv_stream::dialect::Dialect;
//! use csv_stream::reader::{Next, Reader};
//! use csv_stream::records::Content;
//!
//! let mut reader = Reader::new(Dialect::default(), None);
//! reader.push(b"id,name\n1,\"O, K\"\n");
//! let mut records = Vec::new();
//! loop {
//!     match reader.read(&mut records)? {
//!         Next::Input => reader.end(),
//!         Next::Again => {}
//!         Next::End => break,
//!     }
//! }
//! assert_eq!(records[1].line, 2);
//! let Content::Fields(fields) = &records[1].content else { panic!("the record is sound") };
//! assert_eq!(fields.iter().nth(1), Some(Some("O, K")));
//! # Ok::<(), csv_stream::reader::ReadError>(())
//! ```

pub mod dialect;
pub mod encoding;
pub mod fields;
pub mod inflate;
pub mod lines;
pub mod reader;
pub mod records;

/// Compresses a file, for tests.
#[cfg(test)]
fn compressed(compression: Option<inflate::Compression>, content: &[u8]) -> Vec<u8> {
    use compression_codecs::core::{Level, util::PartialBuffer, util::WriteBuffer};
    use compression_codecs::{BzEncoder, EncodeV2, GzipEncoder, ZstdEncoder};

    let mut encoder: Box<dyn EncodeV2> = match compression {
        None => return content.to_vec(),
        Some(inflate::Compression::Gzip) => Box::new(GzipEncoder::new(Level::Default.into())),
        Some(inflate::Compression::Zstd) => Box::new(ZstdEncoder::new(3)),
        Some(inflate::Compression::Bzip2) => Box::new(BzEncoder::new(Level::Best.into(), 0)),
    };
    let mut compressed = vec![0; 2 * content.len() + 4096];
    let mut target = WriteBuffer::new_initialized(&mut compressed);
    let mut source = PartialBuffer::new(content);
    while !source.unwritten().is_empty() {
        encoder.encode(&mut source, &mut target).unwrap();
    }
    while !encoder.finish(&mut target).unwrap() {}
    let len = target.written_len();
    compressed.truncate(len);
    compressed
}
