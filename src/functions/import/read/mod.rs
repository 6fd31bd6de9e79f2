//! Reads a file: the notification that names it, its options, its header, and its records in
//! chunks.
//!
//! [`load`](super::load) loads the parts of each chunk.

pub mod source;
pub mod options;
pub mod layout;
pub mod part;
pub mod chunk;
pub(super) mod file;
pub(super) mod opened;
