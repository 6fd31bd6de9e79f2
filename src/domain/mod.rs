//! Values, keys, rows, writes and errors: the terms that all other modules use.
//!
//! Pure, except for [`deadline`], which reads the clock. Knows the catalog, and nothing of HTTP or
//! AWS, nor of SQL, apart from the names of types and the expression of [`row_tag`].

pub mod error;
pub mod fault;
pub mod field;

pub mod value;
pub mod key;
pub mod row;
pub mod row_tag;
pub mod caller;
pub mod write;
pub mod load_mode;
pub mod rejection;

pub mod deadline;
pub mod backoff;
