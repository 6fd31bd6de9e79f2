//! Booleans, UUIDs, bytes, and blanks around values.
//!
//! Pure.

use std::borrow::Cow;

/// Removes the blanks around a value that PostgreSQL's input functions skip. Rust's own `trim`
/// removes more kinds of blanks.
pub(super) fn trimmed(text: &str) -> &str {
    text.trim_matches([' ', '\t', '\n', '\u{b}', '\u{c}', '\r'])
}

/// Reads a boolean as PostgreSQL does: true, yes, on, 1, their opposites, and the beginnings of
/// these words.
pub(super) fn boolean(text: &str) -> Option<&'static str> {
    let word = trimmed(text);
    let is = |whole: &str| word.eq_ignore_ascii_case(whole);
    let begins = |whole: &str| {
        !word.is_empty()
            && whole.get(..word.len()).is_some_and(|beginning| beginning.eq_ignore_ascii_case(word))
    };
    if begins("true") || begins("yes") || is("on") || word == "1" {
        Some("true")
    } else if begins("false") || begins("no") || is("of") || is("off") || word == "0" {
        Some("false")
    } else {
        None
    }
}

/// Returns a UUID in its canonical form. PostgreSQL also accepts braces around it, and a hyphen
/// after any four digits (manual, "UUID Type").
pub(super) fn uuid(text: &str) -> Option<Cow<'_, str>> {
    let text = trimmed(text);
    if is_hyphenated(text) {
        return Some(Cow::Borrowed(text));
    }
    let inner = match text.strip_prefix('{') {
        Some(inner) => inner.strip_suffix('}')?,
        None => text,
    };
    let mut digits = String::with_capacity(32);
    let mut was_hyphen = false;
    for character in inner.chars() {
        let is_hyphen = character == '-';
        let is_in_place = !was_hyphen && digits.len().is_multiple_of(4) && !digits.is_empty();
        if is_hyphen && !is_in_place || !is_hyphen && !character.is_ascii_hexdigit() {
            return None;
        }
        if !is_hyphen {
            digits.push(character);
        }
        was_hyphen = is_hyphen;
    }
    if was_hyphen || digits.len() != 32 {
        return None;
    }
    uuid::Uuid::try_parse(&digits).ok().map(|uuid| Cow::Owned(uuid.hyphenated().to_string()))
}

/// Returns `true` if the text is in the canonical form.
fn is_hyphenated(text: &str) -> bool {
    text.len() == 36
        && text.bytes().enumerate().all(|(index, byte)| match index {
            8 | 13 | 18 | 23 => byte == b'-',
            _ => matches!(byte, b'0'..=b'9' | b'a'..=b'f'),
        })
}

/// Checks bytes: `\x` and pairs of hexadecimal digits, or the older form, with a backslash before
/// another one or before three octal digits (manual, "Binary Data Types").
pub(super) fn bytea(text: &str) -> Option<&str> {
    let is_right = match text.strip_prefix("\\x") {
        Some(digits) => is_hexadecimal(digits),
        None => is_escaped(text),
    };
    is_right.then_some(text)
}

/// Returns `true` for pairs of digits, with blanks between the pairs.
fn is_hexadecimal(text: &str) -> bool {
    let mut bytes = text.bytes();
    while let Some(first) = bytes.next() {
        if matches!(first, b' ' | b'\t' | b'\n' | b'\r') {
            continue;
        }
        let second = bytes.next();
        if !first.is_ascii_hexdigit() || !second.is_some_and(|digit| digit.is_ascii_hexdigit()) {
            return false;
        }
    }
    true
}

fn is_escaped(text: &str) -> bool {
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        rest = match (first, after) {
            (b'\\', [b'\\', rest @ ..]) => rest,
            (b'\\', [b'0'..=b'3', b'0'..=b'7', b'0'..=b'7', rest @ ..]) => rest,
            (b'\\', _) => return false,
            (_, rest) => rest,
        };
    }
    true
}
