//! Loads the parts of each chunk: in lanes, one transaction after the other, or the whole file in one transaction.
//!
//! [`loader`] gives a part to [`batch`](crate::database::batch), as [`apply`](crate::functions::apply) gives a delivery.

pub mod loader;
pub mod rejects;
mod sets;
pub(super) mod lanes;
pub(super) mod whole;
pub(super) mod replace;
