//! `cargo local migrate`: what the stack's custom resource does, by hand.

use std::path::PathBuf;
use std::time::Duration;

use aurora_sync::aws::{self, data_api};
use aurora_sync::domain::deadline::Deadline;
use aurora_sync::functions::migrate::{self, Migrate};

use super::print;
use crate::workspace;

/// The time limit for all files: a waking cluster, then indexes over large tables.
const MIGRATED_WITHIN: Duration = Duration::from_hours(1);

/// The database, as `.local/env` or the outputs of the deployed stack name it. Region, credentials
/// and endpoints come from where the AWS SDKs look for them.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    #[arg(long, env, value_name = "ARN")]
    cluster_arn: String,
    #[arg(long, env, value_name = "ARN")]
    secret_arn: String,
    #[arg(long, env, value_name = "NAME")]
    database: String,
    /// The folder of your files; `sql` of this checkout by default
    #[arg(long = "sql", env = "SQL_FOLDER", value_name = "FOLDER")]
    sql_folder: Option<PathBuf>,
    /// The last of your files that describe what the database already has: it and those before it
    /// are recorded as applied, and not run
    #[arg(long, value_name = "FILE")]
    baseline: Option<String>,
}

pub async fn run(arguments: Arguments) -> anyhow::Result<()> {
    let target = data_api::DatabaseTarget {
        cluster_arn: arguments.cluster_arn,
        secret_arn: arguments.secret_arn,
        database: arguments.database,
    };
    let migrate = Migrate {
        sql_folder: match arguments.sql_folder {
            Some(folder) => folder,
            None => workspace::root()?.join("sql"),
        },
        data_api: data_api::DataApi::new(&aws::sdk_config().await, target),
    };
    let baseline = arguments.baseline.as_deref();
    let applied = migrate::run(&migrate, baseline, Deadline::after(MIGRATED_WITHIN)).await?;
    print(&match applied.as_slice() {
        [] => "nothing to do: all files are applied".to_owned(),
        names => format!("applied {}", names.join(", ")),
    });
    Ok(())
}
