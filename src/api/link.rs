//! The paths in responses: of a row, and of the status of a write.
//!
//! Pure.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use uuid::Uuid;

/// The characters that a path segment must encode: all but "unreserved" ones (RFC 3986).
pub const PATH_SEGMENT: &AsciiSet =
    &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Returns the path of a write's status. The fingerprint of a write with an Idempotency-Key
/// prevents a client from reading the outcome of another payload with the same key.
pub fn write_status(id: Uuid, fingerprint: Option<&str>) -> String {
    match fingerprint {
        Some(fingerprint) => format!("/_sync/writes/{id}?fingerprint={fingerprint}"),
        None => format!("/_sync/writes/{id}"),
    }
}

/// Returns the path of a row, from its key as the ledger has it. An empty key is no segment of a
/// path.
pub fn row(table: &str, key: &str) -> Option<String> {
    let segment = |text: &str| utf8_percent_encode(text, PATH_SEGMENT).to_string();
    (!key.is_empty()).then(|| format!("/{}/{}", segment(table), segment(key)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_path_of_a_row_is_percent_encoded() {
        let check = |key: &str, expected: Option<&str>| {
            assert_eq!(row("sales.order line", key).as_deref(), expected);
        };
        check("0004", Some("/sales.order%20line/0004"));
        check("a/b,\"c\"", Some("/sales.order%20line/a%2Fb%2C%22c%22"));
        check("", None);
    }
}
