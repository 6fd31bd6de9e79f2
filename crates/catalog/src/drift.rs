//! The differences between two catalogs, in words.
//!
//! Pure.

use std::fmt;

use crate::catalog::{Catalog, Column, Table};
use crate::types::ColumnType;

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
    /// It takes other values, a right is gone, or a write must name it now.
    Changed,
    /// Every request that worked still does, and more may: a right, a label of an enumerated type.
    Extended,
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
            Kind::Extended => "permits more",
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
                } else if permits_all_of(column, newer) {
                    Kind::Extended
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
    let is_same_but_for_rights = old.primary_key == new.primary_key
        && old.read_only == new.read_only
        && old.version_column == new.version_column;
    if !is_same_but_for_rights || !new.permits(old.changes) {
        found.push(difference(old.path(), Kind::Changed));
    } else if old.changes != new.changes {
        found.push(difference(old.path(), Kind::Extended));
    } else if found.len() == before && old != new {
        found.push(difference(old.path(), Kind::ChangedInside));
    }
}

/// Returns whether every request on the old column works on the new one.
fn permits_all_of(old: &Column, new: &Column) -> bool {
    let takes_all = match (&old.column_type, &new.column_type) {
        (
            ColumnType::Enum { labels: old, schema, name },
            ColumnType::Enum { labels: new, schema: new_schema, name: new_name },
        ) => {
            (schema, name) == (new_schema, new_name) && old.iter().all(|label| new.contains(label))
        }
        (old, new) => old == new,
    };
    takes_all
        && old.fraction_digits == new.fraction_digits
        && (new.nullable || !old.nullable)
        && (old.is_required() || !new.is_required())
        && (old.is_generated() || !new.is_generated())
        && (new.access.read || !old.access.read)
        && (new.access.select || !old.access.select)
        && (new.access.insert || !old.access.insert)
        && (new.access.update || !old.access.update)
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
    use crate::catalog::Changes;
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
    fn a_right_or_a_label_more_breaks_nobody_and_one_less_does() {
        let less = [("a", "id int key, x text unread, m enum(sad)")];
        let more = [("a", "id int key, x text, m enum(sad|ok)")];
        assert_eq!(differences(&less, &more), ["a.m: permits more", "a.x: permits more"]);
        assert_eq!(differences(&more, &less), ["a.m: changed", "a.x: changed"]);
        let [insert, all] = [Changes::INSERT, Changes::ALL].map(|changes| {
            let table = Table { changes, ..table("a", "id int key") };
            Catalog::new(vec![table], Vec::new())
        });
        let breaks = |old, new| between(old, new).iter().any(Difference::breaks_requests);
        assert!(!breaks(&insert, &all));
        assert!(breaks(&all, &insert));
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
