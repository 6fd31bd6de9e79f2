//! The files of the page, which are part of the program: it needs no internet.

use std::future::{Ready, ready};

use axum::extract::Path;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse as _, Response};

pub(super) fn serve(Path(name): Path<String>) -> Ready<Response> {
    let (kind, text) = match name.as_str() {
        "studio.css" => ("text/css", include_str!("assets/studio.css")),
        "studio.js" => ("text/javascript", include_str!("assets/studio.js")),
        "icon.svg" => ("image/svg+xml", include_str!("assets/icon.svg")),
        _ => return ready(StatusCode::NOT_FOUND.into_response()),
    };
    ready(([(CONTENT_TYPE, kind)], text).into_response())
}
