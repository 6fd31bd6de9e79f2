//! The forms of a response, and the SELECT expressions of their columns.
//!
//! Pure.

use aurora_sync_catalog::{Column, ColumnType, Table};

use super::column_sql;

/// The form of a response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    Json,
    /// One JSON object per line.
    Ndjson,
    Csv,
    /// The records of the Data API.
    Records,
}

impl Form {
    /// All forms. The first one is the default.
    pub const ALL: [Self; 4] = [Self::Json, Self::Ndjson, Self::Csv, Self::Records];

    /// Returns the name in the entity tags of rows; empty for the default form.
    pub fn name(self) -> &'static str {
        match self {
            Self::Json => "",
            Self::Ndjson => "ndjson",
            Self::Csv => "csv",
            Self::Records => "records",
        }
    }

    /// Returns the media type for `Accept`.
    pub fn media_type(self) -> &'static str {
        match self {
            Self::Json => "application/json",
            Self::Ndjson => "application/x-ndjson",
            Self::Csv => "text/csv",
            Self::Records => "application/vnd.amazon.rds-data+json",
        }
    }

    /// Returns the media type for `Content-Type`.
    pub fn content_type(self) -> &'static str {
        match self {
            Self::Csv => "text/csv; charset=utf-8; header=present",
            form => form.media_type(),
        }
    }

    /// Returns the columns of a response without `select`.
    ///
    /// A CSV response can be imported again, so it has no columns whose values the database
    /// generates.
    pub(super) fn columns(self, table: &Table) -> Vec<&Column> {
        let readable: Vec<_> = table.columns.iter().filter(|column| column.is_readable()).collect();
        if self != Self::Csv {
            return readable;
        }
        let writable: Vec<_> =
            readable.iter().copied().filter(|column| column.is_writable()).collect();
        if writable.is_empty() { readable } else { writable }
    }

    /// Returns the SELECT expressions of the columns: one JSON text, or one field for each column.
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

/// Formats a column as text that the column reads again: dates and times in ISO 8601, as in JSON,
/// and an address without the prefix that a cast to text adds.
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

/// Returns `true` if the Data API returns all values of the type exactly. A column that it cannot
/// return fails the whole call with `UnsupportedResultException`.
fn is_returned(column_type: &ColumnType) -> bool {
    match column_type {
        ColumnType::Interval | ColumnType::TimeTz | ColumnType::Other { .. } => false,
        // The service parses and formats the JSON, so that large numbers lose digits.
        ColumnType::Json | ColumnType::JsonB => false,
        // "infinity" causes an internal failure.
        ColumnType::Date | ColumnType::Timestamp | ColumnType::TimestampTz => false,
        ColumnType::Array(element) => is_returned(element),
        _ => true,
    }
}
