//! A part of a page that is news: the script of the page puts it in the place of the old one.

use axum::http::HeaderName;
use axum::response::{IntoResponse, Response};
use maud::Markup;

/// The next step of the script.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Then {
    /// Ask again.
    Again,
    /// There is no more news.
    End,
    /// Go to this page.
    Go(String),
}

/// The content of a part of a page.
#[derive(Debug)]
pub(super) struct Fragment {
    pub(super) content: Markup,
    pub(super) then: Then,
}

impl IntoResponse for Fragment {
    fn into_response(self) -> Response {
        let (name, value) = match self.then {
            Then::Again => (HeaderName::from_static("live-again"), "1".to_owned()),
            Then::End => (HeaderName::from_static("live-end"), "1".to_owned()),
            Then::Go(page) => (HeaderName::from_static("live-go"), page),
        };
        ([(name, value)], self.content).into_response()
    }
}
