//! The service's scanner for named placeholders: `:name` becomes `$1`, `$2`, …, one an occurrence.
//!
//! Pure. Respects strings, quoted identifiers, comments and `::`; does *not* respect dollar quotes,
//! and takes the `:2` of `a[1:2]` for a placeholder, as the real service does (measured, see
//! `DATA_API_SERVER.md`).

use std::collections::HashMap;

/// A statement as PostgreSQL takes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Scanned {
    pub(crate) sql: String,
    /// Each name, numbered from 0 in the order in which they first occur.
    pub(crate) indexes: HashMap<String, usize>,
    /// The number of the name at `$1`, `$2`, …; a name that occurs twice stands here twice.
    pub(crate) occurrences: Vec<usize>,
}

pub(crate) fn scan(sql: &str) -> Scanned {
    let mut out = String::with_capacity(sql.len());
    let mut indexes = HashMap::new();
    let mut occurrences = Vec::new();
    let mut rest = sql;
    while let Some(first) = rest.chars().next() {
        let taken = match first {
            '\'' => quoted(rest, '\''),
            '"' => quoted(rest, '"'),
            '-' if rest.starts_with("--") => rest.find('\n').unwrap_or(rest.len()),
            '/' if rest.starts_with("/*") => comment(rest),
            ':' if rest.starts_with("::") => 2,
            ':' => {
                let name = name(rest.get(1..).unwrap_or_default());
                if !name.is_empty() {
                    let next = indexes.len();
                    occurrences.push(*indexes.entry(name.to_owned()).or_insert(next));
                    out.push_str(&format!("${}", occurrences.len()));
                    rest = rest.get(1 + name.len()..).unwrap_or_default();
                    continue;
                }
                1
            }
            other => other.len_utf8(),
        };
        let (text, after) = rest.split_at(taken);
        out.push_str(text);
        rest = after;
    }
    Scanned { sql: out, indexes, occurrences }
}

fn name(text: &str) -> &str {
    let end = text.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).unwrap_or(text.len());
    text.get(..end).unwrap_or_default()
}

/// The length of what a quote opens, the closing quote included. A doubled quote closes and opens.
fn quoted(text: &str, quote: char) -> usize {
    text.get(1..).and_then(|rest| rest.find(quote)).map_or(text.len(), |end| end + 2)
}

/// The length of a comment, comments inside it included.
fn comment(text: &str) -> usize {
    let mut depth = 0_usize;
    let mut index = 0;
    while let Some(rest) = text.get(index..).filter(|rest| !rest.is_empty()) {
        if rest.starts_with("/*") {
            depth += 1;
            index += 2;
        } else if rest.starts_with("*/") {
            depth -= 1;
            index += 2;
            if depth == 0 {
                return index;
            }
        } else {
            index += rest.chars().next().map_or(1, char::len_utf8);
        }
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(sql: &str, expected: &str, names: &[&str]) {
        let scanned = scan(sql);
        assert_eq!(scanned.sql, expected);
        let found: Vec<_> = scanned
            .occurrences
            .iter()
            .map(|index| scanned.indexes.iter().find(|(_, found)| *found == index).unwrap().0)
            .collect();
        assert_eq!(found, names);
    }

    #[test]
    fn names_become_numbers_one_an_occurrence() {
        check("SELECT :a, :b_2, :a", "SELECT $1, $2, $3", &["a", "b_2", "a"]);
        check("SELECT :1::int, :x::text[]", "SELECT $1::int, $2::text[]", &["1", "x"]);
        check("a = :é, b := 1, c : d", "a = :é, b := 1, c : d", &[]);
    }

    #[test]
    fn strings_identifiers_and_comments_are_left_alone() {
        check(
            "SELECT ':a', \":b\", 'it''s :c' -- :d\n, :e",
            "SELECT ':a', \":b\", 'it''s :c' -- :d\n, $1",
            &["e"],
        );
        check("/* :a /* :b */ :c */ :d", "/* :a /* :b */ :c */ $1", &["d"]);
        check("'open :a", "'open :a", &[]);
    }

    #[test]
    fn dollar_quotes_and_slices_are_misread_as_the_service_does() {
        check("SELECT $$a :b c$$", "SELECT $$a $1 c$$", &["b"]);
        check("SELECT a[1:2]", "SELECT a[1$1]", &["2"]);
    }
}
