//! `cargo local migrate`: what the stack's custom resource does, by hand.

use std::path::PathBuf;
use std::time::Duration;

use aurora_sync::aws::objects::Objects;
use aurora_sync::aws::{self, data_api};
use aurora_sync::domain::deadline::Deadline;
use aurora_sync::functions::migrate::{self, Migrate};
use aurora_sync::functions::refresh::{self, Refresh};

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
    /// The bucket of a stack's catalog: the tables are compared with the catalog, which is then
    /// stored anew
    #[arg(long, env, value_name = "BUCKET")]
    catalog_bucket: Option<String>,
}

pub async fn run(arguments: Arguments) -> anyhow::Result<()> {
    let target = data_api::DatabaseTarget {
        cluster_arn: arguments.cluster_arn,
        secret_arn: arguments.secret_arn,
        database: arguments.database,
    };
    let sdk_config = aws::sdk_config().await;
    let data_api = data_api::DataApi::new(&sdk_config, target);
    let migrate = Migrate {
        sql_folder: match arguments.sql_folder {
            Some(folder) => folder,
            None => workspace::root()?.join("sql"),
        },
        data_api: data_api.clone(),
    };
    let baseline = arguments.baseline.as_deref();
    let deadline = Deadline::after(MIGRATED_WITHIN);
    let applied = migrate::run(&migrate, baseline, deadline).await?;
    print(&match applied.as_slice() {
        [] => "all files are applied".to_owned(),
        names => format!("applied {}", names.join(", ")),
    });
    if let Some(bucket) = arguments.catalog_bucket {
        // The files are not all that changes tables.
        let refresh = Refresh { data_api, objects: Objects::new(&sdk_config), bucket };
        let refreshed = refresh::run(&refresh, deadline).await?;
        print(&comparison(&refreshed.changes));
    }
    Ok(())
}

/// Describes the differences from the catalog that was stored to the database.
fn comparison(changes: &[String]) -> String {
    match changes {
        [] => "the tables are as in the last catalog".to_owned(),
        changes => format!("the tables differ from the last catalog:\n  {}", changes.join("\n  ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_difference_from_the_catalog_has_a_line() {
        assert_eq!(comparison(&[]), "the tables are as in the last catalog");
        let changes = ["staff.age: removed".to_owned(), "orders: new table".to_owned()];
        assert_eq!(
            comparison(&changes),
            "the tables differ from the last catalog:\n  staff.age: removed\n  orders: new table"
        );
    }
}
