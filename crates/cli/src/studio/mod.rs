//! `aurora-sync studio`: a local web page on one deployment.
//!
//! Server-rendered, with the user's own credentials, and nothing is deployed. It listens on
//! 127.0.0.1 alone, [`guard`] admits the person who opened it, and no value of a row is logged.

mod assets;
mod dead_letters;
mod filters;
mod fragment;
mod gateway;
mod guard;
mod import_page;
mod import_report;
mod imports;
mod mend;
mod overview;
mod page;
mod row_form;
mod row_key;
mod row_pages;
mod rows;
mod site;
mod tables;
mod upload;
mod write_page;
mod writes;

use std::net::Ipv4Addr;
use std::process::Stdio;
use std::sync::Arc;

use anyhow::Context as _;
use axum::extract::DefaultBodyLimit;
use axum::routing::{get, post, put};
use axum::{Router, middleware};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tower_service::Service as _;

use self::guard::Guard;
use self::site::Site;
use crate::arguments::studio::Studio as Arguments;
use crate::deployment::Deployment;
use crate::operations::{Deployed, NotFound, Place};
use crate::outcome::{Outcome, failed, wrong_usage};
use crate::progress::{error_line, line};

/// The most bytes of a form: a page of rejected rows comes back in one.
const FORM_BYTES_MAX: usize = 8 * 1024 * 1024;

pub(crate) async fn run(arguments: &Arguments) -> Outcome {
    let flags = &arguments.deployment;
    let place = Place {
        api_url: flags.api.clone(),
        stack: flags.account.stack.clone(),
        profile: flags.account.profile.clone(),
        region: flags.account.region.clone(),
    };
    let deployed = match Deployed::find(&place).await {
        Ok(deployed) => deployed,
        Err(NotFound::Unknown(error)) => return wrong_usage(&error),
        Err(NotFound::Failed(error)) => return failed(&error),
    };
    let bucket = |flag: &Option<String>, output: &str, variable: &str| {
        flag.clone().map_or_else(|| deployed.name(output, variable), Ok)
    };
    let uploads = bucket(&flags.bucket, "UploadsBucket", "UPLOADS_BUCKET");
    let results = bucket(&flags.results, "ResultsBucket", "RESULTS_BUCKET");
    let places = match (uploads, results) {
        (Ok(uploads_bucket), Ok(results_bucket)) => {
            Deployment { uploads_bucket, results_bucket, api_url: deployed.api.url().to_owned() }
        }
        (Err(error), _) | (_, Err(error)) => return wrong_usage(&error),
    };
    match serve(arguments, Site::new(deployed, places)).await {
        Ok(()) => Outcome::Good,
        Err(error) => failed(&error),
    }
}

/// Serves the pages until the command is interrupted.
async fn serve(arguments: &Arguments, site: Site) -> anyhow::Result<()> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, arguments.port)).await;
    let listener = listener.with_context(|| {
        format!("cannot listen on port {} of 127.0.0.1: choose another --port", arguments.port)
    })?;
    let guard = Arc::new(Guard::new(listener.local_addr()?.port())?);
    line(&guard.address());
    if !arguments.no_open {
        open(&guard.address());
    }
    error_line("The address holds a token: keep it to yourself. Ctrl-C ends the page.");
    let router =
        router(Arc::new(site)).layer(middleware::from_fn_with_state(guard, guard::middleware));
    loop {
        let (stream, _) = listener.accept().await.context("cannot accept a connection")?;
        let router = router.clone();
        let service = service_fn(move |request| router.clone().call(request));
        let connection = hyper::server::conn::http1::Builder::new()
            .serve_connection(TokioIo::new(stream), service);
        // A browser that goes away closes its connection in the middle.
        tokio::spawn(async move { connection.await.ok() });
    }
}

fn router(site: Arc<Site>) -> Router {
    Router::new()
        .route("/", get(overview::show))
        .route("/overview/figures", post(overview::figures))
        .route("/overview/health", post(overview::health))
        .route("/assets/{name}", get(assets::serve))
        .route("/tables", get(tables::list))
        .route("/tables/{table}", get(rows::show))
        .route("/tables/{table}/new", get(row_pages::new).post(row_pages::insert))
        .route("/tables/{table}/row", get(row_pages::edit).post(row_pages::update))
        .route("/tables/{table}/delete", get(row_pages::confirm).post(row_pages::delete))
        .route("/imports", get(imports::list))
        .route("/imports/new", get(import_page::show))
        .route("/imports/preview", post(import_page::preview))
        .route("/imports/upload", put(upload::receive))
        .route("/imports/of", get(imports::begun))
        .route("/imports/{id}", get(imports::show))
        .route("/imports/{id}/load", get(imports::confirm_load).post(imports::load))
        .route("/imports/{id}/cancel", get(imports::confirm_cancel).post(imports::cancel))
        .route("/imports/{id}/rejected.csv", get(imports::rejected_file))
        .route("/imports/{id}/mend", get(mend::show).post(mend::import))
        .route("/writes", get(writes::list))
        .route("/writes/{id}", get(write_page::show))
        .route("/writes/{id}/resend", post(write_page::resend))
        .route("/dead-letters", get(dead_letters::list).post(dead_letters::act))
        .route("/dead-letters/{queue}", get(dead_letters::show))
        .route("/live/write", get(write_page::live))
        .route("/live/import", get(imports::live))
        .route("/live/upload", get(imports::live_upload))
        .layer(DefaultBodyLimit::max(FORM_BYTES_MAX))
        .with_state(site)
}

/// Opens the address in the browser of this machine, if there is one.
fn open(address: &str) {
    let opener = if cfg!(target_os = "macos") { "open" } else { "xdg-open" };
    let opened = tokio::process::Command::new(opener)
        .arg(address)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
    if opened.is_err() {
        error_line("no browser could be opened: open the address above");
    }
}
