//! Reads the properties of tables that do not stand in `CREATE TABLE`: constraints added later,
//! triggers, indexes, and marks in comments.
//!
//! Pure. Reads tokens rather than syntax trees, since these statements may hold any expression that
//! PostgreSQL takes and the parser does not.

use sqlparser::ast::TableConstraint;
use sqlparser::dialect::PostgreSqlDialect;
use sqlparser::parser::Parser;
use sqlparser::tokenizer::{Token, Tokenizer, Word};

use super::name::{Name, fold};
use super::split::{Piece, is_word};
use crate::catalog::{Access, Table};

/// A statement about a table that leaves its columns as they are.
#[derive(Debug)]
pub(super) enum Remark {
    /// An index over columns among these words.
    Index(Name, Vec<String>),
    /// A unique index, or a constraint that the parser does not know.
    Exclusion(Name, Vec<String>),
    Constraint(Name, Box<TableConstraint>),
    TableComment(Name, String),
    ColumnComment(Name, String, String),
}

impl Remark {
    pub(super) fn table(&self) -> &Name {
        match self {
            Self::Index(table, _)
            | Self::Exclusion(table, _)
            | Self::Constraint(table, _)
            | Self::TableComment(table, _)
            | Self::ColumnComment(table, _, _) => table,
        }
    }
}

/// Returns the remark of a statement on a table, if the statement does nothing else.
pub(super) fn remark(piece: &Piece) -> Option<Remark> {
    let tokens = piece.tokens.as_slice();
    if piece.begins_with(&["COMMENT", "ON"]) {
        return comment(tokens);
    }
    if piece.begins_with(&["CREATE"]) {
        return index(tokens);
    }
    if piece.begins_with(&["ALTER", "TABLE"]) {
        return added_constraint(tokens);
    }
    None
}

/// `COMMENT ON TABLE t IS '…'`, `COMMENT ON COLUMN t.c IS '…'`; NULL is an empty comment.
fn comment(tokens: &[Token]) -> Option<Remark> {
    let (mut names, rest) = name_at(tokens, 3)?;
    let text = match rest {
        [is, Token::SingleQuotedString(text)] if is_word(is, "IS") => text.replace("''", "'"),
        [is, null] if is_word(is, "IS") && is_word(null, "NULL") => String::new(),
        _ => return None,
    };
    if is_word(tokens.get(2)?, "TABLE") {
        return Some(Remark::TableComment(table_name(names)?, text));
    }
    if is_word(tokens.get(2)?, "COLUMN") && names.len() > 1 {
        let column = names.pop()?;
        return Some(Remark::ColumnComment(table_name(names)?, column, text));
    }
    None
}

/// `CREATE [UNIQUE] INDEX … ON t …`
fn index(tokens: &[Token]) -> Option<Remark> {
    let kind = tokens.iter().take(3).position(|token| is_word(token, "INDEX"))?;
    let (table, rest) = table_after("ON", tokens.get(kind..)?)?;
    let is_unique = kind == 2 && is_word(tokens.get(1)?, "UNIQUE");
    if kind > 1 && !is_unique {
        return None;
    }
    let words = words(rest);
    Some(if is_unique { Remark::Exclusion(table, words) } else { Remark::Index(table, words) })
}

/// The table to which a statement gives a logic of its own (see [`Table::has_row_logic`]), whatever
/// else it does.
pub(super) fn row_logic(piece: &Piece) -> Option<Name> {
    let tokens = piece.tokens.as_slice();
    if piece.begins_with(&["CREATE"]) {
        // `CREATE OR REPLACE CONSTRAINT TRIGGER`.
        let kind = tokens.iter().take(5).position(|token| {
            ["TRIGGER", "RULE", "POLICY", "TABLE"].iter().any(|word| is_word(token, word))
        })?;
        // A rule says `AS ON event TO table`; the others `ON table`.
        let before_name = match tokens.get(kind)? {
            token if is_word(token, "TABLE") => return None,
            token if is_word(token, "RULE") => "TO",
            _ => "ON",
        };
        return Some(table_after(before_name, tokens.get(kind..)?)?.0);
    }
    if !piece.begins_with(&["ALTER", "TABLE"]) {
        return None;
    }
    let is = |index: usize, word: &str| tokens.get(index).is_some_and(|token| is_word(token, word));
    let has_policies = (2..tokens.len()).any(|index| {
        (is(index, "ENABLE") || is(index, "FORCE"))
            && is(index + 1, "ROW")
            && is(index + 2, "LEVEL")
    });
    if has_policies {
        return Some(altered(tokens)?.0);
    }
    // An update of a table is one of those that inherit from it, too.
    let inherit = (3..tokens.len()).find(|&index| is(index, "INHERIT") && !is(index - 1, "NO"))?;
    table_name(name_at(tokens, inherit + 1)?.0)
}

/// The table that is named after this word, and what comes after it.
fn table_after<'a>(word: &str, tokens: &'a [Token]) -> Option<(Name, &'a [Token])> {
    let index = tokens.iter().position(|token| is_word(token, word))?;
    let skipped = tokens.get(index + 1).is_some_and(|token| is_word(token, "ONLY"));
    let (names, rest) = name_at(tokens, index + 1 + usize::from(skipped))?;
    Some((table_name(names)?, rest))
}

/// The table of an `ALTER TABLE`, and what comes after its name.
fn altered(tokens: &[Token]) -> Option<(Name, &[Token])> {
    let is_name = |token: &Token| !["ONLY", "IF", "EXISTS"].iter().any(|word| is_word(token, word));
    let index = 2 + tokens.iter().skip(2).position(is_name)?;
    let (names, rest) = name_at(tokens, index)?;
    Some((table_name(names)?, rest))
}

