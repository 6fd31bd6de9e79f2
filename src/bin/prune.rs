//! The function of the schedule, which prunes the ledger.

use aurora_sync::aws::{self, data_api::DataApi};
use aurora_sync::functions::config::Config;
use aurora_sync::functions::prune::{self, Prune, STEP_ROWS};
use aurora_sync::functions::runtime;
use serde::de::IgnoredAny;

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let config = Config::from_env();
    runtime::init_logs(&config);
    let sdk_config = aws::sdk_config().await;
    let data_api = DataApi::new(&sdk_config, config.data_api_target()?);
    let function = Prune {
        outbox: runtime::outbox(&config, &sdk_config, &data_api),
        data_api,
        retention_days: config.ledger_retention_days()?,
        step_rows: STEP_ROWS,
    };
    runtime::serve(async |_event: IgnoredAny, invocation| {
        prune::run(&function, invocation.deadline).await
    })
    .await
}
