//! Rows as one parameter set: one parameter for each column, the literal of an array.
//!
//! Pure. The statements of [`crate::database::statement`] take these parameters.

use crate::domain::field::{Parameter, parameter};
use crate::domain::value::array_literal::{ArrayLiteral, array_literal, encoded_len};

/// The cells of a row, in the order of the statement's columns; `None` is NULL.
pub type Cells = Vec<Option<String>>;

/// Returns the array literal of each column of these rows.
pub fn column_literals(rows: &[&Cells]) -> Vec<String> {
    let columns = rows.first().map_or(0, |row| row.len());
    (0..columns).map(|index| array_literal(rows.iter().map(|row| row[index].as_deref()))).collect()
}

/// Returns the bytes that a row adds to a request.
pub fn size_bytes(row: &Cells) -> usize {
    row.iter().map(|cell| encoded_len(cell.as_deref())).sum()
}

/// The cells of one row of a file, in the order of the statement's columns.
///
/// All texts are in one string, so that a row needs two allocations, whatever its number of
/// columns.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PackedCells {
    text: String,
    /// The end of each cell's text in `text`, with [`NULL_BIT`] set if the cell is NULL.
    ends: Vec<u32>,
}

/// The highest bit of an end. It is free, as the texts of a row are far smaller than 2 GiB.
const NULL_BIT: u32 = 1 << 31;

impl PackedCells {
    /// Makes an empty row with room for `cells` cells of `text_bytes` bytes together.
    pub fn with_capacity(cells: usize, text_bytes: usize) -> Self {
        Self { text: String::with_capacity(text_bytes), ends: Vec::with_capacity(cells) }
    }

    /// Adds a cell; `None` is NULL.
    ///
    /// # Panics
    ///
    /// If the texts of the row are 2 GiB or more.
    pub fn push(&mut self, cell: Option<&str>) {
        self.text.push_str(cell.unwrap_or_default());
        let end = u32::try_from(self.text.len()).ok().filter(|end| end & NULL_BIT == 0);
        let end = end.expect("a row is smaller than 2 GiB");
        self.ends.push(if cell.is_none() { end | NULL_BIT } else { end });
    }

    /// Returns the number of cells.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Returns `true` if there are no cells.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// Returns the cell at this index. `None` is NULL, or no cell.
    pub fn get(&self, index: usize) -> Option<&str> {
        let start = index.checked_sub(1).map_or(0, |before| self.end(before));
        self.cell(*self.ends.get(index)?, start)
    }

    /// Iterates over the cells; `None` is NULL.
    pub fn iter(&self) -> impl Iterator<Item = Option<&str>> {
        self.as_row().iter()
    }

    /// Borrows the row.
    pub fn as_row(&self) -> PackedRow<'_> {
        PackedRow { text: &self.text, ends: &self.ends }
    }

    /// Returns the bytes that the row holds in memory.
    pub fn memory_bytes(&self) -> usize {
        self.text.capacity() + self.ends.capacity() * size_of::<u32>()
    }

    fn end(&self, index: usize) -> usize {
        self.ends.get(index).map_or(0, |end| (end & !NULL_BIT) as usize)
    }

    fn cell(&self, end: u32, start: usize) -> Option<&str> {
        if end & NULL_BIT == 0 { self.text.get(start..end as usize) } else { None }
    }
}

/// The cells of one row, in a [`PackedCells`] or in [`PackedRows`].
#[derive(Debug, Clone, Copy)]
pub struct PackedRow<'a> {
    text: &'a str,
    ends: &'a [u32],
}

impl<'a> PackedRow<'a> {
    /// Iterates over the cells; `None` is NULL.
    pub fn iter(self) -> impl Iterator<Item = Option<&'a str>> {
        let mut start = 0;
        self.ends.iter().map(move |&end| {
            let stop = (end & !NULL_BIT) as usize;
            let cell = if end & NULL_BIT == 0 { self.text.get(start..stop) } else { None };
            start = stop;
            cell
        })
    }

    /// Returns the cell at this index. `None` is NULL, or no cell.
    pub fn get(self, index: usize) -> Option<&'a str> {
        self.iter().nth(index)?
    }

    fn text_bytes(self) -> usize {
        self.ends.last().map_or(0, |end| (end & !NULL_BIT) as usize)
    }

    /// Returns the bytes that the row adds to a request.
    pub fn size_bytes(self) -> usize {
        self.iter().map(encoded_len).sum()
    }
}

