//! The parts of a deployed stack, as AWS describes them.

use anyhow::Context;
use aws_sdk_lambda::types::FunctionResponseType;
use aws_sdk_sqs::types::QueueAttributeName;
use bytes::Bytes;
use hyper::Request;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::{Aws, explained};
use crate::http::Http;

/// The time of a request that reads a metric.
const METRIC_WITHIN: std::time::Duration = std::time::Duration::from_secs(20);

/// The metric of the last minutes is not complete yet.
const METRIC_SPAN_S: i64 = 600;

/// A resource of a stack.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Resource {
    pub(crate) logical_id: String,
    pub(crate) physical_id: String,
    /// The type, such as `AWS::Lambda::Function`.
    pub(crate) kind: String,
    /// The end of the last change by CloudFormation, in seconds of Unix time.
    pub(crate) updated_at: i64,
}

/// A Lambda function.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Function {
    pub(crate) timeout_s: i32,
    /// The last change by whomever, in seconds of Unix time.
    pub(crate) modified_at: Option<i64>,
    /// The number of invocations at once that is kept for this function, and is its maximum.
    pub(crate) reserved: Option<i32>,
}

/// An event source mapping from a queue to a function.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Mapping {
    pub(crate) id: String,
    pub(crate) is_enabled: bool,
    pub(crate) reports_failures: bool,
    pub(crate) concurrency_max: Option<i32>,
}

/// A queue of SQS.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Queue {
    pub(crate) arn: String,
    pub(crate) visibility_timeout_s: i32,
    /// `maxReceiveCount`. `None` if the queue has no dead-letter queue.
    pub(crate) receives_max: Option<u32>,
    /// Messages that wait, also for the end of a pause.
    pub(crate) waiting: u64,
    /// Messages in work.
    pub(crate) hidden: u64,
}

impl Aws {
    /// Returns all resources of a stack.
    pub(crate) async fn resources_of(&self, stack: &str) -> anyhow::Result<Vec<Resource>> {
        let client = aws_sdk_cloudformation::Client::new(&self.config);
        let mut pages = client.list_stack_resources().stack_name(stack).into_paginator().send();
        let mut resources = Vec::new();
        while let Some(page) = pages.next().await {
            let page = page
                .map_err(explained)
                .with_context(|| format!("cannot list the resources of the stack {stack}"))?;
            resources.extend(
                page.stack_resource_summaries.unwrap_or_default().into_iter().filter_map(|found| {
                    Some(Resource {
                        logical_id: found.logical_resource_id?,
                        physical_id: found.physical_resource_id?,
                        kind: found.resource_type?,
                        updated_at: found.last_updated_timestamp?.secs(),
                    })
                }),
            );
        }
        Ok(resources)
    }

    pub(crate) async fn function(&self, name: &str) -> anyhow::Result<Function> {
        let client = aws_sdk_lambda::Client::new(&self.config);
        let cannot = || format!("cannot read the settings of the function {name}");
        let found = client.get_function_configuration().function_name(name).send().await;
        let found = found.map_err(explained).with_context(cannot)?;
        let reserved = client.get_function_concurrency().function_name(name).send().await;
        let reserved = reserved.map_err(explained).with_context(cannot)?;
        Ok(Function {
            timeout_s: found.timeout.unwrap_or_default(),
            modified_at: found.last_modified.as_deref().and_then(unix_time),
            reserved: reserved.reserved_concurrent_executions,
        })
    }

    /// Returns the mappings that invoke a function.
    pub(crate) async fn mappings_of(&self, function: &str) -> anyhow::Result<Vec<Mapping>> {
        let client = aws_sdk_lambda::Client::new(&self.config);
        let found = client.list_event_source_mappings().function_name(function).send().await;
        let found = found
            .map_err(explained)
            .with_context(|| format!("cannot list the event sources of the function {function}"))?;
        let mappings = found.event_source_mappings.unwrap_or_default().into_iter();
        Ok(mappings
            .map(|mapping| Mapping {
                id: mapping.uuid.unwrap_or_default(),
                is_enabled: !mapping.state.is_some_and(|state| state.starts_with("Disabl")),
                reports_failures: mapping.function_response_types.is_some_and(|types| {
                    types.contains(&FunctionResponseType::ReportBatchItemFailures)
                }),
                concurrency_max: mapping
                    .scaling_config
                    .and_then(|scaling| scaling.maximum_concurrency),
            })
            .collect())
    }

