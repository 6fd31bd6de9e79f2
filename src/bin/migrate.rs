//! The function of the stack's custom resource, which migrates the database.

use aurora_sync::aws;
use aurora_sync::aws::cloudformation::CloudFormation;
use aurora_sync::aws::data_api::DataApi;
use aurora_sync::aws::objects::Objects;
use aurora_sync::aws::secrets::Secrets;
use aurora_sync::functions::config::Config;
use aurora_sync::functions::migrate::{self, Deployment, Migrate, Users};
use aurora_sync::functions::refresh::Refresh;
use aurora_sync::functions::runtime;

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let config = Config::from_env();
    runtime::init_logs(&config);
    let sdk_config = aws::sdk_config().await;
    let data_api = DataApi::new(&sdk_config, config.data_api_target()?);
    let function = Deployment {
        migrate: Migrate { sql_folder: config.sql_folder()?, data_api: data_api.clone() },
        users: Users { secrets: Secrets::new(&sdk_config), roles: config.user_secrets() },
        refresh: Refresh {
            data_api,
            objects: Objects::new(&sdk_config),
            bucket: config.catalog_bucket()?,
        },
    };
    let cloudformation = CloudFormation::new();
    runtime::serve(async |event, invocation| {
        migrate::handle(&function, &cloudformation, event, invocation.deadline).await
    })
    .await
}
