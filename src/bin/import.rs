//! The function that imports the files of the queue.

use aurora_sync::aws::{self, data_api::DataApi, objects::Objects, queue::Queue};
use aurora_sync::functions::config::Config;
use aurora_sync::functions::import::read::chunk;
use aurora_sync::functions::import::{self, Import};
use aurora_sync::functions::runtime;

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let config = Config::from_env();
    runtime::init_logs(&config);
    let sdk_config = aws::sdk_config().await;
    let tables = runtime::load_tables(&config, &sdk_config).await?;
    let data_api = DataApi::new(&sdk_config, config.data_api_target()?);
    let function = Import {
        tables,
        outbox: runtime::outbox(&config, &sdk_config, &data_api),
        data_api,
        objects: Objects::new(&sdk_config),
        queue: Queue::new(&sdk_config, config.imports_queue_url()?),
        results_bucket: config.results_bucket()?,
        defaults: config.import_defaults()?,
        row_security: config.row_security()?,
        lanes: config.import_lanes()?,
        limits: chunk::LIMITS,
        full_invocation: import::FULL_INVOCATION,
        heartbeat_every: import::HEARTBEAT_EVERY,
    };
    runtime::serve(async |event, invocation| {
        import::handle(&function, event, invocation.deadline).await
    })
    .await
}
