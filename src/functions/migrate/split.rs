//! Cuts a file into statements, as the Data API takes them: one a call, no closing semicolon.
//!
//! Pure. Uses the tokenizer of `sqlparser`, so that a semicolon in a string, a comment or a
//! function's body ends nothing. Rewrites two things that the Data API's scanner for `:name` gets
//! wrong: it looks into dollar quotes, and takes the `:2` of `a[1:2]` for a parameter.

use sqlparser::dialect::PostgreSqlDialect;
use sqlparser::tokenizer::{Location, Token, TokenWithSpan, Tokenizer};

/// The first line of a file that runs outside a transaction.
pub(super) const MARK: &str = "-- aurora-sync: no transaction";

/// Most characters of an SQL text in the Data API (service model, `SqlStatement`).
const SQL_CHARACTERS_MAX: usize = 65_536;

/// An error of a text, by its line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Fault {
    pub(super) line: usize,
    pub(super) cause: String,
}

impl Fault {
    pub(super) fn new(line: usize, cause: impl Into<String>) -> Self {
        Self { line, cause: cause.into() }
    }
}

/// One SQL statement of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Statement {
    /// The line of the file on which it begins, from 1.
    pub(super) line: usize,
    /// The text without the closing semicolon, safe for the Data API's placeholder scanner.
    pub(super) sql: String,
    /// The tokens without white space and comments.
    tokens: Vec<Token>,
}

impl Statement {
    /// Returns whether the statement begins with these words.
    pub(super) fn begins_with(&self, words: &[&str]) -> bool {
        words
            .iter()
            .enumerate()
            .all(|(index, word)| self.tokens.get(index).is_some_and(|token| is_word(token, word)))
    }

    /// Returns whether the statement holds this word, unquoted.
    pub(super) fn has_word(&self, word: &str) -> bool {
        self.tokens.iter().any(|token| is_word(token, word))
    }

    /// Returns whether the statement holds this identifier, as PostgreSQL spells it.
    pub(super) fn names(&self, identifier: &str) -> bool {
        self.tokens.iter().any(|token| match token {
            Token::Word(word) if word.quote_style.is_none() => {
                word.value.to_lowercase() == identifier
            }
            Token::Word(word) => word.value.replace("\"\"", "\"") == identifier,
            _ => false,
        })
    }
}

/// Returns whether a token is this word, unquoted.
fn is_word(token: &Token, word: &str) -> bool {
    matches!(token, Token::Word(found) if found.quote_style.is_none() && found.value.eq_ignore_ascii_case(word))
}

/// Returns the statements of a file.
pub(super) fn statements(text: &str) -> Result<Vec<Statement>, Fault> {
    let text = without_dump_marks(text)?;
    let dialect = PostgreSqlDialect {};
    let tokens = Tokenizer::new(&dialect, &text).with_unescape(false).tokenize_with_location();
    let tokens = tokens.map_err(|error| {
        Fault::new(
            line_number(error.location),
            format!("{}; check quotes and comments", error.message),
        )
    })?;
    let lines = Lines::new(&text);
    let mut statements = Vec::new();
    let mut current: Vec<&TokenWithSpan> = Vec::new();
    let mut depth = Depth::default();
    for token in &tokens {
        match &token.token {
            Token::SemiColon if depth.is_top() => {
                statements.extend(statement(&lines, &current)?);
                current.clear();
                depth = Depth::default();
            }
            Token::Whitespace(_) | Token::EOF => {}
            other => {
                depth.see(other, current.len());
                current.push(token);
            }
        }
    }
    statements.extend(statement(&lines, &current)?);
    Ok(statements)
}

/// Removes the lines `\restrict` with which `pg_dump` of 2025 and later frames its output. Other
/// lines for psql are an error.
fn without_dump_marks(text: &str) -> Result<String, Fault> {
    let mut kept = String::with_capacity(text.len());
    for (index, line) in text.split_inclusive('\n').enumerate() {
        if line.starts_with("\\restrict") || line.starts_with("\\unrestrict") {
            kept.push('\n');
        } else if line.starts_with('\\')
            && line.get(1..2).is_some_and(|c| c.chars().all(|c| c.is_ascii_alphabetic()))
        {
            let cause =
                "a psql command is not SQL; leave it out (for a dump: pg_dump --schema-only)";
            return Err(Fault::new(index + 1, cause));
        } else {
            kept.push_str(line);
        }
    }
    Ok(kept)
}

/// The nesting of a statement, in which a semicolon does not end it: parentheses, as those of a
/// rule's actions, and the body of an SQL-standard function.
#[derive(Debug, Default)]
struct Depth {
    is_routine: bool,
    blocks: usize,
    parentheses: usize,
    previous_was_begin: bool,
}

impl Depth {
    fn see(&mut self, token: &Token, index: usize) {
        match token {
            Token::LParen => self.parentheses += 1,
            Token::RParen => self.parentheses = self.parentheses.saturating_sub(1),
            _ => {}
        }
        if index <= 3 && (is_word(token, "FUNCTION") || is_word(token, "PROCEDURE")) {
            self.is_routine = true;
        }
        if !self.is_routine {
            return;
        }
        let opens_body = is_word(token, "ATOMIC") && self.previous_was_begin;
        let opens_case = is_word(token, "CASE") && self.blocks > 0;
        if opens_body || opens_case {
            self.blocks += 1;
        } else if self.blocks > 0 && is_word(token, "END") {
            self.blocks -= 1;
        }
        self.previous_was_begin = is_word(token, "BEGIN");
    }

    fn is_top(&self) -> bool {
        self.blocks == 0 && self.parentheses == 0
    }
}

