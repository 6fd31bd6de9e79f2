//! Decompresses gzip, zstd and bzip2, which it recognises by their first bytes, in constant memory.
//!
//! Pure. Several members one after the other are one file, as `cat a.gz b.gz` makes them. A file
//! that inflates beyond all reason is given up, so that a small file cannot occupy the function for
//! ever.

use std::fmt;

use compression_codecs::core::util::{PartialBuffer, WriteBuffer};
use compression_codecs::zstd::params::DParameter;
use compression_codecs::{BzDecoder, DecodeV2, GzipDecoder, ZstdDecoder};

/// The number of bytes by which a compression is recognised.
pub const HEAD_BYTES: usize = 10;

/// The most that a file may grow: gzip comes to 1,032 with nothing but zeros, text with much
/// repetition to some 100.
pub const RATIO_MAX: u64 = 500;

/// Below this much, the ratio does not matter.
const RATIO_FREE_BYTES: u64 = 64 * 1024 * 1024;

/// The most bytes that a compressed file may hold: it is decompressed from its start each time an
/// import goes on, which must fit the 15 minutes of an invocation.
pub const INFLATED_BYTES_MAX: u64 = 100 * 1024 * 1024 * 1024;

/// zstd may ask for memory to remember this much (2^23, 8 MiB): RFC 8878 asks every decoder for
/// that.
const ZSTD_WINDOW_LOG_MAX: u32 = 23;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compression {
    Gzip,
    Zstd,
    Bzip2,
}

impl fmt::Display for Compression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Gzip => "gzip",
            Self::Zstd => "zstd",
            Self::Bzip2 => "bzip2",
        })
    }
}

impl Compression {
    /// Returns the compression that the first [`HEAD_BYTES`] of a file show; `None` for a file that
    /// is not compressed.
    pub fn of(head: &[u8]) -> Option<Self> {
        match head {
            [0x1f, 0x8b, 0x08, ..] => Some(Self::Gzip),
            // A frame, or one of the sixteen that are to be skipped.
            [0x28, 0xb5, 0x2f, 0xfd, ..] | [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => Some(Self::Zstd),
            // The first three are letters that a header might begin with: a block, or the end,
            // follows.
            [b'B', b'Z', b'h', b'1'..=b'9', 0x31, 0x41, 0x59, 0x26, 0x53, 0x59, ..]
            | [b'B', b'Z', b'h', b'1'..=b'9', 0x17, 0x72, 0x45, 0x38, 0x50, 0x90, ..] => {
                Some(Self::Bzip2)
            }
            _ => None,
        }
    }

    fn decoder(self) -> Box<dyn DecodeV2 + Send> {
        match self {
            Self::Gzip => Box::new(GzipDecoder::new()),
            Self::Zstd => {
                let window = DParameter::window_log_max(ZSTD_WINDOW_LOG_MAX);
                Box::new(ZstdDecoder::new_with_params(&[window]))
            }
            Self::Bzip2 => Box::new(BzDecoder::new()),
        }
    }
}

/// An error in a compressed file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InflateError {
    #[error(
        "the {compression} data ends in the middle of it (after {read} bytes); was the upload cut off?"
    )]
    Truncated { compression: Compression, read: u64 },
    #[error("the {compression} data is damaged near byte {read}: {reason}")]
    Damaged { compression: Compression, read: u64, reason: String },
    #[error("bytes that are no {compression} data follow the {compression} data at byte {at}")]
    TrailingGarbage { compression: Compression, at: u64 },
    #[error(
        "the zstd data needs a window of more than 8 MiB; compress it without --long and --ultra"
    )]
    WindowTooLarge,
    #[error(
        "the {compression} data grows more than {RATIO_MAX}-fold, which no table does; upload it as it is"
    )]
    GrowsTooMuch { compression: Compression },
    #[error("the {compression} data holds more than 100 GiB; split it, or upload it as it is")]
    TooLarge { compression: Compression },
}

