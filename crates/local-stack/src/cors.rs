//! The CORS configuration of the API on the emulator.
//!
//! CloudFormation hands the template's configuration to API Gateway, where its members begin with a
//! small letter. The emulator keeps the spelling of the template and then finds no member, so this
//! hands the configuration over. Without `AllowedOrigins` there is nothing to do.

use anyhow::{Context, ensure};
use hyper::Method;
use serde_json::{Map, json};

use crate::http::Http;

pub(crate) async fn hand_over(http: &Http, endpoint_url: &str, api_id: &str) -> anyhow::Result<()> {
    let url = format!("{endpoint_url}/v2/apis/{api_id}");
    let api = http.signed("apigateway", Method::GET, &url, &[], "".into()).await?.json()?;
    let Some(configuration) = api["corsConfiguration"].as_object() else { return Ok(()) };
    let members = configuration.iter().map(|(name, value)| (small_letter(name), value.clone()));
    let update = json!({ "corsConfiguration": members.collect::<Map<_, _>>() }).to_string();
    let headers = [("content-type", "application/json")];
    let response = http.signed("apigateway", Method::PATCH, &url, &headers, update.into()).await;
    let response = response.context("cannot hand the CORS configuration over")?;
    ensure!(
        response.status == 200,
        "the emulator refuses the CORS configuration: {}",
        response.text()
    );
    Ok(())
}

fn small_letter(name: &str) -> String {
    let mut letters = name.chars();
    letters.next().map(|first| first.to_ascii_lowercase()).into_iter().chain(letters).collect()
}
