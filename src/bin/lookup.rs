//! The function for `GET`.

use aurora_sync::aws::{self, data_api::DataApi};
use aurora_sync::functions::config::Config;
use aurora_sync::functions::lookup::{self, Lookup};
use aurora_sync::functions::runtime;

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let config = Config::from_env();
    runtime::init_logs(&config);
    let sdk_config = aws::sdk_config().await;
    let tables = runtime::load_tables(&config, &sdk_config).await?;
    let function = Lookup {
        tables,
        data_api: DataApi::new(&sdk_config, config.data_api_target()?),
        row_security: config.row_security()?,
    };
    runtime::serve(async |event, invocation| Ok(lookup::handle(&function, event, invocation).await))
        .await
}
