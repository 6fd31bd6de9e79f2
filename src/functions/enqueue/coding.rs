//! `Content-Encoding` of a request (RFC 9110, section 8.4): gzip, or none.
//!
//! Pure.

use std::borrow::Cow;
use std::io::Read as _;

use aws_lambda_events::http::header::CONTENT_ENCODING;
use flate2::read::MultiGzDecoder;

use super::body::BODY_BYTES_MAX;
use crate::api::http::Request;
use crate::api::problem::{Kind, Problem};

/// The codings that a request may have: the value of `Accept-Encoding` in a response.
pub(super) const CODINGS: &str = "gzip";

/// Returns the body without its coding. Stops to decode at the longest permitted body.
pub(super) fn decoded(request: &Request) -> Result<Cow<'_, [u8]>, Problem> {
    let unsupported = |detail: &str| Err(Problem::new(Kind::UnsupportedMediaType, detail));
    let coding = request.headers.get(CONTENT_ENCODING).map_or(Ok(""), |value| value.to_str());
    match coding.unwrap_or("?").trim().to_ascii_lowercase().as_str() {
        "" | "identity" => Ok(Cow::Borrowed(&request.body)),
        "gzip" | "x-gzip" if request.is_text => unsupported(
            "API Gateway passes on a compressed body of this media type as text, which damages it. Send \
             application/x-ndjson, or no Content-Encoding.",
        ),
        "gzip" | "x-gzip" => Ok(Cow::Owned(gunzipped(&request.body)?)),
        _ => unsupported("Send the body with Content-Encoding: gzip, or without the header."),
    }
}

fn gunzipped(body: &[u8]) -> Result<Vec<u8>, Problem> {
    let mut decoded = Vec::new();
    // One byte more shows that the body is too long.
    let limit = BODY_BYTES_MAX as u64 + 1;
    MultiGzDecoder::new(body).take(limit).read_to_end(&mut decoded).map_err(|_| {
        Problem::new(Kind::MalformedBody, "The body is not gzip, as Content-Encoding says.")
    })?;
    if decoded.len() > BODY_BYTES_MAX {
        let detail = format!(
            "A body has at most {BODY_BYTES_MAX} bytes after decompression; send more rows as a CSV file."
        );
        return Err(Problem::new(Kind::TooLarge, detail));
    }
    Ok(decoded)
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use aws_lambda_events::http::{HeaderMap, Method};
    use flate2::Compression;
    use flate2::write::GzEncoder;

    use super::*;
    use crate::api::http::Route;
    use crate::domain::caller::Caller;

    fn gzipped(text: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(text).unwrap();
        encoder.finish().unwrap()
    }

    fn request(coding: Option<&str>, body: &[u8]) -> Request {
        let mut headers = HeaderMap::new();
        if let Some(coding) = coding {
            headers.insert(CONTENT_ENCODING, coding.parse().unwrap());
        }
        Request {
            method: Method::POST,
            route: Route::Table("staff".to_owned()),
            query: Vec::new(),
            headers,
            body: body.to_vec(),
            caller: Caller::default(),
            is_text: false,
        }
    }

    #[track_caller]
    fn check(coding: Option<&str>, body: &[u8], expected: Result<&[u8], u16>) {
        let request = request(coding, body);
        let found = decoded(&request).map_err(|problem| problem.status);
        assert!(found.as_deref() == expected.as_deref(), "{coding:?}: {:?}", found.err());
    }

    #[test]
    fn a_body_is_decoded_as_its_header_says() {
        let zipped = gzipped(b"[1]");
        check(None, b"[1]", Ok(b"[1]"));
        check(Some("identity"), b"[1]", Ok(b"[1]"));
        check(Some("gzip"), &zipped, Ok(b"[1]"));
        check(Some("X-GZip "), &zipped, Ok(b"[1]"));
        check(Some("gzip"), &[gzipped(b"[1,"), gzipped(b"2]")].concat(), Ok(b"[1,2]"));
        check(Some("gzip"), b"[1]", Err(400));
        check(Some("gzip"), b"", Err(400));
        check(Some("gzip"), zipped.split_last().unwrap().1, Err(400));
        for other in ["br", "deflate", "zstd", "gzip, gzip", "gzip;q=1"] {
            check(Some(other), &zipped, Err(415));
        }
    }

    #[test]
    fn a_compressed_body_that_came_as_text_is_damaged() {
        let of_text = |coding: Option<&str>| Request { is_text: true, ..request(coding, b"[1]") };
        assert_eq!(decoded(&of_text(Some("gzip"))).unwrap_err().status, 415);
        assert_eq!(*decoded(&of_text(Some("identity"))).unwrap(), *b"[1]");
        assert_eq!(*decoded(&of_text(None)).unwrap(), *b"[1]");
    }

    #[test]
    fn a_bomb_is_refused_at_the_limit() {
        let most = vec![b' '; BODY_BYTES_MAX];
        check(Some("gzip"), &gzipped(&most), Ok(&most));
        let bomb = gzipped(&vec![b' '; 64 * BODY_BYTES_MAX]);
        assert!(bomb.len() < BODY_BYTES_MAX);
        check(Some("gzip"), &bomb, Err(413));
    }
}
