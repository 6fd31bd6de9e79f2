//! Secrets Manager: the username and password of a database user.

use aws_config::SdkConfig;
use aws_sdk_secretsmanager::Client;
use aws_sdk_secretsmanager::error::ProvideErrorMetadata;
use serde::Deserialize;

use crate::domain::error::{ServiceError, ServiceFault};

/// A client of the secrets that the function may read.
#[derive(Debug, Clone)]
pub struct Secrets {
    client: Client,
}

/// The user of a secret (AWS Secrets Manager User Guide, "JSON structure of database secrets").
#[derive(Deserialize)]
pub struct DatabaseUser {
    pub username: String,
    pub password: String,
}

/// Names the user only.
impl std::fmt::Debug for DatabaseUser {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DatabaseUser").field("username", &self.username).finish_non_exhaustive()
    }
}

impl Secrets {
    /// Makes a client.
    pub fn new(config: &SdkConfig) -> Self {
        Self { client: Client::new(config) }
    }

    /// Reads the user of a secret.
    pub async fn database_user(&self, arn: &str) -> Result<DatabaseUser, ServiceError> {
        let operation = "GetSecretValue";
        let secret = self.client.get_secret_value().secret_id(arn).send().await;
        let secret = secret.map_err(|error| {
            let code = error.as_service_error().and_then(ProvideErrorMetadata::code);
            let fault = match code {
                Some(
                    "AccessDeniedException" | "ResourceNotFoundException" | "DecryptionFailure",
                ) => ServiceFault::Denied,
                _ => ServiceFault::Unavailable,
            };
            ServiceError { operation, fault, message: super::error_text(&error) }
        })?;
        let text = secret.secret_string.unwrap_or_default();
        // The error of the parser could repeat a part of the secret.
        serde_json::from_str(&text).map_err(|_| ServiceError {
            operation,
            fault: ServiceFault::Denied,
            message: format!("the secret {arn} does not hold a username and a password as JSON"),
        })
    }
}
