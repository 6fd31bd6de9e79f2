//! `GET /_sync/imports…`: the state of imports and their rejected rows, read like tables.

use uuid::Uuid;

use super::reader::Reader;
use super::rows;
use crate::api::http::{Request, Response};
use crate::api::problem::{Kind, Problem};
use crate::api::query::Relation;
use crate::api::worker_tables::{IMPORT, REJECT};
use crate::domain::field::parameter;
use crate::domain::key::Key;

/// The imports with their progress. The progress depends on the rows of the import and not on the
/// clock, so that a response stays the same as long as nothing happens.
const IMPORTS: &str = "(SELECT id, table_name AS \"table\", bucket, object_key AS \"key\",
  object_version AS version, state,
  CASE WHEN error !~ 'SQLState: ' OR (SELECT of_rows AND of_neighbours FROM sync.readable(table_name)) THEN error
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
  FROM (SELECT id, bucket, object_key, object_version, table_name, state, error, options, continuation, bytes_total,
    rows_overwritten, rows_deleted, started_at, finished_at, reported_at FROM sync.import) AS import
  JOIN sync.import_progress USING (id))";

/// The rejected rows of an import. A record and a message of PostgreSQL hold values of the row, and
/// the message can name other tables: they are withheld if the reader may not read these. A file
/// whose extra columns are ignored holds values that are in no column. The subqueries do not depend
/// on the reject, so that PostgreSQL runs each of them once.
const REJECTS: &str = "(SELECT import_id, record, line, byte_offset, column_name AS \"column\", rule, sqlstate,
  CASE WHEN rule <> 'database'
    OR (SELECT of_rows FROM sync.import, sync.readable(table_name) WHERE id = :import_id::uuid)
    AND (sqlstate IS DISTINCT FROM '23503'
      OR (SELECT of_neighbours FROM sync.import, sync.readable(table_name) WHERE id = :import_id::uuid))
    THEN reason
    ELSE 'PostgreSQL refused the row. Its message is withheld, since sync_reader may not read all that it can hold: '
      || 'see _error in rejected.csv.' END AS reason,
  CASE WHEN (SELECT of_rows AND (options ->> 'extra-columns') IS DISTINCT FROM 'ignore'
    FROM sync.import, sync.readable(table_name) WHERE id = :import_id::uuid) THEN raw END AS raw
  FROM sync.import_reject)";

const NEWEST_FIRST: &str = "started_at.desc";

/// Reads a page of the imports, the newest first.
pub(super) async fn list(reader: &Reader<'_>, request: &Request) -> Result<Response, Problem> {
    let relation = Relation { table: &IMPORT, from: IMPORTS, parameters: &[] };
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
    let parameters = [parameter("import_id", id.to_string())];
    let relation = Relation { table: &REJECT, from: REJECTS, parameters: &parameters };
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
    let relation = Relation { table: &IMPORT, from: IMPORTS, parameters: &[] };
    let key = Key::from_path(&IMPORT, &id.to_string()).map_err(|_| not_found())?;
    rows::row(reader, relation, &key, request).await
}

fn not_found() -> Problem {
    Problem::new(Kind::ImportNotFound, "GET /_sync/imports lists the latest imports.")
}
