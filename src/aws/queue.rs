//! SQS: sends messages, up to ten a call.

use aws_config::SdkConfig;
use aws_sdk_sqs::Client;
use aws_sdk_sqs::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_sqs::types::SendMessageBatchRequestEntry;

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
        let answer = request.send().await.map_err(|error| send_error(&error))?;
        Ok(answer.failed.iter().filter_map(|failed| failed.id.parse().ok()).collect())
    }
}

fn send_error<E, R>(error: &SdkError<E, R>) -> ServiceError
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
    ServiceError { operation: "SendMessageBatch", fault, message: super::error_text(error) }
}
