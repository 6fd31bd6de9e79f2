//! The encoding of a file, and texts in it.
//!
//! Pure. A byte order mark tells, or else the declaration, or else it is UTF-8: nothing is ever
//! guessed from the content.

use std::borrow::Cow;

use encoding_rs::{EncoderResult, UTF_8, UTF_16BE, UTF_16LE};

/// The encodings of the WHATWG's Encoding Standard.
pub type Charset = &'static encoding_rs::Encoding;

/// The most bytes of a byte order mark.
pub const MARK_BYTES_MAX: usize = 3;

/// Names that programs use and the standard does not know.
const ALIASES: [(&str, Charset); 6] = [
    ("cp932", encoding_rs::SHIFT_JIS),
    ("cp936", encoding_rs::GBK),
    ("cp949", encoding_rs::EUC_KR),
    ("cp950", encoding_rs::BIG5),
    ("latin-1", encoding_rs::WINDOWS_1252),
    ("macroman", encoding_rs::MACINTOSH),
];

/// The charset of this name.
pub fn for_label(label: &str) -> Option<Charset> {
    let alias = ALIASES.iter().find(|(alias, _)| alias.eq_ignore_ascii_case(label.trim()));
    let charset = alias.map(|(_, charset)| *charset);
    charset.or_else(|| encoding_rs::Encoding::for_label_no_replacement(label.as_bytes()))
}

/// A file whose mark says another encoding than was declared.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "the file begins with the byte order mark of {found}, but its encoding is declared as {declared}"
)]
pub struct Contradiction {
    pub found: &'static str,
    pub declared: &'static str,
}

/// The encoding of one file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Encoding {
    pub charset: Charset,
    /// True if the file begins with a byte order mark.
    pub has_mark: bool,
}

impl Encoding {
    /// Decides by the declaration and the first [`MARK_BYTES_MAX`] bytes of a file.
    pub fn of(declared: Option<Charset>, head: &[u8]) -> Result<Self, Contradiction> {
        let Some((found, _)) = encoding_rs::Encoding::for_bom(head) else {
            return Ok(Self { charset: declared.unwrap_or(UTF_8), has_mark: false });
        };
        let is_utf_16 = |charset: Charset| charset == UTF_16LE || charset == UTF_16BE;
        match declared {
            // Where UTF-16 is declared, the mark tells which of the two.
            Some(declared) if declared != found && !(is_utf_16(declared) && is_utf_16(found)) => {
                Err(Contradiction { found: found.name(), declared: declared.name() })
            }
            _ => Ok(Self { charset: found, has_mark: true }),
        }
    }

    pub fn is_utf_8(self) -> bool {
        self.charset == UTF_8
    }

    /// Bytes of the smallest unit: an end of line is one of them.
    pub fn unit_bytes(self) -> usize {
        if self.charset == UTF_16LE || self.charset == UTF_16BE { 2 } else { 1 }
    }

    /// The byte order mark; empty where the file has none.
    pub fn mark(self) -> Vec<u8> {
        if self.has_mark { self.encode("\u{feff}") } else { Vec::new() }
    }

    /// A text in this encoding; `?` stands for a character that it does not have.
    pub fn encode(self, text: &str) -> Vec<u8> {
        if self.is_utf_8() {
            return text.as_bytes().to_vec();
        }
        if self.unit_bytes() == 2 {
            let is_little = self.charset == UTF_16LE;
            let bytes = |unit: u16| if is_little { unit.to_le_bytes() } else { unit.to_be_bytes() };
            return text.encode_utf16().flat_map(bytes).collect();
        }
        let mut encoder = self.charset.new_encoder();
        let mut bytes = Vec::with_capacity(2 * text.len() + 16);
        let mut rest = text;
        loop {
            let (result, read) =
                encoder.encode_from_utf8_to_vec_without_replacement(rest, &mut bytes, true);
            rest = rest.get(read..).unwrap_or_default();
            match result {
                EncoderResult::InputEmpty => return bytes,
                EncoderResult::OutputFull => bytes.reserve(2 * rest.len() + 16),
                EncoderResult::Unmappable(_) => bytes.push(b'?'),
            }
        }
    }

    /// The text of these bytes; U+FFFD stands for what is none.
    pub fn decode(self, bytes: &[u8]) -> Cow<'_, str> {
        self.charset.decode_without_bom_handling(bytes).0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(declared: Option<&str>, head: &[u8], expected: Result<(&str, bool), &str>) {
        let declared = declared.map(|label| for_label(label).unwrap());
        let found = Encoding::of(declared, head);
        let found = found.map(|encoding| (encoding.charset.name(), encoding.has_mark));
        let found = found.map_err(|contradiction| contradiction.found);
        assert_eq!(found, expected, "{declared:?} {head:?}");
    }

    #[test]
    fn a_mark_tells_and_then_the_declaration() {
        check(None, b"id,", Ok(("UTF-8", false)));
        check(None, b"\xef\xbb\xbfid", Ok(("UTF-8", true)));
        check(None, b"\xff\xfei\0", Ok(("UTF-16LE", true)));
        check(None, b"\xfe\xff\0i", Ok(("UTF-16BE", true)));
        check(Some("cp932"), b"id,", Ok(("Shift_JIS", false)));
        check(Some("Latin1"), b"id,", Ok(("windows-1252", false)));
        check(Some("utf-16"), b"\xfe\xff\0i", Ok(("UTF-16BE", true)));
        check(Some("utf-16be"), b"\0i\0d", Ok(("UTF-16BE", false)));
        check(Some("utf8"), b"\xef\xbb\xbfid", Ok(("UTF-8", true)));
        check(Some("cp932"), b"\xef\xbb\xbfid", Err("UTF-8"));
        check(Some("utf-8"), b"\xff\xfei\0", Err("UTF-16LE"));
    }

    #[test]
    fn labels_are_those_of_the_standard_and_a_few_more() {
        for label in ["Shift_JIS", "CP932", " sjis ", "windows-1252", "euc-jp", "koi8-r", "gb18030"]
        {
            assert!(for_label(label).is_some(), "{label}");
        }
        for label in ["", "utf-32", "utf-7", "ebcdic", "replacement"] {
            assert!(for_label(label).is_none(), "{label}");
        }
    }

    #[test]
    fn a_text_comes_back_from_every_encoding() {
        let text = "id;名前\r\n0001;表示ソ \\ ~ é😀";
        for label in ["utf-8", "utf-16le", "utf-16be", "gb18030"] {
            let encoding = Encoding { charset: for_label(label).unwrap(), has_mark: false };
            assert_eq!(encoding.decode(&encoding.encode(text)), text, "{label}");
        }
        let shift_jis = Encoding { charset: encoding_rs::SHIFT_JIS, has_mark: false };
        assert_eq!(shift_jis.encode("表\u{e9}x"), b"\x95\x5c?x");
        assert_eq!(shift_jis.mark(), b"");
        let marked = Encoding { charset: UTF_16BE, has_mark: true };
        assert_eq!(marked.mark(), b"\xfe\xff");
    }
}
