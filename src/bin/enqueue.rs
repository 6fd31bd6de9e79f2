//! The function for `POST`, `PUT`, `PATCH` and `DELETE`.

use aurora_sync::aws::{self, queue::Queue};
use aurora_sync::functions::config::Config;
use aurora_sync::functions::enqueue::{self, Enqueue};
use aurora_sync::functions::runtime;

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let config = Config::from_env();
    runtime::init_logs(&config);
    let sdk_config = aws::sdk_config().await;
    let tables = runtime::load_tables(&config, &sdk_config).await?;
    let function = Enqueue {
        tables,
        queue: Queue::new(&sdk_config, config.writes_queue_url()?),
        partitions: config.partitions()?,
        row_security: config.row_security()?,
    };
    runtime::serve(
        async |event, invocation| Ok(enqueue::handle(&function, event, invocation).await),
    )
    .await
}
