//! Groups of conditions: `or=(age.gte.30,and(name.like.A*,not.or(id.eq.1,id.eq.2)))`.
//!
//! Pure. The depth of groups is limited, so that no text exhausts the stack.

use aurora_sync_catalog::Table;

use super::condition::Condition;
use super::readable_column;
use super::scanner::Scanner;

/// The most levels of groups.
const DEPTH_MAX: usize = 8;

/// The word that joins the members of a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Junction {
    And,
    Or,
}

/// Parses `and`, `or`, `not.and` and `not.or`: the junction, and `true` for a negated group.
pub(super) fn junction(name: &str) -> Option<(Junction, bool)> {
    let (name, is_negated) = match name.strip_prefix("not.") {
        Some(name) => (name, true),
        None => (name, false),
    };
    match name {
        "and" => Some((Junction::And, is_negated)),
        "or" => Some((Junction::Or, is_negated)),
        _ => None,
    }
}

/// Parses a group's members, from the parenthesis to its end.
pub(super) fn parse<'t>(
    table: &'t Table,
    junction: Junction,
    text: &str,
) -> Result<Condition<'t>, String> {
    let mut scanner = Scanner::new(text);
    let group = members(table, junction, &mut scanner, 1)?;
    if scanner.is_at_end() {
        Ok(group)
    } else {
        Err("a group must end with its closing parenthesis".to_owned())
    }
}

fn members<'t>(
    table: &'t Table,
    junction: Junction,
    scanner: &mut Scanner<'_>,
    depth: usize,
) -> Result<Condition<'t>, String> {
    if depth > DEPTH_MAX {
        return Err(format!("groups have at most {DEPTH_MAX} levels"));
    }
    if !scanner.take("(") {
        return Err("a group is a list in parentheses, such as or=(age.gte.30,age.is.null)".into());
    }
    let mut conditions = Vec::new();
    loop {
        conditions.push(member(table, scanner, depth)?);
        if scanner.take(")") {
            break;
        }
        if !scanner.take(",") {
            return Err("in a group, a comma or a closing parenthesis must follow a value".into());
        }
    }
    Ok(match junction {
        Junction::And => Condition::All(conditions),
        Junction::Or => Condition::Any(conditions),
    })
}

fn member<'t>(
    table: &'t Table,
    scanner: &mut Scanner<'_>,
    depth: usize,
) -> Result<Condition<'t>, String> {
    for word in ["and", "or", "not.and", "not.or"] {
        // `and(…` is a group, `and.eq.1` is a column of that name.
        if scanner.starts_with(word) && scanner.rest().as_bytes().get(word.len()) == Some(&b'(') {
            scanner.take(word);
            let Some((junction, is_negated)) = junction(word) else { continue };
            return Ok(members(table, junction, scanner, depth + 1)?.negated_if(is_negated));
        }
    }
    let name = scanner.name().filter(|_| scanner.take("."));
    let name = name.ok_or(
        "in a group, a condition is a column, an operator and a value, such as age.gte.30",
    )?;
    let column = readable_column(table, &name)?;
    Condition::from_member(column, scanner)
}