/// A compressed file that is being read.
pub struct Inflater {
    compression: Compression,
    decoder: Box<dyn DecodeV2 + Send>,
    /// Nothing of a member was read since the last one ended.
    is_between: bool,
    /// The offset of the member's beginning, and the number of its bytes that have come out.
    member_at: u64,
    member_written: u64,
    read: u64,
    written: u64,
}

impl fmt::Debug for Inflater {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inflater")
            .field("compression", &self.compression)
            .field("read", &self.read)
            .field("written", &self.written)
            .finish_non_exhaustive()
    }
}

impl Inflater {
    pub fn new(compression: Compression) -> Self {
        Self {
            compression,
            decoder: compression.decoder(),
            is_between: false,
            member_at: 0,
            member_written: 0,
            read: 0,
            written: 0,
        }
    }

    pub fn compression(&self) -> Compression {
        self.compression
    }

    /// Inflates some of `input` into `output`, and tells how many bytes it took and gave. It takes
    /// all or fills the output, whichever comes first, and may keep what did not fit for the next
    /// call.
    pub fn inflate(
        &mut self,
        input: &[u8],
        output: &mut [u8],
    ) -> Result<(usize, usize), InflateError> {
        let (mut taken, mut given) = (0, 0);
        while taken < input.len() && given < output.len() {
            let rest = input.get(taken..).unwrap_or_default();
            if self.is_between && self.compression == Compression::Gzip && rest.first() == Some(&0)
            {
                // Zeros fill the last block of a tape.
                taken += 1;
                self.read += 1;
                continue;
            }
            let (took, gave) = self.step(rest, output.get_mut(given..).unwrap_or_default())?;
            taken += took;
            given += gave;
        }
        Ok((taken, given))
    }

    /// Writes the remaining output after the last input; returns 0 at the end.
    pub fn finish(&mut self, output: &mut [u8]) -> Result<usize, InflateError> {
        // A footer follows the bytes that gzip and bzip2 hold back: without it, the data was cut.
        let given = match self.compression {
            Compression::Zstd if !self.is_between => self.step(&[], output)?.1,
            _ => 0,
        };
        if given == 0 && !self.is_between {
            return Err(InflateError::Truncated { compression: self.compression, read: self.read });
        }
        Ok(given)
    }

    fn step(&mut self, input: &[u8], output: &mut [u8]) -> Result<(usize, usize), InflateError> {
        if self.is_between {
            self.decoder.reinit().map_err(|error| self.failed(&error))?;
            self.is_between = false;
            (self.member_at, self.member_written) = (self.read, 0);
        }
        let mut source = PartialBuffer::new(input);
        let mut target = WriteBuffer::new_initialized(output);
        let result = self.decoder.decode(&mut source, &mut target);
        let (took, gave) = (source.written_len(), target.written_len());
        self.read += took as u64;
        self.written += gave as u64;
        self.member_written += gave as u64;
        let is_member_end = result.map_err(|error| self.failed(&error))?;
        if is_member_end {
            self.is_between = true;
        } else if took == 0 && gave == 0 && !input.is_empty() {
            return Err(self.damaged("it goes on without an end".to_owned()));
        }
        self.check_growth()?;
        Ok((took, gave))
    }

    fn failed(&self, error: &std::io::Error) -> InflateError {
        let reason = error.to_string();
        // zstd's own words for `ZSTD_error_frameParameter_windowTooLarge`.
        if reason.contains("requires too much memory") {
            return InflateError::WindowTooLarge;
        }
        if self.member_at > 0 && self.member_written == 0 {
            let (compression, at) = (self.compression, self.member_at);
            return InflateError::TrailingGarbage { compression, at };
        }
        self.damaged(reason)
    }

    fn damaged(&self, reason: String) -> InflateError {
        InflateError::Damaged { compression: self.compression, read: self.read, reason }
    }

