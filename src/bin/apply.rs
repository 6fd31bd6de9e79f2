//! The function that applies the writes of the queue.

use aurora_sync::aws::{self, data_api::DataApi, queue::Queue};
use aurora_sync::domain::deadline::now_ms;
use aurora_sync::functions::apply::{self, Apply};
use aurora_sync::functions::config::Config;
use aurora_sync::functions::runtime;

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let config = Config::from_env();
    runtime::init_logs(&config);
    let sdk_config = aws::sdk_config().await;
    let tables = runtime::load_tables(&config, &sdk_config).await?;
    let data_api = DataApi::new(&sdk_config, config.data_api_target()?);
    let function = Apply {
        tables,
        outbox: runtime::outbox(&config, &sdk_config, &data_api),
        data_api,
        queue: Queue::new(&sdk_config, config.writes_queue_url()?),
    };
    runtime::serve(async |event, invocation| {
        apply::handle(&function, event, now_ms(), invocation.deadline).await
    })
    .await
}
