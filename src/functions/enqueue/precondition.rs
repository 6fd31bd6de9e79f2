//! `If-Match` and `If-None-Match` of a write (RFC 9110, section 13).
//!
//! Pure. `apply` evaluates the precondition, since the row can change until then.
//! `If-Unmodified-Since` is ignored, as the RFC requires for resources without a modification date.

use aurora_sync_catalog::Table;
use aws_lambda_events::http::Method;
use aws_lambda_events::http::header::{IF_MATCH, IF_NONE_MATCH};

use crate::api::entity_tag::{Condition, row_tag};
use crate::api::http::{Request, Route};
use crate::api::problem::{Kind, Problem};
use crate::domain::write::{ANY, Precondition};

/// Returns the precondition of a request, if it has one.
pub(super) fn of(request: &Request, table: &Table) -> Result<Option<Precondition>, Problem> {
    let names_row = matches!(request.route, Route::Row(..));
    let (has_match, has_none) =
        (request.headers.contains_key(IF_MATCH), request.headers.contains_key(IF_NONE_MATCH));
    match (has_match, has_none) {
        (false, false) => Ok(None),
        (true, true) => Err(invalid("A write has If-Match or If-None-Match, not both.")),
        (true, false) if !names_row => Err(invalid(
            "If-Match is about one row. Send it with PUT, PATCH or DELETE to /{table}/{key}.",
        )),
        (true, false) => if_match(request.header_list(IF_MATCH), table).map(Some),
        (false, true) => if_none_match(request, names_row, table).map(Some),
    }
}

/// Makes the problem for a list with a precondition.
pub(super) fn of_list() -> Problem {
    invalid("A precondition is about one row. Send each row in a request of its own.")
}

fn invalid(detail: &str) -> Problem {
    Problem::new(Kind::InvalidPrecondition, detail)
}

/// Keeps the tags of rows, whatever the representation in which the client read them. Weak tags are
/// left out, since they never match.
fn if_match(header: &str, table: &Table) -> Result<Precondition, Problem> {
    let tags = match Condition::parse(header) {
        None => {
            return Err(invalid(
                "If-Match is *, or a list of ETags in double quotes, as GET returns them.",
            ));
        }
        Some(Condition::Any) => return Ok(Precondition::IfMatch(ANY.to_owned())),
        Some(Condition::OneOf(tags)) => tags,
    };
    if !table.is_comparable() {
        return Err(invalid(
            "If-Match with an ETag does not work for this table: sync_writer may not SELECT all columns that \
             look-ups return. GRANT SELECT ON the table TO sync_writer.",
        ));
    }
    let strong = tags.iter().filter(|tag| !tag.is_weak);
    let tags: Vec<_> = strong.map(|tag| row_tag(tag.text)).collect();
    Ok(Precondition::IfMatch(tags.join(", ")))
}

fn if_none_match(
    request: &Request,
    names_row: bool,
    table: &Table,
) -> Result<Precondition, Problem> {
    let is_insert = match request.method {
        Method::POST => true,
        Method::PUT => names_row,
        _ => false,
    };
    if !is_insert {
        return Err(invalid(
            "If-None-Match is for inserts: PUT to /{table}/{key}, or POST of one row to /{table}.",
        ));
    }
    if table.primary_key.is_empty() {
        return Err(invalid("The table has no primary key, so none of its rows can be named."));
    }
    match Condition::parse(request.header_list(IF_NONE_MATCH)) {
        Some(Condition::Any) => Ok(Precondition::IfNoneMatch),
        _ => Err(invalid("If-None-Match of a write is *: insert the row only if there is none.")),
    }
}
