//! `GET /_sync/imports…`: the state of imports and their rejected rows, read like tables.

use uuid::Uuid;

use super::reader::Reader;
use super::rows;
use crate::api::http::{Request, Response};
use crate::api::problem::{Kind, Problem};
use crate::api::query::Relation;
use crate::api::worker_tables::{IMPORT, REJECT, Records};
use crate::domain::caller::Caller;
use crate::domain::field::{Parameter, parameter};
use crate::domain::key::Key;

/// The imports with their progress. The progress depends on the rows of the import and not on the
/// clock, so that a response stays the same as long as nothing happens.
fn imports(records: Records) -> String {
    let readable = records.readable();
    let may_see = may_see(records);
    format!(
        "(SELECT id, table_name AS \"table\", caller, bucket, object_key AS \"key\",
  object_version AS version, state,
  CASE WHEN error !~ 'SQLState: ' OR (SELECT of_rows AND of_neighbours FROM {readable}) THEN error
    ELSE 'PostgreSQL refused the file''s changes. Its message is withheld, since sync_reader may not read all that it can '
      || 'hold: see error in report.json.' END AS error,
  options, bytes_total, bytes_read,
  CASE WHEN state = 'completed' THEN 100
    WHEN bytes_total > 0 THEN least(round(100.0 * bytes_read / bytes_total, 1), 100) END AS progress_percent,
  rows_read, rows_written, rows_unchanged, rows_superseded, rows_rejected, rows_overwritten, rows_deleted,
  round(rows_read / nullif(extract(epoch FROM coalesce(finished_at, progressed_at) - started_at), 0), 1)
    AS rows_per_second,
  continuation AS continuations, started_at, progressed_at,
  CASE WHEN state = 'running' AND bytes_read > 0 AND bytes_total >= bytes_read THEN
    started_at + (progressed_at - started_at) * (bytes_total::double precision / bytes_read) END AS estimated_end_at,
  finished_at, reported_at
  FROM (SELECT id, caller, bucket, object_key, object_version, table_name, state, error, options, continuation,
    bytes_total, rows_overwritten, rows_deleted, started_at, finished_at, reported_at FROM sync.import
    WHERE {may_see}) AS import
  JOIN sync.import_progress USING (id))"
    )
}

/// Returns the condition that the caller may see an import: his claims contain those of the import.
fn may_see(records: Records) -> &'static str {
    match records {
        Records::All => "true",
        Records::Own => "claims <> '{}' AND :claims::jsonb @> claims",
    }
}

/// Returns the parameter of [`may_see`].
fn claims(caller: &Caller) -> Option<Parameter> {
    caller.claims.as_deref().map(|claims| parameter("claims", claims))
}

/// The rejected rows of an import. A record and a message of PostgreSQL hold values of the row, and
/// the message can name other tables: they are withheld if the reader may not read these. A file
/// whose extra columns are ignored holds values that are in no column. The subqueries do not depend
/// on the reject, so that PostgreSQL runs each of them once.
fn rejects_of(records: Records) -> String {
    let readable = records.readable();
    let may_see = may_see(records);
    format!(
        "(SELECT import_id, record, line, byte_offset, column_name AS \"column\", rule, sqlstate,
  CASE WHEN rule <> 'database'
    OR (SELECT of_rows FROM sync.import, {readable} WHERE id = :import_id::uuid)
    AND (sqlstate IS DISTINCT FROM '23503'
      OR (SELECT of_neighbours FROM sync.import, {readable} WHERE id = :import_id::uuid))
    THEN reason
    ELSE 'PostgreSQL refused the row. Its message is withheld, since sync_reader may not read all that it can hold: '
      || 'see _error in rejected.csv.' END AS reason,
  CASE WHEN (SELECT of_rows AND (options ->> 'extra-columns') IS DISTINCT FROM 'ignore'
    FROM sync.import, {readable} WHERE id = :import_id::uuid) THEN raw END AS raw
  FROM sync.import_reject
  WHERE (SELECT {may_see} FROM sync.import WHERE id = :import_id::uuid))"
    )
}

const NEWEST_FIRST: &str = "started_at.desc";

/// Reads a page of the imports, the newest first.
pub(super) async fn list(reader: &Reader<'_>, request: &Request) -> Result<Response, Problem> {
    let from = imports(Records::of(&request.caller));
    let parameters: Vec<_> = claims(&request.caller).into_iter().collect();
    let relation = Relation { table: &IMPORT, from: &from, parameters: &parameters };
    Ok(rows::list(reader, relation, NEWEST_FIRST, &[], request).await?.response)
}

pub(super) async fn one(
    reader: &Reader<'_>,
    id: &str,
    request: &Request,
) -> Result<Response, Problem> {
    let id = Uuid::parse_str(id).map_err(|_| not_found())?;
    find(reader, id, request).await?.ok_or_else(not_found)
}

/// Reads a page of an import's rejected rows, in the order of the file.
pub(super) async fn rejects(
    reader: &Reader<'_>,
    id: &str,
    request: &Request,
) -> Result<Response, Problem> {
    let id = Uuid::parse_str(id).map_err(|_| not_found())?;
    let of_import = [("import_id".to_owned(), format!("eq.{id}"))];
    let from = rejects_of(Records::of(&request.caller));
    let import_id = parameter("import_id", id.to_string());
    let parameters: Vec<_> = [import_id].into_iter().chain(claims(&request.caller)).collect();
    let relation = Relation { table: &REJECT, from: &from, parameters: &parameters };
    let list = rows::list(reader, relation, "", &of_import, request).await?;
    // Distinguishes an import without rejects from one that does not exist. It takes one more call,
    // rarely.
    if list.is_empty {
        let plain = Request { query: Vec::new(), ..request.clone() };
        find(reader, id, &plain).await?.ok_or_else(not_found)?;
    }
    Ok(list.response)
}

async fn find(
    reader: &Reader<'_>,
    id: Uuid,
    request: &Request,
) -> Result<Option<Response>, Problem> {
    let from = imports(Records::of(&request.caller));
    let parameters: Vec<_> = claims(&request.caller).into_iter().collect();
    let relation = Relation { table: &IMPORT, from: &from, parameters: &parameters };
    let key = Key::from_path(&IMPORT, &id.to_string()).map_err(|_| not_found())?;
    rows::row(reader, relation, &key, request).await
}

fn not_found() -> Problem {
    Problem::new(Kind::ImportNotFound, "GET /_sync/imports lists the latest imports.")
}
