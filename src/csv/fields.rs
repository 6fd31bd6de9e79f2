//! Where the fields of one record stand in its text, and which of them are in quotes.
//!
//! Pure. The rules are those of `csv-core`, which cuts the records but keeps neither.

use std::ops::Range;

use super::dialect::Dialect;

/// One field of a record's text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldSpan {
    /// Its bytes, its quotes included.
    pub range: Range<usize>,
    /// A field is quoted if it begins with a quote.
    pub is_quoted: bool,
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
            fields.push(FieldSpan { range: start..text.len(), is_quoted });
            return Spans { fields, is_unclosed: true };
        };
        // After the closing quote, and without quotes, only the delimiter has a meaning.
        let tail = rest.get(closed..).unwrap_or_default();
        let delimiter = memchr::memchr(dialect.delimiter, tail);
        let end = start + closed + delimiter.unwrap_or(tail.len());
        fields.push(FieldSpan { range: start..end, is_quoted });
        if delimiter.is_none() {
            return Spans { fields, is_unclosed: false };
        }
        start = end + 1;
    }
}

/// The place after the closing quote of a text that begins with a quote.
fn end_of_quotes(text: &[u8], dialect: &Dialect) -> Option<usize> {
    let mut place = 1;
    while let Some(&byte) = text.get(place) {
        if dialect.escape == Some(byte) {
            place += 2;
        } else if dialect.quote != Some(byte) {
            place += 1;
        } else if text.get(place + 1).copied() == dialect.quote {
            place += 2;
        } else {
            return Some(place + 1);
        }
    }
    None
}

#[cfg(test)]
mod tests {
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
        if spans.is_unclosed {
            found.push("!".to_owned());
        }
        assert_eq!(found, expected, "{text}");
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
}
