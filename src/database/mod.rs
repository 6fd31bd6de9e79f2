//! Changes of rows: plans, SQL texts, parameter sets, transactions, the ledger and the outbox.
//!
//! [`batch`] is the one way to change rows. The functions [`apply`](crate::functions::apply) and
//! [`import`](crate::functions::import) give it the contents of a batch.

pub mod plan;
pub mod parameter_set;
pub mod statement;
pub mod transaction;
pub mod batch;
pub mod ledger;
pub mod outbox;

pub mod introspection;
pub mod condition;
pub mod roles;
