//! The state that all pages share, and the errors of pages.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use maud::html;
use tokio::sync::Mutex;

use super::page::{Area, page};
use crate::aws::objects::Objects;
use crate::deployment::Deployment;
use crate::operations::Deployed;
use crate::operations::tables::{self, Offer, Table};

/// The time for which the tables that were read are good enough for the next page.
const OFFER_FRESH: Duration = Duration::from_secs(20);

/// One deployment, as the pages reach it.
#[derive(Debug)]
pub(super) struct Site {
    pub(super) deployed: Deployed,
    pub(super) places: Deployment,
    pub(super) objects: Objects,
    offer: Mutex<Option<(Instant, Arc<Offer>)>>,
}

pub(super) type Shared = axum::extract::State<Arc<Site>>;

impl Site {
    pub(super) fn new(deployed: Deployed, places: Deployment) -> Self {
        let objects = deployed.aws.objects();
        Self { deployed, places, objects, offer: Mutex::new(None) }
    }

    /// Returns the tables that the API offers. Reads them again after a while.
    pub(super) async fn offer(&self) -> anyhow::Result<Arc<Offer>> {
        let mut known = self.offer.lock().await;
        if let Some((read_at, offer)) = known.as_ref()
            && read_at.elapsed() < OFFER_FRESH
        {
            return Ok(Arc::clone(offer));
        }
        let offer = Arc::new(tables::read(&self.deployed).await?);
        *known = Some((Instant::now(), Arc::clone(&offer)));
        Ok(offer)
    }

    pub(super) async fn table(&self, name: &str) -> Result<Table, Failure> {
        let offer = self.offer().await?;
        let found = offer.tables.iter().find(|table| table.name == name).cloned();
        found.ok_or_else(|| {
            Failure::not_found(format!(
                "The API offers no table {name:?}. Grant sync_reader or sync_writer rights on it."
            ))
        })
    }
}

/// The error of a page.
#[derive(Debug)]
pub(super) struct Failure {
    status: StatusCode,
    title: &'static str,
    detail: String,
}

impl Failure {
    pub(super) fn not_found(detail: impl Into<String>) -> Self {
        Self { status: StatusCode::NOT_FOUND, title: "Not found", detail: detail.into() }
    }

    pub(super) fn wrong(detail: impl Into<String>) -> Self {
        let detail = detail.into();
        Self { status: StatusCode::BAD_REQUEST, title: "That cannot be done", detail }
    }
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        let detail = format!("{error:#}");
        Self { status: StatusCode::BAD_GATEWAY, title: "The request failed", detail }
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let body = html! {
            div.notice.is-bad role="alert" {
                p { (self.detail) }
            }
        };
        (self.status, page(Area::None, self.title, &body)).into_response()
    }
}
