//! The messages of a queue.

use anyhow::Context as _;
use aws_sdk_sqs::types::{
    ChangeMessageVisibilityBatchRequestEntry, MessageSystemAttributeName, QueueAttributeName,
};

use super::{Aws, explained};

/// The most messages of a call, as SQS permits.
const BATCH_MAX: u8 = 10;

/// The time in seconds for which a call waits for messages: it then asks all servers of the queue.
const WAIT_S: i32 = 1;

/// A queue whose messages are read or sent.
#[derive(Debug, Clone)]
pub(crate) struct Messages {
    client: aws_sdk_sqs::Client,
    url: String,
}

/// A message that was received. It is hidden from others for a time.
#[derive(Debug, Clone)]
pub(crate) struct Message {
    pub(crate) id: String,
    pub(crate) body: String,
    /// The message group, in a FIFO queue.
    pub(crate) group: Option<String>,
    /// The place in the order of a FIFO queue.
    pub(crate) sequence: u128,
    /// The time at which it was sent, in milliseconds of Unix time.
    pub(crate) sent_at_ms: i64,
    handle: String,
}

impl Aws {
    /// Returns the queue at this URL.
    pub(crate) fn messages(&self, url: String) -> Messages {
        Messages { client: aws_sdk_sqs::Client::new(&self.config), url }
    }
}

impl Messages {
    /// Returns the number of messages, hidden or not, as SQS estimates it.
    pub(crate) async fn count(&self) -> anyhow::Result<u64> {
        let names = [
            QueueAttributeName::ApproximateNumberOfMessages,
            QueueAttributeName::ApproximateNumberOfMessagesNotVisible,
            QueueAttributeName::ApproximateNumberOfMessagesDelayed,
        ];
        let found = self.client.get_queue_attributes().queue_url(&self.url);
        let found = found.set_attribute_names(Some(names.to_vec())).send().await;
        let found = found.map_err(explained).with_context(|| self.cannot("count the messages"))?;
        let attributes = found.attributes.unwrap_or_default();
        let counts = names.iter().filter_map(|name| attributes.get(name)?.parse::<u64>().ok());
        Ok(counts.sum())
    }

    /// Receives up to ten messages in their order, and hides them for this number of seconds.
    pub(crate) async fn receive(&self, hidden_s: i32) -> anyhow::Result<Vec<Message>> {
        let receive = self.client.receive_message().queue_url(&self.url);
        let receive = receive
            .max_number_of_messages(BATCH_MAX.into())
            .wait_time_seconds(WAIT_S)
            .visibility_timeout(hidden_s)
            .message_system_attribute_names(MessageSystemAttributeName::All);
        let received = receive.send().await.map_err(explained);
        let received = received.with_context(|| self.cannot("receive messages"))?;
        let messages = received.messages.unwrap_or_default().into_iter();
        let mut messages: Vec<_> = messages.map(message).collect();
        messages.sort_by_key(|message| message.sequence);
        Ok(messages)
    }

    /// Shows messages to others again, at once.
    pub(crate) async fn release(&self, messages: &[Message]) -> anyhow::Result<()> {
        for batch in messages.chunks(BATCH_MAX.into()) {
            let entries = batch.iter().enumerate().map(|(index, message)| {
                ChangeMessageVisibilityBatchRequestEntry::builder()
                    .id(index.to_string())
                    .receipt_handle(&message.handle)
                    .visibility_timeout(0)
                    .build()
            });
            let entries = entries.collect::<Result<Vec<_>, _>>()?;
            let release = self.client.change_message_visibility_batch().queue_url(&self.url);
            let released = release.set_entries(Some(entries)).send().await.map_err(explained);
            released.with_context(|| self.cannot("release messages"))?;
        }
        Ok(())
    }

    /// Sends a message. In a FIFO queue it has a group, and an id by which SQS drops a second one
    /// within five minutes.
    pub(crate) async fn send(
        &self,
        group: Option<&str>,
        deduplication_id: &str,
        body: &str,
    ) -> anyhow::Result<()> {
        let mut send = self.client.send_message().queue_url(&self.url).message_body(body);
        if let Some(group) = group {
            send = send.message_group_id(group).message_deduplication_id(deduplication_id);
        }
        send.send().await.map_err(explained).with_context(|| self.cannot("send a message"))?;
        Ok(())
    }

    /// Deletes a message. Fails if it has been visible to others meanwhile.
    pub(crate) async fn delete(&self, message: &Message) -> anyhow::Result<()> {
        let delete = self.client.delete_message().queue_url(&self.url);
        let deleted = delete.receipt_handle(&message.handle).send().await.map_err(explained);
        deleted.with_context(|| self.cannot("delete a message"))?;
        Ok(())
    }

    fn cannot(&self, verb: &str) -> String {
        format!("cannot {verb} of the queue {}", self.url)
    }
}

fn message(message: aws_sdk_sqs::types::Message) -> Message {
    let attributes = message.attributes.unwrap_or_default();
    let text = |name| attributes.get(&name).map(String::as_str);
    let number = |name| text(name).and_then(|text| text.parse().ok());
    Message {
        group: text(MessageSystemAttributeName::MessageGroupId).map(str::to_owned),
        sequence: text(MessageSystemAttributeName::SequenceNumber)
            .and_then(|text| text.parse().ok())
            .unwrap_or_default(),
        sent_at_ms: number(MessageSystemAttributeName::SentTimestamp).unwrap_or_default(),
        id: message.message_id.unwrap_or_default(),
        body: message.body.unwrap_or_default(),
        handle: message.receipt_handle.unwrap_or_default(),
    }
}
