//! The function that reads the tables from the database, and stores or compares them.

use aurora_sync::aws::{self, data_api::DataApi, objects::Objects};
use aurora_sync::functions::config::Config;
use aurora_sync::functions::refresh::{self, Event, Refresh};
use aurora_sync::functions::runtime;

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let config = Config::from_env();
    runtime::init_logs(&config);
    let sdk_config = aws::sdk_config().await;
    let function = Refresh {
        data_api: DataApi::new(&sdk_config, config.data_api_target()?),
        objects: Objects::new(&sdk_config),
        bucket: config.catalog_bucket()?,
    };
    runtime::serve(async |event: Option<Event>, invocation| {
        if event.unwrap_or_default().check {
            refresh::check(&function, invocation.deadline).await
        } else {
            refresh::run(&function, invocation.deadline).await
        }
    })
    .await
}
