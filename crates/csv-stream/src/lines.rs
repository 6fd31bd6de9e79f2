//! Cuts a file into lines and decodes them.
//!
//! Pure. A line here ends after each CR and each LF, quoted or not: no encoding has either byte
//! within a character, so that what a line holds can be decoded, and its position in the file is
//! known.

use encoding_rs::{Decoder, DecoderResult, ISO_2022_JP, UTF_16LE};

use crate::encoding::Encoding;

/// A line of the file, or a part of one where a block of bytes ended in it.
#[derive(Debug, PartialEq, Eq)]
pub struct Line<'a> {
    /// The bytes of the file.
    pub bytes: &'a [u8],
    /// The text in UTF-8, with U+FFFD for bytes that are no character; in a UTF-8 file the bytes as
    /// they are.
    pub text: &'a [u8],
    /// The offset in the file of the first bytes that are no character. (Not set for UTF-8, where a
    /// block may cut a character: whole records are looked at.)
    pub malformed_at: Option<u64>,
}

/// Cuts blocks into lines.
#[derive(Debug)]
pub struct Lines {
    encoding: Encoding,
    /// `None` is UTF-8.
    decoder: Option<Decoder>,
    /// The first half of a UTF-16 unit that a block cut.
    half_unit: Option<u8>,
    /// The offset in the file of the next byte.
    byte_offset: u64,
    text: String,
}

impl Lines {
    /// Begins behind the byte order mark.
    pub fn new(encoding: Encoding) -> Self {
        Self::at(encoding, encoding.mark().len() as u64)
    }

    /// Begins at the beginning of a line.
    pub fn at(encoding: Encoding, byte_offset: u64) -> Self {
        let decoder = encoding.charset.new_decoder_without_bom_handling();
        Self {
            encoding,
            decoder: (!encoding.is_utf_8()).then_some(decoder),
            half_unit: None,
            byte_offset,
            text: String::new(),
        }
    }

    /// The offset in the file of the next byte.
    pub fn byte_offset(&self) -> u64 {
        self.byte_offset
    }

