//! The deployed template.
