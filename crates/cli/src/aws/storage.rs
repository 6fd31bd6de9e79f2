//! A queue and an object of the probe.

use std::collections::HashMap;

use anyhow::Context;
use aws_sdk_s3::error::ProvideErrorMetadata as _;
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_sqs::types::QueueAttributeName;

use super::{Aws, explained};

/// A FIFO queue.
#[derive(Debug)]
pub(crate) struct FifoQueue {
    client: aws_sdk_sqs::Client,
    url: String,
}

/// A message as it was received.
#[derive(Debug)]
pub(crate) struct Received {
    pub(crate) body: String,
    handle: String,
}

impl Aws {
    pub(crate) async fn create_fifo_queue(&self, name: &str) -> anyhow::Result<FifoQueue> {
        let client = aws_sdk_sqs::Client::new(&self.config);
        let create = client.create_queue().queue_name(format!("{name}.fifo"));
        let create = create.attributes(QueueAttributeName::FifoQueue, "true");
        let created = create.send().await.map_err(explained).context("cannot create a queue")?;
        Ok(FifoQueue { client, url: created.queue_url.context("SQS names no queue")? })
    }

    /// Writes an object with an `If-Match`. Returns its `ETag`, or the code of the refusal.
    pub(crate) async fn put_if_match(
        &self,
        bucket: &str,
        key: &str,
        body: &'static str,
        etag: Option<&str>,
    ) -> anyhow::Result<Result<String, String>> {
        let client = aws_sdk_s3::Client::new(&self.config);
        let put = client.put_object().bucket(bucket).key(key);
        let put = put.body(ByteStream::from_static(body.as_bytes()));
        match put.set_if_match(etag.map(str::to_owned)).send().await {
            Ok(put) => Ok(Ok(put.e_tag.unwrap_or_default())),
            Err(error) => match error.code() {
                Some(code) if etag.is_some() => Ok(Err(code.to_owned())),
                _ => Err(explained(error))
                    .with_context(|| format!("cannot write s3://{bucket}/{key}")),
            },
        }
    }

    /// Writes an object with a metadata value, and returns the value that S3 returns for it.
    pub(crate) async fn echo_metadata(
        &self,
        bucket: &str,
        key: &str,
        value: &str,
    ) -> anyhow::Result<String> {
        let client = aws_sdk_s3::Client::new(&self.config);
        let metadata = HashMap::from([("probe".to_owned(), value.to_owned())]);
        let put = client.put_object().bucket(bucket).key(key).set_metadata(Some(metadata));
        put.send()
            .await
            .map_err(explained)
            .with_context(|| format!("cannot write s3://{bucket}/{key}"))?;
        let head = client.head_object().bucket(bucket).key(key).send().await.map_err(explained)?;
        let value = head.metadata.and_then(|mut metadata| metadata.remove("probe"));
        Ok(value.unwrap_or_default())
    }

    pub(crate) async fn delete_object(&self, bucket: &str, key: &str) -> anyhow::Result<()> {
        let client = aws_sdk_s3::Client::new(&self.config);
        client.delete_object().bucket(bucket).key(key).send().await.map_err(explained)?;
        Ok(())
    }
}

impl FifoQueue {
    pub(crate) async fn send(&self, group: &str, body: &str) -> anyhow::Result<()> {
        let send = self.client.send_message().queue_url(&self.url).message_body(body);
        let send = send.message_group_id(group).message_deduplication_id(body);
        send.send().await.map_err(explained).context("cannot send a message")?;
        Ok(())
    }

    /// Receives up to ten messages within two seconds.
    pub(crate) async fn receive(&self) -> anyhow::Result<Vec<Received>> {
        let receive = self.client.receive_message().queue_url(&self.url);
        let received = receive.max_number_of_messages(10).wait_time_seconds(2).send().await;
        let received = received.map_err(explained).context("cannot receive messages")?;
        let messages = received.messages.unwrap_or_default().into_iter();
        Ok(messages
            .map(|message| Received {
                body: message.body.unwrap_or_default(),
                handle: message.receipt_handle.unwrap_or_default(),
            })
            .collect())
    }

    /// Hides a message for this many seconds from now on.
    pub(crate) async fn hide(&self, message: &Received, seconds: i32) -> anyhow::Result<()> {
        let hide = self.client.change_message_visibility().queue_url(&self.url);
        let hide = hide.receipt_handle(&message.handle).visibility_timeout(seconds).send().await;
        hide.map_err(explained).context("cannot hide a message")?;
        Ok(())
    }

    /// Sets `maxReceiveCount`, with a dead-letter queue. Returns the code of a refusal.
    pub(crate) async fn set_receives_max(
        &self,
        dead: &Self,
        receives: u32,
    ) -> anyhow::Result<Option<String>> {
        let found = self.client.get_queue_attributes().queue_url(&dead.url);
        let found = found.attribute_names(QueueAttributeName::QueueArn).send().await;
        let found = found.map_err(explained)?.attributes.unwrap_or_default();
        let arn = found.get(&QueueAttributeName::QueueArn).cloned().unwrap_or_default();
        let policy = serde_json::json!({ "deadLetterTargetArn": arn, "maxReceiveCount": receives });
        let set = self.client.set_queue_attributes().queue_url(&self.url);
        let set = set.attributes(QueueAttributeName::RedrivePolicy, policy.to_string());
        Ok(set.send().await.err().map(|error| error.code().unwrap_or("no response").to_owned()))
    }

    pub(crate) async fn delete(&self) -> anyhow::Result<()> {
        self.client.delete_queue().queue_url(&self.url).send().await.map_err(explained)?;
        Ok(())
    }
}
