//! Proposes how a CSV file is to be read, from its first bytes and the columns of its table, and
//! shows its first records and what is wrong with them.
//!
//! Pure. The worker never guesses: a person sees the proposal, and the import gets it as options.
//! What needs the whole file or the database is left to a dry run.

mod cells;
mod dialect;
mod encoding;
mod form;
mod layout;
mod numbers;

use csv_stream::dialect::Dialect;
use csv_stream::encoding::{Encoding, MARK_BYTES_MAX};
use csv_stream::reader::ReadError;
use csv_stream::records::{Content, Record, Records};
use import_options::{Numbers, OptionFault, Settings};

use self::layout::Layout;
use crate::operations::tables::{Column, Table};

/// The bytes of a file that a preview needs. More are not looked at.
pub(crate) const HEAD_BYTES: usize = 256 * 1024;

/// The bytes of a compressed file's content that are looked at.
const CONTENT_BYTES: usize = 1024 * 1024;

/// The first records that are looked at.
const RECORDS_READ: usize = 1_000;

/// The first records that are shown.
const RECORDS_SHOWN: usize = 20;

/// The most problems of records that are listed.
const PROBLEMS_MAX: usize = 20;

/// The beginning of a file.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Head<'a> {
    pub(crate) bytes: &'a [u8],
    /// True if the file has no more bytes.
    pub(crate) is_whole: bool,
}

/// A file as it is going to be read.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Preview {
    /// The options that are not given, and that the content asks for.
    pub(crate) proposed: Vec<Proposal>,
    /// The name of the encoding that is given, marked or proposed.
    pub(crate) encoding: &'static str,
    /// The fields of the header, or those that the option `columns` names.
    pub(crate) fields: Vec<Field>,
    pub(crate) records: Vec<ShownRecord>,
    /// The problems of the file, those that stop the import first.
    pub(crate) problems: Vec<Problem>,
    /// The number of records that were looked at.
    pub(crate) records_read: usize,
    /// True if these are all records of the file.
    pub(crate) is_whole: bool,
}

/// An option that is proposed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Proposal {
    /// The name, as in `delimiter`.
    pub(crate) option: &'static str,
    pub(crate) value: String,
    pub(crate) why: String,
}

/// A field of each record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Field {
    pub(crate) name: String,
    /// The column of the table that it is loaded into.
    pub(crate) column: Option<String>,
}

/// A record that is shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ShownRecord {
    /// Its line in the file, from 1.
    pub(crate) line: u64,
    /// Its fields; `None` is NULL.
    pub(crate) fields: Vec<Option<String>>,
    /// The faults of its fields, or of all of it.
    pub(crate) faults: Vec<Fault>,
}

/// A reason for which a record is going to be rejected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fault {
    /// The index of the field; `None` is the whole record.
    pub(crate) field: Option<usize>,
    pub(crate) reason: String,
}

/// A problem of the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Problem {
    pub(crate) gravity: Gravity,
    /// The cause, its place, and what to do.
    pub(crate) text: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Gravity {
    /// The import fails before it loads a row.
    Stops,
    /// A row is rejected.
    Rejects,
}

