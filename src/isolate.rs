//! Finds the bad rows of a set: runs it row by row inside the server (`sync.isolate`).
//!
//! The cost is one call for a set, however many of its rows are bad.

use crate::array::array_literal;
use crate::error::SyncError;
use crate::field::parameter;
use crate::parameter_set::{Cells, column_literals};
use crate::plan::CALL_BYTES_MAX;
use crate::transaction::Transaction;

const ISOLATE: &str =
    "SELECT row_number, error_sqlstate, error_message, error_constraint, error_column
FROM sync.isolate(:statement::text, :columns::text[])";

/// A row that changed nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Missed {
    /// Its place among the rows given.
    pub row: usize,
    /// PostgreSQL's reason; `None` where the statement ran but met no row.
    pub error: Option<RowError>,
}

/// What PostgreSQL says against a row. The message may hold values: not for logs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RowError {
    pub sqlstate: String,
    pub message: String,
    pub constraint: Option<String>,
    pub column: Option<String>,
}

/// Runs `statement` (see [`crate::statement::load_row`]) for each row, and gives those that changed
/// nothing, in order.
pub async fn isolate(
    transaction: &Transaction<'_>,
    statement: &str,
    rows: &[&Cells],
) -> Result<Vec<Missed>, SyncError> {
    let mut missed = Vec::new();
    // A literal within a literal is escaped twice: what fitted one call may need several here.
    let mut pieces = vec![(0, rows)];
    while let Some((first, piece)) = pieces.pop() {
        let literals = column_literals(piece);
        let columns = array_literal(literals.iter().map(|literal| Some(literal.as_str())));
        if encoded_bytes(&columns) > CALL_BYTES_MAX && piece.len() > 1 {
            let (left, right) = piece.split_at(piece.len() / 2);
            pieces.push((first + left.len(), right));
            pieces.push((first, left));
            continue;
        }
        let parameters = vec![parameter("statement", statement), parameter("columns", columns)];
        for record in transaction.execute(ISOLATE, parameters).await? {
            let text = |place: usize| record.get(place)?.as_text().map(str::to_owned);
            let number = record.first().and_then(crate::field::Field::as_long);
            let row = number
                .and_then(|number| usize::try_from(number - 1).ok())
                .filter(|row| *row < piece.len())
                .ok_or_else(|| SyncError::Inconsistent("sync.isolate names no row".to_owned()))?;
            let error = text(1).map(|sqlstate| RowError {
                sqlstate,
                message: text(2).unwrap_or_default(),
                constraint: text(3),
                column: text(4),
            });
            missed.push(Missed { row: first + row, error });
        }
    }
    Ok(missed)
}

/// The length of a text in JSON, at most.
fn encoded_bytes(text: &str) -> usize {
    text.bytes().map(|byte| if matches!(byte, b'"' | b'\\' | 0x00..=0x1f) { 2 } else { 1 }).sum()
}
