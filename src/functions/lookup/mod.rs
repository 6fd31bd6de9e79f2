//! Look-ups: rows, the status of writes, the state of imports, and the description of the API.
//!
//! A look-up takes one Data API call, and none if it is refused. Three cases take more: pages that
//! would be too large (`rows`), waiting for writes (`consistency`), and row security, under which
//! rows are read in a transaction that sets the claims of the caller (`reader`).

mod reader;
mod rows;
mod body;
mod preferences;
mod consistency;
mod payload;
mod write_status;
mod writes;
mod imports;
mod representation;

use std::time::Duration;

use aurora_sync_catalog::Catalog;
use aws_lambda_events::apigw::{ApiGatewayV2httpRequest, ApiGatewayV2httpResponse};
use aws_lambda_events::http::Method;
use aws_lambda_events::http::header::{ALLOW, CONTENT_TYPE};

use self::reader::Reader;
use crate::api::caller::RowSecurity;
use crate::api::http::{Request, Response, Route};
use crate::api::offered;
use crate::api::problem::{Kind, Problem};
use crate::api::query::Relation;
use crate::api::{methods, openapi};
use crate::aws::data_api::DataApi;
use crate::domain::deadline::Deadline;
use crate::functions::runtime::Invocation;
use crate::functions::tables::{self, Tables};

/// The longest time of a request. API Gateway ends it after 30 s (API Gateway, "Quotas for HTTP
/// APIs").
const RESPOND_WITHIN: Duration = Duration::from_secs(25);

/// The configuration and client of the function.
#[derive(Debug)]
pub struct Lookup {
    pub tables: Tables,
    pub data_api: DataApi,
    pub row_security: RowSecurity,
}

/// Handles one request. An error is a response too.
pub async fn handle(
    lookup: &Lookup,
    event: ApiGatewayV2httpRequest,
    invocation: Invocation,
) -> ApiGatewayV2httpResponse {
    let request_id = invocation.request_id;
    let deadline = invocation.deadline.min(Deadline::after(RESPOND_WITHIN));
    let response = match Request::from_event(event, lookup.row_security) {
        Err(problem) => Response::from(problem).of_request(request_id),
        Ok(request) => {
            let response = respond_with_tables(lookup, &request, deadline).await;
            let response = response.of_request(request_id);
            representation::of(&request, response)
        }
    };
    tracing::info!(status = response.status, bytes = response.body.len(), "look-up completed");
    response.into()
}

/// Responds with the tables that are known, and again if newer ones may make a difference.
async fn respond_with_tables(lookup: &Lookup, request: &Request, deadline: Deadline) -> Response {
    if request.method == Method::OPTIONS {
        return options(&request.route).unwrap_or_else(Response::from);
    }
    let tables = match request.route {
        Route::Root => lookup.tables.refreshed(deadline).await,
        _ => lookup.tables.current(deadline).await,
    };
    let catalog = match tables {
        Ok(catalog) => catalog,
        Err(error) => return tables::unavailable(&error).into(),
    };
    let response = respond(lookup, &catalog, request, deadline).await;
    let response = response.unwrap_or_else(Response::from);
    if !request.route.is_of_table() || !tables::may_depend_on_tables(response.status) {
        return response;
    }
    match lookup.tables.newer_than(&catalog, deadline).await {
        None => response,
        Some(newer) => {
            respond(lookup, &newer, request, deadline).await.unwrap_or_else(Response::from)
        }
    }
}

async fn respond(
    lookup: &Lookup,
    catalog: &Catalog,
    request: &Request,
    deadline: Deadline,
) -> Result<Response, Problem> {
    if request.method != Method::GET && request.method != Method::HEAD {
        return not_allowed(catalog, &request.route);
    }
    let reader = Reader::new(&lookup.data_api, deadline);
    match &request.route {
        Route::Row(table, key) => {
            let table = offered::readable_table(catalog, table)?;
            let key = offered::key(table, key)?;
            let reader = reader.with_claims(&request.caller);
            let relation = Relation { table, from: &table.sql_name(), parameters: &[] };
            let missing =
                || Problem::new(Kind::RowNotFound, format!("{table} has no row with this key."));
            rows::row(&reader, relation, &key, request).await?.ok_or_else(missing)
        }
        Route::Table(table) => {
            let table = offered::readable_table(catalog, table)?;
            let reader = reader.with_claims(&request.caller);
            let relation = Relation { table, from: &table.sql_name(), parameters: &[] };
            Ok(rows::list(&reader, relation, "", &[], request).await?.response)
        }
        Route::Writes => writes::list(&reader, catalog, request).await,
        Route::Write(id) => write_status::respond(&reader, catalog, id, request).await,
        Route::Imports => imports::list(&reader, request).await,
        Route::Import(id) => imports::one(&reader, id, request).await,
        Route::Rejects(id) => imports::rejects(&reader, id, request).await,
        Route::Root => Ok(openapi::response(catalog, request)),
        Route::Unknown => Err(unknown_route()),
    }
}

fn unknown_route() -> Problem {
    Problem::new(Kind::UnknownRoute, "GET / describes all paths.")
}

/// Responds to `OPTIONS`, which nobody needs to sign where browsers may call the API: API Gateway
/// adds the headers of a preflight response.
fn options(route: &Route) -> Result<Response, Problem> {
    let allow = methods::of_kind(route).ok_or_else(unknown_route)?;
    let mut response = Response::new(204, "", String::new()).with_header(ALLOW, allow);
    response.headers.remove(CONTENT_TYPE);
    Ok(match route {
        Route::Table(_) | Route::Row(..) => {
            let is_row = matches!(route, Route::Row(..));
            response.with_header(methods::ACCEPT_PATCH, methods::patch_types(is_row))
        }
        _ => response,
    })
}

/// Responds to a method that no function supports.
fn not_allowed(catalog: &Catalog, route: &Route) -> Result<Response, Problem> {
    let allow = match route {
        Route::Table(table) | Route::Row(table, _) => {
            let is_row = matches!(route, Route::Row(..));
            methods::of_table(offered::table(catalog, table)?, is_row)
        }
        Route::Unknown => return Err(unknown_route()),
        _ => methods::READ.to_owned(),
    };
    let problem = Problem::new(Kind::MethodNotAllowed, format!("This path supports {allow}."));
    Ok(Response::from(problem).with_header(ALLOW, &allow))
}
