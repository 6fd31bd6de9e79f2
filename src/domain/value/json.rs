//! JSON values for columns of type json and jsonb.
//!
//! Pure. Scans the text without recursion and without a tree, so that a value may be as deep and as
//! large as a body allows.

use aurora_sync_catalog::ColumnType;
use serde_json::value::RawValue;

use super::number::is_numeric;
use super::{Fault, Rule};

/// The deepest nesting of a JSON value. PostgreSQL's limit is its stack; many parsers have this
/// limit.
pub(super) const DEPTH_MAX: usize = 1_000;

/// Checks a JSON text, and returns it unchanged.
pub(super) fn json<'a>(column_type: &ColumnType, text: &'a str) -> Result<&'a str, Fault> {
    serde_json::from_str::<&RawValue>(text)
        .map_err(|_| Fault::new(Rule::Format, "a JSON value"))?;
    if depth(text) > DEPTH_MAX {
        return Err(Fault::new(Rule::Depth, format!("at most {DEPTH_MAX} levels of nesting")));
    }
    // A json column keeps the text and checks its syntax only (PostgreSQL manual, "JSON Types").
    if *column_type == ColumnType::JsonB {
        check_content(text)?;
    }
    Ok(text)
}

/// Returns the depth to which arrays and objects of a well-formed text are nested.
fn depth(text: &str) -> usize {
    let (mut depth, mut deepest) = (0_usize, 0);
    for token in Tokens::of(text) {
        match token {
            Token::Open => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            Token::Close => depth = depth.saturating_sub(1),
            Token::String(_) | Token::Number(_) => {}
        }
    }
    deepest
}

/// Checks a well-formed text for characters and numbers that jsonb refuses, since it stores values
/// instead of the text.
fn check_content(text: &str) -> Result<(), Fault> {
    for token in Tokens::of(text) {
        match token {
            Token::String(content) => check_escapes(content)?,
            Token::Number(number) if !is_numeric(number) => {
                return Err(Fault::new(
                    Rule::Range,
                    "numbers of at most 131072 digits before and 16383 after the point",
                ));
            }
            Token::Number(_) | Token::Open | Token::Close => {}
        }
    }
    Ok(())
}

fn check_escapes(content: &str) -> Result<(), Fault> {
    let surrogate = || {
        Fault::new(Rule::UnsupportedCharacter, "no half of a surrogate pair (\\ud800 to \\udfff)")
    };
    let mut after_high = false;
    let mut rest = content;
    while let Some(at) = rest.find('\\') {
        // The second half of a pair must follow immediately.
        if after_high && at > 0 {
            return Err(surrogate());
        }
        let escape = rest.as_bytes().get(at + 1);
        let is_unicode = escape == Some(&b'u');
        let unit = rest.get(at + 2..at + 6).filter(|_| is_unicode);
        match unit.and_then(|digits| u16::from_str_radix(digits, 16).ok()) {
            Some(0) => {
                return Err(Fault::new(
                    Rule::UnsupportedCharacter,
                    "no \\u0000, which jsonb cannot store",
                ));
            }
            Some(0xd800..0xdc00) if !after_high => after_high = true,
            Some(0xdc00..0xe000) if after_high => after_high = false,
            Some(0xd800..0xe000) => return Err(surrogate()),
            _ if after_high => return Err(surrogate()),
            _ => {}
        }
        rest = rest.get(at + if is_unicode { 6 } else { 2 }..).unwrap_or_default();
    }
    if after_high { Err(surrogate()) } else { Ok(()) }
}

/// A part of a JSON text that the checks need.
#[derive(Debug)]
enum Token<'a> {
    Open,
    Close,
    /// The text between the quotes, with its escapes.
    String(&'a str),
    Number(&'a str),
}

/// An iterator over the parts of a well-formed JSON text.
#[derive(Debug)]
struct Tokens<'a> {
    rest: &'a str,
}

impl<'a> Tokens<'a> {
    fn of(rest: &'a str) -> Self {
        Self { rest }
    }

    fn take(&mut self, bytes: usize) -> &'a str {
        let (taken, rest) = self.rest.split_at_checked(bytes).unwrap_or((self.rest, ""));
        self.rest = rest;
        taken
    }
}

impl<'a> Iterator for Tokens<'a> {
    type Item = Token<'a>;

    fn next(&mut self) -> Option<Token<'a>> {
        let interesting = |byte: &u8| b"[]{}\"-0123456789".contains(byte);
        let start = self.rest.bytes().position(|byte| interesting(&byte))?;
        self.take(start);
        Some(match self.rest.as_bytes().first()? {
            b'[' | b'{' => {
                self.take(1);
                Token::Open
            }
            b']' | b'}' => {
                self.take(1);
                Token::Close
            }
            b'"' => {
                self.take(1);
                let mut is_escaped = false;
                let end = self.rest.bytes().position(|byte| {
                    let ends = byte == b'"' && !is_escaped;
                    is_escaped = byte == b'\\' && !is_escaped;
                    ends
                })?;
                let content = self.take(end);
                self.take(1);
                Token::String(content)
            }
            _ => {
                let end = self
                    .rest
                    .bytes()
                    .position(|byte| !(byte.is_ascii_digit() || b"+-.eE".contains(&byte)))
                    .unwrap_or(self.rest.len());
                Token::Number(self.take(end))
            }
        })
    }
}