    /// Takes the next block of the file (without its byte order mark).
    pub fn push(&mut self, mut block: &[u8], mut take: impl FnMut(Line<'_>)) {
        if let Some(half) = self.half_unit.take() {
            let Some((&other, rest)) = block.split_first() else {
                self.half_unit = Some(half);
                return;
            };
            self.line(&[half, other], false, &mut take);
            block = rest;
        }
        if self.encoding.unit_bytes() == 2 && block.len() % 2 == 1 {
            let (whole, half) = block.split_at(block.len() - 1);
            self.half_unit = half.first().copied();
            block = whole;
        }
        while !block.is_empty() {
            let (line, rest) = block.split_at(self.line_len(block));
            self.line(line, false, &mut take);
            block = rest;
        }
    }

    /// Gives the line that the end of the file ends.
    pub fn finish(&mut self, mut take: impl FnMut(Line<'_>)) {
        let half = self.half_unit.take();
        self.line(half.as_slice(), true, &mut take);
    }

    /// The bytes up to the first end of a line, that included.
    fn line_len(&self, block: &[u8]) -> usize {
        if self.encoding.unit_bytes() == 1 {
            return memchr::memchr2(b'\r', b'\n', block).map_or(block.len(), |index| index + 1);
        }
        let is_little = self.encoding.charset == UTF_16LE;
        let is_end = |unit: &[u8]| match unit {
            [low, high] if is_little => *high == 0 && matches!(low, b'\r' | b'\n'),
            [high, low] => *high == 0 && matches!(low, b'\r' | b'\n'),
            _ => false,
        };
        block.chunks(2).position(is_end).map_or(block.len(), |unit| 2 * (unit + 1))
    }

    fn line(&mut self, bytes: &[u8], is_last: bool, take: &mut impl FnMut(Line<'_>)) {
        let mut malformed_at = None;
        let text = if self.decoder.is_some() {
            malformed_at = self.decode(bytes, is_last);
            self.text.as_bytes()
        } else {
            bytes
        };
        self.byte_offset += bytes.len() as u64;
        if !bytes.is_empty() || !text.is_empty() {
            take(Line { bytes, text, malformed_at });
        }
    }

    fn decode(&mut self, bytes: &[u8], is_last: bool) -> Option<u64> {
        let decoder = self.decoder.as_mut()?;
        self.text.clear();
        self.text.reserve(decoder.max_utf8_buffer_length(bytes.len()).unwrap_or_default());
        let mut malformed_at = None;
        let mut rest = bytes;
        loop {
            let (result, read) =
                decoder.decode_to_string_without_replacement(rest, &mut self.text, is_last);
            rest = rest.get(read..).unwrap_or_default();
            match result {
                DecoderResult::InputEmpty => break,
                DecoderResult::OutputFull => self.text.reserve(3 * rest.len() + 16),
                DecoderResult::Malformed(len, after) => {
                    let end = self.byte_offset + (bytes.len() - rest.len()) as u64;
                    malformed_at.get_or_insert(end.saturating_sub(u64::from(len + after)));
                    self.text.push(char::REPLACEMENT_CHARACTER);
                }
            }
        }
        // The only encoding with a state: each line begins in ASCII (RFC 1468), so that a damaged
        // line spoils no other, and any line can be the first that is read.
        if self.encoding.charset == ISO_2022_JP
            && let Some(end @ (b'\r' | b'\n')) = bytes.last()
        {
            // Outside ASCII, the decoder takes an end of line for half of a character.
            if !self.text.ends_with(char::from(*end)) {
                self.text.push(char::from(*end));
            }
            *decoder = ISO_2022_JP.new_decoder_without_bom_handling();
        }
        malformed_at
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::encoding::for_label;

    /// Each line's text, with `!offset!` for what is no character.
    fn check(label: &str, file: &[u8], expected: &[&str]) {
        let encoding = Encoding { charset: for_label(label).unwrap(), has_mark: false };
        for piece in [1, 2, 3, file.len()] {
            let mut lines = Lines::new(encoding);
            // Pieces of a line are put together again.
            let (mut found, mut is_open): (Vec<String>, bool) = (Vec::new(), false);
            let mut take = |line: Line<'_>| {
                let mut text = String::from_utf8(line.text.to_vec()).unwrap();
                let ends = text.ends_with(['\r', '\n']);
                if let Some(offset) = line.malformed_at {
                    text = text.replace('\u{fffd}', &format!("!{offset}!"));
                }
                match found.last_mut() {
                    Some(last) if is_open => last.push_str(&text),
                    _ => found.push(text),
                }
                is_open = !ends;
            };
            for piece in file.chunks(piece) {
                lines.push(piece, &mut take);
            }
            lines.finish(&mut take);
            assert_eq!(found, expected, "{label} in pieces of {piece}");
            assert_eq!(lines.byte_offset(), file.len() as u64);
        }
    }

    #[test]
    fn lines_end_after_each_carriage_return_and_line_feed() {
        check("utf-8", b"a\nb\r\nc\rd", &["a\n", "b\r", "\n", "c\r", "d"]);
        check("utf-16le", b"a\0\r\0\n\0b\0", &["a\r", "\n", "b"]);
        // U+0A0D and U+0D0A are letters.
        check("utf-16be", b"\x0a\x0d\x0d\x0a\0\x0ax\0", &["\u{a0d}\u{d0a}\n", "\u{7800}"]);
        check("shift_jis", b"\x83\x5c\x0a\x95\x5c,", &["ソ\n", "表,"]);
    }

    #[test]
    fn bytes_that_are_no_character_are_reported_with_their_offset() {
        check("shift_jis", b"a\n\x95\n", &["a\n", "!2!\n"]);
        check("utf-16le", b"a\0\0\xd8\n\0b\0", &["a!2!\n", "b"]);
        check("utf-16le", b"a\0\n\0b", &["a\n", "!4!"]);
        check("euc-jp", b"ab\xff,", &["ab!2!,"]);
        // The first line does not go back to ASCII.
        check("iso-2022-jp", b"\x1b$B\x49\x3d\nab", &["表!5!\n", "ab"]);
    }
}
