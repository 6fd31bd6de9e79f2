//! Plans: the rows of each parameter set, and the order of the sets.
//!
//! Pure. [`writes`] plans a delivery of the queue, [`rows`] the rows of a file. Both keep the
//! bounds of a parameter set and of a call. [`crate::database::statement`] makes the statements.

pub mod writes;
pub mod rows;

use std::ops::Range;

/// The most rows of one parameter set of writes. Larger sets are hardly faster.
pub const SET_ROWS_MAX: usize = 1_000;

/// The most bytes of one request to the Data API, headers and JSON included (service model).
pub const REQUEST_BYTES_MAX: usize = 4 * 1024 * 1024;

/// The most characters of a statement (service model, `SqlStatement`).
pub const SQL_LEN_MAX: usize = 65_536;

/// The bytes that are reserved for the rest of a request: the statement (at most 64 KiB), ARNs,
/// parameter names, and headers with a signature and a session token.
const REQUEST_BYTES_RESERVED: usize = 128 * 1024;

/// The most bytes of rows in one call.
pub const CALL_BYTES_MAX: usize = REQUEST_BYTES_MAX - REQUEST_BYTES_RESERVED;

/// Cuts rows into sets of at most `rows_max` rows and [`CALL_BYTES_MAX`] bytes, and returns the
/// range of rows of each set. A row that alone is larger than that is a set of its own.
fn cut(sizes_bytes: impl ExactSizeIterator<Item = usize>, rows_max: usize) -> Vec<Range<usize>> {
    let rows = sizes_bytes.len();
    let mut sets = Vec::new();
    let mut start = 0;
    let mut bytes = 0;
    for (index, size_bytes) in sizes_bytes.enumerate() {
        let is_full = index - start == rows_max || bytes + size_bytes > CALL_BYTES_MAX;
        if index > start && is_full {
            sets.push(start..index);
            start = index;
            bytes = 0;
        }
        bytes += size_bytes;
    }
    if start < rows {
        sets.push(start..rows);
    }
    sets
}
