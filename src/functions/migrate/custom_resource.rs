//! The custom resource of CloudFormation: a request in, a response to its URL.

use std::time::Duration;

use serde::Deserialize;
use serde_json::Value;

use super::outage::through_outages;
use super::{Migrate, MigrateError, Users, run, stack};
use crate::aws::cloudformation::CloudFormation;
use crate::aws::data_api::DatabaseTarget;
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
    /// `true` if the stack may serve another database from now on.
    allow_other_database: Option<String>,
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

    /// Returns an error if the stack has served another database so far. Then CloudFormation takes
    /// the update back, and keeps the cluster: it deletes a cluster only after the whole update.
    ///
    /// The id of the resource names the database, since it stays as it was when CloudFormation
    /// takes an update back.
    fn check_database(&self, id: &str) -> Result<(), MigrateError> {
        let served = self.physical_resource_id.as_deref().unwrap_or(id);
        let is_allowed = self.resource_properties.allow_other_database.as_deref() == Some("true");
        if served == id || !served.starts_with("arn:") || is_allowed {
            return Ok(());
        }
        Err(MigrateError::OtherDatabase { served: served.to_owned(), named: id.to_owned() })
    }
}

/// Returns the id of the resource: it names the database.
fn resource_id(target: &DatabaseTarget) -> String {
    format!("{}/{}", target.cluster_arn, target.database)
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
    request: &CustomResourceRequest,
    id: &str,
    deadline: Deadline,
) -> Result<(), MigrateError> {
    let Deployment { migrate, users, refresh } = deployment;
    request.check_database(id)?;
    stack::claim(&migrate.data_api, &request.stack_id, deadline).await?;
    // A parameter without a value is an empty text.
    let baseline = request.resource_properties.baseline.as_deref().filter(|name| !name.is_empty());
    run(migrate, baseline, deadline).await?;
    users.set_up(&migrate.data_api, deadline).await?;
    through_outages(deadline, async || refresh::run(refresh, deadline).await).await?;
    Ok(())
}

/// The time to let another stack serve the database. A paused cluster resumes in about 15 seconds,
/// seldom 30.
const RELEASE_WITHIN: Duration = Duration::from_mins(1);

/// Lets another stack serve the database, if this one ends. An error is logged only, since it must
/// not keep CloudFormation from deleting the stack.
///
/// CloudFormation also deletes the resource of a database that the stack has left: that one is not
/// in reach.
async fn leave(deployment: &Deployment, request: &CustomResourceRequest, id: &str) {
    if request.physical_resource_id.as_deref() != Some(id) {
        return;
    }
    let deadline = Deadline::after(RELEASE_WITHIN);
    let data_api = &deployment.migrate.data_api;
    if let Err(error) = stack::release(data_api, &request.stack_id, deadline).await {
        tracing::warn!(error = chain(&error), "the database still names this stack");
    }
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
    let id = resource_id(deployment.migrate.data_api.target());
    let mut failure = match request.request_type.as_str() {
        // The tables stay, since they hold the user's data.
        "Delete" => {
            leave(deployment, &request, &id).await;
            None
        }
        _ => deploy(deployment, &request, &id, deadline).await.err(),
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
        // With another id than before, CloudFormation deletes the "old" resource. The tables stay.
        "PhysicalResourceId": match &request.physical_resource_id {
            Some(before) if failure.is_some() || request.request_type == "Delete" => before,
            _ => &id,
        },
        "StackId": request.stack_id,
        "RequestId": request.request_id,
        "LogicalResourceId": request.logical_resource_id,
    });
    cloudformation.respond(&request.response_url, response.to_string()).await?;
    Ok(())
}