    /// Returns the number of functions that the account can run at once, without those that are
    /// kept for single functions.
    pub(crate) async fn concurrency_of_account(&self) -> anyhow::Result<Option<i32>> {
        let client = aws_sdk_lambda::Client::new(&self.config);
        let found = client.get_account_settings().send().await;
        let found =
            found.map_err(explained).context("cannot read the quotas of Lambda in this account")?;
        Ok(found.account_limit.and_then(|limit| limit.unreserved_concurrent_executions))
    }

    pub(crate) async fn queue(&self, url: &str) -> anyhow::Result<Queue> {
        let client = aws_sdk_sqs::Client::new(&self.config);
        let found = client.get_queue_attributes().queue_url(url);
        let found = found.attribute_names(QueueAttributeName::All).send().await;
        let found = found
            .map_err(explained)
            .with_context(|| format!("cannot read the settings of the queue {url}"))?;
        let attributes = found.attributes.unwrap_or_default();
        let text = |name| attributes.get(&name).map(String::as_str).unwrap_or_default();
        let number = |name| text(name).parse().unwrap_or_default();
        let redrive: Option<Value> =
            serde_json::from_str(text(QueueAttributeName::RedrivePolicy)).ok();
        Ok(Queue {
            arn: text(QueueAttributeName::QueueArn).to_owned(),
            visibility_timeout_s: text(QueueAttributeName::VisibilityTimeout)
                .parse()
                .unwrap_or_default(),
            receives_max: redrive.as_ref().and_then(receives_max),
            waiting: number(QueueAttributeName::ApproximateNumberOfMessages)
                + number(QueueAttributeName::ApproximateNumberOfMessagesDelayed),
            hidden: number(QueueAttributeName::ApproximateNumberOfMessagesNotVisible),
        })
    }

    /// Returns the age of the oldest message of a queue in seconds, as CloudWatch has seen it last.
    /// `None` without a figure of the last ten minutes.
    pub(crate) async fn oldest_message_s(&self, queue_arn: &str) -> anyhow::Result<Option<f64>> {
        let name = queue_arn.rsplit(':').next().unwrap_or_default();
        self.latest("AWS/SQS", "ApproximateAgeOfOldestMessage", ("QueueName", name))
            .await
            .context("cannot read the age of the oldest message")
    }

    /// Returns the capacity of a cluster of Aurora Serverless v2 in ACU, as CloudWatch has seen it
    /// last: 0 while it is paused. `None` without a figure of the last ten minutes.
    pub(crate) async fn capacity_of(&self, cluster_arn: &str) -> anyhow::Result<Option<f64>> {
        let name = cluster_arn.rsplit(':').next().unwrap_or_default();
        self.latest("AWS/RDS", "ServerlessDatabaseCapacity", ("DBClusterIdentifier", name))
            .await
            .context("cannot read the capacity of the cluster")
    }

    /// Returns how often a metric of a stack was counted a minute, in the last ten minutes. Returns
    /// `None` if CloudWatch has nothing of it.
    pub(crate) async fn rate_of(&self, stack: &str, metric: &str) -> anyhow::Result<Option<f64>> {
        let points = self.points(&format!("aurora-sync/{stack}"), metric, json!([]), "Sum").await?;
        let sums = points.iter().filter_map(|point| point["Sum"].as_f64());
        #[expect(clippy::cast_precision_loss, reason = "a rate")]
        let minutes = METRIC_SPAN_S as f64 / 60.0;
        Ok((!points.is_empty()).then(|| sums.sum::<f64>() / minutes))
    }

    /// Returns the last maximum of a metric.
    async fn latest(
        &self,
        namespace: &str,
        metric: &str,
        (dimension, value): (&str, &str),
    ) -> anyhow::Result<Option<f64>> {
        let dimensions = json!([{ "Name": dimension, "Value": value }]);
        let points = self.points(namespace, metric, dimensions, "Maximum").await?;
        let at = |point: &Value| point["Timestamp"].as_f64().unwrap_or_default();
        let last = points.iter().max_by(|a, b| at(a).total_cmp(&at(b)));
        Ok(last.and_then(|point| point["Maximum"].as_f64()))
    }

