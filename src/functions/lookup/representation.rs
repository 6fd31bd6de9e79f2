//! The representation of a response: `ETag`, 304 and 412, `HEAD`, gzip (RFC 9110, RFC 9111).
//!
//! Pure.

use std::io::Write as _;

use aws_lambda_events::http::Method;
use aws_lambda_events::http::header::{
    ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_RANGE, CONTENT_TYPE, ETAG, IF_MATCH,
    IF_NONE_MATCH, LINK, VARY,
};
use base64::Engine;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};
use flate2::Compression;
use flate2::write::GzEncoder;
use sha2::{Digest, Sha256};

use crate::api::entity_tag::{self, Condition};
use crate::api::http::{Request, Response};
use crate::api::negotiation::takes_gzip;
use crate::api::problem::{Kind, Problem};

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
        let is_gzip = response.body.len() >= GZIP_BYTES_MIN
            && takes_gzip(request.header_list(ACCEPT_ENCODING));
        let tag = tag_of(&response, is_gzip);
        if let Some(problem) = failed(request, &tag) {
            return Response::from(problem).with_header(CACHE_CONTROL, CACHEABLE);
        }
        response = response.with_header(ETAG, &tag);
        let known = request.header_list(IF_NONE_MATCH);
        if Condition::parse(known).is_some_and(|known| known.matches_weakly(&tag)) {
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

/// Returns the problem of a request whose `If-Match` does not have the tag of the response.
fn failed(request: &Request, tag: &str) -> Option<Problem> {
    if !request.headers.contains_key(IF_MATCH) {
        return None;
    }
    match Condition::parse(request.header_list(IF_MATCH)) {
        None => Some(Problem::new(
            Kind::InvalidPrecondition,
            "If-Match is *, or a list of ETags in double quotes, as GET returns them.",
        )),
        Some(condition) if condition.matches_strongly(tag) => None,
        Some(_) => Some(Problem::new(
            Kind::PreconditionFailed,
            "The response has another ETag. Send the request without If-Match to get it.",
        )),
    }
}

/// Returns the strong tag of a response: that of its row, or one that changes with any byte of the
/// body and with the headers that describe it.
fn tag_of(response: &Response, is_gzip: bool) -> String {
    let of_row = response.headers.get(ETAG).and_then(|tag| tag.to_str().ok());
    let tag = of_row.map_or_else(|| hash(response), ToOwned::to_owned);
    if is_gzip { entity_tag::with_coding(&tag, "gzip") } else { tag }
}

fn hash(response: &Response) -> String {
    let mut digest = Sha256::new();
    for name in [CONTENT_TYPE, LINK, CONTENT_RANGE] {
        digest.update(response.headers.get(&name).map_or(&b""[..], |value| value.as_bytes()));
        digest.update(b"\n");
    }
    digest.update(response.body.as_bytes());
    let digest = BASE64_URL_SAFE_NO_PAD.encode(digest.finalize());
    // The tag has 132 bits, so that different bodies have different tags.
    let digest = digest.get(..22).unwrap_or(&digest);
    format!("\"{digest}\"")
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
    fn a_tag_changes_with_the_body_the_type_and_the_next_page() {
        let response = || Response::new(200, "text/csv", "a".to_owned());
        let tag = tag_of(&response(), false);
        assert_eq!(tag_of(&response(), false), tag);
        let others = [
            Response::new(200, "text/csv", "b".to_owned()),
            Response::new(200, "text/plain", "a".to_owned()),
            response().with_header(LINK, "<?cursor=x>"),
        ];
        for other in others {
            assert_ne!(tag_of(&other, false), tag);
        }
        assert_ne!(tag_of(&response(), true), tag);
    }
}