/// Previews a file for a table, with the options that are given for it, and their errors.
pub(crate) fn preview(
    head: Head<'_>,
    table: &Table,
    (given, faults): &(Settings, Vec<OptionFault>),
) -> Preview {
    let mut problems: Vec<_> = faults.iter().map(|fault| stops(fault.to_string())).collect();
    let mut proposed = Vec::new();
    let mut found = Preview::empty();
    let (content, is_whole) = match encoding::inflated(head) {
        Ok(content) => content,
        Err(error) => {
            found.problems = vec![stops(ReadError::to_string(&error))];
            return found;
        }
    };
    let encoding = match encoding::of(&content, is_whole, given) {
        Ok((encoding, proposal)) => {
            proposed.extend(proposal);
            encoding
        }
        Err(text) => {
            found.problems = vec![stops(text)];
            return found;
        }
    };
    let (dialect, proposals) = dialect::of(&content, encoding, is_whole, table, given);
    proposed.extend(proposals);
    let mut records = records(&content, encoding, &dialect, is_whole, RECORDS_READ);
    let layout = Layout::of(&mut records, table, given);
    proposed.extend(layout.proposed);
    problems.extend(layout.problems);
    let numbers = numbers::of(&records, &layout.columns, given);
    proposed.extend(numbers.proposed);
    let checked = check(&records, &layout.columns, numbers.numbers, numbers.null.as_deref());
    problems.extend(rejected(&checked, &layout.fields));
    problems.sort_by_key(|problem| problem.gravity);
    Preview {
        proposed,
        encoding: encoding.charset.name(),
        fields: layout.fields,
        problems,
        records_read: records.len(),
        is_whole: is_whole && records.len() < RECORDS_READ,
        records: checked.into_iter().take(RECORDS_SHOWN).collect(),
    }
}

impl Preview {
    fn empty() -> Self {
        Self {
            proposed: Vec::new(),
            encoding: "UTF-8",
            fields: Vec::new(),
            records: Vec::new(),
            problems: Vec::new(),
            records_read: 0,
            is_whole: false,
        }
    }

    /// Returns whether the import fails before it loads a row.
    pub(crate) fn is_stopped(&self) -> bool {
        self.problems.iter().any(|problem| problem.gravity == Gravity::Stops)
    }
}

fn stops(text: impl Into<String>) -> Problem {
    Problem { gravity: Gravity::Stops, text: text.into() }
}

/// Reads the first records of a content. One that the end of the content cuts off is left out.
fn records(
    content: &[u8],
    encoding: Encoding,
    dialect: &Dialect,
    is_whole: bool,
    max: usize,
) -> Vec<Record> {
    let mut reader = Records::new(dialect.clone(), encoding);
    let mut found = Vec::new();
    let mark = encoding.mark().len().min(MARK_BYTES_MAX);
    for block in content.get(mark..).unwrap_or_default().chunks(8 * 1024) {
        reader.push(block, &mut found);
        if found.len() > max {
            found.truncate(max);
            return found;
        }
    }
    if is_whole {
        reader.finish(&mut found);
    }
    found.truncate(max);
    found
}

/// Checks the fields of all records, and makes them ready to be shown.
fn check(
    records: &[Record],
    columns: &[Option<&Column>],
    numbers: Numbers,
    null: Option<&str>,
) -> Vec<ShownRecord> {
    let shown = |record: &Record| match &record.content {
        Content::Fields(fields) => {
            let fields: Vec<_> = fields.iter().map(|field| field.map(str::to_owned)).collect();
            let faults = if fields.len() == columns.len() {
                cells::faults(&fields, columns, numbers, null)
            } else {
                let reason = format!("expected {} fields, found {}", columns.len(), fields.len());
                vec![Fault { field: None, reason }]
            };
            ShownRecord { line: record.line, fields, faults }
        }
        other => {
            let text = String::from_utf8_lossy(&record.raw).chars().take(200).collect();
            let fault = Fault { field: None, reason: cells::unreadable(other) };
            ShownRecord { line: record.line, fields: vec![Some(text)], faults: vec![fault] }
        }
    };
    records.iter().map(shown).collect()
}

/// Lists the first faults of the records, a line for each.
fn rejected(records: &[ShownRecord], fields: &[Field]) -> Vec<Problem> {
    let faults = records.iter().flat_map(|record| {
        record.faults.iter().map(move |fault| {
            let field = fault.field.and_then(|index| fields.get(index));
            let place = field.map_or_else(String::new, |field| format!(", {}", field.name));
            let text = format!("line {}{place}: {}", record.line, fault.reason);
            Problem { gravity: Gravity::Rejects, text }
        })
    });
    faults.take(PROBLEMS_MAX).collect()
}

#[cfg(test)]
mod tests;
