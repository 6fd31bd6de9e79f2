//! CloudFormation: responses of the custom resource.

use aws_smithy_http_client::Connector;
use aws_smithy_http_client::tls::{Provider, rustls_provider::CryptoMode};
use aws_smithy_runtime_api::client::http::HttpConnector;
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use aws_smithy_types::body::SdkBody;

use crate::domain::error::{ServiceError, ServiceFault};

/// A client of CloudFormation. It uses plain HTTP requests, since the request's `ResponseURL` is
/// presigned.
#[derive(Debug)]
pub struct CloudFormation {
    connector: Connector,
}

impl CloudFormation {
    /// Makes a client.
    pub fn new() -> Self {
        let connector =
            Connector::builder().tls_provider(Provider::Rustls(CryptoMode::Ring)).build();
        Self { connector }
    }

    /// Sends the response, a JSON document, to the request's `ResponseURL`.
    pub async fn respond(&self, response_url: &str, body: String) -> Result<(), ServiceError> {
        let failed = |message: String| ServiceError {
            operation: "PUT ResponseURL",
            fault: ServiceFault::Unavailable,
            message,
        };
        let mut request = HttpRequest::new(SdkBody::from(body.as_str()));
        request.set_method("PUT").map_err(|error| failed(super::error_text(&error)))?;
        request.set_uri(response_url).map_err(|error| failed(super::error_text(&error)))?;
        // The URL is signed for an empty content type (CloudFormation User Guide, "Custom resource
        // response objects").
        request.headers_mut().insert("content-type", "");
        request.headers_mut().insert("content-length", body.len().to_string());
        let response = self
            .connector
            .call(request)
            .await
            .map_err(|error| failed(super::error_text(&error)))?;
        if response.status().is_success() {
            Ok(())
        } else {
            Err(failed(format!("status {}", response.status())))
        }
    }
}

impl Default for CloudFormation {
    fn default() -> Self {
        Self::new()
    }
}
