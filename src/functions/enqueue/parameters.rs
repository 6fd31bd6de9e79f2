//! The query parameters of a write: `columns` and `on_conflict` of a `POST`, which clients of
//! PostgREST send without being asked. Nothing else has a meaning.
//!
//! Pure.

use aurora_sync_catalog::{Column, Table};
use aws_lambda_events::http::Method;

use crate::api::http::Request;
use crate::api::problem::{Kind, Problem};
use crate::api::query::names;
use crate::domain::row::unknown_column;

/// Returns the columns that the request names with `columns=`, if it does: the other members of its
/// rows do not count.
pub(super) fn columns(request: &Request, table: &Table) -> Result<Option<Vec<String>>, Problem> {
    let refused = |detail: String| Err(Problem::new(Kind::UnknownParameter, detail));
    let mut columns: Option<Vec<String>> = None;
    let mut unknown: Vec<_> = Vec::new();
    for (name, value) in &request.query {
        let is_post = request.method == Method::POST;
        let listed = names(value);
        match (name.as_str(), listed) {
            ("columns" | "on_conflict", None) if is_post => {
                return refused(format!("{name}: expected columns separated by commas."));
            }
            ("columns", Some(listed)) if is_post => {
                if let Some(name) = listed.iter().find(|name| !is_offered(table, name)) {
                    return refused(format!(
                        "columns: expected {}",
                        sentence(unknown_column(table, name))
                    ));
                }
                columns.get_or_insert_default().extend(listed);
            }
            ("on_conflict", Some(listed)) if is_post => {
                let is_key = listed.len() == table.primary_key.len()
                    && listed.iter().all(|name| table.primary_key.contains(name));
                if !is_key {
                    let key = table.primary_key.join(",");
                    return refused(format!(
                        "on_conflict: a row is found by its primary key only; expected on_conflict={key}, or nothing."
                    ));
                }
            }
            ("select", _) => {
                let detail = "select: a write is accepted before it is applied, so that it returns no rows. Read them with \
                              GET and after=.";
                return refused(detail.to_owned());
            }
            (name, _) => unknown.push(name),
        }
    }
    if unknown.is_empty() {
        return Ok(columns);
    }
    unknown.sort_unstable();
    unknown.dedup();
    let unknown = unknown.join(", ");
    refused(format!(
        "A write names its rows in the path or in the body, not in the query; remove: {unknown}."
    ))
}

fn is_offered(table: &Table, name: &str) -> bool {
    table.column(name).is_some_and(Column::is_offered)
}

fn sentence(text: String) -> String {
    if text.ends_with('?') { text } else { text + "." }
}
