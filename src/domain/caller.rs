//! Callers: who made a change, and the claims that row policies read.
//!
//! Pure. [`crate::api::caller`] makes callers of requests.

use std::sync::Arc;

pub use import_options::CLAIMS_BYTES_MAX;
use uuid::Uuid;

/// The caller of a request.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Caller {
    /// The principal: the ARN of a user, or of a role without the name of its session, or the
    /// issuer and the subject of a token. `None` if the API is open to everyone.
    pub principal: Option<String>,
    /// The claims under row security: a JSON object. Transactions set them as
    /// `request.jwt.claims`.
    pub claims: Option<Arc<str>>,
    /// The id of the request: that of the Lambda invocation, which its log lines have.
    pub request_id: Option<Uuid>,
    /// The rejected write whose payload the request sends again.
    pub resend_of: Option<Uuid>,
}
