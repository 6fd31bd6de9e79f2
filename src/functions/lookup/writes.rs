//! `GET /_sync/writes`: the settled writes, read like a table.

use aurora_sync_catalog::Catalog;

use super::reader::Reader;
use super::rows;
use crate::api::http::{Request, Response};
use crate::api::problem::Problem;
use crate::api::query::Relation;
use crate::api::worker_tables::{WRITE, writes};

const NEWEST_FIRST: &str = "settled_at.desc";

/// Reads a page of the ledger, the newest write first.
pub(super) async fn list(
    reader: &Reader<'_>,
    catalog: &Catalog,
    request: &Request,
) -> Result<Response, Problem> {
    let (from, parameters) = writes(catalog, &request.caller, &request.query);
    let relation = Relation { table: &WRITE, from: &from, parameters: &parameters };
    Ok(rows::list(reader, relation, NEWEST_FIRST, &[], request).await?.response)
}
