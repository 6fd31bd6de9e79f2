//! The conditions of a query: comparisons of columns, alone and in groups, and their SQL.
//!
//! Pure. Values are checked against their column's type and bound as parameters. Only names of the
//! catalog and the fixed words below become SQL.

use aurora_sync_catalog::{Column, ColumnType};

use super::column_sql;
use super::operator::{Comparison, Operator, State};
use super::parameters::Parameters;
use super::scanner::Scanner;
use crate::domain::value;
use crate::domain::value::array_literal::array_literal;

/// One condition on a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Condition<'t> {
    All(Vec<Condition<'t>>),
    Any(Vec<Condition<'t>>),
    Not(Box<Condition<'t>>),
    Compare { column: &'t Column, comparison: Comparison, value: String },
    In { column: &'t Column, values: Vec<String> },
    Like { column: &'t Column, ignores_case: bool, pattern: String },
    Is { column: &'t Column, state: State },
}

impl<'t> Condition<'t> {
    /// Parses a parameter's value: `gte.30`, `not.in.(a,b)`, or a plain value, which means
    /// equality.
    ///
    /// A value that begins with a word and a dot is never plain: a misspelled operator would
    /// silently find nothing.
    pub(super) fn from_parameter(column: &'t Column, text: &str) -> Result<Self, String> {
        let mut scanner = Scanner::new(text);
        let has_operator = !scanner.word().is_empty() && scanner.starts_with(".");
        if !has_operator {
            return compare(column, Operator::Compare(Comparison::Eq), text);
        }
        let mut scanner = Scanner::new(text);
        let (is_negated, operator) = operator(column, &mut scanner)?;
        let condition = match operator {
            Operator::In => {
                let values = scanner.list().filter(|_| scanner.is_at_end());
                is_in(column, values)?
            }
            operator => compare(column, operator, scanner.rest())?,
        };
        Ok(condition.negated_if(is_negated))
    }

    /// Parses a member of a group, after its column's name and the dot: `gte.30`, `not.in.(a,b)`.
    pub(super) fn from_member(
        column: &'t Column,
        scanner: &mut Scanner<'_>,
    ) -> Result<Self, String> {
        let (is_negated, operator) = operator(column, scanner)?;
        let condition = match operator {
            Operator::In => is_in(column, scanner.list())?,
            operator => {
                let value = scanner.value().ok_or_else(|| not_closed(column))?;
                compare(column, operator, &value)?
            }
        };
        Ok(condition.negated_if(is_negated))
    }

    pub(super) fn negated_if(self, is_negated: bool) -> Self {
        if is_negated { Self::Not(Box::new(self)) } else { self }
    }

    /// Counts the comparisons.
    pub(super) fn size(&self) -> usize {
        match self {
            Self::All(members) | Self::Any(members) => members.iter().map(Self::size).sum(),
            Self::Not(condition) => condition.size(),
            Self::Compare { .. } | Self::In { .. } | Self::Like { .. } | Self::Is { .. } => 1,
        }
    }

    pub(super) fn sql(&self, parameters: &mut Parameters) -> String {
        match self {
            Self::All(members) => joined(members, " AND ", parameters),
            Self::Any(members) => joined(members, " OR ", parameters),
            Self::Not(condition) => format!("NOT ({})", condition.sql(parameters)),
            Self::Compare { column, comparison, value } => {
                let placeholder = parameters.bind(value, &column.column_type);
                format!("{} {} {placeholder}", column_sql(column), comparison.sql())
            }
            Self::In { column, values } => {
                parameters.note_type(&column.column_type);
                let list = array_literal(values.iter().map(|value| Some(value.as_str())));
                let placeholder =
                    parameters.bind_as(&list, &format!("{}[]", column.column_type.cast_name()));
                format!("{} = ANY ({placeholder})", column_sql(column))
            }
            Self::Like { column, ignores_case, pattern } => {
                let word = if *ignores_case { "ILIKE" } else { "LIKE" };
                let placeholder = parameters.bind_as(pattern, "text");
                format!("{}::text {word} {placeholder}", column_sql(column))
            }
            Self::Is { column, state } => format!("{} {}", column_sql(column), state.sql()),
        }
    }
}

fn joined(members: &[Condition<'_>], word: &str, parameters: &mut Parameters) -> String {
    let members: Vec<_> =
        members.iter().map(|member| format!("({})", member.sql(parameters))).collect();
    members.join(word)
}

/// Parses an optional `not.`, an operator that the column's type has, and a dot.
fn operator(column: &Column, scanner: &mut Scanner<'_>) -> Result<(bool, Operator), String> {
    let is_negated = scanner.take("not.");
    let operator = Operator::from_word(scanner.word()).filter(|_| scanner.take("."));
    match operator {
        Some(operator) if operator.supports(&column.column_type) => Ok((is_negated, operator)),
        Some(_) => Err(format!(
            "{}: its type has the operators {}",
            column.name,
            Operator::words_for(&column.column_type)
        )),
        None => Err(format!(
            "{}: expected one of the operators {} and a dot; a value that begins with a word and a dot needs the prefix eq.",
            column.name,
            Operator::words_for(&column.column_type)
        )),
    }
}

fn not_closed(column: &Column) -> String {
    format!("{}: a quote or a brace is not closed", column.name)
}

/// Makes the condition of any operator with one value.
fn compare<'t>(
    column: &'t Column,
    operator: Operator,
    text: &str,
) -> Result<Condition<'t>, String> {
    match operator {
        Operator::Compare(comparison) => {
            if !operator.supports(&column.column_type) {
                return Err(format!(
                    "{}: its type has the operators {}",
                    column.name,
                    Operator::words_for(&column.column_type)
                ));
            }
            // A column never equals a value that it cannot hold. The bound of a range may lie
            // between two of its values.
            let value = match comparison {
                Comparison::Eq | Comparison::Neq => value_of(column, text)?,
                Comparison::Gt | Comparison::Gte | Comparison::Lt | Comparison::Lte => {
                    let unbounded =
                        Column { column_type: unbounded(&column.column_type), ..column.clone() };
                    value_of(&unbounded, text)?
                }
            };
            Ok(Condition::Compare { column, comparison, value })
        }
        Operator::Like | Operator::ILike => {
            let pattern = pattern(text).map_err(|expected| faulty(column, expected))?;
            Ok(Condition::Like { column, ignores_case: operator == Operator::ILike, pattern })
        }
        Operator::Is => {
            let state = State::from_word(text)
                .filter(|state| state.supports(&column.column_type))
                .ok_or_else(|| faulty(column, State::words_for(&column.column_type)))?;
            Ok(Condition::Is { column, state })
        }
        Operator::In => Err(faulty(column, "a list in parentheses")),
    }
}

fn is_in(column: &Column, values: Option<Vec<String>>) -> Result<Condition<'_>, String> {
    let values = values.ok_or_else(|| {
        faulty(column, "a list in parentheses, such as in.(a,\"b,c\"), with closed quotes")
    })?;
    let values = values.iter().map(|text| value_of(column, text)).collect::<Result<_, _>>()?;
    Ok(Condition::In { column, values })
}

fn value_of(column: &Column, text: &str) -> Result<String, String> {
    let text = value::from_text(column, text).map_err(|fault| faulty(column, &fault.expected))?;
    Ok(text.into_owned())
}

fn faulty(column: &Column, expected: &str) -> String {
    format!("{}: expected {expected}", column.name)
}

/// Removes the length, precision and scale of a type.
fn unbounded(column_type: &ColumnType) -> ColumnType {
    match column_type {
        ColumnType::Char { .. } | ColumnType::VarChar { .. } => {
            ColumnType::VarChar { length: None }
        }
        ColumnType::Numeric { .. } => ColumnType::Numeric { precision: None, scale: None },
        other => other.clone(),
    }
}

/// Parses a pattern of LIKE. `*` stands for `%`, which a client would have to percent-encode.
fn pattern(text: &str) -> Result<String, &'static str> {
    let backslashes = text.chars().rev().take_while(|character| *character == '\\').count();
    if backslashes % 2 == 1 {
        return Err("a pattern that does not end with a single backslash");
    }
    if text.contains('\0') {
        return Err("no U+0000, which PostgreSQL cannot store");
    }
    Ok(text.replace('*', "%"))
}
