//! The configuration of the functions. No other module reads the environment, and each function
//! reads it once, at its cold start.

use std::path::{Path, PathBuf};

use import_options::{Defaults, DefaultsError};

use crate::api::caller::RowSecurity;
use crate::aws::data_api::DatabaseTarget;
use crate::database::roles::{READER, WRITER};
use crate::functions::prune::RETENTION_DAYS_MIN;

/// An environment variable that is missing or invalid.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    #[error(
        "the environment variable {0} is not set; template.yaml sets it for each function that needs it"
    )]
    Missing(&'static str),
    #[error("the environment variable {name} must be {expected}")]
    Invalid { name: &'static str, expected: &'static str },
    #[error("the environment variable IMPORT_DEFAULTS is invalid")]
    ImportDefaults(#[source] DefaultsError),
}

/// The most partitions. More message groups than writers only cost calls.
const PARTITIONS_MAX: u32 = 10_000;

/// The most lanes. Each uses connections of the database.
const LANES_MAX: usize = 64;

/// The environment variables, by name.
#[derive(Debug, Clone, Copy)]
pub struct Config<V>(V);

impl Config<()> {
    /// Reads the variables of this process.
    pub fn from_env() -> Config<impl Fn(&str) -> Option<String>> {
        #[expect(clippy::disallowed_methods, reason = "this is the only reader of the environment")]
        Config(|name: &str| std::env::var(name).ok())
    }
}

impl<V: Fn(&str) -> Option<String>> Config<V> {
    /// Reads `CLUSTER_ARN`, `SECRET_ARN` and `DATABASE`.
    pub fn data_api_target(&self) -> Result<DatabaseTarget, ConfigError> {
        Ok(DatabaseTarget {
            cluster_arn: self.required("CLUSTER_ARN")?,
            secret_arn: self.required("SECRET_ARN")?,
            database: self.required("DATABASE")?,
        })
    }

    /// Reads `WRITES_QUEUE_URL`.
    pub fn writes_queue_url(&self) -> Result<String, ConfigError> {
        self.required("WRITES_QUEUE_URL")
    }

    /// Reads `RESULTS_BUCKET`.
    pub fn results_bucket(&self) -> Result<String, ConfigError> {
        self.required("RESULTS_BUCKET")
    }

    /// Reads `IMPORT_DEFAULTS`: options of imports by prefix, as JSON. Returns none if it is not
    /// set.
    pub fn import_defaults(&self) -> Result<Defaults, ConfigError> {
        match self.required("IMPORT_DEFAULTS") {
            Ok(json) => Defaults::parse(&json).map_err(ConfigError::ImportDefaults),
            Err(_) => Ok(Defaults::none()),
        }
    }

    /// Reads `IMPORT_LANES`: the number of lanes of a file, from 1 to 64.
    pub fn import_lanes(&self) -> Result<usize, ConfigError> {
        let name = "IMPORT_LANES";
        let lanes = self.required(name)?.parse().ok();
        lanes
            .filter(|lanes| (1..=LANES_MAX).contains(lanes))
            .ok_or(ConfigError::Invalid { name, expected: "a number from 1 to 64" })
    }

    /// Reads `IMPORTS_QUEUE_URL`.
    pub fn imports_queue_url(&self) -> Result<String, ConfigError> {
        self.required("IMPORTS_QUEUE_URL")
    }

    /// Reads `CATALOG_BUCKET`.
    pub fn catalog_bucket(&self) -> Result<String, ConfigError> {
        self.required("CATALOG_BUCKET")
    }

    /// Reads `READER_SECRET_ARN` and `WRITER_SECRET_ARN`: the secrets of the database users that
    /// the stack makes, and their roles. Empty if it makes none.
    pub fn user_secrets(&self) -> Vec<(String, &'static str)> {
        let secrets = [("READER_SECRET_ARN", READER), ("WRITER_SECRET_ARN", WRITER)];
        let secrets = secrets.map(|(name, role)| Some((self.required(name).ok()?, role)));
        secrets.into_iter().flatten().collect()
    }

    /// Reads `REFRESH_FUNCTION`: the name of the function that stores the catalog.
    pub fn refresh_function(&self) -> Result<String, ConfigError> {
        self.required("REFRESH_FUNCTION")
    }

    /// Reads `EVENT_BUS`: the name of the bus of events. Returns `None` if it is not set.
    pub fn event_bus(&self) -> Option<String> {
        self.required("EVENT_BUS").ok()
    }

    /// Reads `PARTITIONS`: the number of message groups of each table, from 1 to 10,000.
    pub fn partitions(&self) -> Result<u32, ConfigError> {
        let name = "PARTITIONS";
        let expected = "a number from 1 to 10000";
        let partitions = self.required(name)?.parse();
        partitions
            .ok()
            .filter(|partitions| (1..=PARTITIONS_MAX).contains(partitions))
            .ok_or(ConfigError::Invalid { name, expected })
    }

    /// Reads `ROW_SECURITY`: `claims` if row policies decide by the claims of callers, or `none`.
    pub fn row_security(&self) -> Result<RowSecurity, ConfigError> {
        let name = "ROW_SECURITY";
        match self.required(name)?.as_str() {
            "none" => Ok(RowSecurity::Off),
            "claims" => Ok(RowSecurity::Claims),
            _ => Err(ConfigError::Invalid { name, expected: "none or claims" }),
        }
    }

    /// Reads `LEDGER_RETENTION_DAYS`: the days for which the ledger keeps a settled write.
    pub fn ledger_retention_days(&self) -> Result<u32, ConfigError> {
        let name = "LEDGER_RETENTION_DAYS";
        // If a row were deleted before the last delivery of its message, the write would be applied
        // twice.
        let expected = "a number of days from 29 on, as long as both queues can keep a message";
        let days = self.required(name)?.parse().ok();
        days.filter(|days| *days >= RETENTION_DAYS_MIN)
            .ok_or(ConfigError::Invalid { name, expected })
    }

    /// Reads `SQL_FOLDER`, the folder of the user's migrations. Returns the folder `sql` beside the
    /// program if it is not set: Lambda sets `LAMBDA_TASK_ROOT`.
    pub fn sql_folder(&self) -> Result<PathBuf, ConfigError> {
        match self.required("SQL_FOLDER") {
            Ok(folder) => Ok(folder.into()),
            Err(_) => Ok(Path::new(&self.required("LAMBDA_TASK_ROOT")?).join("sql")),
        }
    }

    /// Reads `LOG_LEVEL`. Returns `info` if it is not set.
    pub fn log_level(&self) -> String {
        self.required("LOG_LEVEL").unwrap_or_else(|_| "info".to_owned())
    }

    /// Reads `METRICS_NAMESPACE`: the namespace of the metrics. Returns `aurora-sync` if it is not
    /// set.
    pub fn metrics_namespace(&self) -> String {
        self.required("METRICS_NAMESPACE").unwrap_or_else(|_| "aurora-sync".to_owned())
    }

    fn required(&self, name: &'static str) -> Result<String, ConfigError> {
        (self.0)(name).filter(|value| !value.is_empty()).ok_or(ConfigError::Missing(name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_variable_is_named() {
        let config = Config(|_: &str| Some(String::new()));
        assert_eq!(config.writes_queue_url(), Err(ConfigError::Missing("WRITES_QUEUE_URL")));
    }

    #[test]
    fn the_folder_of_migrations_is_beside_the_program() {
        let lambda = Config(|name: &str| (name == "LAMBDA_TASK_ROOT").then(|| "/var/task".into()));
        assert_eq!(lambda.sql_folder(), Ok("/var/task/sql".into()));
        let other = Config(|name: &str| Some(name.to_lowercase()));
        assert_eq!(other.sql_folder(), Ok("sql_folder".into()));
    }

    #[test]
    fn the_ledger_outlives_the_queues() {
        for (value, expected) in
            [("29", Some(29)), ("3650", Some(3650)), ("28", None), ("-1", None)]
        {
            let config = Config(|_: &str| Some(value.to_owned()));
            assert_eq!(config.ledger_retention_days().ok(), expected, "{value}");
        }
        assert_eq!(RETENTION_DAYS_MIN, 29, "the message says so");
    }

    #[test]
    fn defaults_of_imports_are_checked_at_the_start() {
        let of = |value: &str| Config(|_: &str| Some(value.to_owned())).import_defaults();
        assert_eq!(of(""), Ok(Defaults::none()));
        assert_ne!(of(r#"{"imports/t/": {"delimiter": ";"}}"#).unwrap(), Defaults::none());
        let error = of(r#"{"imports/t/": {"delimeter": ";"}}"#).unwrap_err();
        assert!(
            crate::domain::error::chain(&error).contains("did you mean \"delimiter\"?"),
            "{error}"
        );
    }

    #[test]
    fn the_number_of_partitions_is_limited() {
        for (value, expected) in [("32", Some(32)), ("0", None), ("10001", None), ("many", None)] {
            let config = Config(|_: &str| Some(value.to_owned()));
            assert_eq!(config.partitions().ok(), expected, "{value}");
        }
    }
}
