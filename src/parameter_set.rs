//! Rows as one parameter set: column by column, each an array literal.
//!
//! Pure. Next: [`crate::statement`] says what these parameters mean.

use crate::array::{array_literal, encoded_len};
use crate::field::{Parameter, parameter};

/// The cells of a row, in the order of the statement's columns; `None` is NULL.
pub type Cells = Vec<Option<String>>;

/// Parameters `c1`, `c2`, … that hold these rows.
pub fn column_parameters(rows: &[&Cells]) -> Vec<Parameter> {
    let columns = column_literals(rows);
    columns
        .into_iter()
        .enumerate()
        .map(|(place, literal)| parameter(format!("c{}", place + 1), literal))
        .collect()
}

/// The literal of each column of these rows.
pub fn column_literals(rows: &[&Cells]) -> Vec<String> {
    let columns = rows.first().map_or(0, |row| row.len());
    (0..columns).map(|place| array_literal(rows.iter().map(|row| row[place].as_deref()))).collect()
}

/// The bytes that a row adds to a request.
pub fn size_bytes(row: &Cells) -> usize {
    row.iter().map(|cell| encoded_len(cell.as_deref())).sum()
}

/// A column of a bookkeeping statement: one text a row.
pub fn text_column<'a>(
    name: &'static str,
    values: impl IntoIterator<Item = Option<&'a str>>,
) -> Parameter {
    parameter(name, array_literal(values))
}

/// A column of a bookkeeping statement: one number a row.
pub fn number_column(name: &'static str, values: impl IntoIterator<Item = i64>) -> Parameter {
    let values: Vec<_> = values.into_iter().map(|value| value.to_string()).collect();
    parameter(name, array_literal(values.iter().map(|value| Some(value.as_str()))))
}
