//! Records of a file as rows of a table: the header tells which column is which, the catalog what
//! each may hold.
//!
//! Pure. A record that does not fit becomes a reject, never an error.

use aurora_sync_catalog::{Column, Table};

use super::records::{Content, RECORD_BYTES_MAX, Record};
use crate::key::Key;
use crate::outcome::Rejection;
use crate::parameter_set::Cells;
use crate::row::unknown_column;
use crate::value;

/// The column that `rejected.csv` adds: left out when the file comes back.
pub const ERROR_COLUMN: &str = "_error";

/// Which field goes into which column.
#[derive(Debug, Clone)]
pub struct Layout<'a> {
    table: &'a Table,
    /// One for each field of a record; `None` is left out.
    fields: Vec<Option<&'a Column>>,
}

/// Why a header does not fit its table.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HeaderError {
    #[error("the header (line {line}) is not UTF-8, or too long to be one")]
    Unreadable { line: u64 },
    #[error("the header names {name:?}, which is not {expected}")]
    UnknownColumn { name: String, expected: String },
    #[error("the header names the column {name:?} twice")]
    Duplicate { name: String },
    #[error("the header names the column {name:?}, whose values the database makes; leave it out")]
    Generated { name: String },
    #[error("the header names the column {name:?}, which is kept out of writes; leave it out")]
    ReadOnly { name: String },
    #[error("the header does not name the column {name:?}, which says whether a row is newer")]
    NoVersion { name: String },
    #[error("the header does not name the column(s) {names}, which must have a value")]
    Missing { names: String },
}

/// A row that fits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    pub key: Option<Key>,
    pub cells: Cells,
}

impl<'a> Layout<'a> {
    /// From the first record of a file. Names match as they are written, or else in any case.
    pub fn from_header(table: &'a Table, header: &Record) -> Result<Self, HeaderError> {
        let unreadable = || HeaderError::Unreadable { line: header.line };
        let Content::Fields(names) = &header.content else { return Err(unreadable()) };
        let mut fields: Vec<Option<&Column>> = Vec::with_capacity(names.len());
        for name in names {
            let name = std::str::from_utf8(name.as_deref().unwrap_or_default());
            let name = name.map_err(|_| unreadable())?.trim();
            if name == ERROR_COLUMN {
                fields.push(None);
                continue;
            }
            let Some(column) = find_column(table, name) else {
                let expected = unknown_column(table, name);
                return Err(HeaderError::UnknownColumn { name: name.to_owned(), expected });
            };
            if column.is_generated() {
                return Err(HeaderError::Generated { name: column.name.clone() });
            }
            if !column.is_writable() {
                return Err(HeaderError::ReadOnly { name: column.name.clone() });
            }
            if fields.iter().flatten().any(|known| known.name == column.name) {
                return Err(HeaderError::Duplicate { name: column.name.clone() });
            }
            fields.push(Some(column));
        }
        let layout = Self { table, fields };
        if let Some(version) = table.version_column()
            && !layout.columns().iter().any(|known| known.name == version.name)
        {
            return Err(HeaderError::NoVersion { name: version.name.clone() });
        }
        let missing: Vec<_> = table
            .columns
            .iter()
            .filter(|column| column.is_required())
            .filter(|column| !layout.columns().iter().any(|known| known.name == column.name))
            .map(|column| column.name.as_str())
            .collect();
        if missing.is_empty() {
            Ok(layout)
        } else {
            Err(HeaderError::Missing { names: missing.join(", ") })
        }
    }

    /// The columns of each row's cells.
    pub fn columns(&self) -> Vec<&'a Column> {
        self.fields.iter().copied().flatten().collect()
    }

    /// Checks one record.
    pub fn row(&self, record: &Record) -> Result<Row, Rejection> {
        let Content::Fields(fields) = &record.content else {
            let reason = format!("the record is over {RECORD_BYTES_MAX} bytes");
            return Err(Rejection::by_rule("too-long", reason));
        };
        if fields.len() != self.fields.len() {
            let reason = format!("expected {} fields, found {}", self.fields.len(), fields.len());
            return Err(Rejection::by_rule("column-count", reason));
        }
        let mut cells = Vec::with_capacity(fields.len());
        for (column, field) in self.fields.iter().zip(fields) {
            let Some(column) = column else { continue };
            let rejection = |rule: &str, reason: String| Rejection {
                column: Some(column.name.clone()),
                ..Rejection::by_rule(rule, reason)
            };
            cells.push(match field {
                None if column.nullable => None,
                None => return Err(rejection("not-null", "expected a value".to_owned())),
                Some(bytes) => {
                    let text = std::str::from_utf8(bytes).map_err(|error| {
                        let reason = format!(
                            "expected UTF-8, see byte {} of the field",
                            error.valid_up_to()
                        );
                        rejection("encoding", reason)
                    })?;
                    let text = value::from_text(column, text).map_err(|fault| {
                        rejection(&fault.rule.to_string(), format!("expected {}", fault.expected))
                    })?;
                    Some(text.into_owned())
                }
            });
        }
        let columns = self.columns();
        let key = Key::of_row(self.table, |name| {
            cells[columns.iter().position(|column| column.name == name)?].as_deref()
        });
        Ok(Row { key, cells })
    }
}

