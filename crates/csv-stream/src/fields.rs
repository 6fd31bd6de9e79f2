//! Finds the fields of one record in its text, and those that are in quotes.
//!
//! Pure. The rules are those of `csv-core`, which cuts the records but keeps neither.

use std::ops::Range;

use crate::dialect::Dialect;

/// One field of a record's text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldSpan {
    /// Its bytes, its quotes included.
    pub range: Range<usize>,
    /// A field is quoted if it begins with a quote.
    pub is_quoted: bool,
    /// Something other than blanks stands behind its closing quote.
    pub is_loose: bool,
}

/// The fields of a record.
#[derive(Debug, PartialEq, Eq)]
pub struct Spans {
    pub fields: Vec<FieldSpan>,
    /// The last field began with a quote that no other closed.
    pub is_unclosed: bool,
}

/// Finds the fields of a record that stands in `text`, without its line end.
pub fn spans(text: &[u8], dialect: &Dialect) -> Spans {
    let mut fields = Vec::new();
    let mut start = 0;
    loop {
        let rest = text.get(start..).unwrap_or_default();
        let is_quoted = !rest.is_empty() && rest.first().copied() == dialect.quote;
        let closed = if is_quoted { end_of_quotes(rest, dialect) } else { Some(0) };
        let Some(closed) = closed else {
            fields.push(FieldSpan { range: start..text.len(), is_quoted, is_loose: false });
            return Spans { fields, is_unclosed: true };
        };
        // After the closing quote, and without quotes, only the delimiter has a meaning.
        let tail = rest.get(closed..).unwrap_or_default();
        let delimiter = memchr::memchr(dialect.delimiter, tail);
        let end = start + closed + delimiter.unwrap_or(tail.len());
        let tail = text.get(start + closed..end).unwrap_or_default();
        let is_loose = is_quoted && !tail.iter().all(|byte| is_blank(*byte));
        fields.push(FieldSpan { range: start..end, is_quoted, is_loose });
        if delimiter.is_none() {
            return Spans { fields, is_unclosed: false };
        }
        start = end + 1;
    }
}

fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t')
}

/// Returns the index of the quote that is open at the end of a text.
pub fn open_quote(text: &[u8], dialect: &Dialect) -> Option<usize> {
    let spans = spans(text, dialect);
    spans.fields.last().filter(|_| spans.is_unclosed).map(|field| field.range.start)
}

/// Returns whether each quoted field ends with its closing quote, and blanks at most. Looks at
/// quotes only: faster than [`spans`].
pub fn are_quotes_sound(text: &[u8], dialect: &Dialect) -> bool {
    let Some(quote) = dialect.quote else { return true };
    let mut index = 0;
    while let Some(found) = text.get(index..).and_then(|rest| memchr::memchr(quote, rest)) {
        let begin = index + found;
        let before = begin.checked_sub(1).and_then(|before| text.get(before));
        if before.is_some_and(|before| *before != dialect.delimiter) {
            // A quote in the middle of a field without quotes is a character.
            index = begin + 1;
            continue;
        }
        let quoted = text.get(begin..).unwrap_or_default();
        let Some(closed) = end_of_quotes(quoted, dialect) else { return false };
        index = begin + closed;
        let rest = text.get(index..).unwrap_or_default();
        let is_tail = |byte: &&u8| **byte == dialect.delimiter || !is_blank(**byte);
        if rest.iter().find(is_tail).is_some_and(|after| *after != dialect.delimiter) {
            return false;
        }
    }
    true
}

