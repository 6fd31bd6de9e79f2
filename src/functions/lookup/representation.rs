//! The representation of a response: `ETag` and 304, `HEAD`, gzip (RFC 9110, RFC 9111).
//!
//! Pure.

use std::io::Write as _;

use aws_lambda_events::http::Method;
use aws_lambda_events::http::header::{
    ACCEPT, ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_RANGE, CONTENT_TYPE, ETAG,
    IF_NONE_MATCH, LINK, VARY,
};
use base64::Engine;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};
use flate2::Compression;
use flate2::write::GzEncoder;
use sha2::{Digest, Sha256};

use crate::api::http::{Request, Response};
use crate::api::negotiation::takes_gzip;

/// The shortest body to compress, in bytes. Smaller bodies shrink little.
const GZIP_BYTES_MIN: usize = 1024;

/// The caching policy. A client may keep a response, and must validate it, since rows can change at
/// any time. Shared caches must not keep it, since each request is authorized by itself.
const CACHEABLE: &str = "private, no-cache";

/// Makes the representation of a response for its request.
pub(super) fn of(request: &Request, response: Response) -> Response {
    let mut response = response.with_header(CACHE_CONTROL, CACHEABLE);
    if response.status == 200 {
        response = response.with_header(VARY, "Accept, Accept-Encoding, Prefer");
        // API Gateway decodes Base64 only for a request with `Accept`, whose media types are all
        // binary here (API Gateway, "Content type conversions in API Gateway").
        let is_gzip = response.body.len() >= GZIP_BYTES_MIN
            && request.header(ACCEPT).is_some()
            && takes_gzip(request.header_list(ACCEPT_ENCODING));
        let tag = entity_tag(&response, is_gzip);
        response = response.with_header(ETAG, &tag);
        if matches(request.header_list(IF_NONE_MATCH), &tag) {
            return not_modified(response);
        }
        if is_gzip {
            response = gzipped(response);
        }
    }
    if request.method == Method::HEAD {
        response.body.clear();
        response.is_base64 = false;
    }
    response
}

/// Makes a strong tag, which changes with any byte of the body and with the headers that describe
/// it.
fn entity_tag(response: &Response, is_gzip: bool) -> String {
    let mut digest = Sha256::new();
    for name in [CONTENT_TYPE, LINK, CONTENT_RANGE] {
        digest.update(response.headers.get(&name).map_or(&b""[..], |value| value.as_bytes()));
        digest.update(b"\n");
    }
    digest.update(response.body.as_bytes());
    let digest = BASE64_URL_SAFE_NO_PAD.encode(digest.finalize());
    // The tag has 132 bits, so that different bodies have different tags.
    let digest = digest.get(..22).unwrap_or(&digest);
    let coding = if is_gzip { "-gzip" } else { "" };
    format!("\"{digest}{coding}\"")
}

/// Returns `true` if `If-None-Match` has the tag, by the weak comparison of the RFC.
fn matches(if_none_match: &str, tag: &str) -> bool {
    if_none_match
        .split(',')
        .map(str::trim)
        .any(|known| known == "*" || known.strip_prefix("W/").unwrap_or(known) == tag)
}

fn not_modified(mut response: Response) -> Response {
    response.status = 304;
    response.headers.remove(CONTENT_TYPE);
    response.body.clear();
    response
}

/// Compresses the body, and encodes it in Base64 for API Gateway.
fn gzipped(mut response: Response) -> Response {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    let body = encoder.write_all(response.body.as_bytes()).and_then(|()| encoder.finish());
    // Writing into memory does not fail. If it did, the plain body would be valid too.
    let Ok(body) = body else { return response };
    response.body = BASE64_STANDARD.encode(body);
    response.is_base64 = true;
    response.with_header(CONTENT_ENCODING, "gzip")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_is_found_in_a_list() {
        for (header, expected) in [
            ("\"a\"", true),
            ("W/\"a\"", true),
            ("\"b\", \"a\"", true),
            ("*", true),
            ("", false),
            ("\"b\"", false),
            ("a", false),
            ("\"a-gzip\"", false),
        ] {
            assert_eq!(matches(header, "\"a\""), expected, "{header}");
        }
    }

    #[test]
    fn a_tag_changes_with_the_body_the_type_and_the_next_page() {
        let response = || Response::new(200, "text/csv", "a".to_owned());
        let tag = entity_tag(&response(), false);
        assert_eq!(entity_tag(&response(), false), tag);
        let others = [
            Response::new(200, "text/csv", "b".to_owned()),
            Response::new(200, "text/plain", "a".to_owned()),
            response().with_header(LINK, "<?cursor=x>"),
        ];
        for other in others {
            assert_ne!(entity_tag(&other, false), tag);
        }
        assert_ne!(entity_tag(&response(), true), tag);
    }
}
