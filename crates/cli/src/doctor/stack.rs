//! Checks the parts of a stack: queues, functions, buckets.

use std::collections::HashMap;

use anyhow::Context;

use super::finding::Finding;
use super::functions::{self, Deployed};
use super::queues::{self, IMPORTS, Kind, Line, WRITES};
use crate::aws::Aws;
use crate::aws::deployed::{Function, Mapping, Resource};

const BUCKETS: &str = "buckets";

/// A queue: its kind, its outputs, and the functions that work on it.
const QUEUES: [(&Kind, &str, &str, &str); 2] = [
    (&WRITES, "WritesQueueUrl", "WritesDeadLetterQueueUrl", "ApplyFunction"),
    (&IMPORTS, "ImportsQueueUrl", "ImportsDeadLetterQueueUrl", "ImportFunction"),
];

/// Checks the stack.
pub(crate) async fn findings(
    aws: &Aws,
    stack: &str,
    outputs: &HashMap<String, String>,
) -> Vec<Finding> {
    let resources = match aws.resources_of(stack).await {
        Ok(resources) => resources,
        Err(error) => {
            return vec![unchecked("queues", &error, "cloudformation:ListStackResources")];
        }
    };
    let mut findings = Vec::new();
    let mut deployed = HashMap::new();
    for (kind, queue, dead, logical_id) in QUEUES {
        let found = line(aws, outputs, &resources, (kind, queue, dead, logical_id)).await;
        match found {
            Ok(mut line) => {
                match aws.oldest_message_s(&line.queue.arn).await {
                    Ok(age) => line.oldest_s = age,
                    Err(error) => {
                        findings.push(unchecked(
                            "queues",
                            &error,
                            "cloudwatch:GetMetricStatistics",
                        ));
                    }
                }
                findings.extend(queues::findings(&line));
                deployed.insert(logical_id, (line.function, line.mappings));
            }
            Err(error) => findings.push(unchecked(
                "queues",
                &error,
                "sqs:GetQueueAttributes, lambda:GetFunctionConfiguration, \
                 lambda:GetFunctionConcurrency, lambda:ListEventSourceMappings",
            )),
        }
    }
    findings.extend(buckets(aws, outputs).await);
    match functions_of(aws, &resources, deployed).await {
        Ok((functions, account)) => {
            findings.extend(functions::of_code(&functions));
            findings.extend(functions::of_quotas(&functions, account));
        }
        Err(error) => findings.push(unchecked(
            "versions",
            &error,
            "lambda:GetFunctionConfiguration, lambda:GetFunctionConcurrency, \
             lambda:GetAccountSettings",
        )),
    }
    findings
}

/// Returns the finding for a check that could not be made.
fn unchecked(check: &'static str, error: &anyhow::Error, permissions: &str) -> Finding {
    Finding::warning(
        check,
        format!("not checked: {error:#}"),
        "It may be well or not.",
        &format!("if a permission is missing: {permissions}"),
    )
}

fn output<'o>(outputs: &'o HashMap<String, String>, name: &str) -> anyhow::Result<&'o str> {
    let found = outputs.get(name).map(String::as_str);
    found.with_context(|| format!("the stack has no output {name}; is it aurora-sync's?"))
}

async fn line(
    aws: &Aws,
    outputs: &HashMap<String, String>,
    resources: &[Resource],
    (kind, queue, dead, logical_id): (&'static Kind, &str, &str, &str),
) -> anyhow::Result<Line> {
    let function = resources.iter().find(|resource| resource.logical_id == logical_id);
    let function =
        &function.with_context(|| format!("the stack has no resource {logical_id}"))?.physical_id;
    let queue = aws.queue(output(outputs, queue)?).await?;
    Ok(Line {
        kind,
        dead: aws.queue(output(outputs, dead)?).await?,
        oldest_s: None,
        queue,
        function: aws.function(function).await?,
        mappings: aws.mappings_of(function).await?,
    })
}

/// Returns all functions of the stack, and the quota of the account.
async fn functions_of(
    aws: &Aws,
    resources: &[Resource],
    mut known: HashMap<&str, (Function, Vec<Mapping>)>,
) -> anyhow::Result<(Vec<Deployed>, Option<i32>)> {
    let mut found = Vec::new();
    for resource in resources.iter().filter(|resource| resource.kind == "AWS::Lambda::Function") {
        let (function, mappings) = match known.remove(resource.logical_id.as_str()) {
            Some(known) => known,
            None => (aws.function(&resource.physical_id).await?, Vec::new()),
        };
        found.push(Deployed {
            logical_id: resource.logical_id.clone(),
            name: resource.physical_id.clone(),
            updated_at: resource.updated_at,
            modified_at: function.modified_at,
            reserved: function.reserved,
            invoked_max: mappings.first().and_then(|mapping| mapping.concurrency_max),
        });
    }
    Ok((found, aws.concurrency_of_account().await?))
}

async fn buckets(aws: &Aws, outputs: &HashMap<String, String>) -> Vec<Finding> {
    let checked = async {
        for name in ["UploadsBucket", "ResultsBucket", "CatalogBucket"] {
            aws.reach_bucket(output(outputs, name)?).await?;
        }
        let queue = aws.queue(output(outputs, "ImportsQueueUrl")?).await?;
        let notified = aws.queues_notified_by(output(outputs, "UploadsBucket")?).await?;
        anyhow::Ok(notified.contains(&queue.arn))
    };
    vec![match checked.await {
        Ok(true) => Finding::ok(
            BUCKETS,
            "the three buckets are there, and uploads notify their queue".to_owned(),
        ),
        Ok(false) => Finding::error(
            BUCKETS,
            "the uploads bucket does not notify the queue of imports".to_owned(),
            "Files that are uploaded are not imported.",
            "deploy the stack again, which sets the notification of the bucket. Then upload the files \
             again",
        ),
        Err(error) => Finding::error(
            BUCKETS,
            format!("{error:#}"),
            "Without its buckets the stack imports no file, or these credentials cannot use them.",
            "check the bucket, and the permissions s3:ListBucket and s3:GetBucketNotification",
        ),
    }]
}
