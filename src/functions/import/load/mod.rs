//! Loads the parts of each chunk: each part in a transaction of its lane, or the whole file in one
//! transaction.
//!
//! [`loader`] runs a part as a [`batch`](crate::database::batch), as
//! [`apply`](crate::functions::apply) runs a delivery.

pub mod loader;
pub mod rejects;
mod sets;
pub(super) mod lanes;
pub(super) mod whole;
pub(super) mod replace;
