//! Arrays, from JSON or from array literals of PostgreSQL.
//!
//! Pure. Both forms become a literal. Each element is checked as a value of the element's type.

use std::iter::Peekable;
use std::str::Chars;

use aurora_sync_catalog::ColumnType;
use serde_json::value::RawValue;

use super::text::trimmed;
use super::{Fault, Kind, Rule, expected};
use crate::domain::value::array_literal::array_literal;

/// The most dimensions of an array (source: PostgreSQL, `MAXDIM`).
const DIMENSIONS_MAX: usize = 6;

/// The dimensions that all arrays within one array must share.
#[derive(Debug, Default)]
struct Shape {
    /// The length of the arrays of each level, if it is known.
    lengths: [Option<usize>; DIMENSIONS_MAX],
    /// The level whose arrays hold elements.
    leaf: Option<usize>,
}

impl Shape {
    fn enter(&mut self, level: usize, length: usize, is_leaf: bool) -> Result<(), Fault> {
        let Some(known) = self.lengths.get_mut(level) else {
            let expected = format!("at most {DIMENSIONS_MAX} dimensions");
            return Err(Fault::new(Rule::Depth, expected));
        };
        if *known.get_or_insert(length) != length {
            return Err(uneven());
        }
        let is_empty_inside = length == 0 && level > 0;
        let is_uneven = is_leaf && self.leaf.is_some_and(|leaf| leaf != level)
            || !is_leaf && self.leaf.is_some_and(|leaf| leaf <= level);
        if is_empty_inside || is_uneven {
            return Err(uneven());
        }
        if is_leaf {
            self.leaf = Some(level);
        }
        Ok(())
    }
}

fn uneven() -> Fault {
    Fault::new(Rule::Format, "arrays within an array that are of one length, and none empty")
}

/// Reads a JSON array of elements of one type, or of such arrays. Returns an array literal.
pub(super) fn from_json(element: Kind<'_>, raw: &str) -> Result<String, Fault> {
    json_level(element, raw, 0, &mut Shape::default())
}

fn json_level(
    element: Kind<'_>,
    raw: &str,
    level: usize,
    shape: &mut Shape,
) -> Result<String, Fault> {
    let items: Vec<&RawValue> =
        serde_json::from_str(raw).map_err(|_| Fault::new(Rule::Format, "a JSON array"))?;
    // A value of json may be an array itself. For any other type, an array is one more dimension.
    let may_nest = !matches!(element.column_type, ColumnType::Json | ColumnType::JsonB);
    let is_array = |item: &&RawValue| item.get().starts_with('[');
    let is_leaf = !(may_nest && items.iter().any(is_array));
    shape.enter(level, items.len(), is_leaf)?;
    let at = |index: usize| move |fault: Fault| fault.within(index);
    if is_leaf {
        let elements = items
            .iter()
            .enumerate()
            .map(|(index, item)| match item.get() {
                "null" => Ok(None),
                raw => element.json(raw).map(Some).map_err(at(index)),
            })
            .collect::<Result<Vec<_>, _>>()?;
        return Ok(array_literal(elements.iter().map(Option::as_deref)));
    }
    let arrays = items
        .iter()
        .enumerate()
        .map(|(index, item)| {
            if !is_array(item) {
                return Err(uneven().within(index));
            }
            json_level(element, item.get(), level + 1, shape).map_err(at(index))
        })
        .collect::<Result<Vec<_>, _>>()?;
    Ok(format!("{{{}}}", arrays.join(",")))
}

/// Reads a literal such as `{1,NULL,"a b"}`, and returns it with checked elements.
pub(super) fn from_text(element: Kind<'_>, text: &str) -> Result<String, Fault> {
    let text = trimmed(text);
    let malformed = || {
        let expected = format!("an array such as {{a,\"b c\",NULL}}, {}", elements(element));
        Fault::new(Rule::Format, expected)
    };
    // A literal with bounds, such as `[2:3]={1,2}`, is left to the database.
    let (bounds, body) = match text.split_once('=') {
        Some((bounds, body)) if text.starts_with('[') => (bounds, trimmed(body)),
        _ => ("", text),
    };
    // An unknown type may have its own separator, so its elements are left to the database.
    if matches!(element.column_type, ColumnType::Other { .. }) {
        return if is_balanced(body) { Ok(text.to_owned()) } else { Err(malformed()) };
    }
    let mut reader =
        Reader { characters: body.chars().peekable(), element, shape: Shape::default() };
    let literal = reader.level(0)?.ok_or_else(malformed)?;
    reader.skip_blanks();
    if reader.characters.next().is_some() {
        return Err(malformed());
    }
    Ok(if bounds.is_empty() { literal } else { format!("{bounds}={literal}") })
}

