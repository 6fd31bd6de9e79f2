//! stub
use crate::http::{Request, Response};
use aurora_sync_catalog::Catalog;
pub fn response(_catalog: &Catalog, _request: &Request) -> Response {
    Response::json(200, &serde_json::json!({}))
}
