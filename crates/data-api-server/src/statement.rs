//! Statements as a session knows them, and what becomes of one.
//!
//! Pure.

use std::borrow::Cow;
use std::io;

use bytes::Bytes;
use fallible_iterator::FallibleIterator;
use postgres_protocol::message::backend::{DataRowBody, Message, RowDescriptionBody};

use crate::wire::{RESULT_BYTES_MAX, Received};

/// A statement that the session knows.
#[derive(Debug, Clone)]
pub(crate) struct Prepared {
    pub(crate) number: u64,
    pub(crate) key: (String, Vec<u32>),
    /// `None` where the statement returns no rows at all.
    pub(crate) columns: Option<Vec<Column>>,
}

/// A column of a result.
#[derive(Debug, Clone)]
pub(crate) struct Column {
    pub(crate) name: String,
    pub(crate) type_oid: u32,
    pub(crate) type_modifier: i32,
    /// The table and the column of its values; 0 for neither.
    pub(crate) table_oid: u32,
    pub(crate) number: i16,
}

/// The result of a statement.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    pub(crate) rows: Vec<Row>,
    /// There were more rows than an answer holds; none of them is here.
    pub(crate) is_too_large: bool,
    /// The command and the number of rows, such as `INSERT 0 5`.
    pub(crate) tag: String,
    /// The size of the rows by the rule of the service: 2 bytes each, and 4 for each of their
    /// columns besides its text.
    bytes: usize,
}

impl Outcome {
    pub(crate) fn take(&mut self, received: Received) -> io::Result<()> {
        match received {
            Received::Message(Message::DataRow(body)) => {
                self.bytes = self.bytes.saturating_add(2 + body.buffer_bytes().len());
                self.is_too_large |= self.bytes > RESULT_BYTES_MAX;
                if !self.is_too_large {
                    self.rows.push(Row::new(&body)?);
                }
            }
            Received::LargeRow => self.is_too_large = true,
            Received::Message(Message::CommandComplete(body)) => {
                body.tag()?.clone_into(&mut self.tag);
            }
            Received::Message(_) => {}
        }
        if self.is_too_large {
            self.rows.clear();
        }
        Ok(())
    }

    /// Returns the number of changed rows.
    pub(crate) fn rows_changed(&self) -> u64 {
        rows_changed(&self.tag)
    }
}

/// A row in text form.
#[derive(Debug)]
pub(crate) struct Row {
    buffer: Bytes,
    ranges: Vec<Option<std::ops::Range<usize>>>,
}

impl Row {
    fn new(body: &DataRowBody) -> io::Result<Self> {
        Ok(Self { buffer: body.buffer_bytes().clone(), ranges: body.ranges().collect()? })
    }

    /// The texts; only a database without an encoding (`SQL_ASCII`) has any that are not UTF-8.
    pub(crate) fn cells(&self) -> impl Iterator<Item = Option<Cow<'_, str>>> {
        self.ranges.iter().map(|range| {
            let range = range.clone()?;
            self.buffer.get(range).map(String::from_utf8_lossy)
        })
    }
}

impl Prepared {
    /// Returns its name in the service.
    pub(crate) fn name(&self) -> String {
        format!("sqlx_s_{}", self.number)
    }
}

pub(crate) fn read_columns(body: &RowDescriptionBody) -> io::Result<Vec<Column>> {
    let columns = body.fields().map(|field| {
        Ok(Column {
            name: field.name().to_owned(),
            type_oid: field.type_oid(),
            type_modifier: field.type_modifier(),
            table_oid: field.table_oid(),
            number: field.column_id(),
        })
    });
    columns.collect()
}

/// The number at the end of a tag such as `INSERT 0 5`; none of statements that change nothing.
pub(crate) fn rows_changed(tag: &str) -> u64 {
    let (verb, count) = tag.split_once(' ').unwrap_or_default();
    if !matches!(verb, "INSERT" | "UPDATE" | "DELETE" | "MERGE") {
        return 0;
    }
    count.rsplit(' ').next().and_then(|count| count.parse().ok()).unwrap_or_default()
}
