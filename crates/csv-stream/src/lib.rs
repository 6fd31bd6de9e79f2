//! Files of comma-separated values, whatever program wrote them: bytes in, records out.
//!
//! Pure, and in constant memory however large, however packed and however damaged a file is. Knows no
//! table. The bytes of an object go through [`inflate`] (gzip, zstd, bzip2), are cut into lines and
//! decoded ([`encoding`], [`lines`]), and become [`records`] by the rules of a [`dialect`].

pub mod dialect;
pub mod encoding;
pub mod fields;
pub mod inflate;
pub mod lines;
pub mod reader;
pub mod records;

/// Packs a file, for tests.
#[cfg(test)]
fn packed(compression: Option<inflate::Compression>, content: &[u8]) -> Vec<u8> {
    use compression_codecs::core::{Level, util::PartialBuffer, util::WriteBuffer};
    use compression_codecs::{BzEncoder, EncodeV2, GzipEncoder, ZstdEncoder};

    let mut encoder: Box<dyn EncodeV2> = match compression {
        None => return content.to_vec(),
        Some(inflate::Compression::Gzip) => Box::new(GzipEncoder::new(Level::Default.into())),
        Some(inflate::Compression::Zstd) => Box::new(ZstdEncoder::new(3)),
        Some(inflate::Compression::Bzip2) => Box::new(BzEncoder::new(Level::Best.into(), 0)),
    };
    let mut packed = vec![0; 2 * content.len() + 4096];
    let mut target = WriteBuffer::new_initialized(&mut packed);
    let mut source = PartialBuffer::new(content);
    while !source.unwritten().is_empty() {
        encoder.encode(&mut source, &mut target).unwrap();
    }
    while !encoder.finish(&mut target).unwrap() {}
    let len = target.written_len();
    packed.truncate(len);
    packed
}
