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
    resource_properties: Option<Properties>,
}

/// The properties of the resource that the function uses.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Properties {
    baseline: Option<String>,
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
    let baseline = request.resource_properties.and_then(|properties| properties.baseline);
    // A parameter without a value is an empty text.
    let baseline = baseline.as_deref().filter(|name| !name.is_empty());
    let failure = match request.request_type.as_str() {
        // The tables stay, since they hold the user's data.
        "Delete" => None,
        _ => deploy(deployment, baseline, deadline).await.err(),
    };
    if let Some(error) = &failure {
        tracing::error!(error = chain(error), "migration failed");
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
