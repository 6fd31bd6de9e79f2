//! The forms of a response, and how each column is selected for it.
//!
//! Pure.

use aurora_sync_catalog::{Column, ColumnType, Table};

use super::column_sql;

/// The form of the response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    Json,
    /// One JSON object a line.
    Ndjson,
    Csv,
    /// The Data API's own records.
    Records,
}

impl Form {
    /// All of them, the one for requests without a wish first.
    pub const ALL: [Self; 4] = [Self::Json, Self::Ndjson, Self::Csv, Self::Records];

    /// The media type by which it is asked for.
    pub fn media_type(self) -> &'static str {
        match self {
            Self::Json => "application/json",
            Self::Ndjson => "application/x-ndjson",
            Self::Csv => "text/csv",
            Self::Records => "application/vnd.amazon.rds-data+json",
        }
    }

    /// The media type that the response says it is.
    pub fn content_type(self) -> &'static str {
        match self {
            Self::Csv => "text/csv; charset=utf-8; header=present",
            form => form.media_type(),
        }
    }

    /// The columns of a response where the request chooses none.
    ///
    /// A CSV response is a file for an import, which refuses the columns that the database makes.
    pub(super) fn columns(self, table: &Table) -> Vec<&Column> {
        let readable: Vec<_> = table.columns.iter().filter(|column| column.is_readable()).collect();
        if self != Self::Csv {
            return readable;
        }
        let writable: Vec<_> =
            readable.iter().copied().filter(|column| column.is_writable()).collect();
        if writable.is_empty() { readable } else { writable }
    }

    /// What is selected for the columns: one JSON text, or a field for each.
    pub(super) fn fields(self, columns: &[&Column]) -> Vec<String> {
        match self {
            Self::Json | Self::Ndjson => {
                let columns: Vec<_> = columns.iter().map(|column| column_sql(column)).collect();
                let columns = columns.join(", ");
                vec![format!(
                    "(SELECT row_to_json(shown.*)::text FROM (SELECT {columns}) AS shown)"
                )]
            }
            Self::Csv => columns.iter().map(|column| as_text(column)).collect(),
            Self::Records => columns.iter().map(|column| as_field(column)).collect(),
        }
    }
}

/// The text that the column takes back. Date and time as in JSON, in ISO 8601; an address without the
/// prefix that a cast to text adds.
fn as_text(column: &Column) -> String {
    let name = column_sql(column);
    match column.column_type {
        ColumnType::Timestamp | ColumnType::TimestampTz | ColumnType::Inet => {
            format!("to_json({name})#>>'{{}}'")
        }
        _ => format!("{name}::text"),
    }
}

fn as_field(column: &Column) -> String {
    let name = column_sql(column);
    if is_returned(&column.column_type) { name } else { format!("{name}::text") }
}

/// Whether the Data API returns the type as a field, and whole. One column that it cannot return fails
/// the whole call with `UnsupportedResultException`.
fn is_returned(column_type: &ColumnType) -> bool {
    match column_type {
        ColumnType::Interval | ColumnType::TimeTz | ColumnType::Other { .. } => false,
        // The service parses it and writes it again: large numbers lose digits.
        ColumnType::Json | ColumnType::JsonB => false,
        // "infinity" ends in an internal failure.
        ColumnType::Date | ColumnType::Timestamp | ColumnType::TimestampTz => false,
        ColumnType::Array(element) => is_returned(element),
        _ => true,
    }
}
