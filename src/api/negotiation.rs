//! Content negotiation: the media type and the content coding that a request prefers (RFC 9110,
//! section 12.5).
//!
//! Pure. Accepts any text, and ignores the parts that it cannot read.

/// One range of a list such as `text/csv;q=0.8, */*`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Range<'a> {
    name: &'a str,
    /// The weight in thousandths: from 0, not acceptable, to 1000.
    quality: u16,
}

fn ranges(header: &str) -> impl Iterator<Item = Range<'_>> {
    header.split(',').filter_map(|range| {
        let mut parts = range.split(';').map(str::trim);
        let name = parts.next().filter(|name| !name.is_empty())?;
        let weight = parts.find_map(|part| part.strip_prefix("q=").or(part.strip_prefix("Q=")));
        Some(Range { name, quality: weight.map_or(Some(1_000), quality)? })
    })
}

/// Parses a weight: `0.85` is 850.
fn quality(text: &str) -> Option<u16> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let is_weight = fraction.len() <= 3 && fraction.bytes().all(|byte| byte.is_ascii_digit());
    let fraction: u16 = format!("{fraction:0<3}").parse().ok().filter(|_| is_weight)?;
    match whole {
        "0" => Some(fraction),
        "1" if fraction == 0 => Some(1_000),
        _ => None,
    }
}

/// Returns the index of the preferred media type, or `None` if none is acceptable.
///
/// The highest weight wins, then the most specific range, then the range that comes first. Ignores
/// the parameters of media types.
pub fn media_type(accept: &str, offered: &[&str]) -> Option<usize> {
    let ranges: Vec<_> = ranges(accept).collect();
    if ranges.is_empty() {
        return (!offered.is_empty()).then_some(0);
    }
    let mut best: Option<(usize, (u16, u8, usize))> = None;
    for (offer, media_type) in offered.iter().enumerate() {
        let matching = ranges.iter().enumerate().filter_map(|(index, range)| {
            let exactness = exactness(range.name, media_type)?;
            // The most specific range that matches determines the weight.
            Some((exactness, usize::MAX - index, range.quality))
        });
        let Some((exactness, index, quality)) = matching.max() else { continue };
        let rank = (quality, exactness, index);
        if quality > 0 && best.is_none_or(|(_, other)| rank > other) {
            best = Some((offer, rank));
        }
    }
    best.map(|(offer, _)| offer)
}

/// Returns the specificity of a range for a media type, or `None` if it does not match.
fn exactness(range: &str, media_type: &str) -> Option<u8> {
    if range.eq_ignore_ascii_case(media_type) {
        return Some(2);
    }
    if range == "*/*" || range == "*" {
        return Some(0);
    }
    let kind = range.strip_suffix("/*")?;
    let (own, _) = media_type.split_once('/')?;
    own.eq_ignore_ascii_case(kind).then_some(1)
}

/// Returns `true` if `Accept-Encoding` gives gzip at least the weight of no coding.
pub fn takes_gzip(accept_encoding: &str) -> bool {
    let quality_of = |names: &[&str]| {
        ranges(accept_encoding)
            .find(|range| names.iter().any(|name| range.name.eq_ignore_ascii_case(name)))
            .map(|range| range.quality)
    };
    let any = quality_of(&["*"]);
    let gzip = quality_of(&["gzip", "x-gzip"]).or(any).unwrap_or(0);
    gzip > 0 && gzip >= quality_of(&["identity"]).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const OFFERED: [&str; 3] = ["application/json", "application/x-ndjson", "text/csv"];

    #[test]
    fn the_media_type_of_the_highest_quality_wins() {
        let check = |accept: &str, expected: Option<&str>| {
            let found = media_type(accept, &OFFERED).map(|index| OFFERED[index]);
            assert_eq!(found, expected, "{accept}");
        };
        check("", Some("application/json"));
        check("*/*", Some("application/json"));
        check("text/csv", Some("text/csv"));
        check("TEXT/CSV; header=present", Some("text/csv"));
        check("text/*", Some("text/csv"));
        check("text/csv;q=0.5, application/json;q=0.9", Some("application/json"));
        check("text/csv, application/json", Some("text/csv"));
        check("application/json, text/csv", Some("application/json"));
        check("*/*, text/csv", Some("text/csv"));
        check("text/html,application/xhtml+xml,*/*;q=0.8", Some("application/json"));
        check("application/*, application/json;q=0", Some("application/x-ndjson"));
        check("application/json;q=0", None);
        check("*/*;q=0", None);
        check("*/*;q=0, text/csv;q=0.001", Some("text/csv"));
        check("text/html", None);
        check("text/csv;q=2, application/json;q=0.1", Some("application/json"));
        check(";q=1,,", Some("application/json"));
    }

    #[test]
    fn gzip_is_used_if_the_client_accepts_it() {
        for (header, expected) in [
            ("gzip", true),
            ("br, GZip;q=0.2", true),
            ("*", true),
            ("x-gzip", true),
            ("", false),
            ("br", false),
            ("gzip;q=0", false),
            ("gzip;q=0, *", false),
            ("identity, gzip;q=0.5", false),
            ("identity;q=0.5, *;q=0.6", true),
        ] {
            assert_eq!(takes_gzip(header), expected, "{header}");
        }
    }
}