/// The cells of many rows, in one string. All rows have the same number of cells.
#[derive(Debug, Default)]
pub struct PackedRows {
    text: String,
    /// The start of each row's text in `text`.
    starts: Vec<usize>,
    ends: Vec<u32>,
}

impl PackedRows {
    /// Adds a row, and returns the bytes that it adds to a request.
    pub fn push(&mut self, cells: &PackedCells) -> usize {
        self.starts.push(self.text.len());
        self.text.push_str(&cells.text);
        self.ends.extend_from_slice(&cells.ends);
        cells.as_row().size_bytes()
    }

    /// Returns the row with this number, from 0.
    pub fn row(&self, number: usize) -> PackedRow<'_> {
        let columns = self.ends.len().checked_div(self.starts.len()).unwrap_or_default();
        let start = self.starts.get(number).copied().unwrap_or_default();
        let ends = self.ends.get(number * columns..(number + 1) * columns);
        PackedRow {
            text: self.text.get(start..).unwrap_or_default(),
            ends: ends.unwrap_or_default(),
        }
    }
}

/// Returns the array literal of each column of these rows.
pub fn packed_literals(rows: &[PackedRow<'_>]) -> Vec<String> {
    let columns = rows.first().map_or(0, |row| row.ends.len());
    // The average size of a column, with a comma and quotes for each cell.
    let bytes: usize = rows.iter().map(|row| row.text_bytes() + 3 * columns).sum();
    let capacity = bytes.checked_div(columns).unwrap_or_default();
    let mut literals: Vec<_> =
        (0..columns).map(|_| ArrayLiteral::with_capacity(capacity)).collect();
    for row in rows {
        for (literal, cell) in literals.iter_mut().zip(row.iter()) {
            literal.push(cell);
        }
    }
    literals.into_iter().map(ArrayLiteral::finish).collect()
}

/// Makes the parameter of a text column: one text for each row.
pub fn text_column<'a>(
    name: &'static str,
    values: impl IntoIterator<Item = Option<&'a str>>,
) -> Parameter {
    parameter(name, array_literal(values))
}

/// Makes the parameter of a number column: one number for each row.
pub fn number_column(name: &'static str, values: impl IntoIterator<Item = i64>) -> Parameter {
    let values: Vec<_> = values.into_iter().map(|value| value.to_string()).collect();
    parameter(name, array_literal(values.iter().map(|value| Some(value.as_str()))))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// A packed row has the cells, the literals and the size of the row that it was made of.
        #[test]
        fn packed_rows_equal_their_rows(
            rows in (0_usize..5).prop_flat_map(|columns| {
                let cell = prop::option::of("[a\"\\\\ ,{}é表\n]{0,6}|NULL|[0-9]{1,9}");
                prop::collection::vec(prop::collection::vec(cell, columns), 0..6)
            }),
        ) {
            let packed: Vec<PackedCells> = rows
                .iter()
                .map(|row: &Cells| {
                    let mut packed = PackedCells::default();
                    for cell in row {
                        packed.push(cell.as_deref());
                    }
                    packed
                })
                .collect();
            for (row, packed) in rows.iter().zip(&packed) {
                let cells: Vec<_> = packed.iter().map(|cell| cell.map(str::to_owned)).collect();
                prop_assert_eq!(&cells, row);
                prop_assert_eq!(packed.len(), row.len());
                for index in 0..=row.len() {
                    prop_assert_eq!(packed.get(index), row.get(index).and_then(Option::as_deref));
                }
                prop_assert_eq!(packed.as_row().size_bytes(), size_bytes(row));
            }
            let mut behind = PackedRows::default();
            for (row, packed) in rows.iter().zip(&packed) {
                prop_assert_eq!(behind.push(packed), size_bytes(row));
            }
            for (index, packed) in packed.iter().enumerate() {
                let cells: Vec<_> = behind.row(index).iter().collect();
                prop_assert_eq!(cells, packed.iter().collect::<Vec<_>>());
            }
            let literals = packed_literals(&packed.iter().map(PackedCells::as_row).collect::<Vec<_>>());
            prop_assert_eq!(literals, column_literals(&rows.iter().collect::<Vec<_>>()));
        }
    }
}
