//! PostgreSQL array literals: a column of many rows as one parameter.
//!
//! Pure. The Data API refuses array *values*. It accepts a text parameter that the statement casts
//! to an array.

/// A one-dimensional array literal, built element by element: `{0001,"two words",NULL}`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ArrayLiteral {
    text: String,
}

impl ArrayLiteral {
    /// Makes an empty literal.
    pub fn new() -> Self {
        Self::with_capacity(0)
    }

    /// Makes an empty literal with a capacity in bytes.
    pub fn with_capacity(bytes: usize) -> Self {
        let mut text = String::with_capacity(bytes + "{}".len());
        text.push('{');
        Self { text }
    }

    /// Appends one element; `None` is NULL.
    pub fn push(&mut self, element: Option<&str>) {
        if self.text.len() > 1 {
            self.text.push(',');
        }
        match element {
            None => self.text.push_str("NULL"),
            Some(element) if needs_no_quotes(element) => self.text.push_str(element),
            Some(element) => {
                self.text.push('"');
                let mut rest = element;
                while let Some(at) = memchr::memchr2(b'"', b'\\', rest.as_bytes()) {
                    let (plain, marked) = rest.split_at_checked(at).unwrap_or((rest, ""));
                    self.text.push_str(plain);
                    self.text.push('\\');
                    self.text.push_str(marked.get(..1).unwrap_or_default());
                    rest = marked.get(1..).unwrap_or_default();
                }
                self.text.push_str(rest);
                self.text.push('"');
            }
        }
    }

    /// Closes the array, and returns its text.
    pub fn finish(mut self) -> String {
        self.text.push('}');
        self.text
    }
}

impl Default for ArrayLiteral {
    fn default() -> Self {
        Self::new()
    }
}

impl<'a> FromIterator<Option<&'a str>> for ArrayLiteral {
    fn from_iter<I: IntoIterator<Item = Option<&'a str>>>(elements: I) -> Self {
        let mut literal = Self::new();
        for element in elements {
            literal.push(element);
        }
        literal
    }
}

/// Makes an array literal of these elements.
pub fn array_literal<'a>(elements: impl IntoIterator<Item = Option<&'a str>>) -> String {
    elements.into_iter().collect::<ArrayLiteral>().finish()
}

/// A table of bytes: [`PLAIN`] if an element with the byte needs no quotes for it, otherwise the
/// number of bytes that the byte takes in a JSON request within a quoted element.
const KINDS: [u8; 256] = {
    let mut kinds = [0; 256];
    let mut byte: u8 = 0;
    loop {
        let encoded_len = match byte {
            // The literal escapes a quote or a backslash with a backslash, and JSON escapes both
            // again.
            b'"' | b'\\' => 4,
            b'\n' | b'\r' | b'\t' | 0x08 | 0x0c => 2,
            0x00..=0x1f => 6,
            _ => 1,
        };
        let is_plain = byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b':');
        kinds[byte as usize] = if is_plain { PLAIN | encoded_len } else { encoded_len };
        if byte == u8::MAX {
            break kinds;
        }
        byte += 1;
    }
};

const PLAIN: u8 = 0x80;

/// Returns the number of bytes that an element adds to a JSON request, with its separator and all
/// escapes.
pub fn encoded_len(element: Option<&str>) -> usize {
    const COMMA: usize = 1;
    // A quote of the literal takes two bytes in JSON.
    const QUOTES: usize = 4;
    let Some(element) = element else { return COMMA + "NULL".len() };
    let mut len = 0;
    let mut is_plain = PLAIN;
    for byte in element.bytes() {
        let kind = KINDS[usize::from(byte)];
        len += usize::from(kind & !PLAIN);
        is_plain &= kind;
    }
    let is_bare = is_plain & PLAIN != 0 && !is_empty_or_null(element);
    COMMA + len + if is_bare { 0 } else { QUOTES }
}

/// Returns `true` if PostgreSQL reads the element unchanged without quotes (manual, "Array Value
/// Input").
fn needs_no_quotes(element: &str) -> bool {
    element.bytes().all(|byte| KINDS[usize::from(byte)] & PLAIN != 0) && !is_empty_or_null(element)
}

fn is_empty_or_null(element: &str) -> bool {
    element.is_empty() || element.eq_ignore_ascii_case("null")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(elements: &[Option<&str>], expected: &str) {
        let literal = array_literal(elements.iter().copied());
        assert_eq!(literal, expected);
        let json = serde_json::to_string(&literal).unwrap();
        let counted: usize = elements.iter().map(|element| encoded_len(*element)).sum();
        // Two braces and two JSON quotes; one separator fewer than elements.
        assert_eq!(json.len(), counted + 4 - usize::from(!elements.is_empty()), "{json}");
    }

    #[test]
    fn elements_are_quoted_only_if_necessary() {
        check(&[], "{}");
        check(&[Some("0001"), Some("Aurora"), Some("-1.5")], "{0001,Aurora,-1.5}");
        check(&[Some("two words"), Some("a,b"), Some("{}")], r#"{"two words","a,b","{}"}"#);
        check(&[Some(""), None, Some("NULL"), Some("null")], r#"{"",NULL,"NULL","null"}"#);
        check(&[Some(r#"say "hi" \o/"#)], r#"{"say \"hi\" \\o/"}"#);
        check(
            &[Some("line\nbreak\ttab\u{1}bell"), Some("é😀")],
            "{\"line\nbreak\ttab\u{1}bell\",\"é😀\"}",
        );
    }
}
