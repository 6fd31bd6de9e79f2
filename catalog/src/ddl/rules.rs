//! What statements say about tables besides their columns: constraints added later, triggers, unique
//! indexes, and marks in comments.
//!
//! Pure. Reads tokens rather than syntax trees, since these statements may hold any expression that
//! PostgreSQL takes and the parser does not.

use sqlparser::ast::TableConstraint;
use sqlparser::dialect::PostgreSqlDialect;
use sqlparser::parser::Parser;
use sqlparser::tokenizer::{Token, Word};

use super::split::{Piece, is_word};
use super::tables::{Name, fold};
use crate::{Access, Table};

/// A statement about a table that leaves its columns as they are.
#[derive(Debug)]
pub(super) enum Remark {
    /// Something that may refuse any value of any column: a check, a trigger, a unique index.
    Rule(Name),
    /// A unique index, or a constraint that the parser does not know.
    Exclusion(Name),
    Constraint(Name, Box<TableConstraint>),
    TableComment(Name, String),
    ColumnComment(Name, String, String),
}

impl Remark {
    pub(super) fn table(&self) -> &Name {
        match self {
            Self::Rule(table)
            | Self::Exclusion(table)
            | Self::Constraint(table, _)
            | Self::TableComment(table, _)
            | Self::ColumnComment(table, _, _) => table,
        }
    }
}

/// What a statement remarks on a table, if that is all it does.
pub(super) fn remark(piece: &Piece) -> Option<Remark> {
    let tokens = piece.tokens.as_slice();
    if piece.begins_with(&["COMMENT", "ON"]) {
        return comment(tokens);
    }
    if piece.begins_with(&["CREATE"]) {
        return rule_of_create(tokens);
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

/// The table that a `CREATE TRIGGER`, `CREATE RULE` or `CREATE UNIQUE INDEX` is about.
fn rule_of_create(tokens: &[Token]) -> Option<Remark> {
    let kind = tokens.iter().take(5).position(|token| {
        ["TRIGGER", "RULE", "UNIQUE", "TABLE"].iter().any(|word| is_word(token, word))
    })?;
    // A rule says `AS ON event TO table`; the others `ON table`.
    let before_name = match tokens.get(kind)? {
        token if is_word(token, "RULE") => "TO",
        token if is_word(token, "TABLE") => return None,
        _ => "ON",
    };
    let place = kind + tokens.get(kind..)?.iter().position(|token| is_word(token, before_name))?;
    let skipped = tokens.get(place + 1).is_some_and(|token| is_word(token, "ONLY"));
    let (names, _) = name_at(tokens, place + 1 + usize::from(skipped))?;
    let table = table_name(names)?;
    let is_index = is_word(tokens.get(kind)?, "UNIQUE");
    Some(if is_index { Remark::Exclusion(table) } else { Remark::Rule(table) })
}

/// `ALTER TABLE … ADD [CONSTRAINT name] …` where that is its only action and adds no primary key.
fn added_constraint(tokens: &[Token]) -> Option<Remark> {
    let mut place = 2;
    while tokens
        .get(place)
        .is_some_and(|token| ["ONLY", "IF", "EXISTS"].iter().any(|word| is_word(token, word)))
    {
        place += 1;
    }
    let (names, rest) = name_at(tokens, place)?;
    let table = table_name(names)?;
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
        Ok(None) | Err(_) => Remark::Exclusion(table),
    })
}

/// The dotted name at a place, folded, and what comes after it.
fn name_at(tokens: &[Token], place: usize) -> Option<(Vec<String>, &[Token])> {
    let mut names = Vec::new();
    let mut rest = tokens.get(place..)?;
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

/// What a comment can ask of the worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mark {
    NoRead,
    NoWrite,
    Version,
}

/// What begins a mark in a comment; everything else there is for people.
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
