//! Lambda: invokes one other function.

use aws_config::SdkConfig;
use aws_sdk_lambda::Client;
use aws_sdk_lambda::error::ProvideErrorMetadata;
use aws_sdk_lambda::primitives::Blob;
use aws_sdk_lambda::types::InvocationType;

use crate::domain::error::{ServiceError, ServiceFault};

/// A client of one function.
#[derive(Debug, Clone)]
pub struct Function {
    client: Client,
    name: String,
}

impl Function {
    /// Makes a client of the function with this name or ARN.
    pub fn new(config: &SdkConfig, name: String) -> Self {
        Self { client: Client::new(config), name }
    }

    /// Invokes the function with an empty event, and waits for its end.
    pub async fn invoke(&self) -> Result<(), ServiceError> {
        self.call(InvocationType::RequestResponse).await
    }

    /// Has Lambda invoke the function with an empty event, and does not wait for it.
    pub async fn invoke_later(&self) -> Result<(), ServiceError> {
        self.call(InvocationType::Event).await
    }

    async fn call(&self, invocation: InvocationType) -> Result<(), ServiceError> {
        let operation = "Invoke";
        let call = self.client.invoke().function_name(&self.name).payload(Blob::new("{}"));
        let response = call.invocation_type(invocation).send().await.map_err(|error| {
            let code = error.as_service_error().and_then(ProvideErrorMetadata::code);
            let fault = match code {
                Some("AccessDeniedException" | "ResourceNotFoundException") => ServiceFault::Denied,
                _ => ServiceFault::Unavailable,
            };
            ServiceError { operation, fault, message: super::error_text(&error) }
        })?;
        match response.function_error {
            None => Ok(()),
            Some(error) => Err(ServiceError {
                operation,
                fault: ServiceFault::Unavailable,
                message: format!("{} failed ({error}); its log says why", self.name),
            }),
        }
    }
}
