//! Problem details (RFC 9457): the error, its position, and its remedy.
//!
//! Pure. `docs/reference/errors.md` lists every type. No problem repeats a value of the request.

use std::fmt;
use std::ops::Deref;

use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};
use uuid::Uuid;

use crate::domain::fault::{Faults, FieldFault};

/// A problem. Its `type` is `urn:problem-type:aurora-sync:` and the word of its kind.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Problem {
    #[serde(rename = "type", serialize_with = "type_uri")]
    word: &'static str,
    pub title: &'static str,
    pub status: u16,
    #[serde(flatten)]
    pub detail: Detail,
    /// The faults of the body, at most [`FAULTS_MAX`](crate::domain::fault::FAULTS_MAX).
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    pub errors: Box<[FieldFault]>,
    /// The number of all faults, if not all are listed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub errors_total: Option<usize>,
    /// The writes of the request that were accepted nevertheless.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub accepted: Option<Box<[AcceptedWrite]>>,
    /// The seconds after which to try again. It is also the `Retry-After` header.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry_after: Option<u16>,
    /// The writes that the problem is about.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    pub writes: Box<[WriteState]>,
}

/// The sentences of a problem.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Detail(Box<str>);

impl Deref for Detail {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Detail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self)
    }
}

/// Writes the members `detail`, and `message`, which clients of PostgREST such as supabase-js show.
impl Serialize for Detail {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut members = serializer.serialize_map(Some(2))?;
        members.serialize_entry("detail", &self.0)?;
        members.serialize_entry("message", &self.0)?;
        members.end()
    }
}

/// A write that a problem is about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct WriteState {
    pub id: Uuid,
    pub outcome: String,
    /// A link to the write's status.
    pub status: String,
}

fn type_uri<S: Serializer>(word: &'static str, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&format_args!("urn:problem-type:aurora-sync:{word}"))
}

/// A write in the queue. Its outcome appears at `status`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct AcceptedWrite {
    /// The index of the item in the body; `None` for a body of one object.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub item: Option<usize>,
    pub id: Uuid,
    pub status: String,
}

/// The kinds of problems. The word, status and title of a kind never change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    UnknownRoute,
    UnknownTable,
    MethodNotAllowed,
    InvalidKey,
    MalformedBody,
    UnsupportedMediaType,
    TooLarge,
    InvalidWrite,
    InvalidClaims,
    InvalidIdempotencyKey,
    InvalidPrecondition,
    InvalidPreference,
    UnknownParameter,
    InvalidQuery,
    InvalidCursor,
    NotAcceptable,
    PreconditionFailed,
    RowNotFound,
    WriteNotFound,
    ImportNotFound,
    ResultTooLarge,
    WriteRejected,
    WritePending,
    QueryTimeout,
    Unavailable,
    Internal,
}

impl Kind {
    /// Returns the word, the HTTP status and the title.
    fn parts(self) -> (&'static str, u16, &'static str) {
        match self {
            Self::UnknownRoute => ("unknown-route", 404, "There is nothing at this path"),
            Self::UnknownTable => ("unknown-table", 404, "There is no such table"),
            Self::MethodNotAllowed => {
                ("method-not-allowed", 405, "The path does not support this method")
            }
            Self::InvalidKey => ("invalid-key", 400, "The path does not name a row"),
            Self::MalformedBody => ("malformed-body", 400, "The body cannot be read"),
            Self::UnsupportedMediaType => {
                ("unsupported-media-type", 415, "The body's media type is not supported")
            }
            Self::TooLarge => ("too-large", 413, "The body is too large"),
            Self::InvalidWrite => ("invalid-write", 422, "The write does not fit the table"),
            Self::InvalidClaims => {
                ("invalid-claims", 400, "The claims of the token cannot be used")
            }
            Self::InvalidIdempotencyKey => {
                ("invalid-idempotency-key", 400, "The Idempotency-Key cannot be used")
            }
            Self::InvalidPrecondition => {
                ("invalid-precondition", 400, "The precondition cannot be used")
            }
            Self::InvalidPreference => ("invalid-preference", 400, "The preference is not known"),
            Self::UnknownParameter => {
                ("unknown-parameter", 400, "The path does not support this query parameter")
            }
            Self::InvalidQuery => ("invalid-query", 400, "The query is not valid"),
            Self::InvalidCursor => ("invalid-cursor", 400, "The cursor does not match the query"),
            Self::NotAcceptable => {
                ("not-acceptable", 406, "None of the accepted media types is offered")
            }
            Self::PreconditionFailed => {
                ("precondition-failed", 412, "The response is not the one of If-Match")
            }
            Self::RowNotFound => ("row-not-found", 404, "There is no such row"),
            Self::WriteNotFound => ("write-not-found", 404, "There is no such write"),
            Self::ImportNotFound => ("import-not-found", 404, "There is no such import"),
            Self::ResultTooLarge => ("result-too-large", 400, "The response would be too large"),
            Self::WriteRejected => {
                ("write-rejected", 409, "A write that must come first is rejected")
            }
            Self::WritePending => {
                ("write-pending", 503, "A write that must come first is not settled yet")
            }
            Self::QueryTimeout => ("query-timeout", 504, "The query took too long"),
            Self::Unavailable => ("unavailable", 503, "The service cannot do this right now"),
            Self::Internal => ("internal", 500, "The service is not deployed correctly"),
        }
    }
}

