//! Cursors: the end of a page, as an opaque text that the next request sends back.
//!
//! Pure. Version 1: Base64 (URL alphabet, without padding) of a version byte, 16 bytes of SHA-256,
//! and the last row's values in the order's columns as a JSON array of texts. The digest covers the
//! values and their scope (table, order, filters). A cursor that was cut, changed, or used with
//! another query is refused, since it would skip or repeat rows. It is no secret: a client that
//! forges a cursor could send the filter instead, since its values are bound like any others.

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};

const VERSION: u8 = 1;
const DIGEST_BYTES: usize = 16;

/// The longest cursor, in characters. API Gateway allows 10,240 bytes for the request line and the
/// headers.
pub(super) const CURSOR_LEN_MAX: usize = 8 * 1024;

/// The scope of a cursor: its table, order and filters, as a digest.
#[derive(Debug, Clone)]
pub(super) struct Scope(Sha256);

impl Scope {
    /// Makes the scope of the texts that determine a query's rows and their order.
    pub(super) fn new<'a>(texts: impl IntoIterator<Item = &'a str>) -> Self {
        let mut digest = Sha256::new();
        for text in texts {
            update(&mut digest, text.as_bytes());
        }
        Self(digest)
    }

    /// Makes the cursor after a row; `None` is NULL.
    pub(super) fn cursor(&self, values: &[Option<String>]) -> String {
        let values = serde_json::to_vec(values).expect("texts are plain data");
        let mut bytes = vec![VERSION];
        bytes.extend(self.digest(&values));
        bytes.extend(values);
        BASE64_URL_SAFE_NO_PAD.encode(bytes)
    }

    /// Returns the values of a cursor, or `None` if it is not of this scope.
    pub(super) fn values(&self, cursor: &str) -> Option<Vec<Option<String>>> {
        if cursor.len() > CURSOR_LEN_MAX {
            return None;
        }
        let bytes = BASE64_URL_SAFE_NO_PAD.decode(cursor).ok()?;
        let (version, rest) = bytes.split_first()?;
        let (digest, values) = rest.split_at_checked(DIGEST_BYTES)?;
        if *version != VERSION || digest != self.digest(values) {
            return None;
        }
        serde_json::from_slice(values).ok()
    }

    fn digest(&self, values: &[u8]) -> [u8; DIGEST_BYTES] {
        let mut digest = self.0.clone();
        update(&mut digest, values);
        let mut bytes = [0; DIGEST_BYTES];
        for (to, from) in bytes.iter_mut().zip(digest.finalize()) {
            *to = from;
        }
        bytes
    }
}

/// Adds bytes after their length, so that different lists of texts have different digests.
fn update(digest: &mut Sha256, bytes: &[u8]) {
    digest.update((bytes.len() as u64).to_be_bytes());
    digest.update(bytes);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_is_valid_for_its_own_scope_only() {
        let scope = Scope::new(["t", "a"]);
        let values = vec![Some("é\"".to_owned()), None, Some(String::new())];
        let cursor = scope.cursor(&values);
        assert_eq!(scope.values(&cursor), Some(values));
        for other in [&["ta"][..], &["t", "a", ""], &["t", "b"], &[]] {
            assert_eq!(Scope::new(other.iter().copied()).values(&cursor), None, "{other:?}");
        }
    }

    #[test]
    fn a_changed_cursor_is_refused() {
        let scope = Scope::new(["t"]);
        let cursor = scope.cursor(&[Some("0001".into())]);
        for index in 0..cursor.len() {
            let mut changed: Vec<char> = cursor.chars().collect();
            changed[index] = if changed[index] == 'A' { 'B' } else { 'A' };
            let changed: String = changed.into_iter().collect();
            assert_eq!(scope.values(&changed), None, "{index}");
            assert_eq!(scope.values(cursor.get(..index).unwrap()), None, "{index}");
        }
        assert_eq!(scope.values("not a cursor"), None);
        assert_eq!(scope.values(&"A".repeat(CURSOR_LEN_MAX + 1)), None);
    }
}