/// The index after the closing quote of a text that begins with a quote.
fn end_of_quotes(text: &[u8], dialect: &Dialect) -> Option<usize> {
    let quote = dialect.quote?;
    let mark = |rest| match dialect.escape {
        Some(escape) => memchr::memchr2(quote, escape, rest),
        None => memchr::memchr(quote, rest),
    };
    let mut index = 1;
    loop {
        index += mark(text.get(index..)?)?;
        let is_quote = text.get(index) == Some(&quote);
        if is_quote && text.get(index + 1) != Some(&quote) {
            return Some(index + 1);
        }
        // A quote that is written twice, or an escape and what it stands before.
        index += 2;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Each field, a quoted one marked with `q`; an unclosed record ends with `!`.
    fn check(dialect: &Dialect, text: &str, expected: &[&str]) {
        let spans = spans(text.as_bytes(), dialect);
        let mut found: Vec<_> = spans
            .fields
            .iter()
            .map(|field| {
                let text = text.get(field.range.clone()).unwrap();
                if field.is_quoted { format!("q{text}") } else { text.to_owned() }
            })
            .collect();
        let is_loose = spans.fields.iter().any(|field| field.is_loose);
        if spans.is_unclosed {
            found.push("!".to_owned());
        }
        assert_eq!(found, expected, "{text}");
        let is_sound = are_quotes_sound(text.as_bytes(), dialect);
        assert_eq!(is_sound, !spans.is_unclosed && !is_loose, "{text}");
    }

    #[test]
    fn fields_stand_between_delimiters_outside_quotes() {
        let rfc = Dialect::default();
        check(&rfc, "", &[""]);
        check(&rfc, "a,b,", &["a", "b", ""]);
        check(&rfc, "\"a,b\",c", &["q\"a,b\"", "c"]);
        check(&rfc, "\"a\"\",b\",c", &["q\"a\"\",b\"", "c"]);
        check(&rfc, "\"a\"x\",b\",c", &["q\"a\"x\"", "b\"", "c"]);
        check(&rfc, "5\" pipe,\"\"", &["5\" pipe", "q\"\""]);
        check(&rfc, "a,\"b,c", &["a", "q\"b,c", "!"]);
    }

    #[test]
    fn nothing_stands_behind_a_closing_quote() {
        let check = |text: &str, expected: Option<usize>| {
            let spans = spans(text.as_bytes(), &Dialect::default());
            let found = spans.fields.iter().position(|field| field.is_loose);
            assert_eq!(found, expected, "{text}");
            assert_eq!(are_quotes_sound(text.as_bytes(), &Dialect::default()), found.is_none());
        };
        check("\"a\",\"\",\"b\"\"c\",\"\"\"\"", None);
        check("5\" pipe,a \"b\" c, \"d\"", None);
        check("1,\"a \"b\" c\",3", Some(1));
        check("1,2,\"a\" \t", None);
        check("\"a\" ,\"b\" x", Some(1));
        check("\"\"a\"", Some(0));
        check("\"a\"\"\"b\"", Some(0));
    }

    #[test]
    fn an_escape_takes_the_next_character() {
        let escaped = Dialect { escape: Some(b'\\'), ..Dialect::default() };
        check(&escaped, r#""a\",b",c"#, &[r#"q"a\",b""#, "c"]);
        check(&escaped, r#""a\"#, &[r#"q"a\"#, "!"]);
        check(&escaped, r"a\,b", &[r"a\", "b"]);
    }

    #[test]
    fn without_quotes_only_delimiters_count() {
        check(&Dialect { quote: None, ..Dialect::default() }, "\"a,b\"", &["\"a", "b\""]);
    }

    proptest! {
        #[test]
        fn what_looks_at_quotes_only_sees_the_same(
            text in "[a,\"\\\\]{0,30}",
            escape in prop::option::of(Just(b'\\')),
        ) {
            let dialect = Dialect { escape, ..Dialect::default() };
            let spans = spans(text.as_bytes(), &dialect);
            let is_loose = spans.fields.iter().any(|field| field.is_loose);
            let is_sound = are_quotes_sound(text.as_bytes(), &dialect);
            prop_assert_eq!(is_sound, !spans.is_unclosed && !is_loose);
        }
    }
}
