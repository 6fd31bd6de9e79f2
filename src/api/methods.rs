//! The methods that a resource supports: `Allow` (RFC 9110, section 10.2.1), `Accept-Patch`.
//!
//! Pure.

use aurora_sync_catalog::{Changes, Table};
use aws_lambda_events::http::HeaderName;

use super::http::Route;

/// The header with the media types of the bodies of `PATCH` (RFC 5789, section 3.1).
pub const ACCEPT_PATCH: HeaderName = HeaderName::from_static("accept-patch");

/// Returns the media types of the bodies of `PATCH`. The path of a row takes one row.
pub fn patch_types(is_row: bool) -> &'static str {
    if is_row {
        "application/merge-patch+json, application/json"
    } else {
        "application/merge-patch+json, application/json, application/x-ndjson"
    }
}

/// The methods of everything that is not a table or a row.
pub const READ: &str = "GET, HEAD, OPTIONS";

/// Returns the methods that the path of a table, or of one of its rows, supports with the rights as
/// they are.
pub fn of_table(table: &Table, is_row: bool) -> String {
    let methods = [
        ("GET, HEAD", table.is_readable()),
        ("POST", !is_row && table.permits(Changes::INSERT)),
        ("PUT, PATCH", table.permits(Changes::UPDATE)),
        ("DELETE", table.permits(Changes::DELETE)),
        ("OPTIONS", true),
    ];
    let supported =
        methods.into_iter().filter_map(|(name, is_supported)| is_supported.then_some(name));
    supported.collect::<Vec<_>>().join(", ")
}

/// Returns the methods that a resource of this kind can support, whatever its name. So they tell
/// nothing about the tables to a caller who is not authorized.
pub fn of_kind(route: &Route) -> Option<&'static str> {
    match route {
        Route::Table(_) => Some("GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"),
        Route::Row(..) => Some("GET, HEAD, PUT, PATCH, DELETE, OPTIONS"),
        Route::Writes
        | Route::Write(_)
        | Route::Imports
        | Route::Import(_)
        | Route::Rejects(_)
        | Route::Root => Some(READ),
        Route::Unknown => None,
    }
}
