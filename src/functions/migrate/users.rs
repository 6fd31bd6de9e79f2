//! The database users of the functions: makes them, and gives them the passwords of their secrets.

use super::outage::through_outages;
use super::record;
use crate::aws::data_api::DataApi;
use crate::aws::secrets::{DatabaseUser, Secrets};
use crate::database::roles;
use crate::database::transaction::End;
use crate::domain::deadline::Deadline;
use crate::domain::error::SyncError;
use crate::domain::field::{Field, parameter};

/// The secrets of the users that the stack makes.
#[derive(Debug)]
pub struct Users {
    pub secrets: Secrets,
    /// The ARN of each secret, and the role of its user.
    pub roles: Vec<(String, &'static str)>,
}

impl Users {
    /// Makes the users that are missing, and sets the passwords of all.
    pub(super) async fn set_up(
        &self,
        data_api: &DataApi,
        deadline: Deadline,
    ) -> Result<(), SyncError> {
        for (secret_arn, role) in &self.roles {
            let read = async || Ok(self.secrets.database_user(secret_arn).await?);
            let user = through_outages(deadline, read).await?;
            through_outages(deadline, async || set_up(data_api, &user, role, deadline).await)
                .await?;
            tracing::info!(user = user.username, role, "database user is set up");
        }
        Ok(())
    }
}

async fn set_up(
    data_api: &DataApi,
    user: &DatabaseUser,
    role: &str,
    deadline: Deadline,
) -> Result<(), SyncError> {
    let DatabaseUser { username, password } = user;
    record::locked(data_api, deadline, async |transaction| {
        let name = vec![parameter("name", username.as_str())];
        let exists = transaction.execute(roles::USER_EXISTS, name).await?;
        let exists = record::value(&exists) == Some(&Field::Boolean(true));
        for sql in roles::user_with_password(role, username, password, exists) {
            transaction.execute(&sql, Vec::new()).await?;
        }
        Ok(End::Commit(()))
    })
    .await
}
