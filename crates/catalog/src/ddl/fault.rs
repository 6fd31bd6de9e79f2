//! Errors that stop the build.

use std::fmt;

/// An error that stops the build: the file, the line, and the cause.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct DdlError {
    pub file: String,
    /// The line, counted from 1; 0 for the whole file.
    pub line: usize,
    pub cause: String,
}

impl fmt::Display for DdlError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { file, line, cause } = self;
        match line {
            0 => write!(f, "sql/{file}: {cause}"),
            line => write!(f, "sql/{file}:{line}: {cause}"),
        }
    }
}

/// An error in a file whose name is not yet known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Fault {
    pub(super) line: usize,
    pub(super) cause: String,
}

impl Fault {
    pub(super) fn new(line: usize, cause: impl Into<String>) -> Self {
        Self { line, cause: cause.into() }
    }

    pub(super) fn in_file(self, file: &str) -> DdlError {
        DdlError { file: file.to_owned(), line: self.line, cause: self.cause }
    }
}
