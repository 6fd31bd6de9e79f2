//! The characters by which a file separates its fields and records.
//!
//! Pure. Every mark is one ASCII character: in every encoding that a file may have, it means
//! itself.

use std::borrow::Cow;

/// The marks of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dialect {
    pub delimiter: u8,
    /// `None`: quotes are ordinary characters.
    pub quote: Option<u8>,
    /// The character that makes the next one literal within quotes. Doubled quotes are understood
    /// besides.
    pub escape: Option<u8>,
    /// A line that begins with it is skipped.
    pub comment: Option<u8>,
    /// A field of this text without quotes is NULL, as an empty one is.
    pub null: Option<String>,
}

impl Default for Dialect {
    /// RFC 4180.
    fn default() -> Self {
        Self { delimiter: b',', quote: Some(b'"'), escape: None, comment: None, null: None }
    }
}

impl Dialect {
    /// Returns whether a text is NULL, where it stands without quotes.
    pub fn is_null(&self, text: &str) -> bool {
        text.is_empty() || self.null.as_deref() == Some(text)
    }

    /// A text as a field, in quotes where it must be.
    pub fn field<'a>(&self, text: &'a str) -> Cow<'a, str> {
        let is_mark = |character: char| {
            let marks = [Some(self.delimiter), self.quote, self.comment];
            matches!(character, '\r' | '\n')
                || marks.into_iter().flatten().any(|mark| char::from(mark) == character)
        };
        if !text.contains(is_mark) && !self.is_null(text) {
            return Cow::Borrowed(text);
        }
        let Some(quote) = self.quote.map(char::from) else {
            return Cow::Owned(text.replace(is_mark, " "));
        };
        let mut field = String::with_capacity(text.len() + 2);
        field.push(quote);
        for character in text.chars() {
            if self.escape.map(char::from) == Some(character) {
                field.push(character);
            } else if character == quote {
                field.push(self.escape.map_or(quote, char::from));
            }
            field.push(character);
        }
        field.push(quote);
        Cow::Owned(field)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(dialect: &Dialect, text: &str, expected: &str) {
        assert_eq!(dialect.field(text), expected);
    }

    #[test]
    fn a_text_is_quoted_where_it_must_be() {
        let rfc = Dialect::default();
        check(&rfc, "as it is", "as it is");
        check(&rfc, "a,b", "\"a,b\"");
        check(&rfc, "", "\"\"");
        check(&rfc, "say \"hi\"", "\"say \"\"hi\"\"\"");
        check(&rfc, "a\r\nb", "\"a\r\nb\"");
        let other = Dialect {
            delimiter: b';',
            quote: Some(b'\''),
            escape: Some(b'\\'),
            comment: Some(b'#'),
            null: Some("NA".into()),
        };
        check(&other, "a,b", "a,b");
        check(&other, "it's \\;", "'it\\'s \\\\;'");
        check(&other, "#1", "'#1'");
        check(&other, "NA", "'NA'");
    }

    #[test]
    fn without_quotes_a_mark_becomes_a_blank() {
        check(&Dialect { quote: None, ..Dialect::default() }, "a,\"b\"\nc", "a \"b\" c");
    }
}
