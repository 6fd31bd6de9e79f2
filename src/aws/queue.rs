//! SQS: sends messages, up to ten a call, and says when those that are given back come again.

use std::time::Duration;

use aws_config::SdkConfig;
use aws_sdk_sqs::Client;
use aws_sdk_sqs::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_sqs::types::{ChangeMessageVisibilityBatchRequestEntry, SendMessageBatchRequestEntry};

use crate::error::{ServiceError, ServiceFault};
use crate::write::Message;

/// Most messages of one `SendMessageBatch` call.
pub const SEND_MAX: usize = 10;

/// A FIFO queue.
#[derive(Debug, Clone)]
pub struct Queue {
    client: Client,
    url: String,
}

impl Queue {
    pub fn new(config: &SdkConfig, url: String) -> Self {
        Self { client: Client::new(config), url }
    }

    /// Sends up to [`SEND_MAX`] messages, at most one of each group, and gives the places of those
    /// that the queue did not take.
    pub async fn send(&self, messages: &[&Message]) -> Result<Vec<usize>, ServiceError> {
        let mut request = self.client.send_message_batch().queue_url(&self.url);
        for (place, message) in messages.iter().enumerate() {
            let entry = SendMessageBatchRequestEntry::builder()
                .id(place.to_string())
                .message_group_id(&message.group)
                .message_deduplication_id(&message.deduplication_id)
                .message_body(&message.body)
                .build()
                .expect("an entry with an id and a body is whole");
            request = request.entries(entry);
        }
        let answer =
            request.send().await.map_err(|error| service_error("SendMessageBatch", &error))?;
        Ok(answer.failed.iter().filter_map(|failed| failed.id.parse().ok()).collect())
    }

    /// Lets messages, by their receipt handles, be delivered again after these times, in whole seconds.
    pub async fn postpone(&self, messages: &[(&str, Duration)]) -> Result<(), ServiceError> {
        for messages in messages.chunks(SEND_MAX) {
            let mut request = self.client.change_message_visibility_batch().queue_url(&self.url);
            for (place, (receipt_handle, delay)) in messages.iter().enumerate() {
                let entry = ChangeMessageVisibilityBatchRequestEntry::builder()
                    .id(place.to_string())
                    .receipt_handle(*receipt_handle)
                    .visibility_timeout(i32::try_from(delay.as_secs()).unwrap_or(i32::MAX))
                    .build()
                    .expect("an entry with an id and a handle is whole");
                request = request.entries(entry);
            }
            let answer = request
                .send()
                .await
                .map_err(|error| service_error("ChangeMessageVisibilityBatch", &error))?;
            if let Some(failed) = answer.failed.first() {
                return Err(ServiceError {
                    operation: "ChangeMessageVisibilityBatch",
                    fault: ServiceFault::Unavailable,
                    message: failed.message.clone().unwrap_or_else(|| failed.code.clone()),
                });
            }
        }
        Ok(())
    }
}

fn service_error<E, R>(operation: &'static str, error: &SdkError<E, R>) -> ServiceError
where
    E: ProvideErrorMetadata + std::error::Error + 'static,
    R: std::fmt::Debug + 'static,
{
    let fault = match error.as_service_error().and_then(ProvideErrorMetadata::code) {
        Some(
            "AccessDenied"
            | "AccessDeniedException"
            | "AWS.SimpleQueueService.NonExistentQueue"
            | "QueueDoesNotExist",
        ) => ServiceFault::Denied,
        _ => ServiceFault::Unavailable,
    };
    ServiceError { operation, fault, message: super::error_text(error) }
}
