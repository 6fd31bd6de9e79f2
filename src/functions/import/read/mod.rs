//! Reads a file: the notification that names it, its header, and its records in chunks. The crate
//! `import-options` reads its options.
//!
//! [`load`](super::load) loads the parts of each chunk.

pub mod source;
pub mod layout;
pub mod part;
pub mod chunk;
pub(super) mod file;
pub(super) mod opened;