/// Finds byte offsets of a text by line and column.
struct Lines<'a> {
    text: &'a str,
    starts: Vec<usize>,
}

impl<'a> Lines<'a> {
    fn new(text: &'a str) -> Self {
        let ends = text.match_indices('\n').map(|(index, _)| index + 1);
        Self { text, starts: std::iter::once(0).chain(ends).collect() }
    }

    /// Returns the byte offset of a location: lines and columns count from 1, columns in
    /// characters.
    fn offset(&self, location: Location) -> usize {
        let line = line_number(location).saturating_sub(1);
        let start = self.starts.get(line).copied().unwrap_or(self.text.len());
        let column = usize::try_from(location.column).unwrap_or(usize::MAX).saturating_sub(1);
        let rest = self.text.get(start..).unwrap_or_default();
        rest.char_indices().nth(column).map_or(self.text.len(), |(index, _)| start + index)
    }
}

fn line_number(location: Location) -> usize {
    usize::try_from(location.line).unwrap_or(usize::MAX)
}

fn statement(lines: &Lines<'_>, tokens: &[&TokenWithSpan]) -> Result<Option<Statement>, Fault> {
    let Some(first) = tokens.first() else { return Ok(None) };
    let line = line_number(first.span.start);
    let words = tokens.iter().map(|token| token.token.clone()).collect::<Vec<_>>();
    if is_word(&words[0], "COPY") && words.iter().any(|token| is_word(token, "STDIN")) {
        let cause =
            "COPY … FROM stdin cannot go through the Data API; use INSERT, or import a CSV file";
        return Err(Fault::new(line, cause));
    }
    let mut sql = String::new();
    let mut end = lines.offset(first.span.start);
    for (index, token) in tokens.iter().enumerate() {
        let start = lines.offset(token.span.start);
        sql.push_str(lines.text.get(end..start).unwrap_or_default());
        end = lines.offset(token.span.end);
        match &token.token {
            Token::DollarQuotedString(quoted) => {
                sql.push('\'');
                sql.push_str(&quoted.value.replace('\'', "''"));
                sql.push('\'');
            }
            other => {
                sql.push_str(lines.text.get(start..end).unwrap_or_default());
                // A lone colon is the one of an array slice; a space keeps it from being a name's.
                let is_next_to =
                    tokens.get(index + 1).is_some_and(|next| lines.offset(next.span.start) == end);
                if matches!(other, Token::Colon) && is_next_to {
                    sql.push(' ');
                }
            }
        }
    }
    if sql.chars().count() > SQL_CHARACTERS_MAX {
        let cause = format!(
            "the statement is over the {SQL_CHARACTERS_MAX} characters that the Data API takes; cut it into several"
        );
        return Err(Fault::new(line, cause));
    }
    Ok(Some(Statement { line, sql, tokens: words }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(sql: &str, expected: &[(usize, &str)]) {
        let found = statements(sql).unwrap();
        let found: Vec<_> = found.iter().map(|found| (found.line, found.sql.as_str())).collect();
        assert_eq!(found, expected);
    }

    #[track_caller]
    fn check_error(sql: &str, line: usize, expected: &str) {
        let fault = statements(sql).unwrap_err();
        assert_eq!(fault.line, line);
        assert!(fault.cause.starts_with(expected), "{}", fault.cause);
    }

    #[test]
    fn semicolons_end_statements_only_at_the_top() {
        check(
            "-- first\nSELECT 'a;b', \";\" /* ; /* ; */ */;\n\n;SELECT E'\\';'; select 2",
            &[(2, "SELECT 'a;b', \";\""), (4, "SELECT E'\\';'"), (4, "select 2")],
        );
        let function = "CREATE FUNCTION f() RETURNS int BEGIN ATOMIC \
                        SELECT CASE WHEN true THEN 1 END; SELECT 2; END";
        check(&format!("{function}; SELECT 3"), &[(1, function), (1, "SELECT 3")]);
        let rule = "CREATE RULE r AS ON INSERT TO t DO ALSO (DELETE FROM a; DELETE FROM b)";
        check(&format!("{rule}; SELECT 3"), &[(1, rule), (1, "SELECT 3")]);
        check("BEGIN; SELECT 1; END", &[(1, "BEGIN"), (1, "SELECT 1"), (1, "END")]);
    }

    #[test]
    fn statements_are_safe_for_the_scanner_of_placeholders() {
        check(
            "DO $body$ BEGIN a := ':b'; END $body$; SELECT a[1:2], b::text, '$$ :c', é[x:y]",
            &[
                (1, "DO ' BEGIN a := '':b''; END '"),
                (1, "SELECT a[1: 2], b::text, '$$ :c', é[x: y]"),
            ],
        );
    }

    #[test]
    fn the_frame_of_a_dump_is_left_out() {
        check("\\restrict abc\nSELECT 1;\n\\unrestrict abc\n", &[(2, "SELECT 1")]);
    }

    #[test]
    fn a_text_that_the_data_api_cannot_take_is_an_error_with_its_line() {
        check_error("\nSELECT 'open", 2, "Unterminated string literal");
        check_error("SELECT 1;\n\\connect x", 2, "a psql command");
        check_error("\n\nCOPY t FROM stdin;", 3, "COPY");
        check_error(&format!("SELECT '{}'", "x".repeat(65_536)), 1, "the statement is over");
    }

    #[test]
    fn identifiers_are_compared_as_postgresql_spells_them() {
        let found = statements("CREATE INDEX Orders_At ON t (a, \"B \"\"c\"\"\")").unwrap();
        let names = |identifier| found[0].names(identifier);
        assert!(names("orders_at") && names("B \"c\""));
        assert!(!names("Orders_At") && !names("b"));
    }
}
