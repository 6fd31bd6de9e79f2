//! Rows of a table: one by its key, or a page of a query string.
//!
//! A page takes one call. If it exceeds the 1 MiB of a response of the Data API, it is read again
//! with half the rows, and so on. That is at most 11 calls: for 1001 rows, 500, 250, 125, 62, 31,
//! 15, 7, 3, 1, and for the key of the one row that is too large. `Prefer: count=planned` takes one
//! more call, at the same time.

use std::collections::BTreeSet;

use aurora_sync_catalog::Column;
use aws_lambda_events::http::header::{ACCEPT, CONTENT_RANGE, ETAG, HeaderName, LINK};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use super::preferences::Count;
use super::reader::{ReadError, Reader};
use super::{body, consistency};
use crate::api::entity_tag;
use crate::api::http::{Request, Response};
use crate::api::negotiation;
use crate::api::problem::{Kind, Problem};
use crate::api::query::{self, Form, Head, Page, QueryString, Relation, WriteRef};
use crate::domain::field::{Field, Record};
use crate::domain::key::Key;

/// The characters that a query value must encode: all but "unreserved" ones (RFC 3986).
const QUERY_VALUE: &AsciiSet =
    &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

const CONSISTENT_AFTER: HeaderName = HeaderName::from_static("consistent-after");
pub(super) const PREFER: HeaderName = HeaderName::from_static("prefer");
const PREFERENCE_APPLIED: HeaderName = HeaderName::from_static("preference-applied");

/// A page of rows.
#[derive(Debug)]
pub(super) struct List {
    pub(super) response: Response,
    /// `true` if the first page has no rows.
    pub(super) is_empty: bool,
}

/// Reads the row with this key, if there is one. Its `ETag` is of the whole row that look-ups may
/// read, whatever columns the request selects: a write compares it.
pub(super) async fn row(
    reader: &Reader<'_>,
    relation: Relation<'_>,
    key: &Key,
    request: &Request,
) -> Result<Option<Response>, Problem> {
    let form = form(request)?;
    let query_string = QueryString::of_row(relation.table, &request.query)?;
    let read = async |head: &Head| -> Result<Page, Problem> {
        let (query, shape) = query::by_key(relation, key, &query_string, form, head);
        match reader.run(query).await {
            Ok(records) => Ok(shape.page(records, 1)),
            Err(ReadError::TooLarge) => Err(row_too_large(form, &key.to_string())),
            Err(error) => Err(error.into()),
        }
    };
    let page = after_writes(reader, request, &query_string, false, read).await?;
    let columns = query::columns(relation.table, &query_string, form);
    let tag = entity_tag::of_row(&page.tag.unwrap_or_default(), form.name());
    Ok(page.rows.first().map(|row| {
        Response::new(200, form.content_type(), body::row(form, &columns, row))
            .with_header(ETAG, &tag)
    }))
}

/// Reads a page of the rows of a query string that also meet `fixed`, further parameters in the
/// same syntax.
pub(super) async fn list(
    reader: &Reader<'_>,
    relation: Relation<'_>,
    default_order: &str,
    fixed: &[(String, String)],
    request: &Request,
) -> Result<List, Problem> {
    let form = form(request)?;
    let query = [request.query.as_slice(), fixed].concat();
    let query_string = QueryString::of_list(relation.table, &query, default_order)?;
    let count = Count::from_prefer(request.header_list(PREFER));
    // PostgreSQL estimates from the rows of all callers, which would tell their values.
    let is_private = reader.has_claims() && relation.table.has_row_security;
    let count = count.map(|count| if is_private { Count::Exact } else { count });
    let read = async |head: &Head| page(reader, relation, &query_string, form, head).await;
    let pages = after_writes(reader, request, &query_string, count == Some(Count::Exact), read);
    let (page, planned) = match count {
        Some(Count::Planned | Count::Estimated) => {
            let (page, planned) = tokio::join!(pages, planned(reader, relation, &query_string));
            (page?, Some(planned?))
        }
        Some(Count::Exact) | None => (pages.await?, None),
    };
    let columns: Vec<&Column> = query::columns(relation.table, &query_string, form);
    let mut response =
        Response::new(200, form.content_type(), body::list(form, &columns, &page.rows));
    if page.has_more {
        let next = next_page(&request.query, &query_string.cursor(&page.last));
        response = response.with_header(LINK, &format!("<{next}>; rel=\"next\""));
    }
    if let Some(count) = count {
        let total = planned.or(page.total).unwrap_or_default();
        response = response
            .with_header(CONTENT_RANGE, &content_range(&query_string, page.rows.len(), total))
            .with_header(PREFERENCE_APPLIED, count.applied());
    }
    let is_empty = page.rows.is_empty() && query_string.is_first_page();
    Ok(List { response, is_empty })
}

/// Reads the rows after the writes that the request names are settled.
async fn after_writes(
    reader: &Reader<'_>,
    request: &Request,
    query_string: &QueryString<'_>,
    counts: bool,
    read: impl AsyncFn(&Head) -> Result<Page, Problem>,
) -> Result<Page, Problem> {
    let after = writes_before(request, query_string)?;
    let page = read(&Head { counts, after: after.clone() }).await?;
    if after.is_empty()
        || consistency::are_settled(&request.route, &after, page.settled.as_deref())?
    {
        return Ok(page);
    }
    consistency::settled(reader, &request.route, &after).await?;
    read(&Head { counts, after: Vec::new() }).await
}