    /// Returns the values of a metric in the last ten minutes, one for each minute that has any.
    async fn points(
        &self,
        namespace: &str,
        metric: &str,
        dimensions: Value,
        statistic: &str,
    ) -> anyhow::Result<Vec<Value>> {
        let now = Timestamp::now().as_second();
        let input = json!({
            "Namespace": namespace,
            "MetricName": metric,
            "Dimensions": dimensions,
            "StartTime": now - METRIC_SPAN_S,
            "EndTime": now + 60,
            "Period": 60,
            "Statistics": [statistic],
        });
        let found = self.cloudwatch("GetMetricStatistics", &input).await?;
        Ok(found["Datapoints"].as_array().cloned().unwrap_or_default())
    }

    /// Calls CloudWatch by its JSON protocol. Its SDK would bring a license that this project does
    /// not take (`deny.toml`).
    async fn cloudwatch(&self, operation: &str, input: &Value) -> anyhow::Result<Value> {
        let url = match self.config.endpoint_url() {
            Some(url) => url.to_owned(),
            None => format!("https://monitoring.{}.{}", self.region()?, self.domain()?),
        };
        let mut request = Request::post(format!("{}/", url.trim_end_matches('/')))
            .header("content-type", "application/x-amz-json-1.0")
            .header("x-amz-target", format!("GraniteServiceVersion20100801.{operation}"))
            .body(Bytes::from(input.to_string()))?;
        self.signer_of("monitoring", None)?.sign(&mut request).await?;
        let response = Http::new()?.send(request, METRIC_WITHIN).await?;
        anyhow::ensure!(
            response.status == 200,
            "CloudWatch responds {}: {}",
            response.status,
            String::from_utf8_lossy(&response.body)
        );
        Ok(serde_json::from_slice(&response.body)?)
    }

    /// Fails if a bucket does not exist, or these credentials cannot list it.
    pub(crate) async fn reach_bucket(&self, bucket: &str) -> anyhow::Result<()> {
        let client = aws_sdk_s3::Client::new(&self.config);
        let found = client.head_bucket().bucket(bucket).send().await;
        found.map_err(explained).with_context(|| format!("cannot reach the bucket {bucket}"))?;
        Ok(())
    }

    /// Returns the ARNs of the queues that a bucket notifies of new objects.
    pub(crate) async fn queues_notified_by(&self, bucket: &str) -> anyhow::Result<Vec<String>> {
        let client = aws_sdk_s3::Client::new(&self.config);
        let found = client.get_bucket_notification_configuration().bucket(bucket).send().await;
        let found = found
            .map_err(explained)
            .with_context(|| format!("cannot read the notifications of the bucket {bucket}"))?;
        let queues = found.queue_configurations.unwrap_or_default().into_iter();
        Ok(queues.map(|queue| queue.queue_arn).collect())
    }
}

/// SQS takes the number as a string too.
fn receives_max(redrive: &Value) -> Option<u32> {
    let count = &redrive["maxReceiveCount"];
    let count = count.as_u64().or_else(|| count.as_str()?.parse().ok())?;
    u32::try_from(count).ok()
}

/// Reads a time as Lambda writes it, `2026-11-29T17:15:48.123+0000`.
fn unix_time(text: &str) -> Option<i64> {
    let time = jiff::fmt::strtime::parse("%Y-%m-%dT%H:%M:%S%.f%z", text).ok()?;
    Some(time.to_timestamp().ok()?.as_second())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_and_counts_of_aws_are_read() {
        assert_eq!(unix_time("2026-11-29T17:15:48.123+0000"), Some(1_795_972_548));
        assert_eq!(unix_time("yesterday"), None);
        for redrive in [json!({ "maxReceiveCount": 1000 }), json!({ "maxReceiveCount": "1000" })] {
            assert_eq!(receives_max(&redrive), Some(1_000));
        }
    }
}