fn elements(element: Kind<'_>) -> String {
    format!("each element {}", expected::expected(element.column_type))
}

/// One element; `None` is NULL.
#[derive(Debug)]
struct Element(Option<String>);

/// A reader of literals by PostgreSQL's rules (manual, "Array Input and Output Syntax"), which
/// writes the literal again.
#[derive(Debug)]
struct Reader<'a> {
    characters: Peekable<Chars<'a>>,
    element: Kind<'a>,
    shape: Shape,
}

impl Reader<'_> {
    /// Reads one level in its braces. Returns `None` if it is malformed.
    fn level(&mut self, level: usize) -> Result<Option<String>, Fault> {
        self.skip_blanks();
        if self.characters.next() != Some('{') {
            return Ok(None);
        }
        self.skip_blanks();
        if self.characters.next_if_eq(&'}').is_some() {
            self.shape.enter(level, 0, true)?;
            return Ok(Some("{}".to_owned()));
        }
        let is_leaf = self.characters.peek() != Some(&'{');
        let (mut values, mut arrays) = (Vec::new(), Vec::new());
        loop {
            if is_leaf {
                let Some(value) = self.value(values.len())? else { return Ok(None) };
                values.push(value.0);
            } else if level + 1 >= DIMENSIONS_MAX {
                self.shape.enter(level + 1, 0, false)?;
            } else {
                let Some(array) = self.level(level + 1)? else { return Ok(None) };
                arrays.push(array);
            }
            self.skip_blanks();
            match self.characters.next() {
                Some(',') => self.skip_blanks(),
                Some('}') => break,
                _ => return Ok(None),
            }
        }
        self.shape.enter(level, values.len().max(arrays.len()), is_leaf)?;
        Ok(Some(if is_leaf {
            array_literal(values.iter().map(Option::as_deref))
        } else {
            format!("{{{}}}", arrays.join(","))
        }))
    }

    /// Reads one element. Returns `None` if it is malformed.
    fn value(&mut self, index: usize) -> Result<Option<Element>, Fault> {
        let is_quoted = self.characters.next_if_eq(&'"').is_some();
        let Some((text, has_escape)) = (if is_quoted { self.quoted() } else { self.bare() }) else {
            return Ok(None);
        };
        if !is_quoted && !has_escape && text.eq_ignore_ascii_case("null") {
            return Ok(Some(Element(None)));
        }
        let value = self.element.text(&text).map_err(|fault| Fault {
            expected: format!("{} (element {index})", fault.expected),
            ..fault
        })?;
        Ok(Some(Element(Some(value.into_owned()))))
    }

    fn quoted(&mut self) -> Option<(String, bool)> {
        let mut text = String::new();
        loop {
            match self.characters.next()? {
                '"' => return Some((text, true)),
                '\\' => text.push(self.characters.next()?),
                other => text.push(other),
            }
        }
    }

    fn bare(&mut self) -> Option<(String, bool)> {
        let mut text = String::new();
        // Trailing blanks do not belong to the element, unless they are escaped.
        let mut kept = 0;
        let mut has_escape = false;
        while let Some(character) = self.characters.next_if(|next| !matches!(next, ',' | '}')) {
            match character {
                '"' | '{' => return None,
                '\\' => {
                    has_escape = true;
                    text.push(self.characters.next()?);
                    kept = text.len();
                }
                other => {
                    text.push(other);
                    if !is_blank(other) {
                        kept = text.len();
                    }
                }
            }
        }
        text.truncate(kept);
        (!text.is_empty()).then_some((text, has_escape))
    }

    fn skip_blanks(&mut self) {
        while self.characters.next_if(|next| is_blank(*next)).is_some() {}
    }
}

fn is_blank(character: char) -> bool {
    trimmed(character.encode_utf8(&mut [0; 4])).is_empty()
}

/// Returns `true` if the text has braces at its ends, and its quotes and braces are in pairs.
fn is_balanced(text: &str) -> bool {
    let mut depth = 0_usize;
    let mut is_quoted = false;
    let mut is_escaped = false;
    let mut has_ended = false;
    for character in text.chars() {
        if has_ended {
            return false;
        }
        match character {
            _ if is_escaped => is_escaped = false,
            '\\' => is_escaped = true,
            '"' => is_quoted = !is_quoted,
            '{' if !is_quoted => depth += 1,
            '}' if !is_quoted => {
                depth = depth.saturating_sub(1);
                has_ended = depth == 0;
            }
            _ if depth == 0 => return false,
            _ => {}
        }
    }
    has_ended && !is_quoted
}
