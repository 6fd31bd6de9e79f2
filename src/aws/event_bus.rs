//! EventBridge: puts events on one bus, up to ten in one call.

use aws_config::SdkConfig;
use aws_sdk_eventbridge::Client;
use aws_sdk_eventbridge::error::ProvideErrorMetadata;
use aws_sdk_eventbridge::primitives::DateTime;
use aws_sdk_eventbridge::types::PutEventsRequestEntry;
use uuid::Uuid;

use crate::domain::error::{ServiceError, ServiceFault};

/// The most events of one call.
pub const PUT_MAX: usize = 10;

/// The most bytes of the details of one call. EventBridge allows 256 KiB for all of its entries,
/// their sources, types and resources included (`PutEvents`, "Entries").
pub const PUT_BYTES_MAX: usize = 250_000;

/// The source of all events, which the patterns of rules name.
const SOURCE: &str = "aurora-sync";

/// An event to put.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutgoingEvent {
    pub id: Uuid,
    /// The detail type, such as `ImportCompleted`.
    pub kind: String,
    /// The detail, a JSON object.
    pub detail: String,
    /// The time of what it tells, in milliseconds since 1970, UTC.
    pub created_at_ms: i64,
}

/// A client of one event bus.
#[derive(Debug, Clone)]
pub struct EventBus {
    client: Client,
    name: String,
    /// The ARN of the cluster that the events are about.
    resource: String,
}

impl EventBus {
    /// Makes a client of the bus with this name. `resource` is the ARN that all events name.
    pub fn new(config: &SdkConfig, name: String, resource: String) -> Self {
        Self { client: Client::new(config), name, resource }
    }

    /// Puts up to [`PUT_MAX`] events of [`PUT_BYTES_MAX`]. Returns the indexes of those that the
    /// bus did not take, with the code of the error.
    pub async fn put(
        &self,
        events: &[OutgoingEvent],
    ) -> Result<Vec<(usize, String)>, ServiceError> {
        let entries = events.iter().map(|event| {
            PutEventsRequestEntry::builder()
                .event_bus_name(&self.name)
                .source(SOURCE)
                .detail_type(&event.kind)
                .detail(&event.detail)
                .resources(&self.resource)
                .time(DateTime::from_millis(event.created_at_ms))
                .build()
        });
        let request = self.client.put_events().set_entries(Some(entries.collect()));
        let response = request.send().await.map_err(|error| {
            let code = error.as_service_error().and_then(ProvideErrorMetadata::code);
            let fault = match code {
                Some("AccessDeniedException" | "ResourceNotFoundException") => ServiceFault::Denied,
                _ => ServiceFault::Unavailable,
            };
            let message = super::error_text(&error);
            ServiceError { operation: "PutEvents", fault, message }
        })?;
        // The results are in the order of the entries. An entry without a result is not taken.
        let results = response.entries.unwrap_or_default();
        let refused = (0..events.len()).filter_map(|index| match results.get(index) {
            Some(result) if result.event_id.is_some() => None,
            Some(result) => Some((index, result.error_code.clone().unwrap_or_default())),
            None => Some((index, "NoResult".to_owned())),
        });
        Ok(refused.collect())
    }
}
