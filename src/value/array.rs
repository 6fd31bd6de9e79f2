//! Arrays: from JSON, or as literals of PostgreSQL.
//!
//! Pure.

use aurora_sync_catalog::ColumnType;
use serde_json::value::RawValue;

use super::{Fault, Rule, typed_json};
use crate::array::array_literal;

/// A JSON array of elements of one type. Arrays within arrays are left to literals.
pub(super) fn from_json(element: &ColumnType, raw: &str) -> Result<String, Fault> {
    let items: Vec<&RawValue> =
        serde_json::from_str(raw).map_err(|_| Fault::new(Rule::Format, "a JSON array"))?;
    let elements = items
        .iter()
        .enumerate()
        .map(|(place, item)| match item.get() {
            "null" => Ok(None),
            raw => typed_json(element, raw).map(Some).map_err(|fault| Fault {
                rule: fault.rule,
                expected: format!("{} (element {place})", fault.expected),
            }),
        })
        .collect::<Result<Vec<_>, _>>()?;
    Ok(array_literal(elements.iter().map(Option::as_deref)))
}

/// A literal such as `{1,NULL,"a b"}`: braces outside, its quotes and braces in pairs. The elements
/// are left to the database.
pub(super) fn from_text(text: &str) -> Option<String> {
    let text = text.trim();
    let mut depth = 0_usize;
    let mut is_quoted = false;
    let mut is_escaped = false;
    let mut has_ended = false;
    for character in text.chars() {
        if has_ended {
            return None;
        }
        match character {
            _ if is_escaped => is_escaped = false,
            '\\' => is_escaped = true,
            '"' => is_quoted = !is_quoted,
            '{' if !is_quoted => depth += 1,
            '}' if !is_quoted => {
                depth = depth.checked_sub(1)?;
                has_ended = depth == 0;
            }
            _ if depth == 0 => return None,
            _ => {}
        }
    }
    (has_ended && !is_quoted).then(|| text.to_owned())
}