/// All names and keywords, folded: the columns that an expression is about are among them.
fn words(tokens: &[Token]) -> Vec<String> {
    let words = tokens.iter().filter_map(|token| match token {
        Token::Word(word) => Some(folded(word)),
        _ => None,
    });
    words.collect()
}

/// The words of a constraint; `None` where it cannot be read.
pub(super) fn words_of(constraint: &str) -> Option<Vec<String>> {
    let tokens = Tokenizer::new(&PostgreSqlDialect {}, constraint).tokenize().ok()?;
    Some(words(&tokens))
}

/// `ALTER TABLE … ADD [CONSTRAINT name] …` where that is its only action and adds no primary key.
fn added_constraint(tokens: &[Token]) -> Option<Remark> {
    let (table, rest) = altered(tokens)?;
    let rest = rest.strip_prefix(&[Token::Mul][..]).unwrap_or(rest);
    let kind = match rest {
        [add, constraint, _, kind, ..]
            if is_word(add, "ADD") && is_word(constraint, "CONSTRAINT") =>
        {
            kind
        }
        [add, kind, ..] if is_word(add, "ADD") => kind,
        _ => return None,
    };
    if !["CHECK", "FOREIGN", "UNIQUE", "EXCLUDE"].iter().any(|word| is_word(kind, word)) {
        return None;
    }
    let has_more_actions = {
        let mut depth = 0_usize;
        rest.iter().any(|token| {
            match token {
                Token::LParen => depth += 1,
                Token::RParen => depth = depth.saturating_sub(1),
                _ => {}
            }
            depth == 0 && *token == Token::Comma
        })
    };
    if has_more_actions {
        return None;
    }
    let added = Parser::new(&PostgreSqlDialect {})
        .with_tokens(rest.iter().skip(1).cloned().collect())
        .parse_optional_table_constraint();
    Some(match added {
        Ok(Some(constraint)) => Remark::Constraint(table, Box::new(constraint)),
        // UNIQUE USING INDEX, EXCLUDE with operators, and what else the parser does not know.
        Ok(None) | Err(_) => Remark::Exclusion(table, words(rest)),
    })
}

/// The dotted name at an index, folded, and what comes after it.
fn name_at(tokens: &[Token], index: usize) -> Option<(Vec<String>, &[Token])> {
    let mut names = Vec::new();
    let mut rest = tokens.get(index..)?;
    while let [Token::Word(word), after @ ..] = rest {
        names.push(folded(word));
        match after {
            [Token::Period, more @ ..] => rest = more,
            after => return Some((names, after)),
        }
    }
    None
}

fn folded(word: &Word) -> String {
    fold(&word.clone().into_ident(sqlparser::tokenizer::Span::empty()))
}

fn table_name(mut names: Vec<String>) -> Option<Name> {
    let name = names.pop()?;
    Some(Name { schema: names.pop(), name })
}

/// A property that a comment sets for the worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mark {
    NoRead,
    NoWrite,
    Version,
}

/// The prefix of a mark in a comment; everything else there is for people.
const MARK: &str = "@sync:";

/// The marks of a comment.
pub(super) fn marks(comment: &str) -> Result<Vec<Mark>, String> {
    let words = comment.split(|c: char| c.is_whitespace() || matches!(c, ',' | ';' | '.'));
    words
        .filter_map(|word| word.strip_prefix(MARK))
        .map(|word| match word {
            "no-read" => Ok(Mark::NoRead),
            "no-write" => Ok(Mark::NoWrite),
            "version" => Ok(Mark::Version),
            other => Err(format!(
                "there is no mark \"{MARK}{other}\"; the marks are {MARK}no-read, {MARK}no-write and {MARK}version"
            )),
        })
        .collect()
}

impl Mark {
    pub(super) fn of_table(self, table: &mut Table) -> Result<(), String> {
        match self {
            Self::NoRead => table.access.no_read = true,
            Self::NoWrite => table.access.no_write = true,
            Self::Version => return Err(format!("{MARK}version marks a column, not a table")),
        }
        Ok(())
    }

    pub(super) fn of_column(self, table: &mut Table, name: &str) -> Result<(), String> {
        let Some(column) = table.columns.iter_mut().find(|column| column.name == name) else {
            return Err(format!("there is no column \"{name}\" to mark"));
        };
        match self {
            Self::NoRead => column.access.no_read = true,
            Self::NoWrite => column.access.no_write = true,
            Self::Version if column.column_type.lacks_equality() => {
                return Err(format!("values of \"{name}\" have no order, so it can be no version"));
            }
            Self::Version if table.version_column.as_deref().is_some_and(|other| other != name) => {
                return Err("a table has one version column at most".to_owned());
            }
            Self::Version => table.version_column = Some(name.to_owned()),
        }
        no_mark_on_key(table)
    }
}

/// Rows are named by their key: it cannot be kept from requests, and it never changes.
pub(super) fn no_mark_on_key(table: &Table) -> Result<(), String> {
    let is_marked = |name: &&String| {
        table.version_column.as_ref() == Some(name)
            || table.column(name).is_some_and(|column| column.access != Access::default())
    };
    match table.primary_key.iter().find(is_marked) {
        None => Ok(()),
        Some(name) => Err(format!(
            "the column \"{name}\" is part of the primary key and can have no {MARK} mark"
        )),
    }
}