impl Problem {
    /// Makes a problem. `detail` is one or more full sentences without values of the request.
    pub fn new(kind: Kind, detail: impl Into<String>) -> Self {
        let (word, status, title) = kind.parts();
        let detail = Detail(detail.into().into_boxed_str());
        Self {
            word,
            title,
            status,
            detail,
            errors: Box::default(),
            errors_total: None,
            accepted: None,
            retry_after: None,
            writes: Box::default(),
        }
    }

    /// Adds the faults of a body.
    #[must_use]
    pub fn with_faults(mut self, faults: Faults) -> Self {
        let total = faults.total();
        let listed = faults.into_listed();
        self.errors_total = (total > listed.len()).then_some(total);
        self.errors = listed.into();
        self
    }

    /// Adds the writes that were accepted nevertheless.
    #[must_use]
    pub fn with_accepted(mut self, accepted: Vec<AcceptedWrite>) -> Self {
        self.accepted = Some(accepted.into());
        self
    }

    /// Adds the writes that the problem is about.
    #[must_use]
    pub fn with_writes(mut self, writes: Vec<WriteState>) -> Self {
        self.writes = writes.into();
        self
    }

    /// Adds the seconds after which to try again.
    #[must_use]
    pub fn with_retry_after(mut self, seconds: u16) -> Self {
        self.retry_after = Some(seconds);
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::fault::{FAULTS_MAX, pointer_step};

    #[test]
    fn faults_are_all_counted_and_some_listed() {
        let fault = |n: usize| FieldFault {
            pointer: format!("/{n}"),
            rule: "type".into(),
            detail: String::new(),
        };
        let mut faults = Faults::default();
        (0..FAULTS_MAX).for_each(|n| faults.push(|| fault(n)));
        faults.push(|| unreachable!("what is not listed is not put into words"));
        let problem = Problem::new(Kind::InvalidWrite, "").with_faults(faults);
        assert_eq!(problem.errors.len(), FAULTS_MAX);
        assert_eq!(problem.errors_total, Some(FAULTS_MAX + 1));
    }

    #[test]
    fn a_problem_serializes_as_in_the_rfc() {
        let mut faults = Faults::default();
        faults.push(|| FieldFault {
            pointer: format!("/0{}", pointer_step("a/b~c")),
            rule: "not-null".into(),
            detail: "a value".into(),
        });
        let problem = Problem::new(Kind::InvalidWrite, "1 fault").with_faults(faults);
        assert_eq!(
            serde_json::to_value(&problem).unwrap(),
            serde_json::json!({
                "type": "urn:problem-type:aurora-sync:invalid-write",
                "title": "The write does not fit the table",
                "status": 422,
                "detail": "1 fault",
                "message": "1 fault",
                "errors": [{"pointer": "/0/a~1b~0c", "rule": "not-null", "detail": "a value"}],
            })
        );
    }
}
