//! Rows as one parameter set: column by column, each an array literal.
//!
//! Pure. Next: [`crate::database::statement`] says what these parameters mean.

use crate::domain::field::{Parameter, parameter};
use crate::domain::value::array_literal::{ArrayLiteral, array_literal, encoded_len};

/// The cells of a row, in the order of the statement's columns; `None` is NULL.
pub type Cells = Vec<Option<String>>;

/// The literal of each column of these rows.
pub fn column_literals(rows: &[&Cells]) -> Vec<String> {
    let columns = rows.first().map_or(0, |row| row.len());
    (0..columns).map(|index| array_literal(rows.iter().map(|row| row[index].as_deref()))).collect()
}

/// The bytes that a row adds to a request.
pub fn size_bytes(row: &Cells) -> usize {
    row.iter().map(|cell| encoded_len(cell.as_deref())).sum()
}

/// The cells of one row of a file, in the order of the statement's columns: one text after the other, so that
/// a row is two allocations however many columns it has.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PackedCells {
    text: String,
    /// Where each cell's text ends, with [`NULL_MARK`] where the cell is NULL.
    ends: Vec<u32>,
}

/// The highest bit: a row's texts are far from 2 GiB.
const NULL_MARK: u32 = 1 << 31;

impl PackedCells {
    /// With room for so much.
    pub fn with_capacity(cells: usize, text_bytes: usize) -> Self {
        Self { text: String::with_capacity(text_bytes), ends: Vec::with_capacity(cells) }
    }

    /// Adds a cell; `None` is NULL.
    pub fn push(&mut self, cell: Option<&str>) {
        self.text.push_str(cell.unwrap_or_default());
        let end = u32::try_from(self.text.len()).ok().filter(|end| end & NULL_MARK == 0);
        let end = end.expect("a row is smaller than 2 GiB");
        self.ends.push(if cell.is_none() { end | NULL_MARK } else { end });
    }

    pub fn len(&self) -> usize {
        self.ends.len()
    }

    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// The cell at this index; `None` is NULL, or no cell.
    pub fn get(&self, index: usize) -> Option<&str> {
        let start = index.checked_sub(1).map_or(0, |before| self.end(before));
        self.cell(*self.ends.get(index)?, start)
    }

    /// The cells; `None` is NULL.
    pub fn iter(&self) -> impl Iterator<Item = Option<&str>> {
        self.as_row().iter()
    }

    pub fn as_row(&self) -> PackedRow<'_> {
        PackedRow { text: &self.text, ends: &self.ends }
    }

    /// The bytes that it holds in memory.
    pub fn memory_bytes(&self) -> usize {
        self.text.capacity() + self.ends.capacity() * size_of::<u32>()
    }

    fn end(&self, index: usize) -> usize {
        self.ends.get(index).map_or(0, |end| (end & !NULL_MARK) as usize)
    }

    fn cell(&self, end: u32, start: usize) -> Option<&str> {
        if end & NULL_MARK == 0 { self.text.get(start..end as usize) } else { None }
    }
}

/// The cells of one row, wherever they are packed.
#[derive(Debug, Clone, Copy)]
pub struct PackedRow<'a> {
    text: &'a str,
    ends: &'a [u32],
}

impl<'a> PackedRow<'a> {
    /// The cells; `None` is NULL.
    pub fn iter(self) -> impl Iterator<Item = Option<&'a str>> {
        let mut start = 0;
        self.ends.iter().map(move |&end| {
            let stop = (end & !NULL_MARK) as usize;
            let cell = if end & NULL_MARK == 0 { self.text.get(start..stop) } else { None };
            start = stop;
            cell
        })
    }

    /// The cell at this index; `None` is NULL, or no cell.
    pub fn get(self, index: usize) -> Option<&'a str> {
        self.iter().nth(index)?
    }

    fn text_bytes(self) -> usize {
        self.ends.last().map_or(0, |end| (end & !NULL_MARK) as usize)
    }

    /// The bytes that it adds to a request.
    pub fn size_bytes(self) -> usize {
        self.iter().map(encoded_len).sum()
    }
}

/// The cells of many rows, one behind the other. All have as many.
#[derive(Debug, Default)]
pub struct PackedRows {
    text: String,
    /// Where each row's text begins.
    starts: Vec<usize>,
    ends: Vec<u32>,
}

impl PackedRows {
    /// Adds a row, and gives the bytes that it adds to a request.
    pub fn push(&mut self, cells: &PackedCells) -> usize {
        self.starts.push(self.text.len());
        self.text.push_str(&cells.text);
        self.ends.extend_from_slice(&cells.ends);
        cells.as_row().size_bytes()
    }

    /// The row with this number, from 0.
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

/// The literal of each column of these rows.
pub fn packed_literals(rows: &[PackedRow<'_>]) -> Vec<String> {
    let columns = rows.first().map_or(0, |row| row.ends.len());
    // Columns are as wide as those of the rows before, more or less: on average, quotes and commas
    // included.
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Packed or not, a row has the same cells, literals and size.
        #[test]
        fn packed_cells_are_the_cells(
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
