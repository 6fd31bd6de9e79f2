//! SQS: sends messages, up to ten in one call, and sets the time of their next delivery.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use aws_config::SdkConfig;
use aws_sdk_sqs::Client;
use aws_sdk_sqs::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_sqs::types::{
    ChangeMessageVisibilityBatchRequestEntry, MessageSystemAttributeNameForSends,
    MessageSystemAttributeValue, SendMessageBatchRequestEntry,
};

use crate::domain::error::{ServiceError, ServiceFault};
use crate::domain::write::Message;

/// The most messages of one `SendMessageBatch` call.
pub const SEND_MAX: usize = 10;

/// The most bytes of the messages of one call. SQS allows 1 MiB, and allowed 256 KiB before August
/// 2025.
pub const BATCH_BYTES_MAX: usize = 256 * 1024;

/// The reason why the queue did not accept a message. A later variant is more serious.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reason {
    /// SQS is not available. It may have accepted the message nevertheless.
    Unavailable,
    /// SQS limits the rate of calls.
    Throttled,
    /// The deployment or the message is wrong: no permission, no such queue, or contents that SQS
    /// does not allow.
    Refused,
}

/// A client of one queue.
#[derive(Debug, Clone)]
pub struct Queue {
    client: Client,
    url: String,
}

impl Queue {
    /// Makes a client of the queue with this URL.
    pub fn new(config: &SdkConfig, url: String) -> Self {
        Self { client: Client::new(config), url }
    }

    /// Sends up to [`SEND_MAX`] messages, at most one of each group. Returns the indexes of those
    /// that SQS did not confirm.
    ///
    /// The caller may send these again: SQS drops a message whose deduplication id it has seen
    /// within five minutes. With a trace, Lambda links the invocation that gets the messages to it.
    pub async fn send(&self, messages: &[&Message], trace: Option<&str>) -> Vec<(usize, Reason)> {
        let trace = trace.and_then(|header| {
            let value = MessageSystemAttributeValue::builder();
            value.data_type("String").string_value(header).build().ok()
        });
        let trace = trace.map(|value| {
            HashMap::from([(MessageSystemAttributeNameForSends::AwsTraceHeader, value)])
        });
        let mut request = self.client.send_message_batch().queue_url(&self.url);
        for (index, message) in messages.iter().enumerate() {
            let entry = SendMessageBatchRequestEntry::builder()
                .id(index.to_string())
                .message_group_id(&message.group)
                .message_deduplication_id(&message.deduplication_id)
                .message_body(&message.body)
                .set_message_system_attributes(trace.clone())
                .build()
                .expect("an entry with an id and a body is complete");
            request = request.entries(entry);
        }
        let response = match request.send().await {
            Ok(response) => response,
            Err(error) => {
                let code = error.as_service_error().and_then(ProvideErrorMetadata::code);
                let reason = code.map_or(Reason::Unavailable, reason_of_code);
                tracing::warn!(?reason, error = super::error_text(&error), "messages not sent");
                return (0..messages.len()).map(|index| (index, reason)).collect();
            }
        };
        let confirmed: HashSet<usize> =
            response.successful.iter().filter_map(|entry| entry.id.parse().ok()).collect();
        let mut unconfirmed = Vec::new();
        for index in (0..messages.len()).filter(|index| !confirmed.contains(index)) {
            let failed = response.failed.iter().find(|entry| entry.id == index.to_string());
            let reason = match failed {
                Some(entry) if is_throttle(&entry.code) => Reason::Throttled,
                Some(entry) if entry.sender_fault => Reason::Refused,
                _ => Reason::Unavailable,
            };
            let code = failed.map(|entry| entry.code.as_str());
            tracing::warn!(?reason, code, "message not accepted");
            unconfirmed.push((index, reason));
        }
        unconfirmed
    }

    /// Sends one message to a queue that is not FIFO. SQS may deliver it more than once.
    pub async fn send_one(&self, body: &str) -> Result<(), ServiceError> {
        let request = self.client.send_message().queue_url(&self.url).message_body(body);
        request.send().await.map_err(|error| service_error("SendMessage", &error))?;
        Ok(())
    }

    /// Sets the time until messages are delivered again, by their receipt handles. Fractions of a
    /// second are cut off.
    pub async fn postpone(&self, messages: &[(&str, Duration)]) -> Result<(), ServiceError> {
        for messages in messages.chunks(SEND_MAX) {
            let mut request = self.client.change_message_visibility_batch().queue_url(&self.url);
            for (index, (receipt_handle, delay)) in messages.iter().enumerate() {
                let entry = ChangeMessageVisibilityBatchRequestEntry::builder()
                    .id(index.to_string())
                    .receipt_handle(*receipt_handle)
                    .visibility_timeout(i32::try_from(delay.as_secs()).unwrap_or(i32::MAX))
                    .build()
                    .expect("an entry with an id and a handle is complete");
                request = request.entries(entry);
            }
            let response = request
                .send()
                .await
                .map_err(|error| service_error("ChangeMessageVisibilityBatch", &error))?;
            if let Some(failed) = response.failed.first() {
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

fn is_throttle(code: &str) -> bool {
    matches!(
        code.rsplit('.').next().unwrap_or(code),
        "RequestThrottled" | "ThrottlingException" | "Throttling" | "KmsThrottled" | "OverLimit"
    )
}

/// Returns the reason for an error of the whole call.
fn reason_of_code(code: &str) -> Reason {
    match code.rsplit('.').next().unwrap_or(code) {
        _ if is_throttle(code) => Reason::Throttled,
        "AccessDenied"
        | "AccessDeniedException"
        | "NonExistentQueue"
        | "QueueDoesNotExist"
        | "InvalidAddress"
        | "InvalidMessageContents"
        | "BatchRequestTooLong"
        | "UnsupportedOperation"
        | "KmsAccessDenied"
        | "KmsDisabled"
        | "KmsInvalidState"
        | "KmsNotFound"
        | "InvalidSecurity"
        | "SignatureDoesNotMatch"
        | "InvalidClientTokenId"
        | "UnrecognizedClientException"
        | "InvalidParameterValue" => Reason::Refused,
        _ => Reason::Unavailable,
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_code_has_a_reason() {
        for (code, reason) in [
            ("RequestThrottled", Reason::Throttled),
            ("AWS.SimpleQueueService.NonExistentQueue", Reason::Refused),
            ("QueueDoesNotExist", Reason::Refused),
            ("AccessDeniedException", Reason::Refused),
            ("KmsThrottled", Reason::Throttled),
            ("InternalError", Reason::Unavailable),
            ("ExpiredToken", Reason::Unavailable),
        ] {
            assert_eq!(reason_of_code(code), reason, "{code}");
        }
    }
}
