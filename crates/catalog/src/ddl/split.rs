//! Cuts a file into statements, as the Data API takes them: one a call, no closing semicolon.
//!
//! Pure. Uses the tokenizer of `sqlparser`, so that a semicolon in a string, a comment or a
//! function's body ends nothing. Rewrites two things that the Data API's scanner for `:name` gets
//! wrong: it looks into dollar quotes, and takes the `:2` of `a[1:2]` for a parameter.

use sqlparser::dialect::PostgreSqlDialect;
use sqlparser::tokenizer::{Location, Token, TokenWithSpan, Tokenizer};

use super::fault::Fault;
use crate::catalog::Statement;

/// Most characters of an SQL text in the Data API (service model, `SqlStatement`).
const SQL_CHARACTERS_MAX: usize = 65_536;

/// One statement, for the parser and for the database.
#[derive(Debug, Clone)]
pub(super) struct Piece {
    pub(super) line: usize,
    /// The tokens without white space and comments.
    pub(super) tokens: Vec<Token>,
    sql: String,
}

impl Piece {
    pub(super) fn into_statement(self) -> Statement {
        Statement { line: self.line, sql: self.sql }
    }

    /// Returns whether the statement begins with these words.
    pub(super) fn begins_with(&self, words: &[&str]) -> bool {
        words.iter().enumerate().all(|(index, word)| self.is_word(index, word))
    }

    /// Returns whether the token at this index is this word, unquoted.
    pub(super) fn is_word(&self, index: usize, word: &str) -> bool {
        self.tokens.get(index).is_some_and(|token| is_word(token, word))
    }
}

/// Returns whether a token is this word, unquoted.
pub(super) fn is_word(token: &Token, word: &str) -> bool {
    matches!(token, Token::Word(found) if found.quote_style.is_none() && found.value.eq_ignore_ascii_case(word))
}

/// The statements of a file.
pub(super) fn statements(text: &str) -> Result<Vec<Piece>, Fault> {
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
    let mut pieces = Vec::new();
    let mut current: Vec<&TokenWithSpan> = Vec::new();
    let mut depth = Depth::default();
    for token in &tokens {
        match &token.token {
            Token::SemiColon if depth.is_top() => {
                pieces.extend(piece(&lines, &current)?);
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
    pieces.extend(piece(&lines, &current)?);
    Ok(pieces)
}

/// `pg_dump` of 2025 and later frames its output with `\restrict`; other lines for psql are not
/// SQL.
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

/// The nesting of a statement, in which a semicolon does not end it: the body of an SQL-standard
/// function.
#[derive(Debug, Default)]
struct Depth {
    is_routine: bool,
    blocks: usize,
    previous_was_begin: bool,
}

impl Depth {
    fn see(&mut self, token: &Token, index: usize) {
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
        self.blocks == 0
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

fn piece(lines: &Lines<'_>, tokens: &[&TokenWithSpan]) -> Result<Option<Piece>, Fault> {
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
    Ok(Some(Piece { line, tokens: words, sql }))
}
