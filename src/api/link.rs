//! Links of responses, as references that are relative to the URL of the request (RFC 3986).
//!
//! Pure. A function does not know the URL that its client uses: a stage, the base path of a domain
//! or the prefix of an emulator can be in it, and API Gateway leaves some of them out of the event.
//! A relative reference is right behind all of them.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use uuid::Uuid;

use super::http::Route;

/// The characters that a path segment must encode: all but "unreserved" ones (RFC 3986).
pub const PATH_SEGMENT: &AsciiSet =
    &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Returns a reference from the resource of a request to the status of a write.
///
/// The fingerprint prevents a client from reading the outcome of another payload with the same
/// Idempotency-Key.
pub fn to_write(from: &Route, id: Uuid, fingerprint: Option<&str>) -> String {
    let query = fingerprint.map_or_else(String::new, |text| format!("?fingerprint={text}"));
    reference(from, &format!("_sync/writes/{id}{query}"))
}

/// Returns a reference from the resource of a request to a row, from its key as the ledger has it.
/// Returns `None` for a key that no path can name (see [`super::http`]), and for an empty one,
/// whose slash is easily lost.
pub fn to_row(from: &Route, table: &str, key: &str) -> Option<String> {
    let segment = |text: &str| utf8_percent_encode(text, PATH_SEGMENT).to_string();
    // Clients remove a segment of dots alone.
    let has_path = !matches!(key, "" | "." | "..") && !key.contains(['%', '?']);
    has_path.then(|| reference(from, &format!("{}/{}", segment(table), segment(key))))
}

/// Returns a reference from the resource of a request to a path of the API, which has no slash at
/// its beginning.
fn reference(from: &Route, path: &str) -> String {
    let up = "../".repeat(depth(from));
    let (first, _) = path.split_once(['/', '?']).unwrap_or((path, ""));
    // A colon in the first segment would make a scheme of what comes before it, and an empty path
    // would be the request's own.
    let here = if up.is_empty() && (first.contains(':') || first.is_empty()) { "./" } else { "" };
    format!("{up}{here}{path}")
}

/// Returns the number of slashes in the path of a resource after the root of the API. A slash in a
/// key is percent-encoded in the URL of the client, so it does not count.
fn depth(route: &Route) -> usize {
    match route {
        Route::Root | Route::Table(_) | Route::Unknown => 0,
        Route::Row(..) | Route::Writes | Route::Imports => 1,
        Route::Write(_) | Route::Import(_) => 2,
        Route::Rejects(_) => 3,
    }
}

#[cfg(test)]
mod tests {
    use url::Url;

    use super::*;

    const ROOTS: [&str; 4] = [
        "https://a1.execute-api.eu-west-1.amazonaws.com/",
        "https://a1.execute-api.eu-west-1.amazonaws.com/stage/",
        "https://api.example.com/base/path/",
        "http://127.0.0.1:4566/_aws/execute-api/a1/",
    ];

    /// Resolves a reference as any client does, for each address that the API can have.
    #[track_caller]
    fn check(from: &Route, path_of_request: &str, path: &str) {
        for root in ROOTS {
            let root = Url::parse(root).unwrap();
            let request = root.join(&format!("./{path_of_request}")).unwrap();
            let found = request.join(&reference(from, path)).unwrap();
            let expected = format!("{root}{path}");
            assert_eq!(found.as_str(), expected, "from {request}");
        }
    }

    #[test]
    fn a_reference_leads_from_every_resource_to_the_same_path() {
        let table = |name: &str| Route::Table(name.to_owned());
        let row = |key: &str| Route::Row("staff".to_owned(), key.to_owned());
        let id = || "019ab000-0000-7000-8000-000000000001".to_owned();
        for path in ["_sync/writes/1?fingerprint=a", "staff/0001", "a:b", "a:b/c", "", "?a=b:c"] {
            check(&Route::Root, "", path);
            check(&table("staff"), "staff", path);
            check(&table("a:b"), "a:b", path);
            check(&table("Shop item"), "Shop%20item?x=1/2", path);
            check(&row("0001"), "staff/0001", path);
            check(&row("a/b"), "staff/a%2Fb", path);
            check(&row("a:b"), "staff/a:b", path);
            check(&row(""), "staff/", path);
            check(&Route::Write(id()), "_sync/writes/1?fingerprint=a/b", path);
            check(&Route::Writes, "_sync/writes", path);
            check(&Route::Imports, "_sync/imports", path);
            check(&Route::Import(id()), "_sync/imports/1", path);
            check(&Route::Rejects(id()), "_sync/imports/1/rejects?limit=1", path);
        }
    }

    #[test]
    fn a_reference_to_a_row_is_percent_encoded() {
        let check = |key: &str, expected: Option<&str>| {
            let found = to_row(&Route::Write("1".to_owned()), "sales.order line", key);
            assert_eq!(found.as_deref(), expected);
        };
        check("0004", Some("../../sales.order%20line/0004"));
        check("a/b,\"c\"", Some("../../sales.order%20line/a%2Fb%2C%22c%22"));
        check("100%", None);
        check("", None);
        check("..", None);
    }

    #[test]
    fn the_status_of_a_write_may_have_a_fingerprint() {
        let id: Uuid = "019ab000-0000-7000-8000-000000000001".parse().unwrap();
        let from = Route::Row("staff".to_owned(), "0001".to_owned());
        assert_eq!(to_write(&from, id, None), format!("../_sync/writes/{id}"));
        assert_eq!(to_write(&from, id, Some("ab")), format!("../_sync/writes/{id}?fingerprint=ab"));
    }
}
