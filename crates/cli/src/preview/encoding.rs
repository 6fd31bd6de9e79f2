//! Proposes the encoding of a file.
//!
//! Pure.

use csv_stream::encoding::Encoding;
use csv_stream::inflate::{Compression, Inflater};
use csv_stream::reader::{Next, ReadError, Reader};
use encoding_rs::{UTF_8, UTF_16BE, UTF_16LE};
use import_options::Settings;

use super::{CONTENT_BYTES, Head, Proposal};

/// Returns the beginning of a file's content, decompressed, and whether that is all of it.
pub(super) fn inflated(head: Head<'_>) -> Result<(Vec<u8>, bool), ReadError> {
    refuse_foreign(head.bytes)?;
    let Some(compression) = Compression::of(head.bytes) else {
        return Ok((head.bytes.to_vec(), head.is_whole));
    };
    let mut inflater = Inflater::new(compression);
    let mut content = Vec::new();
    let mut block = vec![0; 64 * 1024];
    let mut rest = head.bytes;
    while !rest.is_empty() {
        if content.len() >= CONTENT_BYTES {
            return Ok((content, false));
        }
        let (taken, given) = inflater.inflate(rest, &mut block)?;
        content.extend_from_slice(block.get(..given).unwrap_or_default());
        rest = rest.get(taken..).unwrap_or_default();
    }
    Ok((content, head.is_whole))
}

/// Fails if the first bytes are those of a file that is no CSV.
fn refuse_foreign(bytes: &[u8]) -> Result<(), ReadError> {
    let mut reader = Reader::new(csv_stream::dialect::Dialect::default(), None);
    reader.push(bytes.get(..64).unwrap_or(bytes));
    match reader.read(&mut Vec::new()) {
        Err(error @ ReadError::Foreign(_)) => Err(error),
        Ok(Next::Again | Next::Input | Next::End) | Err(_) => Ok(()),
    }
}

/// Returns the encoding, and proposes one if neither an option nor a mark tells it and the content
/// is not UTF-8. Fails if an option and a mark contradict each other.
pub(super) fn of(
    content: &[u8],
    is_whole: bool,
    given: &Settings,
) -> Result<(Encoding, Option<Proposal>), String> {
    let encoding =
        Encoding::of(given.options.encoding, content).map_err(|error| error.to_string())?;
    if given.options.encoding.is_some() || encoding.has_mark {
        return Ok((encoding, None));
    }
    let Some(charset) = guess(content, is_whole) else { return Ok((encoding, None)) };
    let name = charset.name();
    let proposal = Proposal {
        option: "encoding",
        value: name.to_lowercase(),
        why: format!("bytes of the file are not UTF-8, and look like {name}"),
    };
    Ok((Encoding { charset, has_mark: false }, Some(proposal)))
}

/// Guesses the encoding of a content; `None` is UTF-8.
fn guess(content: &[u8], is_whole: bool) -> Option<&'static encoding_rs::Encoding> {
    let zeros = |start: usize| {
        let bytes = content.iter().skip(start).step_by(2).take(1_000);
        bytes.filter(|byte| **byte == 0).count()
    };
    let units = content.len().div_ceil(2).min(1_000);
    // The characters of a header and of numbers are below 256 in every file.
    if units >= 4 && zeros(1) * 4 > units && zeros(0) * 20 < units {
        return Some(UTF_16LE);
    }
    if units >= 4 && zeros(0) * 4 > units && zeros(1) * 20 < units {
        return Some(UTF_16BE);
    }
    match std::str::from_utf8(content) {
        Ok(_) => return None,
        // The end of the head can cut a character.
        Err(error) if error.error_len().is_none() && !is_whole => return None,
        Err(_) => {}
    }
    let mut detector = chardetng::EncodingDetector::new(chardetng::Iso2022JpDetection::Deny);
    detector.feed(content, is_whole);
    Some(detector.guess(None, chardetng::Utf8Detection::Deny)).filter(|guessed| *guessed != UTF_8)
}
