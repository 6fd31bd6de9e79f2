//! The concurrency of an event source mapping on the emulator.
//!
//! A parameter is a string, which CloudFormation makes a number. The emulator keeps the string, and
//! then no SDK can read the mapping. So this hands the number over.

use anyhow::{Context, ensure};
use hyper::Method;
use serde_json::json;

use crate::http::Http;

pub(crate) async fn hand_over(http: &Http, endpoint_url: &str, id: &str) -> anyhow::Result<()> {
    let url = format!("{endpoint_url}/2015-03-31/event-source-mappings/{id}");
    let mapping = http.signed("lambda", Method::GET, &url, &[], "".into()).await?.json()?;
    let Some(maximum) = mapping["ScalingConfig"]["MaximumConcurrency"].as_str() else {
        return Ok(());
    };
    let maximum: u32 = maximum.parse().context("the maximum concurrency is no number")?;
    let update = json!({ "ScalingConfig": { "MaximumConcurrency": maximum } }).to_string();
    let headers = [("content-type", "application/json")];
    let response = http.signed("lambda", Method::PUT, &url, &headers, update.into()).await;
    let response = response.context("cannot hand the concurrency over")?;
    ensure!(
        matches!(response.status, 200 | 202),
        "the emulator refuses the concurrency: {}",
        response.text()
    );
    Ok(())
}
