//! The AWS account of the local stack: credentials that the emulator accepts, and names of a
//! cluster that is not there.

/// The emulator accepts any credentials.
pub const ACCESS_KEY_ID: &str = "test";
pub const SECRET_ACCESS_KEY: &str = "test";
pub const REGION: &str = "us-east-1";

/// A cluster that is not there: the Data API server answers for it.
pub const CLUSTER_ARN: &str = "arn:aws:rds:us-east-1:000000000000:cluster:local";
pub const SECRET_ARN: &str =
    "arn:aws:secretsmanager:us-east-1:000000000000:secret:rds!cluster-local-AbCdEf";
pub const DATABASE: &str = "sync";
