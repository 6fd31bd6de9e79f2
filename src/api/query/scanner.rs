//! Tokens of a query in PostgREST's syntax: names, quoted texts, lists.
//!
//! Pure. Accepts any text: each call returns a token, or `None`, and consumes at least the token.

/// The rest of a text.
#[derive(Debug, Clone, Copy)]
pub(super) struct Scanner<'a> {
    rest: &'a str,
}

impl<'a> Scanner<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        Self { rest: text }
    }

    pub(super) fn is_at_end(self) -> bool {
        self.rest.is_empty()
    }

    /// Returns the whole rest.
    pub(super) fn rest(self) -> &'a str {
        self.rest
    }

    pub(super) fn starts_with(self, text: &str) -> bool {
        self.rest.starts_with(text)
    }

    /// Consumes `text` if it comes next. Returns `true` if it did.
    pub(super) fn take(&mut self, text: &str) -> bool {
        match self.rest.strip_prefix(text) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    /// Reads a column's name: in double quotes, or up to the next character with a meaning.
    pub(super) fn name(&mut self) -> Option<String> {
        if self.starts_with("\"") {
            return self.quoted();
        }
        let name = self.until(|character| matches!(character, ',' | '.' | ':' | '(' | ')' | '"'));
        (!name.is_empty()).then(|| name.to_owned())
    }

    /// Reads a word of lower-case letters, which may be empty.
    pub(super) fn word(&mut self) -> &'a str {
        self.until(|character| !(character.is_ascii_lowercase() || character == '_'))
    }

    /// Reads one value of a list or a group: in double quotes, in braces, or up to a comma or a
    /// closing parenthesis.
    pub(super) fn value(&mut self) -> Option<String> {
        if self.starts_with("\"") {
            return self.quoted();
        }
        if self.starts_with("{") {
            return self.braced().map(ToOwned::to_owned);
        }
        Some(self.until(|character| matches!(character, ',' | ')')).to_owned())
    }

    /// Reads a list such as `(a,"b,c",d)`; `()` is an empty list.
    pub(super) fn list(&mut self) -> Option<Vec<String>> {
        if !self.take("(") {
            return None;
        }
        if self.take(")") {
            return Some(Vec::new());
        }
        let mut values = Vec::new();
        loop {
            values.push(self.value()?);
            if self.take(")") {
                return Some(values);
            }
            if !self.take(",") {
                return None;
            }
        }
    }

    fn until(&mut self, is_end: impl Fn(char) -> bool) -> &'a str {
        let (taken, rest) = self.rest.split_at(self.rest.find(is_end).unwrap_or(self.rest.len()));
        self.rest = rest;
        taken
    }

    /// Reads a text in double quotes. A backslash escapes a quote or a backslash.
    fn quoted(&mut self) -> Option<String> {
        let mut text = String::new();
        let mut characters = self.rest.strip_prefix('"')?.chars();
        loop {
            match characters.next()? {
                '"' => {
                    self.rest = characters.as_str();
                    return Some(text);
                }
                '\\' => text.push(characters.next()?),
                other => text.push(other),
            }
        }
    }

    /// Reads an array literal, with its quotes and braces in pairs.
    fn braced(&mut self) -> Option<&'a str> {
        let mut depth = 0_usize;
        let mut is_quoted = false;
        let mut is_escaped = false;
        for (index, character) in self.rest.char_indices() {
            match character {
                _ if is_escaped => is_escaped = false,
                '\\' => is_escaped = true,
                '"' => is_quoted = !is_quoted,
                '{' if !is_quoted => depth += 1,
                '}' if !is_quoted => depth -= 1,
                _ => {}
            }
            if depth == 0 {
                let (taken, rest) = self.rest.split_at(index + character.len_utf8());
                self.rest = rest;
                return Some(taken);
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_contain_plain_quoted_and_braced_values() {
        let check = |text: &str, expected: Option<&[&str]>| {
            let mut scanner = Scanner::new(text);
            let found = scanner.list().filter(|_| scanner.is_at_end());
            let expected = expected
                .map(|values| values.iter().map(|value| (*value).to_owned()).collect::<Vec<_>>());
            assert_eq!(found, expected, "{text}");
        };
        check("()", Some(&[]));
        check("(a)", Some(&["a"]));
        check("(a,,b c)", Some(&["a", "", "b c"]));
        check(
            r#"("a,b","say \"hi\" \\ ",{1,"}",2})"#,
            Some(&["a,b", "say \"hi\" \\ ", "{1,\"}\",2}"]),
        );
        check("(a", None);
        check("a)", None);
        check("(\"a)", None);
        check("(\"a\"b)", None);
        check("({a)", None);
        check("(\"\\", None);
    }

    #[test]
    fn names_end_before_the_next_token() {
        let check = |text: &str, expected: Option<&str>, rest: &str| {
            let mut scanner = Scanner::new(text);
            assert_eq!(scanner.name().as_deref(), expected, "{text}");
            assert_eq!(scanner.rest(), rest, "{text}");
        };
        check("name.eq.1", Some("name"), ".eq.1");
        check("taken at,b", Some("taken at"), ",b");
        check("\"a.b\".desc", Some("a.b"), ".desc");
        check("\"é\"", Some("é"), "");
        check(".eq", None, ".eq");
        check("\"open", None, "\"open");
    }
}