    fn check_growth(&self) -> Result<(), InflateError> {
        let compression = self.compression;
        if self.written > INFLATED_BYTES_MAX {
            return Err(InflateError::TooLarge { compression });
        }
        if self.written > RATIO_FREE_BYTES && self.written / RATIO_MAX > self.read {
            return Err(InflateError::GrowsTooMuch { compression });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compressed;

    const ALL: [Compression; 3] = [Compression::Gzip, Compression::Zstd, Compression::Bzip2];

    fn pack(compression: Compression, content: &[u8]) -> Vec<u8> {
        compressed(Some(compression), content)
    }

    /// Inflates through a small buffer, from pieces of this size.
    fn unpack(file: &[u8], piece: usize) -> Result<Vec<u8>, InflateError> {
        let mut inflater = Inflater::new(Compression::of(file).unwrap());
        let (mut content, mut buffer) = (Vec::new(), [0; 100]);
        for mut piece in file.chunks(piece) {
            while !piece.is_empty() {
                let (taken, given) = inflater.inflate(piece, &mut buffer)?;
                content.extend_from_slice(&buffer[..given]);
                piece = &piece[taken..];
            }
        }
        loop {
            match inflater.finish(&mut buffer)? {
                0 => return Ok(content),
                given => content.extend_from_slice(&buffer[..given]),
            }
        }
    }

    #[test]
    fn a_compressed_file_is_read_the_same_however_it_is_cut() {
        let content: Vec<u8> = (0..2_000_u32)
            .flat_map(|n| format!("{n},{}\n", n * 7919 % 1013).into_bytes())
            .collect();
        for compression in ALL {
            for content in [&content[..], b""] {
                let once = pack(compression, content);
                assert_eq!(Compression::of(&once), Some(compression));
                for piece in [1, 3, 1000, once.len()] {
                    assert_eq!(unpack(&once, piece).unwrap(), content, "{compression} {piece}");
                }
                let twice = [once.clone(), once].concat();
                assert_eq!(unpack(&twice, 7).unwrap(), content.repeat(2), "{compression}");
            }
        }
    }

    #[test]
    fn what_is_cut_off_or_followed_by_other_bytes_is_an_error() {
        let content = b"id,name\n1,a\n".repeat(50);
        for compression in ALL {
            let file = pack(compression, &content);
            for len in HEAD_BYTES..file.len() {
                let error = unpack(&file[..len], 64).unwrap_err();
                assert!(
                    matches!(error, InflateError::Truncated { .. }),
                    "{compression} {len}: {error}"
                );
            }
            let at = file.len() as u64;
            let followed = [&file[..], b"id,name\nand some more text"].concat();
            assert_eq!(
                unpack(&followed, 64),
                Err(InflateError::TrailingGarbage { compression, at })
            );
        }
        let padded = [pack(Compression::Gzip, &content), vec![0; 1000]].concat();
        assert_eq!(unpack(&padded, 64).unwrap(), content);
    }

    #[test]
    fn any_damage_is_an_error_or_harmless() {
        let content = b"id,name\n1,a\n".repeat(50);
        for compression in ALL {
            let file = pack(compression, &content);
            for index in HEAD_BYTES..file.len() {
                let mut damaged = file.clone();
                damaged[index] ^= 0x55;
                // zstd without a checksum cannot tell; what it gives then is what it holds.
                let found = unpack(&damaged, 64);
                let is_harmless = found.is_err() || found.is_ok_and(|found| found == content);
                assert!(is_harmless || compression == Compression::Zstd, "{compression} {index}");
            }
        }
    }

    #[test]
    fn what_grows_without_reason_is_given_up() {
        let zeros = vec![0; 80 * 1024 * 1024];
        for compression in ALL {
            let file = pack(compression, &zeros);
            let mut inflater = Inflater::new(compression);
            let (mut at, mut buffer) = (0, vec![0; 1024 * 1024]);
            let error = loop {
                match inflater.inflate(&file[at..], &mut buffer) {
                    Ok((taken, _)) => at += taken,
                    Err(error) => break error,
                }
            };
            assert_eq!(error, InflateError::GrowsTooMuch { compression });
        }
    }

    #[test]
    fn a_text_that_begins_like_bzip2_is_a_text() {
        assert_eq!(Compression::of(b"BZh1,id,name"), None);
        assert_eq!(Compression::of(b"id"), None);
        assert_eq!(Compression::of(b""), None);
    }
}
