//! S3 and SQS of the emulator, which all tests of the process share.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use aws_config::SdkConfig;
use aws_lambda_events::sqs::SqsEvent;
use aws_sdk_s3::Client;
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_sqs::types::{MessageSystemAttributeName, QueueAttributeName};
use local_stack::Services;

/// Returns the services. They run on their own runtime and end with the process.
pub(crate) async fn shared() -> &'static Services {
    static SHARED: Mutex<Option<&'static Services>> = Mutex::new(None);
    let start = || {
        let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
        *shared.get_or_insert_with(|| {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            Box::leak(Box::new(runtime.unwrap().block_on(Services::start()).unwrap()))
        })
    };
    tokio::task::spawn_blocking(start).await.unwrap()
}

/// The bucket of one test.
#[derive(Debug)]
pub(crate) struct Bucket {
    pub name: String,
    pub sdk_config: SdkConfig,
    client: Client,
}

impl Bucket {
    pub(crate) async fn new() -> Self {
        let sdk_config = shared().await.sdk_config();
        let client = Client::new(&sdk_config);
        let name = format!("test-{}", uuid::Uuid::now_v7().simple());
        client.create_bucket().bucket(&name).send().await.unwrap();
        Self { name, sdk_config, client }
    }

    /// Puts an object. Returns its `ETag`.
    pub(crate) async fn put(&self, key: &str, content: impl Into<Vec<u8>>) -> String {
        self.put_with(key, content, &[]).await
    }

    /// Puts an object with metadata. Returns its `ETag`.
    pub(crate) async fn put_with(
        &self,
        key: &str,
        content: impl Into<Vec<u8>>,
        metadata: &[(&str, &str)],
    ) -> String {
        let body = ByteStream::from(content.into());
        let mut put = self.client.put_object().bucket(&self.name).key(key).body(body);
        for (name, value) in metadata {
            put = put.metadata(*name, *value);
        }
        put.send().await.unwrap().e_tag.unwrap().trim_matches('"').to_owned()
    }

    pub(crate) async fn get(&self, key: &str) -> Option<String> {
        Some(String::from_utf8(self.get_bytes(key).await?).unwrap())
    }

    pub(crate) async fn get_bytes(&self, key: &str) -> Option<Vec<u8>> {
        let object = self.client.get_object().bucket(&self.name).key(key).send().await.ok()?;
        Some(object.body.collect().await.unwrap().to_vec())
    }

    pub(crate) async fn delete(&self, key: &str) {
        self.client.delete_object().bucket(&self.name).key(key).send().await.unwrap();
    }
}

/// The FIFO queue of one test.
#[derive(Debug)]
pub(crate) struct FifoQueue {
    pub url: String,
    pub sdk_config: SdkConfig,
    client: aws_sdk_sqs::Client,
}

impl FifoQueue {
    pub(crate) async fn new() -> Self {
        let sdk_config = shared().await.sdk_config();
        let client = aws_sdk_sqs::Client::new(&sdk_config);
        let name = format!("test-{}.fifo", uuid::Uuid::now_v7().simple());
        let create = client.create_queue().queue_name(name);
        let queue = create.attributes(QueueAttributeName::FifoQueue, "true").send().await.unwrap();
        Self { url: queue.queue_url.unwrap(), sdk_config, client }
    }

    /// Receives the visible messages and leaves them in flight, as Lambda does until the function
    /// responds.
    pub(crate) async fn receive(&self) -> SqsEvent {
        self.receive_within(Duration::ZERO).await
    }

    /// Receives messages, and waits for one at most this long.
    pub(crate) async fn receive_within(&self, time: Duration) -> SqsEvent {
        let deadline = Instant::now() + time;
        loop {
            let receive = self.client.receive_message().queue_url(&self.url);
            let receive = receive.max_number_of_messages(10);
            let received = receive.send().await.unwrap().messages.unwrap_or_default();
            if !received.is_empty() || Instant::now() >= deadline {
                let mut event = super::sqs_event(
                    &received
                        .iter()
                        .map(|message| {
                            (message.message_id().unwrap(), "p0", message.body().unwrap())
                        })
                        .collect::<Vec<_>>(),
                );
                for (record, message) in event.records.iter_mut().zip(received) {
                    record.receipt_handle = message.receipt_handle;
                }
                return event;
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }

    /// Takes all messages out of the queue, as Lambda gets them.
    pub(crate) async fn drain(&self) -> SqsEvent {
        let mut messages = Vec::new();
        loop {
            let receive = self.client.receive_message().queue_url(&self.url);
            let receive = receive.max_number_of_messages(10);
            let receive =
                receive.message_system_attribute_names(MessageSystemAttributeName::MessageGroupId);
            let received = receive.send().await.unwrap().messages.unwrap_or_default();
            if received.is_empty() {
                break;
            }
            for message in received {
                let group = message.attributes.unwrap()
                    [&MessageSystemAttributeName::MessageGroupId]
                    .clone();
                let handle = message.receipt_handle.unwrap();
                let delete = self.client.delete_message().queue_url(&self.url);
                delete.receipt_handle(handle).send().await.unwrap();
                messages.push((message.message_id.unwrap(), group, message.body.unwrap()));
            }
        }
        let messages: Vec<_> = messages
            .iter()
            .map(|(id, group, body)| (id.as_str(), group.as_str(), body.as_str()))
            .collect();
        super::sqs_event(&messages)
    }
}
