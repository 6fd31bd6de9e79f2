//! HTTP: requests and responses, problem details, content negotiation, query strings, and the
//! description of the API.
//!
//! Pure. Knows the domain, and nothing of the queue or of transactions. The functions
//! [`enqueue`](crate::functions::enqueue) and [`lookup`](crate::functions::lookup) use it.

pub mod caller;
pub mod http;
pub mod link;
pub mod methods;
pub mod problem;
pub mod offered;
pub mod negotiation;
pub mod entity_tag;
pub mod query;
pub mod openapi;
pub mod worker_tables;
