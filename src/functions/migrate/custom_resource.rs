//! The custom resource of CloudFormation: a request in, a response to its URL.

use serde::Deserialize;
use serde_json::Value;

use super::outage::through_outages;
use super::{Migrate, MigrateError, Users, run};
use crate::aws::cloudformation::CloudFormation;
use crate::domain::deadline::Deadline;
use crate::domain::error::{SyncError, chain};
use crate::functions::refresh::{self, Refresh};

/// The members of CloudFormation's request that the function uses.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct CustomResourceRequest {
    request_type: String,
    #[serde(rename = "ResponseURL")]
    response_url: String,
    stack_id: String,
    request_id: String,
    logical_resource_id: String,
    physical_resource_id: Option<String>,
    #[serde(default)]
    resource_properties: Properties,
    #[serde(default)]
    old_resource_properties: Properties,
}

/// The properties of the resource that the function uses.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Properties {
    baseline: Option<String>,
    /// The ARN of the version of this function: `template.yaml` passes it on.
    version: Option<String>,
}

impl CustomResourceRequest {
    /// Returns `true` if CloudFormation takes back an update of the function: Lambda numbers the
    /// versions upwards, so only then it goes from a later version to an earlier one.
    fn is_rollback(&self) -> bool {
        let number = |properties: &Properties| {
            properties.version.as_ref()?.rsplit(':').next()?.parse::<u64>().ok()
        };
        number(&self.old_resource_properties)
            .zip(number(&self.resource_properties))
            .is_some_and(|(from, to)| to < from)
    }
}

/// The resources of the function.
#[derive(Debug)]
pub struct Deployment {
    pub migrate: Migrate,
    pub users: Users,
    pub refresh: Refresh,
}

/// Migrates the database, sets up its users, and stores the catalog.
async fn deploy(
    deployment: &Deployment,
    baseline: Option<&str>,
    deadline: Deadline,
) -> Result<(), MigrateError> {
    let Deployment { migrate, users, refresh } = deployment;
    run(migrate, baseline, deadline).await?;
    users.set_up(&migrate.data_api, deadline).await?;
    through_outages(deadline, async || refresh::run(refresh, deadline).await).await?;
    Ok(())
}

/// Migrates the database, and always sends CloudFormation a response. Without one, the stack waits
/// for an hour.
pub async fn handle(
    deployment: &Deployment,
    cloudformation: &CloudFormation,
    event: Value,
    deadline: Deadline,
) -> Result<(), SyncError> {
    let request: CustomResourceRequest = serde_json::from_value(event).map_err(|error| {
        SyncError::Inconsistent(format!("the event is not a custom resource's request: {error}"))
    })?;
    // A parameter without a value is an empty text.
    let baseline = request.resource_properties.baseline.as_deref().filter(|name| !name.is_empty());
    let mut failure = match request.request_type.as_str() {
        // The tables stay, since they hold the user's data.
        "Delete" => None,
        _ => deploy(deployment, baseline, deadline).await.err(),
    };
    if let Some(error) = &failure {
        tracing::error!(error = chain(error), "migration failed");
    }
    if failure.is_some() && request.is_rollback() {
        // The functions work without what failed, as they did before the update. A failure would
        // leave the stack in UPDATE_ROLLBACK_FAILED, where it takes no update.
        tracing::warn!("the failure does not keep CloudFormation from rolling back");
        failure = None;
    }
    let response = serde_json::json!({
        "Status": if failure.is_some() { "FAILED" } else { "SUCCESS" },
        // CloudFormation allows at most 4,096 bytes for the whole response.
        "Reason": failure.as_ref().map(|error| chain(error).chars().take(800).collect::<String>()),
        // The id must never change: with another id, CloudFormation would delete the "old"
        // resource.
        "PhysicalResourceId": request.physical_resource_id.as_deref().unwrap_or("aurora-sync-migrations"),
        "StackId": request.stack_id,
        "RequestId": request.request_id,
        "LogicalResourceId": request.logical_resource_id,
    });
    cloudformation.respond(&request.response_url, response.to_string()).await?;
    Ok(())
}
