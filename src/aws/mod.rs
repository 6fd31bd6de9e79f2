//! The only module that names AWS crates: one file for each service.
//!
//! Translates calls and errors between the domain and the SDK. Decides nothing.

pub mod cloudformation;
pub mod data_api;
pub mod event_bus;
pub mod functions;
pub mod objects;
pub mod queue;
pub mod secrets;

use std::time::Duration;

use aws_config::BehaviorVersion;
pub use aws_config::SdkConfig;
use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_smithy_http_client::tls::{Provider, rustls_provider::CryptoMode};

/// Loads region, credentials and endpoints from the environment of the function.
pub async fn sdk_config() -> SdkConfig {
    let http_client = aws_smithy_http_client::Builder::new()
        .tls_provider(Provider::Rustls(CryptoMode::Ring))
        .build_https();
    aws_config::defaults(BehaviorVersion::latest())
        .http_client(http_client)
        .retry_config(RetryConfig::standard())
        .timeout_config(
            TimeoutConfig::builder()
                .connect_timeout(Duration::from_secs(3))
                // A statement may run for 45 s (RDS Data API, "Calling the Data API").
                .operation_attempt_timeout(Duration::from_secs(55))
                .build(),
        )
        .load()
        .await
}

/// Formats an SDK error with all its causes.
fn error_text(error: &(dyn std::error::Error + 'static)) -> String {
    crate::domain::error::chain(error)
}
