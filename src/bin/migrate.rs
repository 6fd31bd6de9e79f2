//! The function of the stack's custom resource, which migrates the database.

use aurora_sync::aws::{self, cloudformation::CloudFormation, data_api::DataApi};
use aurora_sync::functions::config::Config;
use aurora_sync::functions::migrate::{self, Migrate};
use aurora_sync::functions::runtime;

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let config = Config::from_env();
    runtime::init_logs(&config.log_level());
    let sdk_config = aws::sdk_config().await;
    let function = Migrate {
        sql_folder: config.sql_folder()?,
        data_api: DataApi::new(&sdk_config, config.data_api_target()?),
    };
    let cloudformation = CloudFormation::new();
    runtime::serve(async |event, deadline| {
        migrate::handle(&function, &cloudformation, event, deadline).await
    })
    .await
}
