//! The tables that requests may name, and the rows that paths name.
//!
//! Pure. A table that is not offered is like one that does not exist: no problem names it.

use aurora_sync_catalog::{Catalog, Table};
use wording::nearest;

use crate::api::problem::{Kind, Problem};
use crate::domain::key::Key;

/// The most tables that a problem lists.
const TABLES_LISTED_MAX: usize = 20;

/// Returns the table of a path.
pub fn table<'a>(catalog: &'a Catalog, path: &str) -> Result<&'a Table, Problem> {
    find(catalog, path).ok_or_else(|| unknown(catalog.offered(), path))
}

/// Returns the table of a path, if look-ups may read it.
pub fn readable_table<'a>(catalog: &'a Catalog, path: &str) -> Result<&'a Table, Problem> {
    let readable = || catalog.offered().filter(|table| table.is_readable());
    let table = find(catalog, path).ok_or_else(|| unknown(readable(), path))?;
    if table.is_readable() {
        return Ok(table);
    }
    let detail = format!(
        "The API writes the table {table} and does not read it: sync_reader has no right to. GRANT SELECT ON {} TO \
         sync_reader permits it.",
        table.sql_name()
    );
    Err(Problem::new(Kind::UnknownTable, detail))
}

/// Returns the key in a path.
pub fn key(table: &Table, path: &str) -> Result<Key, Problem> {
    Key::from_path(table, path)
        .map_err(|error| Problem::new(Kind::InvalidKey, sentence(&error.to_string())))
}

/// Makes a sentence of the text of an error.
fn sentence(text: &str) -> String {
    let mut characters = text.chars();
    let first = characters.next().map(|first| first.to_ascii_uppercase());
    first.into_iter().chain(characters).chain(['.']).collect()
}

fn find<'a>(catalog: &'a Catalog, path: &str) -> Option<&'a Table> {
    catalog.offered().find(|table| table.path() == path)
}

/// Makes the problem for a table that is none of these.
fn unknown<'a>(tables: impl Iterator<Item = &'a Table>, path: &str) -> Problem {
    let paths: Vec<_> = tables.map(Table::path).collect();
    Problem::new(Kind::UnknownTable, nearest_of(&paths, path))
}

/// Formats the nearest path, or all.
fn nearest_of(paths: &[String], path: &str) -> String {
    if paths.is_empty() {
        return "The API offers no table yet: GRANT rights on one to sync_reader or sync_writer."
            .to_owned();
    }
    if let Some(near) = nearest(path, paths.iter().map(String::as_str)) {
        return format!("Did you mean /{near}?");
    }
    let listed =
        paths.iter().take(TABLES_LISTED_MAX).map(String::as_str).collect::<Vec<_>>().join(", ");
    match paths.len().saturating_sub(TABLES_LISTED_MAX) {
        0 => format!("The tables are: {listed}."),
        more => format!("The tables are: {listed} and {more} more. GET / describes all."),
    }
}

#[cfg(test)]
mod tests {
    use aurora_sync_catalog::Changes;
    use aurora_sync_catalog::notation::table as made;

    use super::*;

    /// A table to read and write, one to write only, and one that is not offered, since its key may
    /// not be read.
    fn catalog() -> Catalog {
        let letterbox = Table {
            changes: Changes::INSERT,
            ..made("letterbox", "id integer key unread, note text unread")
        };
        let secret = Table {
            changes: Changes::default(),
            ..made("secrets", "id integer key unread, note text")
        };
        Catalog::new(vec![made("staff", "id integer key"), letterbox, secret], Vec::new())
    }

    #[track_caller]
    fn check(found: Result<&Table, Problem>, expected: &str) {
        let problem = found.unwrap_err();
        assert_eq!(format!("{} {}", problem.status, problem.detail), expected);
    }

    #[test]
    fn a_table_that_is_not_offered_is_unknown_and_never_suggested() {
        let catalog = catalog();
        let all = "404 The tables are: staff, letterbox.";
        for path in ["secrets", "secret", "nothing"] {
            check(table(&catalog, path), all);
            check(readable_table(&catalog, path), "404 The tables are: staff.");
        }
    }

    #[test]
    fn the_nearest_table_is_suggested_whatever_its_case_and_number() {
        for path in ["Staff", "STAFFS", "staf", "stuff"] {
            check(table(&catalog(), path), "404 Did you mean /staff?");
        }
        check(table(&catalog(), "LetterBoxes"), "404 Did you mean /letterbox?");
    }

    #[test]
    fn a_table_that_is_only_written_says_how_it_becomes_readable() {
        let catalog = catalog();
        assert!(table(&catalog, "letterbox").is_ok());
        let problem = readable_table(&catalog, "letterbox").unwrap_err();
        assert!(
            problem.detail.contains("GRANT SELECT ON \"public\".\"letterbox\" TO sync_reader"),
            "{}",
            problem.detail
        );
    }

    #[test]
    fn many_tables_are_counted_instead_of_listed() {
        let tables = (0..25).map(|n| made(&format!("t{n}"), "id integer key")).collect();
        let problem = table(&Catalog::new(tables, Vec::new()), "nothing").unwrap_err();
        assert!(
            problem.detail.ends_with("t18, t19 and 5 more. GET / describes all."),
            "{}",
            problem.detail
        );
        let problem = table(&Catalog::default(), "nothing").unwrap_err();
        assert!(problem.detail.contains("offers no table yet"), "{}", problem.detail);
    }
}
