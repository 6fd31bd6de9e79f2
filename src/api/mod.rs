//! HTTP: requests and responses, problem details, content negotiation, query strings, and the API's description.
//!
//! Pure. Knows the domain, and nothing of the queue or the database's transactions: the functions
//! [`enqueue`](crate::functions::enqueue) and [`lookup`](crate::functions::lookup) join them.

pub mod http;
pub mod problem;
pub mod negotiation;
pub mod query;
pub mod openapi;
pub mod worker_tables;