fn find_column<'a>(table: &'a Table, name: &str) -> Option<&'a Column> {
    table
        .column(name)
        .or_else(|| table.columns.iter().find(|column| column.name.eq_ignore_ascii_case(name)))
}

#[cfg(test)]
mod tests {
    use aurora_sync_catalog::ddl;

    use super::super::records::Records;
    use super::*;

    fn staff() -> Table {
        let ddl = "CREATE TABLE Staff (id CHAR(4) NOT NULL, name TEXT NOT NULL, age INTEGER, PRIMARY KEY (id))";
        ddl::parse(&[("staff.sql".into(), ddl.into())]).unwrap().catalog.tables()[0].clone()
    }

    fn records(file: &str) -> Vec<Record> {
        let (mut reader, mut records) = (Records::new(), Vec::new());
        reader.push(file.as_bytes(), &mut records);
        reader.finish(&mut records);
        records
    }

    fn check_header(header: &str, expected: &str) {
        let table = staff();
        let found = match Layout::from_header(&table, &records(header)[0]) {
            Ok(layout) => layout
                .columns()
                .iter()
                .map(|column| column.name.as_str())
                .collect::<Vec<_>>()
                .join(" "),
            Err(error) => error.to_string(),
        };
        assert_eq!(found, expected);
    }

    #[test]
    fn a_header_names_columns_in_any_order_and_case() {
        check_header("id,name,age", "id name age");
        check_header("Age,NAME,id", "age name id");
        check_header("id,name,_error", "id name");
    }

    #[test]
    fn a_header_that_does_not_fit_says_why() {
        check_header(
            "id,nmae",
            "the header names \"nmae\", which is not a column of the table; did you mean \"name\"?",
        );
        check_header("id,name,ID", "the header names the column \"id\" twice");
        check_header(
            "age",
            "the header does not name the column(s) id, name, which must have a value",
        );
    }

    #[test]
    fn marked_columns_are_kept_out_or_asked_for() {
        let ddl = "CREATE TABLE t (id int PRIMARY KEY, v int, made text);
            COMMENT ON COLUMN t.v IS '@sync:version'; COMMENT ON COLUMN t.made IS '@sync:no-write'";
        let table =
            &ddl::parse(&[("t.sql".into(), ddl.into())]).unwrap().catalog.tables()[0].clone();
        let check = |header: &str, expected: &str| {
            let error =
                Layout::from_header(table, &records(&format!("{header}\n"))[0]).unwrap_err();
            assert_eq!(error.to_string(), expected);
        };
        check("id", "the header does not name the column \"v\", which says whether a row is newer");
        check(
            "id,v,made",
            "the header names the column \"made\", which is kept out of writes; leave it out",
        );
    }

    #[test]
    fn a_record_becomes_a_row_or_a_reject() {
        let table = staff();
        let check = |record: &str, expected: Result<&[Option<&str>], (&str, Option<&str>)>| {
            let records = records(&format!("id,name,age\n{record}\n"));
            let layout = Layout::from_header(&table, &records[0]).unwrap();
            let found = layout.row(&records[1]);
            let found = found
                .as_ref()
                .map(|row| row.cells.iter().map(Option::as_deref).collect::<Vec<_>>());
            let found = found.map_err(|reject| (reject.rule.as_str(), reject.column.as_deref()));
            assert_eq!(found, expected.map(<[_]>::to_vec), "{record}");
        };
        check("0005,Ada,36", Ok(&[Some("0005"), Some("Ada"), Some("36")]));
        check("0005,\"\",", Ok(&[Some("0005"), Some(""), None]));
        check("0005,,36", Err(("not-null", Some("name"))));
        check("0005,Ada", Err(("column-count", None)));
        check("00005,Ada,36", Err(("length", Some("id"))));
        check("0005,Ada,old", Err(("format", Some("age"))));
    }
}