/// Returns the writes of `after=` and of `Consistent-After`.
fn writes_before(
    request: &Request,
    query_string: &QueryString<'_>,
) -> Result<Vec<WriteRef>, Problem> {
    let header = request.header_list(CONSISTENT_AFTER);
    let of_header = if header.is_empty() { Vec::new() } else { query::writes(header)? };
    let writes: BTreeSet<_> = query_string.after.iter().cloned().chain(of_header).collect();
    // Nobody learns what became of another caller's write.
    let caller = request.caller.claims.as_ref();
    let caller = caller.map(|_| request.caller.principal.clone().unwrap_or_default());
    Ok(writes.into_iter().map(|write| WriteRef { caller: caller.clone(), ..write }).collect())
}

/// Reads one page, with fewer rows than requested if they are large.
async fn page(
    reader: &Reader<'_>,
    relation: Relation<'_>,
    query_string: &QueryString<'_>,
    form: Form,
    head: &Head,
) -> Result<Page, Problem> {
    let has_pages = query_string.has_pages(relation.table);
    let mut size = query_string.limit;
    // One row more than the page keeps shows if there is another page.
    let mut probes = has_pages;
    loop {
        let rows = if probes { size + 1 } else { size };
        let (query, shape) = query::list(relation, query_string, form, head, rows);
        match reader.run(query).await {
            Ok(records) => {
                let mut page = shape.page(records, size as usize);
                page.has_more = has_pages
                    && if probes { page.has_more } else { page.rows.len() == size as usize };
                return Ok(page);
            }
            Err(ReadError::TooLarge) if probes => {
                probes = false;
                size = (size / 2).max(1);
            }
            Err(ReadError::TooLarge) if has_pages && size > 1 => size /= 2,
            Err(ReadError::TooLarge) if has_pages => {
                return Err(first_too_large(reader, relation, query_string, form).await);
            }
            Err(error) => return Err(error.into()),
        }
        tracing::info!(rows = size, "page is too large; reading fewer rows");
    }
}

/// Makes the problem for a row that no page can hold.
async fn first_too_large(
    reader: &Reader<'_>,
    relation: Relation<'_>,
    query_string: &QueryString<'_>,
    form: Form,
) -> Problem {
    let records = match reader.run(query::key_of_first(relation, query_string)).await {
        Ok(records) => records,
        Err(error) => return error.into(),
    };
    let record: &[Field] = records.first().map_or(&[], |record: &Record| record);
    let parts: Vec<_> =
        relation.table.key_columns().zip(record.iter().map(Field::as_text)).collect();
    let key = Key::of_row(relation.table, |name| {
        parts.iter().find(|(column, _)| column.name == name).and_then(|(_, part)| *part)
    });
    row_too_large(form, &key.map_or_else(String::new, |key| key.to_string()))
}

fn row_too_large(form: Form, key: &str) -> Problem {
    let or_array = match form {
        Form::Records => ", or has an array of several dimensions, which these records cannot hold",
        Form::Json | Form::Ndjson | Form::Csv => "",
    };
    let detail = format!(
        "The row with the key {key} is over the 1 MiB of a response{or_array}. Leave its large columns out with select=."
    );
    Problem::new(Kind::ResultTooLarge, detail)
}

/// Returns PostgreSQL's estimate of the number of rows.
async fn planned(
    reader: &Reader<'_>,
    relation: Relation<'_>,
    query_string: &QueryString<'_>,
) -> Result<i64, Problem> {
    let records = reader.run(query::planned_count(relation, query_string)).await?;
    let plan = records.first().and_then(|record| record.first()).and_then(Field::as_text);
    let plan: Option<serde_json::Value> = plan.and_then(|plan| serde_json::from_str(plan).ok());
    plan.as_ref()
        .and_then(|plan| plan.pointer("/0/Plan/Plan Rows"))
        .and_then(serde_json::Value::as_i64)
        .ok_or_else(|| Problem::new(Kind::Internal, "The database returned no plan."))
}

/// Returns the form that the request prefers.
pub(super) fn form(request: &Request) -> Result<Form, Problem> {
    let offered = Form::ALL.map(Form::media_type);
    let index = negotiation::media_type(request.header_list(ACCEPT), &offered);
    index.and_then(|index| Form::ALL.get(index).copied()).ok_or_else(|| {
        Problem::new(Kind::NotAcceptable, format!("The media types are {}.", offered.join(", ")))
    })
}

/// Formats the link to the next page, relative to the request's own URL as all links are
/// ([`crate::api::link`]).
fn next_page(query: &[(String, String)], cursor: &str) -> String {
    let encode = |text: &str| utf8_percent_encode(text, QUERY_VALUE).to_string();
    // The writes of `after` are settled already.
    let kept = query.iter().filter(|(name, _)| !matches!(name.as_str(), "cursor" | "after"));
    let pairs = kept.map(|(name, text)| format!("{}={}", encode(name), encode(text)));
    let pairs: Vec<_> = pairs.chain([format!("cursor={cursor}")]).collect();
    format!("?{}", pairs.join("&"))
}

/// Formats `Content-Range` as PostgREST does: `0-9/100`. The start of a later page is not known.
fn content_range(query_string: &QueryString<'_>, rows: usize, total: i64) -> String {
    if query_string.is_first_page() && rows > 0 {
        format!("0-{}/{total}", rows - 1)
    } else {
        format!("*/{total}")
    }
}
