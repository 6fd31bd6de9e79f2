//! The differences between two catalogs, in words.
//!
//! Pure.

use std::fmt;

use crate::catalog::{Catalog, Column, Table};

/// One difference.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// The table, or the table and the column, as in `staff` and `staff.age`.
    pub subject: String,
    pub kind: Kind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Added,
    Removed,
    /// It takes or returns other values, or a write must name it now.
    Changed,
    /// Something changed that no caller sees, such as an index.
    ChangedInside,
}

impl Difference {
    /// Returns whether requests that worked can fail now.
    pub fn breaks_requests(&self) -> bool {
        matches!(self.kind, Kind::Removed | Kind::Changed)
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match self.kind {
            Kind::Added => "added",
            Kind::Removed => "removed",
            Kind::Changed => "changed",
            Kind::ChangedInside => "changed, which callers do not see",
        };
        write!(f, "{}: {what}", self.subject)
    }
}

/// Returns the differences from `old` to `new`, in the order of the tables' names.
pub fn between(old: &Catalog, new: &Catalog) -> Vec<Difference> {
    let mut found = Vec::new();
    for table in old.tables() {
        match new.table(&table.path()) {
            None => found.push(difference(table.path(), Kind::Removed)),
            Some(newer) => compare(table, newer, &mut found),
        }
    }
    for table in new.tables() {
        if old.table(&table.path()).is_none() {
            found.push(difference(table.path(), Kind::Added));
        }
    }
    found.sort_by(|a, b| a.subject.cmp(&b.subject));
    found
}

fn difference(subject: String, kind: Kind) -> Difference {
    Difference { subject, kind }
}

fn compare(old: &Table, new: &Table, found: &mut Vec<Difference>) {
    let subject = |column: &Column| format!("{}.{}", old.path(), column.name);
    let before = found.len();
    for column in &old.columns {
        match new.column(&column.name) {
            None => found.push(difference(subject(column), Kind::Removed)),
            Some(newer) if newer == column => {}
            Some(newer) => {
                let kind = if is_same_to_callers(column, newer) {
                    Kind::ChangedInside
                } else {
                    Kind::Changed
                };
                found.push(difference(subject(column), kind));
            }
        }
    }
    for column in &new.columns {
        if old.column(&column.name).is_none() {
            // A column that a write must name breaks every write that does not know it.
            let kind = if column.is_required() { Kind::Changed } else { Kind::Added };
            found.push(difference(subject(column), kind));
        }
    }
    let is_same = old.primary_key == new.primary_key
        && old.changes == new.changes
        && old.read_only == new.read_only
        && old.version_column == new.version_column;
    if !is_same {
        found.push(difference(old.path(), Kind::Changed));
    } else if found.len() == before && old != new {
        found.push(difference(old.path(), Kind::ChangedInside));
    }
}

fn is_same_to_callers(old: &Column, new: &Column) -> bool {
    old.column_type == new.column_type
        && old.nullable == new.nullable
        && old.when_absent == new.when_absent
        && old.fraction_digits == new.fraction_digits
        && old.access == new.access
}

#[cfg(all(test, feature = "notation"))]
mod tests {
    use super::*;
    use crate::notation::table;

    fn differences(old: &[(&str, &str)], new: &[(&str, &str)]) -> Vec<String> {
        let catalog = |tables: &[(&str, &str)]| {
            let tables = tables.iter().map(|(name, columns)| table(name, columns));
            Catalog::new(tables.collect(), Vec::new())
        };
        between(&catalog(old), &catalog(new)).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn tables_and_columns_are_named() {
        let old = [("a", "id int key, x text"), ("b", "id int key")];
        let new = [("a", "id int key, y text, z text not-null"), ("c", "id int key")];
        assert_eq!(
            differences(&old, &new),
            ["a.x: removed", "a.y: added", "a.z: changed", "b: removed", "c: added"]
        );
    }

    #[test]
    fn a_type_changes_for_callers_and_an_index_does_not() {
        let old = [("a", "id int key, x text, y int")];
        let new = [("a", "id int key, x text rules, y bigint")];
        assert_eq!(
            differences(&old, &new),
            ["a.x: changed, which callers do not see", "a.y: changed"]
        );
    }

    #[test]
    fn equal_catalogs_have_no_differences_and_one_version() {
        let catalog = || Catalog::new(vec![table("a", "id int key, x text")], Vec::new());
        assert!(between(&catalog(), &catalog()).is_empty());
        assert_eq!(catalog().version(), catalog().version());
        let other = Catalog::new(vec![table("a", "id int key, x text rules")], Vec::new());
        assert_ne!(catalog().version(), other.version());
    }
}
