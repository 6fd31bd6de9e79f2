//! Plans: which rows go together into which statement, and in which order.
//!
//! Pure. [`writes`] plans a delivery of the queue, [`rows`] the rows of a file; what is common to both is
//! how much a parameter set and a call may hold. Next: [`crate::database::statement`].

pub mod writes;
pub mod rows;

use std::ops::Range;

/// Most rows of one parameter set: past a thousand, statements gain little.
pub const SET_ROWS_MAX: usize = 1_000;

/// Most bytes of one request to the Data API (service model: headers and JSON included).
pub const REQUEST_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Most characters of a statement (service model, `SqlStatement`).
pub const SQL_LEN_MAX: usize = 65_536;

/// Left for what is not counted row by row: the statement (64 KiB at most), ARNs, parameter names, and
/// headers with a signature and a session's token.
const REQUEST_BYTES_RESERVED: usize = 128 * 1024;

/// Most bytes of rows in one call.
pub const CALL_BYTES_MAX: usize = REQUEST_BYTES_MAX - REQUEST_BYTES_RESERVED;

/// Cuts rows, given by their sizes in bytes, into sets that keep both bounds. A row that is over the
/// bound of bytes stands alone.
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
