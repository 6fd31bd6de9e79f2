//! `Idempotency-Key`: the same key makes the same ids, so that a client can send a request again.
//!
//! Pure. Follows draft-ietf-httpapi-idempotency-key-header. A write whose id is in the ledger has
//! no second effect.

use aws_lambda_events::http::{HeaderMap, Method};
use sha2::{Digest, Sha256};
use uuid::{Builder, Uuid};

use crate::api::problem::{Kind, Problem};

const HEADER: &str = "idempotency-key";

/// The longest key, in characters.
const KEY_CHARACTERS_MAX: usize = 255;

/// Returns the key of a request, or `None` without the header.
pub(super) fn key(headers: &HeaderMap) -> Result<Option<String>, Problem> {
    let Some(value) = headers.get(HEADER) else { return Ok(None) };
    let invalid = |detail: &str| Problem::new(Kind::InvalidIdempotencyKey, detail);
    let key = value.to_str().ok().and_then(|text| parse(text.trim())).ok_or_else(|| {
        invalid("A key is a string of printable ASCII characters in double quotes, or without quotes and blanks.")
    })?;
    match key.len() {
        0 => Err(invalid("The key is empty.")),
        1..=KEY_CHARACTERS_MAX => Ok(Some(key)),
        _ => Err(invalid("A key has at most 255 characters.")),
    }
}

/// Returns the rejected write that a key names. `aurora-sync writes resend` sends such keys:
/// `resend of <id>`, and more after a blank where the payload is another one.
pub(super) fn resend_of(key: &str) -> Option<Uuid> {
    let id = key.strip_prefix("resend of ")?.split(' ').next()?;
    Uuid::try_parse(id).ok()
}

/// Parses a string of RFC 8941 and ignores its parameters. Also accepts the text without quotes,
/// which most clients send.
fn parse(text: &str) -> Option<String> {
    let Some(quoted) = text.strip_prefix('"') else {
        let is_plain = text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'"');
        return is_plain.then(|| text.to_owned());
    };
    let mut key = String::new();
    let mut characters = quoted.chars();
    loop {
        match characters.next()? {
            '"' => break,
            '\\' => key.push(characters.next().filter(|next| matches!(next, '"' | '\\'))?),
            character @ ' '..='~' => key.push(character),
            _ => return None,
        }
    }
    let rest = characters.as_str().trim_start();
    (rest.is_empty() || rest.starts_with(';')).then_some(key)
}

/// The source of a request's ids.
#[derive(Debug)]
pub(super) enum Ids {
    /// New ids, in the order of their creation.
    New,
    /// Ids from the SHA-256 of everything but an item's number.
    Derived(Sha256),
}

impl Ids {
    /// Makes the ids of a request with a key. Keys of different principals are independent, and one
    /// key of a role stays the same whatever its session. `path_key` is empty if the path names no
    /// row.
    pub(super) fn derived(
        principal: Option<&str>,
        method: &Method,
        table: &str,
        path_key: &str,
        key: &str,
    ) -> Self {
        let mut hasher = Sha256::new();
        for part in [principal.unwrap_or_default(), method.as_str(), table, path_key, key] {
            update(&mut hasher, part);
        }
        Self::Derived(hasher)
    }

    /// Returns the id of the item with this number.
    pub(super) fn id(&self, item: usize) -> Uuid {
        match self {
            Self::New => Uuid::now_v7(),
            Self::Derived(hasher) => {
                let mut hasher = hasher.clone();
                update(&mut hasher, &item.to_string());
                let digest: [u8; 32] = hasher.finalize().into();
                let [first @ .., _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _] = digest;
                Builder::from_custom_bytes(first).into_uuid()
            }
        }
    }
}

/// Adds a part after its length, so that different lists of parts have different digests.
fn update(hasher: &mut Sha256, part: &str) {
    hasher.update((part.len() as u64).to_be_bytes());
    hasher.update(part);
}

#[cfg(test)]
mod tests {

    use super::*;

    #[test]
    fn keys_may_be_quoted() {
        let check = |value: Option<&[u8]>, expected: Result<Option<&str>, ()>| {
            let mut headers = HeaderMap::new();
            if let Some(value) = value {
                headers.insert(HEADER, value.to_vec().try_into().unwrap());
            }
            let found = key(&headers).map_err(|problem| assert_eq!(problem.status, 400));
            assert_eq!(found, expected.map(|key| key.map(str::to_owned)), "{value:?}");
        };
        check(None, Ok(None));
        check(Some(b"8e03978e-40d5-43e8"), Ok(Some("8e03978e-40d5-43e8")));
        check(Some(b"\"8e03978e-40d5-43e8\""), Ok(Some("8e03978e-40d5-43e8")));
        check(Some(b" \"a \\\"b\\\" \\\\\" ; x=1"), Ok(Some("a \"b\" \\")));
        check(Some("x".repeat(255).as_bytes()), Ok(Some(&"x".repeat(255))));
        check(Some("x".repeat(256).as_bytes()), Err(()));
        for wrong in
            [&b""[..], b"\"\"", b"\"open", b"a b", b"a\"b", b"\"a\"b", b"\"\\n\"", b"\xc3\xa9"]
        {
            check(Some(wrong), Err(()));
        }
        // API Gateway joins two lines.
        check(Some(b"\"a\",\"a\""), Err(()));
    }

    #[test]
    fn a_key_can_name_the_write_that_is_sent_again() {
        let id = "619f51b2-9b16-8599-871f-dc163fa3f7a1";
        let named = |key: String| resend_of(&key).map(|id| id.to_string());
        assert_eq!(named(format!("resend of {id}")).as_deref(), Some(id));
        assert_eq!(named(format!("resend of {id} edited 1")).as_deref(), Some(id));
        for other in [id.to_owned(), "resend of x".to_owned(), format!("resend {id}")] {
            assert_eq!(named(other), None);
        }
    }

    #[test]
    fn an_id_depends_on_caller_route_key_and_item() {
        let ids = |caller: &str, method: &Method, table: &str, path_key: &str, key: &str| {
            Ids::derived(Some(caller), method, table, path_key, key)
        };
        let first = ids("c", &Method::POST, "t", "", "k");
        // The id must never change: clients may send an old key again.
        assert_eq!(first.id(0).to_string(), "619f51b2-9b16-8599-871f-dc163fa3f7a1");
        assert_eq!(first.id(0).get_version_num(), 8);
        let mut all = vec![
            first.id(0),
            first.id(1),
            ids("d", &Method::POST, "t", "", "k").id(0),
            ids("c", &Method::PUT, "t", "", "k").id(0),
            ids("c", &Method::POST, "t", "k", "").id(0),
            ids("c", &Method::POST, "tk", "", "").id(0),
            ids("c", &Method::POST, "t", "", "k2").id(0),
        ];
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), 7);
    }
}
